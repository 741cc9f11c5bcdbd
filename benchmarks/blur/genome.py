"""Draws a genome of BLUR: python benchmarks/blur/genome.py [FILE] (the shipped one otherwise)

Its four matrices, source states in rows and destinations in columns, and its other genes,
into docs/blur/genome.png.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import plasticgym as pg

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "blur" / "genome.png"
MATRICES = {
    "forward": r"up, $\nu$",
    "backward": r"down, $\mu$",
    "synapse.pre": r"pre, $\tilde\nu$",
    "synapse.post": r"post, $\tilde\mu$",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", default="shipped")
    genes = pg.rules.named_leaves(pg.rules.make("blur", genome=parser.parse_args().file))
    figure = Figure(figsize=(11, 2.6), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(MATRICES) + 1, width_ratios=[1, 1, 1, 1, 1.5])
    largest = max(np.abs(genes[name]).max() for name in MATRICES)
    for panel, (name, title) in zip(panels, MATRICES.items(), strict=False):
        matrix = np.asarray(genes[name])
        panel.imshow(matrix, cmap="RdBu", vmin=-largest, vmax=largest)
        for (row, column), value in np.ndenumerate(matrix):
            dark = abs(value) > 0.6 * largest
            panel.text(
                column,
                row,
                f"{value:.2f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if dark else "black",
            )
        panel.set_title(title)
        states = range(len(matrix))
        panel.set_xticks(states, [str(s + 1) for s in states])
        panel.set_yticks(states, [str(s + 1) for s in states])
        panel.set_xlabel("to state")
    panels[0].set_ylabel("from state")
    others = {name: np.atleast_1d(v) for name, v in genes.items() if name not in MATRICES}
    lines = [f"{name}  {' '.join(f'{x:.2f}' for x in v)}" for name, v in others.items()]
    panels[-1].set_axis_off()
    panels[-1].text(0, 1, "\n".join(lines), va="top", fontsize=7, family="monospace")
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE)
    print(f"drawn into {PICTURE.name}")


if __name__ == "__main__":
    main()
