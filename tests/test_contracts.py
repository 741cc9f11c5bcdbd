"""Hard cases: small sketches of what is to come, which show that the contracts carry them."""

import itertools
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

import plasticgym as pg
from plasticgym.envs import AbstractProblem, Frozen, Outcome, born, live, lives, step
from plasticgym.rules import (
    SGD,
    AbstractRule,
    Body,
    Clamped,
    Feedback,
    Signal,
    State,
    Tier,
    gene,
    real,
    with_genome,
)

KEY = jax.random.key(0)
begun = eqx.filter_jit(born)


@pytest.fixture(scope="module")
def task():
    return pg.envs.plane("or", hidden=(6,), batch=16, presentations=40)


# Replicas: a rule under vmap, one network per block of the batch, averaged every n.


@final
class Replicas(AbstractRule):
    inner: AbstractRule
    copies: int = eqx.field(static=True)
    every: int = eqx.field(static=True)

    reads = property(lambda self: self.inner.reads)
    tier = property(lambda self: self.inner.tier)

    def each(self, tree):
        """Blocks of the batch, one per replica."""
        return jax.tree.map(lambda x: x.reshape(self.copies, -1, *x.shape[1:]), tree)

    def swap(self, state, synapses):
        return eqx.tree_at(lambda s: s.synapses, state, synapses)

    def over(self, function, state, *args):
        """`function` of each replica; the body is shared, all else has an axis of copies."""

        def one(neurons, synapses, memory, *args):
            return function(State(state.body, neurons, synapses, memory), *args)

        inner, clock = state.memory
        out = jax.vmap(one)(state.neurons, state.synapses, inner, *args)
        after, rest = out if isinstance(out, tuple) else (out, None)
        merged = State(state.body, after.neurons, after.synapses, (after.memory, clock))
        return merged, rest

    def init(self, body, *, key):
        one = self.inner.init(body, key=key)
        stack = lambda x: jnp.stack([x] * self.copies)  # noqa: E731
        synapses, memory = jax.tree.map(stack, (one.synapses, one.memory))
        return State(body, (), synapses, (memory, jnp.zeros((), int)))

    def rest(self, state, batch):
        return self.over(lambda s: self.inner.rest(s, batch // self.copies), state)[0]

    def predict(self, state, inputs, *, key):
        after, outputs = self.over(
            lambda s, x: self.inner.predict(s, x, key=key), state, self.each(inputs)
        )
        return self.swap(after, state.synapses), outputs.reshape(-1, outputs.shape[-1])

    def receive(self, state, feedback, *, key):
        after, _ = self.over(
            lambda s, f: self.inner.receive(s, f, key=key), state, self.each(feedback)
        )
        return self.swap(after, state.synapses)

    def adapt(self, state, *, key):
        after, _ = self.over(lambda s: self.inner.adapt(s, key=key), state)
        inner, clock = after.memory
        mix = (clock + 1) % self.every == 0
        synapses = jax.tree.map(
            lambda x: jnp.where(mix, jnp.broadcast_to(x.mean(0, keepdims=True), x.shape), x),
            after.synapses,
        )
        return State(state.body, after.neurons, synapses, (inner, clock + 1))


def test_replicas_that_average_every_presentation_are_one_network(task):
    """The mean of the blocks' SGD steps is the SGD step on the whole batch."""
    one = live(SGD(rate=0.2), task, key=KEY)
    four = live(Replicas(SGD(rate=0.2), copies=4, every=1), task, key=KEY)
    np.testing.assert_allclose(four.losses, one.losses, rtol=1e-3, atol=1e-4)
    assert jax.tree.leaves(four.state.synapses)[0].shape[0] == 4


def test_replicas_drift_apart_between_averages(task):
    rule = Replicas(SGD(rate=0.2), copies=4, every=3)
    life, one = begun(rule, task, key=KEY), eqx.filter_jit(step)
    spread = []
    for _ in range(6):
        life, _ = one(rule, task, life)
        spread.append(float(jax.tree.leaves(life.state.synapses)[0].std(0).max()))
    assert [s > 1e-5 for s in spread] == [True, True, False, True, True, False]


# Recall: one recurrent population, half of whose neurons are clamped.


class Snippet(eqx.Module):
    patterns: Float[Array, "patterns n"]
    time: Array


@final
class Recall(AbstractProblem[Snippet]):
    """Whole patterns are shown, then halves of them; what is free is to be filled in."""

    body: Body
    chance: Outcome
    patterns: int = eqx.field(static=True, default=2)
    presentations: int = eqx.field(static=True, default=12)

    @property
    def batch(self):
        return self.patterns

    def reset(self, *, key):
        signs = jax.random.rademacher(key, (self.patterns, self.body.layers[0]), float)
        return Snippet(signs, jnp.zeros((), int))

    def observe(self, world):
        n = world.patterns.shape[1]
        asked = world.time >= self.presentations // 2
        shown = jnp.broadcast_to((jnp.arange(n) < n // 2) | ~asked, world.patterns.shape)
        return Clamped(world.patterns, shown, jnp.ones(self.patterns, bool))

    def respond(self, world, outputs):
        free = ~self.observe(world).mask
        target = Clamped(world.patterns, jnp.ones_like(free), jnp.ones(self.patterns, bool))
        error = jnp.where(free, world.patterns - outputs, 0.0)
        losses = 0.5 * (error**2).sum(1) / jnp.maximum(free.sum(1), 1).astype(float)
        right = jnp.where(free, outputs * world.patterns > 0.5, False).sum()
        score = right / jnp.maximum(free.sum(), 1)
        feedback = Feedback(target, error, -losses, jnp.zeros(self.patterns, bool))
        outcome = Outcome(losses.mean(), score, free.any().astype(float))
        return Snippet(world.patterns, world.time + 1), feedback, outcome

    def test(self, world, network, *, part, key):
        hidden = jnp.arange(world.patterns.shape[1])[None] >= world.patterns.shape[1] // 2
        outputs = network(jnp.where(hidden, 0.0, world.patterns), key=key)
        right = jnp.where(hidden, outputs * world.patterns > 0.5, False).sum()
        score = right / (hidden.sum() * self.patterns)
        return Outcome(1.0 - score, score, jnp.ones(()))


@final
class Hopfield(AbstractRule):
    rate: Float[Array, ""] = eqx.field(default=0.05, converter=real, metadata=gene("log"))
    settling: int = eqx.field(static=True, default=5)

    reads = frozenset()
    tier = Tier.ACTIVITY

    def init(self, body, *, key):
        return State(body, (), ({"lateral": jnp.zeros((body.layers[0],) * 2)},))

    def rest(self, state, batch):
        zeros = jnp.zeros((batch, state.body.layers[0]))
        return State(state.body, ({"activity": zeros, "clamped": zeros},), state.synapses)

    def predict(self, state, inputs, *, key):
        weights = state.synapses[0]["lateral"]

        def settle(h, _):
            return jnp.where(inputs.mask, inputs.values, jnp.tanh(5.0 * h @ weights)), None

        h = jax.lax.scan(settle, inputs.known, length=self.settling)[0]
        neurons = ({"activity": h, "clamped": inputs.mask.astype(h.dtype)},)
        return State(state.body, neurons, state.synapses), h

    def receive(self, state, feedback, *, key):
        return state

    def adapt(self, state, *, key):
        """Synapses between clamped neurons learn, none joins a neuron to itself."""
        h = state.neurons[0]["activity"] * state.neurons[0]["clamped"]
        change = self.rate * (h.T @ h / len(h)) * (1 - jnp.eye(h.shape[1]))
        block = {"lateral": state.synapses[0]["lateral"] + change}
        return State(state.body, state.neurons, (block,))


def test_recall_fills_in_the_half_that_is_free():
    chance = Outcome(jnp.array(0.5), jnp.array(0.5), jnp.ones(()))
    record = lives(Hopfield(), Recall(Body((24,)), chance), keys=jax.random.split(KEY, 8))
    assert record.weights[:, :6].max() == 0.0
    assert record.weights[:, 6:].min() == 1.0
    assert record.scores[:, 6:].mean() > 0.95
    unlearned = with_genome(Hopfield(), jnp.array([-30.0]))
    record = lives(unlearned, Recall(Body((24,)), chance), keys=jax.random.split(KEY, 8))
    assert record.scores[:, 6:].mean() < 0.7


# Control: a physics state, episodes that restart, outcomes of weight 0 between them.


class Poles(eqx.Module):
    physics: Float[Array, "batch 4"]
    starts: Array
    age: Array


@final
class Balance(AbstractProblem[Poles]):
    """Poles on carts that two outputs push left or right; a fallen one is put up again."""

    body: Body
    chance: Outcome
    batch: int = eqx.field(static=True, default=16)
    presentations: int = eqx.field(static=True, default=60)
    limit: int = eqx.field(static=True, default=25)

    def reset(self, *, key):
        physics = jax.random.uniform(key, (self.batch, 4), float, -0.05, 0.05)
        return Poles(physics, jnp.ones(self.batch, bool), jnp.zeros(self.batch, int))

    def observe(self, world):
        return Clamped(world.physics, jnp.ones_like(world.physics, bool), world.starts)

    def respond(self, world, outputs):
        x, v, angle, spin = world.physics.T
        force = jnp.where(outputs[:, 1] > outputs[:, 0], 10.0, -10.0)
        spin_ = spin + 0.02 * (15.0 * jnp.sin(angle) - 1.5 * force * jnp.cos(angle))
        v_ = v + 0.02 * 0.9 * force
        moved = jnp.stack([x + 0.02 * v_, v_, angle + 0.02 * spin_, spin_], 1)
        fallen = (jnp.abs(moved[:, 2]) > 0.2) | (jnp.abs(moved[:, 0]) > 2.4)
        over = fallen | (world.age + 1 >= self.limit)
        reward = jnp.where(fallen, 0.0, 1.0)
        target = Clamped(
            jnp.zeros_like(outputs), jnp.zeros_like(outputs, bool), jnp.ones(self.batch, bool)
        )
        feedback = Feedback(target, jnp.zeros_like(outputs), reward, over)
        # Scored where some episode ends; `best` is to never fall.
        share = reward.mean()
        outcome = Outcome((1.0 - share) / 0.1, share, over.any().astype(float))
        again = jnp.where(over[:, None], 0.02 * jnp.sign(moved), moved)
        age = jnp.where(over, 0, world.age + 1)
        return Poles(again, over, age), feedback, outcome

    def test(self, world, network, *, part, key):
        def frame(world, _):
            after, feedback, _ = self.respond(world, network(world.physics, key=key))
            return after, feedback.reward.mean()

        fresh = self.reset(key=key)
        rewards = jax.lax.scan(frame, fresh, length=self.limit)[1]
        return Outcome((1.0 - rewards.mean()) / 0.1, rewards.mean(), jnp.ones(()))


@final
class Reflex(AbstractRule):
    """Pushes where the pole leans; counts, per row, the frames of the running episode."""

    skill: Float[Array, ""] = eqx.field(default=1.0, converter=real, metadata=gene())

    reads = frozenset({Signal.REWARD, Signal.BOUNDARY})
    tier = Tier.REWARD

    def init(self, body, *, key):
        lean = jnp.array([0.0, 0.0, 1.0, 0.3])[:, None] * jnp.array([[-1.0, 1.0]])
        return State(body, (), ({"weight": self.skill * lean, "trace": 0.0 * lean},))

    def rest(self, state, batch):
        neurons = tuple(jnp.zeros((batch, n)) for n in state.body.layers)
        return State(state.body, (*neurons, jnp.zeros(batch)), state.synapses)

    def predict(self, state, inputs, *, key):
        age = jnp.where(inputs.starts, 0.0, state.neurons[-1]) + 1.0  # a start rests the row
        outputs = inputs.known @ state.synapses[0]["weight"]
        return State(state.body, (inputs.known, outputs, age), state.synapses), outputs

    def receive(self, state, feedback, *, key):
        return state

    def adapt(self, state, *, key):
        return state


def test_a_control_problem_lives_in_the_same_loop():
    chance = Outcome(jnp.ones(()), jnp.array(0.9), jnp.ones(()))
    problem = Balance(Body((4, 2)), chance)
    ages = lambda rule, problem, before, after: after.state.neurons[-1]  # noqa: E731
    skilled, clumsy = (
        live(with_genome(Reflex(), jnp.array([s])), problem, key=KEY, probes=(ages,))
        for s in (1.0, -1.0)
    )
    assert float(skilled.tests.score[-1]) == 1.0
    assert float(clumsy.tests.score[-1]) < 0.95
    # Rows count from 1 to the end of their episode and start anew.
    assert skilled.probes[0][:, 0].tolist() == [*range(1, 26), *range(1, 26), *range(1, 11)]
    assert clumsy.probes[0].max() < 25
    scored = np.flatnonzero(np.asarray(skilled.weights))
    assert scored.tolist() == [24, 49]


# A truncated unroll: `stop_gradient` on a Life, every n steps.


def truncated(rule, problem, every):
    """The mean loss of a life through which gradients reach back at most `every` steps."""
    life, losses = born(rule, problem, key=KEY), []
    for time in range(12):
        if time % every == 0:
            arrays, rest = eqx.partition(life, eqx.is_inexact_array)
            life = eqx.combine(jax.lax.stop_gradient(arrays), rest)
        life, outcome = step(rule, problem, life)
        losses.append(outcome.loss)
    return jnp.stack(losses).mean()


def test_a_truncated_unroll_stops_gradients_on_the_life():
    problem = pg.envs.plane("or", hidden=(), batch=8, presentations=12)

    @jax.jit
    def slopes(vector):
        def value(every):
            return jax.value_and_grad(
                lambda v: truncated(with_genome(SGD(), v), problem, every)
            )(vector)

        return {every: value(every) for every in (1, 4, 100)}

    found = slopes(jnp.array([-1.0]))
    values, gradients = ({k: np.asarray(v[i]) for k, v in found.items()} for i in (0, 1))
    for a, b in itertools.combinations(values.values(), 2):
        np.testing.assert_allclose(a, b, rtol=1e-6)  # the life itself is the same
    assert gradients[1].item() == 0.0  # a loss does not depend on the step that follows it
    assert 0.0 < abs(gradients[4].item()) < abs(gradients[100].item())


def test_persistent_lives_are_selected_like_any_pytree(task):
    """Particles of an evolution strategy: lives side by side, the better ones copied."""
    rule = SGD(rate=0.2)
    begin = jax.jit(jax.vmap(lambda k: born(rule, task, key=k)))
    population = begin(jax.random.split(KEY, 3))
    advance = jax.jit(jax.vmap(lambda life: step(rule, task, life)))
    population, outcomes = advance(population)
    best = jnp.argsort(outcomes.loss)[jnp.array([0, 0, 1])]
    selected = jax.tree.map(lambda x: x[best], population)
    _, after = advance(selected)
    assert float(after.loss[0]) == float(after.loss[1]) != float(after.loss[2])


def test_a_frozen_network_takes_clamped_rows(task):
    """A held-out part is a call on values; what a network remembers is at rest for each."""
    life = begun(SGD(), task, key=KEY)
    network = Frozen(SGD(), life.state)
    values = jnp.ones((3, 2))
    first, second = network(values, key=KEY), network(values, key=KEY)
    assert first.shape == (3, 2)
    assert np.array_equal(first, second)
