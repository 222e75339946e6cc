"""What the README shows works as shown."""

import re
import shlex
import textwrap
from pathlib import Path

import pytest
from click.testing import CliRunner

from nidbench.cli import main
from nidbench.contract.conformance import check
from nidbench.registry.entry_points import Registry, load_method, methods
from nidbench.sweep.sweep_file import read_ask

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = [textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", README, re.MULTILINE)]


def block(start: str) -> str:
    (found,) = [each.strip() + "\n" for each in BLOCKS if each.strip().startswith(start)]
    return found


def commands() -> list[str]:
    lines = [line for each in BLOCKS for line in each.splitlines()]
    return [part for line in lines for part in line.split(" && ") if part.startswith("nidbench ")]


def test_the_method_it_shows_conforms(tmp_path):
    path = tmp_path / "my_method.py"
    path.write_text(block("# my_method.py"))
    findings = check(load_method(methods(path), "my_method")(iterations=5))
    assert not [finding.message for finding in findings if not finding.passed]


def test_the_sweep_file_it_shows_is_read(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(block("methods = "))
    ask = read_ask(path)
    assert [experiment.noise for experiment in ask.experiments] == ["gaussian:0.01,gaussian:0.05", "poisson:128"]


@pytest.mark.parametrize("command", commands())
def test_every_command_it_shows_has_the_options_it_uses(command):
    name, *rest = shlex.split(command)[1:]
    if name == "data":
        name, *rest = f"data {rest[0]}", *rest[1:]
    usage = CliRunner().invoke(main, [*name.split(), "--help"])
    assert usage.exit_code == 0
    for option in (word for word in rest if word.startswith("--")):
        assert option in usage.output


@pytest.mark.parametrize("kind", ["method", "dataset"])
def test_its_lists_name_everything_registered(kind):
    missing = [name for name in Registry.installed(kind).names() if f"| `{name}` |" not in README]
    assert not missing
