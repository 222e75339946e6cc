"""What README and documentation show works as shown: blocks are run, commands are parsed, names and links are there."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, fields
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import nidbench
from nidbench.cli import main
from nidbench.records import FORMAT, Cell, Log, Record
from nidbench.sweep.sweep_file import read_ask

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [README, *sorted(DOCS.rglob("*.md"))]
GENERATED = DOCS / "reference" / "cli.md"

#: Words of the README, code and tables included, as `wc -w` counts them.
WORDS = 900

#: Begins the comment above a block that is not run.
NOT_RUN = "not run: "

#: Begins the comment above a block that needs a package which tests do without; its page is then skipped.
NEEDS = "needs "

#: Options of `nidbench run` that say how cells are computed and shown, not which; a sweep file has none of them.
HOW = {
    *("config", "threads", "cell_timeout", "memory_limit", "retry", "renew", "observe", "keep", "checkpoint_every"),
    *("dry_run", "yes", "tracking", "pictures", "in_process", "protocol", "output"),
    *("workers", "scheduler", "per_device", "wait_for_workers", "batch"),
}

#: Options in prose that are other programs'.
FOREIGN = {"--port", "--nthreads", "--death-timeout"}


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str
    mark: str

    @property
    def file(self) -> str:
        """The name of the file that a block is; empty for one that is to be run."""
        named = re.match(r"# ([\w-]+\.(?:py|toml))\n", self.text)
        return named[1] if named else ""

    @property
    def runs(self) -> bool:
        return not self.mark.startswith(NOT_RUN)


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    fences = re.finditer(r"^(?:<!-- ([^\n]+) -->\n)?```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [
        Block(page, text.count("\n", 0, each.start(3)) + 1, each[2], each[3], (each[1] or "").strip())
        for each in fences
    ]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


BLOCKS = [block for page in PAGES for block in blocks(page)]


def prose(page: Path) -> str:
    """Return a page without its fenced blocks and comments."""
    return re.sub(r"^```.*?^```$|<!--.*?-->", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def inline(page: Path) -> list[str]:
    return [" ".join(each.split()) for each in re.findall(r"`([^`]+)`", prose(page))]


# --- blocks ---------------------------------------------------------------------------------------------------------


def test_every_block_says_its_language():
    unknown = [
        f"{name_of(each.page)}:{each.line}" for each in BLOCKS if each.language not in ("bash", "python", "toml")
    ]
    assert not unknown


def test_every_fence_is_a_block():
    """A fence inside a list, or a comment that is not right above one, would be passed over."""
    for page in PAGES:
        assert page.read_text().count("```") == 2 * len(blocks(page)), name_of(page)
        marked = page.read_text().count(f"<!-- {NOT_RUN}")
        assert marked == sum(not each.runs for each in blocks(page)), name_of(page)


def run_shell(block: Block, folder: Path) -> None:
    scripts = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": scripts + os.pathsep + os.environ["PATH"], "MPLBACKEND": "Agg"}
    command = ["bash", "-euo", "pipefail", "-c", block.text]
    done = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, f"{name_of(block.page)}:{block.line}\n{block.text}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", [page for page in PAGES if any(each.runs for each in blocks(page))], ids=name_of)
def test_its_blocks_run_in_their_order(page, tmp_path, monkeypatch):
    wanted = {each.mark.removeprefix(NEEDS) for each in blocks(page) if each.mark.startswith(NEEDS)}
    if absent := [package for package in wanted if importlib.util.find_spec(package) is None]:
        pytest.skip(f"its blocks need {', '.join(absent)}")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks(page):
        if not block.runs:
            continue
        if block.file:
            Path(block.file).write_text(block.text)
        elif block.language == "bash":
            run_shell(block, tmp_path)
        elif block.language == "python":
            exec(compile(block.text, f"{name_of(page)}:{block.line}", "exec"), names)
        else:
            tomllib.loads(block.text)


@pytest.mark.parametrize(
    "block", [each for each in BLOCKS if each.language == "python"], ids=lambda b: f"{name_of(b.page)}:{b.line}"
)
def test_python_that_is_not_run_compiles(block):
    compile(block.text, name_of(block.page), "exec")


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.file == "sweep.toml"], ids=lambda b: name_of(b.page))
def test_a_sweep_file_it_shows_is_read(block, tmp_path):
    path = tmp_path / block.file
    path.write_text(block.text)
    assert read_ask(path).experiments


def test_pages_show_one_and_the_same_method():
    assert len({each.text for each in BLOCKS if each.file == "my_method.py"}) == 1


# --- commands -------------------------------------------------------------------------------------------------------


def commands_in(script: str) -> list[list[str]]:
    """Return the calls of nidbench in a shell script, as words."""
    calls = []
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if set(word) <= set("();<>|&"):
                if words[:1] == ["nidbench"]:
                    calls.append(words)
                words = []
            else:
                words.append(word)
    return calls


def shown() -> list[tuple[str, list[str], bool]]:
    """Return every call that a page shows: where, its words, and whether it stands in a block, whole."""
    found = [
        (f"{name_of(block.page)}:{block.line}", words, True)
        for block in BLOCKS
        if block.language == "bash"
        for words in commands_in(block.text)
    ]
    for page in PAGES:
        if page != GENERATED:
            mentioned = [each for each in inline(page) if each.startswith("nidbench ")]
            found += [(name_of(page), shlex.split(each), False) for each in mentioned]
    return found


@pytest.mark.parametrize(("where", "words", "whole"), shown())
def test_every_command_it_shows_is_understood(where, words, whole):
    command: click.Command = main
    context = click.Context(main, info_name="nidbench")
    words = words[1:]
    while isinstance(command, click.Group) and words:
        name, *words = words
        if name.isupper() or name.startswith("--"):  # a placeholder, or an option of the program itself
            return
        found = command.get_command(context, name)
        assert found is not None, f"{where}: there is no {name}"
        command, context = found, click.Context(found, parent=context, info_name=name)
    if isinstance(command, click.Group):
        return
    try:
        command.make_context(context.info_name, words)
    except click.UsageError as error:
        if whole or not isinstance(error, click.MissingParameter):  # in prose a command may stand without its argument
            pytest.fail(f"{where}: {error.format_message()}")
    except click.exceptions.Exit:  # --help
        pass


def options(command: click.Command) -> set[str]:
    own = {
        name for each in command.params if isinstance(each, click.Option) for name in (*each.opts, *each.secondary_opts)
    }
    if isinstance(command, click.Group):
        own |= {name for each in command.commands.values() for name in options(each)}
    return own | {"--help", "--version"}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_option_it_names_is_there(page):
    named = {each.split()[0].split("=")[0] for each in inline(page) if each.startswith("--")}
    assert named - options(main) <= FOREIGN


# --- names, numbers, links ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["datasets", "kernels", "kernel_errors"])
def test_lists_name_everything_registered(kind):
    text = (DOCS / "reference" / "datasets.md").read_text()
    registered = {point.name for point in entry_points(group=f"nidbench.{kind}")}
    assert registered
    assert not [name for name in sorted(registered) if f"| `{name}` |" not in text]


def test_protocols_are_all_listed():
    text = (DOCS / "reference" / "protocols.md").read_text()
    names = [line.split()[0] for line in CliRunner().invoke(main, ["list", "protocols"]).output.splitlines()]
    assert "half-kernel" in names
    assert not [name for name in names if f"| `{name}` |" not in text]


def test_the_sweep_file_s_keys_are_the_options_that_say_what_is_asked():
    text = (DOCS / "reference" / "sweep-file.md").read_text()
    listed = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert listed == {each.name for each in main.commands["run"].params} - HOW


def test_the_fields_of_a_record_are_all_listed():
    text = (DOCS / "reference" / "results-folder.md").read_text()
    names = {each.name for kind in (Record, Cell, Log) for each in fields(kind)} - {"log"}
    assert not [name for name in sorted(names) if f"`{name}`" not in text]
    assert f"The format has number **{FORMAT}**" in text


def test_the_columns_of_cells_are_all_listed(tmp_path):
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "nidbench.json").write_text(json.dumps({"format": FORMAT}))
    sweep = {"format": FORMAT, "name": "none", "asked": {"experiments": []}, "cells": []}
    (tmp_path / "sweeps" / "none.json").write_text(json.dumps(sweep))
    text = (DOCS / "reference" / "tables.md").read_text()
    columns = nidbench.open_results(tmp_path)["none"].cells.columns
    assert "psnr" in columns
    assert not [name for name in columns if f"`{name}`" not in text]


def test_the_command_line_s_page_is_what_the_program_says():
    spec = importlib.util.spec_from_file_location("make_cli", DOCS / "make_cli.py")
    make_cli = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_cli)
    assert GENERATED.read_text() == make_cli.page(), "run: python docs/make_cli.py"


@pytest.mark.parametrize("script", sorted(DOCS.glob("make_*.py")), ids=lambda script: script.stem)
def test_a_script_says_what_it_is_for_and_writes_nothing(script, tmp_path):
    copy = tmp_path / "docs" / script.name
    copy.parent.mkdir()
    shutil.copy(script, copy)
    for argument, status, said in (("--help", 0, "Writes "), ("everything", 2, "unrecognized arguments: everything")):
        done = subprocess.run([sys.executable, "-P", copy, argument], capture_output=True, text=True, check=False)
        assert done.returncode == status
        assert said in done.stdout + done.stderr
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [copy]


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|\n").split("|")] for line in text.splitlines() if line[:1] == "|"]


def test_the_readme_s_table_has_the_digits_of_the_reference_result():
    reference = {row[3]: row for row in rows((ROOT / "results/reference/sample/table.md").read_text())}
    header, _, *shown_rows = [row for row in rows(README.read_text()) if len(row) == 8]
    assert [row[0] for row in shown_rows] == ["input", "ours", "dip"]
    wanted = {name: reference["method"].index(name) for name in header}
    assert shown_rows == [[reference[row[0]][wanted[name]] for name in header] for row in shown_rows]


def test_the_readme_is_short():
    words, of_prose = (
        len(text.split()) for text in (README.read_text(), re.sub(r"^\|.*$", "", prose(README), flags=re.M))
    )
    assert words <= WORDS, f"{words} words, {of_prose} of them outside code and tables"


@pytest.mark.parametrize(
    "command",
    [
        "pip install -c constraints.txt -e .",
        'pip install -c constraints.txt ".[test]" && pytest -n logical',
        "nidbench run --methods ours,dip --dataset sample --preset fast",
    ],
)
def test_the_readme_has_the_commands_that_automation_calls(command):
    assert command in [line for each in blocks(README) for line in each.text.splitlines()]


HERE = "https://github.com/nidbench/nidbench/blob/main/"


def targets(page: Path) -> list[Path]:
    """Return the files of this repository that a page links to; links between pages are the site's to check."""
    links = [each.split("#")[0] for each in re.findall(r"\]\(([^)\s]+)\)", prose(page))]
    near = [page.parent / each for each in links if each and ":" not in each]
    return near + [ROOT / each.removeprefix(HERE) for each in links if each.startswith(HERE)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_it_links_to_are_there(page):
    assert not [str(each) for each in targets(page) if not each.exists()]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pictures_are_small(page):
    assert not [each.name for each in targets(page) if each.suffix == ".png" and each.stat().st_size > 300_000]


def test_the_notebook_has_code_and_no_outputs():
    for cell in json.loads((DOCS / "tutorial.ipynb").read_text())["cells"]:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            compile(source.partition("\n")[2] if source.startswith("%%") else source, "tutorial.ipynb", "exec")
            assert not cell["outputs"]
            assert cell["execution_count"] is None
