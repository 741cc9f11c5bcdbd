"""A stream in which snippets come back: what it shows, and what of it counts."""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.envs import Frozen, Repeats
from plasticgym.rules import SGD, Body

KEY = jax.random.key(0)
SYMBOLS, SNIPPETS, LENGTH, BATCH, PRESENTATIONS = 7, 3, 4, 5, 30
PARTS = ["train", "validation", "test"]
RULE = SGD(activation="linear")


@pytest.fixture(scope="module")
def problem() -> Repeats:
    return pg.envs.repeats(
        hidden=(),
        batch=BATCH,
        presentations=PRESENTATIONS,
        symbols=SYMBOLS,
        snippets=SNIPPETS,
        length=LENGTH,
    )


@pytest.fixture(scope="module")
def told(problem) -> dict[str, Any]:
    """All that is shown and answered in a life whose outputs name symbol 0."""
    outputs = jnp.zeros((BATCH, SYMBOLS)).at[:, 0].set(2.0)

    def turn(world, _):
        seen = problem.observe(world)
        after, feedback, outcome = problem.respond(world, outputs)
        return after, (seen, feedback, outcome)

    world = problem.reset(key=KEY)
    seen, feedback, outcome = jax.jit(
        lambda w: jax.lax.scan(turn, w, None, length=PRESENTATIONS)[1]
    )(world)
    return {"world": world, "seen": seen, "feedback": feedback, "outcome": outcome}


def recited(world) -> np.ndarray:
    """The symbols of each row, spelled out."""
    snippets, order = np.asarray(world.snippets), np.asarray(world.order)
    return np.stack([np.concatenate(snippets[turns]) for turns in order.T])


def predictable(world) -> np.ndarray:
    """For each row and time, whether the symbol at that time was recited there before."""
    known = []
    for turns in np.asarray(world.order).T:
        before: set[int] = set()
        for turn in turns.tolist():
            known += [False, *[turn in before] * (LENGTH - 1)]
            before.add(turn)
    return np.reshape(known, (BATCH, -1))


def test_rows_recite_snippets_and_are_asked_for_the_next_symbol(told):
    stream = recited(told["world"])
    shown = np.asarray(told["seen"].values).argmax(2).T
    asked = np.asarray(told["feedback"].target.values).argmax(2).T
    np.testing.assert_array_equal(shown, stream[:, :PRESENTATIONS])
    np.testing.assert_array_equal(asked, stream[:, 1 : PRESENTATIONS + 1])
    assert np.array_equal(told["seen"].values.sum(2), np.ones((PRESENTATIONS, BATCH)))


def test_rows_start_with_the_first_presentation_and_go_on(told):
    starts = np.asarray(told["seen"].starts)
    assert starts[0].all()
    assert not starts[1:].any()
    assert told["seen"].mask.all()


def test_all_rows_are_taught_always(told):
    feedback = told["feedback"]
    assert feedback.target.mask.all()
    assert not feedback.boundary.any()
    logits = np.zeros(SYMBOLS)
    logits[0] = 2.0
    p = np.exp(logits) / np.exp(logits).sum()
    target = np.asarray(feedback.target.values)
    np.testing.assert_allclose(feedback.error, target - p, atol=1e-6)
    np.testing.assert_allclose(feedback.reward, np.log(target @ p), rtol=1e-5)


def test_only_what_the_row_has_recited_before_counts(told):
    known = predictable(told["world"])[:, 1 : PRESENTATIONS + 1].T
    scored = known.any(1)
    assert 0 < scored.sum() < PRESENTATIONS
    outcome = told["outcome"]
    np.testing.assert_array_equal(outcome.weight, scored)
    right = recited(told["world"])[:, 1 : PRESENTATIONS + 1].T == 0
    losses = -np.asarray(told["feedback"].reward)
    for t in np.flatnonzero(scored):
        accuracy = right[t, known[t]].mean()
        expected = (accuracy - 1 / SYMBOLS) / (1 - 1 / SYMBOLS)
        np.testing.assert_allclose(outcome.score[t], expected, atol=1e-6)
        np.testing.assert_allclose(outcome.loss[t], losses[t, known[t]].mean(), rtol=1e-5)
    np.testing.assert_allclose(
        np.asarray(outcome.loss)[~scored], losses[~scored].mean(1), rtol=1e-5
    )


def test_chance_is_what_is_expected_of_symbols_never_seen(problem):
    """Snippets are uniform and independent: no guess is better than another."""
    np.testing.assert_allclose(problem.chance.loss, np.log(SYMBOLS), rtol=1e-6)
    assert float(problem.chance.score) == 0.0
    worlds = jax.vmap(lambda key: problem.reset(key=key))(jax.random.split(KEY, 1000))
    snippets = np.asarray(worlds.snippets)
    assert snippets.shape == (1000, SNIPPETS, LENGTH)
    pairs = np.zeros((SYMBOLS, SYMBOLS))
    np.add.at(pairs, (snippets[:, :, :-1].ravel(), snippets[:, :, 1:].ravel()), 1)
    np.testing.assert_allclose(pairs / pairs.sum(), 1 / SYMBOLS**2, rtol=0.3)
    order = np.asarray(worlds.order)
    np.testing.assert_allclose(np.bincount(order.ravel()) / order.size, 1 / 3, rtol=0.05)


def bigrams(problem, world) -> Frozen:
    """A network that says which symbol followed the present one most often."""
    counts = np.zeros((SYMBOLS + 1, SYMBOLS), np.float32)
    for snippet in np.asarray(world.snippets):
        np.add.at(counts, (snippet[:-1], snippet[1:]), 1)
    state = RULE.init(problem.body, key=KEY)
    weights = jnp.asarray(5.0 * counts)
    return Frozen(RULE, eqx.tree_at(lambda s: s.synapses[0]["weight"], state, weights))


@pytest.mark.parametrize("part", PARTS)
def test_it_is_tested_on_all_symbols_inside_snippets(problem, told, part):
    world = told["world"]
    network = bigrams(problem, world)
    outcome = problem.test(world, network, part=part, key=KEY)
    counts = np.asarray(network.state.synapses[0]["weight"])
    right, losses = [], []
    for row in np.asarray(world.exams)[PARTS.index(part)].T:
        for snippet in np.asarray(world.snippets)[row]:
            for now, after in itertools.pairwise(snippet):
                logits = counts[now]
                right.append(logits.argmax() == after)
                losses.append(np.log(np.exp(logits).sum()) - logits[after])
    expected = (np.mean(right) - 1 / SYMBOLS) / (1 - 1 / SYMBOLS)
    assert expected > 0.3
    np.testing.assert_allclose(outcome.score, expected, atol=1e-5)
    np.testing.assert_allclose(outcome.loss, np.mean(losses), rtol=1e-4)
    assert float(outcome.weight) == 1.0


def test_the_parts_are_three_draws(told):
    exams = np.asarray(told["world"].exams)
    assert exams.shape == (3, 2, 64)
    assert not any(np.array_equal(exams[i], exams[j]) for i, j in ((0, 1), (0, 2), (1, 2)))


def test_activity_goes_on_from_symbol_to_symbol_in_a_test(problem, told):
    """Rows begin once, with the first symbol."""
    seen = []

    class Watched(eqx.Module):
        inner: Any

        def rest(self, state, batch):
            return self.inner.rest(state, batch)

        def predict(self, state, inputs, *, key):
            jax.debug.callback(
                lambda x: seen.append(np.asarray(x)), inputs.starts, ordered=True
            )
            return self.inner.predict(state, inputs, key=key)

    network = Frozen(RULE, RULE.init(problem.body, key=KEY))
    watched = eqx.tree_at(lambda f: f.rule, network, Watched(RULE), is_leaf=lambda x: x is RULE)
    problem.test(told["world"], watched, part="test", key=KEY)
    jax.effects_barrier()
    assert [bool(x.all()) for x in seen] == [True] + [False] * (2 * LENGTH - 2)
    assert not any(x.any() for x in seen[1:])


def test_a_rule_that_reads_errors_remembers_what_comes_back():
    rule, keys = SGD(rate=0.3), jax.random.split(KEY, 8)
    record = pg.envs.lives(rule, pg.envs.repeats(), keys=keys)
    assert not record.diverged.any()
    assert 0.6 < float(record.tests.score.mean()) < 0.95
    scored = np.asarray(record.weights[:, -20:])
    assert (np.asarray(record.scores[:, -20:]) * scored).sum() / scored.sum() > 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"symbols": 1}, "`symbols` must be at least 2, got 1"),
        ({"symbols": 0}, "`symbols` must be a positive whole number, got 0"),
        ({"snippets": 0}, "`snippets` must be a positive whole number, got 0"),
        ({"length": 1}, "`length` must be at least 2, got 1"),
        ({"length": 2.5}, "`length` must be a positive whole number, got 2.5"),
        ({"length": 100}, "`presentations` must be more than `length` = 100, .* got 100"),
        ({"batch": True}, "`batch` must be a positive whole number, got True"),
        ({"hidden": 4}, "`hidden` must be a tuple of sizes, got 4"),
        ({"view": "fixed"}, "does not take these options: .*view"),
    ],
)
def test_what_does_not_fit_is_refused(options, message, unchecked):
    with pytest.raises(ValueError, match=message):
        pg.envs.problem("Repeats-v0", **options)


@pytest.mark.parametrize("layers", [(3, 4), (1, 1), (1, 3, 1)])
def test_a_body_whose_ends_are_no_symbols_is_refused(layers):
    sizes = {"batch": 2, "presentations": 9, "snippets": 2, "length": 3}
    with pytest.raises(ValueError, match="`body` must have as many inputs as outputs"):
        Repeats(body=Body(layers), **sizes)
