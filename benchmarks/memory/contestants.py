"""Who remembers: rules by name, and the bodies in which they do."""

import plasticgym as pg

CLASSICAL = ("hopfield", "storkey", "pseudo-inverse")
TOPOLOGIES = {  # of the remembering rule, and the `hidden` of a body of theirs
    "feed-forward": (),
    "bidirectional": (),
    "recurrent": 0,
    "sparse-recurrent": 0,
}


def contestants() -> dict[str, tuple[pg.rules.AbstractRule, tuple[int, ...] | int]]:
    """Rules and the `hidden` of their bodies, whose ends have a neuron for each bit."""
    rules = {name: (pg.rules.make(name), 0) for name in CLASSICAL}
    for genome, name in (("shipped", "remembering"), ("random", "untrained")):
        for topology, hidden in TOPOLOGIES.items():
            rule = pg.rules.make("remembering", genome, topology=topology)
            rules[f"{name}, {topology}"] = rule, hidden
    return rules
