"""What the shell completes, and what lists and `info` say of what is registered."""

import os
import shutil
import subprocess
import sys
from dataclasses import fields

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from nidbench.cli import main
from nidbench.registry.entry_points import load_method, methods
from nidbench.registry.stated import meanings, stated


def completed(*words):
    """Return what completes the last of some words."""
    *before, last = words
    found = ShellComplete(main, {}, "nidbench", "_NIDBENCH_COMPLETE").get_completions(list(map(str, before)), last)
    return [item.value for item in found]


def call(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("run", "--methods", "wi"), ["wiener"]),
        (("run", "--methods", "tv,ou"), ["tv,ours"]),
        (("run", "--methods", "tv,ours@"), [f"tv,ours@{name}" for name in ("paper", "released", "fast", "smoke")]),
        (("run", "--methods", "ours[lr=1e-3,it"), []),
        (("run", "--methods", "ours[lr=1e-3],wi"), ["ours[lr=1e-3],wiener"]),
        (("run", "--dataset", "sample,se"), ["sample,set12"]),
        (("run", "--kernels", "le"), ["levin"]),
        (("table", "--protocol", "cut"), ["cut-30"]),
        (("info", "bp"), ["bpdip"]),
        (("data", "fetch", "dan"), ["danielyan"]),
        (("restore", "cell.tif", "--method", "wi"), ["wiener"]),
        (("restore", "cell.tif", "--twin", "--methods", "tv,wi"), ["tv,wiener"]),
        (("restore", "cell.tif", "--kernel", "ps"), ["ps"]),
        (("restore", "cell.tif", "--kernel", "le"), ["le", "levin"]),
        (("restore", "cell.tif", "--kernel", "ga"), ["ga", "gaussian:"]),
    ],
)
def test_registered_names_are_completed(words, expected):
    assert completed(*words) == expected


def test_sweeps_are_completed_also_behind_a_plus(sample_store):
    store, _ = sample_store
    assert completed("table", "--output", store.root, "de") == ["demo"]
    assert completed("report", "--output", store.root, "other+") == ["other+demo"]
    assert completed("table", "--output", store.root / "none", "") == []


def test_a_kernel_is_completed_as_a_file():
    (item,) = ShellComplete(main, {}, "nidbench", "_NIDBENCH_COMPLETE").get_completions(
        ["restore", "cell.tif", "--kernel"], "ps"
    )
    assert item.type == "file"


@pytest.mark.parametrize(
    "words", [("differences", "--against"), ("report", "--against"), ("figure", "curves", "--method")]
)
def test_methods_of_the_sweep_are_completed(sample_store, words):
    store, _ = sample_store
    command, *rest = words
    assert completed(command, "--output", store.root, *rest, "") == ["ours", "dip"]
    assert completed(command, "--output", store.root, *rest, "d") == ["dip"]
    assert completed(command, "--output", store.root / "none", *rest, "") == []


@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_fish_completes_what_stands_behind_a_comma(tmp_path):
    program = tmp_path / "nidbench"
    program.write_text(
        f"#!{sys.executable} -P\nfrom nidbench.cli import main\nmain(prog_name='nidbench')\n", encoding="utf-8"
    )
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    ask = "env _NIDBENCH_COMPLETE=fish_source nidbench | source; complete -C 'nidbench run --methods tv,wi'"
    done = subprocess.run(["fish", "-c", ask], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == "tv,wiener\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(shell):
    environment = {**os.environ, "_NIDBENCH_COMPLETE": f"{shell}_source"}
    code = "from nidbench.cli import main; main(prog_name='nidbench')"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert f"{shell}_complete" in done.stdout
    assert ("split --max 1" in done.stdout) == (shell == "fish")


def test_completion_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from click.shell_completion import ShellComplete\n"
        "from nidbench.cli import main\n"
        "complete = ShellComplete(main, {}, 'nidbench', '_NIDBENCH_COMPLETE').get_completions\n"
        "assert complete(['run', '--methods'], 'ours@')\n"
        "assert complete(['info'], 'd')\n"
        "print(sorted({'torch', 'mlflow', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_lists_have_titles_and_presets():
    lines = dict(line.split(maxsplit=1) for line in call("list", "methods").splitlines())
    assert lines["ours"] == "SA dropout  [paper, released, fast, smoke]"
    assert lines["wiener"] == "Wiener filter"
    assert dict(line.split(maxsplit=1) for line in call("list", "datasets").splitlines())["set12"] == "Set12"


@pytest.mark.parametrize("name", [name for name in methods().names() if name != "bm3d"])
def test_what_is_read_from_the_source_is_what_the_class_says(name):
    kind = load_method(methods(), name)
    said = stated(methods().targets[name])
    assert (said.title, list(said.presets)) == (kind.info.title, list(kind.info.presets))
    assert list(said.variants) == list(kind.info.variants)
    means = meanings(kind)
    assert [field.name for field in fields(kind) if not means.get(field.name)] == []


def test_info_says_what_settings_mean(tmp_path):
    assert "setting lr = 0.01\n    The highest learning rate." in call("info", "dip")
    own = tmp_path / "own.py"
    own.write_text(
        "from dataclasses import dataclass\nfrom typing import ClassVar\nfrom nidbench.contract import MethodInfo\n"
        "@dataclass(frozen=True)\nclass Own:\n    info: ClassVar[MethodInfo] = MethodInfo('own')\n"
        "    steps: int = 3  #: gradient steps\n    def restore(self, problem, run): ...\n"
    )
    assert "setting steps = 3\n    gradient steps\n" in call("info", own)


def test_sweeps_are_listed_with_their_state(sample_store):
    store, _ = sample_store
    assert call("list", "sweeps", "--output", store.root) == "demo  4/4 cells computed  ours, dip on sample\n"


def test_the_results_folder_may_come_from_the_environment(sample_store, monkeypatch):
    store, _ = sample_store
    monkeypatch.setenv("NIDBENCH_OUTPUT", str(store.root))
    assert "ours" in call("table")
    assert call("list", "sweeps").startswith("demo ")
