from collections.abc import Sequence
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Key

from . import _formula_traces, _local_signals
from ._activations import slope
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._formula import Formula, check_named, parsed, value
from ._gene import gene, real
from ._local_view import LocalView
from ._signals import Signal, Tier
from ._sum_of_products import SIDES, SYNAPSE, mean_over_rows, products


@final
class Expression(AbstractRule):
    r"""A rule written as a formula: $\Delta w_{ij}$ is its mean over the rows.

    A formula is made of

    - signals, what a [`LocalView`][plasticgym.rules.LocalView] shows: `pre`, `post`,
      `weight`, `error`, `reward`, `target`; errors reach hidden neurons through fixed
      random matrices, times the slope of their activation, and targets the outputs alone;
    - constants: numbers, and names of your own. All are genes, but for whole exponents,
      on the scale `"asinh"`: they may grow by orders of magnitude, and change their sign;
    - `+ - * / **` and brackets; an exponent is a number from -8 to 8 or a named constant;
    - `tanh`, `sigmoid`, `relu`, `exp`, `abs`, `sign`;
    - `trace(...)`: a running mean $m \leftarrow \lambda m + (1 - \lambda) \ldots$ that a
      row begins at 0 where it starts, this presentation included. It is kept at the pre
      neuron if it follows `pre` alone, at the post neuron if it follows neither `pre` nor
      `weight`, and else at the synapse, as a mean over rows. That of the bias unit's
      activity stands where it would settle. Traces are not nested.

    The formula is read, never run as code: at most 1,000 characters, 250 parts and 60
    levels. The tier follows from its names: `error` if it names `error` or `target`,
    `reward` if it names `reward`, else `activity`. It is computed as a sum of products of
    matrices; only a product with a factor that mixes pre, post and weight, such as
    `tanh(pre * post)`, costs as much as computing every synapse of every row. Dividing by
    zero ends a life, as anything does that is not finite.

    **Arguments:**

    - `formula`: its text; that of Oja's rule by default.
    - `rate`: a positive scalar, if the formula names `rate`; 0.01 if not given.
    - `trace_decay`: $\lambda$, in (0, 1): one for all traces, or one for each, in the order
      in which the formula brings them; 0.9 if not given.
    - `activation`: of hidden layers, as in [`SGD`][plasticgym.rules.SGD].
    - `constants`: the values of the other names.

    **Raises:**

    - `ValueError`: if the formula cannot be read, a name in it has no value, a value has no
      name in it or is out of its range, or the activation is unknown.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> rule = pg.rules.Expression("rate * pre * error - 0.01 * loss * weight", loss=0.1)
        >>> str(rule.tier), sorted(pg.rules.gene_names(rule))
        ('error', ['constants.c0', 'constants.loss', 'rate'])

        ```
    """

    rate: Float[Array, ""] | None = eqx.field(metadata=gene("log"))
    trace_decay: Float[Array, " traces"] | None = eqx.field(metadata=gene("logit"))
    constants: dict[str, Float[Array, ""]] = eqx.field(metadata=gene("asinh"))
    formula: str = eqx.field(static=True)
    activation: str = eqx.field(static=True)

    def __init__(
        self,
        formula: str = "rate * post * (pre - post * weight)",
        *,
        rate: ArrayLike | None = None,
        trace_decay: ArrayLike | Sequence[float] | None = None,
        activation: str = "tanh",
        **constants: ArrayLike,
    ):
        slope(activation)
        found = parsed(formula)
        given = constants if rate is None else constants | {"rate": rate}
        known = given if "rate" not in found.genes else {"rate": 0.01} | given
        check_named(found, known)
        numbers = {f"c{i}": number for i, number in enumerate(found.numbers)}
        self.formula, self.activation = formula, activation
        self.rate = _number("rate", known["rate"]) if "rate" in known else None
        self.trace_decay = _decays(trace_decay, len(found.traces))
        rest = {name: v for name, v in (known | numbers).items() if name != "rate"}
        self.constants = {name: _number(name, rest[name]) for name in sorted(rest)}

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset(s for s in Signal if s in self._read.signals)

    @property
    def tier(self) -> Tier:
        return _local_signals.tier(self.reads)

    def change(self, view: LocalView) -> Float[Array, ""]:
        """The change of one synapse in one row; a formula with traces has none.

        Raises:
            ValueError: if it has traces, which are no part of a `LocalView`.
        """
        formula = self._read
        if formula.traces:
            raise ValueError("`formula` must have no traces for this: a view holds none.")
        return jnp.asarray(value(formula.root, self._genes | view._asdict()))

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        born = _local_signals.newborn(body, self.activation, self.reads, key=key)
        traces = [
            n for n, place in _formula_traces.kept(self._read).items() if place == SYNAPSE
        ]
        synapses = tuple(
            block | {name: jnp.zeros_like(block["weight"]) for name in traces}
            for block in born.synapses
        )
        return State(body, (), synapses)

    def rest(self, state: State, batch: int) -> State:
        rested = _local_signals.rest(state, batch, self.reads)
        return _formula_traces.at_rest(rested, self._read)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        after, outputs = _local_signals.forward(state, inputs, self.activation, self.reads)
        return _formula_traces.begin(after, state, inputs.starts, self._read), outputs

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        return _local_signals.receive(state, feedback, self.activation, self.reads)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        formula, genes, synapses = self._read, self._genes, []
        state = _formula_traces.follow(state, formula, self.trace_decay, genes)
        sides = SIDES | _formula_traces.kept(formula)
        terms = products(formula.root, sides)
        for layer, block in enumerate(state.synapses):
            known = _formula_traces.known(state, layer, formula, genes)
            change = mean_over_rows(terms, known, sides)
            w = _local_signals.changed(block["weight"], change, state.body, layer)
            synapses.append(block | {"weight": w})
        return State(state.body, state.neurons, tuple(synapses), state.memory)

    @property
    def _read(self) -> Formula:
        return parsed(self.formula)

    @property
    def _genes(self) -> dict[str, Float[Array, ""]]:
        return self.constants if self.rate is None else {**self.constants, "rate": self.rate}


def _number(name: str, given: Any) -> Float[Array, ""]:
    try:
        number = real(given)
    except (TypeError, ValueError):
        raise ValueError(f"`{name}` must be a number, got {given!r}.") from None
    if number.ndim or not np.isfinite(number):
        raise ValueError(f"`{name}` must be one finite number, got {given!r}.")
    return number


def _decays(given: ArrayLike | Sequence[float] | None, traces: int) -> Array | None:
    if traces == 0:
        if given is not None:
            raise ValueError(f"`trace_decay` needs a trace in `formula`, got {given!r}.")
        return None
    decays = real(0.9 if given is None else given)
    if decays.shape not in ((), (traces,)):
        raise ValueError(
            f"`trace_decay` must be one number, or one for each of {traces} traces, "
            f"got {given!r}."
        )
    return jnp.full(traces, decays)
