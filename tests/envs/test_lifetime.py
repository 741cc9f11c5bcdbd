"""Lives: one loop, stopped and resumed, tested and probed."""

import itertools
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.envs import Frozen, born, live, lives, present
from plasticgym.rules import SGD, AbstractRule, Adam, Signal, State, Tier, genome, with_genome

KEY = jax.random.key(5)
RULE = SGD(rate=0.3, activation="tanh")


@final
class Spy(AbstractRule):
    """Learns nothing; keeps at its neurons what it is told."""

    declared: frozenset = eqx.field(static=True)
    reads = property(lambda self: self.declared)
    tier = Tier.GLOBAL

    def init(self, body, *, key):
        return State(body, (), RULE.init(body, key=key).synapses)

    def rest(self, state, batch):
        outputs, flags = jnp.zeros((batch, state.body.layers[-1])), jnp.zeros(batch, bool)
        target = pg.rules.Clamped(outputs, outputs > 0, ~flags)
        heard = pg.rules.Feedback(target, outputs, jnp.zeros(batch), flags)
        return State(state.body, (heard,), state.synapses)

    def predict(self, state, inputs, *, key):
        return state, inputs.values[:, : state.body.layers[-1]]

    def receive(self, state, feedback, *, key):
        return State(state.body, (feedback,), state.synapses)

    def adapt(self, state, *, key):
        return state


def equal(a, b, **tolerance):
    a, b = (jax.tree.leaves(eqx.filter(t, eqx.is_inexact_array)) for t in (a, b))
    assert len(a) == len(b) > 0
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, **(tolerance or {"atol": 1e-6}))


def squares(tree):
    return sum((leaf**2).sum() for leaf in jax.tree.leaves(tree))


# Three probes as a user would write them.


def update_norm(rule, problem, before, after):
    change = jax.tree.map(jnp.subtract, after.state.synapses, before.state.synapses)
    return jnp.sqrt(squares(change))


def weight_norms(rule, problem, before, after):
    return tuple(jnp.sqrt(squares(block)) for block in after.state.synapses)


def cosine_to_gradient(rule, problem, before, after):
    """Of the change of weights with minus the exact gradient, by autodiff."""

    def loss(weights):
        state = eqx.tree_at(_weights, before.state, weights)
        inputs = problem.observe(before.world)
        outputs = rule.predict(state, inputs, key=before.key)[1]
        return problem.respond(before.world, outputs)[2].loss

    old, new = _weights(before.state), _weights(after.state)
    gradient, change = jax.grad(loss)(old), jax.tree.map(jnp.subtract, new, old)
    dot = sum((-g * c).sum() for g, c in zip(gradient, change, strict=True))
    return dot / jnp.sqrt(squares(gradient) * squares(change))


def _weights(state):
    return [block["weight"] for block in state.synapses]


PROBES = (update_norm, weight_norms, cosine_to_gradient)


@pytest.fixture(scope="module")
def record(xor):
    one = jax.random.split(KEY, 1).at[0].set(KEY)
    record = lives(RULE, xor, keys=one, part="train", probes=PROBES, tests=(4, 2, 2))
    return jax.tree.map(lambda x: x[0], record)


def test_live_is_born_then_steps_then_a_test(xor, history, record):
    stages, outcomes = history
    np.testing.assert_allclose(record.losses, outcomes.loss, rtol=1e-5)
    np.testing.assert_allclose(record.scores, outcomes.score)
    np.testing.assert_array_equal(record.weights, np.ones(xor.presentations))
    equal(record.state.synapses, stages[-1].state.synapses)
    assert not record.diverged
    assert len(np.unique(record.losses)) == xor.presentations


def test_the_network_at_the_end_is_at_rest(record):
    for leaf in jax.tree.leaves(record.state.neurons):
        assert not leaf.any()


def test_tests_are_taken_after_the_presentations_asked_for_and_at_the_end(xor, history, record):
    stages, _ = history
    assert record.tests.loss.shape == record.tests.score.shape == (3,)
    for i, time in enumerate((2, 4, 6)):
        life = stages[time]
        network = Frozen(RULE, life.state)
        told = xor.test(life.world, network, part="train", key=KEY)
        np.testing.assert_allclose(record.tests.loss[i], told.loss, rtol=1e-5)
        np.testing.assert_allclose(record.tests.score[i], told.score, rtol=1e-5)
    assert len(np.unique(record.tests.loss)) == 3


def test_the_validation_part_is_the_one_tested_unless_asked(xor, history):
    stages, _ = history
    told = lives(RULE, xor, keys=jnp.stack([KEY])).tests
    for part in ("train", "validation", "test"):
        network = Frozen(RULE, stages[-1].state)
        expected = xor.test(stages[-1].world, network, part=part, key=KEY).loss
        assert np.allclose(told.loss[0, 0], expected, rtol=1e-5) == (part == "validation")


@pytest.mark.parametrize("bad", [(0,), (7,), (-1,), (2.0,), ("2",), (3, 9)])
def test_tests_at_times_that_there_are_not_are_refused(xor, bad, unchecked):
    with pytest.raises(ValueError, match="`tests` must be whole numbers from 1 to 6, got"):
        live(RULE, xor, key=KEY, tests=bad)


def test_probes_see_every_step(xor, history, record):
    stages, _ = history
    updates, norms, cosines = record.probes
    assert updates.shape == cosines.shape == (xor.presentations,)
    for i, (before, after) in enumerate(itertools.pairwise(stages)):
        expected = update_norm(RULE, xor, before, after)
        np.testing.assert_allclose(updates[i], expected, rtol=1e-3)
        for block, norm in zip(after.state.synapses, norms, strict=True):
            np.testing.assert_allclose(norm[i], np.linalg.norm(block["weight"]), rtol=1e-5)
    np.testing.assert_allclose(cosines, 1.0, atol=1e-4)  # it is gradient descent


def test_the_angle_to_the_gradient_tells_rules_apart(xor):
    keys = jax.random.split(KEY, 2)
    cosines = lives(Adam(), xor, keys=keys, probes=(cosine_to_gradient,)).probes[0]
    assert cosines.shape == (2, xor.presentations)
    assert (cosines > 0.1).all()
    assert (cosines < 0.99).all()


def test_probes_and_tests_do_not_change_a_life(xor, record):
    plain = jax.tree.map(lambda x: x[0], lives(RULE, xor, keys=jnp.stack([KEY])))
    np.testing.assert_allclose(plain.losses, record.losses, rtol=1e-6)
    equal(plain.state.synapses, record.state.synapses)


def test_absent_probes_cost_nothing(xor):
    """`live` takes as many operations as the loop written out, a probe takes more."""

    def written_out(rule, problem, key):
        life = born(rule, problem, key=key)
        life, outcomes = jax.lax.scan(
            lambda life, _: pg.envs.step(rule, problem, life), life, length=6
        )
        network = Frozen(rule, life.state)
        return outcomes, problem.test(life.world, network, part="validation", key=key)

    def flops(function):
        compiled = eqx.filter_jit(function).lower(RULE, xor, KEY).compile()
        return compiled.compiled.cost_analysis()["flops"]

    def recorded(probes):
        def run(rule, problem, key):
            record = live(rule, problem, key=key, probes=probes)
            return record.losses, record.scores, record.tests, record.probes

        return run

    plain, probed = flops(recorded(())), flops(recorded((cosine_to_gradient,)))
    assert plain <= flops(written_out) + 100
    assert probed > plain + 100


def test_a_life_can_be_stopped_stored_and_resumed(xor, history, step):
    stages, outcomes = history
    leaves, structure = jax.tree.flatten(stages[2])
    stored = [
        np.asarray(jax.random.key_data(x))
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        else np.asarray(x)
        for x in leaves
    ]
    restored = [
        jax.random.wrap_key_data(jnp.asarray(new))
        if jnp.issubdtype(old.dtype, jax.dtypes.prng_key)
        else jnp.asarray(new)
        for old, new in zip(leaves, stored, strict=True)
    ]
    life = jax.tree.unflatten(structure, restored)
    for i in range(2, xor.presentations):
        life, outcome = step(RULE, xor, life)
        assert float(outcome.loss) == float(outcomes.loss[i])
    for a, b in zip(jax.tree.leaves(life), jax.tree.leaves(stages[-1]), strict=True):
        assert bool(jnp.array_equal(a, b))


def test_presenting_changes_no_synapse_and_no_clock(xor, history):
    life = history[0][1]
    after, outcome = present(RULE, xor, life)
    np.testing.assert_allclose(outcome.loss, history[1].loss[1], rtol=1e-6)
    assert int(after.time) == int(life.time) == 1
    for a, b in zip(
        jax.tree.leaves(after.state.synapses), jax.tree.leaves(life.state.synapses), strict=True
    ):
        assert a is b


@pytest.mark.parametrize("signal", list(Signal))
def test_what_a_rule_does_not_declare_is_blanked(xor, signal):
    """One signal is declared: it arrives as the problem sends it, the others as zeros."""
    spy = Spy(frozenset({signal}))
    life = eqx.filter_jit(born)(spy, xor, key=KEY)
    heard = present(spy, xor, life)[0].state.neurons[0]
    outputs = xor.observe(life.world).values[:, :2]
    sent = xor.respond(life.world, outputs)[1]
    zero = jax.tree.map(jnp.zeros_like, sent)
    for other in Signal:
        expected = getattr(sent if other is signal else zero, str(other))
        found = getattr(heard, str(other))
        if other is Signal.TARGET:  # where an episode starts is no secret
            assert np.array_equal(found.starts, sent.target.starts)
            found, expected = (
                (found.values, found.mask),
                (expected.values, expected.mask),
            )
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            assert np.array_equal(a, b)


def test_lives_are_compiled_once_per_shape(xor):
    traces = []

    def counting(rule, problem, before, after):
        traces.append(1)
        return before.time

    other = pg.envs.plane("moons", hidden=(4,), batch=8, presentations=6)
    for rule, problem in [(RULE, xor), (with_genome(RULE, genome(RULE) - 1), other)]:
        lives(rule, problem, keys=jax.random.split(KEY, 2), probes=(counting,))
    first = len(traces)
    assert first > 0
    lives(RULE, other, keys=jax.random.split(KEY, 2), probes=(counting,))
    assert len(traces) == first
    lives(RULE, other, keys=jax.random.split(KEY, 3), probes=(counting,))
    assert len(traces) > first


def test_a_rule_that_changes_synapses_too_early_is_refused(xor):
    @final
    class Hasty(AbstractRule):
        inner: SGD

        reads = property(lambda self: self.inner.reads)
        tier = property(lambda self: self.inner.tier)

        def init(self, body, *, key):
            return self.inner.init(body, key=key)

        def rest(self, state, batch):
            return self.inner.rest(state, batch)

        def predict(self, state, inputs, *, key):
            return self.inner.predict(state, inputs, key=key)

        def receive(self, state, feedback, *, key):
            state = self.inner.receive(state, feedback, key=key)
            return self.inner.adapt(state, key=key)

        def adapt(self, state, *, key):
            return state

    with pytest.raises(ValueError, match="of Hasty must leave the synapses as they are"):
        live(Hasty(SGD()), xor, key=KEY)
