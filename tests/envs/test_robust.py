"""Attacks on inputs, and problems that test under them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.envs import FGSM, PGD, Frozen, Robust
from plasticgym.rules import SGD

KEY, RULE = jax.random.key(0), SGD(activation="linear")
EPSILON = 0.05


@pytest.fixture(scope="module")
def problem() -> Robust:
    inner = pg.envs.digits(hidden=(), side=2, batch=8, presentations=2)
    return Robust(inner, FGSM(), EPSILON)


@pytest.fixture(scope="module")
def network(problem) -> Frozen:
    """A linear one."""
    return Frozen(RULE, RULE.init(problem.body, key=KEY))


@eqx.filter_jit
def scored(problem, network, part):
    return problem.test(problem.reset(key=KEY), network, part=part, key=KEY)


def told(problem, part):
    """Raw inputs and one-hot classes."""
    examples = getattr(problem.problem, "held_out" if part == "test" else part)
    return np.asarray(examples.inputs, np.float64), np.eye(10)[np.asarray(examples.classes)]


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_on_a_linear_network_it_is_a_step_along_the_sign_of_the_weights(problem, network, part):
    """That of the largest other output less that of the class, over the deviations."""
    raw, target = told(problem, part)
    mean, deviation = (np.asarray(a) for a in (problem.problem.mean, problem.problem.deviation))
    weights = np.asarray(network.state.synapses[0]["weight"])[:-1]

    def softmax(raw):
        odds = np.exp((raw - mean) / deviation @ weights)
        return odds / odds.sum(1, keepdims=True)

    low, high = (getattr(told(problem, "train")[0], end)() for end in ("min", "max"))
    others = np.where(target > 0, 0.0, softmax(raw)).argmax(1)
    gradient = (np.eye(10)[others] - target) @ weights.T / deviation
    attacked = np.clip(raw + EPSILON * (high - low) * np.sign(gradient), low, high)
    expected = -np.log((softmax(attacked) * target).sum(1)).mean()
    assert expected > -np.log((softmax(raw) * target).sum(1)).mean() + 0.01
    np.testing.assert_allclose(scored(problem, network, part).loss, expected, rtol=1e-4)


def test_lives_are_those_of_the_problem_within(problem):
    inner = problem.problem
    ours, theirs = problem.reset(key=KEY), inner.reset(key=KEY)
    assert np.array_equal(problem.observe(ours).values, inner.observe(theirs).values)
    outputs = jax.random.normal(KEY, (8, 10))
    for a, b in zip(
        jax.tree.leaves(problem.respond(ours, outputs)),
        jax.tree.leaves(inner.respond(theirs, outputs)),
        strict=True,
    ):
        assert np.array_equal(a, b)


BUMPS = jax.random.normal(KEY, (20, 3))


def loss(x):
    """Curved so much that the gradient turns on the way."""
    return -jnp.cos(4.0 * (x - BUMPS)).sum(1).mean()


@pytest.fixture(scope="module")
def moved():
    """Where attacks take 0, which may move by -0.3 and by 0.7."""
    x = jnp.zeros((20, 3))
    attacks = {"fast": FGSM(), "few": PGD(2), "many": PGD(20)}
    found = {n: a(loss, x, low=x - 0.3, high=x + 0.7, key=KEY) for n, a in attacks.items()}
    return {"clean": x} | found


@pytest.mark.parametrize("attack", ["fast", "few", "many"])
def test_no_attack_goes_further_than_it_may(moved, attack):
    x = np.asarray(moved[attack])
    assert x.min() == pytest.approx(-0.3)
    assert x.max() == pytest.approx(0.7)


def test_many_steps_are_stronger_than_one(moved):
    clean, fast, few, many = (float(loss(moved[n])) for n in ("clean", "fast", "few", "many"))
    assert clean < fast < many
    assert few < many
    anywhere = jnp.linspace(-0.3, 0.7, 101)[:, None, None]
    best = -jnp.cos(4.0 * (anywhere - BUMPS[None])).min(0).sum(1).mean()
    assert many <= best + 1e-3


def test_a_network_that_learned_does_worse_the_stronger_the_attack():
    inner = pg.envs.digits(hidden=(8,), batch=32, presentations=60, side=4)
    life = eqx.filter_jit(pg.envs.live)(pg.rules.SGD(rate=0.3), inner, key=KEY)
    network = Frozen(pg.rules.SGD(), life.state)
    clean = scored(inner, network, "test")
    fast = scored(Robust(inner, FGSM(), 0.1), network, "test")
    many = scored(Robust(inner, PGD(10), 0.1), network, "test")
    assert clean.loss < fast.loss < many.loss
    assert clean.score > fast.score > many.score


def test_outputs_of_any_size_are_attacked_alike():
    """The loss saturates where they are large; answers and attacks stay the same."""
    inner = pg.envs.digits(hidden=(8,), batch=32, presentations=60, side=4)
    life = eqx.filter_jit(pg.envs.live)(pg.rules.SGD(rate=0.3), inner, key=KEY)
    top = lambda s: s.synapses[-1]["weight"]  # noqa: E731
    large = eqx.tree_at(top, life.state, 1000 * top(life.state))
    scores = [
        float(scored(Robust(inner, FGSM(), 0.1), Frozen(SGD(), state), "test").score)
        for state in (life.state, large)
    ]
    assert scores[0] == pytest.approx(scores[1], abs=0.005)


def test_epsilons_share_one_compilation(problem, network):
    @jax.jit
    def losses(epsilons):
        def loss(epsilon):
            return scored(
                eqx.tree_at(lambda p: p.epsilon, problem, epsilon), network, "test"
            ).loss

        return jax.vmap(loss)(epsilons)

    found = losses(jnp.array([0.01, 0.05, 0.2]))
    assert (np.diff(found) > 0).all()
    np.testing.assert_allclose(found[1], scored(problem, network, "test").loss, rtol=1e-5)


def test_pixels_share_one_deviation():
    problem = pg.envs.robust("digits").problem
    assert len(np.unique(problem.deviation)) == 1
    raw = np.asarray(problem.train.inputs, np.float64)
    shown = problem.shown(problem.reset(key=KEY), problem.train.inputs)
    np.testing.assert_allclose(np.square(shown).mean(), 1.0, rtol=1e-4)
    np.testing.assert_allclose(problem.mean, raw.mean(0), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attack": "pdg"}, "unknown `attack` 'pdg'; did you mean 'pgd'"),
        ({"attack": None}, "unknown `attack` None; known are fgsm, pgd"),
        ({"epsilon": 0.0}, r"`epsilon` must lie in \(0, 1\], got 0.0"),
        ({"epsilon": -0.1}, r"`epsilon` must lie in \(0, 1\], got -0.1"),
        ({"epsilon": 16.0}, r"`epsilon` must lie in \(0, 1\], got 16.0"),
        ({"epsilon": float("nan")}, r"`epsilon` must lie in \(0, 1\], got nan"),
        ({"batch": 0}, "`batch` must be a positive whole number, got 0"),
    ],
)
def test_what_does_not_fit_is_refused(options, message, unchecked):
    with pytest.raises(ValueError, match=message):
        pg.envs.problem("RobustDigits-v0", **options)


def test_parts_of_the_wrong_kind_are_refused(problem, unchecked):
    with pytest.raises(ValueError, match="`problem` must be a Classification, got Repeats"):
        Robust(pg.envs.repeats(), FGSM(), 0.1)
    with pytest.raises(
        ValueError, match=r"`attack` must be an attack such as PGD\(\), got 'pgd'"
    ):
        Robust(problem.problem, "pgd", 0.1)
    with pytest.raises(ValueError, match="unknown `images` 'digit'; did you mean 'digits'"):
        pg.envs.robust("digit")
    with pytest.raises(ValueError, match="`steps` must be a positive whole number, got 0"):
        PGD(steps=0)
