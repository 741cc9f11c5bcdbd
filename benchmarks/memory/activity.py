"""Where the memory is: python benchmarks/memory/activity.py

One random snippet of 64 bits is shown, then others, all in one episode, so that activity
goes on from one to the next: how much of the first comes back from its first half, with
plastic synapses and with such as stay as they were born?

Writes docs/memory/activity.json and a table into docs/memory.md.
"""

import dataclasses
import sys
from typing import final

from contestants import CLASSICAL, TOPOLOGIES, contestants
from page import cell, keep, put, table, told

import plasticgym as pg
from plasticgym.benchmarks import remembered

SEEDS, DELAYS = range(9200, 9232), (0, 1, 2, 4, 8)
WHO = (CLASSICAL[0], *(f"remembering, {topology}" for topology in TOPOLOGIES))


@final
class Rigid(pg.rules.AbstractRule):
    """A rule whose synapses stay as they are born."""

    rule: pg.rules.AbstractRule
    reads = property(lambda self: self.rule.reads)
    tier = property(lambda self: self.rule.tier)

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
        rule, hidden = everyone[name].variants[-1], everyone[name].hidden
        problem = pg.envs.remember(bits=64, stored=1, delay=DELAYS[-1], hidden=hidden)
        problem = dataclasses.replace(problem, episodes="life")
        for kind, lived in (("plastic", rule), ("frozen", Rigid(rule))):
            settings = [(1, delay) for delay in DELAYS]
            found = remembered(lived, problem, seeds=SEEDS, settings=settings)
            results[f"{name}, {kind}"] = [told(f) for f in found]
            rows.append([f"`{name}`", kind, *(cell(f.stored) for f in found)])
            print(*rows[-1], file=sys.stderr, flush=True)
    keep("activity", results)
    put(
        "activity",
        table(["rule", "synapses", *(f"{d} later" for d in DELAYS)], rows),
        seeds=SEEDS,
    )


if __name__ == "__main__":
    main()
