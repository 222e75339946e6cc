"""The `nidbench` command: parse, call, print. One file for each group of commands, and the only importers of click.

What is heavy is imported inside the commands that use it: `nidbench --help` imports none of it.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from nidbench.errors import NidbenchError
from nidbench.system import signals

from . import compute, data, draw, exchange, registered, restore, score, show, track

ROOMS = {
    "Your own image": restore,
    "Compute": compute,
    "Tables": show,
    "Scores without computing": score,
    "Two labs": exchange,
    "Pictures": draw,
    "MLflow": track,
    "What is registered": registered,
    "Files": data,
}


class _WrongCall(click.ClickException):
    exit_code = 2


class _Group(click.Group):
    """Shows nidbench's own errors, the system's, and what asks it to stop as one message, without a traceback."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse what no file and no name can have, before anything comes of it."""
        if any("\0" in argument for argument in args):
            raise click.UsageError("an argument has a NUL character in it: leave it out")
        with _in_words():  # the help and the version are printed here
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        _spell_out()
        with signals.heeded():
            try:
                with _in_words():
                    return super().invoke(ctx)
            except (KeyboardInterrupt, click.Abort) as stop:  # a question that a signal cuts off is an Abort
                number = signals.stopped_by(stop)
                if number is None:
                    raise
                signals.end_at_once()
                click.echo(
                    f"interrupted by {number.name}: what was finished is kept, run the same command again", err=True
                )
                ctx.exit(signals.exit_code(number))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the list of commands by what they are for."""
        for title, room in ROOMS.items():
            with formatter.section(title):
                formatter.write_dl([(command.name or "", command.get_short_help_str(150)) for command in room.COMMANDS])


@contextmanager
def _in_words() -> Iterator[None]:
    """Show nidbench's errors and the system's as one message."""
    try:
        yield
    except NidbenchError as error:
        raise _WrongCall(str(error)) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) and error.filename is None:
            raise _WrongCall(
                f"nothing more can be written ({error.strerror}): free some space, then run the same command again; "
                "what was finished is kept"
            ) from error
        if error.filename is None:
            raise
        raise _WrongCall(f"{os.fsdecode(error.filename)}: {error.strerror}") from error


def _spell_out() -> None:
    """Have characters that a terminal or pipe of another encoding lacks printed as their numbers, and not as an error.

    Names of files may hold any, and tables a dash: what was computed for hours must not end in that.
    """
    for stream in (sys.stdout, sys.stderr):
        # in the locale C it is surrogateescape, which fails on a dash, too
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="nidbench")
def main() -> None:
    """Benchmark of dataset-free methods for non-blind image deconvolution.

    Try it: nidbench run --methods ours,dip --dataset sample --preset fast
    """


for _room in ROOMS.values():
    for _command in _room.COMMANDS:
        main.add_command(_command)
