"""Where the memory is: python benchmarks/memory/activity.py

One random snippet of 64 bits is shown, then others, all in one episode, so that activity
goes on from one to the next: how much of the first comes back from its first half, with
plastic synapses and with such as stay as they were born? In the last rows synapses are
frozen and what is read is the entry of bodies that keeps what a neuron did not foresee.

Writes docs/memory/activity.json and a table into docs/memory.md.
"""

import dataclasses
import sys
from typing import final

import jax.numpy as jnp
from contestants import CLASSICAL, TOPOLOGIES, contestants
from page import cell, keep, put, table, told

import plasticgym as pg
from plasticgym.benchmarks import remembered

SEEDS, DELAYS = range(9200, 9232), (0, 1, 2, 4, 8)
WHO = (CLASSICAL[0], *(f"trained, {topology}" for topology in TOPOLOGIES))
MISSED = 1  # the entry of a body that a presentation leaves as it is, if it tells nothing


@final
class Rigid(pg.rules.AbstractRule):
    """A rule whose synapses stay as they are born."""

    rule: pg.rules.AbstractRule

    @property
    def reads(self):
        return self.rule.reads

    @property
    def tier(self):
        return self.rule.tier

    def init(self, body, *, key):
        return self.rule.init(body, key=key)

    def rest(self, state, batch):
        return self.rule.rest(state, batch)

    def predict(self, state, inputs, *, key):
        return self.rule.predict(state, inputs, key=key)

    def receive(self, state, feedback, *, key):
        return self.rule.receive(state, feedback, key=key)

    def adapt(self, state, *, key):
        adapted = self.rule.adapt(state, key=key)
        return pg.rules.State(state.body, adapted.neurons, state.synapses, adapted.memory)


def main():
    pg.benchmarks.use_cache()
    everyone, results, rows = contestants(), {}, []
    for name in WHO:
        # Those that settle do so in ten rounds.
        rule, hidden = everyone[name].rule(-1), everyone[name].hidden
        problem = pg.envs.remember(bits=64, stored=1, delay=DELAYS[-1], hidden=hidden)
        problem = dataclasses.replace(problem, episodes="life")
        for kind, lived in kinds(rule).items():
            settings = [(1, delay) for delay in DELAYS]
            found = remembered(lived, problem, seeds=SEEDS, settings=settings)
            results[f"{name}, {kind}"] = [told(f) for f in found]
            rows.append([f"`{name}`", kind, *(cell(f.stored) for f in found)])
            print(*rows[-1], file=sys.stderr, flush=True)
    keep("activity", results)
    put(
        "activity",
        table(["rule", "synapses", *(f"{d} later" for d in DELAYS)], rows),
        told=f"{len(SEEDS)} lives of each",
    )


def kinds(rule):
    """The rule as it is, with frozen synapses, and so with a readout of what neurons hold."""
    found = {"plastic": rule, "frozen": Rigid(rule)}
    if isinstance(rule, pg.rules.Remembering):
        held = jnp.eye(rule.readout.size)[MISSED]
        found["frozen, bodies read"] = Rigid(dataclasses.replace(rule, readout=held))
    return found


if __name__ == "__main__":
    main()
