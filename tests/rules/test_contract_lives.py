"""What whole lives under every registered rule keep to. No branch on a member's name.

In double precision: norms over two neurons magnify the rounding of sums in another order.
"""

import dataclasses
import functools
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, PyTree

import plasticgym as pg
from plasticgym.rules import Body, genome, with_genome

# Three programs are compiled for each rule.
pytestmark = pytest.mark.slow

BATCH, PRESENTATIONS = 8, 5
INPUTS, OUTPUTS = 10, 3
HIDDEN = np.array([1, 0, 1, 1, 0, 1, 0], float), np.array([0, 1, 0, 1, 0], float)
SMALL = (INPUTS, *(int(alive.sum()) for alive in HIDDEN), OUTPUTS)
LARGE = (INPUTS, *map(len, HIDDEN), OUTPUTS)

# A population whose dead neurons come last; its length is that of no other axis.
WIDE = 14

# Which entries of an axis of the large body live, by its length: neurons, or these and the
# unit of the biases, which comes last.
LIVING = {}
LIVING[WIDE] = np.arange(INPUTS)
for alive in (np.ones(INPUTS), *HIDDEN, np.ones(OUTPUTS)):
    LIVING[len(alive)] = np.flatnonzero(alive)
    LIVING[len(alive) + 1] = np.append(np.flatnonzero(alive), len(alive))


def embedded(living: PyTree, large: PyTree) -> PyTree:
    """`large` with its living synapses those of `living`, a small body or one of its size."""

    def one(a, b):
        rows, columns = (LIVING[n] for n in b.shape[-2:])
        a = a[..., rows[:, None], columns[None]] if a.shape == b.shape else a
        return b.at[..., rows[:, None], columns[None]].set(a)

    return jax.tree.map(one, living, large)


def bounded(**parts):
    """BLUR in full, with parts that look at a whole layer."""
    rule = pg.rules.make("blur", genome="normalised", wiring="asymmetric")
    return dataclasses.replace(rule, **parts)


def forgetful(forgetting):
    return dataclasses.replace(bounded().synapse, forgetting=forgetting)


# What is 0 under relu may not be under other activations, and norms may count the dead.
OTHERS = {
    "ensemble": lambda: pg.rules.Ensemble("adam(rate=0.01)", members=2),
    "invariant-walk, pulled": lambda: pg.rules.InvariantWalk(
        "adam(rate=0.01)", "sparse-pull(sparsity=0.5, steps=2)"
    ),
    "invariant-walk, masked": lambda: pg.rules.InvariantWalk(
        "adam(rate=0.01)", "fixed-mask(sparsity=0.5)"
    ),
    "invariant-path, exact": lambda: pg.rules.InvariantPath(
        "sgd(rate=0.1)", "exact(damping=0.1)", anchors=5
    ),
    "invariant-path, layer-local": lambda: pg.rules.InvariantPath(
        "sgd(rate=0.1)", "layer-local", anchors=5
    ),
    "sgd, tanh": lambda: pg.rules.SGD(activation="tanh"),
    "normalised-sgd, tanh": lambda: pg.rules.NormalisedSGD(top="tanh"),
    "blur, backpropagation": lambda: pg.rules.make("blur", genome="backprop", hidden="sigmoid"),
    "blur, batch": lambda: pg.rules.make("blur", genome="normalised", axes=("batch",)),
    "blur, both": lambda: pg.rules.make("blur", genome="normalised", axes=("batch", "neurons")),
    "blur, unit columns used": lambda: bounded(used=(pg.rules.UnitColumns(),)),
    "blur, unit columns stored": lambda: bounded(stored=(pg.rules.UnitColumns(),)),
    "blur, by weights": lambda: bounded(synapse=forgetful(pg.rules.ByWeights())),
    "blur, by activity": lambda: bounded(synapse=forgetful(pg.rules.ByActivity())),
    "predictive-coding, sigmoid": lambda: pg.rules.PredictiveCoding(activation="sigmoid"),
    "equilibrium-propagation, one-sided": lambda: pg.rules.EquilibriumPropagation(
        nudging="one-sided", activation="sigmoid"
    ),
    "least-control, squared": lambda: pg.rules.LeastControl(loss="squared"),
}
VARIANTS = {name: lambda name=name: pg.rules.make(name) for name in pg.rules.RULES} | OTHERS
each_variant = pytest.mark.parametrize("variant", VARIANTS)


class Lived(NamedTuple):
    """Synapses at birth and at the end; losses of all presentations and of the last test."""

    born: PyTree
    synapses: PyTree
    losses: Array
    tested: Array


class TwoTasks(pg.envs.AbstractProblem):
    """A problem in which a task ends in the middle of the life, whatever there is to keep."""

    problem: pg.envs.Classification

    body = property(lambda self: self.problem.body)
    batch = property(lambda self: self.problem.batch)
    presentations = property(lambda self: self.problem.presentations)
    chance = property(lambda self: self.problem.chance)

    def reset(self, *, key):
        return self.problem.reset(key=key)

    def observe(self, world):
        return self.problem.observe(world)

    def respond(self, world, outputs):
        later, feedback, outcome = self.problem.respond(world, outputs)
        ends = jnp.broadcast_to(later.time == PRESENTATIONS // 2, (self.batch,))
        return later, dataclasses.replace(feedback, boundary=ends), outcome

    def test(self, world, network, *, part, key):
        return self.problem.test(world, network, part=part, key=key)


def task(body: Body) -> TwoTasks:
    rng = np.random.default_rng(0)
    parts = [
        pg.envs.Examples(
            jnp.asarray(rng.normal(size=(40, INPUTS)), jnp.float32),
            jnp.asarray(np.arange(40) % OUTPUTS, jnp.uint8),
        )
        for _ in range(3)
    ]
    sizes = {"body": body, "batch": BATCH, "presentations": PRESENTATIONS}
    return TwoTasks(pg.envs.Classification(*parts, **sizes))


def memory(body: Body) -> pg.envs.Remember:
    """What a rule that refuses layers lives in."""
    sizes = {"bits": INPUTS, "snippet": 1, "stored": PRESENTATIONS - 2, "delay": 2}
    return pg.envs.Remember(body=body, cue=0.5, presentations=PRESENTATIONS, **sizes)


def problems(rule) -> tuple[pg.envs.AbstractProblem, pg.envs.AbstractProblem]:
    """One for the small body and one for the large one."""
    if not pg.rules.accepts(rule, Body(SMALL)):
        alive = (jnp.arange(WIDE) < INPUTS).astype(float)
        return memory(Body((INPUTS,))), memory(Body((WIDE,), (alive,), hidden=WIDE - INPUTS))
    alive = jnp.ones(INPUTS), *map(jnp.asarray, HIDDEN), jnp.ones(OUTPUTS)
    return task(Body(SMALL)), task(Body(LARGE, alive))


def life(rule, problem, vector, key, begin) -> Lived:
    """Worlds are drawn from the first key, noise from the second; `begin` sets synapses."""
    rule = with_genome(rule, vector)
    born = pg.envs.born(rule, problem, key=key[0])
    begun = begin(born.state.synapses)
    born = eqx.tree_at(lambda life: (life.state.synapses, life.key), born, (begun, key[1]))
    step = lambda life, _: pg.envs.step(rule, problem, life)  # noqa: E731
    last, outcomes = jax.lax.scan(step, born, length=PRESENTATIONS)
    network = pg.envs.Frozen(rule, last.state)
    tested = problem.test(last.world, network, part="validation", key=key[1])
    return Lived(begun, last.state.synapses, outcomes.loss, tested.loss)


@eqx.filter_jit
def alone(rule, problem, vector, key) -> Lived:
    return life(rule, problem, vector, key, lambda born: born)


@eqx.filter_jit
def alone_without_the_dead(rule, problem, vector, key) -> Lived:
    zeros = functools.partial(jax.tree.map, jnp.zeros_like)
    return life(rule, problem, vector, key, lambda born: embedded(born, zeros(born)))


@eqx.filter_jit
def together(rule, problem, vectors, keys, living) -> Lived:
    """One life per genome, whose living synapses begin as given."""

    def one(vector, key, living):
        return life(rule, problem, vector, key, lambda born: embedded(living, born))

    return jax.vmap(one)(vectors, keys, living)


@functools.cache
def lives(variant: str) -> tuple[list[Lived], Lived, Lived]:
    """Two lives alone; these and the first again side by side in the large body, twice.

    Those alone are in the small body, where dead neurons are not even there. A rule that
    draws noise draws other noise for other sizes: there, they are in the large one, the
    dead neurons at first without synapses.
    """
    rule = VARIANTS[variant]()
    small, large = problems(rule)
    vectors = genome(rule)[None] + jnp.array([[0.0], [0.2], [0.0]])
    keys = jax.random.split(jax.random.key(0), (2, 2))[jnp.array([0, 1, 0])]
    single, problem = alone, small
    quiet, other = (
        single(rule, problem, vectors[0], keys[0].at[1].set(key)) for key in keys[:2, 1]
    )
    if not np.array_equal(quiet.losses, other.losses):  # it draws noise
        single, problem = alone_without_the_dead, large
    singles = [single(rule, problem, v, k) for v, k in zip(vectors, keys, strict=True)]
    living = jax.tree.map(lambda *x: jnp.stack(x), *(one.born for one in singles))
    first, again = (together(rule, large, vectors, keys, living) for _ in range(2))
    return singles[:2], first, again


@pytest.fixture(autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


@each_variant
def test_lives_side_by_side_with_dead_neurons_are_those_alone_without(variant):
    """`vmap` equals a loop, and a body with dead neurons lives like the smaller one."""
    singles, found, _ = lives(variant)
    for i, expected in enumerate(singles):
        mine = jax.tree.map(lambda x, i=i: x[i], found)
        assert len(np.unique(expected.losses)) == PRESENTATIONS  # none has diverged
        np.testing.assert_allclose(mine.losses, expected.losses, rtol=1e-6)
        np.testing.assert_allclose(mine.tested, expected.tested, rtol=1e-6)
        begun, ended = (jax.tree.leaves(s) for s in (mine.born, mine.synapses))
        assert any(not np.array_equal(a, b) for a, b in zip(begun, ended, strict=True))
        living = jax.tree.leaves(embedded(expected.synapses, mine.synapses))
        for a, b in zip(living, ended, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)


@each_variant
def test_same_key_same_life_bit_for_bit(variant):
    _, first, again = lives(variant)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    assert np.array_equal(first.losses[0], first.losses[2])
    assert not np.array_equal(first.losses[0], first.losses[1])
