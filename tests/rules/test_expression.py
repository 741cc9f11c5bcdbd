"""Rules written as formulas: what they compute, keep and read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import Body, Clamped, Expression, LocalView, State, Tier

KEY = jax.random.key(0)
BODY, BATCH = Body((3, 4, 2)), 5


def met(rule, feedback, presentations=1, starts=True, state=None):
    """The network before and after `adapt` at the last of some presentations."""
    if state is None:
        state = rule.rest(rule.init(BODY, key=KEY), BATCH)
    before = state
    for time in range(presentations):
        values = jax.random.normal(jax.random.fold_in(KEY, time), (BATCH, 3))
        row = jnp.broadcast_to(jnp.asarray(starts), (BATCH,))
        state, _ = rule.predict(state, Clamped(values, values == values, row), key=KEY)
        before = rule.receive(state, feedback(BATCH, 2), key=KEY)
        state = rule.adapt(before, key=KEY)
    return before, state


def one_by_one(change, before, layer):
    """The mean over rows of a scalar function, for every synapse of a block."""
    pre, post = before.neurons[layer : layer + 2]
    x = jnp.concatenate([pre["activity"], jnp.ones((BATCH, 1))], axis=1)[:, :, None]
    weight = before.synapses[layer]["weight"][None]
    told = [
        post[n][:, None] if n in post else jnp.zeros((BATCH, 1, weight.shape[-1]))
        for n in ("activity", "error", "reward", "target")
    ]
    y, error, reward, target = told
    every = jnp.broadcast_arrays(*LocalView(x, y, weight, error, reward, target))
    flat = LocalView(*(a.ravel() for a in every))
    return jax.vmap(change)(flat).reshape(every[0].shape).mean(0)


@pytest.mark.parametrize(
    "text",
    [
        "rate * post * (pre - post * weight)",
        "rate * pre * error + reward * weight * 0.1",
        "tanh(pre * error) - (target - post) * pre",
    ],
)
def test_the_fast_form_is_the_mean_of_the_scalar_form(text, feedback):
    rule = Expression(text)
    before, after = met(rule, feedback)
    for layer in range(2):
        change = after.synapses[layer]["weight"] - before.synapses[layer]["weight"]
        expected = one_by_one(rule.change, before, layer)
        assert np.abs(expected).max() > 1e-3
        np.testing.assert_allclose(change, expected, atol=1e-5)
        if layer:
            assert "feedback" not in before.synapses[0]


def test_the_default_is_ojas_rule(feedback):
    """Where the inputs of the class have a column of ones, as it has no biases."""
    rule, oja = Expression(rate=0.1, activation="linear"), pg.rules.Oja(rate=0.1)
    before, after = met(rule, feedback)
    ones = jnp.ones((BATCH, 1))
    for layer in range(2):
        x = jnp.concatenate([before.neurons[layer]["activity"], ones], axis=1)
        y = before.neurons[layer + 1]
        state = State(
            Body((x.shape[1], y["activity"].shape[1])),
            ({"activity": x}, y),
            (before.synapses[layer],),
        )
        expected = oja.adapt(state, key=KEY).synapses[0]["weight"]
        np.testing.assert_allclose(after.synapses[layer]["weight"], expected, atol=1e-6)


def test_errors_are_fed_back_through_the_fixed_matrices(feedback):
    rule = Expression("rate * pre * error", rate=0.5)
    before, after = met(rule, feedback)
    hidden = before.neurons[1]
    assert before.synapses[1]["feedback"].shape == (2, 4)
    np.testing.assert_array_equal(after.synapses[1]["feedback"], before.synapses[1]["feedback"])
    told = feedback(BATCH, 2).error
    expected = (told @ before.synapses[1]["feedback"]) * (1 - hidden["activity"] ** 2)
    np.testing.assert_allclose(hidden["error"], expected, rtol=1e-5)
    assert not np.allclose(before.synapses[1]["feedback"], before.synapses[1]["weight"][:-1].T)


@pytest.mark.parametrize(
    ("text", "reads", "tier"),
    [
        ("pre * post - weight", set(), Tier.ACTIVITY),
        ("trace(reward) * pre", {"reward"}, Tier.REWARD),
        ("reward * pre * error", {"reward", "error"}, Tier.ERROR),
        ("pre * (target - post)", {"target"}, Tier.ERROR),
    ],
)
def test_reads_and_tier_follow_from_the_names(text, reads, tier):
    rule = Expression(text)
    assert rule.reads == reads
    assert rule.tier is tier


def test_a_neurons_trace_is_a_running_mean_that_starts_at_zero(feedback):
    rule = Expression("trace(post) * trace(tanh(2 * pre)) * 0", trace_decay=(0.8, 0.5))
    state, ours = None, {"trace0": 0.0, "trace1": 0.0}
    for time, starts in enumerate([True, False, [False, True, False, False, True]]):
        keep = 1.0 - np.broadcast_to(np.asarray(starts), (BATCH,))[:, None]
        values = jax.random.normal(jax.random.fold_in(KEY, time), (BATCH, 3))
        row = jnp.broadcast_to(jnp.asarray(starts), (BATCH,))
        state = state or rule.rest(rule.init(BODY, key=KEY), BATCH)
        state, _ = rule.predict(state, Clamped(values, values == values, row), key=KEY)
        state = rule.adapt(state, key=KEY)
        hidden = state.neurons[1]
        h = np.asarray(hidden["activity"])
        ours["trace0"] = 0.8 * keep * ours["trace0"] + 0.2 * h
        ours["trace1"] = 0.5 * keep * ours["trace1"] + 0.5 * np.tanh(2 * h)
        for name, expected in ours.items():
            np.testing.assert_allclose(hidden[name], expected, atol=1e-6)


def test_the_change_uses_traces_that_count_this_presentation(feedback):
    rule = Expression("trace(a * pre) * trace(post * reward)", a=3.0, trace_decay=0.75)
    before, after = met(rule, feedback)
    x = np.asarray(before.neurons[0]["activity"]) * 0.75
    x = np.append(x, np.full((BATCH, 1), 3.0), axis=1)  # that of the bias unit has settled
    y = 0.25 * np.asarray(before.neurons[1]["activity"] * before.neurons[1]["reward"])
    change = after.synapses[0]["weight"] - before.synapses[0]["weight"]
    np.testing.assert_allclose(change, x.T @ y / BATCH, atol=1e-6)


def test_a_synapses_trace_is_a_mean_over_rows_that_forgets_those_that_start(feedback):
    rule = Expression("trace(pre * post)", trace_decay=0.5)
    first, middle = met(rule, feedback)
    some = jnp.array([True, False, True, False, False])
    second, after = met(rule, feedback, starts=some, state=middle)
    moments = [
        np.append(np.asarray(s.neurons[0]["activity"]), np.ones((BATCH, 1)), axis=1).T
        @ np.asarray(s.neurons[1]["activity"])
        / BATCH
        for s in (first, second)
    ]
    np.testing.assert_allclose(middle.synapses[0]["trace0"], 0.5 * moments[0], atol=1e-6)
    expected = 0.5 * 0.6 * 0.5 * moments[0] + 0.5 * moments[1]
    np.testing.assert_allclose(after.synapses[0]["trace0"], expected, atol=1e-6)
    change = after.synapses[0]["weight"] - second.synapses[0]["weight"]
    np.testing.assert_allclose(change, expected, atol=1e-6)


@pytest.mark.parametrize("place", ["trace({} * post) * pre", "trace({} * pre) * pre"])
def test_a_constant_named_like_a_leaf_of_neurons_is_itself(place, feedback):
    _, ours = met(Expression(place.format("activity"), activity=2.0), feedback)
    _, theirs = met(Expression(place.format("gain"), gain=2.0), feedback)
    for a, b in zip(ours.synapses, theirs.synapses, strict=True):
        np.testing.assert_allclose(a["weight"], b["weight"], atol=1e-6)


def test_a_step_of_a_constant_multiplies_it_whatever_its_sign():
    rule = Expression("0.01 * pre - a * weight + b * post + 0", a=-0.5, b=30.0)
    moved = pg.rules.with_genome(rule, pg.rules.genome(rule) + 1.0)
    found = [float(leaf) for leaf in pg.rules.named_leaves(moved).values()]
    np.testing.assert_allclose(found[:2], [-0.5 / np.e, 30.0 * np.e], rtol=1e-3)
    np.testing.assert_allclose(found[2:], [0.01 * np.e, 0.001 * np.sinh(1)], rtol=1e-2)


def test_formulas_that_differ_in_constants_can_be_stacked():
    rules = [Expression("rate * pre * error * k", k=k) for k in (1.0, 2.0)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *rules)
    np.testing.assert_array_equal(stacked.constants["k"], [1.0, 2.0])


def test_a_view_holds_no_traces():
    zeros = LocalView(*jnp.zeros(6))
    with pytest.raises(ValueError, match="must have no traces"):
        Expression("trace(pre)").change(zeros)


def test_synapses_of_dead_neurons_stay():
    alive = (jnp.ones(3), jnp.array([1.0, 0.0, 1.0, 1.0]), jnp.ones(2))
    rule = Expression("exp(pre) / (1 - pre)")
    state = rule.rest(rule.init(Body((3, 4, 2), alive), key=KEY), BATCH)
    state, _ = rule.predict(state, Clamped.full(jnp.full((BATCH, 3), 0.5)), key=KEY)
    moved = [
        np.asarray(a["weight"] != b["weight"])
        for a, b in zip(rule.adapt(state, key=KEY).synapses, state.synapses, strict=True)
    ]
    assert moved[0].all(axis=0).tolist() == [True, False, True, True]
    assert moved[1][:4].any(axis=1).tolist() == [True, False, True, True]


def test_the_genome_is_rate_traces_numbers_and_names(tmp_path):
    options = {"formula": "rate * 2 * trace(pre) + a * post", "a": -0.5, "activation": "relu"}
    rule = pg.rules.make("expression", **options)
    names = ("rate", "trace_decay[0]", "constants.a", "constants.c0")
    assert pg.rules.gene_names(rule) == names
    vector = pg.rules.genome(rule)
    decay = np.log(0.9 / 0.1)
    numbers = [np.arcsinh(-500), np.arcsinh(2000)]
    np.testing.assert_allclose(vector, [np.log(0.01), decay, *numbers], rtol=1e-5)
    moved = pg.rules.with_genome(rule, vector + 1.0)
    path = tmp_path / "a.safetensors"
    pg.rules.save_genome(path, moved, name="expression", options=options)
    again = pg.rules.load_genome(path)
    assert (again.formula, again.activation) == (rule.formula, "relu")
    np.testing.assert_array_equal(pg.rules.genome(again), pg.rules.genome(moved))


@pytest.mark.parametrize(
    ("formula", "options", "match"),
    [
        ("rate * wieght", {}, "`wieght` in `formula` is no signal.*did you mean 'weight'"),
        ("rate * eta * pre", {}, "give it a value, as in eta=0.1"),
        ("pre * post", {"eta": 0.1}, "`eta` is not in `formula`, which names no constants"),
        ("a * pre", {"a": 1.0, "rate": 0.1}, "`rate` is not in `formula`, which names a"),
        ("rate * pre", {"rate": -0.1}, "`rate` must be positive, got -0.1"),
        ("rate * pre", {"rate": "fast"}, "`rate` must be a number, got 'fast'"),
        ("a * pre", {"a": (1.0, 2.0)}, "`a` must be one finite number"),
        ("a * pre", {"a": float("nan")}, "`a` must be one finite number"),
        ("trace(pre)", {"trace_decay": 1.0}, r"`trace_decay` must lie strictly in \(0, 1\)"),
        ("trace(pre)", {"trace_decay": (0.1, 0.2)}, "one for each of 1 traces"),
        ("pre", {"trace_decay": 0.5}, "`trace_decay` needs a trace"),
        ("pre", {"activation": "rlu"}, "unknown activation 'rlu'; did you mean 'relu'"),
        ("pre +", {}, "`formula` 'pre \\+' cannot be read"),
    ],
)
def test_errors_name_what_is_wrong(formula, options, match, unchecked):
    with pytest.raises(ValueError, match=match):
        pg.rules.make("expression", formula=formula, **options)
