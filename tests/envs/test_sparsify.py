"""Lives that go on without feedback, and networks that lose their smallest weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.envs import Frozen, Sparsify
from plasticgym.rules import SGD, Body, sparse

KEY = jax.random.key(0)
DENSE = 4


@pytest.fixture(scope="module")
def problem(xor):
    return Sparsify(xor, 0.5, dense=DENSE)


@pytest.fixture(scope="module")
def network(xor):
    return Frozen(SGD(), SGD().init(xor.body, key=KEY))


def weights(state):
    return [np.asarray(block["weight"]) for block in state.synapses]


@pytest.mark.parametrize("sparsity", [0.05, 0.5, 0.8, 0.99])
def test_the_smallest_weights_of_all_blocks_together_are_lost(sparsity):
    state = SGD().init(Body((5, 4, 3)), key=KEY)
    state = jax.tree.map(lambda w: w + 0.01, state)  # biases, which are the smallest
    before, after = weights(state), weights(sparse(state, jnp.asarray(sparsity)))
    inner = np.concatenate([w[:-1].ravel() for w in before])
    expected = inner.copy()
    expected[np.argsort(np.abs(inner))[: round(sparsity * inner.size)]] = 0
    np.testing.assert_array_equal(np.concatenate([w[:-1].ravel() for w in after]), expected)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a[-1], b[-1])


def test_weights_of_dead_neurons_do_not_count():
    alive = (jnp.ones(3), jnp.array([1.0, 0.0, 1.0, 0.0]), jnp.ones(2))
    small = SGD().init(Body((3, 2, 2)), key=KEY)
    large = SGD().init(Body((3, 4, 2), alive), key=KEY)
    first, second = (block["weight"] for block in small.synapses)
    blocks = [block["weight"] for block in large.synapses]
    blocks = [
        9.0 * blocks[0].at[:, ::2].set(first / 9.0),
        blocks[1].at[jnp.array([0, 2, 4])].set(second),
    ]
    large = eqx.tree_at(lambda s: [b["weight"] for b in s.synapses], large, blocks)
    ours, theirs = (weights(sparse(s, jnp.asarray(0.6))) for s in (large, small))
    np.testing.assert_allclose(ours[0][:, ::2], theirs[0], rtol=1e-6)
    np.testing.assert_allclose(ours[1][[0, 2, 4]], theirs[1])


def test_a_rule_without_weights_is_refused():
    state = pg.rules.make("vsml").init(Body((3, 2)), key=KEY)
    with pytest.raises(
        ValueError, match=r'must hold a "weight" at each synapse.* cell, hidden'
    ):
        sparse(state, jnp.asarray(0.5))


@pytest.mark.parametrize("part", ["train", "validation", "test"])
def test_a_test_is_that_of_the_sparse_network(problem, network, xor, part):
    world = problem.reset(key=KEY)
    found = problem.test(world, network, part=part, key=KEY)
    thin = Frozen(SGD(), sparse(network.state, problem.sparsity))
    expected = xor.test(world.world, thin, part=part, key=KEY)
    dense = xor.test(world.world, network, part=part, key=KEY)
    assert float(found.loss) == float(expected.loss) != float(dense.loss)


def test_feedback_ends_at_the_boundary_and_inputs_go_on(problem, xor):
    world = problem.reset(key=KEY)
    plain, outputs = world.world, jax.random.normal(KEY, (xor.batch, 2))
    for time in range(xor.presentations):
        assert np.array_equal(problem.observe(world).values, xor.observe(plain).values)
        world, told, outcome = problem.respond(world, outputs)
        plain, expected, scored = xor.respond(plain, outputs)
        taught = time < DENSE
        assert float(outcome.weight) == taught
        assert float(outcome.loss) == float(scored.loss)
        assert told.boundary.all() == told.boundary.any() == (time == DENSE - 1)
        assert told.target.mask.all() == told.target.mask.any() == taught
        for name in ("error", "reward"):
            np.testing.assert_array_equal(
                getattr(told, name), float(taught) * getattr(expected, name)
            )


def test_a_plain_rule_is_pruned_where_its_dense_life_ended(problem, loop, xor):
    rule = SGD(rate=0.3)
    record = eqx.filter_jit(pg.envs.live)(rule, problem, key=KEY)
    ended = loop(rule, xor, key=KEY)[0][DENSE].state
    for a, b in zip(weights(record.state), weights(ended), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    assert np.array_equal(record.weights, np.arange(xor.presentations) < DENSE)


def test_sparsities_share_one_compilation(problem, network):
    @jax.jit
    def losses(sparsities):
        def loss(sparsity):
            mine = eqx.tree_at(lambda p: p.sparsity, problem, sparsity)
            world = mine.reset(key=KEY)
            return mine.test(world, network, part="validation", key=KEY).loss

        return jax.vmap(loss)(sparsities)

    assert len(np.unique(losses(jnp.array([0.3, 0.6, 0.9])))) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sparsity": 0.0}, r"`sparsity` must lie strictly in \(0, 1\), got 0.0"),
        ({"sparsity": 1.0}, r"`sparsity` must lie strictly in \(0, 1\), got 1.0"),
        ({"sparsity": 80.0}, r"`sparsity` must lie strictly in \(0, 1\), got 80.0"),
        ({"sparsity": float("nan")}, r"`sparsity` must lie strictly in \(0, 1\), got nan"),
        ({"dense": 0}, "`dense` must be a positive whole number, got 0"),
        ({"dense": 41}, "`dense` must be at most the presentations of a life, 40, got 41"),
        ({"dense": 2.5}, "`dense` must be a positive whole number, got 2.5"),
        ({"presentations": 0}, "`presentations` must be a positive whole number, got 0"),
    ],
)
def test_what_does_not_fit_is_refused(options, message, unchecked):
    with pytest.raises(ValueError, match=message):
        pg.envs.problem("SparsifyDigits-v0", **options)


def test_a_problem_of_several_tasks_is_refused():
    with pytest.raises(ValueError, match=r"`problem` must have one task, got Continual.* \(20"):
        Sparsify(pg.envs.split_digits(), 0.5, dense=10)


def test_a_rule_keeps_no_more_than_there_is_until_the_boundary(problem):
    rule = pg.rules.Ensemble(pg.rules.InvariantPath("sgd", anchors=33))
    with pytest.raises(ValueError, match="`anchors` must be at most 32, the different rows"):
        pg.envs.born(rule, problem, key=KEY)
    inner = pg.envs.digits(hidden=(), batch=900, presentations=3)
    assert Sparsify(inner, 0.5, dense=2).past == (inner.train.classes.shape[0],)


def test_unknown_images_get_the_near_names(unchecked):
    with pytest.raises(ValueError, match="unknown `images` 'digit'; did you mean 'digits'"):
        pg.envs.sparsify("digit")
