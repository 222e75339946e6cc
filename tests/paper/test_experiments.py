"""What the paper's tables ask for here, and what of them cannot be measured."""

import doctest

import pytest

from nidbench.contract import CaseKey
from nidbench.errors import InputError, UnknownNameError
from nidbench.paper import experiments as experiments_module
from nidbench.paper.experiments import coverage_line, experiments, lacking, table_lines
from nidbench.paper.tables import TABLES, table
from nidbench.registry.entry_points import Registry
from nidbench.registry.method_spec import parse_methods, resolve
from nidbench.scoring import protocols


def test_the_example_works():
    failures, examples = doctest.testmod(experiments_module)
    assert failures == 0
    assert examples == 2


@pytest.mark.parametrize("name", TABLES)
def test_every_method_it_asks_for_can_be_asked_for(name):
    methods = Registry.installed("method")
    for experiment in experiments(name):
        for spec in parse_methods(experiment.methods):
            assert resolve(spec, methods.load(spec.name), experiment.preset)
    for condition in table(name).conditions:
        assert protocols.protocol(condition.protocol)


def test_what_is_asked_for():
    set12, levin, sun = experiments("table2")
    assert set12.methods == "fid,dip,dikp,ddec,bpdip,ours,fcnn,fdn,dmsp"
    assert (set12.dataset, levin.dataset, sun.dataset) == ("set12", "levin", "sun")
    assert set12.noise == sun.noise == "gaussian:0.01,gaussian:0.03,gaussian:0.05"
    assert (set12.kernels, set12.preset, set12.declared) == ("levin", "paper", "known")
    assert {each.declared for each in experiments("table4")} == {"estimated"}
    (kohler,) = experiments("table6", dataset="kohler")
    assert (kohler.kernels, kohler.noise) == ("", "")
    assert "ours[stop=iterations,iterations=25000]" in kohler.methods
    assert experiments("table9")[0].methods == (
        "ours:no-dropout,ours:no-aggregation,ours:no-replacement,ours:no-masking,ours"
    )
    assert [each.methods for each in experiments("table3", " ours@fast , dip", "sun")] == ["ours@fast,dip"]


def test_estimated_kernels_of_one_s_own_take_the_place_of_those_that_are_not_public():
    blind, set12, blind_lai, lai = experiments("table6", kernels="estimated:mine")
    assert (blind.methods, blind.kernels, blind.noise) == ("selfdeblur", "levin", "gaussian:0.01")
    assert (blind_lai.methods, blind_lai.kernels, blind_lai.noise) == ("selfdeblur", "", "")
    assert (set12.dataset, set12.kernels, set12.noise) == ("set12", "estimated:mine", "gaussian:0.01")
    assert "selfdeblur" not in set12.methods
    assert (lai.dataset, lai.kernels, lai.noise) == ("lai", "estimated:mine", "")
    assert "ours[stop=iterations,iterations=25000]" in set12.methods
    assert [each.kernels for each in experiments("table7", kernels="estimated:mine")] == ["estimated:mine"]
    assert [line[:20] for line in lacking("table6", kernels="estimated:mine")] == ["table6 without epll:"]
    assert not lacking("table6", kernels="estimated:mine", methods="ours")
    with pytest.raises(InputError, match="table2 has no estimated kernels"):
        experiments("table2", kernels="estimated:mine")
    with pytest.raises(InputError, match=r"kernels 'levin' .*: give estimated:PATH"):
        experiments("table6", kernels="levin")


def test_what_cannot_be_had_is_told_with_what_can_be_run_instead():
    (line,) = lacking("table7")
    assert "Yang & Ji 2019" in line
    assert "not public; nidbench reproduce table7 --kernels estimated:PATH takes estimates of your own" in line
    set12, lai, epll = lacking("table6")
    assert "table6 without set12 inaccurate but for selfdeblur, which is blind: the paper's kernels" in set12
    assert "images of Lai et al." in lai
    assert epll == "table6 without epll: its authors' mixture was never run here: --methods epll asks for it"
    assert lacking("table2") == [epll.replace("table6", "table2")]
    assert not lacking("table9")
    with pytest.raises(InputError, match=r"table6 cannot be measured: the paper's kernels.*--kernels estimated:PATH"):
        experiments("table6", "ours", "lai")


def test_blind_methods_need_no_estimates():
    set12, lai, kohler = experiments("table6", "selfdeblur")
    assert (set12.methods, set12.kernels, set12.noise) == ("selfdeblur", "levin", "gaussian:0.01")
    assert [each.kernels for each in (lai, kohler)] == ["", ""]
    both = experiments("table6", "dip,selfdeblur@fast")
    assert [(each.dataset, each.methods) for each in both] == [
        ("set12", "selfdeblur@fast"),
        ("lai", "selfdeblur@fast"),
        ("kohler", "dip,selfdeblur@fast"),
    ]
    assert [each.methods for each in experiments("table6", dataset="set12")] == ["selfdeblur"]


def test_every_table_has_its_lines():
    lines = list(table_lines())
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == list(TABLES)
    assert "    lai inaccurate measured: 100 measurements; selfdeblur; others with --kernels estimated:PATH" in lines
    assert sum("none" in line for line in lines) == 1


def test_what_the_paper_has_not_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean table2"):
        experiments("tabel2")
    with pytest.raises(UnknownNameError, match=r"unknown dataset of table2 'kodak24': .*there are levin, set12, sun"):
        experiments("table2", dataset="kodak24")


def test_how_much_of_a_table_measurements_are():
    keys = [CaseKey("set12", "01", f"levin/{kernel}", "gaussian:0.01", seed) for kernel in (1, 2) for seed in (0, 1)]
    assert coverage_line("table2", keys, "set12").startswith(
        "table2 of Chen et al., IJCV 2022: 2 of 288 measurements, under 1 "
    )


def test_a_measurement_under_several_estimates_is_one():
    kernels = ("levin/1", "levin@estimated:mine/1", "levin@estimated:mine/2")
    keys = [CaseKey("set12", "01", kernel, "gaussian:0.01") for kernel in kernels]
    line = coverage_line("table6", keys, "set12", "estimated:mine")
    assert line.startswith("table6 of Chen et al., IJCV 2022: 2 of 96 measurements, under 1 ")
    assert " of 48 measurements" in coverage_line("table6", [], "", "", "dip")
    assert " of 244 measurements" in coverage_line("table6", [], "", "", "dip,selfdeblur")
