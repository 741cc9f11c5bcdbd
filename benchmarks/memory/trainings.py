"""Trainings side by side: as many for each of some rates, in one program."""

import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import plasticgym as pg
from plasticgym.agents._train import begin
from plasticgym.rules import with_genome

TRAININGS, RATES = range(10), (0.1, 0.3)
Genomes = jax.Array  # a genome for each rate and training, shape (rates * trainings, genes)


def begun(rules) -> Genomes:
    """The genomes of one rule for each training, for all rates."""
    return jnp.tile(jnp.stack([pg.rules.genome(rule) for rule in rules]), (len(RATES), 1))


def trained(rule, genomes: Genomes, problems, steps: int, lives: int = 4) -> Genomes:
    """All genomes after so many meta-gradients through whole lives."""
    agent = pg.agents.MetaGradient(lives=lives)
    rates = jnp.repeat(jnp.asarray(RATES), len(TRAININGS))
    seeds = jnp.tile(jnp.asarray(TRAININGS), len(RATES))
    first = lambda g, seed: begin(agent, with_genome(rule, g), problems, seed=seed)  # noqa: E731
    search = jax.vmap(first)(genomes, seeds)
    for done in range(1, steps + 1):
        search = jax.block_until_ready(_updated(agent, rule, problems, rates, search))
        print(f"{done} of {steps}", time.strftime("%X"), file=sys.stderr, flush=True)
    return search.progress["genome"]


@eqx.filter_jit
def _updated(agent, rule, problems, rates, search):
    """All searches, one meta-step later."""

    def one(rate, search):
        mine = eqx.tree_at(lambda a: a.rate, agent, rate)
        return mine.update(rule, problems, search)[0]

    return jax.vmap(one)(rates, search)


def measured(genomes: Genomes, of, seeds) -> dict[str, np.ndarray]:
    """`of(genome, seeds, part)` of each part that has seeds, by rate and training."""
    return {
        part: np.array([of(g, lives, part) for g in genomes]).reshape(len(RATES), -1)
        for part, lives in seeds.items()
    }


def best(found: dict[str, np.ndarray]) -> tuple[int, np.ndarray]:
    """The rate that is best on the validation part, and what it reaches on the test part."""
    at = int(found["validation"].mean(1).argmax())
    return at, found["test"][at]
