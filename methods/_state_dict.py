"""Weights of networks from local files: tensors by name and nothing else, known by their SHA-256."""

from __future__ import annotations

import hashlib
import io
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from nidbench.errors import DataError

State: TypeAlias = "Mapping[str, Tensor]"

#: Names under which files have their tensors one level down.
_NESTED = ("state_dict", "params")
_POINTER = b"version https://git-lfs"


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file with weights.

    Raises:
        DataError: where it is missing, cannot be read, or is a pointer of Git LFS.
    """
    return hashlib.sha256(_content(path)).hexdigest()


def read_state(path: Path, sha256: str) -> State:
    """Return the tensors of a file that `torch.save` wrote, by name; no other object is unpickled.

    Args:
        path: of the file.
        sha256: that it must have.

    Raises:
        DataError: where it is another file, is damaged, or holds more than tensors.
    """
    raw = _content(path)
    if (found := hashlib.sha256(raw).hexdigest()) != sha256:
        raise DataError(f"the weights {path} were altered: they had SHA-256 {sha256} and have {found}, begin anew")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # on files of other origin, which are refused below
            content = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise DataError(
            f"the weights {path} cannot be read as tensors ({reason[0]}): give a file that "
            "torch.save(network.state_dict(), path) wrote"
        ) from error
    for name in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(each, Tensor) for each in content.values())
    ):
        raise DataError(f"the weights {path} hold no tensors by name: give a state dict")
    return {str(name): tensor for name, tensor in content.items()}


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"the weights {path} cannot be read ({error.strerror}): give the path of the file") from error
    if content.startswith(_POINTER):
        raise DataError(f"the weights {path} are a pointer of Git LFS, not the file: get the file with git lfs pull")
    return content


def fill(network: nn.Module, state: State, path: Path, *, partly: bool = False) -> nn.Module:
    """Return a network with the weights of a file, ready to be applied.

    Args:
        network: of the same architecture.
        state: the tensors.
        path: where they are from, for messages.
        partly: whether the file may lack single numbers, which then keep their initial values.

    Raises:
        DataError: where the tensors are of another architecture.
    """
    wanted = network.state_dict()
    lacking = sorted(
        name for name, tensor in wanted.items() if name not in state and not (partly and tensor.numel() == 1)
    )
    foreign = sorted(set(state) - set(wanted))
    other = sorted(name for name, tensor in state.items() if name in wanted and tensor.shape != wanted[name].shape)
    if lacking or foreign or other:
        named = next(iter([*other, *lacking, *foreign]))
        raise DataError(
            f"the weights {path} are not those of this {type(network).__name__}: {len(lacking)} tensors are missing, "
            f"{len(foreign)} are not known, {len(other)} have another shape, among them {named}"
        )
    network.load_state_dict(dict(state), strict=not partly)
    return network.eval().requires_grad_(False)
