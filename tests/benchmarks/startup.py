"""How long the command line takes to answer: at most 0.5 s each (median of 7 whole processes)."""

import statistics
import subprocess
import sys
import time

LIMIT = 0.5


def seconds(arguments: list[str]) -> float:
    """Return the wall time of one whole process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-P", "-m", "nidbench", *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print a line a command and fail where one is too slow."""
    slow = []
    for arguments in (["--help"], ["list", "methods"]):
        seconds(arguments)  # the first start reads files from disk
        median = statistics.median(seconds(arguments) for _ in range(7))
        sys.stdout.write(f"startup: nidbench {' '.join(arguments)}: {median:.2f} s (limit {LIMIT} s)\n")
        slow += [arguments] if median > LIMIT else []
    if slow:
        raise SystemExit(f"too slow: {slow}")


if __name__ == "__main__":
    main()
