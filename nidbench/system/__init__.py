"""The operating system: processes, signals, files that are complete or absent, TOML files."""
