"""Differences between methods by hand, by symmetry, and with what is missing."""

import doctest
import itertools
import math

import numpy as np
import pandas as pd
import pytest
from frames import cells_frame
from scipy import stats

from nidbench.analysis import differences
from nidbench.analysis.differences import differences_frame, ordering
from nidbench.analysis.groups import named, reference
from nidbench.analysis.intervals import bootstrap
from nidbench.analysis.pairs import Scores
from nidbench.errors import InputError, UnknownNameError

IMAGES = ("a", "b", "c", "d", "e", "f")


def generator(seed=0):
    return np.random.Generator(np.random.Philox(key=seed))


@pytest.fixture
def make_cells(make_record, make_store):
    """Rows of a frame for PSNR by (method, image, kernel, seed); None for a failed cell."""

    def make(psnr, **fields):
        records = [
            make_record(m, i, p or 0.0, kernel=f"levin/{k}", seed=s, status="failed" if p is None else "done", **fields)
            for (m, i, k, s), p in psnr.items()
        ]
        return cells_frame(*make_store(*records))

    return make


@pytest.fixture
def drawn(make_cells):
    """Three methods on six images, two kernels, two seeds."""
    rng = generator(1)
    keys = itertools.product(("ours", "dip", "fid"), IMAGES, (1, 2), (0, 1))
    return make_cells({key: 25 + rng.standard_normal() for key in keys})


def only(frame, **where):
    for name, value in where.items():
        frame = frame[frame[name] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def test_a_difference_by_hand(make_cells):
    ours, dip = (27.0, 28.5, 30.0), (26.0, 27.0, 28.5)
    cells = make_cells(
        {("ours", i, 1, 0): p for i, p in zip("abc", ours, strict=True)}
        | {("dip", i, 1, 0): p for i, p in zip("abc", dip, strict=True)}
    )
    found = only(differences_frame(cells, "dip"))
    expected = stats.ttest_rel(ours, dip).confidence_interval(0.95)
    assert found["difference"] == pytest.approx(4 / 3)
    assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))
    assert (found["method"], found["against"], found["verdict"]) == ("ours", "dip", "better")
    assert tuple(found[["wins", "ties", "losses", "pairs", "planned", "images", "unscored"]]) == (3, 0, 0, 3, 3, 3, 0)
    assert found["image_std"] == pytest.approx(np.std([1, 1.5, 1.5], ddof=1))
    assert math.isnan(found["seed_std"])
    assert found["p_value"] == 1 / 4


def test_kernels_of_an_image_are_one_observation(drawn):
    found = only(differences_frame(drawn, "dip"), method="ours")
    means = drawn.groupby(["label", "image"])["psnr"].mean()
    expected = stats.ttest_rel(means["ours"], means["dip"])
    low, high = expected.confidence_interval(0.95)
    assert (found["low"], found["high"]) == pytest.approx((low, high))
    assert (found["pairs"], found["images"]) == (12, 6)
    assert found["wins"] + found["ties"] + found["losses"] == 12


def test_images_count_alike_however_many_kernels_they_have(make_cells):
    ours = {("ours", "a", k, 0): 30.0 for k in (1, 2, 3)} | {("ours", i, 1, 0): 26.0 for i in "bc"}
    found = only(differences_frame(make_cells(ours | {("dip", *key[1:]): 25.0 for key in ours})))
    assert found["difference"] == pytest.approx(-(5 + 1 + 1) / 3)


def test_seeds_are_averaged_first_and_their_spread_is_told_apart(make_cells):
    psnr = {("ours", i, 1, s): p for i in "abc" for s, p in enumerate((26.0, 28.0))}
    psnr |= {("dip", i, 1, s): p for i in "abc" for s, p in enumerate((20.0, 24.0, 25.0))}
    found = only(differences_frame(make_cells(psnr)))
    assert (found["difference"], found["low"], found["high"], found["image_std"]) == (-4, -4, -4, 0)
    assert (found["pairs"], found["losses"], found["verdict"]) == (3, 3, "worse")
    assert found["seed_std"] == pytest.approx(math.sqrt(2 + 7))  # variances of the two


def test_the_order_of_records_makes_no_difference(drawn):
    frame = differences_frame(drawn, "dip").sort_values("method", ignore_index=True)
    for seed in range(3):
        shuffled = drawn.sample(frac=1, random_state=seed, ignore_index=True)
        again = differences_frame(shuffled, "dip").sort_values("method", ignore_index=True)
        pd.testing.assert_frame_equal(again, frame, check_exact=True)


def test_the_other_way_round_is_the_negative(drawn):
    there = only(differences_frame(drawn, "dip"), method="ours")
    back = only(differences_frame(drawn, "ours"), method="dip")
    assert (there["difference"], there["low"], there["high"]) == (-back["difference"], -back["high"], -back["low"])
    assert (there["wins"], there["losses"], there["ties"]) == (back["losses"], back["wins"], back["ties"])
    same = ["resolution", "p_value", "image_std", "seed_std", "pairs", "images"]
    assert there[same].tolist() == back[same].tolist()


def test_a_missing_partner_leaves_a_pair_out_and_is_counted(drawn, make_cells):
    psnr = {tuple(row[:4]): row[4] for row in drawn[["label", "image", "kernel", "seed", "psnr"]].to_numpy().tolist()}
    psnr = {(m, i, k[-1], s): p for (m, i, k, s), p in psnr.items() if m != "fid" and s == 0}
    failed = only(differences_frame(make_cells(psnr | {("ours", "a", "1", 0): None})))
    assert tuple(failed[["pairs", "planned", "images", "unscored"]]) == (11, 12, 6, 1)
    both = [p for (m, i, k, s), p in psnr.items() if m == "ours" and (i, k) == ("a", "2")]
    image = both[0] - psnr["dip", "a", "2", 0]
    rest = [np.mean([psnr["ours", i, k, 0] - psnr["dip", i, k, 0] for k in ("1", "2")]) for i in IMAGES if i != "a"]
    assert failed["difference"] == pytest.approx(-np.mean([image, *rest]))


def test_a_measurement_that_only_one_was_asked_for_lacks_its_partner(make_cells):
    psnr = {("ours", i, 1, 0): 26.0 for i in "abcd"} | {("dip", i, 1, 0): 25.0 for i in "abc"}
    assert tuple(only(differences_frame(make_cells(psnr)))[["pairs", "planned", "unscored"]]) == (3, 4, 0)


def test_of_a_failed_seed_the_others_stand_for_the_measurement(make_cells):
    psnr = {(m, i, 1, s): p for m, p in (("ours", 26.0), ("dip", 25.0)) for i in "abc" for s in (0, 1)}
    found = only(differences_frame(make_cells(psnr | {("ours", "a", 1, 1): None})))
    assert tuple(found[["pairs", "planned", "unscored", "difference"]]) == (3, 3, 1, -1)


def test_a_group_without_the_reference_has_rows_without_pairs(make_record, make_store):
    records = [make_record(m, i) for m in ("ours", "dip") for i in "abc"]
    records += [make_record(m, i, noise="poisson:128") for m in ("dip", "fid") for i in "abc"]
    frame = differences_frame(cells_frame(*make_store(*records)))
    assert frame["against"].unique().tolist() == ["ours"]
    lone = only(frame, method="fid")
    assert (lone["noise"], lone["pairs"], lone["planned"], lone["verdict"]) == ("poisson:128", 0, 3, "open")
    assert lone[["difference", "low", "resolution", "p_value"]].isna().all()


@pytest.mark.parametrize("count", [1, 2])
def test_few_images_give_a_mean_and_no_interval(make_cells, count):
    psnr = {(m, i, k, 0): p for m, p in (("ours", 26.0), ("dip", 20.0)) for i in IMAGES[:count] for k in range(8)}
    found = only(differences_frame(make_cells(psnr)))
    assert (found["difference"], found["verdict"], found["losses"]) == (-6, "open", 8 * count)
    assert found[["low", "high", "resolution"]].isna().all()


def test_a_tie_is_closer_than_the_tables_show(make_cells):
    ours = {("ours", i, 1, 0): 25 + apart for i, apart in zip("abcd", (0.009, -0.009, 0.02, -0.02), strict=True)}
    found = only(differences_frame(make_cells(ours | {("dip", i, 1, 0): 25.0 for i in "abcd"}), "dip"))
    assert (found["wins"], found["ties"], found["losses"]) == (1, 2, 1)


def test_perfect_restorations_tie_and_beat_others_by_signs(make_cells):
    psnr = {(m, i, 1, 0): math.inf for m in ("ours", "dip") for i in "abc"} | {("fid", i, 1, 0): 30.0 for i in "abc"}
    frame = differences_frame(make_cells(psnr))
    dip, fid = only(frame, method="dip"), only(frame, method="fid")
    assert (dip["difference"], dip["ties"], dip["verdict"]) == (0, 3, "open")
    assert (fid["difference"], fid["losses"], fid["verdict"]) == (-math.inf, 3, "worse")
    assert math.isnan(fid["low"])
    assert (fid["p_student"], fid["holm"]) == (1 / 4, "open")  # three images alone may agree by chance


@pytest.mark.parametrize(
    ("apart", "verdict", "p_student"),
    [
        ((math.inf, 0.5, 0.4), "better", 1 / 4),
        ((-math.inf, -0.5, -0.4), "worse", 1 / 4),
        ((math.inf, 0.5, -0.4), "open", 1.0),
        ((math.inf, 0.5, 0.001), "open", 1 / 2),  # a tie is on no side
        ((math.inf, -math.inf, 0.5), "open", 1.0),
        ((math.inf, 0.5), "open", math.nan),
        ((math.inf, *(0.5,) * 5), "better", 1 / 32),
        ((math.inf, *(0.5,) * 10, -0.1), "better", 2 * 13 / 2**12),
    ],
)
def test_an_infinite_difference_counts_by_its_sign(make_cells, apart, verdict, p_student):
    psnr = {("dip", f"{n}", 1, 0): math.inf if a == -math.inf else 30.0 for n, a in enumerate(apart)}
    psnr |= {("ours", f"{n}", 1, 0): 30.0 if a == -math.inf else 30.0 + a for n, a in enumerate(apart)}
    found = only(differences_frame(make_cells(psnr), "dip"))
    assert found["verdict"] == verdict
    assert found["p_student"] == pytest.approx(p_student, nan_ok=True)
    assert found["holm"] == (verdict if p_student < 0.05 else "open")
    assert found[["low", "high", "resolution", "image_std"]].isna().all()


def test_infinities_of_both_signs_on_one_image_have_no_mean(make_cells):
    psnr = {("ours", i, 1, s): math.inf for i in "abc" for s in (0, 1)} | {("ours", i, 2, 0): 30.0 for i in "abc"}
    psnr |= {("dip", i, 1, s): 30.0 for i in "abc" for s in (0, 1)} | {("dip", i, 2, 0): math.inf for i in "abc"}
    found = only(differences_frame(make_cells(psnr), "dip"))
    assert math.isnan(found["difference"])
    assert (found["wins"], found["losses"], found["verdict"]) == (3, 3, "open")


def test_the_family_is_the_rows_of_a_group(make_record, make_store):
    """Three methods beside the reference: one is told apart alone, and no longer among three."""
    apart = {"dip": (-0.6, -0.9, -1.2), "fid": (0.3, -0.3, 0.1), "ddec": (0.2, 0.1, -0.2)}
    records = [make_record("ours", i, 30.0, noise=n) for i in "abc" for n in ("poisson:128", "gaussian:0.05")]
    records += [
        make_record(m, i, 30.0 + a, noise=n)
        for m in apart
        for i, a in zip("abc", apart[m], strict=True)
        for n in (("poisson:128", "gaussian:0.05") if m == "dip" else ("gaussian:0.05",))
    ]
    frame = differences_frame(cells_frame(*make_store(*records)))
    among, alone = only(frame, method="dip", noise="gaussian:0.05"), only(frame, method="dip", noise="poisson:128")
    assert among["p_student"] == alone["p_student"] == alone["p_holm"] < 0.05
    assert among["p_holm"] == pytest.approx(3 * among["p_student"])
    assert (among["verdict"], among["holm"], alone["holm"]) == ("worse", "open", "worse")


def test_identical_methods_are_not_told_apart(make_cells):
    found = only(differences_frame(make_cells({(m, i, 1, 0): 26.1 for m in ("ours", "dip") for i in IMAGES})))
    assert tuple(found[["difference", "low", "high", "resolution", "p_value"]]) == (0, 0, 0, 0, 1)
    assert found["verdict"] == "open"


def test_what_was_told_of_the_noise_is_kept_apart(make_record, make_store):
    scores = (("ours", "known", 26.0), ("dip", "known", 25.0), ("ours", "x1.2", 24.0), ("dip", "x1.2", 24.5))
    records = [make_record(method, i, psnr, declared=told) for method, told, psnr in scores for i in "abc"]
    frame = differences_frame(cells_frame(*make_store(*records)))
    assert dict(zip(frame["declared"], frame["difference"], strict=True)) == {"known": -1, "x1.2": 0.5}


def test_one_label_of_two_presets_is_two_methods(make_record, make_store):
    fast = make_store(make_record(settings={"n": 1}), preset="fast", name="fast")
    paper = make_store(make_record(settings={"n": 9}), preset="paper", name="paper")
    cells = pd.concat([cells_frame(*fast), cells_frame(*paper)], ignore_index=True)
    assert only(differences_frame(cells, "ours (paper)"))["method"] == "ours (fast)"


def test_the_reference():
    assert reference(["dip", "ours"]) == "ours"
    assert reference(["dip", "fid"]) == "dip"
    assert reference(["dip", "ours"], "dip") == "dip"
    with pytest.raises(UnknownNameError, match=r"'dpi': did you mean dip\? there are dip, ours"):
        reference(["dip", "ours"], "dpi")
    with pytest.raises(InputError, match="no cells"):
        reference([])


def test_an_order_is_confirmed_contradicted_or_open(make_cells):
    apart = {"ours": 0.0, "dip": -1.0, "fid": 0.0, "wiener": -2.0}
    noise = {"ours": (0, 0, 0), "dip": (0.1, 0, -0.1), "fid": (0.5, -0.4, 0), "wiener": (0, 0, 0)}
    psnr = {(m, i, 1, 0): 26 + apart[m] + e for m in apart for i, e in zip("abc", noise[m], strict=True)}
    published = {"dip": 30.0, "ours": 29.0, "fid": 28.0, "wiener": 29.0, "epll": 31.0}
    frame = ordering(make_cells(psnr), published)
    verdicts = {(row["first"], row["second"]): row["verdict"] for _, row in frame.iterrows()}
    assert verdicts == {
        ("dip", "ours"): "contradicts",
        ("dip", "wiener"): "confirms",
        ("dip", "fid"): "contradicts",
        ("ours", "wiener"): "open",  # a published tie
        ("ours", "fid"): "open",  # uneven
        ("wiener", "fid"): "contradicts",
    }
    pair = only(frame, first="dip", second="ours")
    assert (pair["published"], pair["difference"], pair["pairs"]) == (1, -1, 3)
    assert pair["low"] < pair["difference"] < pair["high"] < 0
    turned = ordering(make_cells(psnr), {"ours": 30.0, "dip": 29.0})
    assert only(turned)["verdict"] == "confirms"
    assert ordering(make_cells(psnr), {"ours": 30.0}).empty


def leaders(cells, *methods):
    return Scores(named(cells)).leaders(methods)


def test_leaders(make_cells):
    def psnr(**methods):
        return {(m, i, 1, 0): p for m, values in methods.items() for i, p in zip("abc", values, strict=True)}

    clear = make_cells(psnr(ours=(27, 28, 29.1), dip=(26, 27, 28), fid=(20, 21, 22)))
    assert leaders(clear, "dip", "ours", "fid") == ["ours"]
    close = make_cells(psnr(ours=(27, 28, 29.1), dip=(26, 29, 28), fid=(20, 21, 22)))
    assert leaders(close, "dip", "ours", "fid") == ["dip", "ours"]
    uneven = make_cells(psnr(ours=(27, 28, 29.1), dip=(26, 27, 28), fid=(20, 21, 33)))
    assert leaders(uneven, "ours", "dip", "fid") == ["ours", "fid"]  # ahead of the runner-up, but not of all
    assert leaders(clear, "ours") == []
    assert (
        leaders(make_cells({k: p for k, p in psnr(ours=(27, 28, 0), dip=(26, 27, 0)).items() if p}), "ours", "dip")
        == []
    )


def test_the_example_works():
    failures, examples = doctest.testmod(differences)
    assert failures == 0
    assert examples > 0


def test_the_bootstrap_needs_as_many_images_as_the_interval(drawn):
    assert all(map(math.isnan, bootstrap(np.array([1.0, 2.0]))))
    row = only(differences_frame(drawn, "dip"), method="ours")
    assert row["bootstrap_low"] < row["difference"] < row["bootstrap_high"]
