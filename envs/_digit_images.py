"""Images of the ten digits by name, for problems that are built on either set."""

from ..rules._registry import near
from ._classification import Classification
from ._images import mnist
from ._tables import digits

_SETS = {"digits": digits, "mnist": mnist}


def digit_images(images: str, **sizes) -> Classification:
    """The problem of this name, of these sizes.

    Raises:
        ValueError: if there is none, with the near names.
    """
    if images not in _SETS:
        raise ValueError(f"unknown `images` {images!r}; {near(images, list(_SETS))}")
    return _SETS[images](**sizes)
