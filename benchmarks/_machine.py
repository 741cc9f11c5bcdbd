import datetime as dt
import importlib.metadata
import os
import platform
from typing import NamedTuple

import jax


class Machine(NamedTuple):
    """Where and when something was measured, and with which versions."""

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
        processor=platform.processor() or platform.machine(),
        cores=os.cpu_count() or 1,
        backend=jax.default_backend(),
        device=jax.devices()[0].device_kind,
        versions={
            "python": platform.python_version(),
            **{p: importlib.metadata.version(p) for p in ("plasticgym", "jax", "numpy")},
        },
    )
