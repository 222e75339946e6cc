"""The operating system: processes, signals, files that are complete or absent, TOML files."""

import sys

try:
    import fcntl as fcntl
except ImportError as error:
    raise ImportError(
        f"nidbench runs on Linux and macOS, not on {sys.platform!r}: its processes, signals and file locks are theirs. "
        "On Windows, install it in the Windows Subsystem for Linux"
    ) from error
