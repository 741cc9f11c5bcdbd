"""The weights of a layered network, apart from what else its synapses keep."""

import itertools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._base import AbstractRule, Body, State

Weights = tuple[Float[Array, "_pre _post"], ...]


def weights_of(state: State) -> Weights:
    """One array of shape `(pre + 1, post)` per block."""
    return tuple(block["weight"] for block in state.synapses)


def with_weights(state: State, weights: Weights) -> State:
    """The same network with other weights."""
    synapses = tuple(
        block | {"weight": w} for block, w in zip(state.synapses, weights, strict=True)
    )
    return State(state.body, state.neurons, synapses, state.memory)


def living(body: Body) -> Weights:
    """1.0 for each weight between living neurons, and their biases; 0.0 for the others."""
    ones = (jnp.ones(n) for n in body.layers)
    alive = tuple(ones) if body.alive is None else body.alive
    return tuple(
        jnp.append(pre, 1.0)[:, None] * post[None] for pre, post in itertools.pairwise(alive)
    )


def check_plain(rule: AbstractRule, state: State) -> None:
    """Raises a `ValueError` unless neurons hold activities, errors and nothing else."""
    rested = jax.eval_shape(lambda: rule.rest(state, 1))
    for layer in rested.neurons:
        held = {n: x.shape[:-1] for n, x in layer.items()} if isinstance(layer, dict) else {}
        if held != {"activity": (1,), "error": (1,)}:
            raise ValueError(
                "`rule` must keep an activity and an error for each neuron and row and nothing "
                "else, as sgd, adam and feedback-alignment do, got "
                f"{type(rule).__name__}."
            )


def check_layered(state: State, rule: object) -> None:
    """Raises a `ValueError` unless a network is that of `multilayer`, biases included."""
    ends = itertools.pairwise(state.body.layers)
    shapes = [
        block["weight"].shape if isinstance(block, dict) and "weight" in block else None
        for block in state.synapses
    ]
    if shapes != [(pre + 1, post) for pre, post in ends]:
        raise ValueError(
            "`rule` must have one weight per synapse and a bias per neuron, as sgd and adam "
            f"do, got {type(rule).__name__}."
        )
