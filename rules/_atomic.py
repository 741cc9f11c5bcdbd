import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file such that at any time the old or the new content is there, whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
