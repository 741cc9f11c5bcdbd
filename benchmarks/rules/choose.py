"""The table of "Choose a rule": python benchmarks/rules/choose.py

What each registered rule reads, how local it is measured to be, its genes, the numbers
that it keeps for a synapse, and what side_by_side.py and benchmarks/speed/rules.py found:
scores at the end of 400 presentations of digits and moons, how soon the score on digits
is 0.9, and what a presentation costs. The table goes to docs/choose-a-rule.md. Before it:

    python benchmarks/rules/search.py
    python benchmarks/rules/side_by_side.py
    python benchmarks/speed/rules.py --json docs/rules/speed.json
"""

import json

import jax
import numpy as np
from page import put
from search import FILE, SETTINGS
from side_by_side import REPORT, contestants

import plasticgym as pg

COLUMNS = (
    "rule",
    "tier",
    "reads",
    "genes",
    "numbers per synapse",
    *SETTINGS,
    "presentations to 0.9 on digits (validation)",
    "cost",
)


def main():
    report = json.loads(REPORT.read_text())
    speed = json.loads(FILE.with_name("speed.json").read_text())
    rules = sorted(contestants().items(), key=lambda each: pg.rules.locality(each[1]))
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    lines += [f"| {' | '.join(row(n, r, report, speed))} |" for n, r in rules]
    told = (
        "`python benchmarks/rules/choose.py`; scores: "
        f"{len(report['seeds'])} seeds, test part, mean ± 95% interval (Student's t); "
        f"cost: relative to `sgd`, median (quartiles) of {speed['rounds']} rounds; "
        f"{speed['machine']}."
    )
    put("rules", "\n".join([*lines, "", told]))


def row(name, rule, report, speed):
    reached = report["reached"][name]
    low, median, high = speed["ratios"][name]
    return [
        f"`{name}`",
        str(pg.rules.locality(rule)),
        ", ".join(sorted(map(str, rule.reads))) or "nothing",
        str(pg.rules.genome(rule).size),
        f"{numbers(rule):.3g}",
        *(score(report, name, setting) for setting in SETTINGS),
        "never" if reached is None else str(reached),
        f"{median:.2f} ({low:.2f} to {high:.2f})",
    ]


def score(report, name, setting):
    found = report["results"][name][setting]
    return f"{found['last']['mean']:.3f} ± {found['last']['half_width']:.3f}"


def numbers(rule) -> float:
    """How many numbers it keeps for each weight of a 64-32-10 network, all told."""
    body = pg.rules.Body((64, 32, 10))
    state = jax.eval_shape(lambda: rule.init(body, key=jax.random.key(0)))
    kept = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(state.synapses))
    return kept / sum((pre + 1) * post for pre, post in ((64, 32), (32, 10)))


if __name__ == "__main__":
    main()
