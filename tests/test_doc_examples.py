"""The methods of docs/examples are whole methods: they conform, and restore some of what the blur took."""

from pathlib import Path

import numpy as np
import pytest

from nidbench.contract import Clock, Run
from nidbench.contract.conformance import check, checks
from nidbench.physics.measure import measure
from nidbench.registry.entry_points import load_method, methods
from nidbench.registry.method_spec import MethodSpec, resolve

FILES = sorted((Path(__file__).parents[1] / "docs" / "examples").glob("*.py"))


def kind_in(file):
    return load_method(methods(file), file.stem)


def test_there_are_examples():
    assert {"landweber", "my_dip", "plain_loop"} <= {file.stem for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_conforms(file):
    method = resolve(MethodSpec(file.stem), kind_in(file), "smoke").method
    findings = check(method)
    assert len(findings) == len(checks())
    assert not [f"{finding.name}: {finding.message}" for finding in findings if not finding.passed]


def test_the_engine_gives_the_network_its_checkpoints():
    """A note says what a method does not do: this one does all but fit several problems at a time."""
    (file,) = (file for file in FILES if file.stem == "my_dip")
    findings = check(resolve(MethodSpec("my_dip"), kind_in(file), "smoke").method)
    notes = {finding.name: finding.message for finding in findings if finding.message}
    assert notes == {"side by side equals alone": "fits one problem at a time"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_comes_closer_to_the_truth_and_shows_how(file):
    rows, columns = np.mgrid[:48, :40]
    sharp = 0.5 + 0.3 * np.sign(np.sin(rows / 4) * np.sin(columns / 5))[None]
    problem = measure(sharp, np.ones((1, 7)), "gaussian:0.02", key="example")
    curve = []
    run = Run(clock=Clock(5), on_observe=lambda *seen: curve.append(seen[2]))
    first, last = (
        kind_in(file)(iterations=1).restore(problem, Run()),
        kind_in(file)(iterations=60).restore(problem, run),
    )

    def error(image):
        return float(np.square(image - sharp).mean())

    assert error(last.image) < 0.8 * error(first.image)
    assert len(curve) == 12
    np.testing.assert_array_equal(curve[-1], last.image)
