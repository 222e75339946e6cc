"""The student's way, as the tutorial has it: a method of one's own, checked, run beside four others, report and LaTeX.

The blocks of the tutorial's section are run as they are written, command by command, in an empty folder. Printed are
the seconds of each; all together may take five minutes.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 300.0
TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
SECTION = "## Add your own method\n"


def steps() -> tuple[dict[str, str], list[str]]:
    """Return the files of the section by their names, and its commands up to the table for LaTeX."""
    section = TUTORIAL.read_text().partition(SECTION)[2].partition("\n## ")[0]
    files: dict[str, str] = {}
    commands: list[str] = []
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL):
        if language == "bash":
            commands += text.splitlines()
        elif named := re.match(r"# ([\w-]+\.py)\n", text):
            files[named[1]] = text
    last = next(place for place, command in enumerate(commands) if "--format latex" in command)
    return files, commands[: last + 1]


def main() -> None:
    """Print the seconds of each step and of all, and fail where they are too many or a step fails."""
    files, commands = steps()
    scripts = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": scripts + os.pathsep + os.environ["PATH"]}
    taken = []
    with tempfile.TemporaryDirectory() as name:
        for file, text in files.items():
            Path(name, file).write_text(text)
        for command in commands:
            start = time.perf_counter()
            shell = ["bash", "-euo", "pipefail", "-c", command]
            subprocess.run(shell, cwd=name, env=environment, check=True, stdout=subprocess.DEVNULL)
            taken.append(time.perf_counter() - start)
            sys.stdout.write(f"student: {taken[-1]:6.1f} s  {command}\n")
            sys.stdout.flush()
        lines = len(Path(name, "mine.tex").read_text().splitlines())
    sys.stdout.write(f"student: {sum(taken):6.1f} s in all (limit {LIMIT:.0f} s), a LaTeX table of {lines} lines\n")
    if sum(taken) > LIMIT:
        raise SystemExit("too slow")


if __name__ == "__main__":
    main()
