"""All rules on digits and on moons: python benchmarks/rules/side_by_side.py [NAME...]

Each registered rule enters with the rate that search.py found, or, if it has none or reads
no feedback, as it comes with the package. It lives 400 presentations of 32 rows from each of
16 seeds, none of which chose anything, and is scored on the *test* part.

Beside that it lives on digits from 8 of these seeds and is tested after every fifth
presentation on the validation part: the first time that the mean is 0.9 goes into "Choose a
rule".

Writes docs/rules/side_by_side.json and, with a row for each tier, side_by_side.png. Given
names, it measures these rules alone and puts them beside the others in that file.
"""

import argparse
import json
import sys

import jax
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from search import FILE, SETTINGS, stored

import plasticgym as pg
from plasticgym.benchmarks import Suite, entry, evaluate, perfect
from plasticgym.benchmarks._plot import draw_curves
from plasticgym.benchmarks._rates import with_rate
from plasticgym.benchmarks._result import Result
from plasticgym.benchmarks._standing_alone import standing_alone
from plasticgym.rules._atomic import write_atomically

SEEDS, GOAL = tuple(range(7000, 7016)), 0.9
REPORT, PICTURE = (FILE.with_name(f"side_by_side.{ending}") for ending in ("json", "png"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    names = parser.parse_args().names
    pg.benchmarks.use_cache()
    rules = contestants()
    measured = {name: rules[name] for name in names} or rules
    suite = Suite("side-by-side-v0", seen=SETTINGS, unseen={}, seeds=SEEDS)
    report = evaluate(measured, suite, reference=perfect(suite), on_progress=tell)
    told = report.to_json() | {"reached": {name: reached(r) for name, r in measured.items()}}
    if names:
        told = beside(json.loads(REPORT.read_text()), told)
    write_atomically(REPORT, (json.dumps(told, allow_nan=False) + "\n").encode())
    draw(told["results"], rules)


def beside(stored, told):
    """What is stored, with what was measured anew in the places of its rules."""
    tables = ("rules", "results", "summary", "reached")
    return stored | {table: stored[table] | told[table] for table in tables}


def contestants() -> dict[str, pg.rules.AbstractRule]:
    """Every registered rule that stands alone, by name."""
    found = stored()["rules"]
    rules = {name: entry(name).in_setting("digits") for name in standing_alone()}
    return {
        name: with_rate(pg.rules.make(name), found[name]["rate"])
        if rule.reads and name in found
        else rule
        for name, rule in rules.items()
    }


def reached(rule) -> int | None:
    """The presentation after which the mean score on digits is 0.9, to within five."""
    problem = SETTINGS["digits"].build()
    times = tuple(range(5, problem.presentations, 5))
    keys = jax.vmap(jax.random.key)(np.asarray(SEEDS[:8]))
    score = pg.envs.lives(rule, problem, keys=keys, tests=times).tests.score.mean(0)
    above = np.flatnonzero(np.asarray(score) >= GOAL)
    return int((*times, problem.presentations)[above[0]]) if above.size else None


def curve(found) -> Result:
    """The curve of a rule in a setting, as the report holds it."""
    held_out = np.asarray(found["held_out"])
    seeds, _ = held_out.shape
    nothing = np.zeros((seeds, 0))
    times, never = tuple(found["times"]), np.zeros(seeds, bool)
    return Result(times, held_out, nothing, nothing, never, found["chance"], found["upper"])


def draw(results, rules):
    """Learning curves: a row for each tier, a column for each problem."""
    tiers = sorted({rule.tier for rule in rules.values()})
    size = (9.0, 2.4 * len(tiers))
    figure = Figure(figsize=size, dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(len(tiers), len(SETTINGS), squeeze=False, sharex=True)
    for row, tier in zip(grid, tiers, strict=True):
        members = [name for name, rule in rules.items() if rule.tier == tier]
        for panel, setting in zip(row, SETTINGS, strict=True):
            draw_curves(panel, {name: curve(results[name][setting]) for name in members})
            panel.set_title(setting, loc="left", fontweight="bold")
            panel.set_title(str(tier), loc="right", fontsize=9)
        row[0].set_ylabel("test score")
        row[-1].legend(
            *row[0].get_legend_handles_labels(),
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            frameon=False,
            fontsize=8,
        )
    for panel in grid[-1]:
        panel.set_xlabel("presentations")
    figure.savefig(PICTURE)


def tell(done, total, label):
    print(f"{done}/{total} {label}", file=sys.stderr)


if __name__ == "__main__":
    main()
