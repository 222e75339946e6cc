"""Files from elsewhere, matched, placed and scored; and what is refused."""

from __future__ import annotations

import doctest
from dataclasses import replace
from functools import partial
from hashlib import sha256
from unicodedata import normalize

import numpy as np
import pytest
from frames import cells_frame
from PIL import Image

from nidbench.analysis.cells import SweepCells
from nidbench.analysis.summary import summary_frame
from nidbench.cases.source import cases
from nidbench.contract import CaseKey, Response, Truth
from nidbench.errors import InputError
from nidbench.exchange import merge
from nidbench.images import Units
from nidbench.physics.measure import measure
from nidbench.records import Store
from nidbench.report.results_table import failure_lines, render
from nidbench.rescoring import file_names
from nidbench.rescoring.file_names import file_name
from nidbench.rescoring.placement import placed
from nidbench.rescoring.rescore import rescore
from nidbench.rescoring.submission import Submission
from nidbench.rescoring.take import take
from nidbench.scoring.protocols import protocol
from nidbench.sweep.request import Experiment

EXPERIMENT = Experiment("theirs", "sample", noise="gaussian:0.02,gaussian:0.05")
CASES = [case for request in EXPERIMENT.requests() for case in cases(request)]


def save(path, image):
    """Write an image, Shape (C, H, W) of levels 0 to 255, as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.astype(np.uint8).transpose(1, 2, 0).squeeze()).save(path)


def levels(case, seed=0):
    (truth,) = case.truths()
    noise = np.random.default_rng(seed).normal(0, 8, truth.image.shape)
    return np.rint(255 * truth.image + noise).clip(0, 255)


@pytest.fixture
def folder(tmp_path):
    """One file for each measurement, those of `camera` of the size of y."""
    for case in CASES:
        image = levels(case)
        if case.key.image == "camera":
            image = image[:, *case.problem().valid]
        save(tmp_path / "files" / f"{case.key.image}_motion_{case.key.noise.replace(':', '-')}.png", image)
    return tmp_path / "files"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results")


def test_files_are_scored_as_a_method_of_their_own(folder, store):
    taken = take(store, Submission(folder, EXPERIMENT))
    assert (taken.scored, taken.unchanged, taken.missing, taken.unused) == (4, 0, [], [])
    assert [planned.case for planned in taken.sweep.cells] == [case.key for case in CASES]
    for planned, case in zip(taken.sweep.cells, CASES, strict=True):
        record = store.read(planned.id)
        (truth,) = case.truths()
        for name in ("half-kernel", "anger"):
            assert record.scores[name] == protocol(name).score(levels(case) / 255, case.problem(), truth)
        details = store.whole(planned.id).log.details
        path = folder / details["file"]
        assert details["sha256"] == sha256(path.read_bytes()).hexdigest()
        assert (record.cell.method, record.cell.settings) == ("theirs", {"scored": "from files"})
        assert (record.seconds, record.iterations, record.peak_memory, record.threads) == (None, None, None, None)
        assert record.measures["null_mse"] > 0
        assert store.sweep(taken.sweep.name) == taken.sweep


def test_a_file_of_the_size_of_y_is_not_scored_beyond_it(folder, store):
    taken = take(store, Submission(folder, EXPERIMENT))
    rescore(store, taken.sweep, "shift-aligned")
    tally = rescore(store, taken.sweep, "uncropped")
    assert (tally.complete, len(*tally.refused.values())) == (2, 2)
    assert "has the size of the blurred image" in next(iter(tally.refused))
    for planned in taken.sweep.cells:
        scores = store.read(planned.id).scores
        assert ("uncropped" in scores) is (planned.case.image == "astronaut")
        assert set(scores) >= {"half-kernel", "cut-30", "anger", "shift-aligned"}
        assert "uncropped" in store.read(planned.id).input_scores


def test_a_row_beside_others(folder, store):
    taken = take(store, Submission(folder, EXPERIMENT, name="own"))
    cells = cells_frame(store, store.sweep("own"))
    row = summary_frame(cells).query("method == 'theirs'").iloc[0]
    assert row[["seconds", "iterations", "peak_memory_mb", "device"]].isna().all()
    assert row["cells"] == "2/2"
    assert "restored elsewhere" in row["notes"]
    assert store.read(taken.sweep.cells[0].id).cell.case == CASES[0].key
    assert len(store.sweep("own+own").cells) == 4


def test_the_same_files_are_not_scored_again_and_changed_ones_are(folder, store):
    first = take(store, Submission(folder, EXPERIMENT))
    rescore(store, first.sweep, "shift-aligned:1")
    path = folder / "astronaut_motion_gaussian-0.05.png"
    save(path, levels(CASES[-1], seed=1))
    again = take(store, Submission(folder, EXPERIMENT))
    assert (again.scored, again.unchanged) == (1, 3)
    assert again.sweep == first.sweep
    fresh = [cell for cell in again.sweep.cells if "shift-aligned:1" not in store.read(cell.id).scores]
    assert [cell.case for cell in fresh] == [CASES[-1].key]


def test_a_damaged_record_is_scored_again(folder, store):
    first = take(store, Submission(folder, EXPERIMENT))
    (store.root / "cells" / first.sweep.cells[0].id / "record.json").write_text("{")
    assert take(store, Submission(folder, EXPERIMENT)).scored == 1


def test_missing_files_are_missing_cells_and_others_are_told(folder, store):
    (folder / "camera_motion_gaussian-0.02.png").unlink()
    (folder / "readme.txt").write_text("made by us")
    taken = take(store, Submission(folder, EXPERIMENT))
    assert (taken.scored, taken.missing, taken.unused) == (3, ["camera_motion_gaussian-0.02.png"], ["readme.txt"])
    missing, unused = taken.lines()[1:]
    assert missing.startswith("1 file is missing: camera_motion_gaussian-0.02.png; put it into the folder and")
    assert unused == "1 file of the folder belongs to no measurement: readme.txt"
    cells = cells_frame(store, taken.sweep)
    assert cells["status"].tolist() == ["missing", "done", "done", "done"]
    assert failure_lines(cells) == ["missing: 1 theirs (score their files, once they are there)"]


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_file_that_is_gone_has_no_score_of_before(folder, store, is_whole):
    first = take(store, Submission(folder, EXPERIMENT))
    (folder / "camera_motion_gaussian-0.02.png").unlink()
    record = store.root / "cells" / first.sweep.cells[0].id / "record.json"
    if not is_whole:
        record.write_text("{")
    taken = take(store, Submission(folder, EXPERIMENT))
    assert taken.missing == taken.withdrawn == ["camera_motion_gaussian-0.02.png"]
    assert taken.lines()[2] == "1 of them had a score from an earlier file, which counts no longer"
    assert cells_frame(store, taken.sweep)["status"].tolist() == ["missing", "done", "done", "done"]
    kept = {path.name for path in record.parent.iterdir()} & {"record.withdrawn", "record.damaged"}
    assert kept == {"record.withdrawn" if is_whole else "record.damaged"}
    assert take(store, Submission(folder, EXPERIMENT)).withdrawn == []


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("{image}_{kernel}_{noise}.png", "02_4_gaussian-0.05.png"),
        ("{dataset}/{set}/{level}/{image}-{kernel}-{seed}.tif", "set12/levin/0.05/02-4-3.tif"),
        ("x.png", "x.png"),
    ],
)
def test_names_of_files(pattern, wanted):
    assert file_name(pattern, CaseKey("set12", "02", "levin/4", "gaussian:0.05", 3)) == wanted


def test_the_example_of_a_name_holds():
    failures, examples = doctest.testmod(file_names)
    assert (failures, examples > 0) == (0, True)


def test_names_are_safe_in_file_names():
    key = CaseKey("folder:a/b", "02@96", "lone", "measured")
    assert file_name("{dataset}_{image}_{kernel}_{noise}_{level}", key) == "folder-a-b_02@96_lone_measured_"


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("{picture}.png", "there is no {picture}; use {image}"),
        ("{image.__class__}.png", "there is no {image.__class__}"),
        ("{image.png", "write such as {image}_{kernel}_{noise}.png"),
        ("{image:d}.png", "names alone in braces"),
        ("{image!r}.png", "names alone in braces"),
        ("{image:1000000000}.png", "names alone in braces"),
        ("{image}" + 300 * "a", "names that no file can have"),
        ("{}.png", "there is no {}"),
        ("{image}.png", "the same file camera.png: add a name that differs"),
        ("{image}_{level}_{kernel}.jpg", "none of the 4 files expected, such as camera_0.02_motion.jpg"),
    ],
)
def test_patterns_that_do_not_fit(folder, store, pattern, words):
    with pytest.raises(InputError) as caught:
        take(store, Submission(folder, EXPERIMENT, pattern))
    assert words in str(caught.value)
    assert store.sweep_names() == []


@pytest.mark.parametrize("label", ["wiener", "input", "a b", "a+b", "", "a,b"])
def test_labels_that_would_mislead(folder, store, label):
    with pytest.raises(InputError, match="label"):
        take(store, Submission(folder, replace(EXPERIMENT, methods=label)))


def test_names_of_sweeps_that_would_mislead(folder, store, make_store, make_record):
    with_sweep, _ = make_store(make_record())  # with a sweep `demo`
    with pytest.raises(InputError, match="'demo' belongs to a run"):
        take(with_sweep, Submission(folder, EXPERIMENT, name="demo"))
    with pytest.raises(InputError, match="sweep name 'a b'"):
        take(store, Submission(folder, EXPERIMENT, name="a b"))


def test_fewer_measurements_under_a_name_are_told_and_do_not_replace_a_merged_sweep(folder, store, tmp_path):
    whole = take(store, Submission(folder, EXPERIMENT, name="joint"))
    assert whole.left_out == ""
    part = replace(EXPERIMENT, images="camera", noise="gaussian:0.02")
    taken = take(store, Submission(folder, part, name="joint"))
    assert "the tables of joint no longer show 3 cells that are not asked for now" in "\n".join(taken.lines())
    other = Store(tmp_path / "other")
    take(other, Submission(folder, replace(EXPERIMENT, images="astronaut"), name="joint"))
    merge(other.root, store.root, 1 << 30)
    before = store.sweep("joint")
    with pytest.raises(InputError, match="sweep joint was merged"):
        take(store, Submission(folder, part, name="joint"))
    assert store.sweep("joint") == before


def test_the_scores_that_another_sweep_shows_are_not_replaced_by_those_of_other_files(folder, store, tmp_path):
    first = take(store, Submission(folder, EXPERIMENT, name="first"))
    before = [store.read(planned.id).scores for planned in first.sweep.cells]
    other = tmp_path / "other"
    for path in folder.iterdir():
        (other / path.name).parent.mkdir(exist_ok=True)
        (other / path.name).write_bytes(path.read_bytes())
    same = take(store, Submission(other, EXPERIMENT, name="second"))
    assert (same.scored, same.unchanged) == (0, 4)  # the same files elsewhere
    (store.root / "sweeps" / "second.json").unlink()
    save(other / "camera_motion_gaussian-0.05.png", levels(CASES[1], seed=1))
    refused = rf"sweep first shows 'theirs' on sample/.* as it is in {folder}.*another --label, or --name first"
    with pytest.raises(InputError, match=refused):
        take(store, Submission(other, EXPERIMENT, name="second"))
    with pytest.raises(InputError, match=refused):
        take(store, Submission(folder, EXPERIMENT, name="second", units=Units(scale=128)))
    (other / "camera_motion_gaussian-0.05.png").unlink()
    with pytest.raises(InputError, match=refused):
        take(store, Submission(other, EXPERIMENT, name="second"))
    assert [store.read(planned.id).scores for planned in first.sweep.cells] == before
    assert store.sweep_names() == ["first"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (lambda x: x[:, ::-1], "the restoration were upside down"),
        (lambda x: x[:, :, ::-1], "the restoration were mirrored left to right"),
        (lambda x: x.transpose(0, 2, 1), "the restoration's rows were its columns"),
        (lambda x: x[::-1], "the restoration's channels were in reverse, BGR for RGB"),
        (lambda x: np.roll(x, 2, 1), "the restoration were 2 rows higher"),
        (lambda x: x, ""),
    ],
)
@pytest.mark.parametrize("of_y", [False, True])
def test_a_restoration_that_is_turned_or_moved_is_told(tmp_path, store, changed, words, of_y):
    case = CASES[-1]
    image = changed(levels(case))
    if of_y:
        image = image[:, *case.problem().valid]
    save(tmp_path / "files" / "astronaut_motion_gaussian-0.05.png", image)
    taken = take(store, Submission(tmp_path / "files", replace(EXPERIMENT, images="astronaut", noise="gaussian:0.05")))
    said = [text for text in taken.assumed if "contradicts it: it would be explained better if" in text]
    assert [words in text for text in said] == [True] * bool(words)


@pytest.mark.parametrize("of_y", [False, True])
def test_a_restoration_that_was_squeezed_is_told(tmp_path, store, of_y):
    case = CASES[-1]
    image = levels(case)
    image = image.mean() + 0.6 * (image - image.mean())
    if of_y:
        image = image[:, *case.problem().valid]
    save(tmp_path / "files" / "astronaut_motion_gaussian-0.05.png", image)
    taken = take(store, Submission(tmp_path / "files", replace(EXPERIMENT, images="astronaut", noise="gaussian:0.05")))
    assert [text for text in taken.assumed if "times the contrast that the blurred image shows" in text]


@pytest.mark.parametrize("of_y", [False, True])
def test_a_restoration_with_an_offset_is_told(tmp_path, store, of_y):
    case = CASES[-1]
    image = (levels(case) + 25).clip(0, 255)
    if of_y:
        image = image[:, *case.problem().valid]
    save(tmp_path / "files" / "astronaut_motion_gaussian-0.05.png", image)
    taken = take(store, Submission(tmp_path / "files", replace(EXPERIMENT, images="astronaut", noise="gaussian:0.05")))
    assert [text for text in taken.assumed if "above what the blurred image shows" in text]


def test_files_that_were_changed_where_they_are_are_scored_anew_for_all_sweeps_that_have_them(folder, store):
    take(store, Submission(folder, EXPERIMENT, name="whole"))
    save(folder / "astronaut_motion_gaussian-0.05.png", levels(CASES[-1], seed=1))
    taken = take(store, Submission(folder, replace(EXPERIMENT, images="astronaut"), name="part"))
    assert (taken.scored, taken.unchanged) == (1, 1)
    assert take(store, Submission(folder, EXPERIMENT, name="whole")).scored == 0


def test_files_whose_accents_are_written_otherwise_are_found(tmp_path, store):
    named = normalize("NFC", "kätzchen")
    save(tmp_path / "sharp" / f"{named}.png", levels(CASES[-1]))
    save(tmp_path / "files" / f"{normalize('NFD', named)}.png", levels(CASES[-1], seed=1))
    asked = replace(EXPERIMENT, dataset=f"folder:{tmp_path / 'sharp'}", kernels="sample", noise="gaussian:0.05")
    taken = take(store, Submission(tmp_path / "files", asked, pattern="{image}.png"))
    assert (taken.scored, taken.missing, taken.unused) == (1, [], [])


def test_no_folder(tmp_path, store):
    with pytest.raises(InputError, match="is no folder"):
        take(store, Submission(tmp_path / "none", EXPERIMENT))


@pytest.mark.parametrize(
    ("shape", "words"), [((1, 90, 90), "90x90 and gray"), ((3, 96, 96), "96x96 and in colour"), ((1, 96, 84), "96x84")]
)
def test_other_sizes_are_refused_with_those_expected(folder, store, shape, words):
    save(folder / "camera_motion_gaussian-0.02.png", np.zeros(shape))
    with pytest.raises(InputError) as caught:
        take(store, Submission(folder, EXPERIMENT))
    for word in (words, "camera_motion_gaussian-0.02.png", "96x96 (of x) or 84x84 (of the blurred image", "), gray"):
        assert word in str(caught.value)
    assert store.sweep_names() == []


def test_arrays_are_scored_as_they_were_computed(tmp_path, store):
    for case in CASES:
        path = tmp_path / "files" / f"{case.key.image}_motion_{case.key.noise.replace(':', '-')}.npy"
        path.parent.mkdir(exist_ok=True)
        np.save(path, (levels(case) / 255).transpose(1, 2, 0) + 1e-3)
    taken = take(store, Submission(tmp_path / "files", EXPERIMENT, "{image}_{kernel}_{noise}.npy"))
    for planned, case in zip(taken.sweep.cells, CASES, strict=True):
        np.testing.assert_allclose(store.arrays(planned.id)["image"], levels(case) / 255 + 1e-3, rtol=1e-6)


def test_what_is_no_image_is_refused(folder, store):
    Image.fromarray(np.eye(96) > 0).save(folder / "camera_motion_gaussian-0.02.png")
    with pytest.raises(InputError, match="black and white only"):
        take(store, Submission(folder, EXPERIMENT))


@pytest.mark.parametrize("taps", [(5, 5), (4, 7), (1, 6)])
def test_an_image_of_the_size_of_y_is_put_where_y_is(taps):
    sharp = np.random.default_rng(0).random((1, 40, 50))
    problem = measure(sharp, np.full(taps, 1 / np.prod(taps)), "gaussian:0.01", key="placed")
    small = sharp[:, *problem.valid]
    image, whole = placed(small, problem)
    assert not whole
    assert image.shape == sharp.shape
    assert np.array_equal(image[:, *problem.valid], small)
    assert protocol("half-kernel").score(image, problem, Truth(np.rint(sharp * 255) / 255)).psnr > 50
    same, whole = placed(sharp, problem)
    assert whole
    assert np.array_equal(same, sharp)


@pytest.mark.parametrize("error", ["pad=3", "pad=-2", "shift=1"])
def test_an_image_by_the_true_kernel_is_put_where_x_is_by_the_kernel_told(error, tmp_path, store):
    """What others restored has the size of the sharp image, whatever kernel methods are told here."""
    wrong = replace(EXPERIMENT, kernels=f"sample@perturbed:{error}")
    for case in CASES:
        save(tmp_path / "files" / f"{case.key.image}_{case.key.noise.replace(':', '-')}.png", levels(case))
    scores = []
    for experiment in (EXPERIMENT, wrong):
        taken = take(store, Submission(tmp_path / "files", experiment, "{image}_{noise}.png"))
        assert (taken.scored, taken.missing, taken.unused) == (4, [], [])
        scores.append([store.read(planned.id).scores for planned in taken.sweep.cells])
    for known, true in zip(*scores, strict=True):
        assert set(known) == {"half-kernel", "cut-30", "uncropped", "anger"}
        # with pad=-2 x has no outermost pixels
        same = set(known) if error != "pad=-2" else {"half-kernel", "cut-30", "anger"}
        assert {name: true[name] for name in same} == {name: known[name] for name in same}


def test_all_sizes_that_a_file_may_have_are_told(tmp_path, store):
    save(tmp_path / "files" / "camera.png", np.zeros((1, 90, 90)))
    experiment = Experiment("theirs", "sample", "sample@perturbed:pad=3", "gaussian:0.02", "camera")
    with pytest.raises(InputError) as caught:
        take(store, Submission(tmp_path / "files", experiment, "{image}.png"))
    words = (
        "expected 102x102 (of x for the known kernel), 96x96 (of x for the true kernel) or 84x84 (of the blurred image"
    )
    assert words in str(caught.value)


def test_perfect_files_make_a_table_without_warnings(tmp_path, store, monkeypatch):
    made = []
    for case in CASES[::2]:
        sharp = Truth(np.rint(255 * case.truths()[0].image) / 255)
        made.append(replace(case, truths=partial(list, [sharp])))
        save(tmp_path / "files" / f"{case.key.image}.png", 255 * sharp.image)
    monkeypatch.setattr("nidbench.rescoring.take.cases", lambda _: made)
    taken = take(store, Submission(tmp_path / "files", EXPERIMENT, "{image}.png"))
    assert "| 2/2   |   inf | 1.000 |" in render(SweepCells.read(store, taken.sweep))


def test_files_after_the_camera_s_response_are_undone(tmp_path, store, monkeypatch):
    gamma = Response("gamma", 2.2)
    case = CASES[0]
    sharp = np.rint(255 * case.truths()[0].image) / 255

    def problem():
        return measure(sharp**2.2, np.full((3, 3), 1 / 9), "gaussian:0.02", key="gamma", response=gamma)

    made = replace(case, response=gamma, problem=problem, truths=lambda: [Truth(sharp, encoded=True)])
    monkeypatch.setattr("nidbench.rescoring.take.cases", lambda _: [made])
    save(tmp_path / "files" / "camera_motion_gaussian-0.02.png", 255 * sharp)
    with pytest.raises(InputError, match=r"response gamma:2\.2: say with --encoded"):
        take(store, Submission(tmp_path / "files", EXPERIMENT))
    psnr = {}
    for encoded in (True, False):
        taken = take(store, Submission(tmp_path / "files", EXPERIMENT, encoded=encoded))
        assert taken.scored == 1
        psnr[encoded] = store.read(taken.sweep.cells[0].id).scores["half-kernel"].psnr
    assert psnr[True] == float("inf")
    assert psnr[False] < 20


@pytest.mark.parametrize(("taps", "noted"), [((4, 5), True), ((5, 5), False)])
def test_where_an_image_of_the_size_of_y_is_put_is_told_for_even_kernels(tmp_path, store, pictures, taps, noted):
    """Mode "same" is centred differently in scipy and MATLAB."""
    image = pictures.blobs((1, 40, 46))
    for place, array in (("blurred", image[0]), ("truth", image[0]), ("kernels", np.ones(taps))):
        (tmp_path / "mine" / place).mkdir(parents=True)
        np.save(tmp_path / "mine" / place / "a.npy", array)
    save(tmp_path / "files" / "a.png", 255 * image)
    taken = take(
        store, Submission(tmp_path / "files", Experiment("theirs", f"folder:{tmp_path / 'mine'}"), "{image}.png")
    )
    lines = "\n".join(taken.lines())
    assert ("assumed: a.png has the size of the blurred image, put where the kernel of even size" in lines) == noted
    assert ("folder:mine: kernels of even size have their origin at k//2" in lines) == noted
