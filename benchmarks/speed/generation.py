"""What a generation of CMA-ES costs beyond its lives: python benchmarks/speed/generation.py

Population 64 of BLUR with two states, one life each on digits, xor, moons and circle, 20
presentations. A whole generation is timed against the same number of lives alone, one
`vmap` of `live` per problem, in alternating pairs after compilation; the last line is how
long the generation takes as a multiple of the lives.
"""

import argparse
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import plasticgym as pg

POPULATION, PRESENTATIONS = 64, 20


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    pairs = parser.parse_args().pairs
    problems = (
        pg.envs.digits(presentations=PRESENTATIONS),
        *(pg.envs.plane(n, presentations=PRESENTATIONS) for n in ("xor", "moons", "circle")),
    )
    rule = pg.rules.make("blur", states=2)
    agent = pg.agents.Evolution(population=POPULATION, lives=1)
    search = jax.jit(lambda key: agent.init(rule, problems, key=key))(jax.random.key(0))
    update = eqx.filter_jit(agent.update)
    genomes = jnp.broadcast_to(pg.rules.genome(rule), (POPULATION, pg.rules.genome(rule).size))

    def generation():
        return update(rule, problems, search)

    def alone():
        return [lives(rule, genomes, problem, jax.random.key(1)) for problem in problems]

    report = generation()[1]
    print(f"jax {jax.__version__}; mean fitness of the generation {float(report.mean):.3f}")
    alone()
    times = np.array([[clock(generation), clock(alone)] for _ in range(pairs)])
    for name, column in zip(("generation", "its lives"), times.T, strict=True):
        print(f"{name:10} {np.median(column):.4f} s")
    low, median, high = np.percentile(times[:, 0] / times[:, 1], [25, 50, 75])
    print(f"generation ratio {median:.3f} (quartiles {low:.3f} to {high:.3f})")


@eqx.filter_jit
def lives(rule, genomes, problem, key):
    def one(genome):
        record = pg.envs.live(pg.rules.with_genome(rule, genome), problem, key=key)
        return record.scores.mean(), record.tests.score[-1], record.diverged

    return jax.vmap(one)(genomes)


def clock(function):
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
