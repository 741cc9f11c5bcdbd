"""Beyond what a genome was made on: python benchmarks/memory/curves.py

The remembering rule in one population, and classical rules as random_patterns.py chose them
on the validation part, on random patterns: up to twice as many stored as there are neurons,
up to twelve times the delay, and half, twice and four times the bits, with half as many
stored. Run random_patterns.py first.

Writes docs/memory/curves.json and .png, and a table into docs/memory.md.
"""

import json
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
STORED, FEW, DELAYS = (8, 16, 24, 32, 40, 48, 64, 128), 16, (0, 8, 24, 48, 96)
BITS = (32, 64, 128, 256)
WHO = ("trained, recurrent", "pseudo-inverse", "pseudo-inverse, tuned")
# The most that both trainings of the genome showed: see the recipes.
TRAINED = {"stored": 32, "delay": 8, "bits": 64}


def main():
    pg.benchmarks.use_cache()
    everyone, results = contestants(), {}
    choice = json.loads((FOLDER / "random_patterns.json").read_text())["results"]
    for name in WHO:
        rule = everyone[name].rule(choice[name]["setting"])
        results[name] = {
            "stored": asked(rule, 64, [(n, 0) for n in STORED]),
            "delay": asked(rule, 64, [(FEW, delay) for delay in DELAYS]),
            "bits": [asked(rule, bits, [(bits // 2, 0)])[0] for bits in BITS],
        }
        print(name, file=sys.stderr, flush=True)
    keep("curves", results)
    axes = {"stored": STORED, "delay": DELAYS, "bits": BITS}
    rows = [
        [
            label(axis, value),
            beyond(axis, value),
            *(cell(results[who][axis][i]["stored"]) for who in WHO),
        ]
        for axis, values in axes.items()
        for i, value in enumerate(values)
    ]
    head = ["accuracy of missing bits", "within training", *(f"`{w}`" for w in WHO)]
    put("curves", table(head, rows), told=f"{len(SEEDS)} lives of each")
    draw(results, axes)


def asked(rule, bits, settings):
    stored = max(n + delay for n, delay in settings)
    problem = pg.envs.remember(bits=bits, stored=stored, delay=0, hidden=0)
    return [told(f) for f in remembered(rule, problem, seeds=SEEDS, settings=settings)]


def label(axis, value):
    return {
        "stored": f"64 bits, {value} stored",
        "delay": f"64 bits, {FEW} stored, {value} more",
        "bits": f"{value} bits, {value // 2} stored",
    }[axis]


def beyond(axis, value):
    return "no" if value > TRAINED[axis] else "yes"


def draw(results, axes):
    figure = Figure(figsize=(11, 3.2), layout="constrained", dpi=100)
    FigureCanvasAgg(figure)
    for panel, (axis, values) in zip(
        figure.subplots(1, 3, sharey=True), axes.items(), strict=True
    ):
        for i, who in enumerate(WHO):
            shares = np.stack([s["stored"] for s in results[who][axis]], axis=1)
            panel.errorbar(values, shares.mean(0), half_width(shares), color=f"C{i}", label=who)
        panel.axvline(TRAINED[axis], color="0.6", linestyle=":")
        panel.set_xlabel(f"{axis}; dotted: the most in training")
    figure.axes[0].set_ylabel("accuracy of missing bits")
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(FOLDER / "curves.png")


if __name__ == "__main__":
    main()
