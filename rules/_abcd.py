import itertools
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from . import _multilayer
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._signals import Signal, Tier

_GENES = ("rate", "both", "pre", "post", "constant")
_BIRTH = 0.1  # newborn weights are uniform between minus this and this
_TINY = 1e-30  # divides a block in which all is 0


@final
class ABCD(AbstractRule):
    r"""The generalised Hebbian rule that evolution can shape synapse by synapse.

    $$\Delta w_{ij} = \eta\, (A\, x_i y_j + B\, x_i + C\, y_j + D)$$

    Then each block is divided by its largest $|w|$, so that weights stay within $[-1, 1]$;
    this looks at the whole layer. Neurons are tanh, also at the top, without biases;
    outputs are $\gamma y$. The five coefficients are shared by all synapses, or each
    synapse has its own, as in the paper, where a network born with random weights and
    without any reward learns within a life to act. Reads no feedback; its tier is layer.

    **Arguments:**

    - `rate`: $\eta$, positive.
    - `both`, `pre`, `post`, `constant`: $A$, $B$, $C$, $D$.
    - `gain`: $\gamma$, a positive scalar.
    - `layers`: sizes of the one body to whose synapses coefficients of their own are
      given: each a vector over synapses, block by block and, in a block, row by row, of
      which a number fills every entry. `None` shares them, in any body.

    **Raises:**

    - `ValueError`: if a gene is out of its range or has the wrong shape, or, by `init`, if
      the body has other sizes than `layers`.

    ??? cite "Reference"

        Najarro, Risi, "Meta-learning through Hebbian plasticity in random networks",
        NeurIPS 2020.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.gene_names(pg.rules.ABCD())
        ('rate', 'both', 'pre', 'post', 'constant', 'gain')
        >>> pg.rules.genome(pg.rules.ABCD(layers=(64, 32, 10))).size  # 5 x 2368 + 1
        11841

        ```
    """

    rate: Float[Array, "*synapse"] = eqx.field(
        default=0.01, converter=real, metadata=gene("log")
    )
    both: Float[Array, "*synapse"] = eqx.field(default=1.0, converter=real, metadata=gene())
    pre: Float[Array, "*synapse"] = eqx.field(default=0.0, converter=real, metadata=gene())
    post: Float[Array, "*synapse"] = eqx.field(default=0.0, converter=real, metadata=gene())
    constant: Float[Array, "*synapse"] = eqx.field(default=0.0, converter=real, metadata=gene())
    gain: Float[Array, ""] = eqx.field(default=1.0, converter=real, metadata=gene("log"))
    layers: tuple[int, ...] | None = eqx.field(static=True, default=None)

    def __post_init__(self):
        if self.layers is None:
            return
        own = _synapses(Body(self.layers).layers)
        for name in _GENES:
            value = getattr(self, name)
            if np.shape(value) == ():
                setattr(self, name, np.full(own, value))

    def __check_init__(self):
        shape = () if self.layers is None else (_synapses(self.layers),)
        for name in _GENES:
            if np.shape(getattr(self, name)) != shape:
                raise ValueError(
                    f"`{name}` must have shape {shape} where `layers` is {self.layers}, got "
                    f"{np.shape(getattr(self, name))}."
                )

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset()

    @property
    def tier(self) -> Tier:
        return Tier.LAYER

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        if len(body.layers) < 2 or self.layers not in (None, body.layers):
            wanted = "an input and an output layer"
            if self.layers is not None:
                wanted = f"layers {self.layers}, for whose synapses it has coefficients"
            raise ValueError(f"`body` must have {wanted}, got {body.layers}.")
        weights = jax.random.uniform(key, (_synapses(body.layers),), float, -_BIRTH, _BIRTH)
        blocks = _blocks(weights, body.layers)
        return State(body, (), tuple({"weight": w} for w in blocks))

    def rest(self, state: State, batch: int) -> State:
        return _multilayer.rest(state, batch)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        after, z = _multilayer.forward(state, inputs, "tanh")
        y = jnp.tanh(z)
        neurons = (*after.neurons[:-1], after.neurons[-1] | {"activity": y})
        return State(after.body, neurons, after.synapses, after.memory), self.gain * y

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        return state

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        body, synapses = state.body, []
        coefficients = zip(
            *(_blocks(getattr(self, n), body.layers) for n in _GENES), strict=True
        )
        for layer, (block, own) in enumerate(zip(state.synapses, coefficients, strict=True)):
            x, y = (state.neurons[i]["activity"] for i in (layer, layer + 1))
            rate, both, pre, post, constant = own
            change = both * (x.T @ (y / y.shape[0])) + constant
            change = change + pre * x.mean(0)[:, None] + post * y.mean(0)[None]
            w = body.mask(layer + 1, block["weight"] + rate * change)
            w = body.mask(layer, w.T).T  # the largest of the living
            synapses.append({"weight": w / jnp.maximum(jnp.abs(w).max(), _TINY)})
        return State(body, state.neurons, tuple(synapses), state.memory)


def _synapses(layers: tuple[int, ...]) -> int:
    return sum(pre * post for pre, post in itertools.pairwise(layers))


def _blocks(values: Float[Array, "*synapse"], layers: tuple[int, ...]) -> list[Array]:
    """One matrix per block, cut from a vector, or the one number there is for all."""
    blocks, start = [], 0
    for pre, post in itertools.pairwise(layers):
        stop = start + pre * post
        blocks.append(values[start:stop].reshape(pre, post) if values.ndim else values)
        start = stop
    return blocks
