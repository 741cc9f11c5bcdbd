"""Does a DQN find where to learn next? python benchmarks/decentralized/homogeneous_learning.py

In `HomogeneousLearning-v0` one network hops over ten nodes until its accuracy is 0.80. Each
of ten seeds has distances and a DQN of its own: Stable-Baselines3 on our vector environment.
What it has learned then travels, without exploring, in fresh worlds, the same for all, beside

- a random walk: any node, the one it is at among them;
- round-robin: one node after the other;
- a greedy oracle, which tries every node and takes the one that pays most.

Means are over worlds and then seeds, intervals of 95% by Student's t over seeds. Accuracies
are those of the validation part, which ends the journeys; the test part stays shut. What is
known goes to docs/decentralized/homogeneous_learning.json after each seed, and is measured if
it is missing there, or `--again`.
"""

import argparse
import functools
import json
from pathlib import Path

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._statistics import half_width
from plasticgym.envs._role import transition
from plasticgym.rules._atomic import write_atomically

FILE = Path(__file__).resolve().parents[2] / "docs/decentralized/homogeneous_learning.json"
ID, WORLDS, FRESH = "plasticgym/HomogeneousLearning-v0", 100, 500_000
ENVS, STEPS = 8, 2_000
DQN = {
    "learning_rate": 1e-3,
    "buffer_size": 10_000,
    "learning_starts": 200,
    "batch_size": 64,
    "gamma": 0.9,
    "train_freq": 1,
    "gradient_steps": 8,
    "target_update_interval": 200,
    "exploration_fraction": 0.5,
    "exploration_final_eps": 0.02,
}
LAYERS = [128, 64]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10, help="how many, from 0")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--file", type=Path, default=FILE)
    given = parser.parse_args()
    pg.benchmarks.use_cache()
    told: dict = json.loads(given.file.read_text()) if given.file.is_file() else {}
    if not told or given.again:
        told = {"command": "python benchmarks/decentralized/homogeneous_learning.py"}
        told |= here() | {"dqn": DQN, "layers": LAYERS, "steps": STEPS, "worlds": WORLDS}
        told["seeds"] = []
    for seed in range(len(told["seeds"]), given.seeds):
        told["seeds"].append(measured(seed))
        write_atomically(given.file, (json.dumps(told) + "\n").encode())
        print(
            seed, {name: means(found) for name, found in told["seeds"][-1].items()}, flush=True
        )
    print("\n".join(table(told)))


def measured(seed):
    """How each policy travels under the distances of a seed."""
    envs = gymnasium.make_vec(ID, num_envs=WORLDS, roads=seed)
    role = envs.unwrapped.role  # pyright: ignore[reportAttributeAccessIssue]
    rng = np.random.default_rng(seed)
    learned = trained(seed)
    policies = {
        "random": lambda seen, episode: rng.integers(0, 10, len(seen)),
        "round-robin": lambda seen, episode: (seen[:, :10].argmax(1) + 1) % 10,
        "oracle": lambda seen, episode: greedy(role, episode),
        "dqn": lambda seen, episode: learned(seen),
    }
    return {name: travelled(role, policy) for name, policy in policies.items()}


def trained(seed):
    """The policy that a DQN found."""
    import stable_baselines3 as sb3  # pyright: ignore[reportMissingImports]
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    envs = pg.envs.to_sb3(gymnasium.make_vec(ID, num_envs=ENVS, roads=seed))
    agent = sb3.DQN(
        "MlpPolicy",
        envs,
        policy_kwargs={"net_arch": LAYERS},
        seed=1000 * (seed + 1),  # the environments take it and those that follow it
        device="cpu",
        **DQN,
    )
    agent.learn(STEPS)
    return lambda seen: agent.predict(seen, deterministic=True)[0]


def travelled(role, policy):
    """Hops, distance and last accuracy in each world."""
    keys = jax.vmap(jax.random.key)(jnp.arange(FRESH, FRESH + WORLDS))
    episode = begin(role, keys)
    going, hops, distance = np.ones(WORLDS, bool), np.zeros(WORLDS), np.zeros(WORLDS)
    accuracy, distances = np.zeros(WORLDS), np.asarray(role.distances)
    while going.any():
        seen = np.asarray(look(role, episode))
        came, went = seen[:, :10].argmax(1), np.asarray(policy(seen, episode))
        episode, score, over = hop(role, episode, jnp.asarray(went))
        hops += going
        distance += np.where(going, distances[came, went], 0.0)
        accuracy = np.where(going, np.asarray(score), accuracy)
        going &= ~np.asarray(over)
    values = {"hops": hops, "distance": distance, "accuracy": accuracy}
    return {name: [round(float(x), 4) for x in value] for name, value in values.items()}


@jax.jit
def begin(role, keys):
    return jax.vmap(lambda key: role.begin(key=key))(keys)


@jax.jit
def look(role, episodes):
    return jax.vmap(role.see)(episodes)


@jax.jit
def hop(role, episodes, nodes):
    after, _, over = jax.vmap(functools.partial(transition, role))(episodes, nodes)
    return after, after.progress.score, over


@jax.jit
def greedy(role, episodes):
    """The node that pays most, by trying all."""

    def best(episode):
        pays = jax.vmap(lambda node: transition(role, episode, node)[1])(jnp.arange(10))
        return pays.argmax()

    return jax.lax.map(best, episodes)


def means(found):
    return {name: round(float(np.mean(values)), 3) for name, values in found.items()}


def table(told):
    """One line for each policy."""
    seeds = told["seeds"]
    yield f"`{told['command']}`, {told['date']}: {len(seeds)} seeds, {told['worlds']} worlds."
    yield ""
    yield "| | hops | of the random walk's | distance | of the random walk's | accuracy |"
    yield "|---|---|---|---|---|---|"
    for name in seeds[0]:
        hops, distance, accuracy = (
            np.array([np.mean(seed[name][what]) for seed in seeds])
            for what in ("hops", "distance", "accuracy")
        )
        walks = {w: np.array([np.mean(s["random"][w]) for s in seeds]) for w in seeds[0][name]}
        cells = [
            interval(hops, 2),
            interval(hops / walks["hops"], 3),
            interval(distance, 3),
            interval(distance / walks["distance"], 3),
            interval(accuracy, 3),
        ]
        yield f"| {name} | " + " | ".join(cells) + " |"
    closed = [
        [
            1
            - (np.mean(s["dqn"][w]) - np.mean(s["oracle"][w]))
            / (np.mean(s["random"][w]) - np.mean(s["oracle"][w]))
            for w in ("hops", "distance")
        ]
        for s in seeds
    ]
    yield ""
    hops, distance = (interval(values, 3) for values in np.array(closed).T)
    yield f"The DQN closes {hops} of the gap to the oracle in hops, {distance} in distance."


def interval(values, digits):
    return f"{values.mean():.{digits}f} ± {half_width(values):.{digits}f}"


def here():
    import stable_baselines3  # pyright: ignore[reportMissingImports]
    import torch  # pyright: ignore[reportMissingImports]

    where = machine()._asdict()
    versions = {"stable-baselines3": stable_baselines3.__version__, "torch": torch.__version__}
    return {**where, "versions": where["versions"] | versions}


if __name__ == "__main__":
    main()
