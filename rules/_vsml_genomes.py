from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from ._affine import Affine
from ._base import AbstractRule
from ._genome_file import load_genome, shipped, started
from ._registry import Registry
from ._vsml import VSML

_CLONED = Path(__file__).parent / "genomes" / "vsml-cloned.safetensors"
_OPEN = 5.0  # undoes what gates are closed by
_KEEP = 15.0  # a gate that keeps all there is, to float precision


def vsml(genome: str = "random", **options: Any) -> AbstractRule:
    """VSML with a genome by name: `rules.make("vsml", genome=...)`.

    Args:
        genome: `"shipped"`, the one that comes with the package; `"cloned"`, at which its
            training began, fitted to `"backprop"`; `"random"` or `"backprop"` (see the
            function of that name); or a genome file.
        options: of that function.

    Raises:
        ValueError: if there is no such genome or it does not take the options.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.make("vsml", genome="backprop").states
        8

        ```
    """
    return started(STARTS, genome, options, expected="vsml")


def random(states: int = 16, messages: int = 8, *, seed: int = 0) -> VSML:
    """Weights of variance 1 / inputs: such a network learns nothing yet.

    Args:
        states: cells of a synapse.
        messages: entries of a message, at least 2.
        seed: of the weights.
    """
    _check(states, messages, at_least=1)
    keys = jax.random.split(jax.random.key(seed), 3)
    return VSML(
        cell=Affine.drawn(2 * messages + states, 4 * states, key=keys[0]),
        forward=Affine.drawn(states, messages, key=keys[1]),
        backward=Affine.drawn(states, messages, key=keys[2]),
    )


def backprop(
    states: int = 8,
    messages: int = 8,
    *,
    rate: float = 1.0,
    gain: float = 8.0,
    shift: float = 0.5,
    swing: float = 0.1,
) -> VSML:
    r"""The genome whose synapses descend the gradient, written down.

    With $x = \overrightarrow m_i$ and $e = \overleftarrow m_j$ (entry 0 of each), it is

    $$\overrightarrow m_j = \tfrac\gamma I \sum_i \tanh(x_i + s)\, w_{ij}, \quad
    \overleftarrow m_i = \tfrac\gamma J \tanh'(x_i + s) \sum_j w_{ij} e_j, \quad
    \Delta (c^+ + c^-)_{ij} = -\eta \tanh(x_i + s)\, e_j,$$

    where $w = \tanh c^+ + \tanh c^-$ is what six cells hold: gradient descent but for a
    rate that differs between layers, and for the slope of that tanh. One tick multiplies no
    two messages, but gates multiply: $\sigma(2x) - \sigma(-2x) = \tanh x$ is the difference
    of what $c^+$ and $c^-$ let in and of what an open and a half open gate let out, and the
    difference of two gates that $e$ opens and closes a little is its derivative.

    Args:
        states: at least 6; further ones are silent.
        messages: entries of a message, at least 2; those from the third on are silent.
        rate, gain, shift: $\eta$, $\gamma$ and $s$; networks of tanh units without a
            shift are odd, and never learn xor.
        swing: how far $e$ moves a gate; the way down is exact as it goes to 0.
    """
    _check(states, messages, at_least=6)
    cell = jnp.zeros((4, states, 2 * messages + states))
    bias = jnp.zeros((4, states)).at[0].set(_KEEP)
    out = jnp.zeros((2, messages, states))
    _, enter, new, leave = range(4)
    x, e = 0, messages
    # Of each sign three copies of a cell, whose output gates differ.
    for first, sign in ((0, 1.0), (3, -1.0)):
        copies = slice(first, first + 3)
        cell = cell.at[enter, copies, x].set(2.0 * sign)
        bias = bias.at[enter, copies].set(_OPEN + 2.0 * sign * shift)
        cell = cell.at[new, copies, e].set(-sign * rate)
        cell = cell.at[leave, first : first + 2, x].set(2.0)
        bias = bias.at[leave, first : first + 2].set(2.0 * shift)
        cell = cell.at[leave, copies, e].set(jnp.array([swing, -swing, 0.0]))
        out = out.at[0, 0, copies].set(gain * jnp.array([1.0, 1.0, -2.0]))
        out = out.at[1, 0, copies].set(gain * jnp.array([2.0, -2.0, 0.0]) / swing)
    silent = jnp.zeros(messages)
    weights = cell.reshape(4 * states, -1)
    return VSML(Affine(weights, bias.ravel()), Affine(out[0], silent), Affine(out[1], silent))


STARTS: Registry[AbstractRule] = Registry(
    "genome of vsml",
    {
        "shipped": lambda: shipped("vsml"),
        "cloned": lambda: load_genome(_CLONED, expected="vsml"),
        "random": random,
        "backprop": backprop,
    },
)


def _check(states: int, messages: int, at_least: int) -> None:
    for name, size, least in (("states", states, at_least), ("messages", messages, 2)):
        if isinstance(size, bool) or not isinstance(size, int) or size < least:
            raise ValueError(
                f"`{name}` must be a whole number of at least {least}, got {size!r}."
            )
