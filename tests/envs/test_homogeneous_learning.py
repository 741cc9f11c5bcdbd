"""A network that travels: the environment, its rewards and its ends."""

from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import plasticgym as pg
from plasticgym.envs._role import transition

ID, KEY = "plasticgym/HomogeneousLearning-v0", jax.random.key(0)
SMALL = {"hidden": (4,), "batch": 10, "own": 8, "other": 2, "epochs": 1, "hops": 3}


@pytest.fixture(scope="module")
def role():
    return pg.envs.homogeneous_learning(**SMALL)


@pytest.fixture(scope="module")
def hop(role):
    return jax.jit(lambda episode, node: transition(role, episode, node))


@pytest.fixture(scope="module")
def born(role):
    return jax.jit(lambda: role.begin(key=KEY))()


@pytest.fixture(scope="module")
def env():
    return gymnasium.make(ID, **SMALL)


def make_vec(**options) -> Any:
    return gymnasium.make_vec(ID, num_envs=3, **SMALL | options)


def test_it_keeps_the_laws_of_gymnasium(env):
    check_env(env.unwrapped, skip_render_check=True)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["SameStep", "NextStep", "Disabled"])
def test_a_vector_keeps_its_laws(mode):
    pg.envs.check_vector_env(make_vec(autoreset_mode=mode, goal=0.12), steps=8)


def test_nodes_have_images_of_their_class_and_others(role, born):
    world = born.life.world
    classes = np.asarray(role.problem.images.train.classes)[np.asarray(world.shards)]
    for node, held in enumerate(classes):
        assert (held == node).sum() == 8
        assert (held != node).sum() == 2
        assert len(set(np.asarray(world.shards)[node])) == 10


def test_a_stay_shows_every_image_of_the_node_as_often_as_there_are_epochs():
    problem = pg.envs.homogeneous_learning(**SMALL | {"epochs": 2, "batch": 5}).problem
    world = problem.reset(key=KEY)
    assert problem.stay == 4
    order = np.asarray(world.order)
    assert order.shape == (4, 5)
    assert sorted(order.ravel()) == sorted([*range(10)] * 2)
    later = eqx.tree_at(lambda w: w.time, world, jnp.asarray(4))
    assert (problem.moved(later, jnp.asarray(3)).order != order).any()


def test_a_hop_pays_its_formula_and_moves_the_network(role, born, hop):
    came = int(born.life.world.node)
    node = (came + 3) % 10
    after, reward, over = hop(born, jnp.asarray(node))
    assert int(after.life.world.node) == node
    accuracy = float(after.progress.score)
    expected = 32 ** (accuracy - 0.8) - float(role.distances[came, node]) - 1
    np.testing.assert_allclose(reward, expected, rtol=1e-5)
    tested = role.problem.test(
        after.life.world,
        pg.envs.Frozen(role.local, after.life.state),
        part="validation",
        key=KEY,
    )
    np.testing.assert_allclose(accuracy, tested.score, rtol=1e-5)
    assert not over
    seen = np.asarray(role.see(after))
    assert seen[:10].argmax() == node
    np.testing.assert_allclose(seen[10:20].mean(), accuracy, rtol=1e-5)
    np.testing.assert_allclose(seen[30:40], 10 * role.distances[node], rtol=1e-5)
    np.testing.assert_allclose(seen[-1], 2 / 3, rtol=1e-5)


def test_it_tells_where_the_network_has_been_and_how_lately(role, born, hop):
    def lately(episode):
        return np.asarray(role.see(episode))[20:30]

    np.testing.assert_array_equal(lately(born), 0.0)  # it has not learned where it was born
    episode = born
    for node, traces in ((4, {4: 1.0}), (7, {4: 0.9, 7: 1.0}), (4, {4: 1.0, 7: 0.9})):
        episode, *_ = hop(episode, jnp.asarray(node))
        expected = np.array([traces.get(n, 0.0) for n in range(10)])
        np.testing.assert_allclose(lately(episode), expected, rtol=1e-6)


def test_each_hop_begins_with_a_fresh_adam(role, born, hop):
    after, *_ = hop(born, jnp.asarray(1))
    again, *_ = hop(after, jnp.asarray(2))
    assert float(after.life.state.memory["time"]) == role.problem.stay
    assert float(again.life.state.memory["time"]) == role.problem.stay


def test_distances_are_symmetric_and_of_the_seed():
    one, same, other = (
        np.asarray(pg.envs.homogeneous_learning(**SMALL, roads=s).distances) for s in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)
    np.testing.assert_array_equal(one, one.T)
    np.testing.assert_array_equal(np.diag(one), 0.0)
    apart = one[~np.eye(10, dtype=bool)]
    assert apart.min() > 0
    assert apart.max() < 0.1


def test_it_ends_at_the_goal_or_after_the_last_hop(born, hop):
    episode, ends = born, []
    for node in range(3):
        episode, _, over = hop(episode, jnp.asarray(node))
        ends.append(bool(over))
    assert ends == [False, False, True]
    easy = pg.envs.homogeneous_learning(**SMALL, goal=0.01)
    assert bool(easy.over(hop(born, jnp.asarray(0))[0]))


def test_an_action_must_be_a_node(env):
    assert env.action_space == gymnasium.spaces.Discrete(10)
    env.reset(seed=0)
    for wrong in (10, -1, 0.5, [1]):
        with pytest.raises(gymnasium.error.InvalidAction, match="whole numbers from 0 to 9"):
            env.unwrapped.step(wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rule": "sgd"}, "`rule` must be None, for HomogeneousLearning-v0 has a rule"),
        ({"goal": 1.0}, "`goal` must lie between 0 and 1, got 1.0"),
        ({"goal": 0}, "`goal` must be a positive number, got 0"),
        ({"rate": -1.0}, "`rate` must be a positive number, got -1.0"),
        ({"hops": 0}, "`hops` must be a positive whole number, got 0"),
        ({"own": 2000}, "`own` must be at most 9[0-9], for no class has more"),
        ({"other": 2000}, "`other` must be at most 8[0-9][0-9], got 2000"),
        ({"batch": 3}, "`batch` must divide the 10 images of a node, got 3"),
        ({"nodes": 3}, "does not take these options: .*nodes"),
    ],
)
def test_what_does_not_fit_is_refused(options, message, unchecked):
    with pytest.raises(ValueError, match=message):
        pg.envs.LearningEnv("HomogeneousLearning-v0", **SMALL | options)
