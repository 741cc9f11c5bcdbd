import itertools
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from . import _multilayer
from ._activations import activation as named
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._signals import Signal, Tier


@final
class FixedWeights(AbstractRule):
    r"""A network that is born knowing and never learns: $\Delta w_{ij} = 0$.

    Its weights are its genome, so an evolution strategy that trains it does what one does
    to a policy: the baseline of every rule that evolution gives as much to find out. It
    lives in one body. Reads nothing; its tier is activity.

    **Arguments:**

    - `layers`: sizes of the one body it lives in.
    - `weights`: block by block and, in a block, row by row, the last row being the biases;
      `None` draws them as newborn networks are, without biases.
    - `activation`: of hidden layers; the last layer is linear.
    - `seed`: of the draw.

    **Raises:**

    - `ValueError`: if `weights` has the wrong shape or the activation is unknown, or, by
      `init`, if the body has other sizes than `layers`.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.genome(pg.rules.FixedWeights((4, 16, 2))).size
        114

        ```
    """

    weights: Float[Array, " synapses"] = eqx.field(converter=real, metadata=gene())
    layers: tuple[int, ...] = eqx.field(static=True)
    activation: str = eqx.field(static=True)

    def __init__(
        self,
        layers: tuple[int, ...],
        weights: Float[Array, " synapses"] | None = None,
        *,
        activation: str = "tanh",
        seed: int = 0,
    ):
        named(activation)
        if weights is None:
            drawn = _multilayer.newborn(Body(layers), activation, key=jax.random.key(seed))
            weights = jnp.concatenate([block.ravel() for block in drawn])
        self.layers, self.activation = tuple(layers), activation
        self.weights = weights

    def __check_init__(self):
        shape = (sum((pre + 1) * post for pre, post in itertools.pairwise(self.layers)),)
        if np.shape(self.weights) != shape:
            raise ValueError(
                f"`weights` must have shape {shape} where `layers` is {self.layers}, got "
                f"{np.shape(self.weights)}."
            )

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset()

    @property
    def tier(self) -> Tier:
        return Tier.ACTIVITY

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        if body.layers != self.layers:
            raise ValueError(
                f"`body` must have layers {self.layers}, whose weights it has, got "
                f"{body.layers}."
            )
        blocks, start = [], 0
        for pre, post in itertools.pairwise(self.layers):
            stop = start + (pre + 1) * post
            blocks.append({"weight": self.weights[start:stop].reshape(pre + 1, post)})
            start = stop
        return State(body, (), tuple(blocks))

    def rest(self, state: State, batch: int) -> State:
        return _multilayer.rest(state, batch)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        return _multilayer.forward(state, inputs, self.activation)

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        return state

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        return state
