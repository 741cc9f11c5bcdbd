"""What remembering costs: python benchmarks/speed/remembering.py

1. A presentation of the factorised and of the general change in a population of 128, with
   as many units as their genomes are drawn with here (3 and 16), and with 3 units each.
2. A life of 64 snippets of 64 bits by `lives`, and the same loop written by hand: once
   with worlds that were drawn beforehand, and once drawing them, as `lives` does.
3. The memory of a meta-step by short-term back-propagation and by the full unroll, in
   lives of 16 and of 256 presentations. Nothing is run for it.

Both of a pair are timed one after the other, again and again, after compilation; ratios
are taken within a pair, and the last column is their median, with quartiles.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from handwritten_remembering import life

import plasticgym as pg
from plasticgym.benchmarks._machine import machine

PAIRS, LENGTHS, LIVES = 15, (16, 256), 4


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    told = parser.parse_args()
    factorised, general, smaller = forms_of_change()
    given, drawing, lives = loops_of_a_life()
    found = {
        "factorised / general": pairs(factorised, general, told.pairs),
        "factorised / general, as many units": pairs(factorised, smaller, told.pairs),
        "by hand / lives": pairs(given, lives, told.pairs),
        "by hand, drawing worlds / lives": pairs(drawing, lives, told.pairs),
    }
    print(machine(), found, flush=True)
    found["megabytes of a meta-step"] = {
        name: [round(needed(agent, n) / 1e6, 2) for n in LENGTHS]
        for name, agent in agents().items()
    }
    print(found["megabytes of a meta-step"])
    if told.json:
        document = {"machine": str(machine()), "pairs": told.pairs, **found}
        told.json.write_text(json.dumps(document, indent=1) + "\n")


def pairs(one, other, count: int) -> dict[str, Any]:
    """Milliseconds of each, and the quartiles of the ratio of the first to the second."""
    times = np.array([[clock(one), clock(other)] for _ in range(count + 1)])[1:]
    ratios = np.percentile(times[:, 0] / times[:, 1], [25, 50, 75])
    return {
        "milliseconds": np.median(1e3 * times, axis=0).round(3).tolist(),
        "ratio": ratios.round(4).tolist(),
    }


def clock(function) -> float:
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def forms_of_change(neurons=128, presentations=50):
    """A function for each form that presents so many snippets to one network."""

    def of(form: str, units: int):
        rule = pg.rules.make(
            "remembering", genome="random", form=form, units=units, topology="recurrent"
        )
        problem = pg.envs.remember(
            bits=neurons, stored=presentations, delay=0, hidden=0, presentations=presentations
        )

        @eqx.filter_jit
        def shown(rule, problem, key):
            born = pg.envs.born(rule, problem, key=key)
            step = lambda life, _: pg.envs.step(rule, problem, life)  # noqa: E731
            return jax.lax.scan(step, born, length=presentations)[0].state.synapses

        return lambda: shown(rule, problem, jax.random.key(0))

    return of("factorised", 3), of("general", 16), of("general", 3)


def loops_of_a_life(bits=64, stored=64, networks=8):
    """Two functions that live by hand, and one that does so by `lives`; they agree."""
    rule: Any = pg.rules.make("remembering", topology="recurrent")
    problem = pg.envs.remember(
        bits=bits, stored=stored, delay=0, hidden=0, presentations=stored
    )
    keys = jax.random.split(jax.random.key(0), networks)
    genome, ticks = written_out(rule), rule.topology.ticks

    @eqx.filter_jit
    def drawn(problem, keys):
        """What is shown and asked in the worlds of these lives, and one cue for all."""
        worlds = jax.vmap(lambda key: problem.reset(key=jax.random.split(key, 3)[1]))(keys)
        asked = jnp.concatenate([worlds.stored, worlds.unseen[:, 1]], axis=1)[:, :, 0]
        return worlds.stored[:, :, 0], asked, worlds.cues[0, 1, 0, 0]

    given = drawn(problem, keys)
    by_hand = lambda: life(genome, *given, ticks)  # noqa: E731
    drawing = lambda: life(genome, *drawn(problem, keys), ticks)  # noqa: E731
    mine = by_hand()[0]
    theirs = pg.envs.lives(rule, problem, keys=keys).state.synapses[0]["forward"][:, 0]
    # Roundings grow with every snippet that is stored on top of the others.
    np.testing.assert_allclose(mine, theirs, atol=5e-3 * np.abs(theirs).max())
    return by_hand, drawing, lambda: pg.envs.lives(rule, problem, keys=keys)


def written_out(rule):
    """The genome by position."""
    layer = lambda affine: (affine.weight, affine.bias)  # noqa: E731
    change = rule.plasticity
    layers = change.pre.value, change.pre.gate, change.post.value, change.post.gate
    parts = (*map(layer, layers), change.plain, change.scaled)
    return rule.embedding, rule.message, layer(rule.cell), parts, rule.readout


def agents() -> dict[str, pg.agents.AbstractAgent]:
    whole = pg.agents.MetaGradient(lives=LIVES)
    return {"windows": pg.agents.Windowed(whole), "full unroll": whole}


def needed(agent: pg.agents.AbstractAgent, presentations: int) -> int:
    """Bytes of the temporaries of a meta-step."""
    rule = pg.rules.make("remembering", genome="projection", topology="recurrent")
    problem = pg.envs.remember(
        bits=64, stored=16, delay=presentations - 16, hidden=0, presentations=presentations
    )
    search = eqx.filter_jit(agent.init)(rule, (problem,), key=jax.random.key(0))
    update: Any = eqx.filter_jit(agent.update)
    compiled = update.lower(rule, (problem,), search).compile()
    return compiled.compiled.memory_analysis().temp_size_in_bytes


if __name__ == "__main__":
    main()
