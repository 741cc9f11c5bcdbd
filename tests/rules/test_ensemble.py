"""Several networks whose outputs are averaged."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import SGD, Body, Clamped, Ensemble

KEY, BODY = jax.random.key(0), Body((3, 4, 2))
RULE = SGD(rate=0.3)


@pytest.fixture(scope="module")
def presented(feedback):
    """An ensemble, its outputs and what it becomes; the same of each member alone."""
    rule, told = Ensemble(RULE, members=3), feedback(5, 2)
    inputs = Clamped.full(jax.random.normal(KEY, (5, 3)))

    def one(rule, state):
        after, outputs = rule.predict(rule.rest(state, 5), inputs, key=KEY)
        return outputs, rule.adapt(rule.receive(after, told, key=KEY), key=KEY)

    @jax.jit
    def all_of_them():
        state = rule.init(BODY, key=KEY)
        alone = [jax.tree.map(lambda x, m=m: x[m], state) for m in range(3)]
        return state, one(rule, state), [one(RULE, member) for member in alone]

    return all_of_them()


def test_its_outputs_are_the_mean_of_its_members(presented):
    _, (outputs, _), alone = presented
    members = np.stack([outputs for outputs, _ in alone])
    assert np.ptp(members, axis=0).min() > 0.01
    np.testing.assert_allclose(outputs, members.mean(0), rtol=1e-5)


def test_each_learns_from_the_same_feedback(presented):
    begun, (_, after), alone = presented
    for layer, (before, block) in enumerate(zip(begun.synapses, after.synapses, strict=True)):
        assert not np.array_equal(before["weight"], block["weight"])
        expected = np.stack([state.synapses[layer]["weight"] for _, state in alone])
        np.testing.assert_allclose(block["weight"], expected, atol=1e-6)


def test_it_lives_and_is_tested_as_any_rule(xor):
    record = eqx.filter_jit(pg.envs.live)(Ensemble("adam(rate=0.1)", members=2), xor, key=KEY)
    assert np.isfinite(record.losses).all()
    assert record.state.synapses[0]["weight"].shape == (2, 3, 4)
    assert jnp.ndim(record.tests.score[-1]) == 0


def test_it_cannot_be_pruned_as_one_network():
    state = Ensemble(RULE, members=3).init(BODY, key=KEY)
    with pytest.raises(ValueError, match=r"`state` must be one network.* \(3, 4, 4\)"):
        pg.rules.sparse(state, jnp.asarray(0.5))


@pytest.mark.parametrize("members", [0, -1, 2.5, True])
def test_sizes_that_do_not_fit_are_refused(members, unchecked):
    with pytest.raises(ValueError, match="`members` must be a positive whole number"):
        Ensemble(RULE, members=members)
