"""Writes the leaderboard from committed records: `python docs/make_leaderboard.py`.

results/leaderboard/standings.csv has what docs/leaderboard.md shows. tests/leaderboard compares both with what this
would write.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser
from pathlib import Path

from nidbench.leaderboard.board import render
from nidbench.leaderboard.entries import entries
from nidbench.records import read_records

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "leaderboard"
PAGE = ROOT / "docs" / "leaderboard.md"

INTRODUCTION = """\
---
hide:
  - toc
---

# Leaderboard

Which method restores how well, at what cost, on one fixed set of measurements that is the same for all. This page is
made from [committed records](https://github.com/nidbench/nidbench/tree/main/results/leaderboard) by one command,
`python docs/make_leaderboard.py`.

## The rules

- **The set.** The twelve images of Set12, whole. Image i is blurred by Levin's kernels i mod 8 and i + 4 mod 8, and
  Gaussian noise of 1, 3 or 5 % is added: 24 measurements a level, the same bytes for every method. They are a quarter
  of the paper's Table 2.
- **Ranks.** A method is ranked at a level if it has a score for all 24, by today's versions of method, measurement
  and metric. Others are listed with the number n of their measurements, and with how far they are behind the first on
  these. Means over different measurements do not compare. Where a method was computed in several precisions, on
  several devices or by several versions, the records that cover most of the set stand for it; they are never mixed.
- **Intervals.** The set has twelve images, so that methods close to each other may change places on others: look at
  *behind* with its interval before you look at the rank.
- **Kind.** *Dataset-free* methods see nothing but the measurement, the kernel and what is declared of the noise.
  *Supervised* ones have learned from sharp images; they are points of reference. *Blind* ones are given the size of
  the kernel only, and may return x shifted against the truth, for which this page's protocol does not align: they are
  listed, and not ranked.
- **Of the paper.** Whether the method's records reproduce its row in Table 2 of Chen et al., see
  [verdicts](how-to/paper-tables.md); *not comparable* says that something else was run, such as a preset that is not
  the paper's.
- **Cost.** Seconds are wall time of a method alone in its process with one thread, on machines that did other work as
  well: differences of a factor of two say nothing. Where records had more threads, or were fitted side by side, a
  note below the table says so, as their seconds do not compare with the others.

"""

SENDING_IN = """
## Send in a method

1. Write it as a [method](how-to/own-method.md): one file in `methods/`, one line in `pyproject.toml`, its page in
   `docs/methods/`. Tune it on images that no data set here has, and say in `tuned_on` which; say `supervised=True`
   where it has learned from sharp images.
2. Open a pull request with these. CI runs its preset `smoke` through the conformance checks and the tests; it does
   not run the set.
3. A maintainer runs the set, `nidbench run --config results/leaderboard/sweep.toml` with the method in place of those
   in the file, and adds the records to `results/leaderboard/records.jsonl`. You may send records along, as
   `nidbench pack NAME --to mine.jsonl` writes them; they are taken where the maintainer's agree with them on cells
   drawn at random.
4. `python docs/make_leaderboard.py` writes this page anew. Where the method's version changes, its records are old,
   and it loses its rank until the set has been run again.

Restorations that came as files say nothing of cost, and are not taken.
"""


def table() -> tuple[str, str]:
    """Return the leaderboard as Markdown, methods linked to their pages, and as CSV."""
    cells = entries(read_records(sorted([*RESULTS.glob("*.jsonl"), *ROOT.glob("results/reference/*/records.jsonl")])))
    return linked(render(cells)), render(cells, "csv")


def linked(markdown: str) -> str:
    """Return tables whose methods are links to their pages, where there are any."""

    def link(match: re.Match[str]) -> str:
        page = Path("methods") / f"{match['name']}.md"
        label = f"{match['name']}{match['rest']}".replace(",", ",<wbr>")  # a line of many settings is as wide as a page
        return f"{match['before']}[{label}]({page.as_posix()})" if (PAGE.parent / page).is_file() else match[0]

    names = r"^(?P<before>\| (?:(?:\d+|–) +\| )?)(?P<name>[a-z][\w-]*)(?P<rest>(?:[@:\[]\S*)?)(?= )"  # noqa: RUF001
    return re.sub(names, link, markdown, flags=re.MULTILINE)


def page(markdown: str) -> str:
    """Return the whole page."""
    overview, *levels = re.split(r"\n(?=Noise of )", markdown)
    parts = ["## All levels\n", overview]
    for level in levels:
        percent, _, rest = level.removeprefix("Noise of ").partition(". ")
        parts += [f"## {percent}\n", rest]
    return INTRODUCTION + "\n".join(parts) + SENDING_IN


def main() -> None:
    """Write both files."""
    markdown, csv = table()
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "standings.csv").write_text(csv)
    PAGE.write_text(page(markdown))


if __name__ == "__main__":
    ArgumentParser(description=(__doc__ or "").partition(":")[0]).parse_args()
    main()
