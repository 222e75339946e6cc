"""Automation: `nox -l` lists the sessions; each makes its own environment from the pinned versions."""

import os
from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True

CONSTRAINTS = ("-c", "constraints.txt")
BENCHMARKS = Path("tests/benchmarks")
STRESS = Path("tests/stress")

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
    session.run("pytest", *session.posargs)


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
            session.run("pytest", *session.posargs, env=chosen | both)
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
