"""What the Gymnasium environments cost: python benchmarks/speed/environments.py

Three contests, each in alternating turns after compilation:

- a step of a single environment (steering SGD on xor, one presentation an action) against
  the bare compiled transition and the copy of what it shows to numpy;
- steps of 1,024 such environments in `make_vec` against `SyncVectorEnv` over the same
  single environments;
- the same against `rollout`, with the same actions; also on digits, and with ten
  presentations an action.

The vector's steps go on over the ends of its episodes. The last lines are the ratios.
"""

import argparse
import time
from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

import plasticgym as pg
from plasticgym.envs._role import observe, transition

STEPS = 50


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--envs", type=int, default=1024)
    arguments = parser.parse_args()
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}")
    lines = [single(arguments.pairs), sync(arguments.envs, max(3, arguments.pairs // 5))]
    for problem in ("Xor-v0", "Digits-v0"):
        for presentations in (1, 10):
            lines.append(rollout(problem, presentations, arguments.envs, arguments.pairs))
    print(*lines, sep="\n")


def single(pairs):
    """One step, as a multiple of the bare transition."""
    env: Any = gymnasium.make(
        "plasticgym/Xor-v0", rule="sgd", presentations_per_action=1, disable_env_checker=True
    ).unwrapped
    role, action = env.role, np.zeros(1, np.float32)
    arrays, static = eqx.partition(role, eqx.is_array)

    @jax.jit
    def bare(arrays, episode, action):
        role = eqx.combine(arrays, static)
        episode, reward, over = transition(role, episode, action)
        return episode, observe(role, episode), reward, over

    episode = jax.jit(lambda key: role.begin(key=key))(jax.random.key(0))

    def by_hand():
        now = episode
        for _ in range(STEPS):
            now, seen, reward, over = bare(arrays, now, action)
            _ = np.array(seen), np.array(reward), np.array(over)

    def ours():
        for _ in range(STEPS):
            env.step(action)

    env.reset(seed=0)
    times = contest(ours, by_hand, pairs, before=env.reset)
    print(f"single step {1e6 * times[0].min() / STEPS:.0f} us")
    return told("single step / bare transition", times[0] / times[1])


def sync(envs, pairs):
    """Steps per second, as a multiple of gymnasium's own vector."""
    options = {"rule": "sgd", "presentations_per_action": 1}
    ours = gymnasium.make_vec("plasticgym/Xor-v0", num_envs=envs, **options)
    theirs = gymnasium.make_vec(
        "plasticgym/Xor-v0",
        num_envs=envs,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": gymnasium.vector.AutoresetMode.SAME_STEP},
        **options,
    )
    actions = np.zeros((envs, 1), np.float32)
    for each in (ours, theirs):
        each.reset(seed=0)

    def steps(each, number):
        for _ in range(number):
            each.step(actions)

    # Theirs is timed over a whole life as well: what it costs to begin one counts on both
    # sides.
    times = contest(lambda: steps(ours, STEPS), lambda: steps(theirs, STEPS), pairs)
    print(f"{envs} of xor: {envs * STEPS / times[0].min():,.0f} steps a second")
    return told(f"make_vec / SyncVectorEnv, {envs} of xor", times[1] / times[0])


def rollout(problem, presentations, number, pairs):
    """Steps per second, as a share of those of the scanned rollout."""
    envs: Any = gymnasium.make_vec(
        f"plasticgym/{problem}",
        num_envs=number,
        rule="sgd",
        presentations_per_action=presentations,
    ).unwrapped
    envs.reset(seed=0)
    steps = envs.role.actions
    actions = np.zeros((number, 1), np.float32)

    def stepped():
        for _ in range(steps):
            envs.step(actions)

    def scanned():
        jax.block_until_ready(envs.rollout(still, steps))

    times = contest(stepped, scanned, pairs)
    name = f"{problem}, {presentations} an action"
    print(f"{name}: {number * steps / times[0].min():,.0f} steps a second")
    return told(f"make_vec / rollout, {number} of {name}", times[1] / times[0])


def still(seen):
    return jnp.zeros((len(seen), 1))


def contest(ours, theirs, pairs, before=lambda: None):
    """Seconds of both, in pairs."""
    times = []
    for _ in range(pairs + 1):
        before()
        times.append([clock(ours), clock(theirs)])
    return np.array(times[1:]).T  # the first pair compiles


def clock(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def told(name, ratios):
    low, median, high = np.percentile(ratios, [25, 50, 75])
    return f"{name} {median:.3f} (quartiles {low:.3f} to {high:.3f})"


if __name__ == "__main__":
    pg.benchmarks.use_cache()
    main()
