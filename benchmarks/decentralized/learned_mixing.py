"""A learned mixing: python benchmarks/decentralized/learned_mixing.py

`Learned` begins as the average. `MetaGradient` trains its 40 numbers, and nothing else, on
small replicas (64-16-10, five of them, 50 rows measured, six rounds): 25 meta-steps of 12
lives, in half of which the labels of two shards are moved; in half of the others two
replicas tell the opposite of what they learned. The loss is that on the *validation* part
after rounds 2, 4 and 6. There was one training, with seed 0, and nothing was chosen.

It is then measured where the fixed mixings were (`replicas.py`, which has to run before), on
larger networks for 30 rounds, with the same seeds, so that differences are paired. Shuffled
pixels it has never met. The best fixed mixing is the one that scored most in that very
measurement, on the *test* part, which favours it.

Writes docs/decentralized/learned_mixing.json and learned_mixing.md.
"""

import json
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from replicas import (
    BAD,
    EVERY,
    FOLDER,
    HONEST,
    LYING,
    ROUNDS,
    RULE,
    SEEDS,
    WRONG,
    told,
    under_stress,
)

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.rules import Learned, Poisoned, Replicas
from plasticgym.rules._atomic import write_atomically

REPLICAS, MEASURED, META_STEPS, SEED = 5, 50, 25, 0
TESTS = (2 * EVERY, 4 * EVERY)
SMALL = {
    "hidden": (16,),
    "batch": 10 * REPLICAS,
    "k": REPLICAS,
    "measured": MEASURED,
    "presentations": 6 * EVERY,
    "skew": "even",
    "stressor": "label-shift",
}
AGENT = {"rate": 0.1, "lives": 6, "horizon": META_STEPS}


def main():
    pg.benchmarks.use_cache()
    fixed = json.loads((FOLDER / "replicas.json").read_text())
    mixing, losses = trained()
    found = under_stress({"learned": mixing})["stressed"]["learned"]
    report = {
        "command": "python benchmarks/decentralized/learned_mixing.py",
        "machine": machine()._asdict(),
        "trained": {"seed": SEED, "fitness": losses},
        "genome": pg.rules.genome(mixing).tolist(),  # pyright: ignore[reportArgumentType]
        "seeds": SEEDS,
        "rounds": ROUNDS,
        "learned": found,
    }
    write_atomically(
        FOLDER / "learned_mixing.json", (json.dumps(report, allow_nan=False) + "\n").encode()
    )
    text = page(report, fixed["stressed"])
    write_atomically(FOLDER / "learned_mixing.md", text.encode())


def trained() -> tuple[Learned, list[float]]:
    """A mixing, and its fitness at every meta-step."""
    lying = Poisoned(Learned(), bad=BAD)
    rule = Replicas(RULE, lying, EVERY, replicas=REPLICAS, measured=MEASURED)
    problems = [pg.envs.sharded_digits(**SMALL, bad=bad) for bad in (0, BAD)]
    fields = {name.partition("[")[0] for name in pg.rules.gene_names(rule)}
    still = tuple(sorted(f for f in fields if f.rpartition(".")[2] not in ("first", "second")))
    agent = pg.agents.MetaGradient(**AGENT, fixed=still)
    search = agent.init(rule, problems, key=jax.random.key(SEED))
    update = eqx.filter_jit(lambda search: agent.descended(rule, problems, search, held_out))
    fitness = []
    for _ in range(META_STEPS):
        search, generation = update(search)
        fitness.append(round(float(generation.mean), 4))
        print(len(fitness), fitness[-1], flush=True)
    champion: Any = agent.champion(rule, search)
    return champion.mixing.mixing, fitness


def held_out(rule, problem, key):
    """The mean loss on the validation part; liars are in half of the lives on sound shards."""
    key_lie, key_live = jax.random.split(key)
    lying = (problem.bad == 0) & jax.random.bernoulli(key_lie)
    scale = jnp.where(lying, LYING, HONEST)
    rule = eqx.tree_at(lambda r: r.mixing.scale, rule, scale)
    record = pg.envs.live(rule, problem, key=key_live, tests=TESTS)
    return record.tests.loss.mean(), record.diverged


def page(report, fixed) -> str:
    ends = {w: np.asarray(found)[:, -1] for w, found in report["learned"].items()}
    others = {m: {w: np.asarray(of[w])[:, -1] for w in WRONG} for m, of in fixed.items()}
    best = {w: max(others, key=lambda m: others[m][w].mean()) for w in WRONG}
    rows = [
        [f"after round {ROUNDS[-1]}", *WRONG],
        ["---"] * (len(WRONG) + 1),
        ["learned", *(told(ends[w]) for w in WRONG)],
        ["best fixed mixing", *(f"`{best[w]}` {told(others[best[w]][w])}" for w in WRONG)],
        ["learned - best fixed", *(told(ends[w] - others[best[w]][w]) for w in WRONG)],
        *(
            [f"learned - `{m}`", *(told(ends[w] - of[w]) for w in WRONG)]
            for m, of in others.items()
        ),
    ]
    note = (
        "Accuracy on the test part in percent; means ± 95% intervals (Student's t) over "
        f"{len(SEEDS)} seeds, differences paired. `{report['command']}`; {machine()}."
    )
    return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), "", note, ""])


if __name__ == "__main__":
    main()
