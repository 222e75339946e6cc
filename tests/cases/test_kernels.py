"""Which kernels blur and which are told, with kernel errors installed as anybody's would be."""

import importlib
import sys
from dataclasses import replace

import numpy as np
import pytest

from nidbench.cases.kernels import choose_kernels
from nidbench.cases.request import CaseRequest
from nidbench.cases.source import cases
from nidbench.errors import InputError, UnknownNameError
from nidbench.physics.arrays import array_hash
from nidbench.registry.entry_points import load_kernels
from nidbench.scoring.protocols import PROTOCOLS
from nidbench.sweep.request import words

#: A kernel error that makes kernels of another size, by the image's name.
PLUGIN = """
import numpy as np
from dataclasses import dataclass

@dataclass(frozen=True)
class Grown:
    argument = "ROWSxCOLUMNS/NAME"
    text: str
    @property
    def label(self): return self.text.partition("/")[2]
    def known_kernel(self, kernel, image, name):
        rows, columns = map(int, self.text.partition("/")[0].split("x"))
        grown = np.pad(kernel, ((rows, rows + 1), (columns, columns)))
        grown[0, 0] = len(image) / 100
        return grown
"""


@pytest.fixture(autouse=True, scope="module")
def grown(tmp_path_factory):
    site = tmp_path_factory.mktemp("site")
    info = site / "nidbench_grown-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nidbench-grown\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[nidbench.kernel_errors]\ngrown = kernelgrown:Grown\n")
    (site / "kernelgrown.py").write_text(PLUGIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        importlib.invalidate_caches()
        yield
        sys.modules.pop("kernelgrown", None)


def named(*texts, default="sample"):
    return [(each.name, each.true) for each in choose_kernels(texts, default)]


@pytest.mark.parametrize("second", ["b.npy", "sub/b.npy", "a.npz"])
def test_a_kernel_that_two_files_or_a_file_and_a_formula_give_is_refused(second, tmp_path):
    (tmp_path / "sub").mkdir()
    weights = load_kernels("gaussian").load("1")
    for name in ("a.npy", "b.npy", "sub/b.npy"):
        np.save(tmp_path / name, weights)
    np.savez(tmp_path / "a.npz", kernel=weights)
    for twin in (f"{tmp_path}/{second}", "gaussian:1"):
        with pytest.raises(
            InputError, match=rf"a\.npy and {twin} are one kernel, which would count twice: name it once"
        ):
            choose_kernels((f"{tmp_path}/a.npy", twin), "sample")


def test_a_kernel_file_that_was_replaced_is_read_anew_by_the_next_choice_and_not_by_the_one_before(tmp_path):
    path = tmp_path / "psf.npy"
    hashes = []
    for taps in (3, 5):
        np.save(path, np.ones((taps, taps)))
        (kernel,) = choose_kernels([str(path)], "levin")
        hashes.append((kernel, kernel.true_hash()))
    assert [kernel.kernel().shape for kernel, _ in hashes] == [(3, 3), (5, 5)]
    assert all(kernel.true_hash() == before for kernel, before in hashes)
    assert hashes[0][1] != hashes[1][1]


def test_files_of_different_kernels_and_one_file_named_twice_are_no_twins(tmp_path):
    first, second = (f"{tmp_path}/{name}" for name in ("a.npy", "b.npy"))
    for file, width in ((first, "1"), (second, "2")):
        np.save(file, load_kernels("gaussian").load(width))
    assert [name for name, _ in named(first, second, "gaussian:3", first)] == ["file/a.npy", "file/b.npy", "gaussian/3"]


def test_kernels_without_errors_are_what_they_are_called():
    assert named() == named("sample") == named("sample/motion") == [("sample/motion", "sample/motion")]
    (chosen,) = choose_kernels((), "sample")
    true = load_kernels("sample").load("motion")
    assert np.array_equal(chosen.kernel(), true)
    assert np.array_equal(chosen.handed("camera"), true)
    assert chosen.identity("camera") == array_hash(true)


def test_kernel_errors_keep_the_set_first_for_tables():
    told = [("sample@grown:big/motion", "sample/motion")]
    assert named("sample@grown:2x1/big") == named("grown:2x1/big") == named("sample/motion@grown:2x1/big") == told
    assert named("sample", "grown:2x1/big") == [("sample/motion", "sample/motion"), *told]
    assert [name for name, _ in named("danielyan@grown:2x1/big")] == [f"danielyan@grown:big/{n}" for n in range(1, 7)]


def test_a_formula_that_is_repeated_or_has_an_error_is_no_other_formula():
    assert len(named("gaussian:1", "gaussian:1", "gaussian:2", "gaussian:1@grown:1x1/a")) == 3


def test_bound_noise_stays_bound():
    plain, told = choose_kernels(("danielyan/3", "danielyan/3@grown:0x0/none"), "sample")
    assert plain.noise == told.noise == "bsnr:40"


@pytest.mark.parametrize(
    ("texts", "error", "reason"),
    [
        (("smaple",), UnknownNameError, "unknown kernel set 'smaple': did you mean sample"),
        (("sample/moton",), UnknownNameError, "unknown kernel of sample 'moton': did you mean motion"),
        (("sample@grwon:1x1/a",), UnknownNameError, "unknown kernel error 'grwon': did you mean grown"),
        (("grwon:1x1/a",), UnknownNameError, "unknown kernel error 'grwon': did you mean grown"),
        (("sample@grown",), InputError, "has no argument: write grown:ROWSxCOLUMNS/NAME"),
        (("grown:1x1/a", "grown:2x2/a"), InputError, "name of another kernel error in tables, @?grown:a: rename"),
        (("k.csv",), InputError, r"'k\.csv' is neither of a set nor a file that is there.*\.mat, \.npy"),
        (("no/such/k.csv",), InputError, "neither of a set nor a file that is there: check the path"),
        (("smaple/motion",), UnknownNameError, "did you mean sample.*; nor is there a file smaple/motion, of .*npy"),
        (("psf.npy:centered",), InputError, "'centered' is none of the words after a file, .*centred: use these"),
        (("psf.npy:turned:",), InputError, "'' is none of the words after a file"),
        (("gaussian:1", "gaussian:1.0"), InputError, "gaussian:1 and gaussian:1.0 are one kernel, .*: name it once"),
        (("disk:2@grown:1x1/a", "disk:2.0@grown:1x1/a"), InputError, "disk@grown:a:2 and disk@grown:a:2.0 are one"),
    ],
)
def test_what_there_is_not_is_refused(texts, error, reason):
    with pytest.raises(error, match=reason):
        choose_kernels(texts, "sample")


@pytest.mark.parametrize("after", ["", ":centred"])
@pytest.mark.parametrize("name", ["a,b/k.npy", "a, b/k, c.npy"])
def test_a_file_with_a_comma_in_its_name_is_not_taken_for_several_kernels(tmp_path, name, after):
    path = tmp_path / name
    path.parent.mkdir()
    np.save(path, np.ones((3, 3)))
    with pytest.raises(InputError, match=rf"commas separate kernels, so that .*{name}.* is taken for [23]: give"):
        choose_kernels(("sample", *words(f"{path}{after}")), "sample")
    assert named(f"{path}{after}") == [(f"file/{path.name}{after}",) * 2]


REQUEST = CaseRequest(dataset="sample", images=("camera",), noises=("gaussian:0.02",))


def test_the_measurement_is_the_true_kernel_s_and_methods_are_told_the_other():
    (plain,), (told,) = (list(cases(replace(REQUEST, kernels=(text,)))) for text in ("sample", "sample@grown:3x2/x"))
    assert np.array_equal(plain.problem().blurred, told.problem().blurred)  # the noise draw, too
    assert told.problem().kernel.shape == (13 + 7, 13 + 4)
    assert (plain.shape, told.shape) == ((1, 96, 96), (1, 96 + 7, 96 + 4))
    assert told.problem().frame == (96 + 7, 96 + 4)
    assert told.problem().kernel.sum() == pytest.approx(1)
    assert told.key == replace(plain.key, kernel="sample@grown:x/motion")
    assert told.image_hash == plain.image_hash


def test_the_identity_holds_both_kernels_and_leaves_others_as_they_were():
    (plain,), (told,) = (list(cases(replace(REQUEST, kernels=(text,)))) for text in ("sample", "sample@grown:3x2/x"))
    true = load_kernels("sample").load("motion")
    assert plain.kernel_hash == array_hash(true)
    assert told.kernel_hash == f"{array_hash(true)}@{array_hash(told.problem().kernel)}"
    other = next(cases(replace(REQUEST, images=("astronaut",), kernels=("sample@grown:3x2/x",))))
    assert other.kernel_hash != told.kernel_hash


@pytest.mark.parametrize("sizes", ["0x0", "3x2", "1x9"])
def test_the_region_that_counts_is_the_true_kernel_s(sizes):
    """Half-kernel compares the same pixels of the truth, whatever the size of the kernel told."""
    (plain,), (told,) = (list(cases(replace(REQUEST, kernels=(each,)))) for each in ("sample", f"grown:{sizes}/x"))
    protocol, problem = PROTOCOLS["half-kernel"], told.problem()
    (truth,), (own,) = told.truths(), plain.truths()
    seen = protocol.reference(problem, truth)
    assert np.array_equal(seen, protocol.reference(plain.problem(), own))
    assert np.array_equal(seen, own.image[:, 6:-6, 6:-6])
    x = np.zeros((1, *problem.frame))
    (top, left), (height, width) = truth.offset, truth.image.shape[1:]
    x[:, top : top + height, left : left + width] = truth.image
    assert np.isinf(
        protocol.score(np.rint(x * 255) / 255, problem, replace(truth, image=np.rint(truth.image * 255) / 255)).psnr
    )


def test_a_smaller_kernel_told_leaves_the_truth_larger_than_the_frame():
    (case,) = cases(replace(REQUEST, kernels=("perturbed:pad=-3",)))
    (truth,) = case.truths()
    assert case.problem().kernel.shape == (7, 7)
    assert truth.offset == (-3, -3)
    assert np.array_equal(PROTOCOLS["half-kernel"].reference(case.problem(), truth), truth.image[:, 6:-6, 6:-6])
