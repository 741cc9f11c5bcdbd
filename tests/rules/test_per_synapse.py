"""A rule from the scalar function of one synapse."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import Body, Clamped, Expression, LocalView, PerSynapse, Tier

KEY = jax.random.key(0)
BODY, BATCH = Body((3, 4, 2)), 5


def learned(rule, feedback, body=BODY):
    state = rule.rest(rule.init(body, key=KEY), BATCH)
    inputs = Clamped.full(jax.random.normal(KEY, (BATCH, 3)))
    state, _ = rule.predict(state, inputs, key=KEY)
    state = rule.receive(state, feedback(BATCH, 2), key=KEY)
    return rule.adapt(state, key=KEY)


def everything(view):
    told = view.error * view.reward + view.target - view.post
    return view.pre * told * jnp.exp(view.weight)


@pytest.mark.parametrize("alive", [None, (jnp.ones(3), jnp.array([1.0, 0, 1, 1]), jnp.ones(2))])
def test_it_does_what_the_same_formula_does(feedback, alive):
    text = "rate * pre * (error * reward + target - post) * exp(weight)"
    body = Body((3, 4, 2), alive)
    ours = learned(PerSynapse(everything, rate=0.3), feedback, body)
    theirs = learned(Expression(text, rate=0.3), feedback, body)
    for a, b in zip(ours.synapses, theirs.synapses, strict=True):
        np.testing.assert_allclose(a["weight"], b["weight"], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "reads", "tier"),
    [
        (lambda view: view.pre * view.post, set(), Tier.ACTIVITY),
        (lambda view: view.reward, {"reward"}, Tier.REWARD),
        (lambda view: jnp.where(view.error > 0, view.pre, 0.0), {"error"}, Tier.ERROR),
        (lambda view: view.pre * (view.target - view.post), {"target"}, Tier.ERROR),
        (everything, {"error", "reward", "target"}, Tier.ERROR),
    ],
)
def test_what_it_reads_is_found_by_tracing(change, reads, tier):
    rule = PerSynapse(change)
    assert rule.reads == reads
    assert rule.tier is tier


class Decaying(eqx.Module):
    decay: jax.Array = eqx.field(converter=jnp.asarray, metadata=pg.rules.gene("log"))

    def __call__(self, view):
        return view.pre * view.post - self.decay * view.weight


def test_the_leaves_of_a_module_are_genes(feedback):
    rule = PerSynapse(Decaying(0.5), rate=0.1)
    assert pg.rules.gene_names(rule) == ("function.decay", "rate")
    vector = pg.rules.genome(rule)
    np.testing.assert_allclose(vector, np.log([0.5, 0.1]), rtol=1e-6)
    ours = learned(pg.rules.with_genome(rule, vector + 1.0), feedback)
    text = "rate * (pre * post - decay * weight)"
    theirs = learned(Expression(text, rate=0.1 * np.e, decay=0.5 * np.e), feedback)
    for a, b in zip(ours.synapses, theirs.synapses, strict=True):
        np.testing.assert_allclose(a["weight"], b["weight"], atol=1e-5)
    with pytest.raises(ValueError, match="`decay` must be positive"):
        PerSynapse(Decaying(-1.0))


def test_the_scalar_form_of_a_rule_can_be_lived_by_itself(feedback):
    rule = PerSynapse(pg.rules.Oja(rate=0.2).change, activation="linear")
    ours = learned(rule, feedback)
    theirs = learned(Expression(rate=0.2, activation="linear"), feedback)
    for a, b in zip(ours.synapses, theirs.synapses, strict=True):
        np.testing.assert_allclose(a["weight"], b["weight"], atol=1e-5)
    assert pg.rules.genome(rule).shape == (1,)


def test_a_function_without_a_rate_has_no_genes():
    assert pg.rules.genome(PerSynapse(everything)).shape == (0,)


def test_its_change_is_the_function_times_the_rate(feedback):
    view = LocalView(*jnp.arange(1.0, 7.0))
    whole, half = PerSynapse(everything), PerSynapse(everything, rate=0.5)
    np.testing.assert_allclose(half.change(view), 0.5 * everything(view), rtol=1e-6)
    np.testing.assert_allclose(whole.change(view), everything(view), rtol=1e-6)
    again = learned(PerSynapse(half.change), feedback)
    for a, b in zip(learned(half, feedback).synapses, again.synapses, strict=True):
        np.testing.assert_array_equal(a["weight"], b["weight"])


@pytest.mark.parametrize(
    ("change", "options", "match"),
    [
        ("pre", {}, "`function` must be a function of a LocalView"),
        (lambda v: v.presynaptic, {}, "which has pre, post, .*no attribute 'presynaptic'"),
        (lambda v: v.pre if v.pre > 0 else 0.0, {}, "choices are made by jax.numpy.where"),
        (lambda view: jnp.ones(3), {}, r"must return one number .*got shape \(3,\)"),
        (lambda view: (view.pre, view.post), {}, "must return one number"),
        (lambda view: view.pre, {"rate": -1.0}, "`rate` must be positive"),
        (lambda view: view.pre, {"rate": (0.1, 0.2)}, "`rate` must be one number"),
        (lambda view: view.pre, {"activation": "rlu"}, "did you mean 'relu'"),
    ],
)
def test_errors_name_what_is_wrong(change, options, match, unchecked):
    with pytest.raises(ValueError, match=match):
        PerSynapse(change, **options)


@pytest.mark.slow
def test_it_never_holds_every_synapse_of_every_row(feedback):
    """XLA fuses the mean into the function: memory does not grow with rows times synapses."""
    rule, body = PerSynapse(everything, rate=0.3), Body((200, 100, 10))

    def adapt(state):
        return rule.adapt(state, key=KEY)

    batch, sizes = 256, 200 * 100 * 4
    state = jax.eval_shape(lambda: rule.rest(rule.init(body, key=KEY), batch))
    options = {"xla_backend_optimization_level": "3"}
    compiled = jax.jit(adapt).lower(state).compile(options)
    assert compiled.memory_analysis().temp_size_in_bytes < 10 * sizes < batch * sizes
