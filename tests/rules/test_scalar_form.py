"""A local rule's function of one synapse equals its fast form, the mean over rows taken."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import Body, Clamped, Hebb, LocalView

KEY = jax.random.key(0)
BODY, BATCH = Body((5, 4, 3)), 6
VARIANTS = {
    **{name: lambda name=name: pg.rules.make(name) for name in pg.rules.RULES},
    "volterra, every term": lambda: pg.rules.Volterra(
        rate=0.1, coefficients=np.random.default_rng(0).normal(size=(3, 3, 3))
    ),
}
SCALAR = [name for name in VARIANTS if hasattr(VARIANTS[name](), "change")]


def drawn(tree, names=None):
    """The leaves of a pytree, or those of dictionaries with these names, drawn anew."""
    rng = np.random.default_rng(0)

    def one(path, leaf):
        if names is not None and path[-1] not in map(jax.tree_util.DictKey, names):
            return leaf
        return jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype)

    return jax.tree.map_with_path(one, tree)


def by_synapses(change, pre, post, weight, error, reward, target):
    """The mean change over rows of every synapse of a block."""
    along = lambda *axes: LocalView(*axes)  # noqa: E731
    posts = jax.vmap(change, (along(None, 0, 0, 0, None, 0),))
    pres = jax.vmap(posts, (along(0, None, 0, None, None, None),))
    rows = jax.vmap(pres, (along(0, 0, None, 0, 0, 0),))
    return rows(LocalView(pre, post, weight, error, reward, target)).mean(0)


def largest_difference(rule, feedback):
    """Between both forms, over the blocks of a network in a random state."""
    heard = feedback(BATCH, BODY.layers[-1]).only(rule.reads)

    def newborn():
        state = rule.rest(rule.init(BODY, key=KEY), BATCH)
        inputs = Clamped.full(jnp.zeros((BATCH, BODY.layers[0])))
        return rule.predict(state, inputs, key=KEY)[0]

    @eqx.filter_jit
    def both(rule, state):
        state = rule.receive(state, heard, key=KEY)
        neurons = drawn(state.neurons, ("activity", "error"))
        state = dataclasses.replace(state, neurons=neurons)
        changes = []
        adapted = rule.adapt(state, key=KEY)
        for layer, block in enumerate(state.synapses):
            pre, post = state.neurons[layer]["activity"], state.neurons[layer + 1]
            if block["weight"].shape[0] == pre.shape[1] + 1:
                pre = pg.rules.multilayer.with_bias(pre)
            target = jnp.zeros_like(post["activity"])
            if layer == len(state.synapses) - 1:
                target = heard.target.known
            one_by_one = by_synapses(
                rule.change,
                pre,
                post["activity"],
                block["weight"],
                post["error"],
                heard.reward,
                target,
            )
            changes.append((adapted.synapses[layer]["weight"] - block["weight"], one_by_one))
        return changes

    changes = both(rule, drawn(jax.eval_shape(newborn)))
    assert all(np.abs(fast).max() > 1e-4 for fast, _ in changes)
    return max(np.abs(fast - one_by_one).max() for fast, one_by_one in changes)


@pytest.mark.parametrize("name", SCALAR)
def test_scalar_form_and_fast_form_agree(name, feedback):
    assert largest_difference(VARIANTS[name](), feedback) < 1e-5


# What a view of a synapse shows, and the feedback by which its error comes.
SHOWN = {"activity", "error", "weight", "feedback"}


def keeps_more_than_a_view_shows(rule):
    state = jax.eval_shape(lambda: rule.rest(rule.init(BODY, key=KEY), BATCH))
    held = [*state.neurons, *state.synapses]
    return not all(isinstance(leaves, dict) and set(leaves) <= SHOWN for leaves in held)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_local_rule_without_states_of_its_own_has_a_scalar_form(name):
    rule = VARIANTS[name]()
    if not pg.rules.accepts(rule, BODY):
        pytest.skip("a view is of a synapse between layers")
    if rule.tier > pg.rules.Tier.ERROR or keeps_more_than_a_view_shows(rule):
        pytest.skip("not local, or more than a view shows decides")
    assert hasattr(rule, "change")


@pytest.mark.parametrize(
    "fault",
    [
        lambda rule, view: rule.rate * view.pre * view.post,  # no decay
        lambda rule, view: rule.rate * view.pre * view.post + rule.decay * view.weight,
        lambda rule, view: rule.rate * view.pre * view.pre - rule.decay * view.weight,
    ],
)
def test_another_equation_is_found_out(fault, feedback, monkeypatch):
    monkeypatch.setattr(Hebb, "change", fault)
    assert largest_difference(Hebb(rate=0.1, decay=0.1), feedback) > 1e-3
