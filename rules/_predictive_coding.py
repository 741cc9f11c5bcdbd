from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from . import _multilayer, _value_neurons
from ._activations import slope
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._check_sizes import check_sizes
from ._gene import gene, real
from ._signals import Signal, Tier


@final
class PredictiveCoding(AbstractRule):
    r"""Predictive coding: $\Delta W_l = (\eta / \pi)\, [s_l, 1]^T e_{l+1}$, with errors
    $e_l = v_l - \mu_l$ of settled neurons.

    Layer $l$ holds values $v_l$, sends $s_l = \sigma(v_l)$ and predicts the next one,
    $\mu_{l+1} = [s_l, 1]\, W_l$. Outputs are $y = \mu_L$. Feedback $\delta$, minus the
    derivative of the loss, clamps the last layer to $y + \delta$ (with a squared loss the
    target itself) with precision $\pi$: its error is $e_L = \pi (y + \delta - \mu_L)$. The
    hidden layers then descend $F = \frac{1}{2} \sum_{l<L} |e_l|^2 +
    \frac{1}{2\pi} |e_L|^2$, a few steps of

    $$v_l \leftarrow v_l + \gamma\, (\sigma'(v_l) \odot e_{l+1} W_l^T - e_l),$$

    and each synapse changes by the product of what it sees at its two ends. As the
    clamp weakens, $\pi \to 0$, and settling goes on, the change tends to that of
    [`SGD`][plasticgym.rules.SGD]; deep networks need more steps than they have layers.
    Settling is unstable where $\gamma$ times the squared norm of the weights of a hidden
    layer that feeds another exceeds about 2, or $\pi \gamma$ times that of the last ones.
    Reads the error; the way down is the transposed way up, so its tier is gradient.

    **Arguments:**

    - `rate`: $\eta$, a positive scalar.
    - `precision`: $\pi$, a positive scalar.
    - `pace`: $\gamma$, in (0, 1).
    - `steps`: how many steps values settle for.
    - `activation`: as in [`SGD`][plasticgym.rules.SGD].

    **Raises:**

    - `ValueError`: if a number is out of its range or the activation is unknown.

    ??? cite "Reference"

        Whittington, Bogacz, "An approximation of the error backpropagation algorithm in a
        predictive coding network with local Hebbian synaptic plasticity", Neural
        Computation 2017.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.gene_names(pg.rules.PredictiveCoding(precision=0.01, steps=20))
        ('rate', 'precision', 'pace')

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=1.0, converter=real, metadata=gene("log"))
    precision: Float[Array, ""] = eqx.field(default=0.1, converter=real, metadata=gene("log"))
    pace: Float[Array, ""] = eqx.field(default=0.3, converter=real, metadata=gene("logit"))
    steps: int = eqx.field(static=True, default=8)
    activation: str = eqx.field(static=True, default="tanh")

    def __check_init__(self):
        check_sizes(steps=self.steps)
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
        return _value_neurons.rest(state, batch)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        return _value_neurons.forward(state, inputs, self.activation)

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        last = len(state.neurons) - 1
        x, first, *_ = (n["value"] for n in state.neurons)
        y = state.neurons[last]["value"]
        clamped = y + state.body.mask(last, feedback.error)

        def errors(values):
            """Of all layers but the inputs, which never move, nor does what they predict."""
            predictions = [first]
            for layer, v in enumerate(values, start=1):
                predictions.append(_value_neurons.predicted(state, layer, v, self.activation))
            e = [v - mu for v, mu in zip([*values, clamped], predictions, strict=True)]
            return [*e[:-1], self.precision * e[-1]]

        def descend(_, values):
            e = errors(values)
            return [
                v
                + self.pace
                * (_value_neurons.returned(state, i, v, e[i], self.activation) - e[i - 1])
                for i, v in enumerate(values, start=1)
            ]

        hidden = [n["value"] for n in state.neurons[1:last]]
        hidden = jax.lax.fori_loop(0, self.steps, descend, hidden)
        values, e = [x, *hidden, clamped], [jnp.zeros_like(x), *errors(hidden)]
        return _value_neurons.holding(state, values, e, self.activation)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        return _multilayer.descended(state, self.rate / self.precision)
