"""Where results go: tables between marks of the page on remembering, figures beside it."""

import json
from pathlib import Path

import numpy as np

from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._page import place
from plasticgym.benchmarks._statistics import bootstrap, half_width
from plasticgym.rules._atomic import write_atomically

PAGE = Path(__file__).resolve().parents[2] / "docs" / "memory.md"
FOLDER = PAGE.with_suffix("")


def put(name: str, lines: list[str], *, told: str) -> None:
    """Replaces what stands between `<!-- name -->` and `<!-- end of name -->`."""
    source = f"`python benchmarks/memory/{name}.py`, {told}; {machine()}."
    place(PAGE, name, "\n".join([*lines, "", source]))


def keep(name: str, results) -> None:
    """Stores figures of every seed as JSON, with the machine that they come from."""
    FOLDER.mkdir(exist_ok=True)
    told = {"machine": machine()._asdict(), "results": results}
    text = json.dumps(told, allow_nan=False, default=_plain) + "\n"
    write_atomically(FOLDER / f"{name}.json", text.encode())


def stored(name: str) -> dict:
    """The results that were kept before, or none."""
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text())["results"] if path.exists() else {}


def _plain(value):
    return np.asarray(value).round(6).tolist()


def told(found) -> dict:
    """All that is kept of one setting."""
    return {
        "stored": found.stored,
        "unseen": found.unseen,
        "density": found.density,
        "floats": found.floats,
        "diverged": int(found.diverged.sum()),
    }


def cell(values) -> str:
    """Mean and 95% interval over seeds."""
    values = np.asarray(values)
    return f"{values.mean():.3f} ± {half_width(values):.3f}"


def ratio(values, others) -> str:
    """The ratio of two means, with a bootstrap interval over seeds, drawn in pairs."""
    values, others = np.asarray(values), np.asarray(others)

    def of(rows):
        rows = rows.astype(int)
        return values[rows].mean(-1) / others[rows].mean(-1)

    seeds = np.arange(float(len(values)))
    low, high = bootstrap(of, [seeds], seed=0)
    return f"{of(seeds):.2f} ({low:.2f} to {high:.2f})"


def room(found) -> str:
    """The entries that lives change, in the mean."""
    return str(round(float(found.floats.mean())))


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
