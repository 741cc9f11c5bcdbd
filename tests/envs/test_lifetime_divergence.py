"""Networks that diverge: they are frozen, counted, and score chance."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.envs import Outcome, live, lives
from plasticgym.rules import SGD, AbstractRule, State, with_genome

KEY = jax.random.key(5)
RULE = SGD(rate=0.3, activation="tanh")


@final
class Wrapped(AbstractRule):
    """Another rule, whose synapses suffer `harm` when its clock strikes."""

    inner: AbstractRule
    at: int = eqx.field(static=True)
    harm: float = eqx.field(static=True)

    reads = property(lambda self: self.inner.reads)
    tier = property(lambda self: self.inner.tier)

    def init(self, body, *, key):
        state = self.inner.init(body, key=key)
        return State(body, (), state.synapses, {"time": jnp.zeros((), int)})

    def rest(self, state, batch):
        return self.inner.rest(state, batch)

    def predict(self, state, inputs, *, key):
        return self.inner.predict(state, inputs, key=key)

    def receive(self, state, feedback, *, key):
        return self.inner.receive(state, feedback, key=key)

    def adapt(self, state, *, key):
        time = state.memory["time"]
        factor = jnp.where(time == self.at, self.harm, 1.0)
        adapted = self.inner.adapt(state, key=key)
        synapses = jax.tree.map(lambda w: w * factor, adapted.synapses)
        return State(state.body, adapted.neurons, synapses, {"time": time + 1})


@final
class Relabelled(pg.envs.AbstractProblem):
    """Another problem that says other things of a network in its test."""

    inner: pg.envs.Classification
    told: Outcome

    body = property(lambda self: self.inner.body)
    batch = property(lambda self: self.inner.batch)
    presentations = property(lambda self: self.inner.presentations)
    chance = property(lambda self: self.inner.chance)

    def reset(self, *, key):
        return self.inner.reset(key=key)

    def observe(self, world):
        return self.inner.observe(world)

    def respond(self, world, outputs):
        return self.inner.respond(world, outputs)

    def test(self, world, network, *, part, key):
        return self.told


@final
class Stormy(pg.envs.AbstractProblem):
    """Another problem, in which one presentation cannot be survived."""

    inner: pg.envs.Classification

    body = property(lambda self: self.inner.body)
    batch = property(lambda self: self.inner.batch)
    presentations = property(lambda self: self.inner.presentations)
    chance = property(lambda self: self.inner.chance)

    def reset(self, *, key):
        return self.inner.reset(key=key)

    def observe(self, world):
        seen = self.inner.observe(world)
        return pg.rules.Clamped.full(jnp.where(world.time == 2, jnp.nan, seen.values))

    def respond(self, world, outputs):
        return self.inner.respond(world, outputs)

    def test(self, world, network, *, part, key):
        return self.inner.test(world, network, part=part, key=key)


@pytest.mark.parametrize("harm", [1e3, np.inf, np.nan])
def test_a_diverged_network_is_frozen_and_scores_chance(xor, loop, history, harm):
    rule = Wrapped(RULE, at=2, harm=harm)
    stages, outcomes = loop(rule, xor, key=KEY)
    _, healthy = history
    # Up to and with the presentation that did the harm, all is as it was.
    np.testing.assert_allclose(outcomes.loss[:3], healthy.loss[:3], rtol=1e-6)
    np.testing.assert_allclose(outcomes.score[:3], healthy.score[:3])
    np.testing.assert_array_equal(outcomes.loss[3:], [xor.chance.loss] * 3)
    np.testing.assert_array_equal(outcomes.score[3:], [xor.chance.score] * 3)
    assert [bool(life.diverged) for life in stages] == [False] * 4 + [True] * 3
    assert [int(life.state.memory["time"]) for life in stages] == [0, 1, 2, 3, 3, 3, 3]
    for a, b in zip(
        jax.tree.leaves(stages[3].state.synapses),
        jax.tree.leaves(stages[-1].state.synapses),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    assert int(stages[-1].time) == 6


def test_a_diverged_network_does_not_recover(xor, loop, history):
    """Its synapses were frozen before they were harmed, yet it remains diverged."""
    stages, outcomes = loop(RULE, Stormy(xor), key=KEY)
    np.testing.assert_allclose(outcomes.loss[:2], history[1].loss[:2], rtol=1e-6)
    np.testing.assert_array_equal(outcomes.loss[2:], [xor.chance.loss] * 4)
    assert [bool(life.diverged) for life in stages] == [False] * 3 + [True] * 4
    for a, b in zip(
        jax.tree.leaves(stages[-1].state.synapses),
        jax.tree.leaves(history[0][2].state.synapses),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=1e-6)
    record = eqx.filter_jit(live)(RULE, Stormy(xor), key=KEY)
    assert bool(record.diverged)
    np.testing.assert_array_equal(record.tests.loss, [xor.chance.loss])


def test_diverged_lives_are_counted_and_their_tests_score_chance(xor, history):
    rule = Wrapped(RULE, at=2, harm=np.inf)
    record = lives(rule, xor, keys=jnp.stack([KEY]), part="train", tests=(2, 4))
    assert record.diverged.shape == (1,)
    assert bool(record.diverged[0])
    np.testing.assert_allclose(record.losses[0, :3], history[1].loss[:3], rtol=1e-5)
    assert not np.allclose(record.tests.loss[0, 0], xor.chance.loss, rtol=1e-6)
    np.testing.assert_array_equal(record.tests.loss[0, 1:], [xor.chance.loss] * 2)
    np.testing.assert_array_equal(record.tests.score[0, 1:], [xor.chance.score] * 2)


def test_harm_in_the_last_presentation_shows_in_the_test(xor):
    record = live(Wrapped(RULE, at=5, harm=np.nan), xor, key=KEY)
    assert bool(record.diverged)
    assert np.isfinite(record.losses).all()
    np.testing.assert_array_equal(record.tests.score, [xor.chance.score])


def test_among_lives_only_the_diverged_one_is_lost(xor):
    """A population over rates: one is absurd, the others live as they do alone."""

    def run(rate):
        return live(with_genome(RULE, jnp.log(rate)[None]), xor, key=KEY)

    together = jax.jit(jax.vmap(run))(jnp.array([0.3, 1e12, 0.1]))
    assert together.diverged.tolist() == [False, True, False]
    assert (together.losses <= 10 * xor.chance.loss).all()
    assert np.isfinite(together.losses).all()
    alone = jax.jit(run)(jnp.array(0.3))
    np.testing.assert_allclose(together.losses[0], alone.losses, rtol=1e-5)


def test_a_test_loss_is_capped_at_ten_times_chance(xor):
    told = Outcome(jnp.array(1e5), jnp.array(0.9), jnp.ones(()))
    record = live(RULE, Relabelled(xor, told), key=KEY)
    np.testing.assert_allclose(record.tests.loss, [10 * xor.chance.loss], rtol=1e-6)
    np.testing.assert_allclose(record.tests.score, [0.9])
    assert not record.diverged


def test_what_is_not_scored_stays_so_when_a_network_diverges(xor, monkeypatch):
    respond = type(xor).respond

    def unscored(self, world, outputs):
        world, feedback, outcome = respond(self, world, outputs)
        return world, feedback, Outcome(outcome.loss, outcome.score, jnp.zeros(()))

    monkeypatch.setattr(type(xor), "respond", unscored)
    record = live(SGD(rate=1e6), xor, key=KEY)
    assert record.diverged
    assert (record.weights == 0.0).all()
