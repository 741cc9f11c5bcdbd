"""The range of the classic bodies: python benchmarks/control/range.py

Chance: the mean score of 2,000 lives whose outputs are uniform in [-1, 1], drawn anew at
every step. Best: that of 2,000 lives that do what is best by dynamic programming on a grid of
states; of cart-pole, by a linear controller. The `chance` and `best` of a body are these
figures, rounded. Writes docs/control/range.json.
"""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._statistics import half_width
from plasticgym.rules._atomic import write_atomically

FILE = Path(__file__).resolve().parents[2] / "docs" / "control" / "range.json"
LIVES, SEED, STEPS = 2000, 8000, 1000
# Per state of a body: the lowest and highest value of its grid, how many, and whether the ends
# are one; then the outputs to choose from, the discount and the sweeps.
GRIDS = {
    "Pendulum-v0": (
        [(-math.pi, math.pi, 81, True), (-8.0, 8.0, 81, False)],
        np.linspace(-1, 1, 9)[:, None],
        *(0.99, 400),
    ),
    "MountainCar-v0": (
        [(-1.2, 0.6, 121, False), (-0.07, 0.07, 121, False)],
        *(np.eye(3), 0.99, 400),
    ),
    "Acrobot-v0": (
        [
            *((-math.pi, math.pi, 25, True), (-math.pi, math.pi, 25, True)),
            *((-6.0, 6.0, 21, False), (-10.0, 10.0, 21, False)),
        ],
        *(np.eye(3), 0.97, 120),
    ),
}


def main():
    told = {}
    for name in ("CartPole-v0", "Pendulum-v0", "MountainCar-v0", "Acrobot-v0"):
        problem: Any = pg.envs.problem(name, hidden=())
        outputs = problem.dynamics.outputs
        best = upright if name not in GRIDS else planned(problem.dynamics, *GRIDS[name])
        policies = {
            "chance": lambda _, key, n=outputs: jax.random.uniform(key, (n,), minval=-1.0),
            "best": best,
        }
        told[name] = {}
        for label, policy in policies.items():
            scores = np.asarray(lived(problem, policy), np.float64)
            mean, half = float(scores.mean()), float(half_width(scores))
            told[name][label] = {"mean": mean, "half_width": half}
            print(f"{name:15} {label:7} {mean:.4f} +- {half:.4f}", flush=True)
    told = {"machine": machine()._asdict(), "lives": LIVES, "seed": SEED, "results": told}
    FILE.parent.mkdir(exist_ok=True)
    write_atomically(FILE, (json.dumps(told, indent=1) + "\n").encode())


def lived(problem, policy):
    """The scores at the end of lives under `policy(physics, key) -> outputs`."""

    def life(problem, key):
        key_world, key_policy = jax.random.split(key)

        def step(world, time):
            outputs = policy(world.physics[0], jax.random.fold_in(key_policy, time))
            return problem.respond(world, outputs[None])[0], None

        world, _ = jax.lax.scan(step, problem.reset(key=key_world), jnp.arange(STEPS))
        return problem.dynamics.score(world.rewards)

    keys = jax.random.split(jax.random.key(SEED), LIVES)
    return eqx.filter_jit(lambda p, keys: jax.vmap(lambda k: life(p, k))(keys))(problem, keys)


def upright(physics, key):
    """Pushes the cart to where the pole leans, and a little to where it should not be."""
    push = physics @ jnp.array([0.1, 0.2, 1.0, 0.3])
    return jnp.stack([-push, push])


def planned(dynamics, axes, choices, discount, sweeps):
    """The policy that is greedy for the value of states, interpolated on a grid."""
    nodes = [np.linspace(low, high, n) for low, high, n, _ in axes]
    states = jnp.asarray(list(itertools.product(*nodes)), jnp.float32)
    choices = jnp.asarray(choices, jnp.float32)

    def value_at(values, state):
        places = []
        for x, (low, high, n, circle) in zip(state, axes, strict=True):
            x = (x - low) % (high - low) + low if circle else jnp.clip(x, low, high)
            places.append((x - low) / (high - low) * (n - 1))
        return map_coordinates(values, places, order=1)

    def worth(values, state, outputs):
        moved, reward, over = dynamics.move(state, outputs, {})
        return reward + jnp.where(over, 0.0, discount * value_at(values, moved))

    of_all = jax.vmap(worth, in_axes=(None, None, 0))

    @jax.jit
    def swept(values):
        new = jax.lax.map(lambda s: of_all(values, s, choices).max(), states, batch_size=4096)
        return new.reshape(values.shape)

    values = jnp.zeros([len(n) for n in nodes])
    for _ in range(sweeps):
        values = swept(values)
    return lambda physics, key: choices[of_all(values, physics, choices).argmax()]


if __name__ == "__main__":
    main()
