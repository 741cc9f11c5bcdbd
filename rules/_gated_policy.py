from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._multilayer import with_bias
from ._signals import Signal, Tier


@final
class GatedPolicy(AbstractRule):
    r"""A gated recurrent network that learns by its activity alone: $\Delta w_{ij} = 0$.

    With $u$ the inputs, its own last outputs, the reward they brought, whether the row
    begins an episode, and 1,

    $$z = \sigma(W_z [u, h]), \quad r = \sigma(W_r [u, h]), \quad
    h \leftarrow (1 - z)\, h + z \tanh(W_h [u, r h]), \quad y = [h, 1]\, W_y.$$

    Its weights are its genome. What it finds out in a life it keeps in $h$, which an
    episode that starts does not put to rest: by design, it remembers earlier episodes. The
    baseline of rules that keep what they learn in synapses. It lives in one body with one
    hidden layer. Reads the reward; its tier is reward.

    **Arguments:**

    - `layers`: sizes of the one body it lives in: inputs, $h$ and outputs.
    - `weights`: $W_z, W_r, W_h$ and $W_y$, each row by row; `None` draws them, with
      variance 1 / inputs of the block.
    - `seed`: of the draw.

    **Raises:**

    - `ValueError`: if there are not three layers or `weights` has the wrong shape, or, by
      `init`, if the body has other sizes than `layers`.

    ??? cite "Reference"

        Cho et al., "Learning phrase representations using RNN encoder-decoder for
        statistical machine translation", EMNLP 2014. Duan et al., "RL^2: fast reinforcement
        learning via slow reinforcement learning", 2016; Wang et al., "Learning to
        reinforcement learn", 2016.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.genome(pg.rules.GatedPolicy((4, 8, 2))).size
        426

        ```
    """

    weights: Float[Array, " synapses"] = eqx.field(converter=real, metadata=gene())
    layers: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        layers: tuple[int, ...],
        weights: Float[Array, " synapses"] | None = None,
        *,
        seed: int = 0,
    ):
        self.layers = tuple(layers)
        if len(self.layers) != 3:
            raise ValueError(f"`layers` must be inputs, hidden and outputs, got {layers}.")
        if weights is None:
            gates, top = _shapes(self.layers)
            draws = jax.random.normal(jax.random.key(seed), (_size(self.layers),))
            first = int(np.prod(gates))
            scales = (1 / np.sqrt(gates[1])), (1 / np.sqrt(top[0]))
            weights = jnp.concatenate([draws[:first] * scales[0], draws[first:] * scales[1]])
        self.weights = weights

    def __check_init__(self):
        if np.shape(self.weights) != (_size(self.layers),):
            raise ValueError(
                f"`weights` must have shape ({_size(self.layers)},) where `layers` is "
                f"{self.layers}, got {np.shape(self.weights)}."
            )

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset({Signal.REWARD})

    @property
    def tier(self) -> Tier:
        return Tier.REWARD

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        if body.layers != self.layers:
            raise ValueError(
                f"`body` must have layers {self.layers}, whose weights it has, got "
                f"{body.layers}."
            )
        gates, top = _shapes(self.layers)
        first = int(np.prod(gates))
        lower = {"weight": self.weights[:first].reshape(gates)}
        return State(body, (), (lower, {"weight": self.weights[first:].reshape(top)}))

    def rest(self, state: State, batch: int) -> State:
        zeros = [jnp.zeros((batch, n)) for n in self.layers]
        neurons = tuple({"activity": z, "reward": z} for z in zeros)
        return State(state.body, neurons, state.synapses, state.memory)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        _, h, last = (held["activity"] for held in state.neurons)
        lower, top = (block["weight"] for block in state.synapses)
        x, starts = inputs.known, inputs.starts.astype(h.dtype)[:, None]
        u = with_bias(jnp.concatenate([x, last, state.neurons[-1]["reward"][:, :1], starts], 1))
        z, r = (jax.nn.sigmoid(jnp.concatenate([u, h], 1) @ w) for w in lower[:2])
        h = (1.0 - z) * h + z * jnp.tanh(jnp.concatenate([u, r * h], 1) @ lower[2])
        y = with_bias(h) @ top
        # What it hears of its own outputs is bounded, like what they do.
        activities = (x, h, jnp.clip(y, -1.0, 1.0))
        neurons = tuple(
            held | {"activity": a} for held, a in zip(state.neurons, activities, strict=True)
        )
        return State(state.body, neurons, state.synapses, state.memory), y

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        neurons = tuple(
            held | {"reward": jnp.broadcast_to(feedback.reward[:, None], held["reward"].shape)}
            for held in state.neurons
        )
        return State(state.body, neurons, state.synapses, state.memory)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        return state


def _shapes(layers: tuple[int, ...]) -> tuple[tuple[int, int, int], tuple[int, int]]:
    """Of the three gates together, and of the block above them."""
    inputs, hidden, outputs = layers
    return (3, inputs + outputs + 3 + hidden, hidden), (hidden + 1, outputs)


def _size(layers: tuple[int, ...]) -> int:
    return sum(int(np.prod(shape)) for shape in _shapes(layers))
