"""Refuse files that a manifest lists: nidbench downloads data and weights of others, and never passes them on.

    python .ci/no_fetched_data.py FILE...

A file is known by its SHA-256 or its git blob id, whatever its name. The exit code is 1 where one was recognised.
"""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MANIFESTS = (ROOT / "datasets" / "files.csv", ROOT / "methods" / "files.csv")


def listed(manifests: Sequence[Path]) -> dict[str, str]:
    """Return SHA-256 or `git-blob-sha1:` and an id -> `dataset/path` of all files that manifests list."""
    rows = [row for path in manifests for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())]
    return {row["sha256"]: f"{row['dataset']}/{row['path']}" for row in rows if row["sha256"]}


def recognised(files: Sequence[Path], manifests: Sequence[Path] = MANIFESTS) -> list[str]:
    """Return a line for each file that a manifest lists: what it is, and what to do."""
    known = listed(manifests)
    return [
        f"{path} is {known[digest]}: its licence is not ours to pass it on, remove it from the commit"
        for path in files
        for digest in hashes(path.read_bytes())
        if digest in known
    ]


def hashes(content: bytes) -> tuple[str, str]:
    """Return by what manifests know a content."""
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return hashlib.sha256(content).hexdigest(), f"git-blob-sha1:{blob}"


def main() -> int:
    """Print what was recognised among the files of the command line."""
    lines = recognised([Path(name) for name in sys.argv[1:]])
    sys.stderr.writelines(f"{line}\n" for line in lines)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
