"""The probes of locality: each kicks what a rule of some tier may not notice.

A probe adds its trials to a plan and returns a judge: what the evidence of all trials says
of the tier.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from ._base import Body
from ._locality_evidence import MOVED, PRESENT, Evidence, Places, Plan, ends_of, real
from ._locality_trials import signals_of
from ._signals import Tier

_SMALL, _LARGE, _FLIP = 1e-3, 2.0, 100.0  # kicks of signals
_RANK = 1e-2  # singular values below this part of the largest are curvature


Judge = Callable[[Evidence], Tier]


def neighbours(plan: Plan) -> Judge:
    """Kicks all but a synapse and its two neurons before `adapt`: it must not notice."""
    trials, body = [], plan.shapes.body
    for own, block, layers, kept in _samples(body):
        if not any(mask.any() for mask in jax.tree.leaves(plan.synapses(own))):
            continue
        home = Places.none(body)
        home.pairs[block][:] = home.direct[block][:] = True
        alike = [np.full(n, i in layers) for i, n in enumerate(body.layers)]
        for tier, places, chosen in (
            (Tier.LAYER, home.but(own), alike),
            (Tier.GLOBAL, home.others(), [~mask for mask in alike]),
        ):
            trial = plan.add(
                synapses_before_adapt=plan.synapses(places),
                neurons_before_adapt=plan.neurons(
                    [mask & ~keep for mask, keep in zip(chosen, kept, strict=True)]
                ),
            )
            trials.append((tier, trial, plan.synapses(own)))

    def judge(evidence: Evidence) -> Tier:
        return _worst(t for t, i, own in trials if evidence.moved(own, i, later=False))

    return judge


def siblings(plan: Plan) -> Judge:
    """Cuts a hidden neuron off and changes it: nobody else may notice."""
    trials, body = [], plan.shapes.body
    for layer in range(1, len(body.layers) - 1):
        for s in (0, body.layers[layer] - 1):
            own, cut, within = (Places.none(body) for _ in range(3))
            own.pairs[layer - 1][:, s] = within.pairs[layer - 1][:, s] = True
            for places in (own, cut):
                places.pairs[layer][s] = places.direct[layer - 1][:, s] = True
            if layer > 1:  # what settles is heard by hidden neurons below as well
                cut.pairs[layer - 1][:-1, s] = True
            chosen = [np.zeros(n, bool) for n in body.layers]
            chosen[layer][s] = True
            gone = plan.synapses(cut)
            kicked = plan.add(
                cut=gone,
                synapses_before_predict=plan.synapses(within.but(cut)),
                neurons_before_receive=plan.neurons(chosen),
            )
            trials.append((kicked, plan.add(cut=gone), plan.synapses(own.others())))

    def judge(evidence: Evidence) -> Tier:
        heard = any(evidence.moved(others, i, base) for i, base, others in trials)
        return Tier.LAYER if heard else Tier.ACTIVITY

    return judge


class _Leaf(NamedTuple):
    """One of the arrays that the synapses of a block hold, and the trials that kick it."""

    block: int
    where: PyTree
    below: PyTree
    before_predict: int
    before_receive: int


def transport(plan: Plan) -> Judge:
    """Changes weights before `predict` and before `receive`: what is below may not notice.

    Weights are what the outputs depend on. Before `predict` the neurons below may not
    notice, before `receive` the synapses; nor may synapses that feed back take them over.
    """
    leaves = []
    for block, where in _leaves(plan):
        below = Places.none(plan.shapes.body)
        for pairs, direct in zip(below.pairs[:block], below.direct[:block], strict=True):
            pairs[:] = direct[:] = True
        kicked = (
            plan.add(synapses_before_predict=where),
            plan.add(synapses_before_receive=where),
        )
        leaves.append(_Leaf(block, where, plan.synapses(below), *kicked))

    def judge(evidence: Evidence) -> Tier:
        seen, weights, others = evidence.seen, [], []
        for leaf in leaves:
            same = _same(seen.outputs, leaf.before_predict)
            (others if same else weights).append(leaf)
        foretold = any(
            not _same(x, w.before_predict)
            for w in weights
            for x in jax.tree.leaves(seen.predicted[: w.block + 1])
        )
        followed = any(evidence.moved(w.below, w.before_receive) for w in weights)
        copied = any(
            evidence.moved(back.where, w.before_receive, later=False)
            for back in others
            if evidence.moved(back.below, back.before_receive)
            for w in weights
            if w.block == back.block
        )
        return Tier.GRADIENT if foretold or followed or copied else Tier.ACTIVITY

    return judge


def signals(plan: Plan) -> Judge:
    """Changes the feedback, entry by entry: by how many numbers do synapses notice?"""
    body = plan.shapes.body
    entries = np.eye(signals_of(body))
    amounts = [_SMALL] * (len(entries) - 1) + [_FLIP]
    small = [plan.add(feedback=a * entry) for a, entry in zip(amounts, entries, strict=True)]
    amounts = [_LARGE] * (len(entries) - 1) + [-_FLIP]
    large = [plan.add(feedback=a * entry) for a, entry in zip(amounts, entries, strict=True)]

    def judge(evidence: Evidence) -> Tier:
        everywhere = plan.synapses(Places.none(body).others())
        heard = any(evidence.moved(everywhere, i) for i in small + large)
        ranks = [_rank(evidence, trials[: 2 * body.layers[-1]]) for trials in (small, large)]
        # Jumps are curved: they count only where a rule is flat in between.
        rank = ranks[0] or ranks[1]
        return Tier.ERROR if rank > 1 else Tier.REWARD if heard else Tier.ACTIVITY

    return judge


def memories(plan: Plan) -> Judge:
    """Kicks the memory leaf by leaf: only clocks and what reward alone decides may matter.

    A clock is a leaf that shows the same in all networks, whatever they met.
    """
    leaves, structure = jax.tree.flatten(plan.trials[PRESENT].memory)
    trials = []
    for i, leaf in enumerate(leaves):
        chosen = [np.full(x.shape, i == k) for k, x in enumerate(leaves)]
        trials.append((i, leaf.size, plan.add(memory=jax.tree.unflatten(structure, chosen))))
    # What is decided by the inputs is no reward; no other probe changes them.
    body = plan.shapes.body
    plan.add(inputs=np.ones((1, body.layers[0]), bool))

    def judge(evidence: Evidence) -> Tier:
        everywhere = plan.synapses(Places.none(body).others())
        found = [Tier.ACTIVITY]
        for i, size, trial in trials:
            if evidence.moved(everywhere, trial):
                found.append(_of_memory(evidence, i, size))
        return max(found)

    return judge


def _of_memory(evidence: Evidence, leaf: int, size: int) -> Tier:
    """The tier of a rule to which this leaf of its memory matters."""
    held = jax.tree.leaves(evidence.seen.memory)[leaf]
    fed, kicked = [], []
    for i, trial in enumerate(evidence.plan.trials):
        if not any(mask.any() for mask in jax.tree.leaves(trial.memory)):
            (fed if trial.feedback.any() else kicked).append(i)
    if (held[:, fed + kicked] == held[0, PRESENT]).all():
        return Tier.ACTIVITY
    broadcast = size == 1 and (held[:, kicked] == held[:, [PRESENT]]).all()
    return Tier.REWARD if broadcast else Tier.GLOBAL


PROBES = (neighbours, siblings, transport, signals, memories)


def _samples(
    body: Body,
) -> Iterator[tuple[Places, int, tuple[int, int], list[np.ndarray]]]:
    """Synapses, one into every neuron: its place and block, its two layers, its two neurons."""
    last, outputs = len(body.layers) - 1, body.layers[-1]
    for block, (_, post) in enumerate(ends_of(body)):
        above = min(block + 1, last)
        rows = len(Places.none(body).pairs[block])
        for j in range(post):
            for source, i in ((block, (2 * j + (last == 0)) % rows), (last, j % outputs)):
                own, kept = Places.none(body), [np.zeros(n, bool) for n in body.layers]
                (own.pairs if source == block else own.direct)[block][i, j] = True
                kept[above][j] = True
                kept[source][i : i + 1] = True  # the unit of the biases is no neuron
                yield own, block, (source, above), kept


def _leaves(plan: Plan) -> Iterator[tuple[int, PyTree]]:
    """The masks of all arrays that the synapses of a block hold, from the second block on."""
    leaves, structure = jax.tree.flatten(plan.shapes.synapses)
    blocks = [b for b, held in enumerate(plan.shapes.synapses) for _ in jax.tree.leaves(held)]
    for chosen, block in enumerate(blocks):
        masks = [np.full(x.shape, i == chosen) for i, x in enumerate(leaves)]
        if block > 0:
            yield block, jax.tree.unflatten(structure, masks)


def _same(values: np.ndarray, trial: int) -> bool:
    """Whether all networks show what they do without a kick."""
    return np.allclose(real(values[:, trial]), real(values[:, PRESENT]), 1e-9, 1e-9)


def _rank(evidence: Evidence, trials: list[int]) -> int:
    """The largest rank, over networks, of what kicks of signals did to all synapses."""
    effects = []
    for trial in trials:
        leaves = itertools.chain.from_iterable(evidence.changes(trial))
        effects.append(np.concatenate([x.reshape(len(x), -1) for x in leaves], axis=1))
    ranks = [0]
    for matrix in np.stack(effects, axis=1):
        if not np.isfinite(matrix).all():
            continue
        values = np.linalg.svd(matrix, compute_uv=False)
        if values[0] > MOVED * _SMALL:
            ranks.append(int((values > _RANK * values[0]).sum()))
    return max(ranks)


def _worst(tiers: Iterator[Tier]) -> Tier:
    return max(tiers, default=Tier.ACTIVITY)
