import hashlib
import os
import platform
from pathlib import Path

import jax

from ..rules._user_cache import user_cache
from ._machine import cpuinfo

_VARIABLE = "PLASTICGYM_CACHE"
_WORTH_KEEPING = 0.5  # seconds of compilation


def use_cache() -> Path | None:
    """Keeps compiled programs on disk, so that the next process need not compile them.

    They are kept in the folder that the environment variable `PLASTICGYM_CACHE` names,
    and otherwise in `plasticgym` in the user's cache folder (`XDG_CACHE_HOME` or
    `~/.cache`); each kind of processor has a folder of its own in it. An empty variable
    turns this off; a cache that JAX has been told of already is left as it is, and a
    folder that cannot be made is done without.

    Returns:
        The folder, or `None` if nothing was changed.

    !!! example

        ```python
        benchmarks.use_cache()  # before the first compilation
        ```
    """
    told = os.environ.get(_VARIABLE)
    if told == "" or jax.config.values["jax_compilation_cache_dir"] is not None:
        return None
    folder = (Path(told) if told else user_cache()) / _processor()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _WORTH_KEEPING)
    return folder


def _processor() -> str:
    """A name for what this processor can do: programs compiled for it may not run on others.

    Where a home folder is shared by several machines, XLA would load what another one
    compiled, and at best complain.
    """
    told = [platform.system(), platform.machine(), platform.processor()]
    told += cpuinfo("flags", "Features", "model name")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]
