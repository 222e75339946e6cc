"""The report as a file: it says what tables say, shows the pixels that are scored, and treats every name as text."""

import base64
import io
import json
import os
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from nidbench.analysis.cells import SweepCells
from nidbench.analysis.differences import differences_frame
from nidbench.analysis.intervals import interval
from nidbench.analysis.pareto import front
from nidbench.analysis.summary import summary_frame
from nidbench.api.reporting import write_report
from nidbench.cli import main
from nidbench.errors import InputError, UnknownNameError
from nidbench.records import Choices, Store, Sweep
from nidbench.report import results_table
from nidbench.report.html import account, cases, curves, made_from, numbers, pictures
from nidbench.report.html.page import embedded
from nidbench.report.image_table import image_frame
from nidbench.report.shown_cells import choose
from nidbench.report.typeset import number
from nidbench.rescoring.measurements import Measurements
from nidbench.scoring.metrics import psnr
from nidbench.scoring.protocols import DEFAULT
from nidbench.system.whole_files import write_whole

SAMPLER = Path(__file__).parents[1] / "resources" / "sampler.py"
HOSTILE = ["</script><script>alert(1)</script>", "a\"b'c&d<b>e", "x" * 300, "Ünïcode-模糊-🙂", "tab\tand\nline\x1b[31m"]


class Page(HTMLParser):
    """What a page holds: its texts outside of scripts and styles, its elements, its data."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.scripts, self.rows = [], [], [], []
        self._inside, self._in_cell = "", False
        self.feed(text)
        self.data = json.loads(self.scripts[0])

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._inside = tag
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self._in_cell = True
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = ""
        self._in_cell &= tag not in ("td", "th")

    def handle_data(self, text):
        if self._inside == "script":
            self.scripts[-1] += text
        elif self._inside != "style":
            self.texts.append(text)
            if self._in_cell:
                self.rows[-1][-1] += text

    @property
    def text(self):
        return " ".join(self.texts)

    def row(self, name):
        return next(row for row in self.rows if row[:1] == [name])


def written(store, sweep, **options):
    return Page(write_report(store, SweepCells.read(store, sweep), "half-kernel", **options).read_text())


def call(*arguments, code=0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two images of `sample`; a method with a curve and a variance, and one without."""
    out = tmp_path_factory.mktemp("results")
    run = ["run", "--dataset", "sample", "--tracking", "none", "--no-pictures", "--in-process", "--device", "cpu"]
    run += ["--precision", "float32", "--method-file", SAMPLER, "--observe", 2, "--methods", "sampler,wiener"]
    call(*run, "--name", "real", "--output", out)
    return out


@pytest.fixture(scope="module")
def real(results):
    call("report", "--output", results)
    return Page((results / "reports" / "real.html").read_text())


def decoded(address):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,")))))


# --- numbers --------------------------------------------------------------------------------------------------------


def test_the_summary_has_the_texts_of_the_table(results, real):
    table = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in call("table", "--output", results).splitlines()
        if line.startswith("|")
    ]
    header, _, *rows = table
    for row in rows:
        shown = dict(zip(real.rows[0], real.row(row[3]), strict=True))
        assert {title: shown[title] for title in header[3:]} == dict(zip(header[3:], row[3:], strict=True))
    assert len(rows) == 3


def test_means_have_the_interval_over_images(make_record, make_store):
    values = {"a": 20.0, "b": 23.0, "c": 27.0}
    store, sweep = make_store(*(make_record("ours", image, value) for image, value in values.items()))
    frame = summary_frame(SweepCells.read(store, sweep).frame())
    low, high = interval(np.array(list(values.values())))
    assert frame[["psnr_low", "psnr_high"]].to_numpy()[1].tolist() == [low, high]
    assert f"[{low:.2f}, {high:.2f}]" in written(store, sweep, pictures=False).row("ours")


def test_differences_are_those_of_the_command_to_every_reference(make_record, make_store):
    scores = {"ours": (26.0, 28.0, 29.5), "dip": (25.0, 26.5, 28.7), "fid": (25.5, 28.5, 29.0)}
    records = [
        make_record(name, image, value) for name, row in scores.items() for image, value in zip("abc", row, strict=True)
    ]
    store, sweep = make_store(*records)
    data = written(store, sweep, pictures=False, against="fid").data
    cells = SweepCells.read(store, sweep).frame()
    assert data["methods"][data["differences"]["first"]] == "fid"
    for reference in data["differences"]["references"]:
        frame = differences_frame(cells, data["methods"][reference["method"]]).set_index("method")
        (group,) = reference["groups"]
        assert len(group["rows"]) == 2
        for row in group["rows"]:
            expected = frame.loc[data["methods"][row["method"]]]
            assert [row[name] for name in ("difference", "low", "high")] == [
                expected[name] for name in ("difference", "low", "high")
            ]
            assert row["texts"]["verdict"] == expected["verdict"]
            assert row["texts"]["difference"] == number(expected["difference"], "+.2f")
    assert len(data["differences"]["references"]) == 3


def test_curves_end_at_what_was_returned(make_record, make_store):
    curve = ((10, 20.0), (20, 24.0))
    store, sweep = make_store(
        make_record("ours", "a", 26.0, curve=curve, iterations=40, seconds=8.0),
        make_record("ours", "b", 28.0, curve=curve, iterations=40, seconds=8.0),
        make_record("wiener", "a", 25.0, iterations=0, seconds=0.5),
    )
    data = written(store, sweep, pictures=False).data
    (mean,) = data["curves"]["means"]
    assert mean["iteration"] == [[10, 20, 40], [20, 24, 27]]
    assert mean["seconds"] == [[1, 2, 8], [20, 24, 27]]
    assert [each["psnr"] for each in data["curves"]["single"]] == [[20, 24, 26], [20, 24, 28]]
    (end,) = data["curves"]["ends"]
    assert (data["methods"][end["method"]], end["seconds"], end["psnr"]) == ("wiener", 0.5, 25)
    assert data["curves"]["groups"][0]["input"] == 20


def test_curves_and_what_stands_beside_them_are_means_over_images(make_record, make_store):
    cells = [("a", "levin/1", 20.0, 0), ("a", "levin/2", 22.0, 0), ("a", "levin/2", 24.0, 1), ("b", "levin/1", 31.0, 0)]
    records = [
        make_record(method, image, psnr, kernel=kernel, seed=seed, input_psnr=psnr - seed - 8, **others)
        for image, kernel, psnr, seed in cells
        for method, others in (("ours", {"curve": ((10, psnr - 5),), "iterations": 40}), ("wiener", {"iterations": 0}))
    ]
    data = written(*make_store(*records), pictures=False).data["curves"]
    (mean,) = data["means"]
    assert mean["iteration"] == [[10, 40], pytest.approx([(21.5 + 31) / 2 - 5, (21.5 + 31) / 2])]
    (end,) = data["ends"]
    assert end["psnr"] == pytest.approx((21.5 + 31) / 2)
    assert data["groups"][0]["input"] == pytest.approx(((12 + 14) / 2 + 23) / 2)


def test_a_long_curve_keeps_its_ends_and_few_points():
    chosen = curves._chosen(5000)
    assert (chosen[0], chosen[-1]) == (0, 4999)
    assert len(chosen) <= 90
    assert chosen == sorted(set(chosen))


def test_the_pareto_front():
    costs, scores = [1.0, 2.0, 3.0, 3.0, float("nan"), 5.0], [20.0, 19.0, 25.0, 24.0, 30.0, 25.0]
    assert front(costs, scores) == [True, False, True, False, False, False]
    assert front([1.0, 1.0], [2.0, 2.0]) == [True, True]


def test_scores_by_case(make_record, make_store):
    store, sweep = make_store(
        make_record("ours", "a", 26.0),
        make_record("ours", "a", 28.0, seed=1),
        make_record("dip", "a", 25.0),
        make_record("dip", "b", status="timeout"),
        missing=(make_record("ours", "b"),),
    )
    cells = SweepCells.read(store, sweep).frame()
    frame = image_frame(cells)
    assert list(frame.columns) == ["input", "ours", "dip"]
    assert frame.loc[("sample", "a", "levin/1", "gaussian:0.05", 0, "known")].tolist() == [20, 27, 25]
    shown = cases.scores(cells, "half-kernel", str)
    assert [[cell["text"] for cell in row["cells"]] for row in shown["rows"]] == [
        ["a", "20.00", "27.00", "25.00"],
        ["b", "20.00", "missing", "timeout"],
    ]
    assert [cell["best"] for cell in shown["rows"][0]["cells"]] == [False, False, True, False]
    assert len(shown["rows"]) == len(cases.order(cells))


def test_what_methods_were_told_keeps_rows_points_and_means_apart(make_record, make_store):
    told = {"known": (30.0, 28.0), "x2": (20.0, 24.0)}
    store, sweep = make_store(
        *(
            make_record(name, image, value, declared=declared, seconds=seconds)
            for declared, values in told.items()
            for name, value, seconds in zip(("ours", "dip"), values, (8.0, 2.0), strict=True)
            for image in "ab"
        )
    )
    cells = SweepCells.read(store, sweep).frame()
    page = written(store, sweep, pictures=False)
    rows = [row[:3] for row in page.rows if row[:1] == ["ours"]]
    assert rows == [["ours", "known", "30.00"], ["ours", "x2", "20.00"]]
    assert image_frame(cells).reset_index()[["image", "declared", "ours", "dip"]].to_numpy().tolist() == [
        [image, declared, *values] for image in "ab" for declared, values in told.items()
    ]
    shown = cases.scores(cells, "half-kernel", str)
    assert [row["case"] for row in shown["rows"]] == [0, 0, 1, 1]
    groups = page.data["cost"]
    assert [group["title"].partition(", ")[2] for group in groups] == ["", "declared x2"]
    for group, values in zip(groups, told.values(), strict=True):
        assert [point["psnr"] for point in group["points"]] == list(values)
        assert [point["front"] for point in group["points"]] == [values[0] > values[1], True]
        assert group["input"] == 20


def test_a_method_that_lacks_measurements_is_not_on_the_front(make_record, make_store):
    records = [make_record("ours", i, p) for i, p in zip("ab", (24, 20), strict=True)]
    lacking = [make_record("dip", "a", 30.0, seconds=1.0), make_record("dip", "b", seconds=1.0, status="failed")]
    page = written(*make_store(*records, *lacking), pictures=False)
    assert [point["front"] for point in page.data["cost"][0]["points"]] == [True, False]


@pytest.mark.parametrize("form", ["md", "html", "latex", "csv"])
def test_names_that_rounding_would_make_alike_stay_apart(make_record, make_store, form):
    names = ["tv[weight=0.5123456789]", "tv[weight=0.512345678]"]
    store, sweep = make_store(*(make_record(name, "a", 20 + place) for place, name in enumerate(names)))
    page = written(store, sweep, pictures=False)
    assert page.data["methods"] == names
    assert [row[0] for row in page.rows if row[:1] and row[0].startswith("tv[")][:2] == names
    for by_image in ([], ["--by-image"]):
        text = call("table", sweep.name, "--output", store.root, "--format", form, *by_image).replace("{[}", "[")
        assert all(name in text for name in names)


def test_every_column_of_numbers_has_a_meaning():
    assert {title for title, _ in results_table.NUMBERS.values()} <= set(numbers.MEANINGS)


@pytest.mark.parametrize("name", ["input", "truth"])
def test_a_method_is_told_from_the_input_and_the_truth_beside_it(make_record, make_store, name):
    store, sweep = make_store(make_record(name, "a"), arrays={"image": np.full((1, 4, 6), 0.5)})
    assert list(choose(store, sweep.cells)[0]) == [f"{name} (method)"]


# --- pictures -------------------------------------------------------------------------------------------------------


def test_pictures_have_the_pixels_that_are_scored(results, real):
    store = Store(results)
    records = {cell.record.cell.case.image + cell.planned.label: cell.record for cell in read(store, "real").cells}
    assert len(real.data["cases"]) == 2
    for case in real.data["cases"]:
        panels = {panel["name"]: panel["pictures"] for panel in case["pictures"]["panels"]}
        assert list(panels) == ["input", "sampler", "wiener", "truth"]
        truth = reference(store, records[case["name"] + "wiener"])
        assert case["pictures"]["shape"] == list(truth.shape[:2])
        assert np.abs(decoded(panels["truth"]["image"]) / 255 - truth).max() <= 0.5 / 255 + 1e-6
        for name in ("sampler", "wiener"):
            record = records[case["name"] + name]
            shown = decoded(panels[name]["image"])
            assert psnr(shown / 255, truth) == pytest.approx(record.scores["half-kernel"].psnr, abs=1e-9)
        blurred = records[case["name"] + "wiener"].input_scores["half-kernel"].psnr
        assert psnr(decoded(panels["input"]["image"]) / 255, truth) == pytest.approx(blurred, abs=1e-9)
        assert "deviation" in panels["sampler"]
        assert "deviation" not in panels["wiener"]
        assert "error" not in panels["truth"]


def reference(store, record):
    """The truth that a record was scored against, cropped, with channels as a picture has them."""
    case = Measurements(store.sweep("real")).case(record.cell)
    truth = DEFAULT.reference(case.problem(), case.truths()[0])
    return truth[0] if len(truth) == 1 else truth.transpose(1, 2, 0)


def read(store, name):
    return SweepCells.read(store, store.sweep(name))


def test_the_colour_of_an_error_is_its_sign(real):
    panels = {panel["name"]: panel["pictures"] for panel in real.data["cases"][0]["pictures"]["panels"]}
    image, truth = (decoded(panels[name]["image"]).astype(float) for name in ("wiener", "truth"))
    difference = image - truth if image.ndim == 2 else (image - truth).mean(axis=2)
    red, _, blue = np.moveaxis(np.asarray(as_rgb(panels["wiener"]["error"])).astype(float), 2, 0)
    assert (red - blue)[difference > 10].mean() > 20
    assert (red - blue)[difference < -10].mean() < -20


def as_rgb(address):
    return Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,")))).convert("RGB")


@pytest.mark.parametrize("channels", [1, 3])
def test_a_png_holds_the_pixels(channels):
    image = np.random.Generator(np.random.Philox(1)).integers(0, 256, (channels, 5, 7), dtype=np.uint8)
    found = np.asarray(Image.open(io.BytesIO(pictures.png(image))))
    assert (found.reshape(5, 7, channels) == image.transpose(1, 2, 0)).all()


def test_values_that_are_no_numbers_are_levels_all_the_same():
    assert pictures.levels(np.array([[[np.nan, np.inf, -np.inf, 0.5]]])).tolist() == [[[0, 255, 0, 128]]]


def test_without_its_data_a_case_shows_restorations_alone(make_record, make_store):
    store, sweep = make_store(make_record("ours", "a"), arrays={"image": np.full((1, 4, 6), 0.5)})
    (case,) = written(store, sweep).data["cases"]
    (panel,) = case["pictures"]["panels"]
    assert (panel["name"], decoded(panel["pictures"]["image"]).tolist()) == ("ours", [[128] * 6] * 4)
    assert case["pictures"]["note"].startswith("Restorations only, not cropped")


def test_a_restoration_that_cannot_be_read_costs_no_other(results, tmp_path):
    import shutil

    shutil.copytree(results, tmp_path / "copy")
    store = Store(tmp_path / "copy")
    broken = next(cell.record for cell in read(store, "real").cells if cell.planned.label == "wiener")
    store.file(broken, "arrays.npz").write_bytes(b"PK")
    case = written(store, store.sweep("real")).data["cases"][0]["pictures"]
    assert [panel["name"] for panel in case["panels"]] == ["input", "sampler", "truth"]
    assert case["lacking"] == ["wiener (its restoration cannot be read)"]


# --- one file, or a folder ------------------------------------------------------------------------------------------


def test_the_same_records_give_the_same_file_which_needs_no_other(results, real):
    file = results / "reports" / "real.html"
    before = file.read_bytes()
    call("report", "real", "--output", results)
    assert file.read_bytes() == before
    for tag, attributes in real.tags:
        assert tag not in ("link", "iframe", "object")
        assert all(
            value is None or value.startswith(("#", "data:"))
            for name, value in attributes.items()
            if name in ("src", "href")
        )
    assert not re.search(rb"(src|href)=|url\(|@import", before.split(b"<style>")[1].split(b"</style>")[0])
    policy = next(attributes["content"] for tag, attributes in real.tags if attributes.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2]


def test_a_folder_has_the_same_pictures_as_files_and_forgets_those_of_before(results, real, tmp_path):
    folder = tmp_path / "site"
    call("report", "real", "--output", results, "--folder", folder)
    page = Page((folder / "index.html").read_text())
    for single, beside in zip(real.data["cases"], page.data["cases"], strict=True):
        for mine, other in zip(single["pictures"]["panels"], beside["pictures"]["panels"], strict=True):
            for kind, address in other["pictures"].items():
                content = (folder / address).read_bytes()
                assert content == base64.b64decode(mine["pictures"][kind].partition(",")[2])
    there = {f"pictures/{path.name}" for path in (folder / "pictures").iterdir()}
    assert there == {address for case in page.data["cases"] for address in cases.addresses(case["pictures"])}
    (folder / "pictures" / f"{'00ff' * 5}.png").write_bytes(b"of an earlier report")
    (folder / "mine.txt").write_text("stays")
    call("report", "real", "--output", results, "--folder", folder)
    assert {f"pictures/{path.name}" for path in (folder / "pictures").iterdir()} == there
    assert (folder / "mine.txt").exists()
    cut = folder / "pictures" / next(iter(there)).removeprefix("pictures/")
    whole = cut.read_bytes()
    cut.write_bytes(b"")  # as a power cut may leave it
    call("report", "real", "--output", results, "--folder", folder)
    assert cut.read_bytes() == whole


def test_a_folder_that_was_cut_off_is_written_again(sample_store, tmp_path):
    (tmp_path / "f" / "pictures").mkdir(parents=True)
    assert written(*sample_store, folder=tmp_path / "f").data["methods"] == ["ours", "dip"]


def test_more_than_fifty_cells_want_a_folder(make_record, make_store, tmp_path):
    store, sweep = make_store(missing=tuple(make_record("ours", str(n)) for n in range(51)))
    with pytest.raises(InputError, match=r"51 cells, and one page takes 50 at most: give --folder DIR .*--no-pict"):
        written(store, sweep)
    assert not (store.root / "reports").exists()
    assert len(written(store, sweep, pictures=False).data["cases"]) == 51
    assert write_report(store, SweepCells.read(store, sweep), "half-kernel", folder=tmp_path / "f").name == "index.html"


def test_what_is_no_report_stays(sample_store, tmp_path):
    store, sweep = sample_store
    file = tmp_path / "thesis.html"
    file.write_text("<html>mine</html>")
    with pytest.raises(InputError, match=r"thesis\.html is no report of nidbench, and stays as it is"):
        written(store, sweep, file=file)
    assert file.read_text() == "<html>mine</html>"
    with pytest.raises(InputError, match="holds other files"):
        written(store, sweep, folder=tmp_path)
    with pytest.raises(InputError, match="give one of them"):
        written(store, sweep, file=file, folder=tmp_path / "new")
    with pytest.raises(UnknownNameError, match="unknown method of the sweep 'nobody'"):
        written(store, sweep, against="nobody")
    assert not (store.root / "reports").exists()


def test_a_person_s_pictures_stay(sample_store, tmp_path):
    store, sweep = sample_store
    mine = tmp_path / "project" / "pictures" / "holiday.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(InputError, match="holds other files"):
        written(store, sweep, folder=tmp_path / "project")
    report = tmp_path / "report"
    for _ in range(2):
        write_report(store, SweepCells.read(store, sweep), "half-kernel", folder=report)
        (report / "pictures" / "note.png").write_bytes(b"mine")
    write_report(store, SweepCells.read(store, sweep), "half-kernel", folder=report, pictures=False)
    assert mine.read_bytes() == (report / "pictures" / "note.png").read_bytes() == b"mine"


def test_places_that_cannot_be_written_are_said(sample_store, tmp_path):
    store, sweep = sample_store
    (tmp_path / "file").write_text("")
    for arguments in (["-o", tmp_path / "file" / "x.html"], ["--folder", tmp_path / "file" / "x"], ["-o", tmp_path]):
        output = call("report", sweep.name, "--output", store.root, "--no-pictures", *arguments, code=2)
        assert "Traceback" not in output
        assert str(tmp_path) in output


# --- names, failures, how it was run --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE)
def test_every_name_is_text(name, make_record, make_store):
    trace = f"Traceback (most recent call last):\nValueError: {name}\n"

    def page_of(name):
        store, sweep = make_store(
            make_record(name, name, 26.0, curve=((10, 20.0),), environment={"cpu": name}),
            make_record(name, name + "2", 27.0, kernel=f"{name}/1", noise=name),
            make_record("dip", name, status="failed", error=trace),
            name=f"results of {len(name)}",
        )
        return written(store, sweep)

    page = page_of(name)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in page_of("plain").tags]
    shown = "".join(letter if letter.isprintable() else " " for letter in name)
    assert shown in page.data["methods"]
    assert shown in page.text
    assert "\x1b" not in page.text


def test_data_cannot_end_its_element():
    hostile = {"</script>": ["<!--", "\u2028", float("inf"), float("nan"), "&amp;"]}
    text = str(embedded(hostile))
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"</script>": ["<!--", "\u2028", None, None, "&amp;"]}


def test_failures_have_their_tracebacks_and_files(sample_store):
    store, sweep = sample_store
    page = written(store, sweep, pictures=False)
    assert 'File "x.py", line 1, in f' in page.text
    file = next(text for text in page.texts if text.endswith("log.json"))
    assert json.loads((store.root / file).read_text())["error"].endswith("TimeoutError: over 60_000 s\n")
    assert "2.13.0" in page.text


def test_a_lost_log_costs_its_own_traceback_only(sample_store):
    store, sweep = sample_store
    failed = sweep.cells[3].id
    (store.root / "cells" / failed / "log.json").write_text("{")
    page = written(store, sweep, pictures=False)
    assert "It left no traceback." in page.text
    assert page.row("ours")[1] == "27.00"


def test_the_command_repeats_the_sweep(results, real):
    line = next(text for text in real.texts if text.startswith("nidbench run"))
    before = Store(results).sweep("real")
    *_, output = words = shlex.split(line)
    assert output == str(results)
    call(*words[1:], "--tracking", "none", "--no-pictures", "--in-process")
    after = Store(results).sweep("real")
    assert [planned.id for planned in after.cells] == [planned.id for planned in before.cells]


def test_several_grids_are_repeated_by_a_sweep_file():
    asked = {"experiments": [{"methods": "tv", "dataset": "sample"}, {"methods": "ours", "dataset": "sun"}]}
    said = account.commands(Sweep("two", asked, [], Choices("cpu", None, 3)), Path("results"))
    assert said["run"] == ["nidbench run --config sweep.toml --threads 3"]
    assert said["file"].count("[[experiment]]") == 2
    assert 'name = "two"' in said["file"]


def test_what_was_asked_in_another_version_is_said():
    for asked in ({"experiments": [{"method": "tv"}]}, {"experiments": []}, {}):
        said = account.commands(Sweep("odd", asked, []), Path("results"))
        assert (said["run"], said["note"]) == ([], "How it was asked for is not known to this version.")


def test_a_sweep_of_nothing_but_missing_cells_has_a_report(make_record, make_store):
    store, sweep = make_store(missing=(make_record("ours"), make_record("dip")))
    page = written(store, sweep)
    assert "2 of 2 cells are missing" in page.text
    assert page.data["curves"]["means"] == []


def test_one_method_has_no_differences(make_record, make_store):
    store, sweep = make_store(make_record("ours"))
    page = written(store, sweep, pictures=False)
    assert page.data["differences"]["references"] == []
    assert "differences need two" in page.text


# --- a page that would be the same ----------------------------------------------------------------------------------


def test_a_page_that_would_be_the_same_is_left_alone(make_record, make_store, monkeypatch):
    store, sweep = make_store(make_record("ours", "a", 26.0), make_record("dip", "a", 25.0))

    def rewritten(protocol="half-kernel", **options):
        read, file = SweepCells.read(store, sweep), store.root / "reports" / f"{sweep.name}.html"
        before = file.stat().st_ino if file.exists() else None
        path = write_report(store, read, protocol, anew=False, **options)
        is_new = path.stat().st_ino != before
        assert path == file
        content = file.read_bytes()
        write_report(store, read, protocol, **options)
        assert file.read_bytes() == content  # what was left is what would have been written
        return is_new

    def edit():
        file = store.root / "reports" / f"{sweep.name}.html"
        file.write_bytes(file.read_bytes().replace(b"26.00", b"62.00"))

    assert rewritten()
    assert not rewritten()
    for changes in (
        lambda: edit(),
        lambda: store.write(make_record("ours", "a", 26.5), {"image": np.zeros((1, 4, 6))}),
        lambda: monkeypatch.setattr("nidbench.report.html.made_from.version", lambda _: "0.2"),
    ):
        changes()
        made_from._sources.cache_clear()
        assert rewritten()
        assert not rewritten()
    monkeypatch.undo()
    made_from._sources.cache_clear()
    assert rewritten(protocol="cut-30")
    assert rewritten(pictures=False)
    assert rewritten(pictures=False, against="dip")


def test_a_log_or_an_array_written_anew_makes_another_page(make_record, make_store):
    store, sweep = make_store(make_record("ours", "a"), arrays={"image": np.zeros((1, 4, 6))})
    read = SweepCells.read(store, sweep)
    found = {made_from.made_from(store, read, "half-kernel", "", pictures=True)}
    for name in ("log.json", "arrays.npz"):
        file = store.file(read.cells[0].record, name)
        write_whole(file, file.read_bytes() + b" ")
        found.add(made_from.made_from(store, read, "half-kernel", "", pictures=True))
    kept = file.stat()
    file.write_bytes(bytes(reversed(file.read_bytes())))
    os.utime(file, ns=(kept.st_atime_ns, kept.st_mtime_ns))  # as who copies it with its times
    found.add(made_from.made_from(store, read, "half-kernel", "", pictures=True))
    assert len(found) == 4


def test_a_rerun_that_computes_nothing_leaves_the_report(results):
    file = results / "reports" / "real.html"
    run = ["run", "--dataset", "sample", "--tracking", "none", "--in-process", "--device", "cpu", "--observe", 2]
    run += ["--precision", "float32", "--method-file", SAMPLER, "--methods", "sampler,wiener", "--name", "real"]
    call(*run, "--output", results)
    before = file.stat()
    assert f"report    {file}" in call(*run, "--output", results)
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/null")])
def test_a_pipe_or_device_in_the_place_of_a_report_is_refused(sample_store, make):
    store, sweep = sample_store
    path = store.root / "reports" / f"{sweep.name}.html"
    path.parent.mkdir(exist_ok=True)
    make(path)
    with pytest.raises(InputError, match="is no report of nidbench, and stays as it is"):
        write_report(store, SweepCells.read(store, sweep), "half-kernel")
