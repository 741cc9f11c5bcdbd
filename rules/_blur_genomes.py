from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._base import AbstractRule
from ._blur import Blur
from ._genome_file import shipped, started
from ._normalisation import Normalisation
from ._plasticity import Plasticity
from ._registry import Registry
from ._transfer import Transfer


def blur(genome: str = "hebbian", **options: Any) -> AbstractRule:
    """BLUR with a genome by name: `rules.make("blur", genome=...)`.

    Args:
        genome: `"shipped"`, the one that comes with the package; `"backprop"`,
            `"descent"`, `"hebbian"`, `"normalised"` or `"random"`, which are written
            down or drawn (see the function of that name); or a genome file.
        options: of that function.

    Raises:
        ValueError: if there is no such genome or it does not take the options.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.make("blur", genome="backprop", rate=0.1).wiring
        'symmetric'

        ```
    """
    return started(STARTS, genome, options, expected="blur")


def hebbian(states: int = 2) -> Blur:
    """A starting point that learns a little: targets drive Hebbian change.

    State 1 goes up and is kept; state 2 of the last layer, the target, comes down as
    state 2; synapses correlate state 1 with the target minus state 1. With linear neurons
    and one layer this is the delta rule. Further states are silent.
    """
    _check_states(states)
    up, down, pre, post = _descending(states)
    return Blur(forward=up, backward=down, synapse=Plasticity(pre, post), **_bounded(states))


def random(states: int = 2, *, seed: int = 0) -> Blur:
    """Matrices drawn from N(0, 1) and a small rate, as the authors begin."""
    _check_states(states)
    forward, backward, pre, post = jax.random.normal(
        jax.random.key(seed), (4, states, states), float
    )
    return Blur(
        forward=forward,
        backward=backward,
        synapse=Plasticity(pre, post, rate=1e-3),
        **_bounded(states),
    )


def backprop(rate: float = 0.1, hidden: str = "tanh") -> Blur:
    r"""The genome whose synapses descend the exact gradient.

    Two states $(h, h')$, one symmetric synapse, the error injected at a linear top.

    Args:
        rate: the learning rate $\tilde\eta$.
        hidden: the activation of hidden layers: tanh, sigmoid or linear.
    """
    eye, swap = jnp.eye(2), jnp.array([[0.0, 1.0], [1.0, 0.0]])
    return Blur(
        forward=jnp.array([[1.0, 1.0], [0.0, 0.0]]),
        backward=eye,
        synapse=Plasticity(eye, swap, rate=rate),
        gain=1.0,
        hidden=(hidden, hidden + "'"),
        top=("linear", "linear'"),
        feedback=("linear", "linear"),
        synapse_states=1,
        wiring="symmetric",
        meeting="multiplicative second state",
        injects="error",
    )


def descent(rate: float = 0.1) -> Blur:
    r"""The exact gradient of the squared error from raw targets, in linear networks.

    The last layer holds its output and the target; what comes down is their difference,
    $\mu$ with rows $(0, -1)$ and $(0, 1)$, and nothing of the forward state is kept,
    $f = 0$, so synapses take $a_i$ from the forward state.
    """
    up, down, pre, post = _descending(2)
    return Blur(
        forward=up,
        backward=down,
        synapse=Plasticity(pre, post, rate=rate),
        neuron_keep=0.0,
        gain=1.0,
        hidden=("linear", "linear"),
        top=("linear", "linear"),
        feedback=("linear", "linear"),
        synapse_states=1,
        wiring="symmetric",
        pre_source="forward",
    )


def normalised(
    states: int = 4,
    *,
    wiring: Literal["asymmetric", "symmetric at birth", "symmetric"] = "symmetric",
    synapse_states: int | None = None,
    axes: tuple[str, ...] = ("neurons",),
    feedback_axes: tuple[str, ...] = (),
    pre_source: Literal["backward", "forward"] = "forward",
    gauge: Literal["free", "fixed"] = "free",
    injects: Literal["target", "error"] = "target",
    noise: float = 0.05,
    seed: int = 0,
) -> Blur:
    """Where meta-training starts: `descent` in tanh networks, normalised, and some noise.

    Hidden layers are normalised; rates decay, and every state of a synapse has one of its
    own unless gauges are fixed. Told the error, the top is linear.

    Args:
        states: of neurons.
        synapse_states: of synapses; as many as of neurons where none are given.
        wiring, pre_source, gauge, injects: as in [`Blur`][plasticgym.rules.Blur].
        axes, feedback_axes: of the normalisation on the way up and on the way down; an
            empty tuple for none.
        noise: standard deviation of what is added to the four matrices.
        seed: of the noise.
    """
    _check_states(states)
    tanh, ones, m = ("tanh",) * states, jnp.ones(states), synapse_states or states
    units = [
        # A shift, because functions of tanh units without one are odd: they never learn xor.
        Normalisation(1.5 * ones, shift * ones, tuple(a)) if a else None
        for a, shift in ((axes, 0.7), (feedback_axes, 0.0))
    ]
    # Rates of their own and the rows of `post` would be a gauge.
    each = jnp.ones(()) if gauge == "fixed" else ones[:m]
    draws = noise * jax.random.normal(jax.random.key(seed), (4, states, states), float)
    up, down, pre, post = (m + d for m, d in zip(_descending(states), draws, strict=True))
    gain, top = 4.0, tanh
    if injects == "error":  # which needs no output taken from it
        down, post = down.at[0, 1].set(0.0), post.at[0, 0].set(0.0)
        gain, top = 1.6, ("linear", "linear'", *["linear"] * (states - 2))
    return Blur(
        forward=up,
        backward=down,
        synapse=Plasticity(pre, post, keep=each, rate=0.3 * each, decay=0.03 * each),
        neuron_keep=0.0 if pre_source == "forward" else 1.0,
        gain=gain,
        birth=0.65,
        bias_birth=0.15,
        hidden=Transfer(tanh, units[0]),
        top=top,
        feedback=Transfer(tanh, units[1]),
        synapse_states=m,
        wiring=wiring,
        births="alike",
        pre_source=pre_source,
        injects=injects,
        gauge=gauge,
    )


STARTS: Registry[AbstractRule] = Registry(
    "genome of blur",
    {
        "shipped": lambda: shipped("blur"),
        "backprop": backprop,
        "descent": descent,
        "hebbian": hebbian,
        "normalised": normalised,
        "random": random,
    },
)


def _descending(states: int) -> tuple[Array, ...]:
    """The four matrices of `descent` and `hebbian`, among so many states."""
    zeros = jnp.zeros((states, states))
    return (
        zeros.at[0, 0].set(1.0),
        zeros.at[0, 1].set(-1.0).at[1, 1].set(1.0),
        zeros.at[0, 0].set(1.0),
        zeros.at[0, 0].set(-1.0).at[0, 1].set(1.0),
    )


def _bounded(states: int) -> dict[str, Any]:
    tanh = ("tanh",) * states
    return {"hidden": tanh, "top": tanh, "feedback": tanh, "synapse_states": states}


def _check_states(states: int) -> None:
    if not isinstance(states, int) or states < 2:
        raise ValueError(f"`states` must be a whole number of at least 2, got {states}.")
