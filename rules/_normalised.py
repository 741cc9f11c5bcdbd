"""The layered network of normalised gradient descent: what BLUR's body is to BLUR.

$$h_{l+1} = \\tanh(\\mathrm{norm}([h_l, 1]\\, W_l)), \\quad
\\text{outputs} = \\gamma\\, \\tau([h_{L-1}, 1]\\, W_{L-1}),$$

the norm over the neurons of a layer, $\\tau$ linear or tanh. Neurons hold their
`"potential"` (before the norm), `"activity"` and `"error"`, minus the derivative of the
example's loss by the potential.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._activations import activation
from ._base import Body, Clamped, State
from ._multilayer import newborn as newborn_blocks
from ._multilayer import with_bias
from ._normalisation import Normalisation


def newborn(
    body: Body, birth: Array, bias_birth: Array, *, key: Key[Array, ""]
) -> tuple[Float[Array, "_pre _post"], ...]:
    """Weights of deviation `birth` / sqrt(inputs) and biases of deviation `bias_birth`."""
    return newborn_blocks(body, "linear", key=key, deviation=birth, bias_deviation=bias_birth)


def check(norm: Normalisation) -> None:
    """Raises a `ValueError` unless the norm is one of the single state of these neurons."""
    if len(norm.gain) != 1:
        raise ValueError(f"`norm` must be of one state, got {len(norm.gain)}.")


def rest(state: State, batch: int) -> State:
    """All neurons silent."""
    zeros = [jnp.zeros((batch, n)) for n in state.body.layers]
    neurons = tuple({"potential": z, "activity": z, "error": z} for z in zeros)
    return State(state.body, neurons, state.synapses, state.memory)


def forward(
    state: State, inputs: Clamped, norm: Normalisation, gain: Array, top: str
) -> tuple[State, Float[Array, "batch outputs"]]:
    """Activities from the inputs upwards."""
    body, last = state.body, len(state.synapses) - 1
    h = body.mask(0, inputs.known)
    neurons = [{"potential": h, "activity": h, "error": jnp.zeros_like(h)}]
    for layer, block in enumerate(state.synapses):
        z = with_bias(h) @ block["weight"]
        h = _top(z, gain, top) if layer == last else _hidden(z, norm, body, layer + 1)
        h = body.mask(layer + 1, h)
        neurons.append({"potential": z, "activity": h, "error": jnp.zeros_like(h)})
    return State(body, tuple(neurons), state.synapses, state.memory), h


def backward(
    state: State,
    error: Float[Array, "batch outputs"],
    norm: Normalisation,
    gain: Array,
    top: str,
) -> State:
    """Errors from the outputs down, through tanh and norm alike."""
    body, neurons = state.body, list(state.neurons)
    last = len(neurons) - 1
    error = body.mask(last, error)
    for layer in range(last, 0, -1):
        if layer == last:
            respond = lambda z: _top(z, gain, top)  # noqa: E731
        else:
            error = body.mask(layer, error @ state.synapses[layer]["weight"][:-1].T)
            respond = lambda z, layer=layer: _hidden(z, norm, body, layer)  # noqa: E731
        (error,) = jax.vjp(respond, neurons[layer]["potential"])[1](error)
        error = body.mask(layer, error)
        neurons[layer] = neurons[layer] | {"error": error}
    return State(body, tuple(neurons), state.synapses, state.memory)


def _hidden(z: Array, norm: Normalisation, body: Body, layer: int) -> Array:
    return jnp.tanh(norm(z[None], body, layer)[0])


def _top(z: Array, gain: Array, top: str) -> Array:
    return gain * activation(top)(z)
