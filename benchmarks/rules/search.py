"""Finds the rate of each rule: python benchmarks/rules/search.py [NAME ...]

Every registered rule that has a rate lives on digits and on moons, 400 presentations of 32
rows, at 14 rates, half a decade apart and extended until the best is interior. Scores are
mean normalised ones on the *validation* parts after lives from 16 seeds; the lowest rate
that is within 0.005 of the best is taken, as what is faster is nearer to ruin.
A rule that reads no feedback cannot know which output stands for which class: its score is
the balanced accuracy of logistic regression on its outputs, from 4 seeds.

All that was tried goes to docs/rules/search.json, after each rule. The defaults of rules
that are told something are taken from there, but for those of plain and of normalised
gradient descent: what their bare names stand for was tuned on a suite. Rules that are told
nothing keep rates with which they converge to what they promise, as a read-out often
prefers a network that has hardly changed.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from readout import accuracies

import plasticgym as pg
from plasticgym.benchmarks import Setting
from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._rates import last_scores, search, with_rate
from plasticgym.benchmarks._standing_alone import standing_alone
from plasticgym.rules._atomic import write_atomically

SEEDS, FEW_SEEDS = range(16), range(4)
SETTINGS = {
    "digits": Setting("Digits-v0", {"presentations": 400}),
    "moons": Setting("Moons-v0", {"presentations": 400}),
}
TOLERANCE = 0.005
FILE = Path(__file__).resolve().parents[2] / "docs" / "rules" / "search.json"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=with_rates(), metavar="NAME")
    names = parser.parse_args().names
    pg.benchmarks.use_cache()
    problems = {name: setting.build() for name, setting in SETTINGS.items()}
    for name in names:
        tried, _ = search(lambda rates, name=name: normalised(name, rates, problems))
        rate = calm(tried)
        found = dict(zip(problems, rounded(tried[rate]), strict=True))
        print(f"{name:28} {rate:9.3g} {found}")
        store(name, rate, tried)


def calm(tried):
    """The lowest rate that is as good as the best."""
    means = {rate: float(np.mean(scores)) for rate, scores in tried.items()}
    return min(rate for rate in means if means[rate] >= max(means.values()) - TOLERANCE)


def with_rates() -> list[str]:
    """The names of the rules that have one rate."""
    return [
        name for name in standing_alone() if np.shape(getattr(rule(name), "rate", [0])) == ()
    ]


def rule(name: str) -> pg.rules.AbstractRule:
    return pg.rules.make(name)


def normalised(name, rates, problems):
    """Mean last validation scores, 0 at chance and 1 if all is right, for each rate."""
    columns = []
    for problem in problems.values():
        chance = float(problem.chance.score)
        if rule(name).reads:
            scores = last_scores(rule(name), rates, problem, seeds=SEEDS)
        else:
            changed = [with_rate(rule(name), rate) for rate in rates]
            scores = np.array([accuracies(r, problem, seeds=FEW_SEEDS) for r in changed])
        columns.append((scores - chance) / (1 - chance))
    return np.stack(columns, 1)


def rounded(scores):
    return [round(float(score), 4) for score in scores]


def stored() -> dict:
    """What was found so far."""
    return json.loads(FILE.read_text()) if FILE.is_file() else {"rules": {}}


def store(name, rate, tried):
    told = {
        "command": "python benchmarks/rules/search.py",
        "settings": {n: [s.problem, dict(s.options)] for n, s in SETTINGS.items()},
        "scores": f"of the validation parts of {', '.join(SETTINGS)}; 0 is chance, 1 is all",
        "rules": stored()["rules"],
    }
    told_something = bool(rule(name).reads)
    told["rules"][name] = {
        "rate": float(f"{rate:.3g}"),
        "score": "of the network"
        if told_something
        else "of logistic regression on its outputs",
        "seeds": list(SEEDS if told_something else FEW_SEEDS),
        "tried": {f"{r:.6g}": rounded(tried[r]) for r in sorted(tried)},
        "machine": str(machine()),
    }
    order = {name: at for at, name in enumerate(pg.rules.RULES)}
    told["rules"] = dict(sorted(told["rules"].items(), key=lambda each: order[each[0]]))
    write_atomically(FILE, (json.dumps(told, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
