import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nidbench.compute.messages import Hello
from nidbench.compute.same_process import SameProcess
from nidbench.errors import InputError, NidbenchError
from nidbench.registry.entry_points import load_method, methods
from nidbench.sweep.choices import check_precision
from nidbench.sweep.plan import choose_device, make_plan
from nidbench.sweep.request import Ask, Experiment, read_seeds, words
from nidbench.sweep.sweep_file import ask_text, read_ask

CPU = Hello(["cpu"], [], {}, 1)
CPU_BF16 = Hello(["cpu"], ["cpu"], {}, 1)
GPUS = Hello(["cuda:0", "cuda:1", "cpu"], ["cuda:1"], {}, 1)

EASY = Experiment("wiener", "sample")


@pytest.fixture(scope="module")
def computer():
    return SameProcess()


@pytest.fixture
def toml(tmp_path):
    def write(text):
        path = tmp_path / "sweep.toml"
        path.write_text(text)
        return path

    return write


def plan_of(computer, *experiments, **options):
    return make_plan(Ask(experiments, **{"device": "cpu", "precision": "float32", **options}), computer)


def ids(computer, *experiments, **options):
    return {job.planned.id for job in plan_of(computer, *experiments, **options).jobs}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", (0,)),
        ("0,3", (0, 3)),
        ("0-4", (0, 1, 2, 3, 4)),
        ("7-7", (7,)),
        (" 3 , 0-1 ", (3, 0, 1)),
        ("2,0-3,2", (2, 0, 1, 3)),
    ],
)
def test_seeds(text, expected):
    assert read_seeds("seeds", text) == expected


@pytest.mark.parametrize("text", ["", ",", "a", "-1", "1-", "1.5", "4-0", "1,4-0", "0-4-6", "0-10001", "0 3", "1e3"])
def test_seeds_that_are_none(text):
    with pytest.raises(InputError, match="--noise-seeds"):
        read_seeds("noise-seeds", text)


def test_words():
    assert words(" a, b ,,c,") == ("a", "b", "c")
    assert words("") == words(" , ") == ()


def test_a_single_experiment(toml):
    ask = read_ask(
        toml(
            """
            name = "my-sweep"
            device = "cpu"
            precision = "bf16"
            method_file = "mine.py"
            methods = ["ours@fast[iterations=5,lr=1e-3]", "dip"]
            dataset = "sample"
            noise = ["gaussian:0.05", "poisson:128"]
            limit = 1
            noise-seeds = "0-2"
            seeds = [0, 3]
            preset = "fast"
            """
        )
    )
    assert ask == Ask(
        (
            Experiment(
                "ours@fast[iterations=5,lr=1e-3],dip",
                "sample",
                noise="gaussian:0.05,poisson:128",
                limit=1,
                seeds="0,3",
                noise_seeds="0-2",
                preset="fast",
            ),
        ),
        "cpu",
        "bf16",
        ask.method_file,
        "my-sweep",
    )


def test_the_method_file_lies_beside_the_sweep(toml, tmp_path):
    ask = read_ask(toml('methods="mine"\ndataset="sample"\nmethod_file="lib/mine.py"'))
    assert ask.method_file == tmp_path / "lib" / "mine.py"
    ask = read_ask(toml('methods="mine"\ndataset="sample"\nmethod_file="/elsewhere/mine.py"'))
    assert ask.method_file == Path("/elsewhere/mine.py")


def test_a_key_is_the_same_option_in_either_spelling(toml, tmp_path):
    ask = read_ask(
        toml(
            """
            method-file = "mine.py"
            methods = "wiener"
            dataset = "sample"
            noise-seeds = "0-2"
            [[experiment]]
            noise = "gaussian:0.05"
            [[experiment]]
            noise_seeds = "7"
            """
        )
    )
    assert ask.method_file == tmp_path / "mine.py"
    assert [experiment.noise_seeds for experiment in ask.experiments] == ["0-2", "7"]


def test_an_experiment_may_go_back_to_what_the_dataset_has(toml):
    ask = read_ask(toml('methods="dip"\ndataset="sample"\nnoise="gaussian:0.1"\n[[experiment]]\nnoise=""'))
    assert ask.experiments == (Experiment("dip", "sample"),)


def test_several_experiments_say_what_differs(toml):
    ask = read_ask(
        toml(
            """
            methods = "wiener"
            seeds = "0-1"
            [[experiment]]
            dataset = "sample"
            [[experiment]]
            dataset = "set12"
            images = ["01", "02"]
            seeds = 5
            """
        )
    )
    assert ask.experiments == (
        Experiment("wiener", "sample", seeds="0-1"),
        Experiment("wiener", "set12", images="01,02", seeds="5"),
    )
    assert (ask.device, ask.precision, ask.method_file, ask.name) == ("auto", "auto", None, "")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('methods="dip"\ndataset="sample"\nsede=1', "unknown key 'sede': did you mean seeds"),
        ('[[experiments]]\nmethods="dip"', "unknown key 'experiments': did you mean experiment?"),
        ('methods="dip"\nqqq=1', "unknown key 'qqq': there are crop, dataset, declared"),
        ('methods="dip"\n[[experiment]]\ndataset="sample"\ndevices="cpu"', "unknown key 'devices'"),
        ('dataset="sample"', "no 'methods' was given"),
        ('methods="dip"', "no 'dataset' was given"),
        ('methods="dip"\n[[experiment]]\ndataset="sample"\n[[experiment]]\nlimit=1', "no 'dataset' was given"),
        ("", "no 'methods' was given"),
        ("methods = [", "cannot read"),
        ("methods = dip", "cannot read"),
        ('methods="dip"\ndataset="sample"\nlimit="many"', "limit"),
        ('methods="dip"\ndataset="sample"\nlimit=[1]', "limit"),
        ('methods="dip"\ndataset="sample"\nlimit=1.5', "limit"),
        ('methods="dip"\ndataset="sample"\nlimit=true', "limit"),
        ('methods="dip"\ndataset="sample"\ncrop="96"', "crop"),
        ('methods="dip"\n[experiment]\ndataset="sample"', "experiment"),
        ('methods="dip"\nexperiment=[]', "experiment"),
        ('methods="dip"\nexperiment=["sample"]', "experiment"),
        ('methods="dip"\n[dataset]\nname="sample"', "dataset"),
        ('methods="dip"\ndataset=[["sample"]]', "dataset"),
        (
            'methods="dip"\n[[experiment]]\ndataset="sample"\ndevice="cpu"',
            "'device' is in an [[experiment]], and holds",
        ),
        ('methods="dip"\n[[experiment]]\ndataset="sample"\nname="a"', "'name' is in an [[experiment]], and holds"),
        ('methods="dip"\n[[experiment]]\ndataset="sample"\nmethod-file="a.py"', "write it above the first one"),
        ('noise-seeds="0"\nnoise_seeds="1"', "'noise-seeds' and 'noise_seeds' are one option, given twice: keep one"),
        ('method_file="a.py"\nmethod-file="b.py"', "'method_file' and 'method-file' are one option"),
        ("[[experiment]]\nrotate-kernels=true\nrotate_kernels=true", "'rotate-kernels' and 'rotate_kernels' are one"),
        ('methods="dip"\ndataset="sample"\nmethod_file=""', "method_file = '' is empty: give it a value, or leave the"),
        ('methods="dip"\ndataset="sample"\ndevice=" "', "device = ' ' is empty"),
        ('methods="dip"\ndataset="sample"\nseeds=[]', "seeds = [] is empty"),
        ('methods="dip"\ndataset="sample"\npreset=""', "preset = '' is empty"),
        ('methods=[]\ndataset="sample"', "methods = [] is empty: name one or more"),
        ('methods="dip"\ndataset=""', "dataset = '' is empty: name one or more"),
        (
            'methods="dip"\ndataset="sample"\nmethod_file=["a.py", "b.py"]',
            "method_file = ['a.py', 'b.py']: a sweep has",
        ),
        ('methods="dip"\ndataset="sample"\ndevice=["cpu", "cuda"]', "device = ['cpu', 'cuda']: a sweep has one"),
    ],
)
def test_a_file_that_breaks_a_rule_is_named_with_the_rule(toml, text, reason):
    path = toml(text)
    with pytest.raises(InputError, match=re.escape(reason)) as caught:
        read_ask(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    "ask",
    [
        Ask((EASY,)),
        Ask(
            (replace(EASY, methods="ours@fast[lr=0.1,passes=3],dip:x", limit=2, crop=96),),
            "cpu",
            "float32",
            None,
            "a.b",
        ),
        Ask(
            (
                Experiment(
                    "wiener", "sample,set12", "levin/1,sample", "poisson:128,gaussian:0.05", "camera", seeds="0-3"
                ),
                Experiment("wiener", 'folder:/a "b"', declared="x1.2", noise_seeds="0,2", preset="fast"),
                Experiment("wiener", "sample", response="gamma:2.2:8bit,saturation:1.5", rotate_kernels=True),
            )
        ),
    ],
    ids=["plain", "settings", "several"],
)
def test_a_written_sweep_is_read_as_it_was(toml, ask):
    text = ask_text(ask, ["what it is"])
    assert text.startswith("# what it is\n")
    assert read_ask(toml(text)) == ask
    assert read_ask(toml(text)).sweep_name() == ask.sweep_name()


def test_a_written_sweep_says_once_what_all_share_and_where_the_method_is(toml, tmp_path):
    parts = tuple(replace(EASY, preset="fast", noise=noise) for noise in ("gaussian:0.01", "gaussian:0.05"))
    text = ask_text(Ask(parts, method_file=tmp_path / "mine.py"))
    assert text.count("preset") == text.count("methods") == 1
    assert text.count("[[experiment]]") == 2
    assert read_ask(toml(text)).method_file == tmp_path / "mine.py"


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    for name in ("missing.toml", "binary.toml", "."):
        with pytest.raises(InputError, match="cannot read"):
            read_ask(tmp_path / name)


def test_the_sweep_name_says_what_it_is_and_fits_a_file_name():
    name = Ask((Experiment("ours@fast[iterations=5,lr=1e-3],dip,ours:no-sa", "sample,set12"),)).sweep_name()
    assert re.fullmatch(r"ours-dip-sample-set12-[0-9a-f]{6}", name)
    many = ",".join(f"method-{number}" for number in range(200))
    assert len(Ask((Experiment(many, "sample"),)).sweep_name()) < 100


def test_the_sweep_name_has_no_path_in_it():
    name = Ask((Experiment("dip", "folder:/home/me/my images,sample"),)).sweep_name()
    assert re.fullmatch(r"dip-my-images-sample-[0-9a-f]{6}", name)


def test_the_sweep_name_is_the_same_for_the_same_question_only():
    ask = Ask((EASY,))
    others = [
        *(
            replace(ask, experiments=(replace(EASY, **{key: "7"}),))
            for key in asdict(EASY)
            if key not in ("limit", "crop", "rotate_kernels")
        ),
        replace(ask, experiments=(replace(EASY, limit=1),)),
        replace(ask, experiments=(replace(EASY, crop=48),)),
        replace(ask, experiments=(replace(EASY, rotate_kernels=True),)),
        replace(ask, experiments=(EASY, EASY)),
        replace(ask, device="cpu"),
        replace(ask, precision="bf16"),
        replace(ask, method_file=Path("mine.py")),
    ]
    names = [request.sweep_name() for request in (ask, *others)]
    assert len(set(names)) == len(names) == 18
    assert ask.sweep_name() == Ask((Experiment("wiener", "sample"),)).sweep_name() == "wiener-sample-66a080"


def test_the_sweep_name_is_the_same_in_every_process():
    code = "from nidbench.sweep.request import *; print(Ask((Experiment('wiener', 'sample'),)).sweep_name())"
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == Ask((EASY,)).sweep_name()


def test_a_sweep_name_of_ones_own():
    assert Ask((EASY,), name="table_7.v2").sweep_name() == "table_7.v2"
    for name in ("a/b", "a b", "../up", "a\n", ".hidden", "-n", "ä" * 76, "a" * 300):
        with pytest.raises(InputError, match="sweep name"):
            Ask((EASY,), name=name).sweep_name()


@pytest.mark.parametrize(
    ("wanted", "hello", "expected"),
    [
        ("auto", CPU, "cpu"),
        ("auto", GPUS, "cuda:0"),
        ("cpu", GPUS, "cpu"),
        ("cuda", GPUS, "cuda:0"),
        ("cuda:1", GPUS, "cuda:1"),
    ],
)
def test_device(wanted, hello, expected):
    assert choose_device(wanted, hello) == expected


@pytest.mark.parametrize(("wanted", "hello"), [("cuda", CPU), ("cuda:2", GPUS), ("gpu", GPUS), ("", CPU)])
def test_device_that_is_not_here(wanted, hello):
    with pytest.raises(InputError, match="is not here") as caught:
        choose_device(wanted, hello)
    assert all(device in str(caught.value) for device in hello.devices)


@pytest.mark.parametrize(
    ("wanted", "device", "hello", "reason"),
    [
        ("float16", "cpu", CPU_BF16, "precision 'float16': use auto, float32 or bf16"),
        ("bf16", "cpu", CPU, "precision bf16: cpu has no instructions for it; use auto or float32"),
        ("bf16", "cuda:0", GPUS, "precision bf16: cuda:0 has no"),
        ("bf16", "cpu", GPUS, "precision bf16: cpu has no"),
    ],
)
def test_precision_that_there_is_not(wanted, device, hello, reason):
    with pytest.raises(InputError, match=reason):
        check_precision(wanted, device, hello)


def test_precision_that_there_is():
    check_precision("bf16", "cpu", CPU_BF16)
    check_precision("bf16", "cuda:1", GPUS)
    check_precision("float32", "cpu", CPU)
    check_precision("auto", "cpu", CPU)


def test_a_cell_for_each_method_case_and_seed(computer):
    experiment = Experiment(
        "wiener,wiener[weight=1]", "sample", noise="gaussian:0.05,poisson:100,bsnr:30", seeds="0-1", noise_seeds="0-4"
    )
    plan = plan_of(computer, experiment)
    assert len(plan.jobs) == 2 * 2 * 3 * 2 * 5  # methods, images, noises, seeds, noise seeds
    assert len({job.planned.id for job in plan.jobs}) == len(plan.jobs)
    assert [job.planned for job in plan.jobs] == plan.sweep.cells
    assert all(job.cell.id == job.planned.id and job.cell.case == job.case.key for job in plan.jobs)
    assert {job.planned.method for job in plan.jobs} == {"wiener"}
    assert {job.planned.label for job in plan.jobs} == {"wiener", "wiener[weight=1]"}


def test_all_methods_of_a_case_come_together(computer):
    plan = plan_of(computer, Experiment("wiener,wiener[weight=1]", "sample", noise_seeds="0-2", seeds="0,1"))
    cases = [job.planned.case for job in plan.jobs]
    assert cases == [case for case in dict.fromkeys(cases) for _ in range(4)]
    images = [case.image for case in cases]
    assert images == sorted(images, key=images.index)


def test_experiments_are_joined_without_repeating_cells(computer):
    plan = plan_of(computer, EASY, replace(EASY, noise_seeds="0-1"), replace(EASY, images="camera"))
    assert len(plan.jobs) == 4  # two images with two noise seeds
    assert len(plan.sweep.asked["experiments"]) == 3


def test_what_was_asked_is_kept(computer):
    plan = plan_of(computer, EASY, name="kept")
    assert plan.sweep.name == "kept"
    assert [Experiment(**asked) for asked in plan.sweep.asked["experiments"]] == [EASY]


@pytest.mark.parametrize(
    ("experiment", "options"),
    [
        ({"methods": "wiener[weight=2.5]"}, {}),
        ({"images": "astronaut"}, {}),
        ({"noise": "gaussian:0.06"}, {}),
        ({"noise": "poisson:100"}, {}),
        ({"noise_seeds": "1"}, {}),
        ({"seeds": "1"}, {}),
        ({"declared": "estimated"}, {}),
        ({"declared": "x1.2"}, {}),
        ({"response": "gamma:2.2"}, {}),
        ({"response": "identity:8bit"}, {}),
        ({"response": "saturation:1.5"}, {}),
        ({}, {"precision": "bf16"}),
        ({"methods": "dip"}, {}),
    ],
)
def test_whatever_determines_a_result_changes_its_cell(experiment, options):
    class WithBf16(SameProcess):
        def hello(self):
            return CPU_BF16

    computer = WithBf16()
    one = replace(EASY, images="camera")
    assert not ids(computer, one) & ids(computer, replace(one, **experiment), **options)


@pytest.mark.parametrize(
    "experiment",
    [
        {"preset": "fast"},  # wiener has none
        {"methods": "wiener[weight=1.5]"},  # its default
        {"methods": "wiener[weight=15e-1]"},
        {"noise": "gaussian:0.050"},  # the default, written otherwise
        {"response": "identity"},
        {"kernels": "sample"},
        {"kernels": "sample/motion"},
        {"images": "astronaut,camera"},
        {"limit": 2},
        {"limit": 99},
    ],
)
def test_names_and_ways_of_asking_do_not_change_cells(computer, experiment):
    assert ids(computer, EASY) == ids(computer, replace(EASY, **experiment))


def test_the_device_counts_by_its_kind_only(computer):
    class WithGPUs(SameProcess):
        def hello(self):
            return GPUS

    there = WithGPUs()
    on = {device: ids(there, EASY, device=device) for device in ("auto", "cuda", "cuda:0", "cuda:1", "cpu")}
    assert on["auto"] == on["cuda"] == on["cuda:0"] == on["cuda:1"]
    assert on["cpu"] == ids(computer, EASY)
    assert not on["cpu"] & on["cuda"]
    plan = plan_of(there, EASY, device="cuda:1")
    assert {(job.device, job.cell.device) for job in plan.jobs} == {("cuda:1", "cuda")}


def test_a_preset_is_in_the_cell_by_its_settings_only(computer):
    """The same cell under three labels; another preset is another cell."""
    one = Experiment("ours@smoke", "sample", images="camera")
    (named,) = plan_of(computer, one).jobs
    (swept,) = plan_of(computer, replace(one, methods="ours", preset="smoke")).jobs
    (spelled,) = plan_of(computer, replace(one, methods=f"ours@paper[{spelled_out(named.cell.settings)}]")).jobs
    assert named.planned.id == swept.planned.id == spelled.planned.id
    assert (named.planned.label, swept.planned.label) == ("ours@smoke", "ours")
    assert (named.planned.preset, swept.planned.preset, spelled.planned.preset) == ("smoke", "smoke", "paper")
    (other,) = plan_of(computer, replace(one, methods="ours@fast")).jobs
    assert other.planned.id != named.planned.id


def spelled_out(settings):
    return ",".join(f"{key}={value}" for key, value in settings.items())


def test_labels_of_one_cell_stay_apart_in_the_sweep(computer):
    plan = plan_of(computer, Experiment("wiener,wiener[weight=1.5]", "sample", images="camera"))
    assert [planned.label for planned in plan.sweep.cells] == ["wiener", "wiener[weight=1.5]"]
    assert len({planned.id for planned in plan.sweep.cells}) == 1


def test_the_missing_preset_is_noted(computer):
    (job,) = plan_of(computer, Experiment("dip", "sample", images="camera", preset="released")).jobs
    assert "released" in job.planned.note


PRESETS = """
from dataclasses import dataclass
from typing import ClassVar
from nidbench.contract import MethodInfo
@dataclass(frozen=True)
class Own:
    info: ClassVar[MethodInfo] = MethodInfo('Own', presets={'mine': {'by': 3.0}})
    by: float = 2.0
    def restore(self, problem, run): ...
"""


@pytest.mark.parametrize("apart", [False, True])
def test_a_preset_that_one_method_has_is_fine_for_the_others(computer, tmp_path, apart):
    path = tmp_path / "own.py"
    path.write_text(PRESETS)
    methods = ["wiener", "dip", "own"] if apart else ["wiener,dip,own"]
    parts = [Experiment(each, "sample", images="camera", preset="mine") for each in methods]
    jobs = {job.cell.method: job for job in plan_of(computer, *parts, method_file=path).jobs}
    assert jobs["own"].cell.settings == {"by": 3.0}
    assert "has no preset 'mine', uses 'paper'" in jobs["dip"].planned.note
    assert "mine" not in jobs["wiener"].planned.note  # it has none


@pytest.mark.parametrize("methods", ["tv", "tv,wiener", "dip,dip@fast"])
def test_a_preset_that_no_method_has_is_refused(computer, methods):
    with pytest.raises(NidbenchError, match="'fsat': did you mean fast"):
        plan_of(computer, Experiment(methods, "sample", images="camera", preset="fsat"))


def test_a_slip_beside_a_preset_of_another_method_is_still_refused(computer, tmp_path):
    path = tmp_path / "own.py"
    path.write_text(PRESETS)
    with pytest.raises(NidbenchError, match="unknown setting of dip 'itrations'"):
        plan_of(computer, Experiment("own,dip[itrations=3]", "sample", preset="mine"), method_file=path)


def test_a_method_file(computer, tmp_path):
    path = tmp_path / "halving.py"
    path.write_text(
        "from dataclasses import dataclass\n"
        "from typing import ClassVar\n"
        "from nidbench.contract import MethodInfo\n"
        "@dataclass(frozen=True)\n"
        "class Halving:\n"
        "    info: ClassVar[MethodInfo] = MethodInfo('Halving', version=4)\n"
        "    by: float = 2.0\n"
        "    def restore(self, problem, run): ...\n"
    )
    plan = plan_of(computer, replace(EASY, methods="halving,wiener", images="camera"), method_file=path)
    registered = load_method(methods(), "wiener")
    assert [(job.cell.method, job.cell.version, job.cell.settings) for job in plan.jobs] == [
        ("halving", 4, {"by": 2.0}),
        ("wiener", registered.info.version, {"weight": registered().weight}),
    ]


@pytest.mark.parametrize(
    ("experiment", "reason"),
    [
        ({"methods": "weiner"}, "did you mean wiener"),
        ({"methods": "wiener@fast"}, "unknown preset of wiener 'fast'"),
        ({"methods": "wiener:fast"}, "unknown variant of wiener 'fast'"),
        ({"methods": "wiener[wieght=1]"}, "did you mean weight"),
        ({"methods": "wiener[weight=-1]"}, "give a positive number"),
        ({"dataset": "smaple"}, "did you mean sample"),
        ({"kernels": "sampel"}, "did you mean sample"),
        ({"images": "cameraman"}, "did you mean camera"),
        ({"noise": "gaussian:5"}, "gaussian:0.05"),
        ({"noise": "gaussian:-1"}, "must lie in"),
        ({"limit": 0}, "at least 1 image"),
        ({"crop": 0}, "crop 0"),
        ({"seeds": "x"}, "--seeds"),
        ({"declared": "x0"}, "declared noise level"),
        ({"response": "gama:2.2"}, "unknown response 'gama'"),
    ],
)
def test_what_there_is_not_is_refused_before_any_computation(computer, experiment, reason):
    with pytest.raises(NidbenchError, match=reason):
        plan_of(computer, replace(EASY, **experiment))


def test_rotated_kernels_are_another_question_with_cells_of_the_whole_one(computer):
    whole = replace(EASY, kernels="sample,levin/1")
    rotated = replace(whole, rotate_kernels=True)
    assert ids(computer, rotated) < ids(computer, whole)
    assert Ask((rotated,)).sweep_name() != Ask((whole,)).sweep_name()
    assert Ask((whole,)).sweep_name() == Ask((replace(whole, rotate_kernels=False),)).sweep_name()


@pytest.mark.parametrize("value", ["1", '"yes"', "[true]"])
def test_rotation_is_true_or_false(toml, value):
    text = f'methods = "wiener"\ndataset = "sample"\nrotate_kernels = {value}\n'
    with pytest.raises(InputError, match=r"rotate_kernels = .*: give true or false"):
        read_ask(toml(text))


def test_no_dataset_is_refused(computer):
    with pytest.raises(InputError, match="dataset"):
        plan_of(computer, Experiment("wiener", " , "))


def test_folders_are_named_by_their_own_names(computer, tmp_path):
    for folder in ("a/mine", "b/mine", "c/other"):
        (tmp_path / folder).mkdir(parents=True)
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)).save(tmp_path / folder / "x.png")
    mine = replace(
        EASY,
        dataset=f"folder:{tmp_path}/a/mine,folder:{tmp_path}/c/other",
        kernels="sample",
        images="",
        noise="gaussian:0.1",
    )
    plan = plan_of(computer, mine)
    assert [job.cell.case.dataset for job in plan.jobs] == ["folder:mine", "folder:other"]
    assert re.fullmatch(r"wiener-mine-other-\w{6}", plan.sweep.name)
    with pytest.raises(
        InputError, match=r"a/mine and folder:.*b/mine have the same name in tables, folder:mine: rename"
    ):
        plan_of(computer, replace(mine, dataset=f"folder:{tmp_path}/a/mine,folder:{tmp_path}/b/mine"))


def test_one_name_stands_for_one_kernel_told_in_all_experiments(computer, tmp_path):
    asked = []
    for number, folder in enumerate(("a/mine", "b/mine")):
        (tmp_path / folder / "camera").mkdir(parents=True)
        np.save(tmp_path / folder / "camera" / "motion.npy", np.ones((3, 3 + 2 * number)))
        kernels = f"sample/motion@estimated:{tmp_path}/{folder}"
        asked.append(replace(EASY, kernels=kernels, images="camera", noise="gaussian:0.1"))
    assert len(plan_of(computer, asked[0], asked[0]).jobs) == 1
    with pytest.raises(InputError, match=r"sample@estimated:mine/motion .* different images or kernels .* rename one"):
        plan_of(computer, *asked)


def test_a_kernel_error_makes_a_cell_of_its_own(computer):
    kernels = "sample,sample@perturbed:noise=0.1,sample@perturbed:noise=0.1:seed=1"
    other_kernel = replace(EASY, kernels=kernels, images="camera")
    jobs = plan_of(computer, other_kernel).jobs
    assert len({job.planned.id for job in jobs}) == len(jobs) == 3
    assert jobs[0].planned.id == plan_of(computer, replace(EASY, images="camera")).jobs[0].planned.id
    assert len({job.cell.kernel_hash for job in jobs}) == 3
