"""Restores an image file from its question to its files: read, check, try, compute, test, write."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain

import numpy as np

from nidbench.cases.kernels import check_reach, one_kernel
from nidbench.compute.messages import Outcome
from nidbench.errors import InputError, NidbenchError
from nidbench.images import KernelFile, Units, kernel_notice, lossy_notice
from nidbench.images.write import check_holds
from nidbench.physics.arrays import Image, Kernel
from nidbench.physics.noise import Noise, noise_of_measurement
from nidbench.physics.problem import Problem
from nidbench.physics.response import Response
from nidbench.registry.method_spec import parse_methods
from nidbench.scoring.residual import residual_tests
from nidbench.system.durations import duration, duration_range

from .bench import Bench, Expected, Place, middle, one_method
from .estimate import estimated, hidden_by
from .events import Events
from .request import Request, check_room
from .source import Source, read_source, tried
from .twin import MAKER, SIDE, Ranked, rank, twin_of
from .written import Done, PageResult, corner_of, image_of, write

#: Pixels by which a kernel's centre of mass may be off its middle before a person is informed.
_OFF_MIDDLE = 1.0

#: Smallest side that y must have: an SSIM window.
_LEAST = 11

#: Standard deviations of the noise by which white is exceeded without being brighter.
_NOISE_ABOVE = 4.0


def restore(request: Request, place: Place, events: Events) -> Done:
    """Restore an image file, and write what was asked for.

    Args:
        request: what is asked for.
        place: where the method runs.
        events: receives progress and notes.

    Raises:
        NidbenchError: where a file cannot be read or written, the kernel does not fit, or the method fails; no file is
            then written, and none that was there is changed.
    """
    source = read_source(request.image, Units(request.scale, request.bits, "--{name} {value}"), request.pages)
    kernel = _kernel(request, source)
    for note in (*source.notes, *_kernel_notes(request, kernel)):
        events.said(note)
    noise, response = noise_of_measurement(request.noise or "gaussian"), _response(request.response)
    for path in filter(None, (request.out, request.variance)):
        check_holds(path.suffix, source.stack.axes)
    check_room(request.out, source.stack.stored.values.nbytes)
    bench = Bench(place, one_method(request.method), request.method_file)
    candidates = _candidates(request, place)
    for note in _method_notes(bench, source, noise):
        events.said(note)
    problems = _problems(source, kernel, noise, response)
    first = next(problems)
    writable = _writable(source, request, first)
    for note in writable.notes[len(source.notes) :]:
        events.said(note)
    if bench.needs_trial(first):
        _tried(bench, first, source.stack.count, events)
    results = list(_restorations(bench, chain([first], problems), source.stack.count, events))
    done = write(request, writable, bench.label, noise, results)
    return replace(done, twin=_twin(request, candidates, first, events)) if candidates else done


def _restorations(
    bench: Bench, problems: Iterable[Problem], count: int, events: Events
) -> Iterator[tuple[Problem, Outcome, PageResult]]:
    """Yield each image's problem with how its restoration ended and what its residual says; `count` is how many."""
    for number, problem in enumerate(problems, 1):
        of = f" page {number} of {count}" if count > 1 else ""
        events.began(f"{bench.label}{of}")
        outcome = bench.restored(problem, events)
        yield problem, outcome, _page(problem, outcome)


def _method_notes(bench: Bench, source: Source, noise: Noise) -> Iterator[str]:
    """Yield what a person should know of the method and of the noise that it goes by."""
    if noise.level is None and source.metadata.compression is not None:
        yield f"{hidden_by(source.metadata.compression)}; give --noise where you know it"
    if bench.facts.note:
        yield bench.facts.note
    if bench.facts.bounded and (note := _beyond(bench, source, noise)):
        yield note


def _beyond(bench: Bench, source: Source, noise: Noise) -> str:
    """Return what of a measurement a method whose x is confined to [0, 1] cannot restore; empty where it can."""
    known = noise.level if noise.kind == "gaussian" else None
    sigma = estimated(source, source.image(0)) if known is None else known
    values, white = source.stack.stored.values, source.white
    highest, limit = float(values.max()), (1 + _NOISE_ABOVE * sigma) * white
    confined = f"{bench.facts.spec} gives values from 0 to 1, of which 1 is {white:.6g} of {source.path.name}"
    way_out = "in which --noise is measured then, or choose a --method that fits no network, such as tv"
    if highest > limit:
        share = np.count_nonzero(values > limit) / values.size
        return (
            f"{confined}, and {share:.2g} of its values are higher, up to {highest:.6g}: they come out too dark; say "
            f"--scale {_rounded_up(highest)}, {way_out}"
        )
    if source.relative:
        return (
            f"{confined}, its largest: what the blur has spread, such as stars, is brighter, and comes out too dark; "
            f"say a --scale above it, {way_out}"
        )
    return ""


def _rounded_up(value: float) -> str:
    """Return a number of two digits that is not lower."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return f"{math.ceil(value / unit) * unit:.6g}"


def _writable(source: Source, request: Request, problem: Problem) -> Source:
    """Return a measurement without metadata that could not be written: found out before anything is computed."""
    files = [(request.out, source.kind)]
    if request.variance is not None:
        files.append((request.variance, np.dtype(np.float32)))
    frame = source.size if request.frame == "y" else problem.frame
    return tried(source, files, frame, corner_of(problem, request))


def _kernel(request: Request, source: Source) -> Kernel:
    """Return the kernel, of a size that fits."""
    kernel = one_kernel(request.kernel)
    check_reach(kernel, source.size)
    shown = min(source.size)
    if shown < _LEAST:
        raise InputError(f"{request.image} has {shown} pixels on an axis: at least {_LEAST} are needed")
    return kernel


def _kernel_notes(request: Request, kernel: Kernel) -> Iterator[str]:
    file = KernelFile.parse(request.kernel)
    say = file.say if KernelFile.is_meant(request.kernel) else lambda _word: ""
    if lossy := lossy_notice(file.path):
        yield f"the kernel {request.kernel} {lossy}"
    if notice := kernel_notice(kernel, shift=_OFF_MIDDLE, say=say):
        yield f"the kernel {request.kernel} {notice}"


def _response(text: str) -> Response:
    response = Response.parse(text)
    if response.gain != 1:
        raise InputError(f"response {text!r}: a gain is for images that are blurred here; give saturation")
    return response


def _problems(source: Source, kernel: Kernel, noise: Noise, response: Response) -> Iterator[Problem]:
    """Yield the problem of each image; Gaussian noise of unknown level is estimated."""
    for page in range(source.stack.count):
        image = source.image(page)
        known = noise
        if noise.level is None and noise.kind == "gaussian":
            known = Noise("gaussian", estimated(source, image))
        yield Problem(image, kernel, known, response)


def _tried(bench: Bench, problem: Problem, count: int, events: Events) -> None:
    """Say how long a restoration will take, and refuse what memory is too small for."""
    events.began(f"timing {bench.label} on a part of the image")
    expected = bench.trial(problem)
    bench.check_memory(problem, expected)
    events.said(expectation(bench.label, problem, expected, count, bench.facts.stops_itself))


def expectation(label: str, problem: Problem, expected: Expected, count: int, may_stop: bool) -> str:
    """Return how long a restoration is expected to take, in words."""
    if expected.rate is None:
        return f"how long {label} takes is not known: its trial gave no result"
    pixels = problem.frame[0] * problem.frame[1] * count
    span = duration_range(pixels * expected.rate.low, pixels * expected.rate.high)
    less = "; it may stop before" if may_stop else ""
    return f"{label} will take about {duration(pixels * expected.rate.about)} ({span}){less}"


def _page(problem: Problem, outcome: Outcome) -> PageResult:
    sigma = problem.sigma()
    tests = residual_tests(problem, image_of(outcome), sigma)
    return PageResult(sigma, outcome.seconds, outcome.iterations, outcome.stopped, tests)


def _candidates(request: Request, place: Place) -> dict[str, Bench]:
    """Return the methods for a twin, by their names; none where no twin is asked for.

    Raises:
        NidbenchError: where one cannot be made: before anything is computed.
    """
    if not request.twin:
        return {}
    specs = [str(spec) for spec in parse_methods(request.twin)]
    return {spec: Bench(place, one_method(spec), request.method_file) for spec in dict.fromkeys((MAKER, *specs))}


def _twin(request: Request, benches: Mapping[str, Bench], problem: Problem, events: Events) -> list[Ranked]:
    """Return the candidates by what they make of a twin of the measurement's middle."""

    def restored(method: str, blurred: Problem) -> tuple[Image, float]:
        bench = benches[method]
        events.began(f"twin: {bench.label}")
        if bench.facts.batch:
            events.said(expectation(bench.label, blurred, bench.trial(blurred), 1, bench.facts.stops_itself))
        made = bench.restored(blurred, events)
        return image_of(made), made.seconds

    part = middle(problem, SIDE)
    try:
        made, _ = restored(MAKER, part)
    except NidbenchError as error:  # the restoration is there, and stays
        events.said(f"no twin could be made: {error}")
        return []
    twin, truth = twin_of(part, made, problem.sigma())
    return rank(twin, truth, [str(spec) for spec in parse_methods(request.twin)], restored)
