"""Beyond what a genome was made on: python benchmarks/memory/curves.py

The remembering rule in one population, and the projection (which settles once), on random
patterns: up to twice as many stored as there are neurons, up to six times the delay, and
half, twice and four times the bits, with a quarter as many stored.

Writes docs/memory/curves.json and .png, and a table into docs/memory.md.
"""

import sys

import numpy as np
from contestants import contestants
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from page import FOLDER, cell, keep, put, table, told

import plasticgym as pg
from plasticgym.benchmarks import remembered
from plasticgym.benchmarks._statistics import half_width

SEEDS = range(9100, 9116)
STORED, FEW, DELAYS, BITS = (8, 16, 24, 32, 48, 64, 128), 16, (0, 16, 48, 96), (32, 64, 128)
WHO = ("remembering, recurrent", "pseudo-inverse")


def main():
    pg.benchmarks.use_cache()
    everyone = contestants()
    results = {}
    for name in WHO:
        rule = everyone[name].variants[0]
        results[name] = {
            "stored": asked(rule, 64, [(n, 0) for n in STORED]),
            "delay": asked(rule, 64, [(FEW, delay) for delay in DELAYS]),
            "bits": [asked(rule, bits, [(bits // 4, 0)])[0] for bits in BITS],
        }
        print(name, file=sys.stderr, flush=True)
    keep("curves", results)
    axes = {"stored": STORED, "delay": DELAYS, "bits": BITS}
    rows = [
        [label(axis, value), *(cell(results[who][axis][i]["stored"]) for who in WHO)]
        for axis, values in axes.items()
        for i, value in enumerate(values)
    ]
    put(
        "curves",
        table(["accuracy of missing bits", *(f"`{w}`" for w in WHO)], rows),
        seeds=SEEDS,
    )
    draw(results, axes)


def asked(rule, bits, settings):
    stored = max(n + delay for n, delay in settings)
    problem = pg.envs.remember(bits=bits, stored=stored, delay=0, hidden=0)
    return [told(f) for f in remembered(rule, problem, seeds=SEEDS, settings=settings)]


def label(axis, value):
    return {
        "stored": f"64 bits, {value} stored",
        "delay": f"64 bits, {FEW} stored, {value} more",
        "bits": f"{value} bits, {value // 4} stored",
    }[axis]


def draw(results, axes):
    figure = Figure(figsize=(11, 3.2), layout="constrained", dpi=100)
    FigureCanvasAgg(figure)
    for panel, (axis, values) in zip(
        figure.subplots(1, 3, sharey=True), axes.items(), strict=True
    ):
        for i, who in enumerate(WHO):
            shares = np.stack([s["stored"] for s in results[who][axis]], axis=1)
            panel.errorbar(values, shares.mean(0), half_width(shares), color=f"C{i}", label=who)
        panel.set_xlabel(axis)
    figure.axes[0].set_ylabel("accuracy of missing bits")
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(FOLDER / "curves.png")


if __name__ == "__main__":
    main()
