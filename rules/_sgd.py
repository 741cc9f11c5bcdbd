from typing import final

import equinox as eqx
from jaxtyping import Array, Float, Key

from . import _multilayer
from ._activations import slope
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._signals import Signal, Tier


@final
class SGD(AbstractRule):
    r"""Backpropagation with stochastic gradient descent: $\Delta W = -\eta\, \nabla_W L$.

    The gradient is exact, of the mean loss of the batch. A synapse holds its weight. Reads
    the error; its tier is gradient.

    **Arguments:**

    - `rate`: $\eta$, a positive scalar.
    - `activation`: of hidden layers: `"relu"`, `"tanh"`, `"sigmoid"` or `"linear"`;
      weights are born with variance 2 / inputs under relu and 1 / inputs otherwise.

    **Raises:**

    - `ValueError`: if `rate` is not positive or the activation is unknown.

    ??? cite "Reference"

        Rumelhart, Hinton, Williams, "Learning representations by back-propagating
        errors", Nature 1986.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> life = pg.envs.live(pg.rules.SGD(rate=0.1), pg.envs.digits(), key=jax.random.key(0))
        >>> life.scores.shape
        (20,)

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=0.1, converter=real, metadata=gene("log"))
    activation: str = eqx.field(static=True, default="relu")

    def __check_init__(self):
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
        return _multilayer.rest(state, batch)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        return _multilayer.forward(state, inputs, self.activation)

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        return _multilayer.backward(state, feedback.error, self.activation)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        return _multilayer.descended(state, self.rate)
