"""The paper's grids against the counts of its text and the sizes of the datasets."""

import pytest

from nidbench.contract import CaseKey
from nidbench.errors import InputError
from nidbench.paper.labels import base_label, is_blind
from nidbench.paper.published import numbers
from nidbench.paper.tables import TABLES, find_table, paper_protocol, table
from nidbench.registry.entry_points import Registry

ROWS = [(found.name, condition) for found in TABLES.values() for condition in found.conditions]


def test_every_row_of_every_table_is_a_condition_and_the_other_way_round():
    frame = numbers()
    published = set(frame[["table", "dataset", "kernels", "noise"]].itertuples(index=False, name=None))
    assert {(name, *condition.key) for name, condition in ROWS} == published


@pytest.mark.parametrize(
    ("name", "counts"),
    [  # sections 4.2 to 4.4
        ("table2", {"set12": 3 * 12 * 8, "levin": 3 * 4 * 8, "sun": 3 * 80 * 8}),
        ("table3", {"set12": 12 * 6, "sun": 80 * 6}),
        ("table4", {"set12": 4 * 12 * 8, "sun": 4 * 80 * 8}),
        ("table5", {"lai-saturated": 20, "anger": 8}),
        ("table6", {"set12": 96, "lai": 100, "kohler": 48}),
        ("table7", {"set12": 2 * 96}),
        ("table8", {"set12": 7 * 96}),
        ("table9", {"sun": 640}),
    ],
)
def test_the_grids_have_the_sizes_of_the_paper(name, counts):
    found = dict.fromkeys(counts, 0)
    for condition in table(name).conditions:
        found[condition.dataset] += condition.cases
    assert found == counts


def test_the_grids_have_the_sizes_of_the_datasets():
    """Images and measurements as declared, against the names that the registered sets have."""
    datasets, kernels = Registry.installed("dataset"), Registry.installed("kernel set")
    for _, condition in ROWS:
        if condition.lacking:
            continue
        dataset = datasets.load(condition.dataset)()
        assert len(dataset.names()) == condition.images, condition
        if condition.noise == "measured":
            cases = sum(len(dataset.kernels(name)) for name in dataset.names())
        else:
            cases = condition.images * len(kernels.load(condition.kernels)().names())
        assert cases == condition.cases, condition


@pytest.mark.parametrize(
    ("name", "key", "wanted"),
    [
        ("table2", CaseKey("set12", "01", "levin/1", "gaussian:0.01"), "half-kernel"),
        ("table5", CaseKey("anger", "1", "anger/1", "measured"), "anger"),
        ("table6", CaseKey("kohler", "1", "kohler/1", "measured"), "kohler"),
        ("table6", CaseKey("set12", "01", "levin@estimated:mine/1", "gaussian:0.01"), "shift-aligned"),
        ("table7", CaseKey("set12", "01", "levin/1", "gaussian:0.01"), "half-kernel"),
        ("table2", CaseKey("sample", "camera", "sample/motion", "gaussian:0.05"), "half-kernel"),
    ],
)
def test_each_measurement_is_scored_as_in_the_paper(name, key, wanted):
    assert paper_protocol(name, key) == wanted


def test_kernels_bring_noise_of_their_own_or_none():
    set12 = table("table3").conditions[0].noise_of_kernels
    assert list(set12) == [f"danielyan/{n}" for n in range(1, 7)]
    assert set12["danielyan/3"] == "bsnr:40"
    assert table("table2").conditions[0].noise_of_kernels == {}


def test_a_group_of_a_sweep_finds_its_row():
    assert table("table2").row_of("sun", "levin", "gaussian:0.03").cases == 640
    assert table("table2").row_of("sample", "levin", "gaussian:0.03") is None
    assert table("table2").row_of("sun", "levin", "gaussian:0.02") is None
    assert table("table3").row_of("sun", "danielyan", "bsnr:40").cases == 480
    assert table("table9").row_of("set12", "levin", "gaussian:0.05").dataset == "sun"
    assert table("table7").row_of("set12", "levin@estimated:mine", "gaussian:0.01").lacking
    assert not table("table7").row_of("set12", "levin", "gaussian:0.01").lacking


@pytest.mark.parametrize(
    ("labels", "noises", "name"),
    [
        (["ours"], ["gaussian:0.05"], "table2"),
        (["ours", "dip", "fid"], ["gaussian:0.01", "poisson:128"], "table2"),
        (["ours", "ours@fast:no-sa"], ["gaussian:0.01"], "table7"),
        (["ours", "ours@fast:no-sa"], ["gaussian:0.01", "poisson:128"], "table8"),
        (["ours", "dip[lr=0.1]"], ["poisson:128"], "table4"),
    ],
)
def test_the_table_of_a_sweep_is_the_one_with_most_of_it(labels, noises, name):
    assert find_table([("set12", "levin", noise, label) for label in labels for noise in noises]) == name


def test_a_sweep_that_no_table_has():
    with pytest.raises(InputError, match=r"no table of the paper has sample levin gaussian:0\.05: "):
        find_table([("sample", "levin", "gaussian:0.05", "ours")])


def test_conditions_decide_where_no_method_does():
    assert find_table([("set12", "levin", "gaussian:0.05", "wiener")]) == "table2"
    assert find_table([("sun", "levin", "poisson:256", "tv")]) == "table4"


def test_blind_methods_are_known_by_their_source():
    assert is_blind("selfdeblur@fast[iterations=3]")
    assert not any(map(is_blind, ("ours", "gone", "selfdeblur-nonblind", "somebody's images")))
    key = CaseKey("set12", "01", "levin/1", "gaussian:0.01")
    assert paper_protocol("table6", key, "selfdeblur") == "shift-aligned"
    assert paper_protocol("table6", key, "ours") == "half-kernel"


def test_labels_without_preset_and_settings():
    assert base_label("ours@fast:no-sa[lr=0.1,passes=3]") == "ours:no-sa"
    assert base_label("somebody's images") == "somebody's images"
