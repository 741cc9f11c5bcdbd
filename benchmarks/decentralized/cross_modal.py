"""Split towers, alone and shared: python benchmarks/decentralized/cross_modal.py

On `CrossModalAnswer-v0`, 1,200 presentations of 64 rows, ten seeds, scored on the *test* part:

- split: `CrossModal` over Adam, a tower for image and question and one for the answer;
- fused: Adam on the whole body, which sees the answer beside the question as it learns;
- permuted: the split towers, asked with the vectors of the answers permuted.

With four clients, each with 200 images of its own that are mostly of a few digits (skewed:
Dirichlet, 0.1), smaller towers, and 600 presentations of 64 rows for each:

- alone: each client has towers of its own;
- sharing: after every 20 presentations the clients average both towers.

With two clients, each with half of the images, and towers and lives as long as those of one:

- sharing, as above;
- one network, which learns from the rows of both.

On `TwoViews-v0`, split towers: retrieval among 50 lower halves, and how well digits are told by
the half of which no label was ever seen, the lower and then the upper one missing.

The rate is chosen for each row by the score on the validation part over other seeds.
Intervals are of 95%, by Student's t over seeds. Writes docs/decentralized/cross_modal.json;
what is there already is not measured again, but `--again`.
"""

import argparse
import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import plasticgym as pg
from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._statistics import half_width
from plasticgym.envs import Frozen
from plasticgym.rules import Adam, CrossModal, genome, with_genome
from plasticgym.rules._atomic import write_atomically

FILE = Path(__file__).resolve().parents[2] / "docs/decentralized/cross_modal.json"
RATES, CHOOSING, SEEDS = (0.003, 0.006), range(100, 102), range(10)
LENGTH, BATCH, HIDDEN = 1200, 64, (256,)
CLIENTS, EVERY, ALPHA, IMAGES, FEWER, SMALLER = 4, 20, 0.1, 200, 600, (128,)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--again", action="store_true")
    given = parser.parse_args()
    pg.benchmarks.use_cache()
    told = json.loads(FILE.read_text()) if FILE.is_file() and not given.again else {}
    told = told or {"command": "python benchmarks/decentralized/cross_modal.py", "measured": {}}
    told |= machine()._asdict()
    for part in (central, clients, halves, views):
        for name, measure in part().items():
            if name not in told["measured"]:
                told["measured"][name] = found = measure()
                print(line(name, found), flush=True)
                write_atomically(FILE, (json.dumps(told) + "\n").encode())
    print("\n".join(line(name, found) for name, found in told["measured"].items()))


def central():
    """One client: towers apart, fused, and asked with other answers."""
    problem = pg.envs.cross_modal_answer(hidden=HIDDEN, batch=BATCH, presentations=LENGTH)

    def split():
        rate = chosen(lambda rate: towers(problem, rate), problem)
        record = lived(towers(problem, rate), problem)
        moved = eqx.tree_at(lambda p: p.answers, problem, jnp.roll(problem.answers, 1, axis=0))
        return {
            "rate": rate,
            "score": scores(record),
            "permuted": rounded(tested(towers(problem, rate), moved, record.state)),
        }

    def fused():
        rate = chosen(lambda rate: Adam(rate=rate), problem)
        return {"rate": rate, "score": scores(lived(Adam(rate=rate), problem))}

    return {"split": split, "fused": fused}


def clients():
    """Four clients with images of their own."""
    problem = pg.envs.cross_modal_answer(hidden=SMALLER, batch=BATCH, presentations=FEWER)
    skew = pg.envs.Dirichlet(alpha=ALPHA, size=IMAGES)
    sharded = pg.envs.Sharded(problem, CLIENTS, skew=skew)
    return {
        "skewed, sharing": lambda: measured(sharded, mixing="average"),
        "skewed, alone": lambda: measured(sharded, mixing="alone"),
    }


def halves():
    """Two clients with half of the images each, and one network for the rows of both."""
    problem = pg.envs.cross_modal_answer(hidden=HIDDEN, batch=BATCH, presentations=LENGTH)
    sharded = pg.envs.Sharded(problem, 2, skew=pg.envs.Even())
    return {
        "even, sharing": lambda: measured(sharded, mixing="average"),
        "even, one network": lambda: measured(sharded),
    }


def measured(sharded, mixing=None):
    """What clients score that mix so; without a mixing, one network learns from all rows."""

    def build(rate):
        inner = towers(sharded.problem, rate)
        if mixing is None:
            return inner
        return pg.rules.Replicas(inner, mixing, every=EVERY, replicas=sharded.k)

    rate = chosen(build, sharded)
    return {"rate": rate, "score": scores(lived(build(rate), sharded))}


def views():
    """Two halves of an image."""
    problem = pg.envs.two_views(hidden=HIDDEN, batch=50, presentations=LENGTH)

    def two():
        rate = chosen(lambda rate: towers(problem, rate), problem)
        rule = towers(problem, rate)
        record = lived(rule, problem)
        across = jax.vmap(
            lambda state: problem.across(
                Frozen(rule, state), part="test", key=jax.random.key(0)
            )
        )(record.state)
        found = {"rate": rate, "score": scores(record)}
        return found | {
            "lower half missing": rounded(across[:, 0]),
            "upper half missing": rounded(across[:, 1]),
        }

    return {"two views": two}


def towers(problem, rate):
    return CrossModal((Adam(rate=rate), Adam(rate=rate)), inputs=problem.modalities)


def chosen(build, problem):
    """The best rate on the validation part."""
    keys = jax.vmap(jax.random.key)(jnp.asarray(CHOOSING))
    vectors = jnp.stack([genome(build(rate)) for rate in RATES])
    return RATES[int(_validated(build(RATES[0]), problem, vectors, keys).argmax())]


@eqx.filter_jit
def _validated(rule, problem, vectors, keys):
    def one(vector, key):
        return pg.envs.live(with_genome(rule, vector), problem, key=key).tests.score[-1]

    return jax.vmap(lambda v: jax.vmap(lambda key: one(v, key))(keys).mean())(vectors)


def lived(rule, problem):
    keys = jax.vmap(jax.random.key)(jnp.asarray(SEEDS))
    return pg.envs.lives(rule, problem, keys=keys, part="test")


@eqx.filter_jit
def tested(rule, problem, states):
    """Scores of networks that have lived, on the test part of another problem."""
    world = problem.reset(key=jax.random.key(0))

    def one(state):
        key = jax.random.key(0)
        return problem.test(world, Frozen(rule, state), part="test", key=key).score

    return jax.vmap(one)(states)


def scores(record):
    return rounded(record.tests.score[:, -1])


def rounded(values):
    return [round(float(x), 4) for x in np.asarray(values)]


def line(name, found):
    cells = [
        f"{what} {np.mean(values):.3f} ± {half_width(np.array(values)):.3f}"
        for what, values in found.items()
        if what != "rate"
    ]
    return f"{name} (rate {found['rate']}): " + ", ".join(cells)


if __name__ == "__main__":
    main()
