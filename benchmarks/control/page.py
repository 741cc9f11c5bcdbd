"""The tables of the page on bodies that move: python benchmarks/control/page.py

Puts what docs/control/compare-BODY.json holds into docs/control.md, between the two comments
that bear the body's name: the mean of three trainings and, in brackets, the three. What a
method has more than the fixed weights of the same seeds is a mean over trainings, ± 95%.
"""

import json

import numpy as np
from compare import FOLDER

from plasticgym.benchmarks._page import place
from plasticgym.benchmarks._statistics import half_width

PAGE = FOLDER.with_suffix(".md")
BASELINE = "fixed weights"
ROWS = {
    "unchanged": "unchanged",
    "seen": "changed from birth, as in training",
    "heavy": "gravity and mass × 2 to 2.5",
    "long": "length × 1.8 to 2.2",
    "reversed": "outputs reversed",
    "permuted": "sensors permuted",
}


def main():
    for name in ("cartpole", "pendulum"):
        rows = json.loads((FOLDER / f"compare-{name}.json").read_text())["rows"]
        lines = table({(r["setting"], r["method"]): r for r in rows})
        place(PAGE, name, "\n".join(lines))


def table(found) -> list[str]:
    others = [m for setting, m in found if setting == "unchanged" and m != BASELINE]
    methods = [BASELINE, *others]
    before = [number(found["unchanged", m]["before"]) for m in methods]
    lines = [line("from presentation 500 on", *methods), line(*["---"] * (1 + len(methods)))]
    lines.append(line("before that, in an unchanged body", *before))
    for setting, told in ROWS.items():
        lines.append(line(told, *(each(found[setting, m]["trainings"]) for m in methods)))
    for setting in ("reversed", "permuted"):
        base = found[setting, BASELINE]["trainings"]
        gains = [np.subtract(found[setting, m]["trainings"], base) for m in methods]
        cells = [
            "" if m == BASELINE else f"{number(g.mean())} ± {half_width(g):.2f}"
            for m, g in zip(methods, gains, strict=True)
        ]
        lines.append(line(f"{ROWS[setting]}, more than {BASELINE}", *cells))
    return lines


def each(trainings) -> str:
    return f"{number(np.mean(trainings))} ({', '.join(map(number, trainings))})"


def number(value) -> str:
    return f"{value:.2f}".replace("-", "−")


def line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
