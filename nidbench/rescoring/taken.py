"""What became of a submission, and how a person is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nidbench.records import Sweep
from nidbench.system.counts import count_of

#: Largest number of file names in a message.
_NAMED = 3


@dataclass(frozen=True)
class Taken:
    """The result of scoring a submission.

    Attributes:
        sweep: its cells.
        scored: number of files that were scored by this call.
        unchanged: number of files that were scored before and have not changed.
        missing: names of missing files.
        withdrawn: those of them that were scored before: their records are set aside.
        unused: names of files in the folder that belong to no measurement.
        assumed: assumptions about files, with the names of the files.
        notices: dataset -> facts that its users must know.
        left_out: cells of the earlier sweep of this name that this one does not have, in words; empty for none.
    """

    sweep: Sweep
    scored: int
    unchanged: int
    missing: Sequence[str]
    unused: Sequence[str]
    assumed: Sequence[str] = ()
    notices: Mapping[str, str] = field(default_factory=dict)
    withdrawn: Sequence[str] = ()
    left_out: str = ""

    def lines(self) -> list[str]:
        """Return a report for a person."""
        lines = [f"{count_of(self.scored, 'file')} scored, {count_of(self.unchanged, 'was', 'were')} so before"]
        if self.missing:
            them = "it" if len(self.missing) == 1 else "them"
            remedy = f"put {them} into the folder and give the same command again, or choose fewer measurements"
            files = count_of(len(self.missing), "file is", "files are")
            lines.append(f"{files} missing: {few(self.missing)}; {remedy}")
        if self.withdrawn:
            lines.append(f"{len(self.withdrawn)} of them had a score from an earlier file, which counts no longer")
        if self.unused:
            files = count_of(len(self.unused), "file of the folder belongs", "files of the folder belong")
            lines.append(f"{files} to no measurement: {few(self.unused)}")
        if self.left_out:
            lines.append(self.left_out)
        if self.assumed:
            lines.append(first_assumed(self.assumed))
        return lines + [f"{dataset}: {notice}" for dataset, notice in self.notices.items() if notice]


def few(names: Sequence[str]) -> str:
    """Return the first names, and the number of further ones."""
    further = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + further


def first_assumed(assumed: Sequence[str]) -> str:
    """Return the first assumption, and the number of further files with one; empty for none."""
    further = f" (and likewise {len(assumed) - 1} more)" if len(assumed) > 1 else ""
    return f"assumed: {assumed[0]}{further}" if assumed else ""
