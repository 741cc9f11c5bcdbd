"""Tables and picture of the page on invariant paths: python benchmarks/paths/page.py

Puts what docs/paths holds into docs/invariant-paths.md, each table between the two comments
that bear its name, and draws docs/paths/continual.png.
"""

import json

import numpy as np
from continual import FILE, METHODS, stored
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from plasticgym.benchmarks._page import place
from plasticgym.benchmarks._statistics import half_width

PAGE = FILE.parents[1] / "invariant-paths.md"
COLUMNS = ("method", "setting", "accuracy", "forgetting", "backward transfer", "path - method")
OURS = "invariant path"
TITLES = {
    "split-digits": "Split digits",
    "permuted-digits": "Permuted digits",
    "split-mnist": "Split MNIST",
    "permuted-mnist": "Permuted MNIST",
    "own-deviations": "Permuted, own deviations",
}


def main():
    problems = stored()["problems"]
    tables = {"continual": "\n\n".join(table(name, told) for name, told in problems.items())}
    for name in ("sparsify", "robust"):
        tables[name] = FILE.with_name(f"{name}.md").read_text().strip()
    anchors = FILE.with_name("anchors.json")
    if anchors.is_file():
        tables["anchors"] = curve(json.loads(anchors.read_text())["methods"])
    for name, found in tables.items():
        place(PAGE, name, found)
    draw(problems)


def table(name: str, told) -> str:
    methods = told["methods"]
    rows = [row(m, methods) for m in METHODS if m in methods]
    head = [f"**{TITLES[name]}** ({told['problem']})", "", line(*COLUMNS), line(*["---"] * 6)]
    return "\n".join([*head, *rows, "", f"{methods[OURS]['machine']}."])


def line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def row(method, methods) -> str:
    found = methods[method]
    mixed = METHODS[method].order == "mixed"
    kept = [found[name]["each"] for name in ("forgetting", "backward")]
    numbers = ["" if mixed else told(each) for each in kept]
    behind = np.subtract(methods[OURS]["accuracy"]["each"], found["accuracy"]["each"])
    paired = "" if method == OURS else told(behind)
    return line(
        method,
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
    rows = [line("anchors or samples", *numbers), line(*["---"] * (len(numbers) + 1))]
    for name, found in methods.items():
        rows.append(line(name, *(told(found[n]["accuracy"]["each"]) for n in numbers)))
    return "\n".join(rows)


def draw(problems):
    """Accuracy on all tasks at the end, one panel per problem, two in a row."""
    height = -(-len(problems) // 2)
    figure = Figure(figsize=(9.5, 3.4 * height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(height, 2, squeeze=False).ravel()
    for panel in panels[len(problems) :]:
        panel.set_axis_off()
    for panel, (name, held) in zip(panels, problems.items(), strict=False):
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
        panel.set_title(TITLES[name], loc="left", fontweight="bold")
        panel.set_xlabel("accuracy on all tasks, test part (%)")
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(FILE.with_name("continual.png"))


if __name__ == "__main__":
    main()
