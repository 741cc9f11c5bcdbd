"""Finds the one rate of each bare rule: python benchmarks/references/tune_rates.py

For each rule, 14 rates, half a decade apart at first and extended until the best is
interior, then 14 more around the best. The best has the highest mean normalised score on
the *validation* parts of the seen problems of smoke-v0, after lives from 64 seeds of its
own. Genomes are written to rules/genomes/, each with this command and its figures.
"""

import argparse
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import plasticgym as pg

RULES = ("sgd", "momentum", "adam")
SEEDS = 64
GENOMES = Path(__file__).resolve().parents[2] / "rules" / "genomes"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rules", nargs="*", default=RULES)
    names = parser.parse_args().rules
    suite = pg.benchmarks.suite("smoke-v0")
    problems = {name: setting.build() for name, setting in suite.seen.items()}
    for name in names:
        rule = pg.rules.make(name)
        tried, best = {}, 0.1
        rates = list(np.round(10.0 ** (np.arange(-10, 4) / 2), 12))
        while rates:
            tried |= dict(zip(rates, scores(rule, rates, problems), strict=True))
            best, known = max(tried, key=lambda rate: tried[rate].mean()), sorted(tried)
            rates = [known[-1] * 10**0.5] if best == known[-1] and best < 1e4 else []
            rates += [known[0] / 10**0.5] if best == known[0] and best > 1e-8 else []
        fine = list(best * 10.0 ** np.linspace(-0.45, 0.45, 14))
        tried |= dict(zip(fine, scores(rule, fine, problems), strict=True))
        best = max(tried, key=lambda rate: tried[rate].mean())
        for rate in sorted(tried):
            print(f"{name:9} {rate:11.3g}", *(f"{s:.3f}" for s in tried[rate]))
        validation = {n: round(float(s), 4) for n, s in zip(problems, tried[best], strict=True)}
        print(f"{name:9} best {best:.3g} with validation scores {validation}")
        pg.rules.save_genome(
            GENOMES / f"{name}.safetensors",
            pg.rules.make(name, rate=float(f"{best:.3g}")),
            name=name,
            provenance={
                "command": f"python benchmarks/references/tune_rates.py {name}",
                "seeds": f"0 to {SEEDS - 1}",
                "rates tried": len(tried),
                "problems": {n: [s.problem, dict(s.options)] for n, s in suite.seen.items()},
                "normalised validation scores": validation,
                "plasticgym": pg.__version__,
                "jax": jax.__version__,
            },
        )


def scores(rule, rates, problems):
    """Mean normalised last validation scores, one row per rate, one column per problem."""
    stacked = jnp.stack(
        [pg.rules.genome(eqx.tree_at(_rate, rule, jnp.asarray(r, float))) for r in rates]
    )
    keys = jax.vmap(jax.random.key)(jnp.arange(SEEDS))
    columns = []
    for problem in problems.values():
        last = _last(rule, stacked, problem, keys)
        columns.append(np.asarray((last - problem.chance.score) / (1 - problem.chance.score)))
    return np.stack(columns, 1)


@eqx.filter_jit
def _last(rule, genomes, problem, keys):
    def mean(genome):
        mine = pg.rules.with_genome(rule, genome)
        return pg.envs.lives(mine, problem, keys=keys).tests.score[:, -1].mean()

    return jax.lax.map(mean, genomes)


def _rate(rule):
    return rule.rate


if __name__ == "__main__":
    main()
