"""Names of submitted files: a pattern and the names of a measurement make the name of its file."""

from __future__ import annotations

import re
from string import Formatter

from nidbench.errors import InputError
from nidbench.physics.case_key import CaseKey

#: The default pattern.
PATTERN = "{image}_{kernel}_{noise}.png"

#: Bytes of the longest name that file systems can hold.
_LONGEST_NAME = 255


def file_name(pattern: str, key: CaseKey) -> str:
    """Return the name of the file of a measurement.

    The pattern may have `{image}`, `{dataset}`, `{kernel}` and `{set}` (4 and levin for the kernel `levin/4`),
    `{noise}` (`gaussian-0.05` for gaussian:0.05), `{level}` (`0.05`) and `{seed}` of the noise. `:` and `/` in names
    become `-`.

    >>> file_name("{image}_{kernel}_{noise}.png", CaseKey("set12", "02", "levin/4", "gaussian:0.05"))
    '02_4_gaussian-0.05.png'

    Raises:
        InputError: where the pattern has another name or unmatched braces, or the name is too long for a file.
    """
    names = _names(key)
    try:
        fields = [field for field in Formatter().parse(pattern) if field[1] is not None]
    except ValueError as error:
        raise InputError(f"pattern {pattern!r}: {error}; write such as {PATTERN}") from error
    if unknown := sorted({str(name) for _, name, _, _ in fields} - set(names)):
        known = ", ".join(f"{{{name}}}" for name in names)
        raise InputError(f"pattern {pattern!r}: there is no {{{unknown[0]}}}; use {known}")
    if any(form or conversion for _, _, form, conversion in fields):
        raise InputError(f"pattern {pattern!r}: write names alone in braces, such as {PATTERN}")
    file = pattern.format(**names)
    if max(len(level.encode(errors="surrogateescape")) for level in file.split("/")) > _LONGEST_NAME or "\0" in file:
        raise InputError(f"pattern {pattern[:40]!r}...: it makes names that no file can have, such as {file[:40]!r}...")
    return file


def _names(key: CaseKey) -> dict[str, str]:
    set_name, _, kernel = key.kernel.partition("/")
    names = {
        "image": key.image,
        "dataset": key.dataset,
        "kernel": kernel or set_name,
        "set": set_name,
        "noise": key.noise,
        "level": key.noise.partition(":")[2],
        "seed": str(key.noise_seed),
    }
    return {name: re.sub("[:/]", "-", value) for name, value in names.items()}
