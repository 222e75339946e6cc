"""Reads and writes FITS, the format of astronomy, with astropy, an extra: `nidbench[fits]`."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nidbench.errors import InputError
from nidbench.system.counts import count_of

from .stored import Stored, check_size, native

#: Suffixes of FITS files.
FITS_SUFFIXES = (".fits", ".fit", ".fts")

#: Name of the extension that holds the picture, where several hold one, as in files of the Hubble Space Telescope.
_SCIENCE = "SCI"

#: Keywords that describe how numbers are stored: what is written says that anew.
_OF_STORAGE = ("BSCALE", "BZERO", "BLANK", "CHECKSUM", "DATASUM", "DATAMIN", "DATAMAX")

#: Keywords with a place in pixels: of the reference point, also of further coordinates (CRPIX1A), and of the origin of
#: an IRAF section (LTV1).
_OF_PLACE = re.compile("(?:CRPIX|LTV)([12])[A-Z]?")


def is_fits(path: Path) -> bool:
    """Return whether a file has the suffix of FITS."""
    return path.suffix.lower() in FITS_SUFFIXES


def library() -> Any:
    """Return `astropy.io.fits`.

    Raises:
        InputError: where astropy is not installed; the message has the line that installs it.
    """
    try:
        from astropy.io import fits
    except ImportError as error:
        raise InputError(f"FITS takes astropy, which is not here ({error}): pip install 'nidbench[fits]'") from error
    return fits


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open a file for the block, and yield the header-and-data unit that holds its picture.

    Raises:
        InputError: where it holds no picture or several, is cut off, or astropy is missing.
    """
    fits = library()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with fits.open(path, memmap=False) as units:
            unit = _picture(units)
            check_size(unit.shape)
            yield unit
    if cut := [str(warning.message) for warning in caught if "truncated" in str(warning.message)]:
        raise InputError(f"it is cut off ({cut[0]})")


def _picture(units: Any) -> Any:
    held = [unit for unit in units if unit.is_image and len(unit.shape) >= 2]
    named = [unit for unit in held if unit.name == _SCIENCE]
    chosen = named if len(named) == 1 else held
    if len(chosen) != 1:
        listed = ", ".join(f"{unit.name or 'unnamed'} ({'x'.join(map(str, unit.shape))})" for unit in held)
        raise InputError(
            f"it holds {len(held)} images ({listed}): save the one to read as a separate file"
            if held
            else "it holds no image of two dimensions"
        )
    return chosen[0]


def read(path: Path) -> Stored:
    """Return the array of a file, its last axes (H, W); the first row is the one that viewers show at the bottom.

    Raises:
        InputError: where `opened` refuses the file, and for missing pixels.
    """
    with opened(path) as unit:
        blank = _level_of_blanks(unit.header)  # its keywords are gone once the data are read
        if unit.data is None:
            raise InputError("it is cut off: its pixels are missing")
        values = native(np.asarray(unit.data))
    if values.dtype.kind not in "buif":
        raise InputError(f"it holds {values.dtype}, not real numbers")
    if blank is not None:
        _check_blanks(values, blank)
    return Stored(values)


def _level_of_blanks(header: Any) -> float | None:
    """Return the number that integers which stand for missing pixels have after scaling; None where there are none."""
    blank = header.get("BLANK")
    if not isinstance(blank, int) or header["BITPIX"] < 0:
        return None
    return float(blank * header.get("BSCALE", 1) + header.get("BZERO", 0))


def _check_blanks(values: NDArray[Any], level: float) -> None:
    """Refuse missing pixels: astropy makes them NaN, but not those of unsigned integers, nor where BLANK is 0.

    Raises:
        InputError: naming how many there are.
    """
    missing = int(np.count_nonzero(np.isnan(values) | (values == level)))
    if missing:
        raise InputError(
            f"{count_of(missing, 'pixel is', 'pixels are')} missing of {values.size}, by its keyword BLANK: fill them, "
            "or cut them off, as methods know no missing pixels"
        )


def header_of(path: Path) -> tuple[Any, tuple[str, ...]]:
    """Return the header of the picture of a file, which `encoded` takes, and the keywords that were left out of it.

    Some programs write keywords that the format does not allow, such as `EXP TIM`, and that cannot be mended.
    """
    with opened(path) as unit:
        header = unit.header.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of cards that are mended
        damaged = [place for place, card in enumerate(header.cards) if not _is_valid(card)]
        names = tuple(dict.fromkeys(header.cards[place].keyword for place in damaged))
    for place in reversed(damaged):
        del header[place]
    return header, names


def _is_valid(card: Any) -> bool:
    """Return whether a card of a header can be written, after it is mended as far as it can be."""
    from astropy.io.fits.verify import VerifyError

    try:
        card.verify("silentfix+exception")
    except (VerifyError, ValueError):
        return False
    return True


def encoded(values: NDArray[Any], header: Any, corner: tuple[int, int] = (0, 0)) -> bytes:
    """Return the bytes of a file with one picture.

    Args:
        values: Shape (..., H, W), of a type that FITS has.
        header: that of the measurement, whose keywords are kept, or None.
        corner: row and column of the measurement's first pixel in `values`, by which its coordinates move.
    """
    fits = library()
    kept = fits.Header() if header is None else header.copy(strip=True)
    for keyword in _OF_STORAGE:
        kept.remove(keyword, ignore_missing=True, remove_all=True)
    places = {keyword: found[1] for keyword in kept if (found := _OF_PLACE.fullmatch(keyword))}
    for keyword, axis in places.items():
        before, shift = kept[keyword], corner["21".index(axis)]
        if shift and isinstance(before, int | float):  # some files have text there, which stays
            kept[keyword] = before + shift
    file = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of keywords that were not standard before
        fits.PrimaryHDU(values, kept).writeto(file, output_verify="silentfix")
    return file.getvalue()
