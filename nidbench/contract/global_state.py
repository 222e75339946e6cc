"""The state that all methods of a process share: it is seeded before every cell and compared after it.

PyTorch's state is included only where something else has imported PyTorch, so that this module works without it.
"""

from __future__ import annotations

import gc
import locale
import operator
import os
import random
import signal
import socket
import stat
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.fft  # otherwise it is loaded at first use, and a method could replace its functions unnoticed

from nidbench.system.processes import proc_text

#: Prefix of the environment variables that PyTorch's compiler sets; the first optimiser of a process imports it. It
#: also adds a warning filter of sympy, wraps `torch.manual_seed` and makes a folder. The method is not blamed for that.
TORCH_COMPILER = "TORCHINDUCTOR"

#: Modules whose functions and classes no method may replace, because other methods and the harness call them.
GUARDED = (
    *("builtins", "json", "math", "os", "random", "time", "numpy", "numpy.fft", "numpy.linalg", "numpy.random"),
    *("scipy.fft", "scipy.ndimage", "scipy.signal", "torch", "torch.fft", "torch.linalg", "torch.nn"),
    *("torch.nn.functional", "torch.nn.init", "torch.optim", "torch.random"),
)

#: Name -> module and name in it, of the classes of which the same is true.
_GUARDED_CLASSES = {
    f"{module}.{name}": (module, name)
    for module, name in (
        ("nidbench.contract.run", "Run"),
        ("torch", "Tensor"),
        ("torch.nn", "Module"),
        ("torch", "Generator"),
    )
}


def seed_generators(seed: int) -> None:
    """Seed the global generators of `random`, NumPy and PyTorch, for code that draws from them.

    Args:
        seed: 63 bits.
    """
    random.seed(seed)
    np.random.seed([seed & 0xFFFFFFFF, seed >> 32])  # noqa: NPY002, TID251 - nowhere else
    torch = sys.modules.get("torch")
    if torch is not None:
        # not torch.manual_seed: where there is no CUDA it keeps a call for later, with a traceback, at every cell
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_available():
            torch.cuda.manual_seed_all(seed)


@contextmanager
def generators_kept() -> Iterator[None]:
    """Restore the states of the global generators after the block, which then changes no result."""
    plain, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    torch = sys.modules.get("torch")
    cpu = None if torch is None else torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch is not None and torch.cuda.is_initialized() else None
    try:
        yield
    finally:
        random.setstate(plain)
        np.random.set_state(legacy)  # noqa: NPY002
        if torch is not None:
            torch.set_rng_state(cpu)
            if cuda is not None:
                torch.cuda.set_rng_state_all(cuda)


@dataclass(frozen=True)
class GlobalState:
    """The shared state of a process at a moment, under names for messages.

    Attributes:
        values: name -> a value that can be compared, such as the working directory.
        contents: name of a module or class -> its functions and classes, which are compared by identity.
        threads: ids of the running Python threads.
        files: paths of the open regular files.
    """

    values: Mapping[str, Any]
    contents: Mapping[str, Mapping[str, Any]]
    threads: frozenset[int]
    files: frozenset[str]

    @classmethod
    def now(cls) -> GlobalState:
        """Return the state of this process now."""
        contents = {
            name: {key: value for key, value in _contents(name).items() if callable(value) and key != "manual_seed"}
            for name in _guarded()
        }
        return cls(_values(), contents, frozenset(map(id, threading.enumerate())), frozenset(_open_files()))

    def changes(self) -> list[str]:
        """Return the changes since then, a few words for every change; additions to a module are no change."""
        values = _values()
        changed = [name for name, value in self.values.items() if not _same(values.get(name), value)]
        for name, before in self.contents.items():
            after = _contents(name)
            if not all(map(operator.is_, map(after.get, before), before.values())):  # fast, for every cell
                replaced = [key for key, value in before.items() if after.get(key) is not value]
                changed += [f"{name}.{key}" for key in replaced if not key.startswith("__")][:3]
        changed += [
            f"the thread {thread.name!r}"
            for thread in threading.enumerate()
            # tqdm's thread watches progress bars until the process ends, and is harmless
            if id(thread) not in self.threads and type(thread).__name__ != "TMonitor"
        ]
        return changed + [f"the open file {path}" for path in sorted(_open_files() - self.files)][:3]


def _guarded() -> list[str]:
    """Return the names of the modules and classes that are there and whose contents no method may replace."""
    own = [name for name in sys.modules if name.startswith("nidbench.") and not name.startswith("nidbench.methods")]
    classes = [name for name, (module, _) in _GUARDED_CLASSES.items() if module in sys.modules]
    return [*(name for name in (*GUARDED, *own) if sys.modules.get(name) is not None), *classes]


def _contents(name: str) -> Mapping[str, Any]:
    """Return the attributes of a module or class of `_guarded`; none where it is gone."""
    module, attribute = _GUARDED_CLASSES.get(name, (name, None))
    owner = sys.modules.get(module)
    if owner is None or attribute is None:
        return {} if owner is None else vars(owner)
    return vars(getattr(owner, attribute, object))


def _values() -> dict[str, Any]:
    torch = sys.modules.get("torch")
    readers = _READERS if torch is None else _READERS | _torch_readers(torch)
    values = {}
    for name, read in readers.items():
        with suppress(Exception):  # a value that can no longer be read counts as changed
            values[name] = read()
    return values


def _same(after: object, before: object) -> bool:
    return after is before or bool(after == before)


def _torch_readers(torch: Any) -> dict[str, Callable[[], Any]]:
    return {
        "torch's default dtype": torch.get_default_dtype,
        "torch's default device": lambda: str(torch.get_default_device()),
        "torch's gradients": torch.is_grad_enabled,
        "torch's inference mode": torch.is_inference_mode_enabled,
        "torch's anomaly detection": torch.is_anomaly_enabled,
        "torch's deterministic algorithms": torch.are_deterministic_algorithms_enabled,
        "torch's precision of float32 products": torch.get_float32_matmul_precision,
        "torch's autocast": lambda: (torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")),
        "torch's treatment of denormal numbers": lambda: bool(torch.tensor([1e-42]).mul(0.5).item() == 0),
        "torch's cuDNN": lambda: (
            torch.backends.cudnn.enabled,
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.deterministic,
            torch.backends.cudnn.allow_tf32,
        ),
        "torch's oneDNN": lambda: torch._C._get_mkldnn_enabled(),
        "torch's module hooks": lambda: (
            len(torch.nn.modules.module._global_forward_hooks)
            + len(torch.nn.modules.module._global_forward_pre_hooks)
            + len(torch.nn.modules.module._global_backward_hooks)
        ),
    }


def _umask() -> int:
    try:
        lines = proc_text("/proc/self/status").splitlines()
        return next(int(line.split()[1], 8) for line in lines if line.startswith("Umask"))
    except (OSError, StopIteration):
        mask = os.umask(0o077)
        os.umask(mask)
        return mask


def _handlers() -> dict[int, str]:
    # compared as text, because Python returns a new object for its handlers at every call
    return {number: repr(signal.getsignal(number)) for number in signal.valid_signals()}


_READERS: dict[str, Callable[[], Any]] = {
    "the working directory": lambda: str(Path.cwd()),
    "the environment": lambda: {key: value for key, value in os.environ.items() if not key.startswith(TORCH_COMPILER)},
    "the file mode mask": _umask,
    "the nice value": lambda: os.getpriority(os.PRIO_PROCESS, 0),
    "signal handlers": _handlers,
    "an alarm": lambda: signal.getitimer(signal.ITIMER_REAL)[0] > 0,
    "sys.path": lambda: list(sys.path),
    "sys.stdout": lambda: (sys.stdout, sys.stderr, sys.stdin),
    "sys.excepthook": lambda: (sys.excepthook, threading.excepthook, sys.unraisablehook),
    "import hooks": lambda: (list(sys.meta_path), list(sys.path_hooks)),
    "a tracer": lambda: (sys.gettrace(), sys.getprofile()),
    "the recursion limit": sys.getrecursionlimit,
    "garbage collection": lambda: (gc.isenabled(), gc.get_threshold()),
    "warning filters": lambda: [entry for entry in map(str, warnings.filters) if "sympy" not in entry],
    "NumPy's treatment of floating point errors": lambda: (np.geterr(), np.geterrcall()),
    "NumPy's print options": np.get_printoptions,
    "the locale": lambda: locale.setlocale(locale.LC_ALL),
    "the default timeout of sockets": socket.getdefaulttimeout,
}


def _open_files() -> set[str]:
    """Return the regular files that this process has open; none where the system does not list them."""
    paths = set()
    with suppress(OSError):
        for handle in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                if stat.S_ISREG(handle.stat().st_mode):
                    paths.add(str(handle.readlink()))
    return paths
