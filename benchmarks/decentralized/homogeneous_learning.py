"""Does a DQN find where to learn next? python benchmarks/decentralized/homogeneous_learning.py

In `HomogeneousLearning-v0` one network hops over ten nodes until its accuracy is 0.80. Each
of ten seeds has distances and two DQNs of its own: Stable-Baselines3 on our vector
environment. One learns from its reward, the thrifty one pays `PRICE` times the distance on
top of that while it learns. What they have learned then travels, without exploring, in fresh
worlds, the same for all, beside

- a random walk: any node, the one it is at among them;
- round-robin: one node after the other;
- the shortest tour over all nodes, again and again;
- a rule written by hand, the best of `CANDIDATES` on worlds and distances of their own, and
  a thrifty one, of the least distance among those that earn at most a tenth less there;
- a greedy oracle, which tries every node and takes the one that pays most.

Means are over worlds and seeds, intervals of 95% by a bootstrap over both. Accuracies
are those of the validation part, which ends the journeys; the test part stays shut. What is
known goes to docs/decentralized/homogeneous_learning.json after each seed, and is measured if
it is missing there, or `--again`; the table goes into docs/decentralized.md, and
docs/decentralized/homogeneous_learning.png shows the journeys.
"""

import argparse
import functools
import importlib.metadata
import itertools
import json
import time
from pathlib import Path

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._page import place
from plasticgym.envs._role import transition
from plasticgym.rules._atomic import write_atomically

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, FOLDER = DOCS / "decentralized.md", DOCS / "decentralized"
FILE = FOLDER / "homogeneous_learning.json"
ID, WORLDS, FRESH = "plasticgym/HomogeneousLearning-v0", 40, 500_000
CHOOSING, CHOICE_ROADS = 600_000, 60
NODES = 10
ENVS, STEPS = 32, 16_000
DQN = {
    "buffer_size": 50_000,
    "learning_starts": 500,
    "batch_size": 256,
    "gamma": 0.99,
    "tau": 0.02,
    "target_update_interval": ENVS,
    "train_freq": 1,
    "gradient_steps": 8,
    "exploration_fraction": 0.3,
    "exploration_final_eps": 0.03,
    "policy_kwargs": {"net_arch": []},  # values are linear in what is seen
}
RATE = 3e-3  # falls to 0 while it trains
PRICE = 2.0  # how much more than in the reward a distance costs the thrifty one, in training
# What lateness costs is 1; what recall is worth and distance costs, in its units.
CANDIDATES = tuple(itertools.product((0.0, 1.0, 2.0, 4.0), (0.5, 1.0, 2.0)))
COLOURS = {
    "random walk": "#999999",
    "round-robin": "#56B4E9",
    "shortest tour": "#009E73",
    "written rule": "#E69F00",
    "thrifty written rule": "#F0E442",
    "DQN": "#D55E00",
    "thrifty DQN": "#CC79A7",
    "oracle": "#0072B2",
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10, help="how many, from 0")
    parser.add_argument("--again", action="store_true")
    given = parser.parse_args()
    pg.benchmarks.use_cache()
    told = json.loads(FILE.read_text()) if FILE.is_file() and not given.again else begun()
    for seed in range(len(told["seeds"]), given.seeds):
        told["seeds"].append(measured(seed, told["rule"]))
        write_atomically(FILE, (json.dumps(told) + "\n").encode())
        print(seed, {name: means(told["seeds"][-1][name]) for name in COLOURS}, flush=True)
    report = "\n".join(table(told))
    print(report)
    place(PAGE, "journeys", report)
    draw(told["seeds"])


def begun():
    """What is known before the first seed: settings, and which written rule is best."""
    return {
        "command": "python benchmarks/decentralized/homogeneous_learning.py",
        **here(),
        "dqn": DQN | {"learning_rate": RATE},
        "price": PRICE,
        "steps": STEPS,
        "environments": ENVS,
        "worlds": WORLDS,
        "rule": tried(),
        "seeds": [],
    }


def measured(seed, rules):
    """How each policy travels under the distances of a seed."""
    role = role_of(seed)
    rng, tour = np.random.default_rng(seed), shortest_tour(np.asarray(role.distances))
    learned, took = trained(seed, 0.0)
    thrifty, took_thrifty = trained(seed, PRICE)
    policies = {
        "random walk": lambda seen, episode: rng.integers(0, NODES, len(seen)),
        "round-robin": lambda seen, episode: (at(seen) + 1) % NODES,
        "shortest tour": lambda seen, episode: tour[at(seen)],
        "written rule": lambda seen, episode: by_rule(seen, *richest(rules)),
        "thrifty written rule": lambda seen, episode: by_rule(seen, *thriftiest(rules)),
        "DQN": lambda seen, episode: learned(seen),
        "thrifty DQN": lambda seen, episode: thrifty(seen),
        "oracle": lambda seen, episode: greedy(role, episode),
    }
    found = {name: travelled(role, policy, FRESH) for name, policy in policies.items()}
    return found | {"seconds": [took, took_thrifty]}


def role_of(roads):
    env = gymnasium.make(ID, roads=roads)
    return env.unwrapped.role  # pyright: ignore[reportAttributeAccessIssue]


def at(seen):
    return columns(seen)[0].argmax(1)


def columns(seen):
    """What is seen of each node: `at`, `recall`, `lately` and `distance`."""
    return seen[:, : 4 * NODES].reshape(-1, 4, NODES).swapaxes(0, 1)


def by_rule(seen, worth, price):
    """Where the class is known, the network was not lately, and the way is short."""
    _, recall, lately, distance = columns(seen)
    return (worth * recall - lately - price * distance).argmax(1)


def tried():
    """What the candidates earn in worlds and with distances of their own."""
    role, earned = role_of(CHOICE_ROADS), []
    for candidate in CANDIDATES:

        def policy(seen, episode, candidate=candidate):
            return by_rule(seen, *candidate)

        earned.append(means(travelled(role, policy, CHOOSING)))
    return {"candidates": CANDIDATES, "earned": earned}


def richest(rules):
    """The candidate that earns most."""
    return rules["candidates"][int(np.argmax([told["return"] for told in rules["earned"]]))]


def thriftiest(rules):
    """The candidate of the least distance among those that earn at most a tenth less."""
    earned = np.array([told["return"] for told in rules["earned"]])
    ways = np.array([told["distance"] for told in rules["earned"]])
    near = earned >= 1.1 * earned.max()  # returns are below 0
    return rules["candidates"][int(np.where(near, ways, np.inf).argmin())]


def shortest_tour(distances):
    """Which node follows each on the shortest way round."""
    rest = np.array([*itertools.permutations(range(1, NODES))])
    ways = np.concatenate([np.zeros((len(rest), 1), int), rest], 1)
    best = ways[distances[ways, np.roll(ways, -1, 1)].sum(1).argmin()]
    follows = np.empty(NODES, int)
    follows[best] = np.roll(best, -1)
    return follows


class Dearer(gymnasium.vector.VectorWrapper):
    """The environments with a reward from which distances are taken so many times more."""

    def __init__(self, envs, price):
        super().__init__(envs)
        self.price, self.seen = price, None

    def reset(self, *, seed=None, options=None):
        self.seen, infos = self.env.reset(seed=seed, options=options)
        return self.seen, infos

    def step(self, actions):
        distance = np.take_along_axis(columns(self.seen)[3], actions[:, None], 1)[:, 0] / 10
        self.seen, rewards, terminated, truncated, infos = self.env.step(actions)
        return self.seen, rewards - self.price * distance, terminated, truncated, infos


def trained(seed, price):
    """The policy that a DQN found, and the seconds of one core that it and its worlds took."""
    import stable_baselines3 as sb3  # pyright: ignore[reportMissingImports]
    import torch  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(1)
    envs = Dearer(gymnasium.make_vec(ID, num_envs=ENVS, roads=seed), price)
    agent = sb3.DQN(
        "MlpPolicy",
        pg.envs.to_sb3(envs),
        learning_rate=lambda left: RATE * left,
        seed=1000 * (seed + 1),  # the environments take it and those that follow it
        device="cpu",
        **DQN,
    )
    began = time.process_time()
    agent.learn(STEPS)
    took = time.process_time() - began
    return lambda seen: agent.predict(seen, deterministic=True)[0], round(took, 1)


def travelled(role, policy, first):
    """Hops, distance, last accuracy and return in each world."""
    keys = jax.vmap(jax.random.key)(jnp.arange(first, first + WORLDS))
    episode = begin(role, keys)
    going = np.ones(WORLDS, bool)
    hops, distance, accuracy, earned = np.zeros((4, WORLDS))
    distances = np.asarray(role.distances)
    while going.any():
        seen = np.asarray(look(role, episode))
        went = np.asarray(policy(seen, episode))
        episode, score, reward, over = hop(role, episode, jnp.asarray(went))
        hops += going
        distance += np.where(going, distances[at(seen), went], 0.0)
        earned += np.where(going, np.asarray(reward), 0.0)
        accuracy = np.where(going, np.asarray(score), accuracy)
        going &= ~np.asarray(over)
    values = {"hops": hops, "distance": distance, "accuracy": accuracy, "return": earned}
    return {name: [round(float(x), 4) for x in value] for name, value in values.items()}


@jax.jit
def begin(role, keys):
    return jax.vmap(lambda key: role.begin(key=key))(keys)


@jax.jit
def look(role, episodes):
    return jax.vmap(role.see)(episodes)


@jax.jit
def hop(role, episodes, nodes):
    after, reward, over = jax.vmap(functools.partial(transition, role))(episodes, nodes)
    return after, after.progress.score, reward, over


@jax.jit
def greedy(role, episodes):
    """The node that pays most, by trying all."""

    def best(episode):
        pays = jax.vmap(lambda node: transition(role, episode, node)[1])(jnp.arange(NODES))
        return pays.argmax()

    return jax.lax.map(best, episodes)


def means(found):
    return {name: round(float(np.mean(values)), 3) for name, values in found.items()}


def table(told):
    """One line for each policy, and how the DQNs stand to the oracle and the written rules."""
    seeds = told["seeds"]
    yield "| | hops | of the random walk's | distance | of the random walk's | return |"
    yield "|---|---|---|---|---|---|"
    for name in COLOURS:
        own = functools.partial(interval, seeds)
        cells = [
            own(lambda mean, name=name: mean(name, "hops"), 1),
            own(lambda mean, name=name: share(mean, name, "hops"), 2),
            own(lambda mean, name=name: mean(name, "distance"), 2),
            own(lambda mean, name=name: share(mean, name, "distance"), 2),
            own(lambda mean, name=name: mean(name, "return"), 2),
        ]
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""
    yield "| | gap in distance closed | written rule minus it: hops | distance | return |"
    yield "|---|---|---|---|---|"
    for name, rule in (("DQN", "written rule"), ("thrifty DQN", "thrifty written rule")):
        cells = [interval(seeds, lambda mean, name=name: closed(mean, name), 2)]
        for what in ("hops", "distance", "return"):
            apart = lambda mean, what=what, name=name, rule=rule: (  # noqa: E731
                mean(rule, what) - mean(name, what)
            )
            cells.append(interval(seeds, apart, 2))
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""
    yield f"Means over {told['worlds']} worlds of each of {len(seeds)} seeds, and 95% intervals"
    yield "by a bootstrap over both. The thrifty DQN is set against the thrifty rule."
    yield f"`{told['command']}`; {told['machine']}."


def share(mean, name, what):
    """Of what the random walk needs."""
    return mean(name, what) / mean("random walk", what)


def closed(mean, name):
    """The share of the gap in distance between the random walk and the oracle."""
    walk, best = mean("random walk", "distance"), mean("oracle", "distance")
    return (walk - mean(name, "distance")) / (walk - best)


def interval(seeds, statistic, digits):
    """Its value, and where 95% of those lie that seeds and worlds drawn again would give."""
    values = functools.cache(lambda name, what: np.array([seed[name][what] for seed in seeds]))
    count, worlds = values("oracle", "hops").shape
    rng, drawn = np.random.default_rng(0), []
    for _ in range(2_000):
        again = np.ix_(rng.integers(0, count, count), rng.integers(0, worlds, worlds))
        drawn.append(
            statistic(lambda name, what, again=again: values(name, what)[again].mean())
        )
    value = statistic(lambda name, what: values(name, what).mean())
    low, high = np.quantile(drawn, (0.025, 0.975))
    return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def over_seeds(seeds, name, what):
    return np.array([np.mean(seed[name][what]) for seed in seeds])


def draw(seeds):
    """Hops and distance of each policy, as shares of the random walk's; a dot is a seed."""
    figure = Figure(figsize=(7.0, 4.4), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    walks = [over_seeds(seeds, "random walk", what) for what in ("hops", "distance")]
    for name, colour in COLOURS.items():
        shares = [
            over_seeds(seeds, name, what) / walk
            for what, walk in zip(("hops", "distance"), walks, strict=True)
        ]
        panel.scatter(*shares, color=colour, alpha=0.7, label=name)
    panel.axvline(0.8, color="grey", linewidth=0.8, linestyle=":")
    panel.axhline(0.55, color="grey", linewidth=0.8, linestyle=":")
    panel.set_xlabel("hops to an accuracy of 0.80, of the random walk's")
    panel.set_ylabel("distance, of the random walk's")
    panel.set_ylim(bottom=0.0)
    panel.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(FOLDER / "homogeneous_learning.png")


def here():
    where = machine()
    learner = {p: importlib.metadata.version(p) for p in ("stable-baselines3", "torch")}
    return {"machine": str(where._replace(versions=where.versions | learner))}


if __name__ == "__main__":
    main()
