"""What the operating system gives and takes: processes, signals, files that are whole or not there."""
