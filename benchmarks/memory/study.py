"""How much each contestant remembers, by the number stored and the delay."""

import sys
from collections.abc import Callable

import numpy as np
from contestants import Contestant, contestants
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from page import FOLDER, cell, keep, put, table, told

from plasticgym.benchmarks import Remembered, remembered
from plasticgym.benchmarks._statistics import half_width
from plasticgym.envs import Remember

STORED, DELAYS = (4, 8, 12, 16, 20, 24, 32, 48, 64), (0, 16)
SETTINGS = [(n, delay) for n in STORED for delay in DELAYS]
KNOWN = 0.55  # the accuracy from which on a share of it that is kept says something
CHOICE, SEEDS = range(8000, 8016), range(9000, 9016)


def study(name: str, problem: Callable[[str, tuple[int, ...] | int], Remember]) -> None:
    """Measures all contestants in `problem(part, hidden)`; writes table, figures, picture."""
    results, rows = {}, []
    for who, contestant in contestants().items():
        variant, best = chosen(contestant, problem("validation", contestant.hidden))
        found = asked(variant, problem("test", contestant.hidden), SEEDS, "test")
        results[who] = {
            "best stored": best,
            "settings": [{"stored": n, "delay": d} | told(f) for (n, d), f in found.items()],
        }
        rows.append(row(who, best, found))
        print(*rows[-1], file=sys.stderr, flush=True)
    keep(name, results)
    head = ["rule", "floats", "stored", "bits per float", "after 16 more"]
    head += ["accuracy, 8 stored", "never shown", "after 16 more", "kept"]
    put(name, table(head, rows), seeds=SEEDS)
    draw(name, results)


def chosen(contestant: Contestant, problem: Remember):
    """The variant and the number stored with most bits per float, without a delay."""
    tried = {
        (i, n): f.density.mean()
        for i, variant in enumerate(contestant.variants)
        for (n, delay), f in asked(variant, problem, CHOICE, "validation").items()
        if delay == 0
    }
    i, best = max(tried, key=lambda at: tried[at])
    return contestant.variants[i], best


def asked(rule, problem, seeds, part) -> dict[tuple[int, int], Remembered]:
    found = remembered(rule, problem, seeds=seeds, part=part, settings=SETTINGS)
    return dict(zip(SETTINGS, found, strict=True))


def row(who, best, found):
    most, (now, then) = found[best, 0], (found[8, delay] for delay in DELAYS)
    kept = retention(now, then)
    return [
        f"`{who}`",
        f"{most.floats.mean():.0f}",
        str(best),
        *(cell(found[best, delay].density) for delay in DELAYS),
        cell(now.stored),
        cell(now.unseen),
        cell(then.stored),
        f"{kept[0]:.2f} ({kept[1]:.2f} to {kept[2]:.2f})" if now.stored.mean() > KNOWN else "-",
    ]


def retention(now, then) -> tuple[float, float, float]:
    """The ratio of mean accuracies above one half, with a bootstrap interval over seeds."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(SEEDS), (2000, len(SEEDS)))
    ratio = lambda rows: (  # noqa: E731
        (then.stored[rows].mean(-1) - 0.5) / np.maximum(now.stored[rows].mean(-1) - 0.5, 1e-3)
    )
    low, high = np.quantile(ratio(drawn), (0.025, 0.975))
    return float(ratio(np.arange(len(SEEDS)))), float(low), float(high)


def draw(name, results):
    """Accuracy and bits per float by the number stored; dashed after the delay."""
    figure = Figure(figsize=(11, 4), layout="constrained", dpi=100)
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2)
    for i, (who, result) in enumerate(results.items()):
        for delay, style in zip(DELAYS, ("-", "--"), strict=True):
            settings = [s for s in result["settings"] if s["delay"] == delay]
            for panel, measure in zip(panels, ("stored", "density"), strict=True):
                values = np.stack([s[measure] for s in settings], axis=1)
                mean, half = values.mean(0), half_width(values)
                label = who if (delay, measure) == (0, "stored") else None
                panel.plot(STORED, mean, style, color=f"C{i}", label=label)
                panel.fill_between(
                    STORED, mean - half, mean + half, color=f"C{i}", alpha=0.2, linewidth=0
                )
    titles = "accuracy of missing bits", "bits per float"
    for panel, title in zip(panels, titles, strict=True):
        panel.set_title(title, loc="left", fontweight="bold")
        panel.set_xlabel("stored; dashed: 16 others later")
    figure.legend(loc="outside right", frameon=False, fontsize=8)
    figure.savefig(FOLDER / f"{name}.png")
