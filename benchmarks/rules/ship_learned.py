"""Ships a trained rule: python benchmarks/rules/ship_learned.py NAME FOLDER

FOLDER is what `plasticgym train --recipe NAME --out FOLDER` left. Its genome goes to
rules/genomes/NAME.safetensors with its mean scores on the *validation* part, 32 seeds,
beside those of the rule before training.
"""

import argparse
from pathlib import Path

import jax

import plasticgym as pg

GENOMES = Path(__file__).resolve().parents[2] / "rules" / "genomes"
SHORT = {"xor": ("Xor-v0", {}), "moons": ("Moons-v0", {}), "digits": ("Digits-v0", {})}
LONG = {"digits, 400 presentations": ("Digits-v0", {"presentations": 400})}
PROBLEMS = {"vsml": SHORT, "learned-optimizer": SHORT | LONG}
LIVES, AT_ONCE = 32, 4  # VSML holds every synapse of every row


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=tuple(PROBLEMS))
    parser.add_argument("folder", type=Path)
    told = parser.parse_args()
    pg.benchmarks.use_cache()
    found = pg.rules.read_genome(told.folder / "genome.safetensors")
    rules = {
        "untrained": pg.rules.make(told.name, **structure(told.name)),
        "begun at": pg.rules.make(told.name, **found.options),
        "trained": pg.rules.load_genome(told.folder / "genome.safetensors", told.name),
    }
    scores = {name: validation(rule, PROBLEMS[told.name]) for name, rule in rules.items()}
    for name, each in scores.items():
        print(f"{name}:", ", ".join(f"{k} {v:.4f}" for k, v in each.items()))
    pg.rules.save_genome(
        GENOMES / f"{told.name}.safetensors",
        rules["trained"],
        name=told.name,
        options=structure(told.name),
        provenance={**found.provenance, "validation scores": scores},
    )


def structure(name):
    """The options that build a rule of the shipped one's structure."""
    return {"states": 8} if name == "vsml" else {}


def validation(rule, problems):
    """The mean score of lives on each problem."""
    scores = {}
    for name, (problem, options) in problems.items():
        built = pg.envs.problem(problem, **options)
        keys = jax.random.split(jax.random.key(0), LIVES).reshape(-1, AT_ONCE)
        records = [pg.envs.lives(rule, built, keys=some) for some in keys]
        mean = sum(float(r.tests.score[:, -1].mean()) for r in records) / len(records)
        scores[name] = round(mean, 4)
    return scores


if __name__ == "__main__":
    main()
