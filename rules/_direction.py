import abc
from typing import final

import equinox as eqx
from jaxtyping import Array, Key, PyTree

from ._base import Body
from ._gene import check_genes
from ._past import Clock
from ._weights import Weights


class AbstractDirection(eqx.Module):
    """Where an invariant path leads: the step before it is bent.

    It is shown the step that the rule within would take, downhill on the new task and on the
    distance from the frozen outputs, and may go elsewhere. Weights of dead neurons of the
    `body` do not count.
    """

    def __check_init__(self):
        check_genes(self)

    def init(self, weights: Weights) -> PyTree:
        """What it keeps at birth."""
        return None

    def remember(
        self, kept: PyTree, weights: Weights, *, body: Body, key: Key[Array, ""]
    ) -> PyTree:
        """What it keeps when a task ends with these weights."""
        return kept

    @abc.abstractmethod
    def step(
        self, before: Weights, after: Weights, kept: PyTree, *, clock: Clock, body: Body
    ) -> Weights:
        """The weights to go to from `before`, where the rule within goes to `after`."""


@final
class NewTask(AbstractDirection):
    """The step of the rule within, as it is.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.InvariantPath().direction
        NewTask()

        ```
    """

    def step(
        self, before: Weights, after: Weights, kept: PyTree, *, clock: Clock, body: Body
    ) -> Weights:
        return after
