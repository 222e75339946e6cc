"""Automation: `nox -l` lists the sessions; each makes an environment of its own from the pinned versions."""

import os
import shutil
import tarfile
import tomllib
from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True

ROOT = Path(__file__).parent
CONSTRAINTS = ("-c", "constraints.txt")
#: A test process for each core.
PARALLEL = ("-n", "logical")
BENCHMARKS = Path("tests/benchmarks")
STRESS = Path("tests/stress")
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())

#: Tests on real files run where a mirror of them is at hand.
MIRROR = Path("../shared/mirror").resolve()
if MIRROR.is_dir():
    os.environ.setdefault("NIDBENCH_DATA_MIRROR", MIRROR.as_uri())

#: Names of PyTorch's (ATEN_CPU_CAPABILITY) and oneDNN's instruction sets -> flags of /proc/cpuinfo that they need.
INSTRUCTION_SETS = {
    ("default", "sse41"): ("sse4_1",),
    ("avx2", "avx2"): ("avx2", "fma"),
    ("avx512", "avx512_core"): ("avx512f", "avx512bw", "avx512dq", "avx512vl"),
}


@nox.session
def tests(session: nox.Session) -> None:
    """The test suite on an editable install."""
    session.install(*CONSTRAINTS, "-e", ".[test]")
    session.run("pytest", *PARALLEL, *session.posargs)


@nox.session
def minimums(session: nox.Session) -> None:
    """The test suite with the lowest version of each dependency that pyproject.toml allows, not the pinned ones.

    PyTorch alone is the pinned one, because the registry has older ones for CUDA only, gigabytes each; with
    NIDBENCH_LOWEST_TORCH=1 it is the lowest, too.
    """
    # what the dependencies depend on is the newest, as in an environment where a user keeps one old library
    session.install(*lowest(torch=bool(os.environ.get("NIDBENCH_LOWEST_TORCH"))), "-e", ".")
    # an old library warns where a newer one below it deprecates something: that is not ours to mend
    session.run("pytest", *PARALLEL, "-W", "default", *session.posargs)


@nox.session
def isa(session: nox.Session) -> None:
    """The test suite under each instruction set of an x86-64 CPU, with 1 and 2 threads; says what this CPU lacks."""
    session.install(*CONSTRAINTS, "-e", ".[test]")
    flags = set(Path("/proc/cpuinfo").read_text().partition("\nflags")[2].partition("\n")[0].split())
    said = []
    for (aten, onednn), needed in INSTRUCTION_SETS.items():
        lacking = sorted({*needed} - flags)
        if lacking:
            said.append(f"{onednn}: not tested, this CPU lacks {', '.join(lacking)}")
            continue
        chosen = {"ATEN_CPU_CAPABILITY": aten, "ONEDNN_MAX_CPU_ISA": onednn}
        is_used = f"import torch; assert torch.backends.cpu.get_cpu_capability() == {aten.upper()!r}"
        session.run("python", "-c", is_used, env=chosen)
        for threads in ("1", "2"):
            both = {"OMP_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE", "NIDBENCH_TEST_THREADS": threads}
            session.run("pytest", *PARALLEL, *session.posargs, env=chosen | both)
            said.append(f"{onednn}, {threads} threads: passed")
    session.log("; ".join(said))


@nox.session
def lint(session: nox.Session) -> None:
    """Style: ruff's rules and format."""
    session.install(*CONSTRAINTS, "ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types: mypy, strict."""
    session.install(*CONSTRAINTS, "-e", ".[test]")
    session.run("mypy")


@nox.session
def imports(session: nox.Session) -> None:
    """The direction of imports: the contracts under `[tool.importlinter]`."""
    session.install(*CONSTRAINTS, "build", "import-linter")
    # Imports are read, not run, so that no dependency is needed. Only an installed copy has `nidbench.methods` where
    # the linter looks, and only from elsewhere does it take that copy and not ./nidbench.
    session.install("--no-deps", "--force-reinstall", str(built(session)[1]))
    session.chdir(outside(session))
    session.run("lint-imports", "--config", str(ROOT / "pyproject.toml"))


@nox.session
def wheel(session: nox.Session) -> None:
    """Sdist, wheel from it, `twine check`, then the sdist's tests against the installed wheel; both stay in `dist/`.

    What to test, such as `tests/test_metrics.py`, and options of pytest come after `--`.
    """
    session.install(*CONSTRAINTS, "build", "twine")
    sdist, wheel = built(session)
    session.run("twine", "check", "--strict", str(sdist), str(wheel))
    session.install(*CONSTRAINTS, f"{wheel}[test]")
    session.install("--no-deps", "--force-reinstall", str(wheel))  # the version is the same as of yesterday's
    source = unpacked(sdist, outside(session) / "source")
    session.chdir(outside(session))
    where = "import nidbench; print(nidbench.__file__); assert 'site-packages' in nidbench.__file__"
    session.run("python", "-c", where)
    chosen = [str(source / word) if (source / word.partition("::")[0]).exists() else word for word in session.posargs]
    named = [word for word in chosen if word.startswith(str(source))]
    options = ("-c", str(source / "pyproject.toml"), "--rootdir", str(source))
    session.run("pytest", *PARALLEL, *options, *chosen, *([] if named else [str(source / "tests")]))


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation site, built into `site/`; a warning, such as of a broken link, is an error."""
    session.install(*CONSTRAINTS, "-e", ".[docs]")
    session.run("mkdocs", "build", "--strict", *session.posargs, env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session(default=False)
def publish_docs(session: nox.Session) -> None:
    """One version of the site, onto the branch that is served; `-- 0.1 latest` gives the version and its aliases."""
    session.install(*CONSTRAINTS, "-e", ".[docs]", "mike")
    version, *aliases = session.posargs
    session.run("mkdocs", "build", "--strict")  # mike itself takes warnings for granted
    session.run("mike", "deploy", "--push", "--update-aliases", version, *aliases)
    if "latest" in aliases:
        session.run("mike", "set-default", "--push", "latest")


@nox.session
def notebook(session: nox.Session) -> None:
    """The notebooks of the documentation, run from the first cell to the last."""
    session.install(*CONSTRAINTS, "-e", ".[notebook]", "nbmake", "ipykernel")
    notebooks = session.posargs or [str(path) for path in sorted(Path("docs").rglob("*.ipynb"))]
    if not notebooks:
        session.error("there is no notebook under docs/")
    # the warnings of Jupyter are not ours; what the notebooks import is held to them by the tests
    session.run("pytest", "--nbmake", "-W", "default", *notebooks)


@nox.session
def browser(session: nox.Session) -> None:
    """The report in a real browser, which also draws the documentation's pictures of it.

    It is the system's Chromium or Chrome, or that of NIDBENCH_CHROMIUM: none is downloaded, and without one it fails,
    where the tests would be skipped.
    """
    if not any(map(shutil.which, (os.environ.get("NIDBENCH_CHROMIUM", ""), "chromium", "google-chrome"))):
        session.error("there is no browser: install chromium, or name one in NIDBENCH_CHROMIUM")
    session.install(*CONSTRAINTS, "-e", ".[test,browser]")
    pictures = str(ROOT / "docs" / "pictures")
    session.run("pytest", "tests/report/test_browser.py", *session.posargs, env={"NIDBENCH_DOCS_PICTURES": pictures})


@nox.session
def demo(session: nox.Session) -> None:
    """The README's first command."""
    session.install(*CONSTRAINTS, ".")
    session.run("nidbench", "run", "--methods", "ours,dip", "--dataset", "sample", "--preset", "fast", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Speed and quality as ratios in one run; name benchmarks after `--`, such as `-- startup iteration`.

    Options behind the names go to each of them: `-- adaptation --processes 2`.
    """
    session.install(*CONSTRAINTS, "-e", ".")
    words = session.posargs
    behind = next((place for place, word in enumerate(words) if word.startswith("-")), len(words))
    names = words[:behind] or [path.stem for path in sorted(BENCHMARKS.glob("[a-z]*.py"))]
    for name in names:
        session.run("python", str(BENCHMARKS / f"{name}.py"), *words[behind:])


@nox.session
def stress(session: nox.Session) -> None:
    """Thousands of faults made to happen; name one script and its options after `--`: `-- fuzz --calls 500`."""
    session.install(*CONSTRAINTS, "-e", ".[test]")
    name, *options = session.posargs or ["*"]
    for script in sorted(STRESS.glob(f"{name}.py")):
        session.run("python", str(script), *options)


def lowest(*, torch: bool) -> list[str]:
    """Return what tests need at its lowest versions, `click>=8.1` as `click==8.1`; `torch` pinned unless asked for."""
    project = SETTINGS["project"]
    extras = project["optional-dependencies"]
    tools = [line for line in extras["test"] if line.startswith(("markdown-it-py", "psutil", "pytest", "pyyaml"))]
    wanted = [line.replace(">=", "==") for line in (*project["dependencies"], *extras["supervised"], *tools)]
    if torch:
        return wanted
    pinned = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch==")]
    return [line for line in wanted if not line.startswith("torch==")] + pinned


def outside(session: nox.Session) -> Path:
    """Return a folder in the session's environment, from which no ./nidbench takes the place of the installed copy."""
    folder = Path(session.virtualenv.location).resolve() / "outside"
    folder.mkdir(exist_ok=True)
    return folder


def built(session: nox.Session) -> tuple[Path, Path]:
    """Return an sdist and the wheel made from it, in `dist/`, made anew.

    A wheel made from the working tree would take in what lies in ./build: modules that are no longer there.
    """
    out = ROOT / "dist"
    shutil.rmtree(out, ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", str(out), str(ROOT))
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


def unpacked(sdist: Path, into: Path) -> Path:
    """Return the one folder that an sdist holds, unpacked."""
    shutil.rmtree(into, ignore_errors=True)
    with tarfile.open(sdist) as archive:
        archive.extractall(into, filter="data")
    (source,) = into.iterdir()
    return source
