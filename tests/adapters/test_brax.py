"""`to_brax` with the real brax and its trainers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg

brax = pytest.importorskip("brax")
envs = pytest.importorskip("brax.envs")
pytestmark = [pytest.mark.adapters, pytest.mark.filterwarnings("default")]

SMALL = {"rule": "sgd", "presentations_per_action": 4}


def test_rewards_and_score_are_those_of_live(xor, promised):
    env = pg.envs.to_brax(xor, **SMALL)
    assert isinstance(env, envs.Env)
    step, zeros = jax.jit(env.step), jnp.zeros(env.action_size)
    state, rewards = env.reset(jax.random.PRNGKey(3)), []
    assert state.obs.shape == (env.observation_size,)
    for _ in range(env.episode_length):
        assert state.done == 0
        assert state.metrics["score"] == 0
        state = step(state, zeros)
        rewards.append(state.reward)
    expected, score = promised(pg.rules.SGD(), xor, jax.random.key(3), 4)
    np.testing.assert_allclose(rewards, expected, atol=1e-5)
    np.testing.assert_allclose(state.metrics["score"], score, atol=1e-5)
    assert state.done == 1


def test_what_a_rule_sees_is_flat(xor):
    env = pg.envs.to_brax(xor, tier="gradient")
    state = env.reset(jax.random.key(0))
    assert state.obs.shape == (env.observation_size,) == (np.prod(env.role.observed),)
    assert env.step(state, jnp.zeros(env.action_size)).obs.shape == state.obs.shape


def roll(env, keys, steps):
    """States of many lives under actions of zero."""
    state = jax.jit(env.reset)(keys)
    step = jax.jit(env.step)
    states = [state]
    for _ in range(steps):
        state = step(state, jnp.zeros((len(keys), 1)))
        states.append(state)
    assert step._cache_size() == 1
    return states


def test_lives_that_end_are_followed_by_new_worlds(xor):
    env = pg.envs.to_brax(xor, **SMALL)
    keys = jax.random.split(jax.random.PRNGKey(0), 3)
    states = roll(env.wrap(env, env.episode_length), keys, 5)
    orders = [np.asarray(state.pipeline_state.life.world.order) for state in states]
    assert [int(state.done[0]) for state in states] == [0, 0, 1, 0, 1, 0]
    assert [int(state.info["steps"][0]) for state in states] == [0, 1, 2, 1, 2, 1]
    np.testing.assert_array_equal(orders[1], orders[0])
    worlds = [order[i].tobytes() for order in orders[::2] for i in range(3)]
    assert len(set(worlds)) == 9  # three worlds in each of three environments
    for state in (states[2], states[4]):
        # What is shown belongs to the life that has just begun.
        shown = jax.vmap(lambda episode: pg.envs._role.observe(env.role, episode))(
            state.pipeline_state
        )
        np.testing.assert_allclose(state.obs, shown, atol=1e-6)
        np.testing.assert_array_equal(state.pipeline_state.life.time, 0)
        assert (state.metrics["score"] > 0).all()


def test_with_the_wrapper_of_brax_the_first_world_comes_back(xor):
    """Why there is another one; should this fail one day, ours can go."""
    env = pg.envs.to_brax(xor, **SMALL)
    training = pytest.importorskip("brax.envs.wrappers.training")
    keys = jax.random.split(jax.random.PRNGKey(0), 2)
    states = roll(training.wrap(env, env.episode_length), keys, 2)
    first, after = (state.pipeline_state.life.world.order for state in (states[0], states[2]))
    np.testing.assert_array_equal(first, after)


@pytest.mark.parametrize("of", ["life", "our wrapper", "wrapper of brax"])
def test_in_double_precision_a_step_keeps_the_types_of_reset(of):
    """Trainers scan over steps."""
    training = pytest.importorskip("brax.envs.wrappers.training")
    with jax.enable_x64(True):
        xor = pg.envs.plane("xor", hidden=(4,), batch=8, presentations=6)
        env = pg.envs.to_brax(xor, **SMALL)
        key, zeros = jax.random.PRNGKey(0), jnp.zeros(env.action_size)
        if of != "life":
            env = (env.wrap if of == "our wrapper" else training.wrap)(env, env.episode_length)
            key, zeros = jnp.stack([key, key]), jnp.stack([zeros, zeros])
        before = jax.eval_shape(env.reset, key)
        assert jax.eval_shape(env.step, before, zeros) == before
        assert before.pipeline_state.progress.loss.dtype == before.reward.dtype == jnp.float64
        assert before.obs.dtype == jnp.float32


def test_a_state_can_be_stepped_twice(xor):
    env = pg.envs.to_brax(xor, **SMALL)
    env = env.wrap(env, env.episode_length)
    state = env.reset(jax.random.split(jax.random.PRNGKey(0), 2))
    for _ in range(2):  # the second step ends all lives
        kept = jax.tree.map(np.asarray, state.info)
        following, again = (env.step(state, jnp.zeros((2, 1))) for _ in range(2))
        same = jax.tree.map(np.array_equal, following.info, again.info)
        assert jax.tree.all(same)
        assert jax.tree.all(jax.tree.map(np.array_equal, state.info, kept))
        np.testing.assert_array_equal(following.obs, again.obs)
        state = following
    assert state.done.all()


def small(factory):
    """Networks of one small layer, which compile soon."""
    return lambda *args, **kwargs: factory(*args, **kwargs, hidden_layer_sizes=(8,))


def test_its_ars_trains(xor):
    ars = pytest.importorskip("brax.training.agents.ars.train")
    env = pg.envs.to_brax(xor, **SMALL)
    _, _, metrics = ars.train(
        env,
        wrap_env_fn=env.wrap,
        episode_length=env.episode_length,
        num_timesteps=64,
        number_of_directions=4,
        top_directions=2,
        num_eval_envs=8,
    )
    assert metrics["eval/avg_episode_length"] == 2
    assert 0.2 < metrics["eval/episode_score"] < 1
    assert np.isfinite(metrics["eval/episode_reward"])


def test_its_es_trains(xor):
    es = pytest.importorskip("brax.training.agents.es.train")
    networks = pytest.importorskip("brax.training.agents.es.networks")
    env = pg.envs.to_brax(xor, **SMALL)
    _, _, metrics = es.train(
        env,
        wrap_env_fn=env.wrap,
        episode_length=env.episode_length,
        num_timesteps=64,
        population_size=4,
        num_eval_envs=8,
        network_factory=small(networks.make_es_networks),
    )
    assert metrics["eval/avg_episode_length"] == 2
    assert 0.2 < metrics["eval/episode_score"] < 1


@pytest.mark.skipif(
    not hasattr(jax, "device_put_replicated"),
    reason="brax's PPO calls `jax.device_put_replicated`, which this jax no longer has",
)
def test_its_ppo_trains(xor):
    ppo = pytest.importorskip("brax.training.agents.ppo.train")
    env = pg.envs.to_brax(xor, **SMALL)
    _, _, metrics = ppo.train(
        env,
        num_timesteps=64,
        wrap_env_fn=env.wrap,
        episode_length=env.episode_length,
        num_envs=8,
        batch_size=8,
        num_minibatches=1,
        unroll_length=2,
        num_eval_envs=8,
    )
    assert 0.2 < metrics["eval/episode_score"] < 1


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"action_repeat": 2}, "`action_repeat` must be 1, got 2; use `presentations_per"),
        ({"randomization_fn": lambda: None}, "`randomization_fn` must be None"),
    ],
)
def test_what_cannot_be_wrapped_is_refused(xor, given, match):
    env = pg.envs.to_brax(xor, **SMALL)
    with pytest.raises(ValueError, match=match):
        env.wrap(env, env.episode_length, **given)
