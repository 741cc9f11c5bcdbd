import dataclasses
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp

from ._affine import Affine
from ._base import AbstractRule
from ._check_sizes import check_sizes
from ._gated import Gated
from ._genome_file import load_genome
from ._registry import Registry, near
from ._remembering import Remembering
from ._synapse_change import FactorisedChange, GeneralChange
from ._topology import HIDDEN, TOPOLOGIES, AbstractTopology, Recurrent, SparseRecurrent

_TYPES, _FLAGS = 3, 2
_VALUE, _MISSED, _LOAD, _LOGIT = range(4)  # what entries of a body are written to hold
_OPEN = 5.0  # a gate that lets nearly everything through
_SCALE = 3.0  # of what a body is to hold in its linear range
_GENOMES = Path(__file__).parent / "genomes"
_TRAINED = {"patterns": _GENOMES / "remembering-patterns.safetensors"}
# By where a genome was trained; in other topologies what is written down serves.
_SHIPPED: dict[type[AbstractTopology], Path] = dict.fromkeys(
    (Recurrent, SparseRecurrent), _GENOMES / "remembering-recurrent.safetensors"
)
_FORMS = {"factorised": FactorisedChange, "general": GeneralChange}


def remembering(
    genome: str = "shipped",
    *,
    topology: Literal[
        "feed-forward", "bidirectional", "recurrent", "sparse-recurrent"
    ] = "feed-forward",
    topology_options: dict[str, Any] | None = None,
    **options: Any,
) -> AbstractRule:
    """The remembering rule with a genome by name: `rules.make("remembering", genome=...)`.

    Args:
        genome: `"shipped"`, the one that comes with the package: trained in one population,
            where it was not, in layers, `"projection"`; `"patterns"`, at which the last part
            of its training began; `"projection"`, written down; `"random"` (see the function
            of that name); or a genome file.
        topology: `"feed-forward"` or `"bidirectional"` for layers, `"recurrent"` or
            `"sparse-recurrent"` for one population. Any genome lives in all of them.
        topology_options: of the topology, such as `{"ticks": 3}`.
        options: of the function that makes the genome.

    Raises:
        ValueError: if there is no such genome or topology, or it does not take the options.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> rule = pg.rules.make("remembering", genome="random", topology="recurrent")
        >>> pg.rules.genome(rule).size
        264

        ```
    """
    wired = TOPOLOGIES.make(topology, **(topology_options or {}))
    if genome in STARTS:
        rule = STARTS.make(genome, **options)
    elif options:
        raise ValueError(f"the genome {genome!r} takes no options, got {sorted(options)}.")
    elif genome == "shipped":
        path = _SHIPPED.get(type(wired))
        rule = projection() if path is None else load_genome(path, expected="remembering")
    elif genome in _TRAINED:
        rule = load_genome(_TRAINED[genome], expected="remembering")
    elif Path(genome).suffix == ".safetensors":
        rule = load_genome(genome, expected="remembering")
    else:
        rule = STARTS.make(genome)  # which lists the near names
    return dataclasses.replace(rule, topology=wired)


def random(
    state_size: int = 1,
    body_size: int = 4,
    *,
    channels: int = 2,
    form: Literal["factorised", "general"] = "factorised",
    units: int = 3,
    seed: int = 0,
) -> Remembering:
    """Weights of variance 1 / inputs: such a network remembers nothing yet.

    Args:
        state_size: numbers in a synapse.
        body_size: numbers in a neuron.
        channels: numbers in a message.
        form: of the change of synapses: sums of outer products, or a small network of each.
        units: channels of that sum, or units of that network.
        seed: of the weights.
    """
    if form not in _FORMS:
        raise ValueError(f"unknown `form` {form!r}; {near(form, list(_FORMS))}")
    check_sizes(state_size=state_size, body_size=body_size, channels=channels, units=units)
    shown = body_size + _TYPES + _FLAGS
    keys = jax.random.split(jax.random.key(seed), 4)
    message = jax.random.normal(keys[0], (state_size, channels, shown))
    return Remembering(
        embedding=jnp.eye(_TYPES),
        message=message / jnp.sqrt(float(state_size * shown)),
        cell=Affine.drawn(channels + state_size + shown, 2 * body_size, key=keys[1]),
        plasticity=_FORMS[form].drawn(state_size, shown, units, key=keys[2]),
        readout=jax.random.normal(keys[3], (body_size,)) / jnp.sqrt(float(body_size)),
        birth=jnp.ones(_TYPES),
        topology=TOPOLOGIES.make("feed-forward"),
    )


def projection(
    *, rate: float = 0.8, gain: float = 3.0, spread: float = 0.0, seed: int = 0
) -> Remembering:
    r"""A rule that is nearly known, written down: a network stores what it did not foresee.

    A told neuron keeps what it did not hear of its value, $r_j = v_j - u_j$, and two told
    neurons change their synapse by

    $$\Delta s_{ij} = \eta\, \frac{r_i\, r_j}{\sqrt{(1 - s_{ii} / N)(1 - s_{jj} / N)}}.$$

    In one population $s / N$ becomes about the projection onto the patterns, as in
    Greville's theorem, $1 - s_{jj} / N$ being a local estimate of how much of a pattern is
    new. Hidden neurons fire by their synapses of birth, and those from them to told neurons
    follow the delta rule. Free neurons settle by $v \leftarrow \tanh(\gamma u)$.

    Args:
        rate: $\eta$.
        gain: $\gamma$.
        spread: how much of the genome `random` is added, so that a training can begin here.
        seed: of that.
    """
    drawn = random(seed=seed)
    # A cell sees a body, what it heard, its own synapse, its type and its flags.
    (d,), (states, channels, _) = drawn.readout.shape, drawn.message.shape
    heard, own = d, d + channels
    clamped = own + states + _TYPES
    told = clamped + 1
    cell = jnp.zeros(drawn.cell.weight.shape)
    cell = cell.at[_VALUE, heard].set(gain)
    cell = cell.at[_MISSED, _VALUE].set(1 / _SCALE).at[_MISSED, heard].set(-1 / _SCALE)
    cell = cell.at[_LOAD, own].set(1.0).at[_LOGIT, heard].set(1.0)
    gates = jnp.full(4, _OPEN).at[_MISSED].set(-_OPEN)
    cell = cell.at[4 + _MISSED, jnp.array([clamped, told])].set(2 * _OPEN)
    written = Remembering(
        embedding=jnp.eye(_TYPES),
        message=jnp.zeros(drawn.message.shape).at[0, 0, _VALUE].set(1.0),
        cell=Affine(cell, jnp.concatenate([jnp.zeros(4), gates])),
        plasticity=_projecting(rate),
        readout=jnp.zeros(4).at[_LOGIT].set(6.0),
        birth=jnp.zeros(_TYPES).at[HIDDEN].set(1.0),
        topology=drawn.topology,
    )
    return jax.tree.map(lambda a, b: a + spread * b, written, drawn)


def _projecting(rate: float) -> FactorisedChange:
    """Told neurons by what they missed; hidden ones to told ones; a channel to spare."""
    # Entries of what a neuron shows are a body, its type and its flags.
    hidden, told = 4 + HIDDEN, 8
    zeros, closed = jnp.zeros((3, 9)), jnp.full(3, -_OPEN)
    # This gate rises with the load about as the root in the denominator falls.
    shut = -1.5
    missed = zeros.at[0, _MISSED].set(_SCALE / jax.nn.sigmoid(shut))
    gate = zeros.at[0, _LOAD].set(1.0).at[0, told].set(_OPEN)
    bias = closed.at[0].add(shut)
    pre = Gated(
        Affine(missed.at[1, _VALUE].set(1.0), jnp.zeros(3)),
        Affine(gate.at[1, hidden].set(2 * _OPEN), bias),
    )
    post = Gated(
        Affine(missed.at[1, _MISSED].set(_SCALE), jnp.zeros(3)),
        Affine(gate.at[1, told].set(2 * _OPEN), bias),
    )
    plain = jnp.array([[rate, rate, 0.0]])
    return FactorisedChange(pre, post, plain, jnp.zeros((1, 3)))


STARTS: Registry[Remembering] = Registry(
    "genome of remembering", {"random": random, "projection": projection}
)
