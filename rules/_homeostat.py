import itertools
from collections.abc import Sequence
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from . import _multilayer
from ._activations import activation as named
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real, real_or_none
from ._signals import Signal, Tier
from ._slow_state import slow


@final
class Homeostat(AbstractRule):
    r"""Bears a want for a while; then all synapses are drawn anew, until it is content.

    $$d \leftarrow \max(0,\, d + \kappa\,(c - r)); \qquad
    \text{where } d \ge 1: \quad d \leftarrow 0, \quad
    w_{ij} \leftarrow m_{ij} + \sigma_{ij}\, \xi_{ij}, \quad \xi_{ij} \sim N(0, 1 / n)$$

    with $n$ the neurons before the synapse. The deficit $d$ is the cumulative sum that tells
    soonest that a mean, here of the reward, is below $c$: a rare fall or a slow swing is
    borne, lasting failure is not. Newborns are drawn alike. Evolution shapes what is drawn,
    and so the features of a network; but the outputs have no bias and their synapses are
    drawn about 0: no network is born knowing what its outputs do to the world. It has to
    find out, and finds out again when they do something else.

    A neuron holds $d$, which is broadcast and never put to rest; a batch has the mean
    reward of its rows. Reads the reward; its tier is reward.

    **Arguments:**

    - `rate`: $\kappa$, positive.
    - `content`: $c$, the reward with which it is content.
    - `birth`: $\sigma$, positive; biases are not drawn.
    - `mean`: $m$, 0 in the last block; `None` draws it as the weights of newborn networks
      are, without biases.
    - `layers`: sizes of the one body to whose synapses $m$ and $\sigma$ of their own are
      given, block by block and, in a block, row by row: `mean` to all but the last block,
      in each of which the last row are the biases, and `birth`, which has no such rows, to
      all; a number fills every entry of it. `None` shares $\sigma$ in any body, $m$ being 0.
    - `activation`: of hidden layers; the last layer is linear.
    - `seed`: of the draw of `mean`.

    **Raises:**

    - `ValueError`: if a gene is out of its range or has the wrong shape, the activation is
      unknown, or, by `init`, if the body has other sizes than `layers`.

    ??? cite "Reference"

        Ashby, "Design for a brain", 1952. Page, "Continuous inspection schemes", Biometrika
        1954.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.gene_names(pg.rules.Homeostat())
        ('rate', 'content', 'birth')

        ```
    """

    rate: Float[Array, ""] = eqx.field(converter=real, metadata=gene("log", unit=0.1))
    content: Float[Array, ""] = eqx.field(converter=real, metadata=gene(unit=0.1))
    birth: Float[Array, "*synapse"] = eqx.field(converter=real, metadata=gene("log"))
    mean: Float[Array, " below"] | None = eqx.field(converter=real_or_none, metadata=gene())
    layers: tuple[int, ...] | None = eqx.field(static=True)
    activation: str = eqx.field(static=True)

    def __init__(
        self,
        rate: ArrayLike = 20.0,
        content: ArrayLike = 0.0,
        birth: ArrayLike | Sequence[float] = 1.0,
        *,
        mean: ArrayLike | Sequence[float] | None = None,
        layers: tuple[int, ...] | None = None,
        activation: str = "tanh",
        seed: int = 0,
    ):
        named(activation)
        self.layers = None if layers is None else tuple(layers)
        if self.layers is not None:
            birth = np.full(self._shapes[0], birth) if np.ndim(birth) == 0 else birth
            if mean is None:
                drawn = _multilayer.newborn(
                    Body(self.layers), "linear", key=jax.random.key(seed)
                )
                mean = jnp.concatenate([jnp.zeros(0), *(w.ravel() for w in drawn[:-1])])
        self.rate, self.content, self.activation = real(rate), real(content), activation
        self.birth, self.mean = real(birth), real_or_none(mean)

    def __check_init__(self):
        for name, shape in zip(("birth", "mean"), self._shapes, strict=True):
            found = None if getattr(self, name) is None else np.shape(getattr(self, name))
            if found != shape:
                raise ValueError(
                    f"`{name}` must have shape {shape} where `layers` is {self.layers}, got "
                    f"{found}."
                )

    @property
    def _shapes(self) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
        """Those of `birth` and `mean`."""
        if self.layers is None:
            return (), None
        pairs = list(itertools.pairwise(self.layers))
        means = sum((pre + 1) * post for pre, post in pairs[:-1])
        return (sum(pre * post for pre, post in pairs),), (means,)

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset({Signal.REWARD})

    @property
    def tier(self) -> Tier:
        return Tier.REWARD

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        if self.layers not in (None, body.layers):
            raise ValueError(
                f"`body` must have layers {self.layers}, for whose synapses it has genes, "
                f"got {body.layers}."
            )
        return State(body, (), tuple({"weight": w} for w in self._drawn(body, key=key)))

    def rest(self, state: State, batch: int) -> State:
        rested, deficits = _multilayer.rest(state, batch), slow(state, "deficit", batch)
        neurons = tuple(
            {"activity": held["activity"], "deficit": d, "tumble": jnp.zeros_like(d)}
            for held, d in zip(rested.neurons, deficits, strict=True)
        )
        return State(state.body, neurons, state.synapses, state.memory)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        after, outputs = _multilayer.forward(state, inputs, self.activation)
        neurons = tuple(
            held | {"activity": now["activity"]}
            for held, now in zip(state.neurons, after.neurons, strict=True)
        )
        return State(state.body, neurons, state.synapses, state.memory), outputs

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        want, neurons = self.rate * (self.content - feedback.reward.mean()), []
        for held in state.neurons:
            d = jnp.maximum(0.0, held["deficit"] + want)
            tumble = (d >= 1.0).astype(d.dtype)
            neurons.append(held | {"deficit": d * (1.0 - tumble), "tumble": tumble})
        return State(state.body, tuple(neurons), state.synapses, state.memory)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        synapses = []
        # Others than at birth, be it under the same key.
        drawn = self._drawn(state.body, key=jax.random.fold_in(key, 1))
        for block, new, post in zip(state.synapses, drawn, state.neurons[1:], strict=True):
            anew = post["tumble"][:1] > 0.0  # the same in all rows
            synapses.append({"weight": jnp.where(anew, new, block["weight"])})
        return State(state.body, state.neurons, tuple(synapses), state.memory)

    def _drawn(self, body: Body, *, key: Key[Array, ""]) -> tuple[Array, ...]:
        drawn = _multilayer.newborn(body, "linear", key=key)
        if self.mean is None:
            return tuple(self.birth * w for w in drawn)
        weights, birth, mean = [], self.birth, self.mean
        for layer, w in enumerate(drawn):
            pre, post = w.shape[0] - 1, w.shape[1]
            own, birth = birth[: pre * post], birth[pre * post :]
            w = w.at[:-1].multiply(own.reshape(pre, post))
            if layer < len(drawn) - 1:
                below, mean = mean[: w.size], mean[w.size :]
                w = w + below.reshape(w.shape)
            weights.append(w)
        return tuple(weights)
