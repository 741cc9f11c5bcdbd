"""The loop of `paths.py` as one would write it by hand for speed: Adam on two tasks.

Imports nothing from plasticgym. It consumes the same random draws as the library: from the
key of a life, one for the weights, one for the order of examples, one for the anchors.
"""

import functools
import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Data(NamedTuple):
    """Standardised inputs and classes; which rows each task has, padded, and how many."""

    inputs: jax.Array
    classes: jax.Array
    rows: jax.Array
    counts: jax.Array


def _forward(weights, x):
    activities = [x]
    for i, (w, b) in enumerate(weights):
        z = activities[-1] @ w + b
        activities.append(z if i == len(weights) - 1 else jax.nn.relu(z))
    return activities


def _gradient(weights, activities, error):
    found = []
    for i in range(len(weights) - 1, -1, -1):
        found.append((activities[i].T @ error, error.sum(0)))
        if i:
            error = (error @ weights[i][0].T) * (activities[i] > 0)
    return found[::-1]


def _adam(weights, moments, gradient, t, rate):
    def one(w, m, v, g):
        m = 0.9 * m + (1 - 0.9) * g
        v = 0.999 * v + (1 - 0.999) * g**2
        step = (m / (1 - 0.9**t)) / (jnp.sqrt(v / (1 - 0.999**t)) + 1e-8)
        return w + rate * step, m, v

    leaves, tree = jax.tree.flatten(weights)
    trees = zip(leaves, *map(jax.tree.leaves, (*moments, gradient)), strict=True)
    new = [one(*each) for each in trees]
    return tuple(jax.tree.unflatten(tree, column) for column in zip(*new, strict=True))


@functools.partial(jax.jit, static_argnames=("layers", "presentations", "batch", "anchors"))
@functools.partial(jax.vmap, in_axes=(None, None, None, 0, None, None, None, None))
def path(data, rate, weight, key, layers, presentations, batch, anchors):
    """Losses of all presentations and the final weights of one life per key."""
    key_weights, key_world, key_life = jax.random.split(key, 3)
    shapes = list(itertools.pairwise(layers))
    draws = jax.random.normal(key_weights, (sum(a * b for a, b in shapes),))
    weights, start = [], 0
    for a, b in shapes:
        drawn = draws[start : start + a * b].reshape(a, b) * math.sqrt(2 / a)
        weights.append((drawn, jnp.zeros(b)))
        start += a * b
    tasks = (jnp.arange(presentations) >= presentations // 2).astype(int)
    drawn = jax.random.uniform(jax.random.split(key_world, 3)[0], (presentations, batch))
    drawn = (drawn * data.counts[tasks][:, None]).astype(int)
    order = data.rows[tasks[:, None], drawn]
    ends = (jnp.arange(presentations) + 1) % (presentations // 2) == 0

    def present(carry, now):
        weights, moments, sample, kept = carry
        rows, time, end = now
        x, target = data.inputs[rows], jax.nn.one_hot(data.classes[rows], layers[-1])
        stored, frozen, held = kept
        activities = _forward(weights, jnp.concatenate([x, stored]))
        log_p = jax.nn.log_softmax(activities[-1])
        loss = -(log_p[:batch] * target).sum(1).mean()
        p, y = jnp.exp(log_p), activities[-1][batch:]
        away = (jax.nn.softmax((y + frozen) / 2) - p[batch:]) * (weight / 2)
        share = held / jnp.maximum(held.sum(), 1)
        error = jnp.concatenate([(target - p[:batch]) / batch, away * share[:, None]])
        gradient = _gradient(weights, activities, error)
        weights, *moments = _adam(weights, moments, gradient, time + 1.0, rate)
        key = jax.random.split(jax.random.fold_in(key_life, time.astype(int)), 4)[0]
        rank = jax.random.uniform(jax.random.split(key)[1], (batch,))
        rank, chosen = lax.top_k(jnp.concatenate([sample[1], rank]), anchors)
        sample = jnp.concatenate([sample[0], x])[chosen], rank
        sample, kept = lax.cond(
            end,
            lambda: (
                (jnp.zeros_like(sample[0]), jnp.full(anchors, -1.0)),
                (sample[0], _forward(weights, sample[0])[-1], (sample[1] >= 0).astype(float)),
            ),
            lambda: (sample, kept),
        )
        return (weights, tuple(moments), sample, kept), loss

    zeros = jax.tree.map(jnp.zeros_like, weights)
    sample = jnp.zeros((anchors, layers[0])), jnp.full(anchors, -1.0)
    kept = sample[0], jnp.zeros((anchors, layers[-1])), jnp.zeros(anchors)
    carry = (weights, (zeros, zeros), sample, kept)
    now = order, jnp.arange(presentations, dtype=float), ends
    (weights, *_), losses = lax.scan(present, carry, now)
    return losses, weights
