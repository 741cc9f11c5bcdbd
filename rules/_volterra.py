from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from . import _multilayer
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._local_view import LocalView
from ._signals import Signal, Tier

# Oja's rule: y (x - y w).
_OJA = np.zeros((3, 3, 3))
_OJA[1, 1, 0], _OJA[0, 2, 1] = 1.0, -1.0


@final
class Volterra(AbstractRule):
    r"""A polynomial in pre, post and weight, the family of rules that can be searched.

    $$\Delta w_{ij} = \eta \sum_{a, b, c = 0}^{2} \theta_{abc}\, x_i^a\, y_j^b\, w_{ij}^c$$

    With $\theta_{110} = 1$, $\theta_{021} = -1$ and the rest 0 it is Oja's rule, exactly;
    this is the default. Fitted to what a network must do, it recovers known rules. Most
    polynomials diverge. Neurons are linear, without biases. Reads no feedback; its tier is
    activity.

    **Arguments:**

    - `rate`: $\eta$, a positive scalar.
    - `coefficients`: $\theta$, shape `(3, 3, 3)`: powers of pre, of post, of the weight.

    **Raises:**

    - `ValueError`: if `rate` is not positive or `coefficients` are not of that shape.

    ??? cite "Reference"

        Confavreux, Zenke, Agnes, Lillicrap, Vogels, "A meta-learning approach to
        (re)discover plasticity rules that carve a desired function into a neural network",
        NeurIPS 2020.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.genome(pg.rules.Volterra()).shape  # the rate and 27 coefficients
        (28,)

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=0.0005, converter=real, metadata=gene("log"))
    coefficients: Float[Array, "3 3 3"] = eqx.field(
        default_factory=lambda: _OJA, converter=real, metadata=gene(unit=0.1)
    )

    def __check_init__(self):
        if self.coefficients.shape != (3, 3, 3):
            raise ValueError(
                "`coefficients` must have shape (3, 3, 3): powers 0 to 2 of pre, of post, of "
                f"the weight, got {self.coefficients.shape}."
            )

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset()

    @property
    def tier(self) -> Tier:
        return Tier.ACTIVITY

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        weights = _multilayer.newborn(body, "linear", key=key)
        return State(body, (), tuple({"weight": w[:-1]} for w in weights))

    def rest(self, state: State, batch: int) -> State:
        return _multilayer.rest(state, batch)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        return _multilayer.forward(state, inputs, "linear")

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        return state

    def change(self, view: LocalView) -> Float[Array, ""]:
        x, y, w = (_powers(value) for value in (view.pre, view.post, view.weight))
        return self.rate * jnp.einsum("abc,a,b,c->", self.coefficients, x, y, w)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        synapses = []
        for layer, block in enumerate(state.synapses):
            x, y = (state.neurons[i]["activity"] for i in (layer, layer + 1))
            moments, w = _moments(x, y), block["weight"]
            terms = [
                sum(self.coefficients[a, b, c] * moments[a][b] for a, b in np.ndindex(3, 3))
                for c in range(3)
            ]
            change = terms[0] + w * (terms[1] + w * terms[2])
            synapses.append({"weight": w + self.rate * change})
        return State(state.body, state.neurons, tuple(synapses), state.memory)


def _powers(value: Float[Array, "..."]) -> Float[Array, "3 ..."]:
    return jnp.stack([jnp.ones_like(value), value, value**2])


def _moments(
    x: Float[Array, "batch _pre"], y: Float[Array, "batch _post"]
) -> list[list[Float[Array, "_ _"]]]:
    r"""$\langle x_i^a y_j^b \rangle$ by $a$ and $b$; where one is 0, a column or a row."""
    share = 1.0 / x.shape[0]
    both = jnp.concatenate([x, x**2], 1).T @ jnp.concatenate([y * share, y**2 * share], 1)
    (xy, xyy), (xxy, xxyy) = (jnp.split(half, 2, 1) for half in jnp.split(both, 2))
    x1, x2, y1, y2 = x.mean(0)[:, None], (x**2).mean(0)[:, None], y.mean(0), (y**2).mean(0)
    return [
        [jnp.ones((1, 1)), y1[None], y2[None]],
        [x1, xy, xyy],
        [x2, xxy, xxyy],
    ]
