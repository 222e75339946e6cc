"""The versions of packages and the names of the machine's processors, for records."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch


def environment() -> dict[str, str]:
    """Return versions of packages and properties of this machine, by name."""
    properties = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for package in ("nidbench", "torch", "numpy", "scipy", "scikit-image"):
        try:
            properties[package] = version(package)
        except PackageNotFoundError:
            properties[package] = "unknown"
    properties["cpu"] = _cpu_name()
    properties["cpu_capability"] = torch.backends.cpu.get_cpu_capability()
    if torch.cuda.is_available():
        properties["gpu"] = torch.cuda.get_device_name()
        properties["cuda"] = str(torch.version.cuda)
    return properties


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"
