"""Pages about methods say what the code says; their figures stand in the results that they link to."""

from __future__ import annotations

import dataclasses
import math
import re
from pathlib import Path
from typing import Any

import pytest

from nidbench.registry.entry_points import Registry, load_method, methods

ROOT = next(folder for folder in Path(__file__).resolve().parents if (folder / "docs" / "methods").is_dir())
DOCS = ROOT / "docs"
REPOSITORY = re.compile(r"https://github\.com/nidbench/nidbench/(?:blob|tree)/main/([^)#\s]+)")
NAMES = Registry.installed("method").names()
PAGES = sorted(
    path.relative_to(DOCS).as_posix() for part in ("methods", "explanation") for path in (DOCS / part).glob("*.md")
)
#: Pages and sections whose figures are those of committed results.
MEASURED = [
    *((f"methods/{name}.md", "Measured here") for name in NAMES),
    ("explanation/sa-dropout.md", "What SA gained here by `pixel`, `initial`"),
    ("explanation/stops.md", "What was measured"),
]
#: What a licence can be that binds users.
TERMS = re.compile(r"Apache-2\.0|BSD-2-Clause|MIT|non-commercial|none granted|no licence granted|no code is public")


def page(name: str) -> str:
    return (DOCS / "methods" / f"{name}.md").read_text()


def section(text: str, title: str) -> str:
    """Return what stands under a heading that begins so."""
    found = re.search(rf"^## {re.escape(title)}.*?$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"there is no section {title!r}"
    return found[1]


def rows(text: str) -> dict[str, str]:
    """Return the second cell of each row of the tables, by the first, which is code."""
    return dict(re.findall(r"^\| `([^`|]+)` \| ([^|]*) \|", text, re.MULTILINE))


def same(shown: str, value: object) -> bool:
    """Return whether a page shows a value: as `str` has it, or a number of many digits to seven of them."""
    if isinstance(value, float):
        return math.isclose(float(shown), value, rel_tol=1e-6)
    return shown == str(value)


def pairs(cell: str) -> dict[str, str]:
    """Return the settings of a cell such as "`lr=0.02`, `warmup=20`"."""
    return dict(text.split("=", 1) for text in re.findall(r"`([^`]+=[^`]*)`", cell))


def info_of(name: str) -> Any:
    return load_method(methods(), name).info


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_every_setting_with_its_default(name):
    text = section(page(name), "Settings")
    shown = rows(text)
    assert "| |" not in text, "a setting has no unit and no meaning"
    fields = {field.name: field.default for field in dataclasses.fields(load_method(methods(), name))}
    assert shown.keys() == fields.keys()
    assert not [key for key, default in fields.items() if not same(shown[key].strip("`"), default)]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_every_preset_and_variant_with_its_settings(name):
    info = info_of(name)
    if not info.presets:
        assert "one preset, `default`" in page(name)
        return
    shown = rows(section(page(name), "Presets"))
    expected = {**info.presets, **info.variants}
    assert shown.keys() == expected.keys()
    for key, settings in expected.items():
        assert pairs(shown[key]).keys() == settings.keys(), key
        assert all(same(text, settings[setting]) for setting, text in pairs(shown[key]).items()), key


@pytest.mark.parametrize("name", NAMES)
def test_a_page_says_on_which_images_of_a_dataset_it_was_tuned(name):
    images = {
        each
        for text in info_of(name).tuned_on.values()
        if "/" in text
        for each in re.findall(r"\d\d", text.partition("/")[2])
    }
    said = re.findall(r"tuned\s+on\s+Set12\s+((?:\d\d(?:,\s+|\s+and\s+)?)+)", page(name))
    assert {each for text in said for each in re.findall(r"\d\d", text)} == images


@pytest.mark.parametrize("name", NAMES)
def test_a_page_names_year_licence_and_what_binds_users(name):
    info, text = info_of(name), page(name)
    assert text.startswith(f"# `{name}`: ")
    assert str(info.year) in text.partition("## ")[0]
    licence = section(text, "Licence").lower()
    assert not [term for term in TERMS.findall(info.licence) if term.lower() not in licence]
    assert ("*Reconstructed*" in text) == info.reconstructed
    assert not info.notice or "for non-commercial use only" in text or "all rights reserved" in text


def test_there_is_a_page_for_each_method_and_the_index_has_them_all():
    found = {path.stem for path in (DOCS / "methods").glob("*.md")} - {"index"}
    assert found == set(NAMES)
    index = (DOCS / "methods" / "index.md").read_text()
    assert set(re.findall(r"^\| \[`([^`]+)`\]\(\1\.md\) \|", index, re.MULTILINE)) == found


@pytest.mark.parametrize("name", NAMES)
def test_the_index_has_the_presets_of_a_method(name):
    index = (DOCS / "methods" / "index.md").read_text()
    (cell,) = re.findall(rf"^\| \[`{re.escape(name)}`\][^|]*\|[^|]*\|([^|]*)\|", index, re.MULTILINE)
    assert re.findall(r"`([^`]+)`", cell) == list(info_of(name).presets)


@pytest.mark.parametrize(("path", "title"), MEASURED)
def test_figures_stand_in_the_results_that_are_linked_beside_them(path, title):
    text = section((DOCS / path).read_text(), title)
    known = " ".join((ROOT / target).read_text() for target in REPOSITORY.findall(text))
    prose = re.sub(r"\]\([^)]*\)", "]", text)
    figures = set(re.findall(r"(?<![\w.])\d*\.\d+(?!\.?\d)", prose))
    assert not sorted(each for each in figures if not re.search(rf"(?<![\d.]){re.escape(each)}(?!\d)", known))


@pytest.mark.parametrize("path", PAGES)
def test_links_lead_somewhere(path):
    text = (DOCS / path).read_text()
    gone = [target for target in REPOSITORY.findall(text) if not (ROOT / target).exists()]
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text):
        file = (DOCS / path).parent / target if target else DOCS / path
        titles = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE) if file.is_file() else []
        anchors = {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}
        if not titles or (anchor and anchor not in anchors):
            gone.append(f"{target}#{anchor}")
    assert not gone
