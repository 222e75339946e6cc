"""The experiment that decides on a reading of eq. 15: its verdict on made numbers, its order, and what a kill costs."""

import math
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

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
        fits.fitted(path, JOBS, compute, 1, lambda job, _: job["name"])
    assert calls == [0, 1, 2]
    calls[:] = [None] * 10
    found = fits.fitted(path, JOBS, compute, 1, lambda job, _: job["name"])
    assert calls[10:] == [2, 3, 4]
    assert [each["value"] for each in found] == [0, 1, 4, 9, 16]
    assert "2 of 5 fits are there" in capsys.readouterr().out


def test_a_line_that_a_kill_cut_off_is_computed_again(fits, tmp_path):
    path = tmp_path / "fits.jsonl"
    fits.fitted(path, JOBS[:3], squared, 1, lambda *_: "")
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert len(fits.kept(path)) == 2
    found = fits.fitted(path, JOBS, squared, 1, lambda *_: "")
    assert [each["value"] for each in found] == [0, 1, 4, 9, 16]
    assert len(fits.kept(path)) == 5


def test_a_job_of_other_settings_is_another_job(fits, tmp_path):
    path = tmp_path / "fits.jsonl"
    fits.fitted(path, JOBS, squared, 1, lambda *_: "")
    other = [job | {"name": "another recipe"} for job in JOBS[:2]]
    calls = []
    fits.fitted(path, other, lambda job: calls.append(job) or squared(job), 1, lambda *_: "")
    assert calls == other


def test_settings_take_the_place_of_those_of_the_same_name(fits):
    assert fits.with_settings("ours@fast[lr=1e-3,warmup=5]", warmup=0, clamp="true") == (
        "ours@fast[lr=1e-3,warmup=0,clamp=true]"
    )


def test_the_middle_is_the_middle(fits):
    x = np.arange(2 * 7 * 9).reshape(2, 7, 9)
    np.testing.assert_array_equal(fits.middle(x, 3), x[:, 2:5, 3:6])
