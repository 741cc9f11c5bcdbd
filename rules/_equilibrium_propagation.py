from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from . import _multilayer
from ._activations import activation as named
from ._activations import slope
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._check_sizes import check_sizes
from ._gene import gene, real
from ._registry import near
from ._signals import Signal, Tier

# The nudges of the two phases that are compared, in multiples of the strength.
_NUDGES = {"one-sided": (1.0, 0.0), "centred": (1.0, -1.0)}


@final
class EquilibriumPropagation(AbstractRule):
    r"""Equilibrium propagation: $\Delta W_l = \frac{\eta}{\beta}
    \left([s_l^\beta, 1]^T s_{l+1}^\beta - [s_l^0, 1]^T s_{l+1}^0\right)$.

    A layered Hopfield network, whose synapses act both ways. With $s_0 = x$ its energy is
    $E = \sum_l \sum_i \int^{s_{l,i}} \sigma^{-1} - \sum_l [s_l, 1]\, W_l\, s_{l+1}^T$. It
    settles by steps of

    $$s_l \leftarrow s_l + \gamma\, \left(\sigma([s_{l-1}, 1]\, W_{l-1} + s_{l+1} W_l^T) -
    s_l\right),$$

    in `predict` freely, from rest; the outputs are $y = g s_L$. In `receive` it goes on
    from there while $\beta g \delta$ is added to what reaches the last layer, $\delta$
    being minus the derivative of the loss by the outputs. Nudging is *one-sided*, as in
    the equation, or *centred*: $\beta$ against $-\beta$, and half the difference. Both
    phases relax equally long, so that what the free one left unsettled cancels.

    At equilibrium the change tends to minus the gradient of the loss through the settled
    outputs as $\beta \to 0$; it is wrong by order $\beta$ one-sided, $\beta^2$ centred.
    Fails where there is no single equilibrium: activations without bounds can run away.
    Reads the error; synapses carry it down as they carry activity up, so its tier is
    gradient.

    **Arguments:**

    - `rate`: $\eta$, a positive scalar.
    - `strength`: $\beta$ of the nudges, a positive scalar.
    - `gain`: $g$, a positive scalar: how large bounded outputs can be.
    - `pace`: $\gamma$, in (0, 1).
    - `free_steps`, `nudged_steps`: how many steps the phases last.
    - `nudging`: `"centred"` or `"one-sided"`.
    - `activation`: $\sigma$ of all layers but the inputs; as in
      [`SGD`][plasticgym.rules.SGD], but relu is rarely stable.

    **Raises:**

    - `ValueError`: if a number is out of its range or a name is unknown.

    ??? cite "Reference"

        Scellier, Bengio, "Equilibrium propagation: bridging the gap between energy-based
        models and backpropagation", Frontiers in Computational Neuroscience 2017;
        Laborieux and others, "Scaling equilibrium propagation to deep ConvNets by
        drastically reducing its gradient estimator bias", Frontiers in Neuroscience 2021.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> rule = pg.rules.EquilibriumPropagation(nudging="one-sided", free_steps=50)
        >>> pg.rules.gene_names(rule)
        ('rate', 'strength', 'gain', 'pace')

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=0.0316, converter=real, metadata=gene("log"))
    strength: Float[Array, ""] = eqx.field(default=0.2, converter=real, metadata=gene("log"))
    gain: Float[Array, ""] = eqx.field(default=5.0, converter=real, metadata=gene("log"))
    pace: Float[Array, ""] = eqx.field(default=0.5, converter=real, metadata=gene("logit"))
    free_steps: int = eqx.field(static=True, default=20)
    nudged_steps: int = eqx.field(static=True, default=4)
    nudging: str = eqx.field(static=True, default="centred")
    activation: str = eqx.field(static=True, default="tanh")

    def __check_init__(self):
        check_sizes(free_steps=self.free_steps, nudged_steps=self.nudged_steps)
        if self.nudging not in _NUDGES:
            known = near(self.nudging, list(_NUDGES))
            raise ValueError(f"unknown `nudging` {self.nudging!r}; {known}")
        slope(self.activation)

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset({Signal.ERROR})

    @property
    def tier(self) -> Tier:
        return Tier.GRADIENT

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        weights = _multilayer.newborn(body, self.activation, key=key)
        return State(body, (), tuple({"weight": w} for w in weights))

    def rest(self, state: State, batch: int) -> State:
        zeros = [jnp.zeros((batch, n)) for n in state.body.layers]
        return _holding(state, zeros, [jnp.stack([z, z]) for z in zeros])

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        x = state.body.mask(0, inputs.known)
        starts = inputs.starts[:, None]
        kept = [jnp.where(starts, 0.0, n["activity"]) for n in state.neurons[1:]]
        nudge = jnp.zeros_like(kept[-1])
        free = [x, *self._settled(state, x, kept, nudge, self.free_steps)]
        return _holding(state, free, [jnp.stack([s, s]) for s in free]), self.gain * free[-1]

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        x, *free = (n["activity"] for n in state.neurons)

        def phase(multiple: Float[Array, ""]) -> list[Float[Array, "batch _n"]]:
            nudge = multiple * self.strength * self.gain * feedback.error
            return [x, *self._settled(state, x, free, nudge, self.nudged_steps)]

        return _holding(state, [x, *free], jax.vmap(phase)(real(_NUDGES[self.nudging])))

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        high, low = _NUDGES[self.nudging]
        synapses = []
        for layer, block in enumerate(state.synapses):
            pre, post = (state.neurons[i]["phases"] for i in (layer, layer + 1))
            products = _multilayer.with_bias(pre).mT @ post / post.shape[1]
            difference = (products[0] - products[1]) / ((high - low) * self.strength)
            synapses.append({"weight": block["weight"] + self.rate * difference})
        return State(state.body, state.neurons, tuple(synapses), state.memory)

    def _settled(
        self, state: State, x: Array, layers: list[Array], nudge: Array, steps: int
    ) -> list[Array]:
        """The layers above the inputs after so many steps, the last one being nudged."""
        weights = [block["weight"] for block in state.synapses]
        from_inputs = _multilayer.with_bias(x) @ weights[0]

        def relax(_, layers):
            below = [from_inputs]
            below += [
                _multilayer.with_bias(s) @ w
                for s, w in zip(layers[:-1], weights[1:], strict=True)
            ]
            above = [s @ w[:-1].T for s, w in zip(layers[1:], weights[1:], strict=True)]
            moved = []
            for i, s in enumerate(layers):
                reached = below[i] + [*above, nudge][i]
                aim = state.body.mask(i + 1, named(self.activation)(reached))
                moved.append(s + self.pace * (aim - s))
            return moved

        return jax.lax.fori_loop(0, steps, relax, layers)


def _holding(state: State, free: list[Array], phases: list[Array]) -> State:
    """The state with free activities at its neurons, and those of the compared phases."""
    neurons = tuple({"activity": s, "phases": p} for s, p in zip(free, phases, strict=True))
    return State(state.body, neurons, state.synapses, state.memory)
