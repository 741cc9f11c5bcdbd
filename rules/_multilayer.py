"""The layered network that plain rules live in.

Layer $l$ has activities $h_l$; block $l$ holds weights $W_l$ whose last row is the bias:

$$h_0 = x, \\quad h_{l+1} = \\sigma([h_l, 1]\\, W_l), \\quad
\\text{outputs} = [h_{L-1}, 1]\\, W_{L-1}.$$

Neurons hold `{"activity": h, "error": delta}`, each of shape `(batch, n)`; synapses hold
their `"weight"` and whatever else a rule keeps.
"""

import itertools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._activations import activation as named
from ._activations import slope
from ._base import Body, Clamped, State
from ._random_feedback import random_feedback as random_feedback


def newborn(
    body: Body,
    activation: str,
    *,
    key: Key[Array, ""],
    channels: tuple[int, ...] = (),
    deviation: Float[Array, ""] | float = 1.0,
    bias_deviation: Float[Array, ""] | None = None,
) -> tuple[Float[Array, "*channels _pre _post"], ...]:
    """One array of weights per block; the last row of each, the biases, 0 if not drawn.

    Weights have variance 2 / living inputs under relu (He et al., 2015), else 1 / living
    inputs (LeCun et al., 1998), times `deviation` squared. They are one draw, cut up:
    every further one would make the program longer to compile.

    Args:
        body: the sizes of the network, at least an input and an output layer.
        activation: of its hidden layers.
        key: a PRNG key.
        channels: axes in front, for synapses with several numbers.
        deviation: what the standard deviation of the weights is multiplied by.
        bias_deviation: the standard deviation of the biases; they are 0 without it.

    Returns:
        For each block, weights of shape `(*channels, pre + 1, post)`.

    Raises:
        ValueError: if the body has a single layer.

    !!! example

        ```python
        >>> import jax
        >>> from plasticgym.rules import Body, multilayer
        >>> weights = multilayer.newborn(Body((4, 3, 2)), "tanh", key=jax.random.key(0))
        >>> [w.shape for w in weights]
        [(5, 3), (4, 2)]

        ```
    """
    shapes = list(itertools.pairwise(body.layers))
    if not shapes:
        raise ValueError(
            f"`body` must have at least an input and an output layer, got {body.layers}."
        )
    gain = 2.0 if activation == "relu" else 1.0
    rows = 0 if bias_deviation is None else 1  # of biases, drawn with the weights
    total = sum((pre + rows) * post for pre, post in shapes)
    draws = jax.random.normal(key, (*channels, total), float)
    blocks, start = [], 0
    for layer, (pre, post) in enumerate(shapes):
        stop = start + (pre + rows) * post
        drawn = draws[..., start:stop].reshape(*channels, pre + rows, post)
        weights = drawn[..., :pre, :] * (deviation * jnp.sqrt(gain / body.fan_in(layer)))
        biases = jnp.zeros((*channels, 1, post))
        if bias_deviation is not None:
            biases = drawn[..., pre:, :] * bias_deviation
        blocks.append(jnp.concatenate([weights, biases], axis=-2))
        start = stop
    return tuple(blocks)


def rest(state: State, batch: int) -> State:
    """All activities and errors zero.

    Args:
        state: a network, whose neurons may be empty.
        batch: how many rows they are to have.

    Returns:
        The same network with neurons `{"activity": zeros, "error": zeros}`, each of shape
        `(batch, n)`.
    """
    zeros = [jnp.zeros((batch, n)) for n in state.body.layers]
    neurons = tuple({"activity": z, "error": z} for z in zeros)
    return State(state.body, neurons, state.synapses, state.memory)


def forward(
    state: State, inputs: Clamped, activation: str
) -> tuple[State, Float[Array, "batch outputs"]]:
    """Activities from the inputs upwards; the last layer is linear.

    A block without a row for the bias unit has none.

    Args:
        state: a network with a `"weight"` of shape `(pre + 1, post)` in every block.
        inputs: values of shape `(batch, inputs)`; those that are free count as 0.
        activation: of the hidden layers.

    Returns:
        The state with these activities and all errors zero, and the activities of the
        outputs, of shape `(batch, outputs)`.

    Raises:
        ValueError: if the activation is unknown, with the near names.
    """
    body, last = state.body, len(state.synapses) - 1
    activity = body.mask(0, inputs.known)
    neurons = [{"activity": activity, "error": jnp.zeros_like(activity)}]
    for layer, block in enumerate(state.synapses):
        pre = activity
        if block["weight"].shape[0] == activity.shape[1] + 1:
            pre = with_bias(activity)
        z = pre @ block["weight"]
        activity = body.mask(layer + 1, z if layer == last else named(activation)(z))
        neurons.append({"activity": activity, "error": jnp.zeros_like(activity)})
    return State(body, tuple(neurons), state.synapses, state.memory), activity


def backward(
    state: State,
    error: Float[Array, "batch outputs"],
    activation: str,
    feedback: tuple[Float[Array, "_post _pre"], ...] | None = None,
) -> State:
    """Errors from the outputs down: $\\delta_l = \\sigma'_l \\odot \\delta_{l+1} B_l$.

    $B_l$ are the matrices of `feedback`, one for each block but the first; without it
    they are $W_l^T$, and the errors minus the derivatives of each example's loss.

    Args:
        state: a network with activities at its neurons.
        error: of the outputs, of shape `(batch, outputs)`.
        activation: of the hidden layers.
        feedback: matrices of shape `(post, pre)`, as `random_feedback` draws them.

    Returns:
        The state with these errors at all neurons but the inputs.

    Raises:
        ValueError: if the activation is unknown, with the near names.
    """
    body, neurons = state.body, list(state.neurons)
    if feedback is None:
        feedback = tuple(block["weight"][:-1].T for block in state.synapses[1:])
    error = body.mask(len(state.synapses), error)
    neurons[-1] = {"activity": neurons[-1]["activity"], "error": error}
    for layer in range(len(state.synapses) - 1, 0, -1):
        activity = neurons[layer]["activity"]
        error = (error @ feedback[layer - 1]) * slope(activation)(activity)
        error = body.mask(layer, error)
        neurons[layer] = {"activity": activity, "error": error}
    return State(body, tuple(neurons), state.synapses, state.memory)


def descent(state: State) -> tuple[Array, ...]:
    """Minus the gradient of the mean loss by each block: $[h_l, 1]^T \\delta_{l+1} / B$.

    It is that gradient where errors came back by `backward` without matrices of feedback.

    Args:
        state: a network with activities and errors at its neurons.

    Returns:
        For each block, an array of shape `(pre + 1, post)`.
    """
    blocks = []
    for pre, post in itertools.pairwise(state.neurons):
        error = post["error"]
        # Dividing afterwards joins the update; before, it is a pass of its own.
        blocks.append((with_bias(pre["activity"]).T @ error) / error.shape[0])
    return tuple(blocks)


def descended(state: State, rate: Float[Array, ""]) -> State:
    """The state after one step down the gradient; leaves beside the weights stay.

    Args:
        state: with activities and errors at its neurons.
        rate: how far, in multiples of `descent`.

    Returns:
        The same network with other weights.
    """
    synapses = tuple(
        block | {"weight": block["weight"] + rate * down}
        for block, down in zip(state.synapses, descent(state), strict=True)
    )
    return State(state.body, state.neurons, synapses, state.memory)


def with_bias(activity: Float[Array, "... batch n"]) -> Float[Array, "... batch n+1"]:
    """Activities with those of a unit that is always 1 appended.

    Args:
        activity: of shape `(..., batch, n)`.

    Returns:
        The same with one column of ones more, of shape `(..., batch, n + 1)`.
    """
    ones = jnp.ones((*activity.shape[:-1], 1), activity.dtype)
    return jnp.concatenate([activity, ones], axis=-1)
