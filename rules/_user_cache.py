import os
from pathlib import Path


def user_cache() -> Path:
    """Where this package keeps what it can make or fetch again: `XDG_CACHE_HOME` or
    `~/.cache`, in a folder of its own."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "plasticgym"
