import importlib
import pickle
import subprocess
import sys
from dataclasses import fields, replace
from hashlib import sha256

import numpy as np
import pytest

from nidbench.cases.crop import middle
from nidbench.cases.request import CaseRequest
from nidbench.cases.source import cases
from nidbench.contract import CaseKey, Noise, Problem
from nidbench.errors import DataError, InputError, UnknownNameError
from nidbench.physics.arrays import array_hash
from nidbench.physics.measure import measure
from nidbench.registry.entry_points import load_dataset, load_kernels
from nidbench.scoring.protocols import DEFAULT

SAMPLE = CaseRequest(dataset="sample")

#: A dataset of three images, one of them small, a kernel set with noise bound to it, and a gamma camera.
PLUGIN = """
import numpy as np
from nidbench.contract import DatasetInfo, KernelSetInfo, Noise, Problem, Response, StoredTruth, Truth

class Toys:
    info = DatasetInfo("Toys", kernels="toykernels", noises=("gaussian:0.02", "poisson:50"), response="gamma:2.2")
    loaded = []
    def files(self): return []
    def names(self): return ["zebra", "ant", "midge"]
    def load(self, name):
        self.loaded.append(name)
        side = 14 if name == "midge" else 24
        return np.random.default_rng(len(name)).random((1, side, side))

class Kernels:
    info = KernelSetInfo("Toy kernels", noises={"bound": "bsnr:40"})
    def files(self): return []
    def names(self): return ["wide", "free", "bound"]
    def load(self, name):
        return {"wide": np.full((3, 5), 2.0), "free": np.full((3, 3), 1 / 9), "bound": np.full((2, 2), 0.25)}[name]

class Given:
    info = DatasetInfo("Given", kernels="given", noises=("measured",))
    level = 0.01
    read = []
    def files(self): return []
    def names(self): return ["zebra", "ant"]
    def kernels(self, name): return ["given/wide", "given/odd"] if name == "zebra" else ["given/odd"]
    def notice(self, names): return "beware"
    def measured(self, name, kernel):
        self.read.append((name, kernel))
        k = np.arange(1.0, 16).reshape(3, 5) / 120 if kernel == "given/wide" else np.full((1, 3), 1 / 3)
        y = np.random.default_rng(len(name)).random((3, 30, 41), np.float32)
        return Problem(y, k, Noise("gaussian", self.level), Response("gamma", 2.2))
    def truths(self, name, kernel):
        if name == "ant":
            return []
        image = np.random.default_rng(0).random((3, 30, 41))
        return [Truth(image, (1, 2), True), StoredTruth(lambda: image, (1, 2), True)]

class Integers(Toys):
    info = DatasetInfo("Integers", kernels="toykernels", noises=("gaussian:0.02",))
    def load(self, name):
        return np.full((1, 24, 24), 255)
"""


@pytest.fixture(autouse=True, scope="module")
def toys(tmp_path_factory):
    """Datasets `toys` and `integers` and kernel set `toykernels`, installed as anybody's would be."""
    site = tmp_path_factory.mktemp("site")
    info = site / "nidbench_toys-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nidbench-toys\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[nidbench.datasets]\ntoys = casetoys:Toys\nintegers = casetoys:Integers\ngiven = casetoys:Given\n"
        "[nidbench.kernels]\ntoykernels = casetoys:Kernels\n"
    )
    (site / "casetoys.py").write_text(PLUGIN)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        importlib.invalidate_caches()
        yield importlib.import_module("casetoys")
        del sys.modules["casetoys"]


def names(request):
    return [(case.key.image, case.key.kernel, case.key.noise, case.key.noise_seed) for case in cases(request)]


def test_a_dataset_alone_is_a_whole_experiment():
    assert names(SAMPLE) == [
        ("camera", "sample/motion", "gaussian:0.05", 0),
        ("astronaut", "sample/motion", "gaussian:0.05", 0),
    ]


def test_the_key_names_the_measurement():
    case = next(cases(replace(SAMPLE, noises=("gaussian:0.050",), noise_seeds=(3,))))
    assert case.key == CaseKey("sample", "camera", "sample/motion", "gaussian:0.05", 3)


def test_everything_of_an_image_comes_before_the_next():
    found = names(replace(SAMPLE, dataset="toys", images=("zebra", "ant"), noise_seeds=(5, 2)))
    assert len(found) == 2 * (2 * 2 + 1) * 2  # images, two kernels with two noises and one with its own, noise seeds
    assert [image for image, *_ in found] == ["zebra"] * 10 + ["ant"] * 10
    assert [kernel for _, kernel, *_ in found[:10]] == (
        ["toykernels/wide"] * 4 + ["toykernels/free"] * 4 + ["toykernels/bound"] * 2
    )
    assert [noise for *_, noise, _ in found[:10]] == [
        "gaussian:0.02",
        "gaussian:0.02",
        "poisson:50",
        "poisson:50",
    ] * 2 + ["bsnr:40"] * 2
    assert [seed for *_, seed in found] == [5, 2] * 10


def test_each_image_is_read_once(toys):
    toys.Toys.loaded.clear()
    made = list(cases(CaseRequest(dataset="toys", images=("zebra", "ant"), noise_seeds=(0, 1, 2))))
    assert toys.Toys.loaded == ["zebra", "ant"]
    assert len(made) == 2 * 5 * 3


def test_images_keep_the_order_of_the_dataset():
    request = CaseRequest(dataset="toys", kernels=("toykernels/free",), noises=("gaussian:0.1",))
    assert [image for image, *_ in names(request)] == ["zebra", "ant", "midge"]
    assert [image for image, *_ in names(replace(request, images=("midge", "zebra")))] == ["zebra", "midge"]


def test_a_crop_is_the_middle_of_the_image_under_a_name_of_its_own():
    whole, cropped = next(cases(SAMPLE)), next(cases(replace(SAMPLE, crop=40)))
    sharp, found = whole.truths()[0].image, cropped.truths()[0].image
    assert np.array_equal(found, sharp[:, 28:68, 28:68])
    assert cropped.key == replace(whole.key, image=f"{whole.key.image}@40")
    assert cropped.image_hash == array_hash(found) != whole.image_hash
    assert cropped.problem().frame == (40, 40)
    assert cropped.shape == found.shape
    noise = [case.problem().blurred[:, :9, :9] - case.problem().blurred[:, :9, :9].mean() for case in (whole, cropped)]
    assert not np.allclose(*noise, atol=0.05)


@pytest.mark.parametrize(
    ("shape", "side", "rows", "columns"), [((24, 31), 11, (6, 17), (10, 21)), ((9, 31), 10, (0, 9), (10, 20))]
)
def test_an_axis_that_is_not_longer_than_the_crop_stays_whole(shape, side, rows, columns):
    image = np.random.Generator(np.random.Philox(0)).random((1, *shape))
    assert np.array_equal(middle(image, side), image[:, slice(*rows), slice(*columns)])


def test_the_limit_counts_images_after_they_are_chosen():
    request = CaseRequest(dataset="toys", kernels=("toykernels/free",), noises=("gaussian:0.1", "gaussian:0.2"))
    assert [image for image, *_ in names(replace(request, limit=1))] == ["zebra"] * 2
    assert [image for image, *_ in names(replace(request, images=("ant", "midge"), limit=1))] == ["ant"] * 2
    assert len(names(replace(request, limit=99))) == 6


def test_kernels_by_set_and_one_by_one():
    request = CaseRequest(dataset="toys", noises=("gaussian:0.1",), images=("ant",))

    def kernels(*asked):
        return [kernel for _, kernel, *_ in names(replace(request, kernels=asked))]

    assert kernels("toykernels") == ["toykernels/wide", "toykernels/free", "toykernels/bound"]
    assert kernels("toykernels/free") == ["toykernels/free"]
    assert kernels("toykernels/bound", "sample/motion", "toykernels/free") == [
        "toykernels/bound",
        "sample/motion",
        "toykernels/free",
    ]
    assert kernels("toykernels/free", "toykernels") == ["toykernels/free", "toykernels/wide", "toykernels/bound"]


def test_rotated_kernels_are_one_for_each_image_by_its_place_in_the_dataset():
    def pairs(**wanted):
        request = CaseRequest(dataset="toys", noises=("gaussian:0.1",), images=("zebra", "ant"), **wanted)
        return [name[:2] for name in names(request)]

    every, rotated = pairs(), pairs(rotate_kernels=True)
    assert rotated == [("zebra", "toykernels/wide"), ("ant", "toykernels/free")]
    assert set(rotated) < set(every)
    only = CaseRequest(dataset="toys", noises=("gaussian:0.1",), images=("ant",), rotate_kernels=True)
    assert [name[1] for name in names(only)] == ["toykernels/free"]  # whatever other images are asked for
    two = ("toykernels/bound", "toykernels/free")
    assert [name[1] for name in pairs(kernels=two, rotate_kernels=True)] == list(two)
    assert pairs(kernels=two[:1], rotate_kernels=True) == pairs(kernels=two[:1])


def test_rotation_changes_no_measurement():
    request = CaseRequest(dataset="toys", noises=("gaussian:0.1",), images=("zebra", "ant"))
    whole = {case.key: case for case in cases(request)}
    for case in cases(replace(request, rotate_kernels=True)):
        same = whole[case.key]
        assert np.array_equal(case.problem().blurred, same.problem().blurred)
        assert (case.image_hash, case.kernel_hash) == (same.image_hash, same.kernel_hash)


def test_noise_that_is_asked_for_beats_what_is_bound():
    request = CaseRequest(dataset="toys", kernels=("toykernels/bound",), images=("ant",))
    assert [noise for *_, noise, _ in names(request)] == ["bsnr:40"]
    assert [noise for *_, noise, _ in names(replace(request, noises=("gaussian:0.3",)))] == ["gaussian:0.3"]


@pytest.mark.parametrize(
    ("wrong", "error", "reason"),
    [
        ({"dataset": "samples"}, UnknownNameError, "unknown dataset 'samples': did you mean sample"),
        ({"images": ("cameraman",)}, UnknownNameError, "unknown image of sample 'cameraman': did you mean camera"),
        ({"kernels": ("smaple",)}, UnknownNameError, "unknown kernel set 'smaple': did you mean sample"),
        ({"kernels": ("sample/motoin",)}, UnknownNameError, "unknown kernel of sample 'motoin': did you mean motion"),
        ({"noises": ("uniform:1",)}, InputError, "of no known kind"),
        ({"noises": ("gaussian:5",)}, InputError, "a percentage"),
        ({"limit": 0}, InputError, "at least 1 image"),
        ({"crop": 0}, InputError, "crop 0: give the side"),
        ({"crop": 12}, InputError, "too small for a kernel"),
        ({"crop": 97}, InputError, "crop 97: image camera has 96x96 pixels, less than that: give a smaller --crop"),
        ({"limit": -1}, InputError, "at least 1 image"),
        ({"declared": "1.2"}, InputError, "declared noise level"),
        ({"responses": ("log",)}, InputError, "response 'log'.*use identity"),
        ({"dataset": "integers"}, InputError, "give floats"),
    ],
)
def test_what_there_is_not_is_refused(wrong, error, reason):
    with pytest.raises(error, match=reason):
        next(cases(replace(SAMPLE, **wrong)))


def test_an_image_too_small_for_a_kernel_is_refused_when_planned():
    list(cases(CaseRequest(dataset="toys", kernels=("toykernels/free",), images=("midge",))))  # 14 - 3 + 1 = 12 pixels
    with pytest.raises(InputError, match=r"^toys, midge: image of 14x14 is too small for a kernel of 3x5"):
        list(cases(CaseRequest(dataset="toys", kernels=("toykernels/wide",), images=("midge",))))
    with pytest.raises(InputError, match="14x14 is too small for a kernel of 13x13"):
        list(cases(CaseRequest(dataset="toys", kernels=("sample",), images=("midge",))))


def test_a_problem_has_the_same_bytes_at_every_call():
    for first, second in zip(cases(SAMPLE), cases(SAMPLE), strict=True):
        bytes_of = [case.problem().blurred.tobytes() for case in (first, first, second)]
        assert len(set(bytes_of)) == 1
        assert first.image_hash == second.image_hash


def test_a_problem_has_the_same_bytes_in_another_process_and_order():
    code = """
from hashlib import sha256
from nidbench.cases.request import CaseRequest
from nidbench.cases.source import cases
from nidbench.cases.crop import middle
made = list(cases(CaseRequest(dataset="sample", noises=("poisson:100", "gaussian:0.05"))))
for case in reversed(made):
    print(case.key, sha256(case.problem().blurred.tobytes()).hexdigest(), sep="|")
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    there = dict(line.split("|") for line in done.stdout.splitlines())
    here = {str(case.key): sha256(case.problem().blurred.tobytes()).hexdigest() for case in cases(SAMPLE)}
    assert len(here) == 2
    assert here.items() <= there.items()


def test_a_problem_is_the_measurement_of_the_named_image_by_the_named_kernel():
    sharp, kernel = load_dataset("sample").load("astronaut"), load_kernels("sample").load("motion")
    (case,) = cases(replace(SAMPLE, images=("astronaut",), noises=("gaussian:0",)))
    expected = np.zeros((3, 84, 84))
    for row in range(13):
        for column in range(13):  # true convolution, written out
            expected += kernel[row, column] * sharp[:, 12 - row : 96 - row, 12 - column : 96 - column]
    problem = case.problem()
    assert np.abs(problem.blurred - expected).max() < 1e-6
    assert np.array_equal(problem.kernel, kernel)
    assert np.array_equal(case.truths()[0].image, sharp)
    assert case.shape == (3, 96, 96)


def test_noise_draws_differ_by_seed_image_and_level():
    request = CaseRequest(
        dataset="toys",
        kernels=("toykernels/free",),
        noises=("gaussian:0.1", "gaussian:0.2"),
        images=("zebra", "ant"),
        noise_seeds=(0, 1, 2),
    )
    made = [case.problem().blurred for case in cases(request)]
    assert len({array.tobytes() for array in made}) == 12
    clean = {case.key.image: case.problem().blurred for case in cases(replace(request, noises=("gaussian:0",)))}
    noise = np.stack([array - clean[key] for array, key in zip(made, ["zebra"] * 6 + ["ant"] * 6, strict=True)])
    correlation = np.corrcoef(noise.reshape(12, -1)) - np.eye(12)
    assert np.abs(correlation).max() < 0.2  # 484 pixels: four standard deviations


def test_kernels_are_normalised_and_the_response_is_the_camera_s():
    (case,) = cases(
        CaseRequest(dataset="toys", kernels=("toykernels/wide",), noises=("gaussian:0.02",), images=("ant",))
    )
    problem = case.problem()
    assert np.allclose(problem.kernel, np.full((3, 5), 1 / 15))
    assert case.kernel_hash == array_hash(np.full((3, 5), 2.0) / 30)
    assert str(problem.response) == str(case.response) == "gamma:2.2"


def test_the_declared_level():
    def told(declared):
        return next(cases(replace(SAMPLE, declared=declared))).problem().noise

    assert told("known") == Noise("gaussian", 0.05)
    assert told("estimated") == Noise("gaussian", None)
    assert told("x1.2").level == pytest.approx(0.06)
    blurred = [next(cases(replace(SAMPLE, declared=each))).problem().blurred for each in ("known", "estimated", "x1.2")]
    assert np.array_equal(blurred[0], blurred[1])
    assert np.array_equal(blurred[0], blurred[2])


def test_hashes_tell_images_and_kernels_apart():
    made = list(cases(CaseRequest(dataset="toys", noises=("gaussian:0.1",), images=("zebra", "ant"))))
    assert len({case.image_hash for case in made}) == 2
    assert len({case.kernel_hash for case in made}) == 3
    assert len({(case.key.image, case.image_hash) for case in made}) == 2
    assert len({(case.key.kernel, case.kernel_hash) for case in made}) == 3


def test_nothing_of_the_truth_is_in_a_problem():
    assert [field.name for field in fields(Problem)] == ["blurred", "kernel", "noise", "response"]
    (case,) = cases(replace(SAMPLE, images=("camera",)))
    problem, truth = case.problem(), case.truths()[0].image
    assert set(vars(problem)) == {"blurred", "kernel", "noise", "response"}
    for array in (problem.blurred, problem.kernel):
        assert not np.shares_memory(array, truth)
        base = array
        while base is not None:  # what a view holds on to
            assert isinstance(base, np.ndarray)
            assert base.shape[-2:] != truth.shape[-2:]
            base = base.base
    sent = pickle.dumps(problem)  # what the computing process receives
    assert len(sent) < 4 * problem.blurred.size + 8 * problem.kernel.size + 2000
    for kind in (np.float64, np.float32):
        assert truth[0, 40, 30:50].astype(kind).tobytes() not in sent
    assert problem.blurred[0, 40, 30:50].tobytes() in sent


def test_a_truth_never_depends_on_the_noise():
    made = list(cases(replace(SAMPLE, images=("camera",), noises=("gaussian:0.05", "poisson:10"), noise_seeds=(0, 1))))
    assert len({case.truths()[0].image.tobytes() for case in made}) == 1
    assert [case.truths()[0].encoded for case in made] == [False] * 4


def test_problems_agree_with_measure():
    (case,) = cases(CaseRequest(dataset="toys", kernels=("toykernels/bound",), images=("ant",)))
    kernel = np.full((2, 2), 0.25)
    x = case.truths()[0].image ** 2.2
    own = measure(x, kernel, "bsnr:40", key=case.key, response=case.response)
    assert np.array_equal(case.problem().blurred, own.blurred)


def test_a_response_is_in_the_name_and_the_cell_but_not_in_the_noise_draw():
    asked = replace(SAMPLE, images=("camera",), noises=("gaussian:0.02", "poisson:500"))
    made = list(cases(replace(asked, responses=("identity", "gamma:2.20:8bit", "saturation:1.5"))))
    assert [case.key.noise for case in made] == [
        "gaussian:0.02",
        "gaussian:0.02+gamma:2.2:8bit",
        "gaussian:0.02+saturation:1.5",
        "poisson:500",
        "poisson:500+gamma:2.2:8bit",
        "poisson:500+saturation:1.5",
    ]
    assert [str(case.response) for case in made[:3]] == ["identity", "gamma:2.2:8bit", "saturation:1.5"]
    plain = list(cases(asked))
    assert [made[0].key, made[3].key] == [case.key for case in plain]
    assert made[0].image_hash == plain[0].image_hash
    assert np.array_equal(made[0].problem().blurred, plain[0].problem().blurred)
    bent, dark = (next(cases(replace(asked, noises=(each,), responses=("gamma:2.2",)))) for each in asked.noises)
    clean = next(cases(replace(asked, noises=("gaussian:0",), responses=("gamma:2.2",)))).problem().blurred
    straight = next(cases(replace(asked, noises=("gaussian:0",)))).problem().blurred
    draws = [bent.problem().blurred - clean, plain[0].problem().blurred - straight]
    assert np.allclose(*draws, atol=1e-6)
    assert not np.allclose(dark.problem().blurred, plain[1].problem().blurred, atol=0.01)


def test_under_a_gamma_the_image_is_what_the_camera_would_show_of_x():
    """y = (k * x)^(1/2.2) + n with x = image^2.2; a perfect restoration, linear, scores against the image."""
    (case,) = cases(replace(SAMPLE, images=("camera",), noises=("gaussian:0",), responses=("gamma:2.2:8bit",)))
    sharp, kernel = load_dataset("sample").load("camera"), load_kernels("sample").load("motion")
    expected = np.zeros((1, 84, 84))
    for row in range(13):
        for column in range(13):  # true convolution, written out
            expected += kernel[row, column] * sharp[:, 12 - row : 96 - row, 12 - column : 96 - column] ** 2.2
    problem, (truth,) = case.problem(), case.truths()
    assert np.array_equal(problem.blurred, (np.rint(problem.blurred * 255) / 255).astype(np.float32))
    assert abs(problem.blurred - expected ** (1 / 2.2)).max() < 0.51 / 255
    assert truth.encoded
    assert np.allclose(truth.image, sharp, atol=1e-12)
    assert DEFAULT.score(sharp**2.2, problem, truth).psnr > 55  # rounding to 8 bit alone
    assert DEFAULT.score(sharp, problem, truth).psnr < 25


def test_a_camera_saturates_where_the_scene_is_brighter_than_its_image():
    (case,) = cases(replace(SAMPLE, images=("camera",), noises=("gaussian:0",), responses=("saturation:1.8",)))
    sharp = load_dataset("sample").load("camera")
    problem, (truth,) = case.problem(), case.truths()
    assert problem.blurred.max() == 1
    assert (problem.blurred == 1).mean() > 0.01
    assert np.array_equal(truth.image, np.minimum(1.8 * sharp, 1))
    assert DEFAULT.score(1.8 * sharp, problem, truth).psnr > 60  # rounding of the truth alone
    (plain,) = cases(replace(SAMPLE, images=("camera",), noises=("gaussian:0",), responses=("saturation",)))
    assert plain.problem().blurred.max() < 1


def test_the_response_of_a_dataset_is_no_part_of_the_noise_s_name():
    asked = CaseRequest(dataset="toys", kernels=("toykernels/free",), noises=("gaussian:0.1",), images=("ant",))
    names_of = {each: next(cases(replace(asked, responses=(each,)))).key.noise for each in ("gamma:2.2", "identity")}
    assert names_of == {"gamma:2.2": "gaussian:0.1", "identity": "gaussian:0.1+identity"}
    own, same = next(cases(asked)), next(cases(replace(asked, responses=("gamma:2.2",))))
    assert own.image_hash == same.image_hash
    assert own.image_hash != next(cases(replace(asked, responses=("identity",)))).image_hash


GIVEN = CaseRequest(dataset="given")


def test_what_was_measured_comes_with_its_own_kernels_and_noise(toys):
    made = list(cases(GIVEN))
    assert [str(case.key) for case in made] == [
        "given/zebra given/wide measured #0",
        "given/zebra given/odd measured #0",
        "given/ant given/odd measured #0",
    ]
    assert [len(case.truths()) for case in made] == [2, 2, 0]
    whole = toys.Given().measured("zebra", "given/wide")
    assert np.array_equal(made[0].problem().blurred, whole.blurred)
    assert np.array_equal(made[0].problem().kernel, whole.kernel)
    assert made[0].problem().noise == Noise("gaussian", 0.01)
    assert made[0].response == whole.response
    assert made[0].shape == (3, 32, 45)
    assert made[0].notice == "beware"
    assert made[0].kernel_hash == array_hash(whole.kernel)
    assert len({case.image_hash for case in made}) == 2
    assert next(cases(replace(GIVEN, noises=("measured",)))).image_hash == made[0].image_hash


def test_the_identity_of_what_was_measured_has_its_noise_in_it(toys, monkeypatch):
    before = next(cases(GIVEN)).image_hash
    monkeypatch.setattr(toys.Given, "level", 0.02)
    assert next(cases(GIVEN)).image_hash != before


def test_what_was_measured_is_chosen_by_image_and_kernel():
    assert [case.key.kernel for case in cases(replace(GIVEN, kernels=("given/odd",)))] == ["given/odd"] * 2
    assert len(list(cases(replace(GIVEN, kernels=("given",))))) == 3
    assert len(list(cases(replace(GIVEN, limit=1)))) == 2
    rotated = [(case.key.image, case.key.kernel) for case in cases(replace(GIVEN, rotate_kernels=True))]
    assert rotated == [("zebra", "given/wide"), ("ant", "given/odd")]  # each by its place among the image's own
    assert [case.key.image for case in cases(replace(GIVEN, images=("ant",)))] == ["ant"]


@pytest.mark.parametrize(
    ("wrong", "error", "reason"),
    [
        ({"noises": ("gaussian:0.1",)}, InputError, "given, noise and all.*leave --noise out"),
        ({"noise_seeds": (0, 1)}, InputError, "no noise draws 0, 1: leave --noise-seeds out"),
        ({"responses": ("gamma:2.2",)}, InputError, "its response cannot be gamma:2.2: leave --response out"),
        ({"kernels": ("sample/motion",)}, UnknownNameError, "unknown kernel of given 'sample/motion'.*leave --kernels"),
        ({"kernels": ("given/wide",), "images": ("ant",)}, InputError, "ant was not blurred by given/wide"),
        ({"images": ("emu",)}, UnknownNameError, "unknown image of given 'emu'"),
        ({"crop": 0}, InputError, "crop 0: give the side"),
        ({"crop": 10**9}, InputError, "crop 1000000000: image .* has .* pixels, less than that: give a smaller --crop"),
        ({"crop": 12}, InputError, "12x12 pixels of x and a kernel of 3x5 leave 10x8 of the blurred image"),
    ],
)
def test_what_was_measured_cannot_be_asked_to_be_otherwise(wrong, error, reason):
    with pytest.raises(error, match=reason):
        list(cases(replace(GIVEN, **wrong)))


def test_a_crop_of_what_was_measured_is_the_measurement_of_the_middle():
    whole, part = next(cases(GIVEN)), next(cases(replace(GIVEN, crop=20)))
    assert part.key.image == "zebra@20"
    problem = part.problem()
    assert problem.frame == (20, 20)
    assert np.array_equal(problem.blurred, whole.problem().blurred[:, 6:24, 12:28])  # frame of 32x45, kernel of 3x5
    assert part.shape == (3, 20, 20)
    assert [truth.offset for truth in part.truths()] == [(-5, -10)] * 2
    assert part.image_hash != whole.image_hash
    shown = [DEFAULT.reference(case.problem(), case.truths()[1]) for case in (whole, part)]
    assert np.array_equal(shown[1], shown[0][:, 6:24, 12:28])


def test_the_level_told_of_what_was_measured(toys, monkeypatch):
    def told(declared):
        return next(cases(replace(GIVEN, declared=declared))).problem().noise.level

    assert [told("known"), told("estimated"), told("x2")] == [0.01, None, 0.02]
    monkeypatch.setattr(toys.Given, "level", None)
    assert [told("known"), told("estimated")] == [None, None]
    with pytest.raises(InputError, match="'x2': nobody knows the true level of this measurement"):
        told("x2")


def test_methods_may_be_told_another_kernel_than_that_of_a_measurement():
    own, other = (next(cases(replace(GIVEN, kernels=(each,)))) for each in ("given/wide", "@perturbed:noise=0.2"))
    assert other.key.kernel == "given@perturbed:noise=0.2/wide"
    assert other.image_hash == own.image_hash
    assert other.kernel_hash.startswith(f"{own.kernel_hash}@")
    assert np.array_equal(other.problem().blurred, own.problem().blurred)
    assert not np.allclose(other.problem().kernel, own.problem().kernel)
    rows, columns = other.problem().valid
    assert [truth.offset for truth in other.truths()] == [(rows.start, columns.start)] * 2


def test_a_kernel_larger_than_what_it_blurred_is_refused(toys, monkeypatch):
    whole = toys.Given().measured("ant", "given/odd")
    for shape, fits in (((30, 3), True), ((31, 3), False), ((3, 42), False)):
        problem = replace(whole, kernel=np.full(shape, 1 / np.prod(shape)))
        monkeypatch.setattr(toys.Given, "measured", lambda *_, problem=problem: problem)
        if fits:
            list(cases(replace(GIVEN, images=("ant",))))
            continue
        with pytest.raises(InputError, match=r"'ant' .*kernel of (31x3|3x42) is larger than the .* 30x41"):
            list(cases(replace(GIVEN, images=("ant",))))


def test_a_kernel_told_is_no_larger_than_the_blurred_image_unless_the_true_one_is():
    list(cases(replace(SAMPLE, kernels=("perturbed:pad=35",))))  # 83 pixels, y has 84
    with pytest.raises(InputError, match="kernel of 85x85 is larger than the blurred image of 84x84: cut off"):
        list(cases(replace(SAMPLE, kernels=("perturbed:pad=36",))))
    list(cases(replace(SAMPLE, crop=24, kernels=("perturbed:pad=1",))))


def test_what_was_measured_is_read_once_a_case_and_not_held(toys):
    toys.Given.read.clear()
    made = list(cases(GIVEN))
    assert len(toys.Given.read) == 3
    for case in made:
        for held in [*case.problem.__closure__, *case.truths.__closure__]:
            assert getattr(held.cell_contents, "size", 0) < 100


def changed_since_planned(folder, request, file, content):
    """The cases of a folder of three images, after a file of the last image was replaced and its data were dropped."""
    made = list(cases(replace(request, dataset=f"folder:{folder}")))
    first = made[-1].problem()
    for case in made[:-1]:
        case.problem()  # those read last are kept
    before = file.read_bytes()
    np.save(file, content)
    with pytest.raises(DataError, match=r"image c.* changed since it was read first.*give the command again"):
        made[-1].problem()
    with pytest.raises(DataError, match="changed"):
        made[-1].truths()
    file.write_bytes(before)
    assert np.array_equal(made[-1].problem().blurred, first.blurred)
    return made


def test_a_sharp_image_that_was_replaced_after_it_was_planned_is_no_result_of_the_one_before(tmp_path):
    for name in "abc":
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(ord(name)).random((24, 24)))
    request = CaseRequest("", kernels=("gaussian:1",), noises=("gaussian:0.02",))
    changed_since_planned(tmp_path, request, tmp_path / "c.npy", np.random.default_rng(9).random((24, 24)))


@pytest.mark.parametrize("kind", ["blurred", "kernels"])
def test_a_blurred_image_or_kernel_that_was_replaced_after_it_was_planned_is_no_result_of_the_one_before(
    kind, tmp_path
):
    contents = {"blurred": np.random.default_rng(9).random((24, 24)), "kernels": np.diag([1.0, 2, 1])}
    for place in ("blurred", "kernels"):
        (tmp_path / place).mkdir()
    for name in "abc":
        np.save(tmp_path / "blurred" / f"{name}.npy", np.random.default_rng(ord(name)).random((24, 24)))
        np.save(tmp_path / "kernels" / f"{name}.npy", np.ones((3, 3)))
    changed_since_planned(tmp_path, CaseRequest(""), tmp_path / kind / "c.npy", contents[kind])


def test_an_estimate_that_was_replaced_after_it_was_planned_is_no_result_of_the_one_before(tmp_path):
    estimate = tmp_path / "camera" / "motion.npy"
    estimate.parent.mkdir()
    np.save(estimate, np.ones((3, 3)))
    case = next(cases(replace(SAMPLE, kernels=(f"estimated:{tmp_path}",), images=("camera",))))
    case.problem()
    np.save(estimate, np.diag([1.0, 2, 1]))
    with pytest.raises(DataError, match=r"kernel sample@estimated:.* for image camera changed since"):
        case.problem()
