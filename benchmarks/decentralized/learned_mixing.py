"""A learned mixing: python benchmarks/decentralized/learned_mixing.py

`Learned` begins as the average. `MetaGradient` trains its 40 numbers, and nothing else, on
small replicas (64-16-10, five of them, 50 rows measured, six rounds), 12 lives in a meta-step:
in about a third nothing is wrong, in a third two replicas tell the opposite of what they
learned, and in a third the labels of two shards are moved. What is descended is the *logarithm*
of the loss on the validation part after rounds 2, 4 and 6, so that a loss that is doubled
counts alike where it is large, under stress, and where it is small.

Of three trainings, after 20 and after 40 meta-steps, that mixing is taken which scores most on
the validation part after 30 rounds of larger replicas, over eight other seeds, in the mean of
the three conditions that it was trained in. Shuffled pixels it meets in neither. The gate has
its tolerance chosen of five in the same way.

It is then measured where the fixed mixings were (`replicas.py`, which has to run before), with
the same seeds, so that differences are paired.

Writes docs/decentralized/learned_mixing.json; page.py makes a table of it.
"""

import json
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from replicas import BAD, EVERY, FOLDER, HONEST, LYING, ROUNDS, RULE, SEEDS, WRONG, under_stress

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.rules import GatedAverage, Learned, Poisoned, Replicas
from plasticgym.rules._atomic import write_atomically

REPLICAS, MEASURED, TRAININGS, META_STEPS = 5, 50, (0, 1, 2), (20, 40)
TESTS, CHOOSING = (2 * EVERY, 4 * EVERY), tuple(range(7200, 7208))
UNMET = "pixels shuffled"
GATES = {f"gated({t})": GatedAverage(t) for t in (0.001, 0.003, 0.01, 0.03, 0.1)}
SMALL = {
    "hidden": (16,),
    "batch": 10 * REPLICAS,
    "k": REPLICAS,
    "measured": MEASURED,
    "presentations": 6 * EVERY,
    "skew": "even",
    "stressor": "label-shift",
}


def main():
    pg.benchmarks.use_cache()
    mixings, fitness = trained()
    best, means = chosen(mixings)
    gate, tolerances = chosen(GATES)
    found = under_stress({"learned": mixings[best]})
    tuned = under_stress({"gated, tuned": GATES[gate]})["stressed"]["gated, tuned"]
    report = {
        "command": "python benchmarks/decentralized/learned_mixing.py",
        "machine": machine()._asdict(),
        "trained": {"fitness": fitness, "validation": means, "chosen": best},
        "genome": pg.rules.genome(mixings[best]).tolist(),
        "seeds": SEEDS,
        "rounds": ROUNDS,
        "learned": found["stressed"]["learned"],
        "diverged": found["diverged"]["learned"],
        "gate": {"validation": tolerances, "chosen": gate, "tuned": tuned},
    }
    text = json.dumps(report, allow_nan=False) + "\n"
    write_atomically(FOLDER / "learned_mixing.json", text.encode())


def chosen(mixings) -> tuple[str, dict[str, float]]:
    """Which of them scores most on the validation part, and what each does."""
    met = {wrong: what for wrong, what in WRONG.items() if wrong != UNMET}
    tried = under_stress(mixings, wrongs=met, seeds=CHOOSING, part="validation")["stressed"]
    means = {
        name: float(np.mean([np.asarray(scores)[:, -1] for scores in found.values()]))
        for name, found in tried.items()
    }
    return max(means, key=lambda name: means[name]), means


def trained() -> tuple[dict[str, Any], dict[str, list[float]]]:
    """Mixings, by training and number of meta-steps, and the fitness at every meta-step."""
    rule = Replicas(
        RULE, Poisoned(Learned(), bad=BAD), EVERY, replicas=REPLICAS, measured=MEASURED
    )
    problems = [pg.envs.sharded_digits(**SMALL, bad=bad) for bad in (0, 0, BAD)]
    fields = {name.partition("[")[0] for name in pg.rules.gene_names(rule)}
    still = tuple(sorted(f for f in fields if f.rpartition(".")[2] not in ("first", "second")))
    agent = pg.agents.MetaGradient(rate=0.1, lives=4, fixed=still)
    update = eqx.filter_jit(lambda search: agent.descended(rule, problems, search, held_out))
    mixings, fitness = {}, {}
    for seed in TRAININGS:
        search = agent.init(rule, problems, key=jax.random.key(seed))
        told = fitness[f"training {seed}"] = []
        for n in range(1, META_STEPS[-1] + 1):
            search, generation = update(search)
            told.append(round(float(generation.mean), 4))
            if n in META_STEPS:
                champion: Any = agent.champion(rule, search)
                mixings[f"training {seed}, {n} meta-steps"] = champion.mixing.mixing
        print(seed, told, flush=True)
    return mixings, fitness


def held_out(rule, problem, key):
    """The log of the loss on the validation part; in half of sound shards' lives some lie."""
    key_lie, key_live = jax.random.split(key)
    lying = (problem.bad == 0) & jax.random.bernoulli(key_lie)
    scale = jnp.where(lying, LYING, HONEST)
    rule = eqx.tree_at(lambda r: r.mixing.scale, rule, scale)
    record = pg.envs.live(rule, problem, key=key_live, tests=TESTS)
    # In multiples of the chance loss, by which `MetaGradient` divides.
    loss = problem.chance.loss * jnp.log(record.tests.loss).mean()
    return loss, record.diverged


if __name__ == "__main__":
    main()
