"""`live` against loops written by hand: python benchmarks/speed/inner_loop.py

64 seeds of a 64-32-10 network, batch 32, 100 presentations of digits, for SGD and for
BLUR with two states. Both sides draw the same numbers and must give the same losses,
scores and validation scores. They are timed in alternating pairs after compilation; the
last lines are the speed of the library as a multiple of the hand-written loop's.
"""

import argparse
import platform
import time

import jax
import numpy as np
from handwritten import Data, blur, sgd

import plasticgym as pg

LAYERS, BATCH, PRESENTATIONS = (64, 32, 10), 32, 100
# In the order in which the hand-written loop takes them.
BLUR_LEAVES = (
    *("forward", "backward", "synapse.pre", "synapse.post"),
    *("neuron_keep", "neuron_rate", "synapse.keep", "synapse.rate", "gain"),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=64)
    arguments = parser.parse_args()
    keys = jax.random.split(jax.random.key(0), arguments.seeds)
    problem = pg.envs.digits(hidden=LAYERS[1:-1], batch=BATCH, presentations=PRESENTATIONS)
    train, validation = problem.train, problem.validation
    data = Data(
        train.inputs,
        train.classes,
        validation.inputs,
        validation.classes,
        problem.mean,
        problem.deviation,
    )
    sizes = (LAYERS, PRESENTATIONS, BATCH)
    descent = pg.rules.SGD(rate=0.5)
    bidirectional = pg.rules.make("blur", genome="hebbian", states=2)
    leaves = pg.rules.named_leaves(bidirectional)
    genome = tuple(leaves[name] for name in BLUR_LEAVES)
    contests = {
        "sgd": (descent, lambda: sgd(data, descent.rate, keys, *sizes)),
        "blur": (bidirectional, lambda: blur(data, genome, keys, *sizes)),
    }
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}, {platform.machine()}")
    lines = []
    for name, (rule, by_hand) in contests.items():
        lines.append(contest(name, rule, problem, keys, by_hand, arguments.pairs))
    print(*lines, sep="\n")


def contest(name, rule, problem, keys, by_hand, pairs):
    def library():
        return pg.envs.lives(rule, problem, keys=keys)

    ours, (stream, held_out, _) = library(), by_hand()
    for mine, theirs in (
        (ours.losses, stream[0]),
        (ours.scores, stream[1]),
        (ours.tests.score[:, -1], held_out[1]),
    ):
        # Rounding differs and grows over a life; single examples may flip.
        np.testing.assert_allclose(mine, theirs, atol=0.04)
    times = np.array([[clock(library), clock(by_hand)] for _ in range(pairs)])
    presentations = len(keys) * PRESENTATIONS
    for who, column in zip(("plasticgym", "hand-written"), times.T, strict=True):
        rate = presentations / np.median(column)
        print(f"{name:5} {who:13} {np.median(column):.4f} s {rate:12,.0f} presentations/s")
    low, median, high = np.percentile(times[:, 1] / times[:, 0], [25, 50, 75])
    return f"{name} ratio {median:.3f} (quartiles {low:.3f} to {high:.3f})"


def clock(function):
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
