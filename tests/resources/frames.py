"""Frames of sweeps, read in one line."""

from nidbench.analysis.cells import SweepCells


def cells_frame(store, sweep, protocol="half-kernel"):
    """Read a sweep anew and return its cells."""
    return SweepCells.read(store, sweep).frame(protocol)
