"""Finds the one rate of each bare rule: python benchmarks/references/tune_rates.py

For each rule, 14 rates, half a decade apart at first and extended until the best is
interior, then 14 more around the best. The best has the highest mean normalised score on
the *validation* parts of the seen problems of smoke-v0, after lives from 64 seeds of its
own. Genomes are written to rules/genomes/, each with this command and its figures.
"""

import argparse
from pathlib import Path

import jax
import numpy as np

import plasticgym as pg
from plasticgym.benchmarks._rates import TUNED, best, last_scores, search

SEEDS = range(64)
GENOMES = Path(__file__).resolve().parents[2] / "rules" / "genomes"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rules", nargs="*", default=TUNED)
    names = parser.parse_args().rules
    suite = pg.benchmarks.suite("smoke-v0")
    problems = {name: setting.build() for name, setting in suite.seen.items()}
    for name in names:
        rule = pg.rules.make(name)

        def scores_at(rates, rule=rule):
            return normalised(rule, rates, problems.values())

        tried, coarse = search(scores_at)
        fine = list(coarse * 10.0 ** np.linspace(-0.45, 0.45, 14))
        tried |= dict(zip(fine, scores_at(fine), strict=True))
        chosen = best(tried)
        for rate in sorted(tried):
            print(f"{name:9} {rate:11.3g}", *(f"{s:.3f}" for s in tried[rate]))
        validation = {
            n: round(float(s), 4) for n, s in zip(problems, tried[chosen], strict=True)
        }
        print(f"{name:9} best {chosen:.3g} with validation scores {validation}")
        pg.rules.save_genome(
            GENOMES / f"{name}.safetensors",
            pg.rules.make(name, rate=float(f"{chosen:.3g}")),
            name=name,
            provenance={
                "command": f"python benchmarks/references/tune_rates.py {name}",
                "seeds": f"{SEEDS[0]} to {SEEDS[-1]}",
                "rates tried": len(tried),
                "problems": {n: [s.problem, dict(s.options)] for n, s in suite.seen.items()},
                "normalised validation scores": validation,
                "plasticgym": pg.__version__,
                "jax": jax.__version__,
            },
        )


def normalised(rule, rates, problems):
    """Mean normalised last validation scores, one row per rate, one column per problem."""
    columns = []
    for problem in problems:
        chance = float(problem.chance.score)
        columns.append((last_scores(rule, rates, problem, seeds=SEEDS) - chance) / (1 - chance))
    return np.stack(columns, 1)


if __name__ == "__main__":
    main()
