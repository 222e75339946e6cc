"""What describes the project agrees with it: citation, versions, sdist, workflows, the refusal of others' data."""

import hashlib
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = SETTINGS["project"]
EXTRAS = PROJECT["optional-dependencies"]
NO_FETCHED_DATA = ROOT / ".ci" / "no_fetched_data.py"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def required():
    """Name -> lowest version, of everything that pyproject.toml names, extras without a version left out."""
    lines = [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
    pairs = [line.partition(">=")[::2] for line in lines if not line.startswith("nidbench[")]
    return {normalised(name): version for name, version in pairs}


def pinned():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {normalised(name): version for name, _, version in (line.partition("==") for line in lines) if version}


def numbers(version):
    return tuple(int(part) for part in re.findall(r"\d+", version))


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["title"], citation["version"]) == (PROJECT["name"], PROJECT["version"])
    assert citation["license"] == PROJECT["license"]
    assert citation["references"][0]["doi"] == "10.1007/s11263-022-01621-9"


def test_what_is_pinned_is_what_is_required_and_not_below_its_lowest_version():
    pins = pinned()
    # for non-commercial use only, so that no environment here has it
    assert set(required()) - set(pins) == {"bm3d"}
    assert [name for name, low in required().items() if name in pins and numbers(pins[name]) < numbers(low)] == []


def test_every_dependency_states_its_lowest_version():
    """`nox -s minimums` reads them as `name>=version`, and nothing else."""
    lines = [*PROJECT["dependencies"], *EXTRAS["supervised"]]
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+>=[0-9.]+", line)] == []


def test_the_sdist_takes_every_file_in_version_control():
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    tracked = listed.stdout.splitlines()
    rules = [line.split() for line in (ROOT / "MANIFEST.in").read_text().splitlines()]
    grafted = tuple(f"{words[1]}/" for words in rules if words[:1] == ["graft"])
    included = [pattern for words in rules if words[:1] == ["include"] for pattern in words[1:]]
    # what setuptools takes by itself
    included += ["LICENSE", "README.md", "pyproject.toml", "MANIFEST.in", "nidbench/*", "methods/*", "datasets/*"]
    others = [path for path in tracked if not path.startswith(grafted)]
    assert [path for path in others if not any(fnmatch(path, pattern) for pattern in included)] == []


@pytest.fixture
def no_fetched_data():
    spec = spec_from_file_location("no_fetched_data", NO_FETCHED_DATA)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_file_that_a_manifest_lists_is_refused_under_any_name(no_fetched_data, tmp_path):
    ours, theirs = tmp_path / "ours.png", tmp_path / "renamed.txt"
    ours.write_bytes(b"made here")
    theirs.write_bytes(b"an image of somebody's")
    manifest = tmp_path / "files.csv"
    digest = hashlib.sha256(theirs.read_bytes()).hexdigest()
    manifest.write_text(f"dataset,path,sha256,bytes,url\nset12,01.png,{digest},22,https://data.test/01.png\n")
    (line,) = no_fetched_data.recognised([ours, theirs], [manifest])
    assert f"{theirs} is set12/01.png" in line
    blob = subprocess.run(
        ["git", "hash-object", str(theirs)], capture_output=True, text=True, check=True
    ).stdout.strip()
    manifest.write_text(f"dataset,path,sha256,bytes,url\nepll,a.mat,git-blob-sha1:{blob},>=9,https://data.test/a\n")
    (line,) = no_fetched_data.recognised([ours, theirs], [manifest])
    assert f"{theirs} is epll/a.mat" in line


def test_the_manifests_that_commits_are_held_to_are_those_that_downloads_are(no_fetched_data):
    listed = no_fetched_data.listed(no_fetched_data.MANIFESTS)
    assert {"set12/01.png"} <= set(listed.values())
    assert all(re.fullmatch("[0-9a-f]{64}|git-blob-sha1:[0-9a-f]{40}", digest) for digest in listed)
    command = [sys.executable, str(NO_FETCHED_DATA), str(ROOT / "README.md"), str(ROOT / "LICENSE")]
    assert subprocess.run(command, capture_output=True, text=True, check=False).returncode == 0


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_unless_a_job_says_otherwise(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    more = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    allowed = {
        "ci.yml": {},
        "release.yml": {"publish": {"id-token": "write"}},
        "docs.yml": {"publish": {"contents": "write"}},
    }
    assert more == allowed[path.name]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_calls_sessions_that_there_are(path):
    sessions = set(re.findall(r"@nox\.session.*\ndef (\w+)", (ROOT / "noxfile.py").read_text()))
    jobs = yaml.safe_load(path.read_text())["jobs"].values()
    commands = "\n".join(step.get("run", "") for job in jobs for step in job["steps"])
    called = set(re.findall(r"nox -s (\w+)", commands))
    called |= {name for job in jobs for name in job.get("strategy", {}).get("matrix", {}).get("session", [])}
    assert {"wheel", "minimums"} <= sessions
    assert called <= sessions
