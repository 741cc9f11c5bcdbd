"""Tables and picture of the page on invariant paths: python benchmarks/paths/page.py

Reads docs/paths/continual.json, prints a table for each problem, to be put into
docs/invariant-paths.md, and draws docs/paths/continual.png.
"""

import numpy as np
from continual import FILE, METHODS, stored
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLUMNS = ("method", "setting", "accuracy", "forgetting", "backward transfer")


def main():
    problems = stored()["problems"]
    for name, told in problems.items():
        print(f"\n{name}\n\n| {' | '.join(COLUMNS)} |\n" + "|---" * len(COLUMNS) + "|")
        for method in (m for m in METHODS if m in told["methods"]):
            print(row(method, told["methods"][method]))
    draw(problems)


def row(method, found) -> str:
    numbers = [f"{found['accuracy']['mean']:.3f} ± {found['accuracy']['half_width']:.3f}"]
    for name in ("forgetting", "backward"):
        told = found[name]
        mixed = METHODS[method].order == "mixed"
        numbers.append("" if mixed else f"{told['mean']:.3f} ± {told['half_width']:.3f}")
    return f"| {method} | {found['chosen']:g} | {' | '.join(numbers)} |"


def draw(problems):
    """Accuracy on all tasks at the end, one panel per problem."""
    figure = Figure(figsize=(4.5 * len(problems), 3.0), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(problems), squeeze=False)[0]
    for panel, (name, told) in zip(panels, problems.items(), strict=True):
        methods = [m for m in METHODS if m in told["methods"]][::-1]
        found = [told["methods"][m]["accuracy"] for m in methods]
        colours = ["#D55E00" if m.startswith("path") else "#0072B2" for m in methods]
        panel.barh(
            np.arange(len(methods)),
            [f["mean"] for f in found],
            xerr=[f["half_width"] for f in found],
            color=colours,
        )
        panel.set_yticks(np.arange(len(methods)), methods)
        panel.set_xlim(0.0, 1.0)
        panel.set_title(name, loc="left", fontweight="bold")
        panel.set_xlabel("accuracy on all tasks, test part")
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(FILE.with_name("continual.png"))


if __name__ == "__main__":
    main()
