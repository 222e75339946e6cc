"""What the operating system gives and takes: processes, signals, files that are whole or not there."""

import os

if os.name != "posix":
    raise ImportError(
        f"nidbench runs on Linux and macOS, not on {os.name!r}: its processes, signals and file locks are theirs. On "
        "Windows, install it in the Windows Subsystem for Linux"
    )
