import inspect
from collections.abc import Callable
from typing import Any, Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._base import AbstractRule, Body, Clamped, State
from ._check_sizes import check_sizes
from ._gene import gene, real_or_none
from ._registry import near

Order = Literal["synchronous", "asynchronous"]

_Population = Float[Array, "batch n"]


@final
class Settling(eqx.Module):
    r"""How the one population of an associative memory recalls: it settles.

    Every neuron is input and output alike, and block 0 holds the weights $W$ between any
    two. Neurons that are clamped keep their value; the others settle by

    $$h = (s - c)\,(W - (1 - \kappa)\, \mathrm{diag}\, W), \qquad
    s_i \leftarrow \mathrm{sign}(h_i),$$

    or, if there is a slope $\sigma$, by $s_i \leftarrow \tanh(\sigma h_i)$; a field of 0
    leaves a neuron as it is. Memories learn $x - c$. Neurons hold `"activity"` $s$,
    `"clamped"`, 1 where the world held them, and `"field"` $h$ where they came to, each of
    shape `(batch, n)`.

    All defaults are those of the published rules. What is left at `None` is no gene.

    **Arguments:**

    - `steps`: rounds in which free neurons settle.
    - `order`: of a round: `"synchronous"`, all at once, which may end in a cycle of two, or
      `"asynchronous"`, one after the other, which is slower and never does.
    - `slope`: $\sigma$, a positive scalar; `None`: signs, the limit of steep slopes.
    - `own`: $\kappa$, the part of $w_{ii}$ that a neuron hears; `None`: 0.
    - `centre`: $c$, what is usual: a scalar, or one number per neuron; `None`: 0.

    **Raises:**

    - `ValueError`: if `steps` or `slope` is not positive, the order is unknown, or `slope`
      or `own` is no scalar.

    ??? cite "Reference"

        Hopfield, "Neurons with graded response have collective computational properties
        like those of two-state neurons", PNAS 1984, for the slope; Amit, Gutfreund,
        Sompolinsky, "Information storage in neural networks with low levels of activity",
        Physical Review A 1987, for the centre.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> rule = pg.rules.make("pseudo-inverse", steps=20, slope=3.0, own=0.5, ridge=1.0)
        >>> pg.rules.gene_names(rule)
        ('gain', 'settling.slope', 'settling.own', 'ridge')

        ```
    """

    steps: int = eqx.field(static=True, default=10)
    order: Order = eqx.field(static=True, default="synchronous")
    slope: Float[Array, ""] | None = eqx.field(
        default=None, converter=real_or_none, metadata=gene("log")
    )
    own: Float[Array, ""] | None = eqx.field(
        default=None, converter=real_or_none, metadata=gene(unit=0.1)
    )
    centre: Float[Array, "..."] | None = eqx.field(
        default=None, converter=real_or_none, metadata=gene(unit=0.1)
    )

    def __check_init__(self):
        check_sizes(steps=self.steps)
        if self.order not in _ORDERS:
            raise ValueError(
                f"unknown `order` {self.order!r}; {near(self.order, list(_ORDERS))}"
            )
        for name in ("slope", "own"):
            shape = jnp.shape(getattr(self, name) if getattr(self, name) is not None else 0.0)
            if shape != ():
                raise ValueError(f"`{name}` must be one number, got shape {shape}.")

    def newborn(self, body: Body) -> State:
        """All weights 0, without a bias.

        Raises:
            ValueError: if the body has several layers, or not as many neurons as `centre`.
        """
        if len(body.layers) != 1:
            raise ValueError(
                "`body` must be one recurrent population, such as Body((64,)), for an "
                f"associative memory to live in it, got layers {body.layers}; the problem "
                "`remember` has one where `hidden` is a whole number."
            )
        (n,) = body.layers
        if self.centre is not None and jnp.shape(self.centre) not in ((), (n,)):
            raise ValueError(
                f"`centre` must be one number, or one for each of the {n} neurons of `body`, "
                f"got shape {jnp.shape(self.centre)}."
            )
        return State(body, (), ({"weight": jnp.zeros((n, n))},))

    def rest(self, state: State, batch: int) -> State:
        """All neurons silent."""
        zeros = jnp.zeros((batch, state.body.layers[0]))
        neurons = ({"activity": zeros, "clamped": zeros, "field": zeros},)
        return State(state.body, neurons, state.synapses, state.memory)

    def settled(self, state: State, inputs: Clamped) -> State:
        """Clamped neurons at their values, the others after all rounds.

        Those of rows that start come from $c$, those of others from where they were.
        """
        body, weight = state.body, state.synapses[0]["weight"]
        heard = without_diagonal(weight)
        coupling = heard if self.own is None else heard + self.own * (weight - heard)
        usual = body.mask(0, self._usual(inputs.values))
        before = jnp.where(inputs.starts[:, None], usual, state.neurons[0]["activity"])
        d = body.mask(0, jnp.where(inputs.mask, inputs.values, before) - usual)

        def moved(d: _Population, at: Any) -> _Population:
            field = d @ coupling[:, at]
            still = inputs.mask[:, at] | (field == 0)
            new = jnp.where(still, d[:, at], self._answer(field) - usual[:, at])
            return d.at[:, at].set(new)

        d = _ORDERS[self.order](moved, d, self.steps)
        neurons = {
            "activity": body.mask(0, d + usual),
            "clamped": body.mask(0, inputs.mask.astype(d.dtype)),
            "field": d @ coupling,
        }
        return State(body, (neurons,), state.synapses, state.memory)

    def deviation(self, state: State) -> Float[Array, "batch n"]:
        """What is learned: $s - c$, of living neurons."""
        s = state.neurons[0]["activity"]
        return s if self.centre is None else state.body.mask(0, s - self._usual(s))

    def _usual(self, like: Float[Array, "batch n"]) -> Float[Array, "batch n"]:
        return jnp.broadcast_to(0.0 if self.centre is None else self.centre, like.shape)

    def _answer(self, field: Array) -> Array:
        return jnp.sign(field) if self.slope is None else jnp.tanh(self.slope * field)


def beside(memory: Callable[..., AbstractRule]) -> Callable[..., AbstractRule]:
    """The builder of a memory whose settling is told by options beside its own."""
    of_settling = inspect.signature(Settling).parameters
    own = inspect.signature(memory).parameters

    def build(**options: Any) -> AbstractRule:
        settling = {k: options.pop(k) for k in of_settling if k in options}
        return memory(settling=Settling(**settling), **options)

    kept = {name: p for name, p in own.items() if name != "settling"}
    named = {**kept, **of_settling}.values()
    each = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in named]
    build.__signature__ = inspect.Signature(each)
    build.__doc__ = memory.__doc__
    return build


def without_diagonal(weight: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """The weights between different neurons."""
    return weight * (1.0 - jnp.eye(weight.shape[0]))


def _synchronous(moved: Callable[..., _Population], d: _Population, steps: int) -> _Population:
    return jax.lax.fori_loop(0, steps, lambda _, d: moved(d, slice(None)), d)


def _asynchronous(moved: Callable[..., _Population], d: _Population, steps: int) -> _Population:
    n = d.shape[1]
    return jax.lax.fori_loop(0, steps * n, lambda turn, d: moved(d, turn % n), d)


# All neurons at once in every round, or one after the other.
_ORDERS: dict[str, Callable[..., _Population]] = {
    "synchronous": _synchronous,
    "asynchronous": _asynchronous,
}
