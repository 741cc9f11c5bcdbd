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
from ._registry import near
from ._signals import Signal, Tier

# By loss, what is compared with the target: target minus it is minus the derivative.
_LINKS = {"cross-entropy": jax.nn.softmax, "squared": lambda y: y}


@final
class LeastControl(AbstractRule):
    r"""The least-control principle: $\Delta W_l = \eta\, [s_l, 1]^T e_{l+1}$, with $e$ the
    control that leads the network to less loss. Its `loss` must be that of the problem:
    the default is that of classes, regression needs `loss="squared"`, or it learns under a
    control that is not the least.

    Layer $l$ holds values $v_l = [s_{l-1}, 1]\, W_{l-1} + e_l$ and sends
    $s_l = \sigma(v_l)$; $y = v_L$ are the outputs. In `predict` nothing is controlled. In
    `receive` a leaky integral controller $u$ watches the loss $L$ of the outputs *as they
    are under control*, and reaches every neuron through the transposed weights:

    $$u \leftarrow u + \frac{\gamma}{1 + \alpha} \left(-\frac{\partial L}{\partial y}(y)
    - \alpha u\right), \quad e_L = u, \quad e_l = \sigma'(v_l) \odot e_{l+1} W_l^T.$$

    Where it settles, $\frac{1}{2} \sum_l |e_l|^2 + L(y) / \alpha$ is stationary: the
    control is the least that reaches this loss. Let $H$ be that value. Learning makes
    the control needless: $\Delta W = -\eta\, \nabla_W H$, at any strength. Control is weak
    where the leak $\alpha$ is large; then $\alpha\, \Delta W$ tends to the change of
    [`SGD`][plasticgym.rules.SGD]. It is strong where $\alpha$ is small: outputs are led to
    where the loss is least, and signals need not be small.

    With a squared loss it settles where
    [`PredictiveCoding`][plasticgym.rules.PredictiveCoding] of precision $1 / (1 + \alpha)$
    does; that one clamps the outputs to a value fixed beforehand and descends an energy,
    this one reacts to the loss as it changes. With cross-entropy they differ, the more the
    stronger the control. Strong control converges slowly, and not at all where $\gamma$
    times the squared norm of the weights of a layer exceeds about $4\, (1 + \alpha)$ with
    cross-entropy, or $2\, (1 + \alpha)$ with a squared loss, whose curvature is twice as
    large; in deep networks also where targets are far from the outputs. Reads the error;
    its tier is gradient.

    **Arguments:**

    - `rate`: $\eta$, a positive scalar.
    - `leak`: $\alpha$, a positive scalar.
    - `pace`: $\gamma$, in (0, 1).
    - `steps`: how many steps the controller takes.
    - `loss`: how the loss goes on from the outputs of `predict`, where its derivative is
      what the feedback tells: `"cross-entropy"` (of their softmax) or `"squared"`.
    - `activation`: as in [`SGD`][plasticgym.rules.SGD].

    **Raises:**

    - `ValueError`: if a number is out of its range or a name is unknown.

    ??? cite "Reference"

        Meulemans, Zucchet, Kobayashi, von Oswald, Sacramento, "The least-control principle
        for local learning at equilibrium", NeurIPS 2022.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.gene_names(pg.rules.LeastControl(leak=0.1, steps=30))
        ('rate', 'leak', 'pace')

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=3.16, converter=real, metadata=gene("log"))
    leak: Float[Array, ""] = eqx.field(default=1.0, converter=real, metadata=gene("log"))
    pace: Float[Array, ""] = eqx.field(default=0.5, converter=real, metadata=gene("logit"))
    steps: int = eqx.field(static=True, default=8)
    loss: str = eqx.field(static=True, default="cross-entropy")
    activation: str = eqx.field(static=True, default="tanh")

    def __check_init__(self):
        check_sizes(steps=self.steps)
        if self.loss not in _LINKS:
            raise ValueError(f"unknown `loss` {self.loss!r}; {near(self.loss, list(_LINKS))}")
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
        link, last = _LINKS[self.loss], len(state.neurons) - 1
        x, *free = (n["value"] for n in state.neurons)
        target = link(free[-1]) + feedback.error  # of these losses

        def act(_, controlled):
            values, u = controlled
            values = self._controlled(state, free[0], self._controls(state, values, u))
            descent = state.body.mask(last, target - link(values[-1]))
            return values, u + self.pace / (1.0 + self.leak) * (descent - self.leak * u)

        start = (free, jnp.zeros_like(free[-1]))
        values, u = jax.lax.fori_loop(0, self.steps, act, start)
        controls = self._controls(state, values, u)
        values = [x, *self._controlled(state, free[0], controls)]
        controls = [jnp.zeros_like(x), *controls]
        return _value_neurons.holding(state, values, controls, self.activation)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        return _multilayer.descended(state, self.rate)

    def _controls(self, state: State, values: list[Array], u: Array) -> list[Array]:
        """$e_1$ to $e_L$, from the outputs down."""
        controls = [u]
        for layer in range(len(values) - 1, 0, -1):
            v, e = values[layer - 1], controls[0]
            controls.insert(0, _value_neurons.returned(state, layer, v, e, self.activation))
        return controls

    def _controlled(self, state: State, first: Array, controls: list[Array]) -> list[Array]:
        """$v_1$ to $v_L$ under control, from the prediction of the first upwards."""
        values = [first + controls[0]]
        for layer, e in enumerate(controls[1:], start=1):
            mu = _value_neurons.predicted(state, layer, values[-1], self.activation)
            values.append(mu + e)
        return values
