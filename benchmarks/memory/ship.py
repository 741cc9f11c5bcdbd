"""Ships the trained remembering rule: python benchmarks/memory/ship.py FOLDER

FOLDER is what `plasticgym train --recipe remembering-digits --out FOLDER` left. Its genome
goes to rules/genomes/remembering-recurrent.safetensors with the bits per float that it
remembers of random patterns and of digits on the *validation* part, 16 seeds, at the number
stored at which it remembers most, beside those of the genome at which its training began.
"""

import argparse
from pathlib import Path
from typing import Any

import plasticgym as pg
from plasticgym.benchmarks import remembered

GENOME = (
    Path(__file__).resolve().parents[2]
    / "rules"
    / "genomes"
    / "remembering-recurrent.safetensors"
)
SEEDS, STORED = range(8100, 8116), (8, 16, 24, 32, 40, 48, 56, 64, 80)
SIZES: dict[str, Any] = {"stored": STORED[-1], "delay": 0, "hidden": 0}
PROBLEMS = {
    "random patterns": lambda: pg.envs.remember(bits=64, **SIZES),
    "digits": lambda: pg.envs.remember_digits(part="validation", **SIZES),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    path = parser.parse_args().folder / "genome.safetensors"
    pg.benchmarks.use_cache()
    found = pg.rules.read_genome(path)
    rules = {
        "begun at": pg.rules.make("remembering", **found.options),
        "trained": pg.rules.load_genome(path, "remembering"),
    }
    scores = {name: validation(rule) for name, rule in rules.items()}
    print(scores)
    pg.rules.save_genome(
        GENOME,
        rules["trained"],
        name="remembering",
        options={"genome": "projection", "topology": "recurrent"},
        provenance={
            **found.provenance,
            "command": found.provenance["command"].partition(" --out")[0],
            "bits per float, validation": scores,
        },
    )


def validation(rule):
    """The mean bits per float of each problem at the best number stored."""
    settings, best = [(n, 0) for n in STORED], {}
    for name, problem in PROBLEMS.items():
        found = remembered(rule, problem(), seeds=SEEDS, part="validation", settings=settings)
        densities = [float(f.density.mean()) for f in found]
        most = max(range(len(STORED)), key=densities.__getitem__)
        best[name] = {"stored": STORED[most], "bits per float": round(densities[most], 4)}
    return best


if __name__ == "__main__":
    main()
