from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from . import _local_signals
from ._activations import slope
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real_or_none
from ._local_view import LocalView
from ._signals import Signal, Tier


@final
class PerSynapse(AbstractRule):
    r"""Any function of one synapse: $\Delta w_{ij} = \eta\, \langle f(x_i, y_j, w_{ij}, \ldots)
    \rangle$, the mean over rows.

    The shortest way from an idea to a network that learns. $f$ sees what
    [`LocalView`][plasticgym.rules.LocalView] lists. Errors reach hidden neurons through
    fixed random matrices, times the slope of their activation; targets, the outputs alone;
    so the tier is `error` if $f$ uses either, `reward` if it uses the reward, else
    `activity`. What it uses, and so `reads`, is found by tracing it once.

    Every synapse of every row is computed on its own: a rule of your own class that
    multiplies matrices costs less, and so does an
    [`Expression`][plasticgym.rules.Expression].

    **Arguments:**

    - `function`: $f$, from a `LocalView` to one number: a function, or a callable
      `equinox.Module`, the array leaves of which are genes. It need not be compiled; one
      that is counts as reading all that it is handed.
    - `rate`: $\eta$, a positive scalar; if it is not given, the change is $f$ itself and
      there is no such gene.
    - `activation`: of hidden layers, as in [`SGD`][plasticgym.rules.SGD].

    **Raises:**

    - `ValueError`: if `function` is no function of a `LocalView` that returns one number,
      `rate` is not positive, or the activation is unknown.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> def oja(view):
        ...     return view.post * (view.pre - view.post * view.weight)
        >>> rule = pg.rules.PerSynapse(oja, rate=0.01)
        >>> str(rule.tier), pg.rules.gene_names(rule)
        ('activity', ('rate',))

        ```
    """

    function: Callable[[LocalView], Any] = eqx.field(converter=lambda given: _module(given))
    rate: Float[Array, ""] | None = eqx.field(
        default=None, converter=real_or_none, metadata=gene("log")
    )
    activation: str = eqx.field(static=True, default="tanh")

    def __check_init__(self):
        slope(self.activation)
        if self.rate is not None and self.rate.ndim != 0:
            raise ValueError(f"`rate` must be one number, got shape {self.rate.shape}.")
        try:
            found = jax.eval_shape(self.function, _nothing())
        except Exception as error:  # whatever a user's function does
            raise ValueError(
                "`function` cannot be applied to a LocalView, which has "
                f"{', '.join(LocalView._fields)} and is traced, so that choices are made by "
                f"jax.numpy.where: {type(error).__name__}: {str(error).splitlines()[0]}"
            ) from error
        if getattr(found, "shape", None) != ():
            raise ValueError(
                f"`function` must return one number for one synapse, got {_shown(found)}."
            )

    @property
    def reads(self) -> frozenset[Signal]:
        traced = jax.make_jaxpr(self.function)(_nothing()).jaxpr
        used = {id(var) for equation in traced.eqns for var in equation.invars}
        used |= {id(var) for var in traced.outvars}
        named = dict(zip(LocalView._fields, traced.invars, strict=True))
        return frozenset(s for s in Signal if s in named and id(named[s]) in used)

    @property
    def tier(self) -> Tier:
        return _local_signals.tier(self.reads)

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        return _local_signals.newborn(body, self.activation, self.reads, key=key)

    def rest(self, state: State, batch: int) -> State:
        return _local_signals.rest(state, batch, self.reads)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        return _local_signals.forward(state, inputs, self.activation, self.reads)

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        return _local_signals.receive(state, feedback, self.activation, self.reads)

    def change(self, view: LocalView) -> Float[Array, ""]:
        change = jnp.asarray(self.function(view), float)
        return change if self.rate is None else self.rate * change

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        synapses = []
        for layer, block in enumerate(state.synapses):
            change = _for_every_synapse(self.change)(_local_signals.seen(state, layer)).mean(0)
            w = _local_signals.changed(block["weight"], change, state.body, layer)
            synapses.append(block | {"weight": w})
        return State(state.body, state.neurons, tuple(synapses), state.memory)


class _Function(eqx.Module):
    """A plain function, as a module without genes."""

    function: Callable[[LocalView], Any] = eqx.field(static=True)

    def __call__(self, view: LocalView):
        return self.function(view)


def _module(given: Any) -> Callable[[LocalView], Any]:
    if isinstance(given, eqx.Module) and callable(given):
        return given
    if isinstance(given, eqx.Module) or not callable(given):
        raise ValueError(
            "`function` must be a function of a LocalView, such as "
            f"lambda view: view.pre * view.post, got {given!r}."
        )
    return _Function(given)


def _nothing() -> LocalView:
    return LocalView(*(jnp.zeros(()) for _ in LocalView._fields))


def _shown(found: Any) -> str:
    return f"shape {found.shape}" if hasattr(found, "shape") else repr(found)


def _for_every_synapse(change: Callable[[LocalView], Any]):
    """`change` of arrays by row and neuron; its result has the axes (batch, pre, post)."""
    posts = jax.vmap(change, _axes(None, 0, 0, 0, 0, 0))
    pres = jax.vmap(posts, _axes(0, None, 0, None, None, None))
    return jax.vmap(pres, _axes(0, 0, None, 0, 0, 0))


def _axes(*axes: Any) -> tuple[LocalView]:
    """The axis of each entry of a view that a map runs over."""
    return (LocalView(*axes),)
