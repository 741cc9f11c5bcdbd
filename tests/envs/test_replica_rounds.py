"""Replicas that an agent mixes: what is paid, what is seen, how it ends."""

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import plasticgym as pg
from plasticgym.envs._role import transition

KEY = jax.random.key(0)
SMALL = {"hidden": (2,), "batch": 6, "k": 3, "measured": 20, "rounds": 2}


@pytest.fixture(scope="module")
def gate():
    return pg.envs.replica_gate(**SMALL, bad=1)


@pytest.fixture(scope="module")
def begin(gate):
    return jax.jit(lambda key: gate.begin(key=key))


@pytest.fixture(scope="module")
def begun(begin):
    return begin(KEY)


@pytest.fixture(scope="module")
def act(gate):
    return jax.jit(lambda episode, action: transition(gate, episode, action))


def agreed(episode):
    return [np.asarray(w) for w in episode.life.state.memory["agreed"]]


def proposed(episode):
    return [np.asarray(block["weight"]) for block in episode.life.state.synapses]


def test_who_is_accepted_is_averaged_and_paid_for(gate, begun, act):
    after, reward, over = act(begun, jnp.array([1.0, -1.0, 0.2]))
    for now, was in zip(agreed(after), proposed(begun), strict=True):
        np.testing.assert_allclose(
            now, np.broadcast_to(was[[0, 2]].mean(0), now.shape), rtol=1e-5
        )
    accuracies = [float(e.life.state.memory["accuracy"]) for e in (begun, after)]
    np.testing.assert_allclose(reward, accuracies[1] - accuracies[0] - 2 * 0.002, atol=1e-6)
    seen = np.asarray(gate.see(after))
    np.testing.assert_array_equal(seen[:, 3], [1.0, 0.0, 1.0])
    np.testing.assert_array_equal(seen[:, 4], 0.5)
    assert not over


def test_where_none_is_accepted_all_keep_what_was_agreed(begun, act):
    after, reward, _ = act(begun, jnp.full(3, -0.5))
    for now, was in zip(agreed(after), agreed(begun), strict=True):
        np.testing.assert_array_equal(now, was)
    assert float(reward) == 0.0


def test_what_nobody_takes_need_not_be_finite(begun, act):
    synapses = lambda e: e.life.state.synapses[0]["weight"]  # noqa: E731
    broken = eqx.tree_at(synapses, begun, synapses(begun).at[1].set(jnp.inf))
    after, reward, _ = act(broken, jnp.array([1.0, -1.0, 1.0]))
    assert all(np.isfinite(w).all() for w in agreed(after))
    assert np.isfinite(reward)


def test_it_ends_after_the_last_round_without_learning_on(begun, act):
    action = jnp.ones(3)
    last, _, over = act(act(begun, action)[0], action)
    assert bool(over)
    for now, was in zip(proposed(last), agreed(last), strict=True):
        np.testing.assert_array_equal(now, was)


def test_links_are_what_is_above_zero_between_two():
    action = jnp.array([[-1.0, 0.5, 0.0], [1.0, 1.0, -1.0], [0.0, 1.0, 0.0]])
    matrix, taken = pg.envs.Topology().links(action)
    expected = [[2 / 3, 1 / 3, 0.0], [0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]
    np.testing.assert_allclose(matrix, expected, rtol=1e-6)
    np.testing.assert_array_equal(taken, [1.0, 2.0, 0.0])


def test_how_many_are_spoiled_is_drawn_anew(begin):
    keys = jax.random.split(KEY, 8)
    assert {int(begin(key).life.world.stressed.sum()) for key in keys} == {0, 1}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ReplicaGate", "ReplicaTopology"])
def test_it_keeps_the_laws_of_gymnasium(name):
    env = gymnasium.make(f"plasticgym/{name}-v0", **SMALL)
    check_env(env.unwrapped, skip_render_check=True)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["SameStep", "NextStep", "Disabled"])
@pytest.mark.parametrize("name", ["ReplicaGate", "ReplicaTopology"])
def test_a_vector_keeps_its_laws(name, mode):
    env = gymnasium.make_vec(f"plasticgym/{name}-v0", num_envs=2, autoreset_mode=mode, **SMALL)
    pg.envs.check_vector_env(env, steps=4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"price": 0.0}, "`price` must be positive, got 0.0"),
        ({"rounds": 0}, "`rounds` must be a positive whole number, got 0"),
        ({"measured": 0}, "`measured` must be a positive whole number, got 0"),
        ({"bad": 4}, "`bad` must be a whole number from 0 to 3 shards, got 4"),
        ({"k": 4}, "`batch` must be a multiple of 4 shards, got 6"),
    ],
)
def test_what_does_not_fit_is_refused(options, message, unchecked):
    with pytest.raises(ValueError, match=message):
        pg.envs.replica_gate(**{"bad": 1, **SMALL, **options})
