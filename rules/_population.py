"""The recurrent population that associative memories live in.

Every neuron is input and output alike, and block 0 holds the weights $W$ between any two.
Neurons that are clamped keep their value; the others settle by

$$h = s\\,(W - \\mathrm{diag}\\,W), \\qquad s_i \\leftarrow \\mathrm{sign}(h_i),$$

where a field of 0 leaves a neuron as it is. Neurons hold `"activity"` $s$, `"clamped"`, 1
where the world held them, and `"field"` $h$ where they came to, each of shape `(batch, n)`.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._base import Body, Clamped, State
from ._registry import near

Order = Literal["synchronous", "asynchronous"]


def newborn(body: Body, who: str) -> State:
    """All weights 0, without a bias.

    Raises:
        ValueError: if the body has several layers; `who` is the rule that says so.
    """
    if len(body.layers) != 1:
        raise ValueError(
            f"`body` must be one recurrent population, such as Body((64,)), for {who} to live "
            f"in it, got layers {body.layers}; the problem `remember` has one where `hidden` "
            "is a whole number."
        )
    n = body.layers[0]
    return State(body, (), ({"weight": jnp.zeros((n, n))},))


def rest(state: State, batch: int) -> State:
    """All neurons silent."""
    zeros = jnp.zeros((batch, state.body.layers[0]))
    neurons = ({"activity": zeros, "clamped": zeros, "field": zeros},)
    return State(state.body, neurons, state.synapses, state.memory)


def settled(state: State, inputs: Clamped, *, steps: int, order: Order) -> State:
    """Clamped neurons at their values, the others after so many rounds.

    Those of rows that start come from rest, those of others from where they were.
    """
    coupling = without_diagonal(state.synapses[0]["weight"])
    before = jnp.where(inputs.starts[:, None], 0.0, state.neurons[0]["activity"])
    begun = state.body.mask(0, jnp.where(inputs.mask, inputs.values, before))
    s = _ORDERS[order](begun, coupling, inputs.mask, steps)
    clamped = state.body.mask(0, inputs.mask.astype(s.dtype))
    neurons = ({"activity": s, "clamped": clamped, "field": s @ coupling},)
    return State(state.body, neurons, state.synapses, state.memory)


def check_order(order: str) -> None:
    """Raises a `ValueError` with the near names if it is unknown."""
    if order not in _ORDERS:
        raise ValueError(f"unknown `order` {order!r}; {near(order, list(_ORDERS))}")


def without_diagonal(weight: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """The weights between different neurons."""
    return weight * (1.0 - jnp.eye(weight.shape[0]))


def _moved(
    s: Float[Array, "*rows"], field: Float[Array, "*rows"], mask: Bool[Array, "*rows"]
) -> Float[Array, "*rows"]:
    return jnp.where(mask | (field == 0), s, jnp.sign(field))


def _synchronous(
    s: Float[Array, "batch n"], coupling: Array, mask: Array, steps: int
) -> Float[Array, "batch n"]:
    return jax.lax.fori_loop(0, steps, lambda _, s: _moved(s, s @ coupling, mask), s)


def _asynchronous(
    s: Float[Array, "batch n"], coupling: Array, mask: Array, steps: int
) -> Float[Array, "batch n"]:
    n = s.shape[1]

    def one(turn, s):
        i = turn % n
        return s.at[:, i].set(_moved(s[:, i], s @ coupling[:, i], mask[:, i]))

    return jax.lax.fori_loop(0, steps * n, one, s)


# All neurons at once in every round, or one after the other.
_ORDERS: dict[str, Callable[..., Float[Array, "batch n"]]] = {
    "synchronous": _synchronous,
    "asynchronous": _asynchronous,
}
