"""What learning adds to moving bodies: python benchmarks/speed/control.py

Lives of a 4-16-2 network with each rule, against the same bodies moved by the same network
while nothing receives or adapts: how many times as long they take. And the same number of
cart-poles in one program against a loop over `gymnasium.make("CartPole-v1")` with a network
in numpy: how many times as many steps a second.

All are timed in alternating pairs after compilation. `--body InvertedPendulum-v0` or another
body of brax (which must be installed) times these instead, without Gymnasium. `--json FILE`
stores what is printed.
"""

import argparse
import json
import time
from pathlib import Path

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.rules._atomic import write_atomically

RULES = {
    "abcd": pg.rules.ABCD,
    "three-factor": pg.rules.ThreeFactor,
    "chemotaxis": pg.rules.Chemotaxis,
    "homeostat": pg.rules.Homeostat,
}
STEPS_OF_GYMNASIUM = 5000


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--body", default="CartPole-v0")
    parser.add_argument("--lives", type=int, default=256)
    parser.add_argument("--presentations", type=int, default=1000)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--rules", nargs="*", choices=RULES, default=list(RULES))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    problem = pg.envs.problem(given.body, hidden=(16,), presentations=given.presentations)
    keys = jax.random.split(jax.random.key(0), given.lives)
    rules = {name: RULES[name]() for name in given.rules}
    told, steps = {}, given.lives * given.presentations
    for name, rule in rules.items():
        learning = lambda rule=rule: pg.envs.lives(rule, problem, keys=keys).scores  # noqa: E731
        frozen = lambda rule=rule: moved(rule, problem, keys)  # noqa: E731
        told[f"{name} / no learning"] = paired(learning, frozen, given.pairs)
    if given.body == "CartPole-v0":
        lives = lambda: pg.envs.lives(RULES["abcd"](), problem, keys=keys).scores  # noqa: E731
        seconds = [[clock(lives), with_gymnasium()] for _ in range(given.pairs + 1)][1:]
        rates = [(steps / ours) / (STEPS_OF_GYMNASIUM / theirs) for ours, theirs in seconds]
        told["steps a second, ours / Gymnasium"] = quartiles(rates)
    for what, (low, median, high) in told.items():
        print(f"{given.body} {what:34} {median:.3f} (quartiles {low:.3f} to {high:.3f})")
    if given.json is not None:
        settings = {k: v for k, v in vars(given).items() if k != "json"}
        told = {"machine": machine()._asdict(), "settings": settings, "ratios": told}
        write_atomically(given.json, (json.dumps(told, indent=1) + "\n").encode())


@eqx.filter_jit
def moved(rule, problem, keys):
    """The scores of bodies whose networks predict, and neither receive nor adapt."""

    def life(key):
        begun = pg.envs.born(rule, problem, key=key)

        def step(carry, time):
            state, world = carry
            key = jax.random.fold_in(begun.key, time)
            state, outputs = rule.predict(state, problem.observe(world), key=key)
            world, _, outcome = problem.respond(world, outputs)
            return (state, world), outcome.score

        times = jnp.arange(problem.presentations)
        return jax.lax.scan(step, (begun.state, begun.world), times)[1]

    return jax.vmap(life)(keys)


def paired(ours, theirs, pairs):
    """Quartiles of how many times as long ours takes."""
    seconds = np.array([[clock(ours), clock(theirs)] for _ in range(pairs + 1)])[1:]
    return quartiles(seconds[:, 0] / seconds[:, 1])


def quartiles(values):
    return np.percentile(values, [25, 50, 75]).tolist()


def clock(function):
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def with_gymnasium():
    """Seconds of so many steps of one cart-pole, with a network that does not learn."""
    rng, env = np.random.default_rng(0), gymnasium.make("CartPole-v1")
    first, second = rng.normal(size=(5, 16)), rng.normal(size=(17, 2))
    seen, _ = env.reset(seed=0)
    start = time.perf_counter()
    for _ in range(STEPS_OF_GYMNASIUM):
        hidden = np.tanh(np.append(seen, 1.0) @ first)
        seen, _, over, cut, _ = env.step(int(np.argmax(np.append(hidden, 1.0) @ second)))
        if over or cut:
            seen, _ = env.reset()
    seconds = time.perf_counter() - start
    env.close()
    return seconds


if __name__ == "__main__":
    main()
