"""The remembering rule: what is refused of its parts, by name and in bodies."""

import dataclasses

import jax
import jax.numpy as jnp
import pytest

import plasticgym as pg
from plasticgym.rules import Affine, Body, FactorisedChange, Gated, GeneralChange

KEY = jax.random.key(0)
BUILT = {
    "rule": pg.rules.make("remembering", "random"),
    "gated": Gated.drawn(3, 2, key=KEY),
    "factorised": FactorisedChange.drawn(1, 9, 3, key=KEY),
    "general": GeneralChange.drawn(1, 9, 4, key=KEY),
}


@pytest.mark.parametrize(
    ("name", "parts", "message"),
    [
        ("rule", {"birth": jnp.ones(2)}, r"`embedding` and `birth` must lead with the 3 types"),
        ("rule", {"message": jnp.ones((1, 2, 8))}, r"`message` must have shape .* 9\) .* got"),
        (
            "rule",
            {"plasticity": FactorisedChange.drawn(2, 9, 3, key=KEY)},
            "`plasticity` must be of 1 states and 9 numbers shown, got 2 and 9",
        ),
        (
            "rule",
            {"cell": Affine.drawn(11, 8, key=KEY)},
            r"`cell` must have weights of shape \(8, 12\), got \(8, 11\)",
        ),
        ("gated", {"gate": Affine.drawn(3, 4, key=KEY)}, r"of one shape, got \(2, 3\) and \(4"),
        ("factorised", {"pre": Gated.drawn(9, 2, key=KEY)}, "`pre` and `post` must have weig"),
        (
            "factorised",
            {"plain": jnp.ones((1, 4))},
            r"`plain` must have .* \(1, 3\), got \(1, 4",
        ),
        (
            "factorised",
            {"scaled": jnp.ones((2, 3))},
            r"`scaled` must have shape .* got \(2, 3\)",
        ),
        (
            "general",
            {"top": Affine.drawn(5, 1, key=KEY)},
            r"`hidden` must lead from 1 .* 5 units",
        ),
        ("general", {"top": Affine.drawn(4, 2, key=KEY)}, r"`hidden` must lead from 2 states"),
    ],
)
def test_parts_that_do_not_fit_each_other_are_refused(name, parts, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(BUILT[name], **parts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"topology": "recurent"}, "unknown topology 'recurent'; did you mean 'recurrent'"),
        ({"genome": "projektion"}, "unknown genome of remembering 'projektion'; did you mean"),
        ({"genome": "random", "form": "general2"}, "unknown `form` 'general2'; did you mean"),
        ({"genome": "random", "state_size": 0}, "`state_size` must be a positive whole number"),
        ({"spread": 0.1}, r"the genome 'shipped' takes no options, got \['spread'\]"),
        (
            {"topology": "recurrent", "topology_options": {"ticks": 0}},
            "`ticks` must be a positive whole number, got 0",
        ),
        (
            {"topology": "sparse-recurrent", "topology_options": {"share": 0.0}},
            r"`share` must lie in \(0, 1\], got 0.0",
        ),
        (
            {"topology": "bidirectional", "topology_options": {"rounds": -1}},
            "`rounds` must be a positive whole number, got -1",
        ),
    ],
)
def test_what_there_is_not_is_refused(options, message, unchecked):
    with pytest.raises(ValueError, match=message):
        pg.rules.make("remembering", **options)


@pytest.mark.parametrize(
    ("topology", "body", "message"),
    [
        ("feed-forward", Body((4,)), 'an input and an output .* takes "recurrent"'),
        ("bidirectional", Body((4,)), 'an input and an output .* takes "recurrent"'),
        ("recurrent", Body((4, 4)), 'one population .* layers take "feed-forward"'),
        ("sparse-recurrent", Body((4, 4)), 'one population .* layers take "feed-forward"'),
    ],
)
def test_a_topology_says_which_bodies_it_takes(topology, body, message):
    with pytest.raises(ValueError, match=message):
        pg.rules.make("remembering", topology=topology).init(body, key=KEY)
