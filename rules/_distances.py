"""How far outputs are from frozen ones, told as errors."""

from collections.abc import Callable
from typing import Literal

import jax
from jaxtyping import Array

Distance = Literal["bhattacharyya", "divergence", "squared"]

# Minus the derivative of each distance by the outputs, given these and the frozen ones.
ERRORS: dict[str, Callable[[Array, Array], Array]] = {
    "bhattacharyya": lambda y, f: (jax.nn.softmax((y + f) / 2) - jax.nn.softmax(y)) / 2,
    "divergence": lambda y, f: jax.nn.softmax(f) - jax.nn.softmax(y),
    "squared": lambda y, f: f - y,
}
