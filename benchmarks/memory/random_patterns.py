"""Random patterns, one presentation each: python benchmarks/memory/random_patterns.py

Every contestant stores patterns of 64 bits, and after no delay or 16 other patterns recalls
them from their first half. Bits per float are those remembered per entry that a life
changes. The number stored at which a contestant has most of them is chosen on the validation
part and seeds of its own; what is reported comes from the test part and 16 other seeds.

Writes docs/memory/random_patterns.json and .png, and a table into docs/memory.md.
"""

import functools
import sys

import numpy as np
from contestants import contestants
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from page import FOLDER, cell, keep, put, table, told

import plasticgym as pg
from plasticgym.benchmarks import remembered
from plasticgym.benchmarks._statistics import half_width

BITS, STORED, DELAYS = 64, (4, 8, 16, 24, 32, 48, 64), (0, 16)
CHOICE, SEEDS = range(8000, 8016), range(9000, 9016)


def main():
    pg.benchmarks.use_cache()
    results, rows = {}, []
    settings = [(n, delay) for n in STORED for delay in DELAYS]
    for name, (rule, hidden) in contestants().items():
        problem = pg.envs.remember(
            bits=BITS, stored=STORED[-1], delay=DELAYS[-1], hidden=hidden
        )
        ask = functools.partial(remembered, rule, problem, settings=settings)
        choice = dict(zip(settings, ask(seeds=CHOICE, part="validation"), strict=True))
        best = max(STORED, key=lambda n: choice[n, 0].density.mean())
        found = dict(zip(settings, ask(seeds=SEEDS), strict=True))
        results[name] = {
            "best": best,
            "settings": [{"stored": n, "delay": d} | told(f) for (n, d), f in found.items()],
        }
        rows.append(row(name, best, found))
        print(*rows[-1], file=sys.stderr)
    keep("random_patterns", results)
    head = ["rule", "floats", "best stored", "bits per float", "after the delay"]
    head += [f"accuracy, {n} stored" for n in (8, 32)] + ["after the delay"]
    put("random_patterns", table(head, rows), seeds=SEEDS)
    draw(results)


def row(name, best, found):
    most = [found[best, delay] for delay in DELAYS]
    cells = [cell(f.density) for f in most]
    accuracies = [cell(found[n, 0].stored) for n in (8, 32)]
    after = cell(found[32, DELAYS[-1]].stored)
    return [f"`{name}`", str(most[0].floats), str(best), *cells, *accuracies, after]


def draw(results):
    """Accuracy and bits per float by the number stored; dashed after the delay."""
    figure = Figure(figsize=(10, 4), layout="constrained", dpi=100)
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2)
    for i, (name, result) in enumerate(results.items()):
        for delay, style in zip(DELAYS, ("-", "--"), strict=True):
            settings = [s for s in result["settings"] if s["delay"] == delay]
            for panel, measure in zip(panels, ("stored", "density"), strict=True):
                values = np.stack([s[measure] for s in settings], axis=1)
                mean, half = values.mean(0), half_width(values)
                label = name if delay == 0 else None
                panel.plot(STORED, mean, style, color=f"C{i}", label=label)
                panel.fill_between(STORED, mean - half, mean + half, color=f"C{i}", alpha=0.2)
    for panel, title in zip(
        panels, ("accuracy of missing bits", "bits per float"), strict=True
    ):
        panel.set_title(title, loc="left", fontweight="bold")
        panel.set_xlabel("patterns stored")
    figure.legend(loc="outside right", frameon=False, fontsize=8)
    figure.savefig(FOLDER / "random_patterns.png")


if __name__ == "__main__":
    main()
