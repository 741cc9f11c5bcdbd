"""Many lives in one environment: modes, seeds, masks, rollouts."""

from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode

from plasticgym.envs._program import packed, unpacked

SMALL = {"hidden": (4,), "batch": 8, "presentations": 6}
ROLES = {
    "you are the rule": {},
    "you steer a rule": {"rule": "blur", "presentations_per_action": 4},
    "you choose a genome": {"rule": "sgd"},
}
# Each pair is compiled once for all tests of this file.
PAIRS = [
    *((AutoresetMode.SAME_STEP, role) for role in ROLES),
    (AutoresetMode.NEXT_STEP, "you choose a genome"),
    (AutoresetMode.DISABLED, "you are the rule"),
]
every_pair = pytest.mark.parametrize(("mode", "role"), PAIRS)


def make(**options) -> Any:
    return gymnasium.make("plasticgym/Xor-v0", **SMALL | options)


def make_vec(num_envs, **options) -> Any:
    return gymnasium.make_vec("plasticgym/Xor-v0", num_envs=num_envs, **SMALL | options)


def random_actions(space, seed=0):
    rng = np.random.default_rng(seed)
    return lambda seen: rng.uniform(-1, 1, space.shape).astype(np.float32)


def single(env, action, mode, over):
    """A step of a single environment as a vector would show it in this mode."""
    if mode is AutoresetMode.NEXT_STEP and over:
        return env.reset()[0], 0.0, False, None, {}
    seen, reward, over, _, info = env.step(action)
    last = seen
    if mode is AutoresetMode.SAME_STEP and over:
        seen = env.reset()[0]
    return seen, reward, over, last, info


@every_pair
def test_a_vector_does_what_single_environments_do(mode, role):
    role = ROLES[role]
    vector = make_vec(3, autoreset_mode=mode, **role)
    alone = [make(**role) for _ in range(3)]
    act = random_actions(vector.action_space)
    seen, _ = vector.reset(seed=11)
    expected = np.stack([env.reset(seed=11 + i)[0] for i, env in enumerate(alone)])
    assert np.allclose(seen, expected, atol=1e-5)
    ended, over = 0, np.zeros(3, bool)
    for _ in range(14):
        actions = act(None)
        if mode is AutoresetMode.DISABLED and over.any():
            seen, infos = vector.reset(options={"reset_mask": over})
            expected = [env.reset()[0] for env in alone]
            assert infos == {}
            assert np.allclose(seen, np.stack(expected), atol=1e-5)
        steps = [single(*each, mode, o) for *each, o in zip(alone, actions, over, strict=True)]
        seen, rewards, over, truncated, infos = vector.step(actions)
        assert np.allclose(seen, np.stack([s[0] for s in steps]), atol=1e-5)
        assert np.allclose(rewards, [s[1] for s in steps], atol=1e-5)
        assert over.tolist() == [s[2] for s in steps]
        assert not truncated.any()
        if not over.any():
            assert infos == {}
            continue
        ended += 1
        if mode is AutoresetMode.SAME_STEP:
            assert infos["_final_obs"].all()
            assert infos["_final_info"].all()
            for i, step in enumerate(steps):
                assert np.allclose(infos["final_obs"][i], step[3], atol=1e-5)
            infos = infos["final_info"]
        for name in ("score", "loss", "diverged"):
            assert infos[f"_{name}"].all()
            assert np.allclose(infos[name], [s[4][name] for s in steps], atol=1e-5)
    assert ended > 1


def staggered(mode):
    """Three environments, of which the second is two steps ahead of the others."""
    envs = make_vec(3, autoreset_mode=mode)
    envs.reset(seed=0)
    zero = np.zeros((3, 22), np.float32)
    for _ in range(2):
        envs.step(zero)
    envs.reset(options={"reset_mask": np.array([True, False, True])})
    return envs, zero


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_mask_resets_what_it_names(mode):
    envs, zero = staggered(mode)
    before, *_ = envs.step(zero)
    mask = np.array([True, False, False])
    after, infos = envs.reset(options={"reset_mask": mask})
    assert mask.tolist() == [True, False, False]
    assert infos == {}
    assert np.array_equal(before[1:], after[1:])
    assert not np.allclose(before[0], after[0])
    over = [envs.step(zero)[2].tolist() for _ in range(3)]
    assert over == [[False] * 3, [False] * 3, [False, True, False]]
    # A seed is for those that the mask names.
    seeds = envs.np_random_seed
    if mode is AutoresetMode.DISABLED:
        again, _ = envs.reset(seed=0, options={"reset_mask": mask})
        assert np.array_equal(again[0], make_vec(3).reset(seed=0)[0][0])
        assert envs.np_random_seed == (0, *seeds[1:])


def test_a_life_that_is_over_waits_for_its_reset():
    envs, zero = staggered("Disabled")
    for _ in range(4):
        seen, _, over, _, infos = envs.step(zero)
    assert over.tolist() == infos["_score"].tolist() == [False, True, False]
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"environments \[1\]"):
        envs.step(zero)
    kept, _ = envs.reset(options={"reset_mask": over})
    assert np.array_equal(kept[[0, 2]], seen[[0, 2]])
    assert envs.step(zero)[2].tolist() == [False] * 3


def test_the_step_after_the_last_ignores_its_action():
    results = []
    for wild in (0.0, 1.0):
        envs, zero = staggered("NextStep")
        for _ in range(4):
            envs.step(zero)
        actions = zero.copy()
        actions[1] = wild
        results.append([*envs.step(actions)[:4], *envs.step(zero)[:4]])
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))
    _, rewards, over, *_ = results[0]
    assert rewards[1] == 0
    assert not over[1]


class Mean(eqx.Module):
    """A policy that is a pytree: the mean of its columns, each with a weight."""

    weights: jax.Array
    acted: int

    def __call__(self, seen, *, key=None):
        drawn = 0.0 if key is None else jax.random.normal(key, seen.shape)
        mean = jnp.tanh(seen + drawn) @ self.weights
        return mean if seen.ndim == 3 else jnp.repeat(mean[:, None], self.acted, axis=1)


def mean(envs):
    columns = envs.observation_space.shape[-1]
    return Mean(0.1 * jnp.ones(columns), envs.action_space.shape[-1])


@every_pair
def test_a_rollout_is_the_same_steps(mode, role):
    role = ROLES[role]
    scanned, stepped = (make_vec(3, autoreset_mode=mode, **role) for _ in range(2))
    policy = mean(scanned)
    last = scanned.unwrapped.role.actions if mode is AutoresetMode.DISABLED else 9
    steps = last + 3 if mode is AutoresetMode.DISABLED else last
    for envs in (scanned, stepped):
        envs.reset(seed=4)
    for _ in range(2):  # a second one goes on where the first one stopped
        met = scanned.unwrapped.rollout(policy, steps)
        for t in range(last):
            seen, rewards, over, _, infos = stepped.step(np.asarray(met.actions[t]))
            assert np.allclose(met.rewards[t], rewards, atol=1e-5)
            assert met.terminated[t].tolist() == over.tolist()
            following = met.following if t + 1 == steps else met.observations[t + 1]
            assert np.allclose(following, seen, atol=1e-5)
            if over.any():
                told = infos.get("final_info", infos)["score"]
                assert np.allclose(np.where(over, met.verdict.score[t], 0), told, atol=1e-5)
        if mode is AutoresetMode.DISABLED:
            # What is over stays as it was and earns nothing.
            assert not met.rewards[last:].any()
            assert not met.terminated[last:].any()
            assert np.allclose(met.observations[last:], seen[None], atol=1e-5)
            for envs in (scanned, stepped):
                envs.reset(options={"reset_mask": np.ones(3, bool)})
    # and both go on alike
    actions = np.zeros(scanned.action_space.shape, np.float32)
    assert np.allclose(scanned.step(actions)[0], stepped.step(actions)[0], atol=1e-5)


def test_an_interrupted_step_leaves_an_environment_that_resets():
    envs, fresh = make_vec(3), make_vec(3)
    first, _ = envs.reset(seed=0)
    step, envs.unwrapped._program.step = envs.unwrapped._program.step, interrupted
    with pytest.raises(KeyboardInterrupt):
        envs.step(np.zeros((3, 22)))
    envs.unwrapped._program.step = step
    with pytest.raises(gymnasium.error.ResetNeeded):
        envs.step(np.zeros((3, 22)))
    fresh.reset(seed=0)
    assert np.array_equal(envs.reset()[0], fresh.reset()[0])
    assert not np.allclose(envs.reset()[0], first)


def interrupted(*arguments):
    raise KeyboardInterrupt


def test_a_rollout_draws_from_its_key():
    envs = make_vec(3, rule="sgd", presentations_per_action=2)
    policy, met = mean(envs), []
    for seed in (0, 0, 1):
        envs.reset(seed=0)
        met.append(envs.unwrapped.rollout(policy, 4, key=jax.random.key(seed)).actions)
    assert np.array_equal(met[0], met[1])
    assert not np.allclose(met[0], met[2])
    assert not np.allclose(met[0][0], met[0][1])


def test_a_vector_is_one_for_gymnasium():
    envs = make_vec(3, rule="sgd")
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert envs.spec.id == "plasticgym/Xor-v0"
    seen, infos = envs.reset(seed=[4, None, 9])
    assert infos == {}
    assert seen in envs.observation_space
    assert envs.np_random_seed[0] == 4
    seen, rewards, over, truncated, _ = envs.step(envs.action_space.sample())
    assert seen in envs.observation_space
    assert (rewards.dtype, over.dtype, truncated.dtype) == (np.float64, bool, bool)
    sync = gymnasium.make_vec(
        "plasticgym/Xor-v0",
        num_envs=3,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
        **SMALL,
        rule="sgd",
    )
    ours = make_vec(3, rule="sgd")
    infos = []
    for each in (sync, ours):
        each.reset(seed=1)
        infos.append(each.step(np.zeros((3, 1), np.float32))[4])
    assert infos[0].keys() == infos[1].keys()
    for name in ("score", "loss", "diverged", "_score"):
        a, b = (each["final_info"][name] for each in infos)
        assert a.dtype == b.dtype
        assert np.allclose(a, b, atol=1e-5)


def test_worlds_are_new_and_seeds_stay():
    envs = make_vec(3)
    first, _ = envs.reset(seed=3)
    assert not np.allclose(first[0], first[1])
    worlds = [first]
    for _ in range(13):
        seen, _, over, _, _ = envs.step(np.zeros((3, 22), np.float32))
        worlds += [seen] if over.any() else []
    assert len(worlds) == 3
    assert not np.allclose(worlds[0][0], worlds[1][0])
    assert not np.allclose(worlds[1][0], worlds[2][0])
    again, _ = envs.reset(seed=3)
    assert np.array_equal(again, first)
    unseeded, _ = envs.reset()
    assert np.array_equal(unseeded, worlds[1])


def test_an_episode_that_ends_alone_touches_no_neighbour():
    envs, zero = make_vec(3), np.zeros((3, 22), np.float32)
    results = []
    for early in (False, True):
        envs.reset(seed=0)
        envs.step(zero)
        if early:  # the second life is near its end
            episodes = unpacked(envs.role, envs._held.episode)
            time = episodes.life.time.at[1].set(5)
            episodes = eqx.tree_at(lambda e: e.life.time, episodes, time)
            envs._held = envs._held._replace(episode=packed(episodes))
        results.append([envs.step(zero) for _ in range(2)])
    (plain, plain_), (early, early_) = results
    assert early[2].tolist() == [False, True, False]
    for a, b in ((plain, early), (plain_, early_)):
        assert np.array_equal(a[0][[0, 2]], b[0][[0, 2]])
        assert np.array_equal(a[1][[0, 2]], b[1][[0, 2]])
    infos = early[4]
    for mask in (infos["_final_obs"], infos["_final_info"], infos["final_info"]["_score"]):
        assert mask.tolist() == [False, True, False]
    assert infos["final_obs"][0] is None
    assert infos["final_obs"][2] is None
    assert not np.allclose(infos["final_obs"][1], early[0][1])
    following = make()
    following.reset(seed=1)
    assert np.allclose(following.reset()[0], early[0][1], atol=1e-6)
    assert early_[4] == {}


def test_a_neighbour_is_left_alone():
    """What one environment does, be it to diverge, changes nothing in the others."""
    envs, kept = make_vec(3, unit=3e38), []
    for wild in (0.0, 1.0):
        seen, _ = envs.reset(seed=0)
        kept.append([])
        for _ in range(7):
            actions = np.zeros((3, 22), np.float32)
            actions[1] = wild
            seen, rewards, _, _, infos = envs.step(actions)
            assert seen in envs.observation_space
            assert np.isfinite(rewards).all()
            kept[-1].append((seen[[0, 2]], rewards[[0, 2]]))
            if infos:
                assert infos["final_info"]["diverged"].tolist() == [False, bool(wild), False]
                assert wild == 0 or infos["final_info"]["score"][1] == 0.5
    for a, b in zip(*kept, strict=True):
        assert np.array_equal(a[0], b[0])
        assert np.array_equal(a[1], b[1])


def test_data_are_held_once():
    options = {"rule": "sgd", "hidden": (2,), "batch": 1, "presentations": 2}
    envs: Any = gymnasium.make_vec("plasticgym/Digits-v0", num_envs=64, **options)
    envs.reset(seed=0)
    program = sum(x.nbytes for x in envs._program.leaves)
    held = sum(x.nbytes for x in jax.tree.leaves(envs._held))
    data = envs.role.problem.train.inputs.nbytes
    assert program > data
    assert held < 64 * 4000 < 64 * data  # each holds its network and the order of its world


def test_the_spec_can_be_written_down():
    envs = make_vec(3, autoreset_mode="NextStep", rule="sgd")
    spec = EnvSpec.from_json(envs.spec.to_json())
    again: Any = gymnasium.make_vec(spec)
    assert again.num_envs == 3
    assert again.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_nothing_is_compiled_later(mode, compilations):
    envs, zero = make_vec(3, rule="sgd", autoreset_mode=mode), np.zeros((3, 1), np.float32)
    envs.reset(seed=0)
    envs.step(zero)
    make(rule="sgd").reset(options={"task": 4})  # the first key made of a task compiles
    del compilations[:]
    for seed in (None, 1):
        envs.reset(seed=seed)
        envs.step(zero)
        mask = np.array([True, False, seed is None])
        envs.reset(options={"reset_mask": mask})
        if mode is AutoresetMode.DISABLED:
            envs.reset(options={"reset_mask": ~mask})
        for _ in range(3 if mode is AutoresetMode.SAME_STEP else 1):
            envs.step(zero)
        envs.reset(options={"task": 4})
    assert compilations == []
