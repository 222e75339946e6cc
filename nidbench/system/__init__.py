"""What the operating system gives and takes: processes, signals, files that are whole or not there."""

import sys

try:
    import fcntl as fcntl
except ImportError as error:
    raise ImportError(
        f"nidbench runs on Linux and macOS, not on {sys.platform!r}: its processes, signals and file locks are theirs. "
        "On Windows, install it in the Windows Subsystem for Linux"
    ) from error
