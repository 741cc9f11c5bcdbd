"""The traces of a formula: running means that its neurons and synapses keep."""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from . import _local_signals
from ._base import State
from ._formula import SIGNALS, Formula, Node, names, value
from ._multilayer import with_bias
from ._sum_of_products import POST, PRE, SIDES, SYNAPSE, Known, mean_over_rows, products

Genes = Mapping[str, Float[Array, ""]]


def kept(formula: Formula) -> dict[str, str]:
    """Where each trace is kept, by name: pre neuron, post neuron, synapse."""
    return {f"trace{i}": _place(followed) for i, followed in enumerate(formula.traces)}


def _place(followed: Node) -> str:
    told = names(followed) & frozenset(SIGNALS)
    if told == {"pre"}:
        return PRE
    return SYNAPSE if told & {"pre", "weight"} else POST


def known(state: State, layer: int, formula: Formula, genes: Genes) -> Known:
    """The values of all names in a formula, for the synapses of a block."""
    found = {**genes, **_local_signals.seen(state, layer)._asdict()}
    for (name, place), followed in zip(kept(formula).items(), formula.traces, strict=True):
        if place == SYNAPSE:
            found[name] = state.synapses[layer][name]
        elif place == POST:
            found[name] = state.neurons[layer + 1][name]
        else:
            found[name] = _with_settled(state.neurons[layer][name], followed, genes)
    return found


def _with_settled(trace: Float[Array, "batch n"], followed: Node, genes: Genes):
    """With that of the bias unit, which is always 1 and has no state."""
    bias = with_bias(trace)[:, -1:]
    return jnp.concatenate([trace, bias * value(followed, {**genes, "pre": bias})], axis=1)


def at_rest(state: State, formula: Formula) -> State:
    """All traces of neurons zero."""
    begun = jnp.ones(state.neurons[0]["activity"].shape[:1], bool)
    return begin(state, state, begun, formula)


def begin(state: State, before: State, starts: Bool[Array, " batch"], formula: Formula):
    """With the neurons' traces of `before`, zero in rows that start.

    Synapses learn in `adapt` how many rows did, from a flag at their neurons.
    """
    places, neurons = kept(formula), []
    for neuron, old in zip(state.neurons, before.neurons, strict=True):
        zero = jnp.zeros_like(neuron["activity"])
        more = {
            name: jnp.where(starts[:, None], 0.0, old.get(name, zero))
            for name, place in places.items()
            if place != SYNAPSE
        }
        if SYNAPSE in places.values():
            more["starts"] = jnp.broadcast_to(starts[:, None], zero.shape)
        neurons.append(neuron | more)
    return State(state.body, tuple(neurons), state.synapses, state.memory)


def follow(
    state: State, formula: Formula, decay: Float[Array, " traces"] | None, genes: Genes
) -> State:
    r"""Every trace a presentation later: $m \leftarrow \lambda m + (1 - \lambda) \ldots$"""
    if decay is None:
        return state
    neurons, synapses = [dict(n) for n in state.neurons], [dict(s) for s in state.synapses]
    followed = zip(kept(formula).items(), formula.traces, decay, strict=True)
    for (name, place), node, d in followed:
        if place != SYNAPSE:
            for neuron in neurons:
                # A gene may be named like a leaf that is no signal, such as `activity`.
                told = {s: neuron[s] for s in SIGNALS if s in neuron}
                now = value(node, {**told, place: neuron["activity"], **genes})
                neuron[name] = d * neuron[name] + (1.0 - d) * now
            continue
        terms = products(node, SIDES)
        for layer, block in enumerate(synapses):
            now = mean_over_rows(terms, known(state, layer, formula, genes), SIDES)
            started = neurons[layer + 1]["starts"].astype(now.dtype).mean(0)[None]
            block[name] = d * (1.0 - started) * block[name] + (1.0 - d) * now
    return State(state.body, tuple(neurons), tuple(synapses), state.memory)
