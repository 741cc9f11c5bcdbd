"""A life of snippets: what it shows, what it asks for, and what counts as remembered."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.envs import Frozen, Recalled, Remember
from plasticgym.rules import SGD, Body

KEY = jax.random.key(0)
BITS, SNIPPET, STORED, DELAY = 6, 2, 3, 3
WRITTEN, MISSING = STORED * SNIPPET + DELAY, 8  # of 12 bits a third is shown


def build(**options):
    sizes = {"bits": BITS, "snippet": SNIPPET, "stored": STORED, "delay": DELAY, "cue": 0.3}
    return pg.envs.remember(**{**sizes, "place": "random", "hidden": (), **options})


@pytest.fixture(scope="module")
def problem() -> Remember:
    return build()


@pytest.fixture(scope="module")
def told(problem):
    """All that is shown and answered in a life whose outputs are always 2."""

    def turn(world, _):
        seen = problem.observe(world)
        after, feedback, outcome = problem.respond(world, jnp.full((1, BITS), 2.0))
        return after, (seen, feedback, outcome)

    def life(key):
        world = problem.reset(key=key)
        return world, *jax.lax.scan(turn, world, None, length=problem.presentations)[1]

    return jax.tree.map(np.asarray, jax.jit(life)(KEY))


def test_a_life_writes_waits_and_recalls(told, problem):
    world, seen, *_ = told
    assert (problem.written, problem.missing) == (WRITTEN, MISSING)
    assert problem.presentations == WRITTEN + 2 * STORED * SNIPPET
    assert set(np.unique(world.values)) == {-1.0, 1.0}
    values = seen.values[:, 0]
    np.testing.assert_array_equal(values[: STORED * SNIPPET], world.stored.reshape(-1, BITS))
    assert seen.mask[:WRITTEN].all()
    cues = seen.mask[WRITTEN:].reshape(2 * STORED, -1)
    assert (cues.sum(1) == 12 - MISSING).all()
    assert len(np.unique(cues, axis=0)) > 1
    asked = {x.tobytes() for x in values[WRITTEN:].reshape(2 * STORED, -1)}
    assert {x.tobytes() for x in world.stored.reshape(STORED, -1)} < asked
    assert len(asked) == 2 * STORED


def test_every_snippet_starts_and_a_delay_may_cut_one_short(told):
    starts = told[1].starts[:, 0]
    expected = [*([1, 0] * STORED), 1, 0, 1, *([1, 0] * 2 * STORED)]
    np.testing.assert_array_equal(starts, expected)


def test_a_life_may_be_one_episode(problem):
    world = dataclasses.replace(problem, episodes="life").reset(key=KEY)
    np.testing.assert_array_equal(world.starts, np.arange(problem.presentations) == 0)


def test_nothing_is_fed_back_in_recall(told):
    _, seen, feedback, _ = told
    assert feedback.target.mask[:WRITTEN].all()
    np.testing.assert_array_equal(feedback.target.values[:WRITTEN], seen.values[:WRITTEN])
    assert (feedback.reward[:WRITTEN] < 0).all()
    for signal in (feedback.target.mask, feedback.target.values, feedback.error):
        assert not signal[WRITTEN:].any()
    assert not feedback.reward[WRITTEN:].any()


def test_only_the_missing_bits_of_what_was_written_count(told):
    world, seen, _, outcome = told
    stored = {x.tobytes() for x in world.stored.reshape(STORED, -1)}
    assert not outcome.weight[:WRITTEN].any()
    values = seen.values[:, 0]
    for i, t in enumerate(range(WRITTEN, len(values), SNIPPET)):
        known = values[t : t + SNIPPET].tobytes() in stored
        for now in (t, t + 1):
            free = ~seen.mask[now, 0]
            assert outcome.weight[now] == float(known and free.any()), i
            if free.any():
                losses = np.log1p(np.exp(-2.0 * values[now, free]))
                np.testing.assert_allclose(outcome.loss[now], losses.mean(), rtol=1e-5)
                right = (values[now, free] > 0).mean()
                np.testing.assert_allclose(outcome.score[now], 2 * right - 1, atol=1e-6)


def entropy(p):
    return 0.0 if p in (0, 1) else -p * np.log2(p) - (1 - p) * np.log2(1 - p)


@pytest.mark.parametrize(
    ("wrong", "others"), [(0, 4), (1, 3), (2, 2), (4, 4), (3, 1), (0, 0), (1, 1)]
)
def test_what_is_remembered_is_the_difference_of_entropies(wrong, others):
    bits = jnp.ones((2, 1, 8))
    missing = jnp.arange(8)[None, None] >= jnp.zeros((2, 1, 1), int)
    logits = jnp.stack([jnp.where(jnp.arange(8) < n, -1.0, 1.0) for n in (wrong, others)])
    found = Recalled.of(logits[:, None], bits, missing)
    np.testing.assert_allclose(found.stored, 1 - wrong / 8)
    np.testing.assert_allclose(found.unseen, 1 - others / 8)
    expected = entropy(others / 8) - entropy(wrong / 8)
    np.testing.assert_allclose(found.share, expected, atol=1e-6)
    rate = np.log1p(np.exp([1.0, -1.0])) @ [wrong / 8, 1 - wrong / 8]
    np.testing.assert_allclose(found.loss, rate, rtol=1e-5)


def test_worse_than_chance_is_chance_and_silence_is_half_right():
    bits = jnp.ones((2, 1, 4))
    missing = jnp.ones((2, 1, 4), bool)
    assert float(Recalled.of(-bits, bits, missing).share) == 0.0
    silent = Recalled.of(0 * bits, bits, missing)
    assert float(silent.stored) == float(silent.unseen) == 0.5
    np.testing.assert_allclose(silent.loss, np.log(2), rtol=1e-6)


class Parrot(pg.rules.AbstractRule):
    """Knows all that its synapses hold: says the snippet that the cue fits best."""

    gain: jax.Array = dataclasses.field(default_factory=lambda: jnp.ones(()))
    reads = property(lambda self: frozenset())
    tier = property(lambda self: pg.rules.Tier.GLOBAL)

    def init(self, body, *, key):
        return pg.rules.State(body, (), (jnp.zeros((1, *body.layers[:1])),))

    def rest(self, state, batch):
        layers = state.body.layers
        return dataclasses.replace(state, neurons=tuple(jnp.zeros((batch, n)) for n in layers))

    def predict(self, state, inputs, *, key):
        known = state.synapses[0]
        best = (known @ inputs.known[0]).argmax()
        return state, self.gain * known[best][None]

    def receive(self, state, feedback, *, key):
        return state

    def adapt(self, state, *, key):
        return state


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_a_network_that_knows_what_was_stored_recalls_it_all(part):
    problem = build(snippet=1, bits=16, cue=0.5, presentations=STORED + DELAY)
    world = problem.reset(key=KEY)
    state = pg.rules.State(problem.body, (), (world.stored[:, 0],))
    network = Frozen(Parrot(), state)
    found = problem.recall(world, network, part=part, key=KEY)
    assert float(found.stored) == 1.0
    assert 0.2 < float(found.unseen) < 0.8
    outcome = problem.test(world, network, part=part, key=KEY)
    assert float(outcome.score) == float(found.share) > 0.5
    np.testing.assert_allclose(outcome.loss, np.log1p(np.exp(-1.0)), rtol=1e-5)


def test_parts_ask_for_other_snippets_and_bits(told):
    world = told[0]
    for draws in (world.unseen, world.cues):
        assert draws.shape[0] == 3
        assert len({draw.tobytes() for draw in draws}) == 3


def test_hidden_neurons_of_a_population_are_free():
    problem = build(hidden=4)
    world = problem.reset(key=KEY)
    seen = problem.observe(world)
    assert seen.values.shape == (1, BITS + 4)
    assert seen.mask[0, :BITS].all()
    assert not seen.mask[0, BITS:].any()
    _, feedback, _ = problem.respond(world, jnp.ones((1, BITS + 4)))
    assert not feedback.target.mask[0, BITS:].any()
    assert not feedback.error[0, BITS:].any()


def test_digits_come_from_one_part_and_differ():
    problem = pg.envs.remember_digits(stored=4, delay=5, part="validation", hidden=())
    world = problem.reset(key=KEY)
    images = np.where(np.asarray(pg.envs.digits().part("validation").inputs) >= 8, 1.0, -1.0)
    known = {x.tobytes() for x in images.astype(np.float32)}
    shown = [x.tobytes() for x in np.asarray(world.values)]
    assert set(shown) <= known
    assert len(set(shown)) == 4 + 5 + 4
    unseen = {x.tobytes() for x in np.asarray(world.unseen).reshape(-1, 64)}
    assert unseen <= known
    assert not unseen & set(shown)
    assert np.asarray(problem.observe(problem.reset(key=KEY)).mask).all()


def test_strips_of_an_image_are_its_rows():
    whole, strips = (pg.envs.remember_digits(snippet=n, hidden=()) for n in (1, 8))
    assert strips.body.layers == (8, 8)
    np.testing.assert_array_equal(
        np.asarray(whole.patterns).reshape(-1, 64), np.asarray(strips.patterns).reshape(-1, 64)
    )
    np.testing.assert_array_equal(strips.reset(key=KEY).cues[0, 0].all(1), np.arange(8) < 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 0}, "`bits` must be a positive whole number, got 0"),
        ({"snippet": 0}, "`snippet` must be a positive whole number, got 0"),
        ({"stored": 2.5}, "`stored` must be a positive whole number, got 2.5"),
        ({"delay": -1}, "`delay` must be a whole number of at least 0, got -1"),
        ({"delay": 1.0}, "`delay` must be a whole number of at least 0, got 1.0"),
        ({"cue": 0}, "`cue` must lie strictly between 0 .* got 0"),
        ({"cue": 1}, "`cue` must lie strictly between 0 .* got 1"),
        ({"cue": 1.0}, "`cue` must lie strictly between 0 .* got 1.0"),
        ({"cue": -0.1}, "`cue` must lie strictly between 0"),
        ({"cue": float("nan")}, "`cue` must lie strictly between 0"),
        ({"cue": 0.01}, "`cue` must leave some of the 12 bits .* got 0.01, which is 0 bits"),
        ({"cue": 0.99}, "`cue` must leave some of the 12 bits .* which is 12 bits"),
        ({"snippet": 7, "presentations": 20}, "`snippet` .* 3 x 7 .* got 20; take a longer"),
        ({"delay": 40, "presentations": 20}, r"\+ `delay` = .* \+ 40 = 46, .* got 20"),
        ({"presentations": 0}, "`presentations` must be a positive whole number, got 0"),
        ({"place": "end"}, "unknown `place` 'end'; known are beginning, random"),
        ({"hidden": -1}, "`hidden` must be at least 0, got -1"),
        ({"hidden": (0,)}, "`hidden` must be a positive whole number, got 0"),
        ({"batch": 2}, "does not take these options: .*batch"),
    ],
)
def test_what_does_not_fit_is_refused(options, message, unchecked):
    sizes = {"bits": BITS, "snippet": SNIPPET, "stored": STORED, "delay": DELAY}
    with pytest.raises(ValueError, match=message):
        pg.envs.problem("Remember-v0", **sizes | options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"snippet": 3}, "`snippet` must be 1, 2, 4 or 8 strips of an image, got 3"),
        ({"part": "tests"}, "unknown `part` 'tests'; did you mean 'test'"),
        ({"part": "test"}, "`part` must be 'train' or 'validation', got 'test'"),
        (
            {"stored": 90, "delay": 40, "part": "validation"},
            "`patterns` must hold at least 310 snippets, .* got 300",
        ),
        ({"stored": 400}, "`patterns` must hold at least 1208 snippets, .* got 997"),
    ],
)
def test_digits_that_there_are_not_are_refused(options, message, unchecked):
    with pytest.raises(ValueError, match=message):
        pg.envs.problem("RememberDigits-v0", **options)


@pytest.mark.parametrize(
    "body",
    [Body((5, 6)), Body((6, 5)), Body((5,)), Body((7, 7)), Body((7,)), Body((6,), None, 1)],
)
def test_a_body_without_a_neuron_for_each_bit_is_refused(body):
    with pytest.raises(ValueError, match="`body` must have 6 inputs and outputs"):
        Remember(
            body=body,
            bits=BITS,
            snippet=1,
            stored=2,
            delay=0,
            cue=0.5,
            presentations=6,
        )


def test_an_unknown_way_to_start_is_refused(problem, unchecked):
    with pytest.raises(ValueError, match="unknown `episodes` 'lives'; did you mean 'life'"):
        dataclasses.replace(problem, episodes="lives")


def test_patterns_of_another_shape_are_refused(problem):
    with pytest.raises(ValueError, match=r"`patterns` must have shape \(rows, 2, 6\), got"):
        dataclasses.replace(problem, patterns=jnp.ones((50, 1, 6), bool))


def test_an_unknown_part_is_refused(problem, unchecked):
    network = Frozen(SGD(), SGD().init(problem.body, key=KEY))
    with pytest.raises(ValueError, match="unknown `part` 'tests'; did you mean 'test'"):
        problem.test(problem.reset(key=KEY), network, part="tests", key=KEY)
