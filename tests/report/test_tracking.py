import gc
import json
import logging
import math
import os
import shutil
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from nidbench.analysis.cells import SweepCells
from nidbench.analysis.summary import summary_frame
from nidbench.api import reporting
from nidbench.cli import main
from nidbench.errors import NidbenchError
from nidbench.records import Store, Sweep
from nidbench.report import tracking
from nidbench.report.tracking import EXPERIMENT, TrackingError, default_uri, experiment_page, sync, ui_command
from nidbench.scoring.score import Score

# SQLAlchemy, of its own use by MLflow; nidbench.report.tracking does the same while it syncs.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="session")
def database(tmp_path_factory):
    """A database with its tables and nothing in it: making one takes seconds, copying one does not."""
    store = Store(tmp_path_factory.mktemp("database"))
    client = client_of(store)
    client.search_experiments()
    return store.root / "mlflow.db"


@pytest.fixture(autouse=True)
def no_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def tracked(database, make_store):
    def make(*records, **options):
        store, sweep = make_store(*records, **options)
        shutil.copy(database, store.root / "mlflow.db")
        return store, sweep

    return make


def client_of(store):
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=default_uri(store))


def runs(store):
    """The parent of the only sweep and its children by name."""
    client = client_of(store)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    found = client.search_runs([experiment], max_results=100)
    (parent,) = [run for run in found if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in found if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} <= {parent.info.run_id}
    return parent, {run.info.run_name: run for run in children}


def artifact(run, name):
    return (path_of(run) / name).read_text()


def path_of(run):
    from mlflow.utils.file_utils import local_file_uri_to_path

    return Path(local_file_uri_to_path(run.info.artifact_uri))


def test_parent_children_metrics_and_params(tracked, make_record):
    store, sweep = tracked(
        make_record("ours", "cat", 26.0, curve=((50, 25.0), (100, 27.0))),
        make_record("ours", "dog", 28.0, curve=((50, 26.0),), input_psnr=22.0),
        make_record("ours", "cat", 27.0, seed=1),
        make_record("dip", "cat", 25.0),
        make_record("dip", "dog", status="timeout", error="over 60 s"),
    )
    _, run_id = sync(store, SweepCells.read(store, sweep))
    parent, children = runs(store)
    assert (parent.info.run_id, parent.info.run_name, parent.info.status) == (run_id, "demo", "FAILED")
    assert parent.data.tags["nidbench.sweep"] == "demo"
    assert (parent.data.metrics["cells"], parent.data.metrics["failures"]) == (5, 1)
    assert set(children) == {
        f"{who} fast sample gaussian:0.05 seed {n}" for who, n in (("ours", 0), ("ours", 1), ("dip", 0))
    }
    ours, dip = children["ours fast sample gaussian:0.05 seed 0"], children["dip fast sample gaussian:0.05 seed 0"]
    assert (ours.data.metrics["psnr"], ours.data.metrics["input_psnr"], ours.data.metrics["seconds"]) == (27, 21, 10)
    assert (ours.data.metrics["oracle_psnr"], ours.data.metrics["end_psnr"]) == (26.5, 26.5)
    assert (dip.data.metrics["psnr"], dip.data.metrics["failures"], dip.info.status) == (25, 1, "FAILED")
    assert ours.info.status == "FINISHED"
    assert ours.info.end_time - ours.info.start_time == 20_000
    expected = {
        "label": "ours",
        "preset": "fast",
        "settings.lr": "0.002",
        "environment.torch": "2.13.0",
        "device": "cpu",
    }
    assert expected.items() <= ours.data.params.items()
    assert ours.data.tags["nidbench.sweep"] == "demo"
    history = client_of(store).get_metric_history(ours.info.run_id, "curve/psnr")
    assert [(point.step, point.value) for point in history] == [(50, 25.5), (100, 27.0)]
    counted = client_of(store).get_metric_history(ours.info.run_id, "curve/cells")
    assert [point.value for point in counted] == [2, 1]


def test_metrics_are_means_over_images_as_in_tables(tracked, make_record):
    store, sweep = tracked(
        *(
            make_record("ours", "cat", psnr, ssim=0.7, kernel=f"levin/{kernel}", seconds=8.0, input_psnr=psnr - 6)
            for kernel, psnr in ((1, 26.0), (2, 27.0), (3, 28.0))
        ),
        make_record("ours", "dog", 31.0, ssim=0.9, seconds=16.0, input_psnr=29.0, measures={"chi_squared": 2.0}),
    )
    cells = SweepCells.read(store, sweep)
    sync(store, cells)
    parent, children = runs(store)
    table = summary_frame(cells.frame()).set_index("method")
    (ours,) = children.values()
    for name in ("psnr", "ssim", "seconds"):
        assert ours.data.metrics[name] == parent.data.metrics[f"{name}/ours"] == pytest.approx(table.loc["ours", name])
    assert ours.data.metrics["psnr"] == pytest.approx((27 + 31) / 2)
    assert ours.data.metrics["seconds"] == 10.0
    assert ours.data.metrics["input_psnr"] == pytest.approx(table.loc["input", "psnr"]) == pytest.approx((21 + 29) / 2)
    assert ours.data.metrics["chi_squared"] == 2.0


def test_artifacts(tracked, make_record, tmp_path):
    store, sweep = tracked(make_record("ours"), name="with space")
    sheet = tmp_path / "sheet.png"
    sheet.write_bytes(b"picture")
    sync(store, SweepCells.read(store, sweep), sheets=[sheet], tables={"table.md": "| PSNR |"})
    parent, (child,) = runs(store)[0], runs(store)[1].values()
    assert path_of(parent).is_relative_to((store.root / "mlartifacts").resolve())
    assert (path_of(parent) / "sheets" / "sheet.png").read_bytes() == b"picture"
    assert artifact(parent, "tables/table.md") == "| PSNR |"
    assert json.loads(artifact(parent, "asked.json")) == sweep.asked
    environment = {"cells": 1, "environment": {"python": "3.11", "torch": "2.13.0"}}
    assert json.loads(artifact(parent, "environment.json")) == {"environments": [environment]}
    for run in (parent, child):
        assert artifact(run, "cells.csv").splitlines()[1].startswith("ours,fast,,sample,cat,levin,levin/1")
    sheet.write_bytes(b"another picture")
    sync(store, SweepCells.read(store, sweep), sheets=[sheet])
    assert (path_of(parent) / "sheets" / "sheet.png").read_bytes() == b"another picture"


def test_again_writes_nothing_and_one_more_cell_only_its_run(tracked, make_record):
    ours, dip, late = make_record("ours"), make_record("dip"), make_record("dip", "dog", 36.0)
    store, sweep = tracked(ours, dip, missing=(late,))
    first = sync(store, SweepCells.read(store, sweep))
    before = runs(store)[1]
    assert (before["dip fast sample gaussian:0.05 seed 0"].info.status, runs(store)[0].info.status) == ("KILLED",) * 2
    assert sync(store, SweepCells.read(store, sweep)) == first
    assert {run.info.run_id for run in runs(store)[1].values()} == {run.info.run_id for run in before.values()}
    store.write(late, {})
    assert sync(store, SweepCells.read(store, sweep)) == first
    parent, after = runs(store)
    name = "ours fast sample gaussian:0.05 seed 0"
    assert after[name].info.run_id == before[name].info.run_id
    name = "dip fast sample gaussian:0.05 seed 0"
    assert after[name].info.run_id != before[name].info.run_id
    assert (after[name].data.metrics["psnr"], after[name].data.metrics["missing"]) == (31, 0)
    assert (len(after), parent.data.metrics["missing"], parent.info.status) == (2, 0, "FINISHED")


@pytest.mark.parametrize(
    "change", ["nothing", "note damaged", "note gone", "record", "database", "run", "table", "sheet"]
)
def test_mlflow_is_asked_unless_all_is_as_it_was_left(tracked, make_record, monkeypatch, change, tmp_path):
    ours, late = make_record("ours"), make_record("dip")
    store, sweep = tracked(ours, missing=(late,))
    tables, sheet = {"demo.md": "a table"}, tmp_path / "sheet.png"
    sheet.write_bytes(b"picture")
    first = sync(store, SweepCells.read(store, sweep), tables=tables, sheets=[sheet])
    note = store.root / "tracked" / "demo.json"
    if change == "note damaged":
        note.write_bytes(note.read_bytes()[:-5])
    elif change == "note gone":
        note.unlink()
    elif change == "record":
        store.write(late, {})
    elif change == "database":
        (store.root / "mlflow.db").unlink()
    elif change == "run":
        client_of(store).set_tag(first.run, "mine", "1")
    elif change == "table":
        tables["demo.md"] = "another"
    elif change == "sheet":
        sheet.write_bytes(b"another")
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", None)  # asking it fails
    cells = SweepCells.read(store, sweep)
    if change == "nothing":
        assert sync(store, cells, tables=tables, sheets=[sheet]) == first
        return
    with pytest.raises(TrackingError, match="cannot be imported"):
        sync(store, cells, tables=tables, sheets=[sheet])


def test_what_the_sweep_no_longer_has_goes(tracked, make_record):
    store, sweep = tracked(make_record("ours"), make_record("dip"))
    sync(store, SweepCells.read(store, sweep))
    sync(store, SweepCells.read(store, Sweep(sweep.name, sweep.asked, sweep.cells[:1])))
    assert list(runs(store)[1]) == ["ours fast sample gaussian:0.05 seed 0"]


def test_a_run_cut_off_while_written_is_written_again(tracked, make_record):
    store, sweep = tracked(make_record("ours"))
    sync(store, SweepCells.read(store, sweep))
    (cut,) = runs(store)[1].values()
    client_of(store).delete_tag(cut.info.run_id, "nidbench.cell_set_hash")
    sync(store, SweepCells.read(store, sweep))
    (whole,) = runs(store)[1].values()
    assert whole.info.run_id != cut.info.run_id


def test_what_was_deleted_in_the_browser_comes_back(tracked, make_record):
    store, sweep = tracked(make_record("ours"))
    first = sync(store, SweepCells.read(store, sweep))
    client = client_of(store)
    client.delete_experiment(client.get_experiment_by_name(EXPERIMENT).experiment_id)
    sync(store, SweepCells.read(store, sweep))
    client.delete_run(first.run)
    assert sync(store, SweepCells.read(store, sweep)) != first
    assert len(runs(store)[1]) == 1


def test_two_sweeps_and_two_folders_share_a_database(tracked, make_record):
    store, sweep = tracked(make_record("ours"))
    other, _ = tracked(make_record("ours"), name="other's")
    uri = default_uri(store)
    ids = {
        sync(store, SweepCells.read(store, sweep)),
        sync(store, SweepCells.read(store, Sweep("again", {}, sweep.cells))),
        sync(other, SweepCells.read(other, sweep), tracking_uri=uri),
    }
    assert len(ids) == 3
    assert sync(other, SweepCells.read(other, sweep), tracking_uri=uri) in ids


def test_a_folder_whose_name_has_both_quotes(tracked, make_record):
    store, sweep = tracked(make_record("ours"))
    shutil.copytree(store.root, folder := store.root.parent / 'it\'s "mine"')
    store = Store(folder)
    first = sync(store, SweepCells.read(store, sweep))
    assert sync(store, SweepCells.read(store, Sweep(sweep.name, {"changed": True}, sweep.cells))) == first
    assert runs(store)[0].info.run_id == first.run


def test_values_that_are_not_finite(tracked, make_record):
    scores = {"half-kernel": Score(math.inf, math.nan)}
    curve = ((50, math.nan), (100, math.inf), (150, 30.0))
    store, sweep = tracked(make_record("ours", scores=scores, curve=curve, seconds=None))
    sync(store, SweepCells.read(store, sweep))
    (ours,) = runs(store)[1].values()
    assert not {"psnr", "ssim", "seconds"} & set(ours.data.metrics)
    assert ours.data.tags["nidbench.psnr"] == "inf"
    assert [point.step for point in client_of(store).get_metric_history(ours.info.run_id, "curve/psnr")] == [150]


def test_names_that_mlflow_would_refuse_and_long_curves(tracked, make_record):
    settings = {"a=b[é]": "x" * 7000, **{f"s{n}": n for n in range(150)}}
    curve = tuple((n, float(n)) for n in range(1, 1203))
    store, sweep = tracked(make_record("ours@fast[lr=2e-3]", settings=settings, curve=curve))
    sync(store, SweepCells.read(store, sweep))
    (ours,) = runs(store)[1].values()
    assert ours.data.params["settings.s149"] == "149"
    assert ours.data.params["settings.a_b___"].startswith("xxx")
    assert len(client_of(store).get_metric_history(ours.info.run_id, "curve/psnr")) == 1202


def test_each_record_is_read_once(tracked, make_record, monkeypatch):
    store, sweep = tracked(*(make_record("ours", image, curve=((50, 25.0),)) for image in ("cat", "dog")))
    counts, read = Counter(), Store._read
    monkeypatch.setattr(Store, "_read", lambda self, cell_id: counts.update([cell_id]) or read(self, cell_id))
    sync(store, SweepCells.read(store, sweep))
    assert counts == dict.fromkeys((planned.id for planned in sweep.cells), 1)
    _, children = runs(store)
    assert children["ours fast sample gaussian:0.05 seed 0"].data.metrics["curve/psnr"] == 25.0


def test_corrupt_records_and_cells_without_results(tracked, make_record):
    torn = make_record("ours")
    store, sweep = tracked(torn, missing=(make_record("dip"),))
    (store.root / "cells" / torn.id / "record.json").write_text("{")
    sync(store, SweepCells.read(store, sweep))
    ours, dip = runs(store)[1].values()
    assert {ours.info.status, dip.info.status} == {"FAILED", "KILLED"}


def test_the_command_leaves_database_and_page_alone_where_nothing_is_new(tracked, make_record, monkeypatch):
    def told():
        ran = CliRunner().invoke(main, ["sync", "--output", str(store.root)])
        assert ran.exit_code == 0, ran.output
        return page.stat().st_mtime_ns, "importing MLflow" in ran.output

    store, sweep = tracked(make_record("ours"))
    page = store.root / "reports" / f"{sweep.name}.html"
    monkeypatch.setattr(reporting, "CELLS", 0)  # as of a sweep whose pictures are too many for one page
    (written, first), (again, second) = told(), told()
    assert (again, first, second) == (written, True, False)
    assert gc.isenabled()


def test_mlflow_may_be_told_by_the_environment(tracked, make_record, monkeypatch):
    store, sweep = tracked(make_record("ours"))
    uri = default_uri(store)
    (store.root / "mlflow.db").rename(store.root / "shared.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.replace("mlflow.db", "shared.db"))
    sync(store, SweepCells.read(store, sweep))
    assert not (store.root / "mlflow.db").exists()
    assert len(runs(store)[1]) == 1


@pytest.mark.parametrize("is_shared", [False, True])
def test_only_a_database_of_its_own_waits_for_the_disk_once(tracked, make_record, monkeypatch, is_shared):
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    store, sweep = tracked(make_record("ours"))
    settled, seen = [], set()
    monkeypatch.setattr(tracking, "settle", settled.extend)
    if is_shared:
        (store.root / "mlflow.db").rename(store.root / "shared.db")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", default_uri(store).replace("mlflow.db", "shared.db"))

    def look(connection, *_):
        seen.add(connection.execute("PRAGMA synchronous").fetchone()[0])

    event.listen(Engine, "checkout", look)
    try:
        sync(store, SweepCells.read(store, sweep))
    finally:
        event.remove(Engine, "checkout", look)
    assert seen == {2 if is_shared else 0}  # full, or off
    assert settled == ([] if is_shared else [store.root / "mlflow.db"])


def test_a_server_that_is_down_costs_little(make_record, make_store):
    store, sweep = make_store(make_record("ours"))
    import mlflow  # noqa: F401 - not what is timed

    start = time.perf_counter()
    with pytest.raises(TrackingError, match=r"http://127\.0\.0\.1:1 cannot be written .*nidbench sync") as caught:
        sync(store, SweepCells.read(store, sweep), tracking_uri="http://127.0.0.1:1")
    assert time.perf_counter() - start < 5
    assert isinstance(caught.value, NidbenchError)
    assert "\n" not in str(caught.value)


def test_a_damaged_database_is_one_line(make_record, make_store):
    store, sweep = make_store(make_record("ours"))
    (store.root / "mlflow.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(TrackingError, match=r"cannot be written .*file is not a database") as caught:
        sync(store, SweepCells.read(store, sweep))
    assert "\n" not in str(caught.value)


def test_a_folder_moved_with_its_database(tracked, make_record):
    store, sweep = tracked(make_record("ours"))
    sync(store, SweepCells.read(store, sweep))
    moved = Store(store.root.rename(store.root.with_name("moved")))
    with pytest.raises(TrackingError, match="delete it, then call nidbench sync"):
        sync(moved, SweepCells.read(moved, sweep))


def test_mlflow_not_installed(make_record, make_store, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", None)
    store, sweep = make_store(make_record("ours"))
    with pytest.raises(TrackingError, match="pip install mlflow, or run with --tracking none"):
        sync(store, SweepCells.read(store, sweep))


def test_it_leaves_no_trace_and_says_nothing(tracked, make_record, capfd):
    store, sweep = tracked(make_record("ours"))
    environment, level = dict(os.environ), logging.getLogger("alembic").level
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sync(store, SweepCells.read(store, sweep))
    assert dict(os.environ) == environment
    assert logging.getLogger("alembic").level == level
    assert capfd.readouterr() == ("", "")


def test_a_new_database_is_made_in_silence(make_record, make_store, capfd):
    store, sweep = make_store(make_record("ours"))
    sync(store, SweepCells.read(store, sweep))
    assert len(runs(store)[1]) == 1
    assert capfd.readouterr() == ("", "")


def test_ui_command(make_store, monkeypatch):
    store, _ = make_store()
    command = ui_command(store)
    assert command[:4] == [sys.executable, "-m", "mlflow", "ui"]
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--backend-store-uri") + 1] == f"sqlite:///{store.root.resolve()}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://example.org")
    with pytest.raises(TrackingError, match=r"open https://example\.org in a browser"):
        ui_command(store)


def test_the_parent_has_each_method_s_means_and_the_report(tracked, make_record, tmp_path):
    store, sweep = tracked(
        make_record("ours", "cat", 26.0, ssim=0.7),
        make_record("ours", "dog", 28.0, ssim=0.8),
        make_record("ours:no-sa[lr=1e-3]", "cat", 25.0),
    )
    page = tmp_path / "demo.html"
    page.write_text("<html></html>")
    begun = []
    where = sync(store, SweepCells.read(store, sweep), report=page, begins=lambda: begun.append("once"))
    parent, _ = runs(store)
    metrics = parent.data.metrics
    assert (metrics["psnr/ours"], metrics["ssim/ours"], metrics["seconds/ours"]) == (27.0, 0.75, 10.0)
    assert metrics["psnr/ours:no-sa_lr_1e-3_"] == 25.0
    assert artifact(parent, "demo.html") == "<html></html>"
    assert where.page == f"/#/experiments/{parent.info.experiment_id}/runs/{parent.info.run_id}"
    again = sync(store, SweepCells.read(store, sweep), report=page, begins=lambda: begun.append("again"))
    assert (again, begun) == (where, ["once"])


def test_a_child_has_a_picture_of_what_was_restored(tracked, make_record):
    image = np.array([[[0.0, 0.5], [1.0, 2.0]]])
    store, sweep = tracked(make_record("ours"), arrays={"image": image})
    sync(store, SweepCells.read(store, sweep))
    (child,) = runs(store)[1].values()
    with Image.open(path_of(child) / "restoration.png") as picture:
        assert np.asarray(picture.convert("L")).tolist() == [[0, 128], [255, 255]]


def test_the_page_of_the_experiment(tracked, make_record):
    store, sweep = tracked(make_record("ours"))
    assert experiment_page(store) == "http://127.0.0.1:5000"
    sync(store, SweepCells.read(store, sweep))
    experiment = client_of(store).get_experiment_by_name(EXPERIMENT).experiment_id
    assert experiment_page(store) == f"http://127.0.0.1:5000/#/experiments/{experiment}/runs"
    for port in (("--port", "5001"), ("--port=5001",), ("-p", "5001")):
        assert experiment_page(store, port).startswith("http://127.0.0.1:5001/#/")
    (store.root / "mlflow.db").write_bytes(b"no database")
    assert experiment_page(store) == "http://127.0.0.1:5000"
