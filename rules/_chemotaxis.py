from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from . import _multilayer
from ._activations import activation
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._signals import Signal, Tier
from ._slow_state import slow


@final
class Chemotaxis(AbstractRule):
    r"""Stay as you are while it goes well, tumble when it does not.

    $$g = \min(1, \kappa \max(\bar r - r, 0)), \quad
    w_{ij} \leftarrow \sqrt{1 - g^2}\, w_{ij} + g\, \sigma_j\, \xi_{ij}, \quad
    \bar r \leftarrow \tau\, \bar r + (1 - \tau)\, r,$$

    with $\xi$ normal and $\sigma_j^2$ the variance of newborn weights, so that weights are
    always distributed as at birth. What is rewarded as usual or better changes nothing; a
    disappointment changes all weights, the more the larger it is. It needs no derivative
    and no trace, finds what random networks often do, and is slow where few of them do
    well. It goes uphill in no direction: each tumble is as likely to make things worse.

    A neuron holds $g$ and the mean reward $\bar r$, which is broadcast and never put to
    rest. Reads the reward; its tier is reward.

    **Arguments:**

    - `rate`: $\kappa$, positive.
    - `decay_reward`: $\tau$, in (0, 1).
    - `birth`: standard deviation of newborn weights, in multiples of 1 / sqrt(inputs).
    - `activation`: of hidden layers; the last layer is linear.

    **Raises:**

    - `ValueError`: if a gene is out of its range or the activation is unknown.

    ??? cite "Reference"

        Bremermann, Anderson, "An alternative to back-propagation: a simple rule of synaptic
        modification for neural net training and memory", 1989.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.gene_names(pg.rules.Chemotaxis())
        ('rate', 'decay_reward', 'birth')

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=1.0, converter=real, metadata=gene("log"))
    decay_reward: Float[Array, ""] = eqx.field(
        default=0.95, converter=real, metadata=gene("logit")
    )
    birth: Float[Array, ""] = eqx.field(default=1.0, converter=real, metadata=gene("log"))
    activation: str = eqx.field(static=True, default="tanh")

    def __check_init__(self):
        activation(self.activation)

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset({Signal.REWARD})

    @property
    def tier(self) -> Tier:
        return Tier.REWARD

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        return State(body, (), tuple({"weight": w} for w in self._drawn(body, key=key)))

    def rest(self, state: State, batch: int) -> State:
        rested, means = _multilayer.rest(state, batch), slow(state, "mean_reward", batch)
        neurons = tuple(
            {"activity": held["activity"], "tumble": jnp.zeros_like(mean), "mean_reward": mean}
            for held, mean in zip(rested.neurons, means, strict=True)
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
        reward, neurons = feedback.reward[:, None], []
        for held in state.neurons:
            mean = held["mean_reward"]  # as it was expected
            tumble = jnp.minimum(1.0, self.rate * jnp.maximum(mean - reward, 0.0))
            after = self.decay_reward * mean + (1.0 - self.decay_reward) * reward.mean()
            neurons.append(held | {"tumble": tumble, "mean_reward": after})
        return State(state.body, tuple(neurons), state.synapses, state.memory)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        synapses = []
        drawn = self._drawn(state.body, key=key)
        for block, new, post in zip(state.synapses, drawn, state.neurons[1:], strict=True):
            g = post["tumble"].mean(0)[None]  # a synapse hears it from its neuron
            synapses.append({"weight": jnp.sqrt(1.0 - g**2) * block["weight"] + g * new})
        return State(state.body, state.neurons, tuple(synapses), state.memory)

    def _drawn(self, body: Body, *, key: Key[Array, ""]) -> tuple[Array, ...]:
        """Weights as they are at birth; biases are 0."""
        return _multilayer.newborn(
            body, "tanh", key=key, deviation=self.birth, bias_deviation=None
        )
