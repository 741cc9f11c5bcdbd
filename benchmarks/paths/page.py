"""Tables and picture of the page on invariant paths: python benchmarks/paths/page.py

Reads docs/paths/continual.json and anchors.json, prints what belongs into
docs/invariant-paths.md, and draws docs/paths/continual.png.
"""

import json

import numpy as np
from continual import FILE, METHODS, stored
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from plasticgym.benchmarks._statistics import half_width

COLUMNS = ("method", "setting", "accuracy", "forgetting", "backward transfer", "path - method")
OURS = "invariant path"


def main():
    problems = stored()["problems"]
    for name, told in problems.items():
        methods = told["methods"]
        print(f"\n**{name}** ({told['problem']})\n\n{line(*COLUMNS)}\n{line(*['---'] * 6)}")
        for method in (m for m in METHODS if m in methods):
            print(row(method, methods))
        print(f"\n{methods[OURS]['machine']}")
    anchors = FILE.with_name("anchors.json")
    if anchors.is_file():
        print(curve(json.loads(anchors.read_text())["methods"]))
    draw(problems)


def line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def row(method, methods) -> str:
    found = methods[method]
    earlier = "*" if "revision" in found["chosen_on"] else ""  # chosen in another way
    mixed = METHODS[method].order == "mixed"
    kept = [*("forgetting", "backward")]
    numbers = ["" if mixed else told(found[name]["each"]) for name in kept]
    behind = np.subtract(methods[OURS]["accuracy"]["each"], found["accuracy"]["each"])
    paired = "" if method == OURS else told(behind)
    return line(
        method + earlier,
        f"{found['chosen']:g}",
        told(found["accuracy"]["each"]),
        *numbers,
        paired,
    )


def told(each) -> str:
    """Mean and 95% interval, in percent."""
    values = 100 * np.asarray(each)
    return f"{values.mean():.1f} ± {half_width(values):.1f}"


def curve(methods) -> str:
    numbers = [*next(iter(methods.values()))]
    rows = [line("stored", *numbers), line(*["---"] * (len(numbers) + 1))]
    for name, found in methods.items():
        rows.append(line(name, *(told(found[n]["accuracy"]["each"]) for n in numbers)))
    return "\n" + "\n".join(rows)


def draw(problems):
    """Accuracy on all tasks at the end, one panel per problem."""
    figure = Figure(figsize=(4.5 * len(problems), 3.4), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(problems), squeeze=False)[0]
    for panel, (name, held) in zip(panels, problems.items(), strict=True):
        methods = [m for m in METHODS if m in held["methods"]][::-1]
        found = [held["methods"][m]["accuracy"] for m in methods]
        colours = ["#D55E00" if "path" in m else "#0072B2" for m in methods]
        panel.barh(
            np.arange(len(methods)),
            [100 * f["mean"] for f in found],
            xerr=[100 * f["half_width"] for f in found],
            color=colours,
        )
        panel.set_yticks(np.arange(len(methods)), methods)
        panel.set_xlim(0.0, 100.0)
        panel.set_title(name, loc="left", fontweight="bold")
        panel.set_xlabel("accuracy on all tasks, test part (%)")
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(FILE.with_name("continual.png"))


if __name__ == "__main__":
    main()
