"""The conformance suite: good methods pass, and every check fails on a method that breaks just that."""

import os
import random
import re
import threading
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from nidbench.methods.wiener import Wiener

from nidbench.contract import MethodInfo, Restored, Run
from nidbench.contract.conformance import check, checks, restorations_are_as_they_were_blurred
from nidbench.contract.probe import Probe, sharp_image, subjects
from nidbench.registry.entry_points import load_method, methods
from nidbench.registry.method_spec import MethodSpec, resolve


@dataclass(frozen=True)
class Good:
    """Steps towards the tapered y with a little noise; observes, checkpoints, and restores many one by one."""

    info: ClassVar[MethodInfo] = MethodInfo("good")
    iterations: int = 6

    def restore(self, problem, run):
        target = problem.operator(run.device).tapered.numpy()
        x, first = self.resume(run, target.shape)
        for iteration in range(first, self.iterations + 1):
            x = self.step(x, target, run, iteration)
            if run.due(iteration):
                run.observe(iteration, lambda x=x: self.show(x))
            if run.checkpoint_due() and iteration < self.iterations:
                run.save(bytes([iteration]) + x.tobytes())
        return self.answer(x, problem)

    def resume(self, run, shape):
        saved = run.load()
        if saved is None:
            return run.generator("start").random(shape, dtype=np.float32), 1
        return np.frombuffer(saved[1:], np.float32).reshape(shape), saved[0] + 1

    def step(self, x, target, run, iteration):
        noise = run.generator(f"step {iteration}").standard_normal(x.shape, dtype=np.float32)
        return x + np.float32(0.4) * (target - x) + np.float32(0.01) * noise

    def show(self, x):
        return x

    def answer(self, x, _problem):
        return Restored(x, iterations=self.iterations)

    def restore_many(self, problems, runs):
        outcomes = []
        for problem, run in zip(problems, runs, strict=True):
            try:
                outcomes.append(self.restore(problem, run))
            except Exception as error:  # noqa: BLE001 - as the contract asks
                outcomes.append(error)
        return outcomes


@dataclass(frozen=True)
class Shape(Good):
    def answer(self, x, _problem):
        return Restored(x[:, 1:])


@dataclass(frozen=True)
class Bytes(Good):
    def answer(self, x, _problem):
        return Restored((255 * x).clip(0, 255).astype(np.uint8))


@dataclass(frozen=True)
class GrayOnly(Good):
    def restore(self, problem, run):
        if problem.blurred.shape[0] != 1:
            raise ValueError("one channel only")
        return super().restore(problem, run)


@dataclass(frozen=True)
class OddOnly(Good):
    def answer(self, _x, problem):
        kh, kw = problem.kernel.shape
        return Restored(np.pad(problem.blurred, ((0, 0), (kh // 2, kh // 2), (kw // 2, kw // 2)), mode="edge"))


@dataclass(frozen=True)
class NotFinite(Good):
    def answer(self, x, _problem):
        return Restored(np.where(x > x.mean(), np.nan, x))


@dataclass(frozen=True)
class EightBitRange(Good):
    def answer(self, x, _problem):
        return Restored(255 * x)


@dataclass(frozen=True)
class NegativeVariance(Good):
    def answer(self, x, _problem):
        return Restored(x, variance=-abs(x))


@dataclass(frozen=True)
class Unseeded(Good):
    def step(self, x, _target, _run, _iteration):
        return x + np.random.default_rng().standard_normal(x.shape, dtype=np.float32) * np.float32(0.1)


@dataclass(frozen=True)
class UnseededVariance(Good):
    def answer(self, x, _problem):
        return Restored(x, variance=np.random.default_rng().random(x.shape))


@dataclass(frozen=True)
class Leaks(Good):
    seen: list[int] = field(default_factory=list)

    def answer(self, x, _problem):
        self.seen.append(1)
        return Restored(x + np.float32(1e-6) * (len(self.seen) - 1))


@dataclass(frozen=True)
class ObserverEffect(Good):
    def step(self, x, target, run, iteration):
        return super().step(x, target, run, iteration) + np.float32(0.1 if run.due(iteration) else 0)


@dataclass(frozen=True)
class ShowsTooLittle(Good):
    def show(self, x):
        return x[:, 2:]


@dataclass(frozen=True)
class ShowsNan(Good):
    def show(self, x):
        return x * np.nan


@dataclass(frozen=True)
class ForgetsWhereItWas(Good):
    def resume(self, run, shape):
        x, _ = super().resume(run, shape)
        return x, 1


@dataclass(frozen=True)
class NeverLoads(Good):
    def resume(self, run, shape):
        return run.generator("start").random(shape, dtype=np.float32), 1


@dataclass(frozen=True)
class SavesChange(Good):
    def answer(self, x, _problem):
        return Restored(x)

    def step(self, x, target, run, iteration):
        return super().step(x, target, run, iteration) + np.float32(0.1 if run.checkpoint_due() else 0)


@dataclass(frozen=True)
class Plain(Good):
    """Draws from the global generators, as plain code does; the harness has seeded them."""

    restore_many = None

    def answer(self, x, _problem):
        drawn = random.random() + np.random.random() + torch.nn.Linear(1, 1).bias.item()  # noqa: NPY002
        return Restored(x + np.float32(0.01 * drawn), iterations=self.iterations)

    def show(self, x):
        return x + torch.rand(1).numpy() + np.float32(random.random())


@dataclass(frozen=True)
class LeavesEnvironment(Good):
    def answer(self, x, _problem):
        os.environ["NIDBENCH_TEST_LEFT"] = str(len(os.environ))
        return Restored(x)


@dataclass(frozen=True)
class LeavesFile(Good):
    def answer(self, x, _problem):
        np.save("left.npy", x)
        return Restored(x)


@dataclass(frozen=True)
class LeavesThread(Good):
    ended: ClassVar[threading.Event] = threading.Event()

    def answer(self, x, _problem):
        threading.Thread(target=self.ended.wait, name="left over").start()
        return Restored(x)


@dataclass(frozen=True)
class SetInDetails(Good):
    def answer(self, x, _problem):
        return Restored(x, details={"kinds": {1}})


@dataclass(frozen=True)
class WritesBlurred(Good):
    def answer(self, x, problem):
        problem.blurred[0, 0, 0] += 0.25
        return Restored(x.clip(0, 1))


@dataclass(frozen=True)
class WritesKernel(Good):
    def answer(self, x, problem):
        problem.kernel[:] = problem.kernel[::-1].copy()
        return Restored(x)


@dataclass(frozen=True)
class OneSeedForAll(Good):
    def restore_many(self, problems, runs):
        return super().restore_many(problems, [runs[0]] * len(runs))


@dataclass(frozen=True)
class FailsTogether(Good):
    def restore_many(self, problems, runs):
        if any(problem.blurred.max() > 1e3 for problem in problems):
            return [ValueError("a neighbour is hopeless")] * len(problems)
        return super().restore_many(problems, runs)


@dataclass(frozen=True)
class DropsFailures(Good):
    def restore_many(self, problems, runs):
        return super().restore_many(problems, runs)[:-1]


@dataclass(frozen=True)
class MixesNeighbours(Good):
    def restore_many(self, problems, runs):
        outcomes = super().restore_many(problems, runs)
        return [replace(outcome, image=outcome.image + np.float32(1e-3)) for outcome in outcomes]


@pytest.fixture(autouse=True)
def cleared(monkeypatch, tmp_path):
    """What methods leave behind is gone after each test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NIDBENCH_TEST_LEFT", "")
    LeavesThread.ended.clear()
    yield
    LeavesThread.ended.set()
    for thread in threading.enumerate():
        if thread.name == "left over":
            thread.join()


def failures(method):
    return {finding.name: finding.message for finding in check(method) if not finding.passed}


@pytest.mark.parametrize("method", [Good(), Plain(), Wiener()], ids=lambda m: type(m).__name__)
def test_good_methods_pass(method):
    findings = check(method)
    assert [finding for finding in findings if not finding.passed] == []
    assert len(findings) == len(checks()) == len({finding.name for finding in findings})
    assert all(finding.seconds >= 0 for finding in findings)


@pytest.mark.parametrize(
    ("method", "name", "message"),
    [
        (Shape(), "shape dtype and range", r"image has shape \(1, 63, 48\), the frame of x is \(1, 64, 48\)"),
        (Bytes(), "shape dtype and range", "image is uint8"),
        (GrayOnly(), "shape dtype and range", "it raised ValueError: one channel only"),
        (OddOnly(), "shape dtype and range", "colour, 4x4: image has shape"),
        (NotFinite(), "shape dtype and range", "not finite"),
        (EightBitRange(), "shape dtype and range", r"values span \[.*\]; x is nominally in \[0, 1\]"),
        (NegativeVariance(), "shape dtype and range", "variance goes down to"),
        (Unseeded(), "same seed same bytes", r"same seed: images differ by up to"),
        (UnseededVariance(), "same seed same bytes", "variances differ"),
        (Leaks(), "no state between images", "after other images and alone: images differ by up to"),
        (ObserverEffect(), "observing changes nothing", "observed and not: images differ"),
        (ShowsTooLittle(), "observing changes nothing", r"the estimate has shape \(1, 62, 48\)"),
        (ShowsNan(), "observing changes nothing", "shown that is not finite"),
        (ForgetsWhereItWas(), "resumed equals uninterrupted", "resumed and uninterrupted: images differ"),
        (NeverLoads(), "resumed equals uninterrupted", "does not load the saved one"),
        (SavesChange(), "resumed equals uninterrupted", "images differ"),
        (Good(iterations=2), "resumed equals uninterrupted", "saved 1 times"),
        (OneSeedForAll(), "side by side equals alone", "side by side and alone differ by"),
        (FailsTogether(), "side by side equals alone", "beside others ValueError: a neighbour is hopeless"),
        (DropsFailures(), "side by side equals alone", "2 outcomes for 3 problems"),
        (MixesNeighbours(), "side by side equals alone", "differ by 0.001, allowed is 0.0001"),
        (LeavesEnvironment(), "nothing left behind", "left behind: the environment; restore"),
        (LeavesFile(), "nothing left behind", r"the file left\.npy"),
        (LeavesThread(), "nothing left behind", "the thread 'left over'"),
        (SetInDetails(), "shape dtype and range", r"details\['kinds'\] is of type set"),
        (WritesBlurred(), "problem untouched", "problem's blurred changed"),
        (WritesKernel(), "problem untouched", "problem's kernel changed"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Good) else "",
)
def test_each_check_fails_on_what_breaks_it(method, name, message):
    messages = failures(method)
    assert name in messages
    assert re.search(message, messages[name])


@pytest.mark.parametrize("method", [Leaks(), ObserverEffect(), OneSeedForAll(), LeavesFile(), ForgetsWhereItWas()])
def test_one_fault_is_one_finding(method):
    assert len(failures(method)) == 1


def test_notes_say_what_could_not_be_checked():
    notes = {finding.name: finding.message for finding in check(Wiener())}
    assert notes["resumed equals uninterrupted"] == "does not checkpoint"
    assert notes["side by side equals alone"] == "fits one problem at a time"
    assert notes["observing changes nothing"] == "shows no estimates on the way"


@dataclass(frozen=True)
class Misread:
    """The Wiener filter with the kernel or the restoration in another direction or place."""

    info: ClassVar[MethodInfo] = MethodInfo("misread")
    how: str = ""

    def restore(self, problem, run):
        kernel = problem.kernel[::-1, ::-1] if self.how == "correlates" else problem.kernel
        image = Wiener().restore(replace(problem, kernel=kernel), run).image
        turned = {"upside down": image[:, ::-1], "moved": np.roll(image, 3, 2)}.get(self.how, image)
        return Restored(np.ascontiguousarray(turned))


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("correlates", "if the kernel were turned by 180 degrees"),
        ("upside down", "if the restoration were upside down"),
        ("moved", "if the restoration were 3 columns further left"),
    ],
)
def test_a_note_says_where_the_kernel_or_the_restoration_is_turned_or_moved(how, words):
    (finding,) = check(Misread(how), only=[restorations_are_as_they_were_blurred])
    assert finding.passed
    assert words in finding.message
    (finding,) = check(Misread(), only=[restorations_are_as_they_were_blurred])
    assert finding.message == ""


@dataclass(frozen=True)
class Blind(Misread):
    """One that may return x shifted, as its kernel is its own."""

    info: ClassVar[MethodInfo] = MethodInfo("blind", blind=True)


def test_a_blind_method_may_be_moved():
    (finding,) = check(Blind("moved"), only=[restorations_are_as_they_were_blurred])
    assert finding.message == "is blind: its kernel and place are its own"


@pytest.mark.parametrize("name", ["ours", "dip", "ddec", "inr"])
def test_a_network_that_has_hardly_begun_is_not_called_turned(name):
    method = resolve(MethodSpec(name), load_method(methods(), name), "smoke").method
    (finding,) = check(method, only=[restorations_are_as_they_were_blurred])
    assert finding.message == ""


def test_some_checks_alone():
    only = checks()[1:2]
    assert [finding.name for finding in check(Good(), only=only)] == ["same seed same bytes"]


def test_on_other_devices_the_same_is_within_a_tolerance():
    probe = Probe(Good(), device="meta")
    one, other = np.zeros((1, 4, 4), np.float32), np.full((1, 4, 4), 1e-3, np.float32)
    probe.require_same(Restored(one), Restored(other), "near")
    with pytest.raises(Exception, match="far: images differ by up to 1"):
        probe.require_same(Restored(one), Restored(other + 1), "far")


def test_the_method_given_is_not_the_one_that_is_run():
    method = Leaks()
    check(method)
    assert method.seen == []


def test_subjects_are_gray_and_colour_with_odd_even_and_non_square_kernels():
    made = [subject.problem for subject in subjects().values()]
    assert {problem.blurred.shape[0] for problem in made} == {1, 3}
    assert {problem.frame for problem in made} == {(64, 48)}
    assert {problem.kernel.shape for problem in made} == {(7, 7), (3, 6), (4, 4)}
    assert len({subject.seed for subject in subjects().values()}) == 3


@pytest.mark.parametrize("channels", [1, 3])
def test_the_picture_is_in_range_and_has_contrast(channels):
    picture = sharp_image(channels)
    assert picture.shape == (channels, 64, 48)
    assert picture.min() >= 0.1
    assert picture.max() <= 0.9
    assert picture.std() > 0.05


def test_an_interruption_is_not_taken_for_a_failure():
    """A method that catches every Exception cannot swallow it."""

    @dataclass(frozen=True)
    class Careful(Good):
        def restore(self, problem, run: Run):
            try:
                return super().restore(problem, run)
            except Exception:  # noqa: BLE001 - what is tested
                return Restored(np.zeros((1, *problem.frame)))

    assert failures(Careful()) == {}
