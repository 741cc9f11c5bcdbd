from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ._atomic import write_atomically


def write_tensors(
    path: Path, tensors: Mapping[str, np.ndarray], header: Mapping[str, str]
) -> None:
    """Writes named arrays and a header to a safetensors file, all or nothing."""
    from safetensors.numpy import save

    write_atomically(path, save(dict(tensors), metadata=dict(header)))


def read_tensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the header of a safetensors file, which is data only.

    Raises:
        ValueError: if it is none, or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return tensors, file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}.") from error
