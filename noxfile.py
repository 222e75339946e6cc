"""Automation: `nox -l` lists the sessions; each makes its own environment from the pinned versions."""

from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True

CONSTRAINTS = ("-c", "constraints.txt")
BENCHMARKS = Path("tests/benchmarks")
STRESS = Path("tests/stress")


@nox.session
def tests(session: nox.Session) -> None:
    """The test suite on an editable install."""
    session.install(*CONSTRAINTS, "-e", ".[test]")
    session.run("pytest", *session.posargs)


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
def wheel(session: nox.Session) -> None:
    """Sdist, then wheel from it, then the tests against the installed copy."""
    session.install(*CONSTRAINTS, "build")
    out = Path(session.create_tmp())
    session.run("python", "-m", "build", "--outdir", str(out))
    (built,) = out.glob("*.whl")
    session.install(*CONSTRAINTS, f"{built}[test]")
    session.run("pytest", *session.posargs)


@nox.session
def demo(session: nox.Session) -> None:
    """The README's first command."""
    session.install(*CONSTRAINTS, ".")
    session.run("nidbench", "run", "--methods", "ours,dip", "--dataset", "sample", "--preset", "fast", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Speed and quality as ratios in one run; name benchmarks after `--`, such as `-- startup iteration`."""
    session.install(*CONSTRAINTS, "-e", ".")
    names = session.posargs or [path.stem for path in sorted(BENCHMARKS.glob("[a-z]*.py"))]
    for name in names:
        session.run("python", str(BENCHMARKS / f"{name}.py"))


@nox.session
def stress(session: nox.Session) -> None:
    """Thousands of faults made to happen; name one script and its options after `--`: `-- fuzz --calls 500`."""
    session.install(*CONSTRAINTS, "-e", ".[test]")
    name, *options = session.posargs or ["*"]
    for script in sorted(STRESS.glob(f"{name}.py")):
        session.run("python", str(script), *options)
