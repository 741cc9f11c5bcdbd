from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._registry import near

_Elementwise = Callable[[Float[Array, "..."]], Float[Array, "..."]]

# Functions of the pre-activation. "f'" is the derivative of "f".
_ACTIVATIONS: dict[str, _Elementwise] = {
    "linear": lambda z: z,
    "linear'": jnp.ones_like,
    "relu": jax.nn.relu,
    "relu'": lambda z: (z > 0).astype(z.dtype),
    "sigmoid": jax.nn.sigmoid,
    "sigmoid'": lambda z: jax.nn.sigmoid(z) * (1.0 - jax.nn.sigmoid(z)),
    "tanh": jnp.tanh,
    "tanh'": lambda z: 1.0 - jnp.tanh(z) ** 2,
}

# Derivatives in terms of the activity h = f(z), which is what a neuron still holds when
# feedback reaches it.
_SLOPES: dict[str, _Elementwise] = {
    "linear": jnp.ones_like,
    "relu": lambda h: (h > 0).astype(h.dtype),
    "sigmoid": lambda h: h * (1.0 - h),
    "tanh": lambda h: 1.0 - h**2,
}


def activation(name: str) -> _Elementwise:
    """The elementwise function of that name.

    Raises:
        ValueError: if there is none, with the near names.
    """
    if name not in _ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}; {near(name, list(_ACTIVATIONS))}")
    return _ACTIVATIONS[name]


def slope(name: str) -> _Elementwise:
    """The derivative of an activation as a function of its value.

    Raises:
        ValueError: if it has none of that form, with the near names.
    """
    if name not in _SLOPES:
        raise ValueError(f"unknown activation {name!r}; {near(name, list(_SLOPES))}")
    return _SLOPES[name]
