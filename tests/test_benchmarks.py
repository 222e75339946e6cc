"""Benchmarks: what they conclude from made numbers, the order of their fits, and what a kill costs them."""

import math
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from nidbench.contract import Clock, Truth
from nidbench.physics.measure import measure
from nidbench.registry.entry_points import load_dataset
from nidbench.registry.method_spec import MethodSpec

BENCHMARKS = Path(__file__).parent / "benchmarks"


@pytest.fixture(scope="module")
def programs():
    """Import programs of the folder by name, which import one another so."""
    before = set(sys.modules)
    sys.path.append(str(BENCHMARKS))  # behind all others: some of its names are those of packages
    yield import_module
    sys.path.remove(str(BENCHMARKS))
    for name in {path.stem for path in BENCHMARKS.glob("*.py")} & (set(sys.modules) - before):
        del sys.modules[name]


@pytest.fixture(scope="module")
def adaptation(programs):
    return programs("adaptation")


@pytest.fixture(scope="module")
def fits(programs):
    return programs("_fits")


def made(adaptation, gains, seeds=(0, 1, 2), images=6):
    """Return PSNRs in which configurations are so much ahead of `matched`, image by image, beside what is common."""
    rng = np.random.Generator(np.random.Philox(5))
    found = {}
    for image in adaptation.CHOSEN[:images]:
        for noise in adaptation.NOISES:
            for seed in seeds:
                base = 25 + rng.standard_normal()
                for configuration in adaptation.CONFIGURATIONS:
                    number = adaptation.CHOSEN.index(image)
                    gain = gains.get(configuration, (0.01, -0.01) * 3)[number]
                    # seeds and noises are scattered about the image's gain and cancel in the mean
                    scatter = 0.3 * (seed - 1) + (0.2 if noise == adaptation.NOISES[0] else -0.2)
                    found[image, noise, seed, configuration] = base + (
                        0 if configuration == adaptation.MATCHED else gain + scatter
                    )
    return found


def by_name(results):
    return {each.configuration: each for each in results}


def test_a_reading_that_is_ahead_on_every_image_wins(adaptation):
    psnrs = made(adaptation, {"channel former": (0.3, 0.28, 0.31, 0.29, 0.33, 0.27)})
    results = adaptation.judged(psnrs)
    assert [each.configuration for each in results if each.wins] == ["channel former"]
    assert adaptation.default(results) == "channel former"
    won = by_name(results)["channel former"]
    np.testing.assert_allclose(won.gains, (0.3, 0.28, 0.31, 0.29, 0.33, 0.27))
    assert won.low > 0
    assert won.by_noise == pytest.approx({"poisson:1024": won.mean + 0.2, "gaussian:0.05": won.mean - 0.2})


def test_the_winner_of_the_largest_mean_is_taken(adaptation):
    ahead = (0.3, 0.28, 0.31, 0.29, 0.33, 0.27)
    further = tuple(2 * gain for gain in ahead)
    results = adaptation.judged(made(adaptation, {"pixel initial": ahead, "pixel former": further}))
    assert {each.configuration for each in results if each.wins} == {"pixel initial", "pixel former"}
    assert adaptation.default(results) == "pixel former"


def test_of_equal_winners_the_one_nearer_to_the_paper_is_taken(adaptation):
    ahead = (0.3, 0.28, 0.31, 0.29, 0.33, 0.27)
    results = adaptation.judged(made(adaptation, dict.fromkeys(("pixel initial", "channel initial"), ahead)))
    assert adaptation.default(results) == "channel initial"


def test_where_none_wins_the_reading_nearest_to_the_paper_is_taken(adaptation):
    """Behind, ahead by chance, and ahead alone but not after Holm."""
    behind = dict.fromkeys(adaptation.READINGS, (-0.3, -0.28, -0.31, -0.29, -0.33, -0.27))
    uneven = {"pixel initial": (1.5, -0.9, 0.1, -0.2, 0.8, -0.4)}
    narrow = {"pixel initial": (0.1, 0.5, 0.05, 0.45, 0.02, 0.3)}
    for gains in (behind, uneven, narrow):
        results = adaptation.judged(made(adaptation, gains))
        assert not [each for each in results if each.wins]
        assert adaptation.default(results) == "layer initial"
    alone = by_name(results)["pixel initial"]
    assert alone.low > 0  # by itself it would have won
    assert 0.05 < alone.p_holm < 6 * 0.05


def test_fixed_ratios_are_no_reading(adaptation):
    results = adaptation.judged(made(adaptation, {"fixed": (1.0, 1.1, 0.9, 1.0, 1.05, 0.95)}))
    assert by_name(results)["fixed"].mean == pytest.approx(1.0)
    assert math.isnan(by_name(results)["fixed"].p_holm)
    assert adaptation.default(results) == adaptation.NEAREST


def test_only_whole_blocks_count(adaptation):
    psnrs = made(adaptation, {"pixel initial": (0.3, 0.28, 0.31, 0.29, 0.33, 0.27)})
    last = adaptation.CHOSEN[5]
    for seed in (1, 2):
        del psnrs[last, adaptation.NOISES[1], seed, "layer former"]
    assert adaptation.complete(psnrs)[last] == [0]
    del psnrs[last, adaptation.NOISES[1], 0, "layer former"]
    assert list(adaptation.complete(psnrs)) == list(adaptation.CHOSEN[:5])
    assert len(adaptation.judged(psnrs)[0].gains) == 5


def test_the_design_is_balanced_wherever_it_is_stopped(adaptation):
    jobs = adaptation.design()
    assert len(jobs) == 3 * 6 * 2 * 8
    names = [each["configuration"] for each in jobs]
    assert all(names[n : n + 8] == list(adaptation.CONFIGURATIONS) for n in range(0, len(names), 8))
    assert [each["seed"] for each in jobs] == sorted(each["seed"] for each in jobs)
    blocks = [(each["seed"], each["image"], each["noise"]) for each in jobs[::8]]
    assert len(set(blocks)) == len(blocks)
    assert [noise for _, _, noise in blocks] == list(adaptation.NOISES) * 18
    assert [image for _, image, _ in blocks[:12:2]] == list(adaptation.CHOSEN)


def test_images_have_a_kernel_each_and_are_in_no_table(adaptation):
    pairs = {(each["image"], each["kernel"]) for each in adaptation.design()}
    assert {kernel for _, kernel in pairs} == set(range(6))
    assert len(pairs) == 6
    assert not {name.partition(".")[0] for name, _ in pairs} & set(load_dataset("sample").names())


def test_configurations_differ_in_what_is_asked_and_in_nothing_else(adaptation):
    settings = {each["configuration"]: MethodSpec.parse(each["spec"]).settings for each in adaptation.design()[:8]}
    common = MethodSpec.parse(adaptation.RECIPE).settings
    assert settings["fixed"] == {**common, "adapt_every": "0"}
    assert settings["matched"] == {**common, "adapt_every": "0", "ratio_scale": "0.71"}
    readings = {name: each for name, each in settings.items() if name in adaptation.READINGS}
    assert len({tuple(sorted(each.items())) for each in readings.values()}) == len(readings) == 6
    for name, each in readings.items():
        own = {"adapt_scaling": "min-max", "adapt_scope": name.split()[0], "adapt_from": name.split()[1]}
        assert each == {**common, **own}


def test_a_fit_notes_the_mean_factors_of_its_ratios(adaptation):
    job = adaptation.design(quick=True)[2]
    assert job["configuration"] == "layer initial"
    found = adaptation.compute(job)
    assert found["iterations"] == 4
    assert len(found["factors"]) == len(found["medians"]) == 3  # none after the last iteration
    assert all(0.45 < factor < 1 for factor in found["factors"])
    fixed = adaptation.compute(adaptation.design(quick=True)[0])
    assert fixed["factors"] == []


def squared(job):
    return {"value": job["number"] ** 2, "calls": 1}


JOBS = [{"number": number, "name": f"job {number}"} for number in range(5)]


def test_what_the_file_has_is_not_computed_again(fits, tmp_path, capsys):
    path = tmp_path / "deep" / "fits.jsonl"
    calls = []

    def compute(job):
        calls.append(job["number"])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return squared(job)

    with pytest.raises(KeyboardInterrupt):
        fits.fitted(path, JOBS, compute, lambda job, _: job["name"])
    assert calls == [0, 1, 2]
    calls[:] = [None] * 10
    found = fits.fitted(path, JOBS, compute, lambda job, _: job["name"])
    assert calls[10:] == [2, 3, 4]
    assert [each["value"] for each in found] == [0, 1, 4, 9, 16]
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(" (")[0] for line in told] == [f"job {number}" for number in range(5)]


def test_a_line_that_a_kill_cut_off_is_computed_again(fits, tmp_path):
    path = tmp_path / "fits.jsonl"
    fits.fitted(path, JOBS[:3], squared, lambda *_: "")
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert len(fits.kept(path)) == 2
    found = fits.fitted(path, JOBS, squared, lambda *_: "")
    assert [each["value"] for each in found] == [0, 1, 4, 9, 16]
    assert len(fits.kept(path)) == 5


def test_a_job_of_other_settings_is_another_job(fits, tmp_path):
    path = tmp_path / "fits.jsonl"
    fits.fitted(path, JOBS, squared, lambda *_: "")
    other = [job | {"name": "another recipe"} for job in JOBS[:2]]
    calls = []
    fits.fitted(path, other, lambda job: calls.append(job) or squared(job), lambda *_: "")
    assert calls == other


def test_settings_take_the_place_of_those_of_the_same_name(fits):
    assert fits.with_settings("ours@fast[lr=1e-3,warmup=5]", warmup=0, clamp="true") == (
        "ours@fast[lr=1e-3,warmup=0,clamp=true]"
    )


def test_the_middle_is_the_middle(fits):
    x = np.arange(2 * 7 * 9).reshape(2, 7, 9)
    np.testing.assert_array_equal(fits.middle(x, 3), x[:, 2:5, 3:6])


def test_a_watched_run_ends_where_it_is_good_enough_and_counts_no_observing(fits, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(fits.time, "process_time", lambda: clock[0])
    x = 0.2 + 0.6 * np.random.Generator(np.random.Philox(4)).random((1, 24, 24))
    problem = measure(x, np.ones((3, 3)), "gaussian:0.05", key="watched")
    run = fits.Watched(problem, Truth(x), clock=Clock(1), enough=30, seconds=50)

    def show(iteration, far):
        def estimate():
            clock[0] += 1000  # as slow as can be
            return (x + far).astype(np.float32)

        clock[0] += 10
        run.observe(iteration, estimate)

    show(1, 0.2)
    show(2, 0.1)
    with pytest.raises(fits.Reached):
        show(3, 0.01)
    found = fits.curve_of(fits.points(run.curve))
    assert [(point.iteration, point.seconds) for point in found] == [(1, 10), (2, 20), (3, 30)]
    assert found[1].psnr == pytest.approx(20, abs=0.05)  # scored in 8 bits
    show(4, 0.1)
    with pytest.raises(fits.Reached):  # by now it has had its time
        show(5, 0.1)


def test_several_settings_of_one_specification_are_said(fits, capsys):
    one = {"versions": {"engine": 1}, "settings": {"lr": 1.0}}
    jobs = [fits.key({"spec": "ours@fast", "image": n}) for n in range(2)]
    fits.say_versions({jobs[0]: one, jobs[1]: one})
    assert not capsys.readouterr().out
    fits.say_versions({jobs[0]: one, jobs[1]: one | {"settings": {"lr": 2.0}}})
    assert "by ours@fast are of several settings" in capsys.readouterr().out
    fits.say_versions({jobs[0]: one, jobs[1]: one | {"versions": {"engine": 2}}})
    assert "of 2 versions" in capsys.readouterr().out


@pytest.fixture(scope="module")
def quality(programs):
    return programs("quality")


def curve(*points):
    return [[iteration, seconds, psnr, 0.5] for iteration, seconds, psnr in points]


def test_a_factor_is_the_time_to_the_psnr_over_that_of_fast(quality):
    fast, job = {"cpu_seconds": 2.0}, {"target": 25.0}
    there = {"curve": curve((25, 5.0, 20.0), (50, 10.0, 24.0), (75, 20.0, 26.0))}
    assert quality.factor(fast, job, there) == quality.Factor(7.5, False)  # half way between 10 and 20 seconds
    never = {"curve": curve((25, 5.0, 20.0), (50, 30.0, 24.0))}
    assert quality.factor(fast, job, never) == quality.Factor(15.0, True)


def test_a_median_is_a_bound_where_what_is_censored_may_move_it(quality):
    exact, bound = (lambda value: quality.Factor(value, False)), (lambda value: quality.Factor(value, True))
    assert quality.median([exact(5.0), exact(9.0), bound(12.0)]) == exact(9.0)
    assert quality.median([exact(5.0), bound(9.0), exact(12.0)]) == bound(9.0)
    assert quality.median([bound(5.0), exact(9.0), exact(12.0)]) == bound(9.0)
    assert quality.median([exact(5.0), exact(9.0)]) == exact(7.0)
    assert quality.median([exact(5.0), exact(7.0), bound(9.0), bound(12.0)]) == bound(8.0)
    assert str(bound(8.04)) == ">8.0"


def plan_of(quality, file, **more):
    return quality.Plan(
        **{"parts": ("crops",), "cap": 12.0, "file": file, "precision": "float32", "quick": True} | more
    )


def test_the_released_recipe_has_its_cap_and_kernels_rotate(quality, tmp_path):
    plan = plan_of(quality, tmp_path / "q.jsonl", parts=("crops", "whole"), quick=False)
    places = plan.places()
    assert len(places) == 15
    jobs = [plan.fast(*place) for place in places]
    assert [job["kernel"] for job in jobs] == [*range(1, 9), 1, 2, 3, 4, 1, 2, 3]
    fast = {"psnr": 25.00004, "iterations": 300, "settings": {"passes": 50}}
    released, before = plan.others("crops", "03", fast)
    assert released["settings"]["iterations"] == 3600
    assert (released["settings"]["lr"], released["settings"]["clamp"]) == (1e-4, True)
    assert (before["settings"]["lr"], before["settings"]["iterations"]) == (2e-3, 1000)
    assert released["target"] == before["target"] == 25.0


def test_medians_below_their_limits_are_missed(quality, fits, tmp_path, capsys):
    plan = plan_of(quality, tmp_path / "q.jsonl", quick=False)
    stamp = {"settings": {"passes": 50}, "versions": {}}
    for number, seconds in enumerate((70.0, 90.0, 110.0), 1):
        fast = {"psnr": 25.0, "iterations": 300, "cpu_seconds": 10.0} | stamp
        place = ("crops", f"{number:02d}")
        fits.keep(plan.file, plan.fast(*place), fast)
        for job in plan.others(*place, fast):
            late = seconds if job["recipe"] == "released" else 25.0
            fits.keep(plan.file, job, {"curve": curve((25, 1.0, 20.0), (50, late, 25.0))} | stamp)
    missed = quality.report(plan)
    assert missed == ["crops, before: 2.5, limit 3.0"]
    assert "released takes 9.0 times" in capsys.readouterr().out


def test_a_fit_that_never_gets_there_is_tried_for_longer(quality, fits, tmp_path, capsys):
    plan = plan_of(quality, tmp_path / "q.jsonl", quick=False)
    stamp = {"settings": {"passes": 50}, "versions": {}}
    fast = {"psnr": 25.0, "iterations": 300, "cpu_seconds": 10.0} | stamp
    fits.keep(plan.file, plan.fast("crops", "01"), fast)
    released, before = plan.others("crops", "01", fast)
    fits.keep(plan.file, before, {"curve": curve((1000, 20.0, 24.0))} | stamp)
    assert quality.report(plan) == ["crops, before: >2.0, limit 3.0"]
    longer = plan.longer(before)
    settings = longer["settings"]
    assert (settings["iterations"], settings["warmup"], settings["adapt_every"]) == (2000, 200, 300)
    fits.keep(plan.file, longer, {"curve": curve((1500, 30.0, 24.0), (2000, 40.0, 26.0))} | stamp)
    assert quality.report(plan) == []
    assert "before takes 3.5 times" in capsys.readouterr().out
    assert plan.longer(released) is None


@pytest.mark.usefixtures("shared_mirror")
def test_quality_runs_and_goes_on_from_its_file(quality, tmp_path, capsys):
    plan = plan_of(quality, tmp_path / "q.jsonl")
    quality.measured(plan, ("crops", "01"))
    assert "fast" in capsys.readouterr().out
    kept = plan.file.read_bytes()
    quality.measured(plan, ("crops", "01"))
    assert plan.file.read_bytes() == kept
    assert not capsys.readouterr().out
    quality.report(plan)
    assert "quality: crops: released takes" in capsys.readouterr().out
    assert quality.MaskedFit.GLANCE == 4  # as before


@pytest.fixture(scope="module")
def gpu(programs):
    return programs("gpu")


def test_the_cost_of_a_fit_is_its_iterations_and_the_rest(gpu):
    cost = gpu.Cost(iteration=0.02, rest=1.5, iterations=300, megabytes=1234.4)
    assert cost.fit == pytest.approx(7.5)
    told = "20.0 ms an iteration, 7.5 s for 300 iterations, 1.9 s a fit; 1234 MB"
    assert gpu.told(cost, 4) == told


def test_where_there_is_no_card_it_is_said_and_no_failure(gpu, monkeypatch, capsys):
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    gpu.main()
    assert "no card here, nothing is measured" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cuda"])
    with pytest.raises(SystemExit, match="device 'cuda:0' is not here"):
        gpu.main()


def test_a_device_is_measured_for_each_method_and_number_of_fits(gpu, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "SPECS", ("ours@smoke", "dip@smoke"))
    monkeypatch.setattr(gpu, "TRIES", 1)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", "--quick"])
    gpu.main()
    told = capsys.readouterr().out
    for each in ("ours@smoke 32x32 float32 x 1:", "ours@smoke 32x32 float32 x 2:", "dip@smoke 32x32 float32 x 2:"):
        assert f"gpu: {each}" in told


def test_what_does_not_fit_is_said_and_the_rest_goes_on(gpu, monkeypatch, capsys):
    def measured(_, cases, *__):
        if len(cases) > 1:
            raise MemoryError
        return gpu.Cost(0.01, 0.0, 10, 1.0)

    monkeypatch.setattr(gpu, "measured", measured)
    gpu.lines("cpu", ("float32", "bf16"), quick=True)
    told = capsys.readouterr().out
    assert "ours@fast 32x32 bf16 x 2: out of memory" in told
    assert "dip@fast 32x32 x 1: bf16 takes 1.00 of float32's time" in told
    assert "x 2: bf16 takes" not in told


@pytest.fixture(scope="module")
def deepinv_dip(programs):
    return programs("deepinv_dip")


def test_without_deepinv_nothing_is_measured_and_the_way_is_said(deepinv_dip, monkeypatch, capsys):
    monkeypatch.setattr(deepinv_dip, "find_spec", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["deepinv_dip.py"])
    deepinv_dip.main()
    assert "pip install deepinv" in capsys.readouterr().out


def test_the_rival_has_the_time_that_dip_took_and_the_better_decoder_counts(deepinv_dip, fits, tmp_path, capsys):
    plan = deepinv_dip.Plan(tmp_path / "d.jsonl", "float32", quick=False)
    stamp = {"cpu_seconds": 200.004, "settings": {}, "versions": {}}
    for image, rival in zip(plan.images(), (24.0, 26.0, 24.9, 23.0, 24.0), strict=True):
        own = plan.own(image)
        found = {"curve": curve((5, 1.0, 20.0), (10, 2.0, 25.0), (15, 3.0, 22.0))} | stamp
        fits.keep(plan.file, own, found)
        others = plan.others(own, found)
        assert [job["seconds"] for job in others] == [200.0, 200.0]
        for job, psnr in zip(others, (10.0, rival), strict=True):
            fits.keep(plan.file, job, {"curve": curve((0, 1.0, psnr))} | stamp)
    assert deepinv_dip.report(plan) == [deepinv_dip.CHOSEN[1]]
    assert "ahead on 4 of 5 images" in capsys.readouterr().out


def test_pictures_for_the_rival_are_whole(deepinv_dip):
    for image in deepinv_dip.CHOSEN:
        assert deepinv_dip.picture(image, side=256, large=512).shape == (1, 256, 256)


@pytest.fixture(scope="module")
def iteration(programs):
    return programs("iteration")


def test_replayed_convolutions_are_those_of_the_network(iteration):
    """Values and gradients, of all layers."""
    fit = iteration.begun(iteration.problem_of(24), "float32")
    layers = [module for module in fit.fold.networks.modules() if type(module).__name__ == "Conv"]
    seen = {}
    for number, layer in enumerate(layers):
        layer.register_forward_hook(lambda one, given, out, number=number: seen.update({number: (one, given[0], out)}))
    iteration.iteration(fit)()
    assert len(seen) == len(layers) == 18
    for layer, maps, out in seen.values():
        run, inputs, slope = iteration._replay(layer, maps, out)
        again = run()
        np.testing.assert_allclose(again.detach(), out.detach(), atol=1e-5)
        assert again.is_contiguous(memory_format=iteration.torch.channels_last)
        assert slope.shape == out.shape
        assert inputs[0].requires_grad == maps.requires_grad


def test_optimizers_take_their_steps_and_an_iteration_takes_none(iteration):
    fit = iteration.begun(iteration.problem_of(24), "float32")
    weights = fit.fold.networks.first.conv.weight
    before = weights.detach().clone()
    iteration.iteration(fit)()
    np.testing.assert_array_equal(weights.detach(), before)
    iteration.steps(fit, "adam")()
    assert (weights.detach() != before).any()


def test_the_program_runs(iteration, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["iteration.py", "--quick", "--precision", "float32"])
    monkeypatch.setattr(iteration, "STEPS", 1)
    iteration.main()
    told = capsys.readouterr().out
    assert "48x48 float32: ours" in told
    assert "its 18 convolutions alone" in told


def test_the_student_s_way_is_in_the_tutorial(programs):
    """The tests of the documentation run these blocks; the benchmark takes their time."""
    files, commands = programs("student").steps()
    (text,) = files.values()
    assert list(files) == ["my_method.py"]
    code = [line for line in text.partition("@dataclass")[2].splitlines()[1:] if line.strip()]
    assert len(code) <= 15
    assert [command.split()[1] for command in commands] == ["check", "run", "report", "table"]
    run = commands[1].split()
    assert len(run[run.index("--methods") + 1].split(",")) == 5
    assert run[run.index("--dataset") + 1] == "sample"
    assert commands[-1].endswith("--format latex > mine.tex")
