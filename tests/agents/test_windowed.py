"""Short-term back-propagation: which gradients it keeps, and what it needs to do so."""

import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.agents import MetaGradient, Windowed

SIZES = {"hidden": (4,), "batch": 8}
LENGTH = 5
KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def problem():
    return pg.envs.plane("xor", presentations=LENGTH, **SIZES)


def gradient(lived, problem, key=KEY):
    """Loss and gradient by the genome of a life under a rule with genes of birth."""
    rule = pg.rules.NormalisedSGD(rate=0.3, decay=0.1)

    @eqx.filter_jit
    def both(vector, problem, key):
        return jax.value_and_grad(
            lambda v: lived(pg.rules.with_genome(rule, v), problem, key)[0]
        )(vector)

    return both(pg.rules.genome(rule), problem, key)


def by_hand(width, recall):
    """The same life, presentation by presentation, gradients stopped one by one."""
    last = LENGTH - recall
    places = range(last - width + 1)
    opens = int(jax.random.randint(jax.random.split(KEY)[1], (), 0, len(places)))
    holding = [sum(place <= time < place + width for place in places) for time in range(last)]

    def lived(rule, problem, key):
        stop, less = jax.lax.stop_gradient, lambda x: x - jax.lax.stop_gradient(x)
        newborn = pg.envs.born(rule, problem, key=jax.random.split(key)[0])
        life = stop(newborn)
        for time in range(last):
            inside = opens <= time < opens + width
            share = len(places) / holding[time] if inside else 0.0
            genes = jax.tree.map(lambda x, k=share: stop(x) + k * less(x), rule)
            after, _ = pg.envs.step(genes, problem, life)
            if time == opens + width - 1:
                written = after.state.synapses
            life = after if opens <= time < opens + width - 1 else stop(after)
        added = jax.tree.map(
            lambda s, a, b: s + less(a) + less(b),
            life.state.synapses,
            written,
            newborn.state.synapses,
        )
        life = eqx.tree_at(lambda x: x.state.synapses, life, added)
        losses = []
        for _ in range(recall):
            life, outcome = pg.envs.step(rule, problem, life)
            losses.append(outcome.loss)
        held_out = pg.envs._lifetime.examine(rule, problem, life, part="validation")[0].loss
        return ((sum(losses) / recall + held_out) / 2.0 if recall else held_out), None

    return lived


@pytest.mark.parametrize(
    ("width", "recall"), [pytest.param(1, 0, marks=pytest.mark.slow), (2, 2)]
)
def test_gradients_flow_through_the_two_windows_alone(problem, width, recall):
    agent = Windowed(MetaGradient(), width=width, recall=recall)
    loss, found = gradient(agent._lived, problem)
    expected_loss, expected = gradient(by_hand(width, recall), problem)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
    assert np.abs(found).min() > 1e-5


@pytest.mark.slow
def test_a_window_as_long_as_the_life_keeps_all_gradients_but_those_of_birth(problem):
    """The windows open on the state at birth, whose genes go straight through."""

    def whole(rule, problem, key):
        record = pg.envs.live(rule, problem, key=jax.random.split(key)[0])
        return record.tests.loss[-1], None

    loss, found = gradient(Windowed(MetaGradient(), width=LENGTH)._lived, problem)
    expected_loss, expected = gradient(whole, problem)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
    names = pg.rules.gene_names(pg.rules.NormalisedSGD())
    later = np.array(["birth" not in name for name in names])
    np.testing.assert_allclose(found[later], expected[later], rtol=1e-3)
    assert (np.abs(found)[~later] > 1e-5).all()


@pytest.mark.parametrize(("presentations", "width"), [(5, 1), (5, 2), (5, 3), (5, 4), (5, 5)])
def test_in_the_mean_over_windows_each_presentation_counts_once(presentations, width):
    holding = sys.modules[Windowed.__module__]._holding
    counted = np.zeros(presentations)
    windows = presentations - width + 1
    for opens in range(windows):
        held = holding(jnp.asarray(opens), width, presentations)
        counted[opens : opens + width] += 1 / np.asarray(held)
    np.testing.assert_allclose(counted, 1.0, rtol=1e-6)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length_of_the_life():
    def needed(agent, presentations):
        problems = [pg.envs.plane("xor", presentations=presentations, **SIZES)]
        rule = pg.rules.SGD(rate=0.2)
        search = agent.init(rule, problems, key=KEY)
        compiled = eqx.filter_jit(agent.update).lower(rule, problems, search).compile()
        return compiled.compiled.memory_analysis().temp_size_in_bytes

    windowed, whole = (
        [needed(agent, presentations) for presentations in (8, 64)]
        for agent in (Windowed(MetaGradient(lives=2)), MetaGradient(lives=2))
    )
    # The order of examples is drawn at birth: 8 numbers a presentation and life.
    assert windowed[1] - windowed[0] < 0.1 * (whole[1] - whole[0])


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"width": 0}, "`width` must be a positive whole number, got 0"),
        ({"recall": -1}, "`recall` must be a whole number of at least 0, got -1"),
        ({"recall": True}, "`recall` must be a whole number of at least 0, got True"),
    ],
)
def test_bad_windows(sizes, message):
    with pytest.raises(ValueError, match=message):
        Windowed(MetaGradient(), **sizes)


def test_windows_longer_than_a_life_are_refused(problem):
    agent, rule = Windowed(MetaGradient(), width=4, recall=2), pg.rules.SGD()
    search = agent.init(rule, [problem], key=KEY)
    with pytest.raises(ValueError, match=r"`width` and `recall` must fit .* 5 .*, got 4 and 2"):
        agent.update(rule, [problem], search)


def test_it_is_made_by_name():
    agent = pg.agents.make("windowed", width=2, lives=3)
    assert (agent.width, agent.agent.lives) == (2, 3)
    assert jnp.ndim(agent.agent.rate) == 0
