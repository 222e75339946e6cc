"""The `nidbench` command as a program of its own, also `python -m nidbench`."""

from nidbench.system.garbage import keep_all
from nidbench.system.signals import end_at_once

from .cli import main


def program() -> None:
    """Run the command; a signal that comes when all is done ends the process without a traceback."""
    try:
        main()
    finally:
        end_at_once()
        keep_all()


if __name__ == "__main__":
    program()
