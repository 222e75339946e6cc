"""The processes in which methods run. They are handed no truth: nothing here imports cases, scoring or records."""
