"""A rule of one's own: plasticgym evaluate examples/bounded_feedback.py:BoundedFeedback"""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from plasticgym.rules import AbstractRule, Signal, State, Tier, gene, multilayer, real


@final
class BoundedFeedback(AbstractRule):
    r"""$\Delta w_{ij} = \eta\, x_i \tanh(\kappa\, e_j)$ with errors through random synapses."""

    rate: Float[Array, ""] = eqx.field(default=0.1, converter=real, metadata=gene("log"))
    sharpness: Float[Array, ""] = eqx.field(default=20.0, converter=real, metadata=gene("log"))

    @property
    def reads(self):
        return frozenset({Signal.ERROR})

    @property
    def tier(self):
        return Tier.ERROR

    def change(self, view):
        return self.rate * view.pre * jnp.tanh(self.sharpness * view.error)

    def init(self, body, *, key):
        key_weights, key_feedback = jax.random.split(key)
        first, *others = multilayer.newborn(body, "tanh", key=key_weights)
        above = tuple(range(2, len(body.layers)))  # hidden layers hear the next one up
        matrices = multilayer.random_feedback(body, above, key=key_feedback)
        blocks = [{"weight": w, "feedback": b} for w, b in zip(others, matrices, strict=True)]
        return State(body, (), ({"weight": first}, *blocks))

    def rest(self, state, batch):
        return multilayer.rest(state, batch)

    def predict(self, state, inputs, *, key):
        return multilayer.forward(state, inputs, "tanh")

    def receive(self, state, feedback, *, key):
        matrices = tuple(block["feedback"] for block in state.synapses[1:])
        return multilayer.backward(state, feedback.error, "tanh", matrices)

    def adapt(self, state, *, key):
        synapses = []
        for layer, block in enumerate(state.synapses):
            x = multilayer.with_bias(state.neurons[layer]["activity"])
            e = jnp.tanh(self.sharpness * state.neurons[layer + 1]["error"])
            change = self.rate * (x.T @ e) / x.shape[0]
            synapses.append(block | {"weight": block["weight"] + change})
        return State(state.body, state.neurons, tuple(synapses))
