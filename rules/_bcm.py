from typing import final

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key

from . import _multilayer
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._signals import Signal, Tier
from ._slow_state import slow

_TINY = 1e-12


@final
class BCM(AbstractRule):
    r"""The rule of Bienenstock, Cooper and Munro, whose threshold slides with the activity.

    $$\theta_j \leftarrow \tau\, \theta_j + (1 - \tau) \langle y_j^2 \rangle, \qquad
    \Delta w_{ij} = \eta\, x_i y_j (y_j - \theta_j) / \theta_j$$

    A neuron that answers above its threshold strengthens the synapses that made it answer,
    and weakens them below. So neurons become selective: where $n$ linearly independent
    inputs are equally frequent, each neuron ends up answering $n$ to one of them and 0 to
    the others, or is silent. Dividing by the threshold, as Law and Cooper do, moves no
    fixed point, and bounds steps: with $|x|$ the largest input, a neuron strengthens a
    synapse by at most $\eta\, |x| / (1 - \tau)$ and weakens it by at most $\eta\, |x|\,
    \theta / 4$. Neurons are rectified, also at the top, without biases; they keep their
    threshold when put to rest. What is rare is answered strongly: to one input in a
    thousand, about a thousand. Reads no feedback; its tier is activity.

    **Arguments:**

    - `rate`: $\eta$, a positive scalar.
    - `decay`: $\tau$, in (0, 1), per presentation.

    **Raises:**

    - `ValueError`: if `rate` or `decay` is out of its range.

    ??? cite "Reference"

        Bienenstock, Cooper, Munro, "Theory for the development of neuron selectivity:
        orientation specificity and binocular interaction in visual cortex", Journal of
        Neuroscience 1982. Law, Cooper, "Formation of receptive fields in realistic visual
        environments according to the Bienenstock, Cooper, and Munro (BCM) theory", PNAS
        1994.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.gene_names(pg.rules.BCM())
        ('rate', 'decay')

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=0.001, converter=real, metadata=gene("log"))
    decay: Float[Array, ""] = eqx.field(default=0.8, converter=real, metadata=gene("logit"))

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset()

    @property
    def tier(self) -> Tier:
        return Tier.ACTIVITY

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        weights = _multilayer.newborn(body, "relu", key=key)
        return State(body, (), tuple({"weight": w[:-1]} for w in weights))

    def rest(self, state: State, batch: int) -> State:
        rested = _multilayer.rest(state, batch)
        thresholds = slow(state, "threshold", batch)
        return self._with_thresholds(rested, thresholds)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        after, z = _multilayer.forward(state, inputs, "relu")
        y = jax.nn.relu(z)
        neurons = (*after.neurons[:-1], after.neurons[-1] | {"activity": y})
        after = State(after.body, neurons, after.synapses, after.memory)
        thresholds = tuple(
            self.decay * before["threshold"]
            + (1.0 - self.decay) * (now["activity"] ** 2).mean(0)[None]
            for before, now in zip(state.neurons, neurons, strict=True)
        )
        return self._with_thresholds(after, thresholds), y

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        return state

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        synapses = []
        for layer, block in enumerate(state.synapses):
            x, post = state.neurons[layer]["activity"], state.neurons[layer + 1]
            y, threshold = post["activity"], post["threshold"]
            share = y / (threshold + _TINY)  # 0 in a neuron that was never active
            growth = x.T @ (share * (y - threshold) / y.shape[0])
            synapses.append({"weight": block["weight"] + self.rate * growth})
        return State(state.body, state.neurons, tuple(synapses), state.memory)

    @staticmethod
    def _with_thresholds(state: State, thresholds: tuple[Array, ...]) -> State:
        neurons = tuple(
            held | {"threshold": threshold}
            for held, threshold in zip(state.neurons, thresholds, strict=True)
        )
        return State(state.body, neurons, state.synapses, state.memory)
