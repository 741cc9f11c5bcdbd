"""Features that a homeostat begins with: python benchmarks/control/features.py

Fixed weights are evolved to move a pendulum by one neuron below the output, as in compare.py
and by its budget, twice; what does better in worlds that chose nothing yet is kept. What is
written to rules/genomes is a homeostat that draws around all of it but the output: the recipe
`pendulum-homeostat` begins there. Then ten trainings by that recipe, and the shares of the
range that their champions reach in the worlds of compare.py, in the last 200 presentations.
Writes docs/control/features.json.
"""

import json
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from compare import (
    BUDGET,
    FOLDER,
    GENERATIONS,
    NARROW,
    SEEN,
    SEEN_AT,
    SETTINGS,
    around,
    by_setting,
    place,
    searched,
    shares,
    stacked,
    steep,
)

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.rules._atomic import write_atomically

BODY = "Pendulum-v0"
PATH = Path(pg.__file__).parent / "rules" / "genomes" / "homeostat-pendulum.safetensors"
SEEDS, CHOSEN_ON, REPORTED_ON, RECIPES = (50, 51), 8600, 9500, range(10)


def main():
    command = shlex.join(["python", "benchmarks/control/features.py", *sys.argv[1:]])
    problem: Any = place(BODY, NARROW, changes=SEEN)
    stack, found = stacked(BODY, problem), []
    for seed in SEEDS:
        make = partial(steep, problem)
        rule, spread = searched(BODY, make, sum(GENERATIONS[BODY]), problem, seed)
        share = shares(rule, stack, CHOSEN_ON)[SEEN_AT, 1]
        found.append((share, seed, spread, rule.weights))
        print(f"seed {seed}: {share:.3f}", flush=True)
    _, seed, spread, weights = max(found, key=lambda f: f[0])
    where = {BODY: [BODY, {"hidden": NARROW, "changes": SEEN}]}
    pg.rules.save_genome(
        PATH,
        around(BODY, problem, weights),
        name="homeostat",
        options={"layers": list(problem.body.layers)},
        provenance={
            "command": command,
            "seed": seed,
            "agent_options": {**BUDGET, "spread": spread},
            "problems": where,
        },
    )
    runs = []
    begun = shares(pg.rules.load_genome(PATH), stack, REPORTED_ON)[:, 1]
    for seed in RECIPES:
        run = pg.agents.recipe("pendulum-homeostat", seed=seed)
        done = pg.agents.train(*run.build(), generations=run.generations, seed=seed)
        runs.append(shares(done.rule, stack, REPORTED_ON + seed)[:, 1])
    record = {
        "machine": machine()._asdict(),
        "command": command,
        "seeds": list(RECIPES),
        "reported on": [REPORTED_ON + seed for seed in RECIPES],
        "begun at": dict(zip(SETTINGS, begun.tolist(), strict=True)),
        "recipe": by_setting(np.stack(runs)),
    }
    for setting, told in record["recipe"].items():
        first = f"{setting:10} {record['begun at'][setting]:.3f}"
        print(f"{first}, then {told['mean']:.3f} +- {told['half_width']:.3f}")
    write_atomically(FOLDER / "features.json", (json.dumps(record, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
