import csv
import os
import textwrap
from pathlib import Path

from ._run import read_run

_COLUMNS = ("generation", "best", "mean", "diverged")
_TITLE = 70  # letters that fit over the panel


def plot(folder: str | os.PathLike, path: str | os.PathLike) -> None:
    """Draws how a run went: fitness and the share of diverged lives by generation.

    Args:
        folder: of the run.
        path: where to; its ending tells the format: `.png`, `.svg`, `.pdf`.

    Raises:
        ModuleNotFoundError: if matplotlib is not installed.
        ValueError: if the folder holds no run, or one without a finished generation.

    !!! example

        ```python
        agents.plot("runs/blur", "runs/blur/history.png")
        ```
    """
    run = read_run(folder)
    history = _read(Path(folder) / "history.csv")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "plotting needs matplotlib; install it with `pip install 'plasticgym[plot]'`."
        ) from error
    figure = Figure(figsize=(7.0, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot(history["generation"], history["best"], color="#56B4E9", label="best")
    upper.plot(history["generation"], history["mean"], color="#0072B2", label="mean")
    upper.set_ylabel("fitness")
    title = f"{run.rule} by {run.agent} on {', '.join(run.problems)}"
    upper.set_title(textwrap.fill(title, _TITLE), loc="left")
    upper.legend(frameon=False, loc="lower right")
    lower.plot(history["generation"], history["diverged"], color="#D55E00")
    lower.set_ylabel("diverged")
    lower.set_ylim(-0.03, 1.03)
    lower.set_xlabel("generation")
    for panel in (upper, lower):
        panel.grid(color="#e6e6e6", linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


def _read(path: Path) -> dict[str, list[float]]:
    if not path.is_file():
        raise ValueError(f"{path.parent} holds no finished generation yet; resume its run.")
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return {name: [float(row[name]) for row in rows] for name in _COLUMNS}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}.") from error
