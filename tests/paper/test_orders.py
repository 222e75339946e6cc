"""The paper's orders against made-up sweeps whose verdicts are known."""

import io

import pandas as pd
import pytest
from frames import cells_frame

from nidbench.errors import InputError, UnknownNameError
from nidbench.paper.comparison import comparison_frame
from nidbench.paper.orders import orders_frame, render_orders
from nidbench.paper.tables import table

#: `ours` above `dip` as published, `ddec` above both against it, `dikp` anywhere.
PSNR = {"ours": (27.0, 28.5, 30.1), "dip": (26.0, 27.4, 29.0), "ddec": (28.0, 29.4, 31.2), "dikp": (22.0, 33.0, 29.0)}


@pytest.fixture
def cells(make_record, make_store):
    records = [
        make_record(m, i, p, dataset="set12", noise=noise)
        for noise in ("gaussian:0.05", "gaussian:0.02")
        for m in PSNR
        for i, p in zip("abc", PSNR[m], strict=True)
    ]
    return cells_frame(*make_store(*records)).assign(protocol="half-kernel")


def test_each_pair_has_the_verdict_of_its_interval(cells):
    frame = orders_frame(cells, "table2").set_index(["first", "second"])
    assert set(frame["noise"]) == {"gaussian:0.05"}  # the table has no other of these
    assert len(frame) == 6
    assert frame.loc[("ours", "dip"), "verdict"] == "confirms"
    assert frame.loc[("ours", "dip"), "published"] == pytest.approx(26.56 - 24.06)
    assert frame.loc[("ours", "dip"), "difference"] == pytest.approx(3.2 / 3)
    assert frame.loc[("ours", "ddec"), "verdict"] == "contradicts"
    assert frame.loc[("dip", "dikp"), "verdict"] == "open"


def test_a_difference_that_a_verdict_rests_on_is_not_shown_as_0(make_record, make_store):
    psnr = {"ours": (20.003, 20.004, 20.005), "dip": (20.0, 20.0, 20.0)}
    records = [make_record(m, i, p, dataset="set12") for m in psnr for i, p in zip("abc", psnr[m], strict=True)]
    cells = cells_frame(*make_store(*records)).assign(protocol="half-kernel")
    text = render_orders(cells, "table2")
    assert "| confirms | confirms |     +2.50 |   +0.004 | [+0.002, +0.006] |" in text


def test_methods_with_preset_or_settings_stand_for_the_paper_s_as_in_the_comparison(cells):
    """One label under two presets is two methods of the sweep, and files may be called as the paper calls its own."""
    here = cells[cells["noise"] == "gaussian:0.05"]
    again = here[here["label"] == "dip"].assign(preset="paper", psnr=lambda rows: rows["psnr"] + 0.1)
    names = {"ours": "ours@fast[iterations=5]", "dikp": "DWDN", "ddec": "ddec-like"}
    sources = {"dikp": "files", "ddec": "files"}
    mixed = pd.concat([here, again], ignore_index=True)
    mixed = mixed.assign(label=mixed["label"].replace(names), source=mixed["label"].map(sources).fillna("computed"))
    orders = orders_frame(mixed, "table2")
    compared = comparison_frame(mixed, "table2").dropna(subset=["published", "measured"])
    published = dict(zip(compared["method"], compared["published"], strict=True))
    assert set(published) == {"ours@fast[iterations=5]", "dip", "DWDN"}
    pairs = {(row["first"], row["second"]): row["published"] for _, row in orders.iterrows()}
    fast, (other, paper) = (
        "ours@fast[iterations=5]",
        sorted(f"dip ({preset})" for preset in ("paper", here["preset"].iloc[0])),
    )
    gaps = {
        name: published[fast] - published[base] for name, base in ((other, "dip"), (paper, "dip"), ("DWDN", "DWDN"))
    }
    assert {(fast, name) for name in gaps} <= set(pairs)
    assert len(pairs) == 5  # the two of dip are no pair
    assert {name: pairs[fast, name] for name in gaps} == pytest.approx(gaps)


def test_what_was_done_otherwise_than_in_the_paper_stands_below(cells):
    """A verdict on three iterations is not one on the paper."""
    names = {"dip": "dip@paper[iterations=3]"}
    presets = {"ours": "fast", "dip": "paper", "dikp": "paper", "ddec": "paper"}
    short = cells.assign(label=cells["label"].replace(names), preset=cells["label"].map(presets))
    notes = [line for line in render_orders(short, "table2").splitlines() if line.startswith("- ")]
    assert "- ours: preset fast, not paper or released" in notes
    assert "- dip@paper[iterations=3]: settings iterations=3, in the paper of the preset" in notes
    assert not any(line.startswith("- dikp: preset") for line in notes)


def test_the_text_counts_the_verdicts(cells):
    text = render_orders(cells, "table2")
    assert "2 confirms, 1 contradicts, 3 open" in text
    assert "| ours > dip" in text
    assert "By Holm: 2 confirms, 1 contradicts, 3 open" in text
    assert "Under these kernels, and no others: levin/1 of the 8 of levin." in text
    frame = pd.read_csv(io.StringIO(render_orders(cells, "table2", "csv")))
    assert frame["verdict"].value_counts().to_dict() == {"open": 3, "confirms": 2, "contradicts": 1}


def test_one_dataset_of_a_table_stands_for_any(make_record, make_store):
    psnr = {"ours": (27.0, 28.5, 30.1), "ours:no-masking": (26.0, 27.4, 29.0)}
    records = [make_record(m, i, p) for m in psnr for i, p in zip("abc", psnr[m], strict=True)]
    frame = orders_frame(cells_frame(*make_store(*records)), "table9")
    assert frame["dataset"].tolist() == ["sample"]
    assert frame["verdict"].tolist() == ["confirms"]


def test_a_sweep_that_the_table_knows_nothing_of_is_refused(cells):
    with pytest.raises(UnknownNameError, match="did you mean table2"):
        orders_frame(cells, "tabel2")
    with pytest.raises(InputError, match=r"table4 has no two methods of the sweep under set12 levin gaussian:0\.05"):
        orders_frame(cells, "table4")
    with pytest.raises(InputError, match="table2 has no two methods"):
        orders_frame(cells[(cells["label"] == "ours") & (cells["noise"] == "gaussian:0.05")], "table2")


def test_kernels_with_noise_of_their_own_are_one_condition():
    """The six scenarios of Table 3 have one published mean."""
    rows = [
        {"label": label, "image": image, "kernel": kernel, "noise": noise, "psnr": 30.0 + gain + number / 10}
        for kernel, noise in table("table3").conditions[0].noise_of_kernels.items()
        for number, image in enumerate("abc")
        for label, gain in (("ours", 1.0 if kernel == "danielyan/1" else 0.4), ("dip", 0.0))
    ]
    own = {
        "dataset": "set12",
        "kernel_set": "danielyan",
        "noise_seed": 0,
        "seed": 0,
        "preset": "paper",
        "source": "computed",
    }
    frame = orders_frame(pd.DataFrame(rows).assign(declared="known", status="done", **own), "table3")
    assert frame["noise"].tolist() == ["of the kernels"]
    assert frame["difference"].tolist() == pytest.approx([0.5])
    assert frame["pairs"].tolist() == [18]
