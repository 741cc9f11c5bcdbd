"""Questions about digits, and the comparison that teaches."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.envs import Frozen
from plasticgym.envs._cross_modal_answer import ANSWERS, QUESTIONS, answer_of
from plasticgym.envs._info_nce import compared, info_nce
from plasticgym.rules import AbstractRule, Body, Clamped, State, Tier

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def problem():
    return pg.envs.cross_modal_answer(hidden=(6,), batch=8, presentations=2)


class Scholar(AbstractRule):
    """Knows every digit by heart and the answers as they are, or is told other ones."""

    images: jax.Array
    classes: jax.Array
    answers: jax.Array

    reads, tier = frozenset(), Tier.GLOBAL

    def init(self, body, *, key):
        return State(body, (), ())

    def rest(self, state, batch):
        return state

    def predict(self, state, inputs: Clamped, *, key):
        image, question, answer = jnp.split(inputs.values, [64, 68], axis=1)
        found = jnp.square(image[:, None] - self.images[None]).sum(-1).argmin(1)
        known = self.answers[answer_of(self.classes[found], question.argmax(1))]
        return state, jnp.concatenate([known, answer], axis=1)

    def receive(self, state, feedback, *, key):
        return state

    def adapt(self, state, *, key):
        return state


def scholar(problem, answers) -> Frozen:
    images = (problem.validation.inputs.astype(float) - problem.mean[None]) / (
        problem.deviation[None]
    )
    classes = problem.validation.classes.astype(int)
    return Frozen(Scholar(images, classes, answers), State(problem.body, (), ()))


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("which digit", list("0123456789")),
        ("odd or even", ["even", "odd"] * 5),
        ("greater than 4", ["no"] * 5 + ["yes"] * 5),
        ("the next digit", list("1234567890")),
    ],
)
def test_answers_are_right(question, expected):
    digits = jnp.arange(10)
    found = answer_of(digits, jnp.full(10, QUESTIONS.index(question)))
    assert [ANSWERS[i] for i in found] == expected


def test_whoever_knows_scores_one_and_with_other_answers_chance(problem):
    """Every answer that is permuted is wrong, and none is right by luck of the metric."""
    world = problem.reset(key=KEY)
    told = problem.test(world, scholar(problem, problem.answers), part="validation", key=KEY)
    assert float(told.score) == 1.0
    assert float(told.loss) < 0.1
    moved = scholar(problem, jnp.roll(problem.answers, 1, axis=0))
    told = problem.test(world, moved, part="validation", key=KEY)
    assert float(told.score) <= float(problem.chance.score)
    assert float(told.loss) > float(problem.chance.loss)


def test_who_says_the_same_to_all_has_the_loss_of_chance(problem):
    blank = eqx.tree_at(lambda p: p.answers, problem, jnp.zeros_like(problem.answers))
    told = blank.test(
        problem.reset(key=KEY), scholar(blank, blank.answers), part="train", key=KEY
    )
    np.testing.assert_allclose(told.loss, problem.chance.loss, rtol=1e-5)


def test_chance_is_the_most_frequent_answer(problem):
    questions = jnp.arange(4)
    shape = (len(problem.train.classes), 4)
    digits = jnp.broadcast_to(problem.train.classes.astype(int)[:, None], shape)
    answers = answer_of(digits, jnp.broadcast_to(questions[None], shape))
    shares = np.bincount(np.asarray(answers).ravel()) / answers.size
    np.testing.assert_allclose(problem.chance.score, shares.max(), rtol=1e-6)
    np.testing.assert_allclose(problem.chance.loss, -(shares @ np.log(shares)), rtol=1e-6)


def test_info_nce_is_its_formula():
    rng = np.random.default_rng(0)
    u, v, labels = rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), np.array([0, 1, 0, 2, 1])
    same = labels[:, None] == labels[None]
    p = np.exp(
        (u / np.linalg.norm(u, axis=1)[:, None])
        @ (v / np.linalg.norm(v, axis=1)[:, None]).T
        / 0.07
    )
    expected = sum(-np.log((q * same).sum(1) / q.sum(1)) / 2 for q in (p, p.T))
    found = info_nce(jnp.asarray(u, float), jnp.asarray(v, float), jnp.asarray(same))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_error_is_minus_the_gradient_of_all_losses():
    outputs = jax.random.normal(KEY, (6, 4))
    same = jnp.arange(6)[:, None] % 4 == jnp.arange(6)[None] % 4
    feedback, outcome = compared(outputs, same)
    gradient = jax.grad(lambda o: 6 * compared(o, same)[1].loss)(outputs)
    np.testing.assert_allclose(feedback.error, -gradient, atol=1e-5)
    np.testing.assert_allclose(-feedback.reward.mean(), outcome.loss, rtol=1e-6)
    np.testing.assert_allclose(jnp.square(feedback.target.values).sum(1), 2.0, rtol=1e-5)


def test_a_row_shows_image_question_and_its_answer(problem):
    world = problem.reset(key=KEY)
    values, rows = problem.observe(world).values, np.asarray(world.order[0])
    image, question, answer = np.split(np.asarray(values), [64, 68], axis=1)
    raw = np.asarray(problem.train.inputs, float)[rows]
    np.testing.assert_allclose(
        image, (raw - problem.mean[None]) / problem.deviation[None], atol=1e-5
    )
    np.testing.assert_array_equal(question.argmax(1), world.questions[0])
    right = answer_of(problem.train.classes.astype(int)[rows], world.questions[0])
    np.testing.assert_array_equal(answer, problem.answers[right])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 1}, "`batch` must be at least 2 rows to compare, got 1"),
        ({"batch": 0}, "`batch` must be a positive whole number, got 0"),
        ({"embedding": 0}, "`embedding` must be a positive whole number, got 0"),
        ({"hidden": 3}, "`hidden` must be a tuple of sizes, got 3"),
    ],
)
def test_what_does_not_fit_is_refused(options, message, unchecked):
    with pytest.raises(ValueError, match=message):
        pg.envs.problem("CrossModalAnswer-v0", **options)


def test_clients_can_have_images_of_their_own_but_no_wrong_ones(problem):
    sharded = pg.envs.Sharded(problem, 2, skew=pg.envs.Dirichlet(alpha=0.1, size=50))
    shards = sharded.reset(key=KEY).examples
    assert shards.inputs.shape == (2, 50, 64)
    with pytest.raises(ValueError, match=r"be a `Classification` to be stressed .* got Cr"):
        pg.envs.Sharded(problem, 2, stressor=pg.envs.label_shift, bad=1)


@pytest.mark.parametrize("layers", [(84, 8, 5), (83, 8, 4), (84,)])
def test_a_body_whose_ends_do_not_fit_is_refused(layers):
    with pytest.raises(ValueError, match="`body` must have 84 inputs and an even number"):
        pg.envs.CrossModalAnswer(pg.envs.digits(), body=Body(layers), batch=4, presentations=2)
