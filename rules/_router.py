import abc

import equinox as eqx
import jax
from jaxtyping import Array, Bool, Float, Key, PyTree

from ._gene import check_genes


class AbstractRouter(eqx.Module):
    """Which module of a hierarchy a token goes to, and what is remembered of it.

    What a router remembers is no synapse of a module, and no gradient enters it.
    """

    def __check_init__(self):
        check_genes(self)

    @abc.abstractmethod
    def init(self, modules: int, width: int, *, key: Key[Array, ""]) -> PyTree:
        """What is remembered at birth, for tokens of so many numbers."""

    @abc.abstractmethod
    def route(
        self, memory: PyTree, tokens: Float[Array, "rows width"]
    ) -> Bool[Array, "modules rows"]:
        """Which module each token goes to: one for each."""

    @abc.abstractmethod
    def learn(
        self,
        memory: PyTree,
        tokens: Float[Array, "rows width"],
        chosen: Bool[Array, "modules rows"],
    ) -> PyTree:
        """What is remembered after these tokens went to the modules `chosen`."""


def winners(scores: Float[Array, "modules rows"]) -> Bool[Array, "modules rows"]:
    """The module with the highest score of each row; the first of those that are equal."""
    best = jax.nn.one_hot(scores.argmax(0), scores.shape[0], axis=0)
    return best.astype(bool)
