"""The tables of the page on bodies that move: python benchmarks/control/page.py

Puts what docs/control/compare-BODY.json holds into docs/control.md, between the two comments
that bear the body's name: means over trainings ± 95%, and the lowest training. Draws
docs/control/compare.png: the same means before the change and after it.
"""

import json

import numpy as np
from compare import BASELINE, FOLDER, SETTINGS
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from plasticgym.benchmarks._page import place

PAGE = FOLDER.with_suffix(".md")
BODIES = {"cartpole": "cart-pole", "pendulum": "pendulum"}
SAID = {
    "unchanged": "unchanged",
    "seen": "changed from birth, as in training",
    "heavy": "gravity and mass × 2 to 2.5",
    "long": "length × 1.8 to 2.2",
    "reversed": "outputs reversed",
    "permuted": "sensors permuted",
}
# Okabe and Ito's colours, told apart by colour-blind people.
DRAWN = {
    "fixed weights": "#0072B2",
    "homeostat with features": "#D55E00",
    "homeostat around a policy": "#CC79A7",
    "gated policy": "#009E73",
}


def main():
    found = {}
    for name in BODIES:
        found[name] = json.loads((FOLDER / f"compare-{name}.json").read_text())["methods"]
        place(PAGE, name, "\n".join(table(found[name])))
    draw(found)


def table(methods) -> list[str]:
    trainings = (f"{name} ({len(told['seeds'])})" for name, told in methods.items())
    lines = [line("from presentation 500 on", *trainings)]
    lines.append(line(*["---"] * (1 + len(methods))))
    before = (cell(told["before"]["unchanged"]) for told in methods.values())
    lines.append(line("before that, in an unchanged body", *before))
    for setting, said in SAID.items():
        lines.append(line(said, *(cell(told["after"][setting]) for told in methods.values())))
    for setting in ("reversed", "permuted"):
        gains = (
            "" if name == BASELINE else mean(told["gain"][setting])
            for name, told in methods.items()
        )
        lines.append(line(f"{SAID[setting]}, more than {BASELINE}", *gains))
    return lines


def cell(told) -> str:
    return f"{mean(told)} ({number(min(told['trainings']))})"


def mean(told) -> str:
    return f"{number(told['mean'])} ± {told['half_width']:.2f}"


def number(value) -> str:
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")  # 0 has no sign


def line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def draw(found):
    figure = Figure(figsize=(10, 3.4), layout="constrained", dpi=100)
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(found), sharey=True)
    names = ["before", *SETTINGS]
    for panel, (body, methods) in zip(panels, found.items(), strict=True):
        drawn = [name for name in DRAWN if name in methods]
        for n, name in enumerate(drawn):
            told = [methods[name]["before"]["unchanged"], *methods[name]["after"].values()]
            means, halves = np.array([[t["mean"], t["half_width"]] for t in told]).T
            places = np.arange(len(told)) + 0.2 * (n - (len(drawn) - 1) / 2)
            panel.errorbar(places, means, halves, fmt="o", color=DRAWN[name], label=name, ms=4)
        panel.set_xticks(range(len(names)), names, rotation=30)
        panel.set_title(BODIES[body], loc="left", fontweight="bold")
        panel.axhline(0.0, color="#666666", ls=":", lw=1)
        panel.axhline(1.0, color="#666666", ls=":", lw=1)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("share of the range")
    shown = panels[-1].get_legend_handles_labels()  # in which all are drawn
    figure.legend(*shown, loc="outside lower center", ncols=len(DRAWN), frameon=False)
    figure.savefig(FOLDER / "compare.png")


if __name__ == "__main__":
    main()
