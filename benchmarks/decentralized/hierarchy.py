"""Are known parts composed faster? python benchmarks/decentralized/hierarchy.py

In `Compositions-v0` a network meets sums of two of four functions, and at last a sum that it
never met. Counted are the presentations of the new one until the score of a presentation,
before learning from it, is 0.9 on average over five; a life that does not get there counts
as long as it lasts. Networks of at least equal size, autoencoders counted, all under Adam:

- flat: one network, that sees both tokens at once;
- one module: both tokens go to the same network, and its outputs are added;
- reconstruction, workspace: `Hierarchy` with four modules and a router.

Rates are chosen for each by the score on the validation part at the end of lives of other
seeds. Curves are means over 20 seeds, with intervals of 95% by Student's t, from a little
before the new composition on.

Writes docs/decentralized/hierarchy.json; page.py makes a table and a picture of it.
"""

import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._statistics import half_width
from plasticgym.rules import Adam, Hierarchy, Reconstruction, Workspace, genome, with_genome
from plasticgym.rules._atomic import write_atomically

FILE = Path(__file__).resolve().parents[2] / "docs/decentralized/hierarchy.json"
KNOWN, NEW, WINDOW, GOAL = 1500, 500, 5, 0.9
DRAWN = (-20, 120)  # presentations of the picture, from the new composition on
RATES = (0.002, 0.005, 0.01, 0.02, 0.05)
CHOOSING, SEEDS = range(100, 104), range(20)
RIVALS = {
    "flat": ((48,), lambda rate: Adam(rate=rate)),
    "one module": (
        (80,),
        lambda rate: Hierarchy(Adam(rate=rate), modules=1, tokens=2),
    ),
    "reconstruction": (
        (16,),
        lambda rate: Hierarchy(Adam(rate=rate), router=Reconstruction(), modules=4, tokens=2),
    ),
    "workspace": (
        (16,),
        lambda rate: Hierarchy(Adam(rate=rate), router=Workspace(), modules=4, tokens=2),
    ),
}


def main():
    pg.benchmarks.use_cache()
    told = {"command": "python benchmarks/decentralized/hierarchy.py", **machine()._asdict()}
    told |= {"known": KNOWN, "new": NEW, "window": WINDOW, "goal": GOAL}
    told |= {"drawn": DRAWN, "rivals": {}}
    for name, (hidden, build) in RIVALS.items():
        problem = pg.envs.compositions(
            hidden=hidden, presentations=KNOWN + NEW, known=KNOWN, parts=4, arguments=4
        )
        rules = [build(rate) for rate in RATES]
        chosen = int(np.argmax(lived(rules, problem, CHOOSING)[1].mean(1)))
        scores, tested = lived([rules[chosen]], problem, SEEDS)
        curve, drawn = scores[0, :, KNOWN:], scores[0, :, KNOWN + DRAWN[0] : KNOWN + DRAWN[1]]
        told["rivals"][name] = {
            "hidden": hidden,
            "synapses": synapses(rules[0], problem.body),
            "rate": RATES[chosen],
            "needed": needed(curve).tolist(),
            "first": rounded(curve[:, 0]),
            "known": rounded(scores[0, :, KNOWN - 20 : KNOWN].mean(1)),
            "tested": rounded(tested[0]),
            "curve": {"mean": rounded(drawn.mean(0)), "half width": rounded(half_width(drawn))},
        }
        print(line(name, told["rivals"][name]), flush=True)
    write_atomically(FILE, (json.dumps(told) + "\n").encode())


@eqx.filter_jit
def run(rule, problem, vectors, keys, part):
    def one(vector, key):
        record = pg.envs.live(with_genome(rule, vector), problem, key=key, part=part)
        return record.scores, record.tests.score[-1]

    return jax.vmap(lambda vector: jax.vmap(lambda key: one(vector, key))(keys))(vectors)


def lived(rules, problem, seeds):
    """Scores of presentations, and at the end on the new composition, by rule and seed."""
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    vectors = jnp.stack([genome(rule) for rule in rules])
    part = "validation" if seeds is CHOOSING else "test"
    return jax.tree.map(np.asarray, run(rules[0], problem, vectors, keys, part))


def needed(curve):
    """Presentations of the new composition until the mean of the last few is the goal."""
    kernel = np.ones(WINDOW) / WINDOW
    smooth = np.stack([np.convolve(row, kernel, "valid") for row in curve])
    there = smooth >= GOAL
    return np.where(there.any(1), there.argmax(1), NEW)


def synapses(rule, body):
    state = jax.eval_shape(lambda: rule.init(body, key=jax.random.key(0)))
    weights = sum(block["weight"].size for block in state.synapses)
    router = state.memory.get("router") if isinstance(rule, Hierarchy) else None
    return weights + sum(leaf.size for leaf in jax.tree.leaves(router))


def rounded(values):
    return [round(float(x), 4) for x in values]


def line(name, found):
    mean = {k: np.mean(found[k]) for k in ("needed", "first", "known", "tested")}
    return f"{name}: rate {found['rate']}, {found['synapses']} numbers, {mean}"


if __name__ == "__main__":
    main()
