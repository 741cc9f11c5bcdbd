import itertools
from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._affine import Affine
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._signals import Signal, Tier

_BIRTH = 0.3
_SLOW = 5.0  # what a cell holds it keeps, and little enters, until told otherwise
_BOUND = 100.0

_Synapses = Float[Array, "states _rows pre post"]


@final
class VSML(AbstractRule):
    r"""Variable shared meta learning: every synapse is a small LSTM, and all are the same one.

    A synapse from neuron $i$ to neuron $j$ holds $(h, c)_{ij}$, neurons hold a message
    $\overrightarrow m$ that goes up and a message $\overleftarrow m$ that comes down. A
    tick of a synapse, and the messages that its neurons then get, are

    $$\begin{aligned}
    (f, i, g, o) &= A\, [\overrightarrow m_i, \overleftarrow m_j, h_{ij}] + b, \\
    c_{ij} &\leftarrow \sigma(f + 5)\, c_{ij} + \sigma(i - 5) \tanh g, \quad
    h_{ij} \leftarrow \sigma(o) \tanh c_{ij}, \\
    \overrightarrow m_j &= \textstyle\frac1I \sum_i F(h_{ij}), \quad
    \overleftarrow m_i = \frac1J \sum_j G(h_{ij}).
    \end{aligned}$$

    A layer ticks twice in a presentation: with $\overleftarrow m = 0$ on the way up, which
    the inputs begin as entry 0 of $\overrightarrow m$, and with both messages on the way
    down, which begins with the derivative of the loss by the outputs and the target as
    entries 0 and 1 of $\overleftarrow m$. Outputs are $100 \tanh(y / 100)$, $y$ being entry
    0 of the last $\overrightarrow m$. There are no weights: what a network knows is in its
    synapses' states, each born as one random number in all cells of $c$, and how it learns
    is in $A, b, F$ and $G$.

    Every row of a batch ticks from the same synapses, and these change by the mean over
    rows. Whatever the order of the inputs, or of the outputs, a network learns the same:
    nothing in the genome knows of places. So one genome fits every body; the means over
    neurons make wide layers learn more slowly. Reads the error and the target; its
    tier is layer.

    **Arguments:**

    - `cell`: $A$ and $b$; four times `states` outputs, `2 messages + states` inputs.
    - `forward`, `backward`: $F$ and $G$, from states to messages.

    **Raises:**

    - `ValueError`: if their shapes do not fit each other, or there are fewer than two
      messages.

    ??? cite "Reference"

        Kirsch, Schmidhuber, "Meta learning backpropagation and improving it", NeurIPS 2021.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.genome(pg.rules.make("vsml", states=16, messages=8)).size
        2384

        ```
    """

    cell: Affine
    forward: Affine
    backward: Affine

    def __check_init__(self):
        (messages, states), expected = self.forward.weight.shape, self.backward.weight.shape
        if (messages, states) != expected:
            raise ValueError(
                "`forward` and `backward` must have weights of one shape, got "
                f"{(messages, states)} and {expected}."
            )
        if messages < 2:
            raise ValueError(
                "`forward` must send at least two messages, one for the derivative of the "
                f"loss and one for the target, got {messages}."
            )
        shape = (4 * states, 2 * messages + states)
        if self.cell.weight.shape != shape:
            raise ValueError(
                f"`cell` must have weights of shape {shape} to fit {states} states and "
                f"{messages} messages, got {self.cell.weight.shape}."
            )

    @property
    def states(self) -> int:
        """The cells of a synapse."""
        return self.forward.weight.shape[1]

    @property
    def messages(self) -> int:
        """The entries of a message."""
        return self.forward.weight.shape[0]

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset({Signal.ERROR, Signal.TARGET})

    @property
    def tier(self) -> Tier:
        return Tier.LAYER

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        if len(body.layers) < 2:
            raise ValueError(
                f"`body` must have at least an input and an output layer, got {body.layers}."
            )
        synapses = []
        for layer, (pre, post) in enumerate(itertools.pairwise(body.layers)):
            drawn = jax.random.normal(jax.random.fold_in(key, layer), (1, pre, post), float)
            c = jnp.broadcast_to(_BIRTH * drawn, (self.states, pre, post))
            synapses.append({"cell": c, "hidden": jnp.zeros_like(c)})
        return State(body, (), tuple(synapses))

    def rest(self, state: State, batch: int) -> State:
        zeros = [jnp.zeros((self.messages, batch, n)) for n in state.body.layers]
        neurons = tuple({"up": z, "down": z} for z in zeros)
        return State(state.body, neurons, state.synapses, state.memory)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        body, up = state.body, self._message(state.body.mask(0, inputs.known))
        neurons = [{"up": up, "down": jnp.zeros_like(up)}]
        for layer, block in enumerate(state.synapses):
            h, _ = self._up(block, neurons[-1])
            sent = self.forward(_mean(h, body, layer, axis=2))
            up = body.mask(layer + 1, sent)
            neurons.append({"up": up, "down": jnp.zeros_like(up)})
        outputs = _BOUND * jnp.tanh(up[0] / _BOUND)
        return State(body, tuple(neurons), state.synapses, state.memory), outputs

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        body, neurons = state.body, list(state.neurons)
        last = len(neurons) - 1
        down = body.mask(last, self._message(-feedback.error, feedback.target.known))
        neurons[last] = neurons[last] | {"down": down}
        for layer in range(last - 1, 0, -1):
            h, _ = self._presented(state.synapses[layer], *neurons[layer : layer + 2])
            sent = self.backward(_mean(h, body, layer + 1, axis=3))
            neurons[layer] = neurons[layer] | {"down": body.mask(layer, sent)}
        return State(body, tuple(neurons), state.synapses, state.memory)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        synapses = []
        for layer, block in enumerate(state.synapses):
            h, c = self._presented(block, *state.neurons[layer : layer + 2])
            synapses.append({"cell": c.mean(1), "hidden": h.mean(1)})
        return State(state.body, state.neurons, tuple(synapses), state.memory)

    def _message(self, *entries: Float[Array, "batch n"]) -> Float[Array, "messages batch n"]:
        """The first entries of a message; the others are zero."""
        silent = [jnp.zeros_like(entries[0])] * (self.messages - len(entries))
        return jnp.stack([*entries, *silent])

    def _up(self, block: dict[str, Array], pre: dict[str, Array]):
        """The synapses of a block in every row after their tick on the way up."""
        h, c = block["hidden"][:, None], block["cell"][:, None]
        return self.tick(h, c, pre["up"][..., None])

    def _presented(
        self, block: dict[str, Array], pre: dict[str, Array], post: dict[str, Array]
    ) -> tuple[_Synapses, _Synapses]:
        """The synapses of a block in every row after both ticks."""
        # The first has been computed in `predict`: a compiled program does it once.
        h, c = self._up(block, pre)
        return self.tick(h, c, pre["up"][..., None], post["down"][:, :, None])

    def tick(
        self,
        h: _Synapses,
        c: _Synapses,
        up: Float[Array, "messages _rows pre 1"],
        down: Float[Array, "messages _rows 1 post"] | None = None,
    ) -> tuple[_Synapses, _Synapses]:
        """$(h, c)$ after a tick; one row of $(h, c)$ stands for all.

        Without messages from above none come down.
        """
        m = self.messages
        of_up, of_down, of_h = jnp.split(self.cell.weight, [m, 2 * m], axis=1)
        z = jnp.tensordot(of_h, h, 1) + self.cell.bias.reshape(-1, 1, 1, 1)
        z = z + jnp.tensordot(of_up, up, 1)
        if down is not None:
            z = z + jnp.tensordot(of_down, down, 1)
        f, i, g, o = jnp.split(z, 4)
        c = jax.nn.sigmoid(f + _SLOW) * c + jax.nn.sigmoid(i - _SLOW) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c


def _mean(
    h: _Synapses, body: Body, layer: int, *, axis: int
) -> Float[Array, "states _rows _n"]:
    """The mean over the living neurons of a layer, which stand on `axis`."""
    if body.alive is None:
        return h.mean(axis)
    alive = jnp.expand_dims(body.alive[layer], [a for a in range(4) if a != axis])
    return (h * alive).sum(axis) / body.fan_in(layer)
