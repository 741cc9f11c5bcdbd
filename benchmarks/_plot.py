import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ._report import Report
from ._result import Result
from ._statistics import half_width

# Okabe and Ito's colours, told apart by colour-blind people; yellow is left out, as it
# cannot be seen on white. Beyond them the dashes change.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", ":", "-.")
_GREY = "#666666"
_COLUMNS = 3


def plot(report: Report, path: str | os.PathLike) -> None:
    """Draws learning curves, one panel per problem, into a file.

    Lines are mean held-out scores over seeds, against presentations on a logarithmic
    axis, bands 95% intervals of these means (Student's t), dotted lines chance.

    Args:
        report: from [`evaluate`][plasticgym.benchmarks.evaluate].
        path: where to; its ending tells the format: `.png`, `.svg`, `.pdf`.

    Raises:
        ModuleNotFoundError: if matplotlib is not installed.
        ValueError: if there is no such format.

    !!! example

        ```python
        benchmarks.plot(report, "curves.png")
        ```
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "plotting needs matplotlib; install it with `pip install 'plasticgym[plot]'`."
        ) from error

    splits = report.settings
    columns = min(_COLUMNS, max(len(settings) for settings in splits.values()))
    rows = {split: math.ceil(len(settings) / columns) for split, settings in splits.items()}
    figure = Figure(
        figsize=(3.0 * columns + 0.3, 2.35 * sum(rows.values()) + 0.75),
        dpi=150,
        layout="constrained",
    )
    FigureCanvasAgg(figure)
    grid = figure.subplots(sum(rows.values()), columns, squeeze=False)
    top = 0
    for split, settings in splits.items():
        panels = grid[top : top + rows[split]].ravel()
        for panel, setting in zip(panels, settings, strict=False):
            _panel(panel, report, split, setting)
        for panel in panels[len(settings) :]:
            panel.set_axis_off()
        for row in grid[top : top + rows[split]]:
            row[0].set_ylabel(f"{report.part} score")
        top += rows[split]
    _finish(figure, grid, report)
    figure.savefig(path)


def _panel(panel: Any, report: Report, split: str, setting: str) -> None:
    results = {rule: found[setting] for rule, found in report.results.items()}
    draw_curves(panel, results)
    panel.set_title(setting, loc="left", fontweight="bold")
    panel.set_title(split, loc="right", color=_GREY, fontsize=9)


def draw_curves(panel: Any, results: Mapping[str, Result]) -> None:
    """Mean held-out scores in one setting, with bands, against presentations."""
    from matplotlib.ticker import FixedLocator, NullLocator

    floor, times, chance = 1.0, (1,), 0.0
    for number, (rule, result) in enumerate(results.items()):
        times, chance = result.times, result.chance
        mean, half = result.held_out.mean(0), half_width(result.held_out)
        style = _style(number)
        panel.plot(times, mean, label=rule, marker="o", markersize=2.5, **style)
        panel.fill_between(
            times, mean - half, mean + half, color=style["color"], alpha=0.2, linewidth=0
        )
        floor = min(floor, float((mean - np.nan_to_num(half)).min()))
    panel.axhline(chance, color=_GREY, linestyle=(0, (1, 1.5)), linewidth=1.2)
    panel.set_xscale("log")
    panel.xaxis.set_major_locator(FixedLocator(_ticks(times[-1])))
    panel.xaxis.set_major_formatter("{x:.0f}")
    panel.xaxis.set_minor_locator(NullLocator())
    # A wide band far below chance must not squeeze what matters.
    low = max(min(floor, chance), chance - 0.25 * (1 - chance))
    panel.set_xlim(0.9, times[-1] * 1.1)
    panel.set_ylim(low - 0.05 * (1 - low), 1 + 0.03 * (1 - low))
    panel.grid(color="#e6e6e6", linewidth=0.6)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def _finish(figure: Any, grid: Any, report: Report) -> None:
    from matplotlib.lines import Line2D

    for column in grid.T:
        [panel for panel in column if panel.axison][-1].set_xlabel("presentations")
    handles = [
        Line2D([], [], label=rule, **_style(number))
        for number, rule in enumerate(report.results)
    ]
    dotted = Line2D([], [], label="chance", color=_GREY, linestyle=(0, (1, 1.5)))
    figure.legend(
        handles=[*handles, dotted],
        loc="outside upper center",
        ncols=2 * grid.shape[1],
        frameon=False,
    )


def _style(number: int) -> dict[str, Any]:
    dashes = _DASHES[number // len(_COLOURS) % len(_DASHES)]
    return {"color": _COLOURS[number % len(_COLOURS)], "linestyle": dashes, "linewidth": 1.8}


def _ticks(last: int) -> list[int]:
    """1, 2, 5, 10, ... (or powers of ten, where these would crowd) and the last."""
    steps = (1, 2, 5) if last <= 200 else (1,)
    ticks = [m * 10**e for e in range(len(str(last))) for m in steps]
    return [t for t in ticks if t <= last / 1.4] + [last]
