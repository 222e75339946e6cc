"""The report in a real browser: `nox -s browser`. Without Playwright and a Chromium these tests are skipped.

`NIDBENCH_CHROMIUM` names the browser; by default it is `chromium` on the path. `NIDBENCH_DOCS_PICTURES` names a folder
that takes the screenshots, which are those of the documentation.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from frames import cells_frame

from nidbench.analysis.cells import SweepCells
from nidbench.api.reporting import write_report
from nidbench.records import Store

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install 'nidbench[browser]'")
CHROMIUM = os.environ.get("NIDBENCH_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium: set NIDBENCH_CHROMIUM"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Playwright's own
]

HOSTILE = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>\"'&", "x" * 300, "模糊‮🙂"]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def visit(browser):
    """Open an address, and fail at the end where the page said anything on its console or asked for the network."""
    said, contexts = [], []

    def visit(address, width=1200, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: said.append(request.url) if request.url.startswith("http") else None)
        page.goto(address)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The sweep of the documentation's pictures."""
    out = tmp_path_factory.mktemp("browser") / "results"
    run = ["run", "--methods", "tv,fid,wiener,richardson-lucy", "--dataset", "sample", "--name", "sample"]
    run += ["--tracking", "none", "--no-pictures", "--threads", "1", "--precision", "float32", "--output", str(out)]
    subprocess.run([sys.executable, "-P", "-m", "nidbench", *run], check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def report(results):
    store = Store(results)
    return write_report(store, SweepCells.read(store, store.sweep("sample")), "half-kernel").as_uri()


@pytest.fixture
def hostile(make_record, make_store):
    """A report whose every name means harm, with failures and several images."""
    trace = "Traceback (most recent call last):\nValueError: {}\n"
    records = [
        make_record(name, f"{image}{name}", 20 + 3 * n + image, curve=((10, 15.0), (20, 20.0 + n)), iterations=30)
        for n, name in enumerate(HOSTILE)
        for image in range(3)
    ]
    records += [make_record("dip", f"0{name}", status="failed", error=trace.format(name)) for name in HOSTILE]
    store, sweep = make_store(*records)
    return write_report(store, SweepCells.read(store, sweep), "half-kernel").as_uri()


@pytest.fixture
def single(make_record, make_store):
    """A report of one method, without anything to compare it with."""
    store, sweep = make_store(make_record("ours", "a", 20), make_record("ours", "b", 21))
    return write_report(store, SweepCells.read(store, sweep), "half-kernel", pictures=False).as_uri()


@pytest.fixture
def in_folder(results, tmp_path):
    """The report with its pictures, gray and colour, as files beside it."""
    store = Store(results)
    sweep_cells = SweepCells.read(store, store.sweep("sample"))
    return write_report(store, sweep_cells, "half-kernel", folder=tmp_path / "f").as_uri()


def texts(page, selector):
    return [" ".join(text.split()) for text in page.locator(selector).all_inner_texts()]


def column(page, number):
    return texts(page, f"#summary-table tbody tr:not(.group) > :nth-child({number})")


# --- what it shows --------------------------------------------------------------------------------------------------


def test_it_shows_the_numbers_of_the_table(visit, report, results):
    page = visit(report)
    command = [sys.executable, "-P", "-m", "nidbench", "table", "--output", str(results)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines() if line[:1] == "|"]
    titles = [title.rstrip(" ↕") for title in texts(page, "#summary-table thead th")]
    for name in ("method", "cells", "PSNR", "SSIM", "s", "it.", "MB"):
        assert column(page, titles.index(name) + 1) == [row[rows[0].index(name)] for row in rows[2:]]


def test_the_summary_sorts_and_keeps_the_input_on_top(visit, report, results):
    page = visit(report)
    cells = cells_frame(Store(results), Store(results).sweep("sample"))
    best_first = list(cells.groupby("label")["psnr"].mean().sort_values(ascending=False).index)
    button = page.get_by_role("button", name="PSNR", exact=True)
    asked = list(cells["label"].unique())
    for state, order in (("descending", best_first), ("ascending", best_first[::-1]), ("none", asked)):
        button.click()
        assert column(page, 1) == ["input", *order]
        assert page.locator("#summary-table th", has=button).get_attribute("aria-sort") == state
    page.get_by_role("button", name="method", exact=True).press("Enter")
    assert column(page, 1) == ["input", *sorted(best_first)]


def test_the_forest_follows_its_reference(visit, report):
    page = visit(report)
    assert texts(page, "#forest tbody tr:not(.group) th") == ["fid", "wiener", "richardson-lucy"]
    first = texts(page, "#forest tbody tr:not(.group) > :nth-child(3)")
    page.get_by_label("Difference in PSNR to").select_option("fid")
    second = dict(
        zip(
            texts(page, "#forest tbody tr:not(.group) th"),
            texts(page, "#forest tbody tr:not(.group) > :nth-child(3)"),
            strict=True,
        )
    )
    assert second["tv"] == first[0].replace("−", "+")  # noqa: RUF001 - the minus sign


def test_all_methods_are_on_one_axis(visit, report):
    page = visit(report)
    page.get_by_label("seconds", exact=True).check()
    assert texts(page, "#curve-legend li") == ["tv", "richardson-lucy", "fid", "wiener"]
    drawn = page.locator("#curve-chart polyline.line")
    assert drawn.count() == 4
    page.locator("#curve-legend button", has_text="tv").click()
    assert drawn.count() == 3
    assert page.locator("#curve-legend button", has_text="tv").get_attribute("aria-pressed") == "false"
    page.locator("#curve-chart svg").press("End")
    values = [text.split()[1:] for text in texts(page, "#curve-legend li")]
    assert values[0] == []
    assert all(re.fullmatch(r"\d\d\.\d\d", value) for (value,) in values[1:])
    page.locator("#curve-chart svg").press("Home")
    assert [text.split()[1:] for text in texts(page, "#curve-legend li")][1] == ["–"]  # noqa: RUF001 - not there yet


def test_the_curves_of_one_case_name_methods_without_one(visit, report):
    page = visit(report)
    page.get_by_label("Curves of").select_option(index=1)
    named = texts(page, "#curve-legend li")
    assert named[:-1] == ["tv", "richardson-lucy"]
    assert named[-1] == "without a curve of this case: fid, wiener"
    page.get_by_label("Curves of").select_option(index=0)
    assert not any(text.startswith("without") for text in texts(page, "#curve-legend li"))


def test_what_methods_were_told_has_rows_and_panels_of_its_own(visit, make_record, make_store):
    told = {"known": 30.0, "x2": 20.0}
    records = [
        make_record(name, image, value + place, declared=declared, seconds=1.0 + place)
        for declared, value in told.items()
        for place, name in enumerate(("ours", "dip"))
        for image in ("a", "b")
    ]
    store, sweep = make_store(*records)
    page = visit(write_report(store, SweepCells.read(store, sweep), "half-kernel", pictures=False).as_uri())
    assert column(page, 2) == ["–", "known", "known", "x2", "x2"]  # noqa: RUF001 - the input was told nothing
    assert column(page, 3) == ["20.00", "30.00", "31.00", "20.00", "21.00"]
    groups = page.get_by_label("Group").last.locator("option").all_inner_texts()
    assert [text.partition(", ")[2] for text in groups] == ["", "declared x2"]
    assert [text.split()[0] for text in texts(page, "#scores tbody tr")] == ["a", "a", "b", "b"]
    page.get_by_role("button", name="PSNR", exact=True).click()
    assert column(page, 3)[1:] == ["31.00", "30.00", "21.00", "20.00"]


@pytest.mark.parametrize("chart", ["#curve-chart", "#cost-chart"])
def test_nothing_is_drawn_outside_of_its_chart(visit, report, chart):
    page = visit(report)
    heights = page.locator(f"{chart} .input").evaluate_all("all => all.map(each => +each.getAttribute('y1'))")
    assert heights
    assert all(20 <= height <= float(page.locator(f"{chart} svg").get_attribute("height")) - 40 for height in heights)


def test_cost_names_every_method(visit, report):
    page = visit(report)
    names = page.locator("#cost-chart svg > text").evaluate_all("all => all.map(each => each.firstChild.data)")
    assert {"tv", "fid", "wiener", "richardson-lucy"} <= set(names)


# --- the viewer -----------------------------------------------------------------------------------------------------


def transforms(page):
    return page.locator("#viewer .frame img").evaluate_all("all => all.map(each => getComputedStyle(each).transform)")


def scales(page):
    return {round(float(re.match(r"matrix\(([\d.]+),", each)[1]), 3) for each in transforms(page)}


def test_pictures_zoom_and_move_in_step(visit, report):
    page = visit(report)
    assert page.locator("#panels img").count() == 6
    assert scales(page) == {1}
    frame = page.locator("#panels .frame").nth(2)
    frame.dblclick(position={"x": 20, "y": 30})
    assert scales(page) == {2}
    page.locator("#panels").press("+")
    assert scales(page) == {4}
    before = transforms(page)
    page.locator("#panels").press("ArrowRight")
    after = transforms(page)
    # those of one size move alike; the wipe's are larger
    assert len(set(after[:6])) == 1
    assert len(set(after)) <= 2
    assert all(one != other for one, other in zip(before, after, strict=True))
    box = frame.bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 90, box["y"] + 80, steps=3)
    page.mouse.up()
    assert transforms(page) != after
    assert len(set(transforms(page)[:6])) == 1
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    page.locator("#scale").filter(has_not_text=re.compile(r"^.4$")).wait_for()
    page.locator("#panels").press("0")
    assert scales(page) == {1}


def test_pictures_are_loaded_at_their_own_pixels(visit, report):
    page = visit(report)
    shapes = page.locator("#panels img").evaluate_all("all => all.map(each => [each.naturalWidth, each.naturalHeight])")
    assert len({tuple(shape) for shape in shapes}) == 1
    assert shapes[0][0] > 60
    assert page.locator("#panels img").first.evaluate("each => getComputedStyle(each).imageRendering") == "pixelated"


def test_errors_and_cases_are_chosen(visit, report):
    page = visit(report)
    first = page.locator("#panels img").first.get_attribute("src")
    page.get_by_label("errors").check()
    assert page.locator("#panels img").count() == 5  # all but the truth's
    assert page.locator("#scale-bar").is_visible()
    assert page.get_by_label("standard deviations").is_disabled()
    page.get_by_label("images", exact=True).check()
    page.get_by_role("button", name="Next case").click()
    assert page.locator("#panels img").first.get_attribute("src") != first
    page.locator("#scores button").first.click()
    assert page.locator("#panels img").first.get_attribute("src") == first
    assert page.evaluate("document.activeElement.id") == "panels"


def test_the_wipe_moves_by_keys(visit, report):
    page = visit(report)
    page.locator("#left").select_option("tv")
    page.locator("#right").select_option("truth")
    slider = page.locator("#wipe-at")
    slider.press("Home")
    clip = "document.defaultView.getComputedStyle(document.querySelector('#wipe-clip')).clipPath"
    assert "0%" in page.evaluate(clip) or page.evaluate(clip) == "inset(0px)"
    slider.press("ArrowRight")
    assert "1%" in page.evaluate(clip)
    assert page.locator("#wipe-right").get_attribute("alt") == "right: truth"


def test_a_folder_shows_the_same_and_loads_what_is_looked_at(visit, results, tmp_path):
    store = Store(results)
    sweep_cells = SweepCells.read(store, store.sweep("sample"))
    page = visit(write_report(store, sweep_cells, "half-kernel", folder=tmp_path / "f").as_uri())
    page.locator("#panels").scroll_into_view_if_needed()
    page.locator("#panels img").evaluate_all("all => Promise.all(all.map(each => each.decode()))")
    assert page.locator("#panels img").evaluate_all("all => all.every(each => each.naturalWidth > 60)")
    loaded = set(page.locator("img").evaluate_all("all => all.map(each => each.currentSrc)"))
    assert len(loaded) < len(list((tmp_path / "f" / "pictures").iterdir()))


# --- everybody ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["report", "hostile", "single", "in_folder"])
@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 390)])
def test_axe_finds_nothing_serious(visit, request, which, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = visit(request.getfixturevalue(which), width, color_scheme=scheme, bypass_csp=True)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    found = axe.Axe().run(page).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert not serious, json.dumps([(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in serious])


@pytest.mark.parametrize("width", [390, 1200])
def test_hostile_names_are_shown_harmlessly(visit, hostile, width):
    page = visit(hostile, width)
    shown = page.locator("#summary-table tbody th[scope=row]").all_text_contents()
    assert {name.strip() for name in shown} >= {"input", HOSTILE[0], HOSTILE[1], HOSTILE[2]}
    assert page.locator("script").count() == 2
    assert page.locator("img[onerror]").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator(".failure summary").first.click()
    assert HOSTILE[0] in page.locator(".failure pre").first.inner_text()


def test_every_control_is_reached_by_the_keyboard(visit, report):
    page = visit(report)
    reached = set()
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.getAttribute('class')"))
    assert {"theme", "against", "curve-case", "case", "next", "in", "panels", "left", "right", "wipe-at"} <= reached
    assert {"link", "sort"} <= reached


def test_the_theme_follows_the_system_and_a_button(visit, report):
    page = visit(report, color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.locator("#theme").click()
    light = page.evaluate(paper)
    assert (dark, light) == ("rgb(21, 24, 27)", "rgb(255, 255, 255)")
    assert page.locator("#theme").get_attribute("aria-pressed") == "false"


def test_nothing_leaves_the_width_of_a_phone(visit, report):
    page = visit(report, 390)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_it_prints(visit, report):
    page = visit(report)
    assert page.pdf().startswith(b"%PDF")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()


def test_tables_are_there_without_scripts(visit, report):
    page = visit(report, java_script_enabled=False)
    assert "tv" in column(page, 1)
    assert page.locator("#viewer").is_hidden()


@pytest.mark.parametrize(
    ("name", "width", "scheme", "first", "last"),
    [
        ("report-light", 1100, "light", "header", "#cost"),
        ("report-dark", 1100, "dark", "#cost", "#wipe"),
        ("report-phone", 390, "light", "header", "#curves"),
    ],
)
def test_screenshots(visit, report, tmp_path, name, width, scheme, first, last):
    folder = Path(os.environ.get("NIDBENCH_DOCS_PICTURES", tmp_path))
    page = visit(report, width, color_scheme=scheme)
    page.get_by_label("seconds", exact=True).check()
    top, bottom = (page.locator(each).evaluate("each => each.getBoundingClientRect().top") for each in (first, last))
    scrolled = page.evaluate("scrollY")
    shown = {"x": 0, "y": max(0, top + scrolled - 16), "width": width, "height": bottom - top}
    page.screenshot(path=folder / f"{name}.png", full_page=True, clip=shown)
    assert 20_000 < (folder / f"{name}.png").stat().st_size < 300_000
