"""Tables and pictures of the page on networks that learn together:

    python benchmarks/decentralized/page.py

Puts what docs/decentralized/*.json hold into docs/decentralized.md, each table between the two
comments that bear its name, and draws replicas.png, hierarchy.png and cross_modal.png.
Intervals are of 95%, by Student's t over seeds; of ratios, by a bootstrap over seeds.
"""

import json
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from plasticgym.benchmarks._machine import Machine
from plasticgym.benchmarks._page import place
from plasticgym.benchmarks._statistics import bootstrap, half_width

PAGE = Path(__file__).resolve().parents[2] / "docs" / "decentralized.md"
FOLDER = PAGE.with_suffix("")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
RIVALS = ("flat", "one module", "reconstruction", "workspace")
ANSWERS = {
    "split": "split towers",
    "permuted": "the same, asked with the vectors of the answers permuted",
    "fused": "fused: one network that sees the answer beside the question while it learns",
    "even, one network": "two clients with half of the images each: split towers for all rows",
    "even, sharing": "two such clients, sharing both towers",
    "skewed, sharing": "four clients with skewed images, sharing both towers",
    "skewed, alone": "the same clients, each alone",
}


def main():
    replicas, learned, hierarchy, towers = (
        json.loads((FOLDER / f"{name}.json").read_text())
        for name in ("replicas", "learned_mixing", "hierarchy", "cross_modal")
    )
    place(PAGE, "skewed", written(replicas, skewed(replicas)))
    place(PAGE, "stressed", written(replicas, stressed(replicas), rejected(replicas)))
    place(PAGE, "learned", written(learned, compared(learned, replicas)))
    place(PAGE, "hierarchy", written(hierarchy, composed(hierarchy)))
    place(PAGE, "cross_modal", written(towers, answered(towers["measured"])))
    draw_replicas(replicas)
    draw_hierarchy(hierarchy)
    draw_cross_modal(towers["measured"])


def written(report, *tables) -> str:
    """Tables, and the command and machine that they come from."""
    here = Machine(**{name: report.get("machine", report)[name] for name in Machine._fields})
    return "\n\n".join([*map(table, tables), f"`{report['command']}`; {here}."])


def table(rows) -> str:
    head, *others = rows
    lines = [head, ["---"] * len(head), *others]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(values) -> str:
    values = np.asarray(values)
    return f"{100 * values.mean():.1f} ± {100 * half_width(values):.1f}".replace("-", "−")


def share(values, digits=3) -> str:
    values = np.asarray(values, float)
    return f"{values.mean():.{digits}f} ± {half_width(values):.{digits}f}"


def skewed(report):
    yield ["test accuracy (%) after round", *map(str, report["rounds"])]
    curves = {name: np.asarray(found) for name, found in report["skewed"].items()}
    for name, found in curves.items():
        yield [name, *(percent(column) for column in found.T)]
    behind = curves["central"] - curves["average"]
    yield ["central - average, paired", *(percent(column) for column in behind.T)]


def ends(found) -> dict:
    """What replicas score at last, of each seed, by what goes wrong."""
    return {wrong: np.asarray(scores)[:, -1] for wrong, scores in found.items()}


def stressed(report):
    last = {name: ends(found) for name, found in report["stressed"].items()}
    wrongs = list(last["average"])
    yield [f"test accuracy (%) after round {report['rounds'][-1]}", *wrongs]
    for name, of in last.items():
        yield [name, *(percent(of[w]) for w in wrongs)]
    gain = [last["gated"][w] - last["average"][w] for w in wrongs]
    yield ["gated - average, paired", *map(percent, gain)]


def rejected(report):
    shut = report["rejected"]
    yield ["shut out by the gate (%)", *shut]
    for kind in ("spoiled", "sound"):
        yield [kind, *(percent(of[kind]) if kind in of else "" for of in shut.values())]


def compared(report, fixed):
    """The learned mixing beside the fixed ones of the same seeds."""
    ours, wrongs = ends(report["learned"]), list(report["learned"])
    others = {name: ends(found) for name, found in fixed["stressed"].items()}
    others["gated, tuned"] = ends(report["gate"]["tuned"])
    best = {w: max(others, key=lambda name: others[name][w].mean()) for w in wrongs}
    yield [f"test accuracy (%) after round {report['rounds'][-1]}", *wrongs]
    yield ["learned", *(percent(ours[w]) for w in wrongs)]
    yield ["best fixed", *(f"`{best[w]}` {percent(others[best[w]][w])}" for w in wrongs)]
    yield ["learned - best fixed", *(percent(ours[w] - others[best[w]][w]) for w in wrongs)]
    for name, of in others.items():
        yield [f"learned - `{name}`", *(percent(ours[w] - of[w]) for w in wrongs)]


def composed(report):
    yield ["", "numbers", "rate", "known sums", "new sum at first", "to 0.9", "of flat"]
    flat = np.asarray(report["rivals"]["flat"]["needed"], float)
    for name in RIVALS:
        found = report["rivals"][name]
        yield [
            name,
            str(found["synapses"]),
            f"{found['rate']:g}",
            share(found["known"]),
            share(found["first"]).replace("-", "−"),
            share(found["needed"], 1),
            "1" if name == "flat" else ratio(np.asarray(found["needed"], float), flat),
        ]


def ratio(ours, others) -> str:
    """Of two means over the same seeds."""
    of = lambda seeds: ours[seeds.astype(int)].mean(-1) / others[seeds.astype(int)].mean(-1)  # noqa: E731
    seeds = np.arange(float(len(ours)))
    low, high = bootstrap(of, [seeds], seed=0)
    return f"{of(seeds):.2f} ({low:.2f} to {high:.2f})"


def answered(measured):
    yield ["", "rate", "right answers (%)"]
    scores = right(measured)
    for name, told in ANSWERS.items():
        found = measured.get(name, measured["split"])
        yield [told, f"{found['rate']:g}", percent(scores[name])]
    pairs = {
        "two clients sharing - split towers, paired": ("even, sharing", "split"),
        "two clients sharing - one network, paired": ("even, sharing", "even, one network"),
        "skewed clients: sharing - alone, paired": ("skewed, sharing", "skewed, alone"),
    }
    for told, (one, other) in pairs.items():
        yield [told, "", percent(scores[one] - scores[other])]


def right(measured) -> dict:
    """The share of right answers of each seed."""
    found = {name: np.asarray(of["score"]) for name, of in measured.items()}
    return found | {"permuted": np.asarray(measured["split"]["permuted"])}


def panels(count, **options):
    figure = Figure(figsize=(9.0, 3.6), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    drawn = np.atleast_1d(figure.subplots(1, count, **options))
    for panel in drawn:
        panel.spines[["top", "right"]].set_visible(False)
    return figure, drawn


def draw_replicas(report):
    figure, (left, right) = panels(2, sharey=True)
    moved = {name: of["labels moved"] for name, of in report["stressed"].items()}
    for panel, curves in {left: report["skewed"], right: moved}.items():
        others = iter(COLOURS[1:])
        for name, found in curves.items():
            colour = COLOURS[0] if name == "average" else next(others)
            mean, half = 100 * np.mean(found, 0), 100 * half_width(np.asarray(found))
            options = {"marker": "o", "ms": 3, "capsize": 2, "color": colour}
            panel.errorbar(report["rounds"], mean, half, label=name, **options)
        panel.set_xlabel("rounds")
        panel.legend(frameon=False, fontsize=8, loc="lower right")
    left.set_ylabel("test accuracy (%)")
    left.set_title("ten shards, each of a main class", fontsize=9)
    right.set_title("five shards, two of them with labels moved", fontsize=9)
    figure.savefig(FOLDER / "replicas.png")


def draw_hierarchy(report):
    """How well sums are told, from shortly before the new one on."""
    figure, (panel,) = panels(1)
    times = np.arange(*report["drawn"])
    for name, colour in zip(RIVALS, COLOURS, strict=False):
        curve = report["rivals"][name]["curve"]
        mean, half = np.asarray(curve["mean"]), np.asarray(curve["half width"])
        panel.plot(times, mean, color=colour, label=name)
        panel.fill_between(times, mean - half, mean + half, color=colour, alpha=0.15, lw=0)
    panel.axvline(0.0, color="#666666", lw=0.8, ls=":")
    panel.axhline(report["goal"], color="#666666", lw=0.8, ls=":")
    panel.set_ylim(0.0, 1.0)
    panel.set_xlabel("presentations of the new sum (before 0: of known ones)")
    panel.set_ylabel("score before learning from it")
    panel.legend(frameon=False, fontsize=8, loc="lower right")
    figure.savefig(FOLDER / "hierarchy.png")


def draw_cross_modal(measured):
    scores = right(measured)
    labels = {
        "split": "split towers",
        "even, one network": "one network, rows of both",
        "even, sharing": "two clients, sharing towers",
        "fused": "fused",
        "permuted": "answers permuted",
    }
    skew = {"skewed, sharing": "sharing both towers", "skewed, alone": "alone"}
    figure, drawn = panels(2, sharex=True, width_ratios=(1.2, 1.0))
    for panel, names in zip(drawn, (labels, skew), strict=True):
        for at, name in enumerate(reversed(names)):
            each = 100 * scores[name]
            colour = COLOURS[1] if "sharing" in name else COLOURS[0]
            panel.barh(at, each.mean(), xerr=half_width(each), color=colour, capsize=2)
            panel.plot(each, np.full(len(each), at), "k.", ms=3)
        panel.set_yticks(range(len(names)), reversed(names.values()))
        panel.set_xlim(0.0, 100.0)
        panel.set_xlabel("right answers, test part (%)")
    drawn[0].set_title("images dealt out evenly, or one network", fontsize=9)
    drawn[1].set_title("four clients with skewed images", fontsize=9)
    figure.savefig(FOLDER / "cross_modal.png")


if __name__ == "__main__":
    main()
