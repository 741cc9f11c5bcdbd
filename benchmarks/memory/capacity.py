"""The capacity of outer products: python benchmarks/memory/capacity.py

Populations of 200 and 800 neurons store random patterns, as many as a share of the neurons;
each settles from every pattern for 60 rounds without a cue. Theory (Amit, Gutfreund and
Sompolinsky, 1985) has, for infinitely many neurons, 1.6% of bits wrong at a share of 0.138
and patterns lost beyond.

Writes docs/memory/capacity.json and a table into docs/memory.md.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from page import cell, keep, put, table

import plasticgym as pg
from plasticgym.rules import Body, Clamped, Hopfield, Settling

SEEDS, NEURONS = range(9300, 9316), (200, 800)
SHARES = (0.05, 0.10, 0.12, 0.138, 0.15, 0.18, 0.25)
RULE = Hopfield(settling=Settling(steps=60))


def main():
    pg.benchmarks.use_cache()
    keys = jax.vmap(jax.random.key)(jnp.asarray(SEEDS))
    results = {
        n: [np.asarray(wrong(keys, n, round(share * n))) for share in SHARES] for n in NEURONS
    }
    keep(
        "capacity",
        {str(n): dict(zip(map(str, SHARES), r, strict=True)) for n, r in results.items()},
    )
    rows = [
        [str(share), *(cell(results[n][i]) for n in NEURONS)] for i, share in enumerate(SHARES)
    ]
    head = ["patterns per neuron", *(f"bits wrong, {n} neurons" for n in NEURONS)]
    put("capacity", table(head, rows), told=f"{len(SEEDS)} lives of each")


@functools.partial(jax.jit, static_argnums=(1, 2))
def wrong(keys, n, number):
    """The share of bits that differ once all patterns have settled, by seed."""

    def one(key):
        patterns = jax.random.rademacher(key, (number, n), float)
        state = RULE.rest(RULE.init(Body((n,)), key=key), number)
        shown = Clamped.full(patterns)
        state, _ = RULE.predict(state, shown, key=key)
        state = RULE.adapt(state, key=key)
        free = Clamped(patterns, jnp.zeros(patterns.shape, bool), jnp.zeros(number, bool))
        settled = RULE.predict(state, free, key=key)[0].neurons[0]["activity"]
        return (settled != patterns).mean()

    return jax.lax.map(one, keys)


if __name__ == "__main__":
    main()
