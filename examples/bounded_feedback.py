"""A rule of one's own: plasticgym evaluate examples/bounded_feedback.py:BoundedFeedback"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from plasticgym.rules import AbstractRule, Signal, State, Tier, gene, multilayer, real


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
        key_weights, *keys = jax.random.split(key, len(body.layers))
        weights = multilayer.newborn(body, "tanh", key=key_weights)
        synapses = [{"weight": w} for w in weights]
        for layer, (block, key) in enumerate(zip(synapses[1:], keys, strict=False), start=1):
            post, pre = body.layers[layer + 1], body.layers[layer]
            drawn = jax.random.normal(key, (post, pre))
            block["feedback"] = drawn / jnp.sqrt(body.fan_in(layer + 1))
        return State(body, (), tuple(synapses))

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
