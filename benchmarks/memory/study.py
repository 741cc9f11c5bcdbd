"""How much each contestant remembers, by the number stored and the delay."""

import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from contestants import CLASSICAL, Contestant, contestants
from matplotlib import color_sequences
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from page import FOLDER, cell, keep, put, ratio, room, table, told

from plasticgym.benchmarks import Remembered, remembered
from plasticgym.benchmarks._statistics import half_width
from plasticgym.envs import Remember

DELAYS = (0, 16)
SHOWN = (8, 16, 32, 64)  # numbers stored of the table by number and delay
KNOWN = 0.55  # the accuracy from which on a share of it that is kept says something
CHOICE, SEEDS = range(8000, 8010), range(9000, 9016)
OURS = "trained, recurrent"
PICTURED = (  # all of them would hide each other
    "hopfield",
    "storkey, tuned",
    "pseudo-inverse",
    "pseudo-inverse, tuned",
    OURS,
    "trained, sparse-recurrent",
    "trained, feed-forward",
    "trained, bidirectional",
    "untrained, recurrent",
)

Found = dict[tuple[int, int], Remembered]  # by the number stored and the delay


class Chosen(NamedTuple):
    """What the validation part says: a setting, a number stored, its bits per float."""

    setting: int  # the position of one among those that were tried
    spelled: str
    stored: int
    density: float
    settings: int  # how many were tried


def study(
    name: str, problem: Callable[..., Remember], numbers: Sequence[int], usual=None
) -> None:
    """Measures all contestants in `problem(part, hidden, stored, delay)`.

    Writes tables, figures and a picture. `usual` is the mean of the bits, if they have one.
    """
    everyone: dict[str, tuple[Chosen, Found]] = {}
    for who, contestant in contestants(usual).items():
        best = chosen(
            contestant, problem("validation", contestant.hidden, numbers[-1], 0), numbers
        )
        tested = problem("test", contestant.hidden, numbers[-1], DELAYS[-1])
        at = [(n, delay) for n in numbers for delay in DELAYS]
        found = asked(contestant.rule(best.setting), tested, at, SEEDS, "test")
        everyone[who] = best, found
        print(*row(who, best, found), best.spelled, file=sys.stderr, flush=True)
        if OURS in everyone:
            report(name, everyone, numbers)


def report(name: str, everyone: dict[str, tuple[Chosen, Found]], numbers) -> None:
    """Stores what was found so far; a study that is stopped keeps it."""
    results = {
        who: best._asdict()
        | {"measured": [{"number": n, "delay": d} | told(f) for (n, d), f in found.items()]}
        for who, (best, found) in everyone.items()
    }
    keep(name, results)
    lines = [*main_table(everyone), "", *compared(everyone), ""]
    lines += ["Bits per float by the number stored:", "", *by_number(everyone), ""]
    lines += ["What was chosen on the validation part:", "", *choices(everyone)]
    put(name, lines, told=f"{len(SEEDS)} lives of each")
    draw(name, results, numbers)


def chosen(contestant: Contestant, problem: Remember, numbers: Sequence[int]) -> Chosen:
    """The setting and the number stored with most bits per float, without a delay."""
    at, count = [(n, 0) for n in numbers], len(contestant.settings)
    tried = [
        Chosen(i, contestant.spelled(i), n, float(f.density.mean()), count)
        for i in range(count)
        for (n, _), f in asked(contestant.rule(i), problem, at, CHOICE, "validation").items()
    ]
    return max(tried, key=lambda one: one.density)


def asked(rule, problem, settings, seeds, part) -> Found:
    found = remembered(rule, problem, seeds=seeds, part=part, settings=settings)
    return dict(zip(settings, found, strict=True))


def row(who: str, best: Chosen, found: Found) -> list[str]:
    most, (now, then) = found[best.stored, 0], (found[8, delay] for delay in DELAYS)
    return [
        f"`{who}`",
        room(most),
        str(best.stored),
        *(cell(found[best.stored, delay].density) for delay in DELAYS),
        cell(now.stored),
        cell(now.unseen),
        cell(then.stored),
        ratio(then.stored - 0.5, now.stored - 0.5) if now.stored.mean() > KNOWN else "-",
    ]


def main_table(everyone) -> list[str]:
    head = ["rule", "floats", "stored", "bits per float", "after 16 more"]
    head += ["accuracy, 8 stored", "never shown", "after 16 more", "kept"]
    return table(head, [row(who, *mine) for who, mine in everyone.items()])


def compared(everyone: dict[str, tuple[Chosen, Found]]) -> list[str]:
    """Ours against the classical rules that are best on the validation part."""

    def against(names: Sequence[str], which: str) -> str:
        rival = max(names, key=lambda who: everyone[who][0].density)
        mine, theirs = (everyone[who][1][everyone[who][0].stored, 0] for who in (OURS, rival))
        return (
            f"- `{OURS}` has {ratio(mine.density, theirs.density)} times the bits per float of "
            f"`{rival}`, the best classical rule {which} on the validation part."
        )

    tuned = [f"{name}, tuned" for name in CLASSICAL]
    return [against(CLASSICAL, "as published"), against(tuned, "as tuned")]


def choices(everyone: dict[str, tuple[Chosen, Found]]) -> list[str]:
    rows = [
        [f"`{who}`", str(best.settings), best.spelled, f"{best.density:.3f}"]
        for who, (best, _) in everyone.items()
    ]
    return table(["rule", "settings tried", "chosen", "bits per float, validation"], rows)


def by_number(everyone: dict[str, tuple[Chosen, Found]]) -> list[str]:
    """Bits per float of everyone at some numbers stored, with and without a delay."""
    settings = [(n, delay) for n in SHOWN for delay in DELAYS]
    head = ["rule", *(f"{n}, then {delay}" if delay else str(n) for n, delay in settings)]
    return table(
        head,
        [
            [f"`{who}`", *(cell(found[at].density) for at in settings)]
            for who, (_, found) in everyone.items()
        ],
    )


def draw(name, results, numbers):
    """Accuracy and bits per float by the number stored; dashed after the delay."""
    figure = Figure(figsize=(11, 4), layout="constrained", dpi=100)
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2)
    shown = {who: results[who] for who in PICTURED if who in results}
    for (who, result), colour in zip(shown.items(), color_sequences["tab10"], strict=False):
        for delay, style in zip(DELAYS, ("-", "--"), strict=True):
            settings = [s for s in result["measured"] if s["delay"] == delay]
            for panel, measure in zip(panels, ("stored", "density"), strict=True):
                values = np.stack([s[measure] for s in settings], axis=1)
                mean, half = values.mean(0), half_width(values)
                label = who if (delay, measure) == (0, "stored") else None
                panel.plot(numbers, mean, style, color=colour, label=label)
                panel.fill_between(
                    numbers, mean - half, mean + half, color=colour, alpha=0.2, linewidth=0
                )
    titles = "accuracy of missing bits", "bits per float"
    for panel, title in zip(panels, titles, strict=True):
        panel.set_title(title, loc="left", fontweight="bold")
        panel.set_xlabel("stored; dashed: 16 others later")
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    figure.savefig(FOLDER / f"{name}.png")
