"""The processes in which methods run. They never receive a truth: nothing here imports cases, scoring or records."""
