"""Networks whose neurons hold a value apart from what is predicted of it.

Layer $l$ has values $v_l$ and sends $s_l$; block $l$ predicts the values above it:

$$s_0 = x, \\quad s_l = \\sigma(v_l), \\quad \\mu_{l+1} = [s_l, 1]\\, W_l.$$

The error $e_l$ of a layer is how far its values are from their prediction, or what drives
them from it. Before feedback $v_l = \\mu_l$; the outputs are the values of the last layer.

Neurons hold `{"value": v, "activity": s, "error": e}`, each of shape `(batch, n)`. The last
layer sends nothing; its activities are its values.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from . import _multilayer
from ._activations import activation as named
from ._activations import slope
from ._base import Clamped, State

Layer = Float[Array, "batch _n"]


def rest(state: State, batch: int) -> State:
    """All values, activities and errors zero."""
    zeros = [jnp.zeros((batch, n)) for n in state.body.layers]
    neurons = tuple({"value": z, "activity": z, "error": z} for z in zeros)
    return State(state.body, neurons, state.synapses, state.memory)


def forward(
    state: State, inputs: Clamped, activation: str
) -> tuple[State, Float[Array, "batch outputs"]]:
    """Values as predicted, from the inputs upwards."""
    values = [state.body.mask(0, inputs.known)]
    for layer in range(len(state.synapses)):
        values.append(predicted(state, layer, values[layer], activation))
    return holding(state, values, [jnp.zeros_like(v) for v in values], activation), values[-1]


def sent(state: State, layer: int, values: Layer, activation: str) -> Layer:
    """What a layer sends, $s_l$."""
    if layer in (0, len(state.synapses)):
        return values
    return state.body.mask(layer, named(activation)(values))


def predicted(state: State, layer: int, values: Layer, activation: str) -> Layer:
    """What a layer predicts of the one above: $\\mu_{l+1} = [s_l, 1]\\, W_l$."""
    activity = _multilayer.with_bias(sent(state, layer, values, activation))
    return state.body.mask(layer + 1, activity @ state.synapses[layer]["weight"])


def returned(state: State, layer: int, values: Layer, error: Layer, activation: str) -> Layer:
    """What the errors above send to a hidden layer: $\\sigma'(v_l) \\odot e_{l+1} W_l^T$."""
    slopes = slope(activation)(sent(state, layer, values, activation))
    return state.body.mask(layer, slopes * (error @ state.synapses[layer]["weight"][:-1].T))


def holding(
    state: State, values: Sequence[Layer], errors: Sequence[Layer], activation: str
) -> State:
    """The state with these values and errors at its neurons."""
    neurons = tuple(
        {"value": v, "activity": sent(state, layer, v, activation), "error": e}
        for layer, (v, e) in enumerate(zip(values, errors, strict=True))
    )
    return State(state.body, neurons, state.synapses, state.memory)
