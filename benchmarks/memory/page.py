"""Where results go: tables between marks of the page on remembering, figures beside it."""

import json
import re
from pathlib import Path

import numpy as np

from plasticgym.benchmarks._machine import machine
from plasticgym.benchmarks._statistics import half_width
from plasticgym.rules._atomic import write_atomically

PAGE = Path(__file__).resolve().parents[2] / "docs" / "memory.md"
FOLDER = PAGE.with_suffix("")


def put(name: str, lines: list[str], *, seeds) -> None:
    """Replaces what stands between `<!-- name -->` and `<!-- end of name -->`."""
    told = f"`python benchmarks/memory/{name}.py`, {len(seeds)} seeds; {machine()}."
    text = "\n".join([*lines, "", told])
    marks = rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)"
    page, found = re.subn(
        marks, lambda m: m[1] + text + "\n" + m[2], PAGE.read_text(), flags=re.DOTALL
    )
    if found != 1:
        raise SystemExit(f"{PAGE} has {found} places for {name}, not one.")
    write_atomically(PAGE, page.encode())


def keep(name: str, results) -> None:
    """Stores figures of every seed as JSON, with the machine that they come from."""
    FOLDER.mkdir(exist_ok=True)
    told = {"machine": machine()._asdict(), "results": results}
    text = json.dumps(told, allow_nan=False, default=_plain) + "\n"
    write_atomically(FOLDER / f"{name}.json", text.encode())


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


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]
