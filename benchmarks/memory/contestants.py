"""Who remembers: rules by name, and the bodies in which they do."""

from typing import NamedTuple

import plasticgym as pg

CLASSICAL = ("hopfield", "storkey", "pseudo-inverse")
STEPS = (1, 10)  # rounds in which they settle: the better one is chosen
TOPOLOGIES = {  # of the remembering rule, and the `hidden` of a body of theirs
    "recurrent": 0,
    "sparse-recurrent": 0,
    "feed-forward": (),
    "bidirectional": (),
}
UNTRAINED = ("recurrent", "feed-forward")


class Contestant(NamedTuple):
    """Rules of which one is chosen, and `hidden` of a body with a neuron for each bit."""

    variants: list[pg.rules.AbstractRule]
    hidden: tuple[int, ...] | int


def contestants() -> dict[str, Contestant]:
    """By name."""
    everyone = {
        name: Contestant([pg.rules.make(name, steps=n) for n in STEPS], 0) for name in CLASSICAL
    }
    for topology, hidden in TOPOLOGIES.items():
        rule = remembering("shipped", topology)
        everyone[f"remembering, {topology}"] = Contestant([rule], hidden)
    for topology in UNTRAINED:
        rule = remembering("random", topology)
        everyone[f"untrained, {topology}"] = Contestant([rule], TOPOLOGIES[topology])
    return everyone


def remembering(genome: str, topology: str) -> pg.rules.AbstractRule:
    return pg.rules.make("remembering", genome, topology=topology)
