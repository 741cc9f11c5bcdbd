from typing import Any

import equinox as eqx
import jax.numpy as jnp

from ._classification import Classification
from ._tables import digits

_WHITE = 16.0  # the largest value of a pixel


def plain_digits(**options: Any) -> Classification:
    """Handwritten digits with pixels between 0 and 1, which are not standardised.

    Standardised, the few images that touch the margin are shown very large.

    Args:
        **options: of [`digits`][plasticgym.envs.digits].
    """
    images = digits(**options)
    scale = (jnp.zeros_like(images.mean), jnp.full_like(images.deviation, _WHITE))
    return eqx.tree_at(lambda p: (p.mean, p.deviation), images, scale)
