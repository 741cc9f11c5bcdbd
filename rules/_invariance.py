import abc

import equinox as eqx
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from ._base import AbstractRule, Body, State
from ._gene import check_genes
from ._weights import Weights


class Anchored(eqx.Module):
    """What an invariance is shown of a presentation.

    **Arguments:**

    - `rule`, `state`: the rule within and its network before it adapts; the anchors are the
      last rows of its neurons.
    - `inputs`: the anchors, shape `(rows, n)`.
    - `held`: where there is one.
    """

    rule: AbstractRule
    state: State
    inputs: Float[Array, "rows n"]
    held: Bool[Array, " rows"]


class AbstractInvariance(eqx.Module):
    """How an invariant path keeps the outputs at anchors as they were.

    By errors of the anchors, from which the rule within learns as from any other; by bending
    the step that it takes; or by both. What it keeps of its own changes at boundaries only.
    """

    def __check_init__(self):
        check_genes(self)

    def check_fits(self, rule: AbstractRule, state: State) -> None:
        """Raises a `ValueError` unless it can bend what a rule does to such networks."""
        return

    def init(self, body: Body) -> PyTree:
        """What it keeps before any task has ended."""
        return None

    @abc.abstractmethod
    def errors(
        self,
        outputs: Float[Array, "rows outputs"],
        frozen: Float[Array, "rows outputs"],
        held: Bool[Array, " rows"],
        tasks: Int[Array, ""],
    ) -> Float[Array, "rows outputs"]:
        """Minus the derivative by `outputs` of what is added to the loss.

        Args:
            outputs, frozen: at the anchors, as they are and as they were.
            held: where there is an anchor.
            tasks: of how many tasks there are some.
        """

    @abc.abstractmethod
    def bent(
        self, before: Weights, after: Weights, anchored: Anchored, kept: PyTree
    ) -> Weights:
        """The weights after a step that was to lead from `before` to `after`."""

    def remember(
        self, kept: PyTree, state: State, held: Bool[Array, " rows"], *, key: Key[Array, ""]
    ) -> PyTree:
        """What it keeps once a task has ended; neurons of `state` hold its anchors."""
        return kept
