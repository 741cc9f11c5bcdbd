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
class ThreeFactor(AbstractRule):
    r"""Hebbian coincidences leave traces, which a reward that comes later makes last.

    $$e_{ij} \leftarrow \lambda\, e_{ij} + x_i y_j, \qquad
    \Delta w_{ij} = \eta\, (r - \bar r)\, e_{ij}, \qquad
    \bar r \leftarrow \tau\, \bar r + (1 - \tau)\, r$$

    A synapse holds its weight and its eligibility trace $e$, which is put to rest where an
    episode starts; a neuron holds the mean reward $\bar r$, which is broadcast and never
    put to rest. Of a batch, each row's own reward meets its own coincidence, and the trace
    of earlier ones, which has no rows, the mean over rows. What is rewarded more than is
    usual becomes likelier; without exploration it is not the gradient of the reward.

    $\bar r$ is born 0. So where all rewards have one sign, as in supervised problems, in
    which they are minus the loss, the first of them count as surprise from end to end,
    for some $1 / (1 - \tau)$ presentations. Reads the reward; its tier is reward.

    **Arguments:**

    - `rate`: $\eta$, a positive scalar.
    - `decay`: $\lambda$, in (0, 1): what is left of a trace after a presentation.
    - `decay_reward`: $\tau$, in (0, 1).
    - `activation`: of hidden layers; the last layer is linear.

    **Raises:**

    - `ValueError`: if a gene is out of its range or the activation is unknown.

    ??? cite "Reference"

        Izhikevich, "Solving the distal reward problem through linkage of STDP and dopamine
        signaling", Cerebral Cortex 2007. Frémaux, Gerstner, "Neuromodulated
        spike-timing-dependent plasticity, and theory of three-factor learning rules",
        Frontiers in Neural Circuits 2016.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.ThreeFactor().reads
        frozenset({<Signal.REWARD: 'reward'>})

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=0.01, converter=real, metadata=gene("log"))
    decay: Float[Array, ""] = eqx.field(default=0.9, converter=real, metadata=gene("logit"))
    decay_reward: Float[Array, ""] = eqx.field(
        default=0.95, converter=real, metadata=gene("logit")
    )
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
        weights = _multilayer.newborn(body, self.activation, key=key)
        synapses = tuple({"weight": w, "trace": jnp.zeros_like(w)} for w in weights)
        return State(body, (), synapses)

    def rest(self, state: State, batch: int) -> State:
        rested, means = _multilayer.rest(state, batch), slow(state, "mean_reward", batch)
        neurons = tuple(
            held | {"surprise": jnp.zeros_like(mean), "mean_reward": mean, "goes_on": mean * 0}
            for held, mean in zip(rested.neurons, means, strict=True)
        )
        return State(state.body, neurons, state.synapses, state.memory)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        after, outputs = _multilayer.forward(state, inputs, self.activation)
        goes_on = (~inputs.starts).astype(outputs.dtype)[:, None]
        neurons = tuple(
            before | now | {"goes_on": jnp.broadcast_to(goes_on, now["activity"].shape)}
            for before, now in zip(state.neurons, after.neurons, strict=True)
        )
        return State(state.body, neurons, state.synapses, state.memory), outputs

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        reward = feedback.reward[:, None]
        neurons = []
        for held in state.neurons:
            mean = held["mean_reward"]  # as it was expected
            after = self.decay_reward * mean + (1.0 - self.decay_reward) * reward.mean()
            neurons.append(held | {"surprise": reward - mean, "mean_reward": after})
        return State(state.body, tuple(neurons), state.synapses, state.memory)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        synapses = []
        for layer, block in enumerate(state.synapses):
            x, post = state.neurons[layer]["activity"], state.neurons[layer + 1]
            y, surprise, goes_on = post["activity"], post["surprise"], post["goes_on"]
            x, share = _multilayer.with_bias(x), 1.0 / x.shape[0]
            # One product, of twice the width, is faster than two.
            both = x.T @ jnp.concatenate([surprise * y * share, y * share], 1)
            credited, coincidence = jnp.split(both, 2, 1)
            earlier = self.decay * block["trace"]
            late = earlier * (surprise * goes_on).mean(0)[None]
            weight = block["weight"] + self.rate * (credited + late)
            trace = earlier * goes_on.mean(0)[None] + coincidence
            synapses.append({"weight": weight, "trace": trace})
        return State(state.body, state.neurons, tuple(synapses), state.memory)
