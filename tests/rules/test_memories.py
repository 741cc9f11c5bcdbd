"""Associative memories: what is stored comes back, up to what each of them can hold."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import Body, Clamped, Hopfield, PseudoInverse, State, Storkey

KEY, N = jax.random.key(0), 100
MEMORIES = {"hopfield": Hopfield, "storkey": Storkey, "pseudo-inverse": PseudoInverse}
every_memory = pytest.mark.parametrize("name", MEMORIES)


@functools.cache
def patterns(number, seed=0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.choice([-1.0, 1.0], (number, N)).astype(np.float32)


def shown(rows, known=None) -> Clamped:
    values = jnp.asarray(rows)
    mask = jnp.ones(values.shape, bool) if known is None else jnp.asarray(known)
    return Clamped(values, mask, jnp.ones(len(rows), bool))


@functools.cache
def stored(name, number, seed=0) -> np.ndarray:
    """The weights after so many patterns, one presentation each."""
    rule = MEMORIES[name]()

    @jax.jit
    def life(rows):
        def one(state, row):
            state, _ = rule.predict(state, shown(row[None]), key=KEY)
            return rule.adapt(state, key=KEY), None

        newborn = rule.rest(rule.init(Body((N,)), key=KEY), 1)
        return jax.lax.scan(one, newborn, rows)[0].synapses[0]["weight"]

    return np.asarray(life(jnp.asarray(patterns(number, seed))))


def recalled(rule, weight, values, known) -> np.ndarray:
    """The signs of outputs from the part of the bits that is known."""
    state = State(Body((N,)), (), ({"weight": jnp.asarray(weight)},))
    state = rule.rest(state, len(values))
    return np.sign(np.asarray(rule.predict(state, shown(values, known), key=KEY)[1]))


def test_hopfield_sums_outer_products():
    x = patterns(7)
    expected = (x.T @ x) / N
    np.fill_diagonal(expected, 0.0)
    np.testing.assert_allclose(stored("hopfield", 7), expected, atol=1e-6)


def test_the_pseudo_inverse_is_the_projection():
    x = patterns(20)
    np.testing.assert_allclose(stored("pseudo-inverse", 20), np.linalg.pinv(x) @ x, atol=1e-5)


def test_storkey_adds_what_its_formula_says():
    """As in the paper, sum by sum."""
    n, w = 5, np.zeros((5, 5))
    rows = np.random.default_rng(0).choice([-1.0, 1.0], (4, n))
    rule = Storkey()
    state = rule.rest(rule.init(Body((n,)), key=KEY), 1)
    for x in rows:
        change = np.zeros((n, n))
        for i, j in itertools.permutations(range(n), 2):
            h_ij, h_ji = (
                sum(w[a, k] * x[k] for k in range(n) if k not in (i, j)) for a in (i, j)
            )
            change[i, j] = (x[i] * x[j] - x[i] * h_ji - h_ij * x[j]) / n
        w = w + change
        state, _ = rule.predict(state, shown(x[None].astype(np.float32)), key=KEY)
        state = rule.adapt(state, key=KEY)
    np.testing.assert_allclose(state.synapses[0]["weight"], w, atol=1e-6)


@every_memory
@pytest.mark.parametrize("order", ["synchronous", "asynchronous"])
def test_few_patterns_come_back_from_half_of_their_bits(name, order):
    """And the bits that are clamped stay."""
    x = patterns(5)
    known = np.broadcast_to(np.arange(N) < N // 2, x.shape)
    rule = pg.rules.make(name, order=order, steps=3)
    np.testing.assert_array_equal(recalled(rule, stored(name, 5), x, known), x)


def kept(name, number) -> float:
    """The share of bits that one round leaves as they were stored."""
    x = patterns(number)
    weight = stored(name, number).copy()
    np.fill_diagonal(weight, 0.0)
    return float((np.sign(x @ weight) == x).mean())


def test_hopfield_errs_as_the_theory_of_its_crosstalk_says():
    """Each of n - 1 terms of p - 1 patterns is a coin: the field is 1 with noise p / n."""
    from scipy.special import ndtr

    for number in (14, 30, 60):
        error = 1 - kept("hopfield", number)
        expected = ndtr(-np.sqrt(N / (number - 1)))
        assert abs(error - expected) < 4 * np.sqrt(expected / (number * N)) + 0.003


def test_storkey_keeps_more_and_the_projection_most():
    """Half as many as neurons, of which the projection forgets none."""
    shares = [kept(name, N // 2) for name in MEMORIES]
    assert shares[0] < 0.95 < shares[1] <= shares[2] == 1.0
    x = patterns(N // 2)
    known = np.broadcast_to(np.random.default_rng(1).random(N) < 0.9, x.shape)
    back = recalled(PseudoInverse(), stored("pseudo-inverse", N // 2), x, known)
    np.testing.assert_array_equal(back, x)


@every_memory
def test_what_is_shown_in_part_changes_nothing_between_free_neurons(name):
    rule = MEMORIES[name]()
    state = State(Body((N,)), (), ({"weight": jnp.asarray(stored(name, 7))},))
    known = np.arange(N)[None] < N // 2
    state = rule.predict(rule.rest(state, 1), shown(patterns(1, 5), known), key=KEY)[0]
    assert np.abs(state.neurons[0]["activity"][0, N // 2 :]).min() == 1.0
    moved = np.asarray(rule.adapt(state, key=KEY).synapses[0]["weight"]) != stored(name, 7)
    assert not moved[N // 2 :].any()
    assert not moved[:, N // 2 :].any()


def test_the_projection_stores_nothing_twice():
    rule, x = PseudoInverse(), patterns(1)
    state = State(Body((N,)), (), ({"weight": jnp.asarray(stored("pseudo-inverse", 7))},))
    state = rule.predict(rule.rest(state, 1), shown(x), key=KEY)[0]
    weight = rule.adapt(state, key=KEY).synapses[0]["weight"]
    np.testing.assert_array_equal(weight, stored("pseudo-inverse", 7))


@every_memory
def test_activity_goes_on_in_rows_that_do_not_start(name):
    rule, x = MEMORIES[name](), patterns(2)
    state = State(Body((N,)), (), ({"weight": jnp.zeros((N, N))},))
    state = rule.predict(rule.rest(state, 2), shown(x), key=KEY)[0]
    free = Clamped(jnp.zeros((2, N)), jnp.zeros((2, N), bool), jnp.array([True, False]))
    activity = rule.predict(state, free, key=KEY)[0].neurons[0]["activity"]
    assert not activity[0].any()
    np.testing.assert_array_equal(activity[1], x[1])


@every_memory
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gain": 0.0}, "`gain` must be positive, got 0.0"),
        ({"steps": 0}, "`steps` must be a positive whole number, got 0"),
        ({"slope": 0.0}, "`slope` must be positive, got 0.0"),
        ({"slope": (1.0, 2.0)}, r"`slope` must be one number, got shape \(2,\)"),
        ({"own": float("nan")}, "`own` must be finite, got nan"),
        ({"order": "synchron"}, "unknown `order` 'synchron'; did you mean 'synchronous'"),
    ],
)
def test_what_does_not_fit_is_refused(name, options, message, unchecked):
    with pytest.raises(ValueError, match=message):
        pg.rules.make(name, **options)


@every_memory
def test_layers_are_refused_with_the_remedy(name):
    with pytest.raises(
        ValueError, match=r"one recurrent population, .* got layers \(4, 3\); .*"
    ):
        pg.rules.make(name).init(Body((4, 3)), key=KEY)


def test_a_centre_of_another_size_is_refused():
    rule = pg.rules.make("hopfield", centre=(0.1, 0.2))
    with pytest.raises(
        ValueError, match=r"`centre` must be one number, .* 5 .*, got shape \(2,"
    ):
        rule.init(Body((5,)), key=KEY)


@pytest.mark.parametrize("ridge", [0.0, -1.0])
def test_a_ridge_that_is_not_positive_is_refused(ridge):
    with pytest.raises(ValueError, match=f"`ridge` must be positive, got {ridge}"):
        PseudoInverse(ridge=ridge)


def lived(rule, rows):
    """The weights of a small population after these rows."""
    state = rule.rest(rule.init(Body(rows.shape[1:]), key=KEY), 1)
    for row in rows:
        state = rule.predict(state, shown(row[None]), key=KEY)[0]
        state = rule.adapt(state, key=KEY)
    return np.asarray(state.synapses[0]["weight"])


def test_a_ridge_is_that_of_ridge_regression():
    x, ridge = patterns(6)[:, :9], 3.0
    expected = x.T @ np.linalg.inv(x @ x.T + ridge * np.eye(6)) @ x
    np.testing.assert_allclose(lived(PseudoInverse(ridge=ridge), x), expected, atol=1e-5)


@every_memory
def test_what_is_usual_is_taken_off_before_anything_is_learned(name):
    """As the plain rule learns of patterns without it."""
    x, centre = patterns(3)[:, :7], np.linspace(-0.5, 0.5, 7).astype(np.float32)
    found = lived(pg.rules.make(name, centre=centre), x)
    np.testing.assert_allclose(found, lived(pg.rules.make(name), x - centre), atol=1e-5)


def test_graded_neurons_settle_where_the_equation_says():
    """Round by round; a steep slope is a sign."""
    slope, own, centre, steps = 2.0, 0.5, 0.1, 3
    options = {"steps": steps, "own": own, "centre": centre}
    weight = np.random.default_rng(1).normal(size=(N, N)).astype(np.float32) / 10
    v = weight - (1 - own) * np.diag(np.diag(weight))
    x = patterns(2)
    known = np.broadcast_to(np.arange(N) < N // 2, x.shape)
    for answer, given in ((lambda h: np.tanh(slope * h), slope), (np.sign, 1e9)):
        s = np.where(known, x, centre)
        for _ in range(steps):
            s = np.where(known, x, answer((s - centre) @ v))
        rule = pg.rules.make("hopfield", slope=given, **options)
        state = rule.rest(State(Body((N,)), (), ({"weight": jnp.asarray(weight)},)), 2)
        found = rule.predict(state, shown(x, known), key=KEY)[0].neurons[0]
        np.testing.assert_allclose(found["activity"], s, atol=1e-4)
        np.testing.assert_allclose(found["field"], (s - centre) @ v, atol=1e-3)
