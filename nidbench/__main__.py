"""`python -m nidbench` is the `nidbench` command."""

from .cli import main

main()
