import itertools
from pathlib import Path
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from . import _multilayer
from ._activations import slope
from ._affine import Affine
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._genome_file import load_genome, shipped
from ._signals import Signal, Tier

_DECAYS = (0.1, 0.5, 0.9, 0.99, 0.999, 0.9999)
_SCALES = (1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
_LOCAL, _FEATURES = 2 + len(_DECAYS), 2 + len(_DECAYS) + len(_SCALES)
_HIDDEN, _STEP, _SMALL = 32, 1e-3, 1e-5


@final
class LearnedOptimizer(AbstractRule):
    r"""A small network that looks at each weight's gradient and says how it changes.

    $$\Delta w = -10^{-3}\, d\, e^{10^{-3} m}, \quad (d, m) = N(g, w, m_1 \dots m_6,
    \tau_1 \dots \tau_{11}),$$

    where $g$ is the gradient of the mean loss of the batch, $m_k \leftarrow \beta_k m_k +
    (1 - \beta_k) g$ are momenta with decays 0.1, 0.5, 0.9, 0.99, 0.999 and 0.9999, and
    $\tau_k = \tanh(t / T_k - 1)$ tell the time in scales $T$ from 1 to 100,000. $N$ has two
    hidden layers of 32 relu units and is shared by all weights.

    Gradient, weights and momenta are each divided by their root mean square over the block
    (biases included), so that a step does not depend on the scale of the loss, and a
    synapse on what its whole layer does: its tier is layer. Steps are as long as the
    training of $N$ made them; there is no rate to set, and where lives, bodies or losses
    are unlike those of its training it may do badly. Reads the error.

    **Arguments:**

    - `first`, `second`, `third`: the layers of $N$: 19 features to 32, to 32, to 2.
    - `activation`: of the network that learns; as in [`SGD`][plasticgym.rules.SGD].

    **Raises:**

    - `ValueError`: if the shapes of the layers are not these or the activation is unknown.

    ??? cite "Reference"

        Metz, Maheswaranathan, Freeman, Poole, Sohl-Dickstein, "Tasks, stability,
        architecture, and compute: training more effective learned optimizers, and using
        them to train themselves", 2020; Metz, Freeman, Harrison, Maheswaranathan,
        Sohl-Dickstein, "Practical tradeoffs between memory, compute, and performance in
        learned optimizers", CoLLAs 2022.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> rule = pg.rules.make("learned-optimizer")
        >>> state = rule.init(pg.rules.Body((4, 2)), key=jax.random.key(0))
        >>> state.synapses[0]["momenta"].shape
        (6, 5, 2)

        ```
    """

    first: Affine
    second: Affine
    third: Affine
    activation: str = eqx.field(static=True, default="relu")

    def __check_init__(self):
        slope(self.activation)
        shapes = {
            "first": (_HIDDEN, _FEATURES),
            "second": (_HIDDEN,) * 2,
            "third": (2, _HIDDEN),
        }
        for name, shape in shapes.items():
            found = getattr(self, name).weight.shape
            if found != shape:
                raise ValueError(f"`{name}` must have weights of shape {shape}, got {found}.")

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset({Signal.ERROR})

    @property
    def tier(self) -> Tier:
        return Tier.LAYER

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        weights = _multilayer.newborn(body, self.activation, key=key)
        momenta = [jnp.zeros((len(_DECAYS), *w.shape)) for w in weights]
        synapses = [{"weight": w, "momenta": m} for w, m in zip(weights, momenta, strict=True)]
        return State(body, (), tuple(synapses), memory={"time": jnp.zeros(())})

    def rest(self, state: State, batch: int) -> State:
        return _multilayer.rest(state, batch)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        return _multilayer.forward(state, inputs, self.activation)

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        return _multilayer.backward(state, feedback.error, self.activation)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        t = state.memory["time"]
        decays = jnp.asarray(_DECAYS)[:, None, None]
        synapses = []
        for layer, descent in enumerate(_multilayer.descent(state)):
            block, g = state.synapses[layer], -descent
            m = decays * block["momenta"] + (1.0 - decays) * g[None]
            features = jnp.concatenate([jnp.stack([g, block["weight"]]), m])
            d, magnitude = self._network(_normalised(features, state.body, layer), t)
            change = -_STEP * d * jnp.exp(_STEP * magnitude)
            synapses.append({"weight": block["weight"] + change, "momenta": m})
        return State(state.body, state.neurons, tuple(synapses), {"time": t + 1.0})

    def _network(
        self, features: Float[Array, "_local pre post"], t: Float[Array, ""]
    ) -> Float[Array, "2 pre post"]:
        """$N$ of every synapse of a block."""
        # Time is the same for all: it enters as a bias.
        time = jnp.tanh(t / jnp.asarray(_SCALES, t.dtype) - 1.0)
        of_features, of_time = self.first.weight[:, :_LOCAL], self.first.weight[:, _LOCAL:]
        bias = self.first.bias + of_time @ time
        hidden = jax.nn.relu(jnp.tensordot(of_features, features, 1) + bias[:, None, None])
        return self.third(jax.nn.relu(self.second(hidden)))


def learned_optimizer(
    genome: str = "random", *, activation: str = "relu", seed: int = 0
) -> AbstractRule:
    """The learned optimizer with a genome by name: `rules.make("learned-optimizer", ...)`.

    Args:
        genome: `"random"`: weights of variance 1 / inputs, and a hundredth of that in the
            last layer; `"shipped"`, the one that comes with the package; or a genome file.
            The last two bring their activation with them.
        activation: of the network that learns.
        seed: of random weights.

    Raises:
        ValueError: if there is no such genome or activation.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.genome(pg.rules.make("learned-optimizer")).size
        1762

        ```
    """
    if genome == "shipped":
        return shipped("learned-optimizer")
    if Path(genome).suffix == ".safetensors":
        return load_genome(genome, expected="learned-optimizer")
    if genome != "random":
        raise ValueError(
            f'`genome` must be "random", "shipped" or a .safetensors file, got {genome!r}.'
        )
    keys = jax.random.split(jax.random.key(seed), 3)
    sizes = (_FEATURES, _HIDDEN, _HIDDEN, 2)
    first, second, third = (
        Affine.drawn(*ends, key=key)
        for ends, key in zip(itertools.pairwise(sizes), keys, strict=True)
    )
    return LearnedOptimizer(first, second, Affine(0.1 * third.weight, third.bias), activation)


def _normalised(
    features: Float[Array, "_local pre post"], body: Body, layer: int
) -> Float[Array, "_local pre post"]:
    """Features divided by their root mean square over the living synapses of a block."""
    squares = jnp.square(features)
    if body.alive is None:
        mean = squares.mean((1, 2), keepdims=True)
    else:
        pre = jnp.append(body.alive[layer], 1.0)
        living = (pre[:, None] * body.alive[layer + 1][None])[None]
        mean = (squares * living).sum((1, 2), keepdims=True) / living.sum()
    return features * jax.lax.rsqrt(mean + _SMALL)
