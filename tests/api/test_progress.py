"""What a person reads while a sweep runs."""

import io

from rich.console import Console

from nidbench.api.progress import Display
from nidbench.contract import CaseKey
from nidbench.records import Cell, Log, Planned, Record, Sweep
from nidbench.scoring.score import Score
from nidbench.sweep.plan import Plan


class FakeJob:
    def __init__(self) -> None:
        self.case = type("Case", (), {"key": CaseKey("sample", "camera", "sample/motion", "gaussian:0.05")})()
        self.planned = Planned(
            id="id",
            label="ours:no-sa",
            preset="fast",
            note="",
            case=self.case.key,
            declared="known",
            seed=3,
            method="ours",
        )


def shown(record: Record, warning: str = "look here") -> str:
    text, job = io.StringIO(), FakeJob()
    with Display(Console(file=text, width=60)) as display:
        display.planned(Plan(Sweep("s", {}, [job.planned]), [job]), 1)
        display.started(job).progress(1, 2)
        display.ended(job, record)
        display.warned(warning)
    return text.getvalue()


def record(status: str, **more) -> Record:
    cell = Cell(
        method="ours",
        version=1,
        settings={},
        case=FakeJob().case.key,
        image_hash="",
        kernel_hash="",
        declared="known",
        response="identity",
        seed=3,
        precision="float32",
        device="cpu",
    )
    error = more.pop("error", "")
    return Record("id", cell, status, **more).with_log(Log(error=error))


def test_a_done_cell_is_one_line_with_its_score_and_time():
    text = shown(record("done", scores={"half-kernel": Score(26.56, 0.77)}, seconds=12.34))
    assert "[1/1] ours:no-sa  sample/camera sample/motion gaussian:0.05 seed 3  26.56 dB in 12.3 s\n" in text
    assert "look here" in text


def test_a_log_says_how_long_the_rest_takes_at_the_pace_so_far():
    text, job, clock = io.StringIO(), FakeJob(), [0.0]
    done = record("done", scores={"half-kernel": Score(26.56, 0.77)}, seconds=100.0)
    with Display(Console(file=text, width=60, get_time=lambda: clock[0])) as display:
        display.planned(Plan(Sweep("s", {}, [job.planned]), [job]), 5)
        for now in (90.0, 190.0, 290.0, 390.0, 490.0):
            clock[0] = now
            display.ended(job, done)
    first, second, third, fourth, last = [line for line in text.getvalue().splitlines() if line.startswith("[")]
    assert first.endswith("in 100.0 s")  # no pace yet
    assert second.endswith("in 100.0 s, about 5 min left")
    assert third.endswith("about 3.3 min left")
    assert fourth.endswith("about 1.7 min left")
    assert last.endswith("in 100.0 s")


def test_a_failed_cell_is_one_line_with_its_reason():
    text = shown(record("failed", error="Traceback (most recent call last):\n  in f\nRuntimeError: no such thing\n"))
    assert "failed: RuntimeError: no such thing" in text


def test_what_a_method_says_is_no_markup():
    text = shown(record("failed", error="ValueError: [/bold] [link=x] [red]"), "look [/here]")
    assert "failed: ValueError: [/bold] [link=x] [red]" in text
    assert "look [/here]" in text


def test_a_log_gets_no_control_characters():
    assert "\x1b" not in shown(record("done"))
