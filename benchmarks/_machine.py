import datetime as dt
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import NamedTuple

import jax


class Machine(NamedTuple):
    """Where and when something was measured, and with which versions.

    - `processor`: its model, where the system tells.
    - `cores`: those that the process may use.
    """

    date: str
    processor: str
    cores: int
    backend: str
    device: str
    versions: dict[str, str]

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        where = f"{self.processor}, {self.cores} cores, {self.backend}"
        return f"{self.date}; {where} ({self.device}); {versions}"


def machine() -> Machine:
    """This one, today in UTC."""
    return Machine(
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        processor=_model() or platform.processor() or platform.machine(),
        cores=_cores(),
        backend=jax.default_backend(),
        device=jax.devices()[0].device_kind,
        versions={
            "python": platform.python_version(),
            **{p: importlib.metadata.version(p) for p in ("plasticgym", "jax", "numpy")},
        },
    )


def cpuinfo(*fields: str) -> list[str]:
    """The lines of `/proc/cpuinfo` that begin so, each once; none where there is none."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    return sorted({line for line in lines if line.startswith(fields)})


def _model() -> str:
    return ", ".join(line.partition(":")[2].strip() for line in cpuinfo("model name"))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on every system
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
