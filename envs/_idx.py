import gzip
import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..rules._atomic import write_atomically

_BYTES = 0x08  # the code of the format for unsigned bytes


# What belongs to each of the four, such as the name of a file or a checksum.
Four = tuple[str, str, str, str]


class ImageSet(NamedTuple):
    """Images of shape `(images, side, side)` and their classes, those to train on and test."""

    train: np.ndarray
    train_classes: np.ndarray
    test: np.ndarray
    test_classes: np.ndarray


# The names of the four files of an image set, everywhere.
FILES: Four = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def holds_image_set(folder: Path) -> bool:
    """Whether all four files are there, gzipped or plain."""
    return all(_path(folder, name).is_file() for name in FILES)


def read_image_set(folder: Path, md5: Four, *, remedy: str) -> ImageSet:
    """Reads the four IDX files of a folder, gzipped or plain.

    Args:
        folder: where they are.
        md5: the checksum that the plain content of each file must have.
        remedy: what to do about a file that is not what it must be.

    Raises:
        ValueError: if a file is damaged, or of the wrong size or checksum.
    """
    return ImageSet(
        *(
            _read(_path(folder, name), checksum, remedy)
            for name, checksum in zip(FILES, md5, strict=True)
        )
    )


def write_image_set(folder: Path, images: ImageSet) -> None:
    """Writes the four files, gzipped; what is interrupted leaves no file half written."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(FILES, images, strict=True):
        write_atomically(folder / f"{name}.gz", gzip.compress(encoded(array), compresslevel=6))


def encoded(array: np.ndarray) -> bytes:
    """An array of bytes as the content of an IDX file."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, _BYTES, array.ndim]) + sizes + np.ascontiguousarray(array).tobytes()


def checked(content: bytes, checksum: str, *, what: str, remedy: str) -> bytes:
    """The content, if it has this checksum.

    Raises:
        ValueError: if it has another one.
    """
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != checksum:
        raise ValueError(
            f"{what} must have {checksum} as MD5 checksum of its {'plain ' * ('gz' in what)}"
            f"content, got {found} of {len(content)} bytes; {remedy}."
        )
    return content


def _path(folder: Path, name: str) -> Path:
    zipped = folder / f"{name}.gz"
    return zipped if zipped.is_file() else folder / name


def _read(path: Path, checksum: str, remedy: str) -> np.ndarray:
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
    except (EOFError, OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}; {remedy}.") from error
    checked(content, checksum, what=str(path), remedy=remedy)
    sizes = np.frombuffer(content, ">u4", content[3], offset=4).tolist()
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(sizes)).reshape(sizes)
