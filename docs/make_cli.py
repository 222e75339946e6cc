"""Writes docs/reference/cli.md from the command line's own objects: `python docs/make_cli.py`.

A file that is kept, rather than a plugin of the site: it reads on GitHub too, and a change of an option shows in its
diff. tests/test_docs.py compares it with what this would write.
"""

from __future__ import annotations

import inspect
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from nidbench.cli import main

PAGE = Path(__file__).parent / "reference" / "cli.md"

INTRODUCTION = """\
# Command line

Every command, argument and option, generated from the program itself. `nidbench COMMAND --help` shows the same.
[Methods](../how-to/own-method.md), [data sets and kernels](datasets.md) and [protocols](protocols.md) have pages of
their own; options of `nidbench run` can also stand in a [sweep file](sweep-file.md).

"""


def page() -> str:
    """Return the whole page."""
    parts = [section(path, command) for path, command in commands("nidbench", main)]
    return INTRODUCTION + "\n".join(parts)


def commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Yield every command that does something, with the words that call it, by name."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        if found is not None:
            yield from commands(f"{path} {name}", found)


def section(path: str, command: click.Command) -> str:
    """Return a heading, the call, the help and the table of options of one command."""
    arguments = [each for each in command.params if isinstance(each, click.Argument)]
    options = [each for each in command.params if isinstance(each, click.Option)]
    call = " ".join([path, *(["[OPTIONS]"] if options else []), *map(placeholder, arguments)])
    lines = [f"## {path}", "", f"    {call}", "", paragraphs(command.help or ""), ""]
    if options:
        lines += ["| option | default | what it does |", "|---|---|---|", *map(row, options), ""]
    return "\n".join(lines)


def paragraphs(text: str) -> str:
    """Return a docstring with each paragraph on a line, angle brackets and braces as they are."""
    blocks = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(block.split()) for block in blocks)


def placeholder(argument: click.Argument) -> str:
    """Return how a call shows an argument."""
    shown = argument.metavar or (argument.name or "").upper()
    if isinstance(argument.type, click.Choice):
        shown = "{" + "|".join(map(str, argument.type.choices)) + "}"
    elif argument.nargs == -1 and not shown.endswith("..."):
        shown += "..."
    return shown if argument.required else f"[{shown}]"


def row(option: click.Option) -> str:
    """Return the row of one option."""
    names = ", ".join(option.opts)
    value = "" if option.is_flag else f" {kind(option)}"
    names = " / ".join([names, *option.secondary_opts]) + value
    return f"| `{escaped(names)}` | {default(option)} | {escaped(' '.join((option.help or '').split()))} |"


def kind(option: click.Option) -> str:
    """Return what an option takes."""
    if isinstance(option.type, click.Choice):
        return "{" + ",".join(map(str, option.type.choices)) + "}"
    names = {"integer": "NUMBER", "float": "NUMBER", "integer range": "NUMBER", "float range": "NUMBER"}
    names |= {"file": "FILE", "directory": "FOLDER", "path": "PATH"}
    return option.metavar or names.get(option.type.name, "TEXT")


def default(option: click.Option) -> str:
    """Return the value that counts where none is given; nothing for what is off or empty."""
    value: Any = option.to_info_dict().get("default")
    if not isinstance(value, str | int | float | Path) or isinstance(value, bool) or value == "":
        return ""
    return f"`{value}`"


def escaped(text: str) -> str:
    """Return a text for a cell of a table."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    ArgumentParser(description=(__doc__ or "").partition(":")[0]).parse_args()
    PAGE.write_text(page())
