import abc
from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Key

from ._base import Body
from ._check_sizes import check_sizes
from ._registry import Registry
from ._signals import Tier

INPUT, HIDDEN, OUTPUT = range(3)  # the types of neurons


class Joint(NamedTuple):
    """Synapses that one layer sends to another: leaf `name` of block `block`."""

    block: int
    name: str
    pre: int
    post: int


class AbstractTopology(eqx.Module):
    """Who sends to whom in a body, and in which order layers listen."""

    @property
    @abc.abstractmethod
    def tier(self) -> Tier:
        """How local a rule is whose synapses read the neurons of this topology."""

    @abc.abstractmethod
    def check(self, body: Body) -> None:
        """Raises a `ValueError` if the topology does not fit the body."""

    @abc.abstractmethod
    def joints(self, body: Body) -> tuple[Joint, ...]:
        """All synapses, by the layers that they join."""

    @abc.abstractmethod
    def listening(self, body: Body) -> tuple[int, ...]:
        """The layers in the order in which they listen when inputs are met."""

    @abc.abstractmethod
    def corrected(self, body: Body) -> tuple[int, ...]:
        """The layers in the order in which they listen once targets are known."""

    @abc.abstractmethod
    def types(self, body: Body) -> tuple[Int[np.ndarray, " _n"], ...]:
        """The type of each neuron, layer by layer."""

    @abc.abstractmethod
    def exist(self, body: Body, *, key: Key[Array, ""]) -> Bool[Array, "pre post"] | None:
        """Which synapses there are; `None`: all of them."""


@final
class FeedForward(AbstractTopology):
    """An auto-encoder: each layer listens to the one below it, once.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> topology = pg.rules.FeedForward()
        >>> topology.listening(pg.rules.Body((8, 4, 8)))
        (0, 1, 2)

        ```
    """

    @property
    def tier(self) -> Tier:
        return Tier.ERROR

    def check(self, body: Body) -> None:
        _check_layers(self, body)

    def joints(self, body: Body) -> tuple[Joint, ...]:
        return tuple(Joint(i, "forward", i, i + 1) for i in range(len(body.layers) - 1))

    def listening(self, body: Body) -> tuple[int, ...]:
        return tuple(range(len(body.layers)))

    def corrected(self, body: Body) -> tuple[int, ...]:
        return (len(body.layers) - 1,)

    def types(self, body: Body) -> tuple[Int[np.ndarray, " _n"], ...]:
        return _layered(body)

    def exist(self, body: Body, *, key: Key[Array, ""]) -> None:
        return None


@final
class Bidirectional(AbstractTopology):
    """Layers that listen to both their neighbours, on the way up and on the way down.

    Ways up and down have synapses of their own, so that no weight is carried over; but
    hidden neurons hear each other by way of the inputs, and the tier is layer.

    **Arguments:**

    - `rounds`: up and down so often before the last way up.

    **Raises:**

    - `ValueError`: if `rounds` is no positive whole number.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> topology = pg.rules.Bidirectional(rounds=1)
        >>> topology.listening(pg.rules.Body((8, 4, 8)))
        (0, 1, 2, 1, 0, 1, 2)

        ```
    """

    rounds: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        check_sizes(rounds=self.rounds)

    @property
    def tier(self) -> Tier:
        return Tier.LAYER

    def check(self, body: Body) -> None:
        _check_layers(self, body)

    def joints(self, body: Body) -> tuple[Joint, ...]:
        pairs = range(len(body.layers) - 1)
        up = [Joint(i, "forward", i, i + 1) for i in pairs]
        return (*up, *(Joint(i, "backward", i + 1, i) for i in pairs))

    def listening(self, body: Body) -> tuple[int, ...]:
        last = len(body.layers) - 1
        there_and_back = (*range(last), *range(last, 0, -1))
        return (*there_and_back * self.rounds, *range(last + 1))

    def corrected(self, body: Body) -> tuple[int, ...]:
        return tuple(reversed(range(len(body.layers))))

    def types(self, body: Body) -> tuple[Int[np.ndarray, " _n"], ...]:
        return _layered(body)

    def exist(self, body: Body, *, key: Key[Array, ""]) -> None:
        return None


@final
class Recurrent(AbstractTopology):
    """One population in which every neuron listens to all, itself included, at once.

    **Arguments:**

    - `ticks`: how often they listen in a presentation.

    **Raises:**

    - `ValueError`: if `ticks` is no positive whole number.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.Recurrent(ticks=3).listening(pg.rules.Body((8,)))
        (0, 0, 0)

        ```
    """

    ticks: int = eqx.field(static=True, default=5)

    def __check_init__(self):
        check_sizes(ticks=self.ticks)

    @property
    def tier(self) -> Tier:
        return Tier.ERROR

    def check(self, body: Body) -> None:
        _check_population(self, body)

    def joints(self, body: Body) -> tuple[Joint, ...]:
        return (Joint(0, "forward", 0, 0),)

    def listening(self, body: Body) -> tuple[int, ...]:
        return (0,) * self.ticks

    def corrected(self, body: Body) -> tuple[int, ...]:
        return (0,)

    def types(self, body: Body) -> tuple[Int[np.ndarray, " _n"], ...]:
        return _mingled(body)

    def exist(self, body: Body, *, key: Key[Array, ""]) -> None:
        return None


@final
class SparseRecurrent(AbstractTopology):
    """One population in which every neuron listens to some, drawn at birth, and to itself.

    **Arguments:**

    - `share`: of the neurons, to which one listens, in the mean.
    - `ticks`: how often they listen in a presentation.

    **Raises:**

    - `ValueError`: if `share` is not in (0, 1] or `ticks` no positive whole number.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.SparseRecurrent(share=0.25).share
        0.25

        ```
    """

    share: float = eqx.field(static=True, default=0.5)
    ticks: int = eqx.field(static=True, default=5)

    def __check_init__(self):
        check_sizes(ticks=self.ticks)
        if not 0 < self.share <= 1:
            raise ValueError(f"`share` must lie in (0, 1], got {self.share}.")

    @property
    def tier(self) -> Tier:
        return Tier.ERROR

    def check(self, body: Body) -> None:
        _check_population(self, body)

    def joints(self, body: Body) -> tuple[Joint, ...]:
        return (Joint(0, "forward", 0, 0),)

    def listening(self, body: Body) -> tuple[int, ...]:
        return (0,) * self.ticks

    def corrected(self, body: Body) -> tuple[int, ...]:
        return (0,)

    def types(self, body: Body) -> tuple[Int[np.ndarray, " _n"], ...]:
        return _mingled(body)

    def exist(self, body: Body, *, key: Key[Array, ""]) -> Bool[Array, "n n"]:
        (n,) = body.layers
        return jax.random.bernoulli(key, self.share, (n, n)) | jnp.eye(n, dtype=bool)


TOPOLOGIES: Registry[AbstractTopology] = Registry(
    "topology",
    {
        "feed-forward": FeedForward,
        "bidirectional": Bidirectional,
        "recurrent": Recurrent,
        "sparse-recurrent": SparseRecurrent,
    },
    AbstractTopology,
)


def _layered(body: Body) -> tuple[Int[np.ndarray, " _n"], ...]:
    kinds = (INPUT, *[HIDDEN] * (len(body.layers) - 2), OUTPUT)
    return tuple(np.full(n, kind) for n, kind in zip(body.layers, kinds, strict=True))


def _mingled(body: Body) -> tuple[Int[np.ndarray, " _n"]]:
    """One population: inputs, which are its outputs as well, and behind them hidden neurons."""
    (n,) = body.layers
    return (np.where(np.arange(n) < n - body.hidden, INPUT, HIDDEN),)


def _check_layers(topology: AbstractTopology, body: Body) -> None:
    if len(body.layers) < 2:
        raise ValueError(
            f"`body` must have at least an input and an output layer under the topology "
            f"{type(topology).__name__}, got {body.layers}; a single population takes "
            '"recurrent" or "sparse-recurrent".'
        )


def _check_population(topology: AbstractTopology, body: Body) -> None:
    if len(body.layers) != 1:
        raise ValueError(
            f"`body` must be one population under the topology {type(topology).__name__}, "
            f'got layers {body.layers}; layers take "feed-forward" or "bidirectional", and the '
            "problem `remember` has a population where `hidden` is a whole number."
        )
