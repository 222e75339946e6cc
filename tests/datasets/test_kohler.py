"""`datasets/kohler.py`: photographs, estimated kernels, and sharp frames that a person provides."""

import hashlib
from zipfile import ZipFile

import numpy as np
import pytest
from nidbench.datasets import kohler
from nidbench.datasets.kohler import Kohler

from nidbench.cases.request import CaseRequest
from nidbench.cases.source import cases
from nidbench.contract import FilesByHand, Noise, StoredTruth
from nidbench.errors import DataError, UnknownNameError
from nidbench.scoring.scorer import Scorer, closest

FRAMES = (1, 2, 10, 30, 31)


@pytest.fixture
def frames(pictures):
    """Sharp frames by number: the first is unlike the rest."""
    sharp = pictures.blobs((3, 50, 46))
    return {
        number: np.roll(sharp, number, axis=1) if number > 1 else np.rint(255 * (1 - sharp)) / 255 for number in FRAMES
    }


@pytest.fixture
def photographed(fake_files, pictures, frames, tmp_path):
    """Image 1 along trajectory 3, blurred from its frame 10; returns where the archives go."""
    contents = {
        "kernels/Blurry1_3.png": pictures.encoded(pictures.lopsided()[None] / 255),
        "blurry/Blurry1_3.png": pictures.encoded(pictures.blurred(frames[10], pictures.lopsided())),
    }
    fake_files("kohler", contents)
    folder = tmp_path / "cache" / "kohler"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def provided(photographed, pictures, frames, monkeypatch):
    """The same with the archive of image 1."""
    archive = photographed / "GroundTruth_pngs_Image1.zip"
    with ZipFile(archive, "w") as content:
        for number in reversed(FRAMES):  # as text, 10 is before 2
            content.writestr(f"Image1/Kernel3/GroundTruth1_3_{number}.png", pictures.encoded(frames[number]))
        content.writestr("Image1/Kernel13/GroundTruth1_13_1.png", b"")
    monkeypatch.setitem(kohler.MD5, "1", hashlib.md5(archive.read_bytes()).hexdigest())
    return archive


@pytest.mark.usefixtures("photographed")
def test_without_archives_there_is_no_truth_and_the_notice_says_how_to_get_it():
    assert Kohler().truths("1", "kohler/3") == []
    notice = Kohler().notice(["1", "3"])
    for name, told in zip("1234", (True, False, True, False), strict=True):
        assert (f"GroundTruth_pngs_Image{name}.zip" in notice) == told
    assert notice.startswith("no scores for 1, 3,")
    assert kohler.SITE in notice
    assert "nidbench data add kohler FILES" in notice


@pytest.mark.usefixtures("provided")
def test_the_frames_are_all_of_the_trajectory_but_the_one_left_out(frames):
    truths = Kohler().truths("1", "kohler/3")
    assert [truth.image.tobytes() for truth in truths] == [frames[n].tobytes() for n in (1, 2, 10, 31)]
    assert {truth.offset for truth in truths} == {(2, 3)}
    assert not any(truth.encoded for truth in truths)
    assert Kohler().notice(["1"]) == ""
    assert "Image1.zip" not in Kohler().notice(["1", "2"])
    assert Kohler().truths("2", "kohler/3") == []


@pytest.mark.usefixtures("provided")
def test_frames_are_read_when_looked_at(monkeypatch):
    read = []
    original = kohler._frame
    monkeypatch.setattr(kohler, "_frame", lambda *which: read.append(which) or original(*which))
    truths = Kohler().truths("1", "kohler/3")
    assert all(isinstance(truth, StoredTruth) for truth in truths)
    assert len(read) == 1  # for their size


@pytest.mark.usefixtures("provided")
def test_the_best_frame_counts(frames):
    problem, truths = Kohler().measured("1", "kohler/3"), Kohler().truths("1", "kohler/3")
    assert np.array_equal(closest(problem, truths).image, frames[10])
    restored = np.zeros((3, *problem.frame))
    rows, columns = problem.valid
    restored[:, rows, columns] = frames[31]
    assert Scorer(problem, truths).score(restored).psnr == np.inf


@pytest.mark.usefixtures("photographed")
def test_the_photograph_and_its_estimated_kernel_as_stored(pictures):
    problem = Kohler().measured("1", "kohler/3")
    assert problem.blurred.shape == (3, 50, 46)
    assert np.allclose(problem.kernel, pictures.lopsided() / pictures.lopsided().sum())
    assert problem.noise == Noise("gaussian", None)


def test_another_archive_is_refused_before_anything_is_computed(provided):
    asked = CaseRequest(dataset="kohler", kernels=("kohler/3",), images=("1",))
    (case,) = cases(asked)
    assert case.notice == ""
    provided.write_bytes(provided.read_bytes() + b"\0")
    reason = r"Image1\.zip has the MD5 \w{32}, and http://.*has \w{32}: download it again"
    with pytest.raises(DataError, match=reason):
        next(cases(asked))
    with pytest.raises(DataError, match=reason):
        Kohler().truths("1", "kohler/3")


def test_the_archives_are_files_by_hand():
    assert isinstance(Kohler(), FilesByHand)
    files = Kohler().by_hand()
    assert [file.path for file in files] == [f"GroundTruth_pngs_Image{name}.zip" for name in "1234"]
    assert [file.md5 for file in files] == list(kohler.MD5.values())
    assert not set(files) & set(Kohler().files())


@pytest.mark.parametrize("trajectory", ["5", "3"])
def test_an_archive_that_lacks_frames_or_is_none(photographed, monkeypatch, trajectory):
    archive = photographed / "GroundTruth_pngs_Image1.zip"
    if trajectory == "3":
        archive.write_bytes(b"no archive")
    else:
        with ZipFile(archive, "w") as content:
            content.writestr("Image1/Kernel3/GroundTruth1_3_1.png", b"")
    monkeypatch.setitem(kohler.MD5, "1", hashlib.md5(archive.read_bytes()).hexdigest())
    with pytest.raises(DataError, match=r"Image1\.zip (cannot be read|holds no GroundTruth1_5)"):
        kohler._frames(archive, "1", trajectory)


def test_names():
    assert Kohler().names() == ["1", "2", "3", "4"]
    assert Kohler().kernels("4")[-1] == "kohler/12"
    assert len(Kohler().files()) == 96
    with pytest.raises(UnknownNameError, match="no trajectory 'kohler/13'"):
        Kohler().measured("1", "kohler/13")
    with pytest.raises(UnknownNameError, match="no image '5'"):
        Kohler().measured("5", "kohler/1")
