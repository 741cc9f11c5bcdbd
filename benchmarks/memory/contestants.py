"""Who remembers: rules by name, and the bodies in which they do."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import plasticgym as pg

CLASSICAL = ("hopfield", "storkey", "pseudo-inverse")
STEPS, TICKS = (1, 10), (5, 10)  # rounds in which populations settle
SETTLING = {"topology_options": [{"ticks": n} for n in TICKS]}
# Of the remembering rule: the `hidden` of a body of theirs, and the settings that are tried.
TOPOLOGIES: dict[str, tuple[tuple[int, ...] | int, dict[str, Any]]] = {
    "recurrent": (0, SETTLING),
    "sparse-recurrent": (0, SETTLING),
    "feed-forward": ((), {}),
    "bidirectional": ((), {}),
}
# What the published rules leave out, and the values of it that are tried.
SLOPES = {"hopfield": (0.5, 1.0, 2.0, 4.0), "storkey": (1.0, 2.0, 4.0, 8.0)}
TUNED = {
    **{name: {"slope": slopes} for name, slopes in SLOPES.items()},
    "pseudo-inverse": {
        "slope": (2.0, 3.0, 4.5, 6.0),
        "own": (0.0, 0.5),
        "ridge": (2.0, 4.0, 8.0),
    },
}
TRAINED = Path(pg.rules.__file__).parent / "genomes" / "remembering-recurrent.safetensors"
WRITTEN = ("recurrent", "feed-forward")


class Contestant(NamedTuple):
    """Settings of one rule, of which one is chosen, and `hidden` of a body of theirs."""

    name: str
    settings: list[dict[str, Any]]
    hidden: tuple[int, ...] | int

    def rule(self, at: int) -> pg.rules.AbstractRule:
        """In one of the settings."""
        return pg.rules.make(self.name, **self.settings[at])

    def spelled(self, at: int) -> str:
        """The numbers of a setting; of a centre, one per bit, whether there is one."""
        spelt = []
        for name, value in self.settings[at].items():
            if name == "centre":
                spelt.append("centred" if np.any(value) else "not centred")
            elif name == "topology_options":
                spelt += [f"{n} {v}" for n, v in value.items()]
            elif name not in ("genome", "topology"):
                spelt.append(f"{name} {value:g}")
        return ", ".join(spelt) or "-"


def contestants(usual: np.ndarray | None = None) -> dict[str, Contestant]:
    """By name; `usual` is the mean of the bits, where bits have one."""
    everyone = {name: Contestant(name, _each(steps=STEPS), 0) for name in CLASSICAL}
    centres = {} if usual is None else {"centre": (0.0 * usual, usual)}
    for name, values in TUNED.items():
        settings = _each(steps=(10,), **values, **centres)
        everyone[f"{name}, tuned"] = Contestant(name, settings, 0)
    genomes = [("trained", str(TRAINED), topology) for topology in TOPOLOGIES]
    genomes += [("projection", "projection", topology) for topology in WRITTEN]
    for called, genome, topology in [*genomes, ("untrained", "random", "recurrent")]:
        everyone[f"{called}, {topology}"] = remembering(genome, topology)
    return everyone


def remembering(genome: str, topology: str) -> Contestant:
    """One genome; how often a population listens is chosen as for the others."""
    hidden, tried = TOPOLOGIES[topology]
    return Contestant(
        "remembering", _each(genome=(genome,), topology=(topology,), **tried), hidden
    )


def _each(**values: Sequence) -> list[dict[str, Any]]:
    """All combinations of them."""
    return [
        dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())
    ]
