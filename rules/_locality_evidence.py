"""What is kicked in the trials of locality, named by synapses and neurons, and what moved."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ._base import Body, State
from ._locality_trials import Seen, nothing

PRESENT = 0  # the trial in which nothing is kicked
MOVED = 1e-6  # of the largest usual change; what is not touched at all does not move at all


class Places(NamedTuple):
    """Some synapses: per block, those that join its layers, and those from the outputs."""

    pairs: list[np.ndarray]  # (pre + 1, post), or (n, n) in a recurrent population
    direct: list[np.ndarray]  # (outputs, post)

    @classmethod
    def none(cls, body: Body) -> "Places":
        """No synapse."""
        ends = ends_of(body)
        biases = int(len(body.layers) > 1)
        return cls(
            [np.zeros((pre + biases, post), bool) for pre, post in ends],
            [np.zeros((body.layers[-1], post), bool) for _, post in ends],
        )

    def but(self, others: "Places") -> "Places":
        """These without those."""
        return Places(
            [a & ~b for a, b in zip(self.pairs, others.pairs, strict=True)],
            [a & ~b for a, b in zip(self.direct, others.direct, strict=True)],
        )

    def others(self) -> "Places":
        """All but these."""
        return Places([~a for a in self.pairs], [~a for a in self.direct])


def ends_of(body: Body) -> list[tuple[int, int]]:
    """The sizes of the two layers that each block joins."""
    return list(itertools.pairwise(body.layers)) or [(body.layers[0], body.layers[0])]


class Plan:
    """The trials to be run; the first is that without a kick."""

    def __init__(self, rule_name: str, shapes: State):
        self.rule_name, self.shapes = rule_name, shapes
        self.trials = [nothing(shapes)]

    def add(self, **kicks: PyTree) -> int:
        """One more trial, of which what is not named is not kicked; its index."""
        self.trials.append(self.trials[PRESENT]._replace(**kicks))
        return len(self.trials) - 1

    def synapses(self, places: Places) -> PyTree:
        """The mask of these synapses, shaped like the leaves that hold them.

        Leaves that are not real are a wiring: never kicked.
        """

        def seated(x: jax.ShapeDtypeStruct, block: int) -> np.ndarray:
            mask = self._seated(x.shape, block, places)
            return mask & jnp.issubdtype(x.dtype, jnp.inexact)

        return tuple(
            jax.tree.map(lambda x, block=block: seated(x, block), leaves)
            for block, leaves in enumerate(self.shapes.synapses)
        )

    def neurons(self, chosen: list[np.ndarray]) -> PyTree:
        """The mask of these neurons, given one of shape `(n,)` per layer."""
        return tuple(
            jax.tree.map(lambda x, mask=mask: np.broadcast_to(mask, x.shape), leaves)
            for mask, leaves in zip(chosen, self.shapes.neurons, strict=True)
        )

    def _seated(self, shape: tuple[int, ...], block: int, places: Places) -> np.ndarray:
        body = self.shapes.body
        pre, post = ends_of(body)[block]
        pairs, direct = places.pairs[block], places.direct[block]
        seats = {
            (pre + 1, post): pairs,
            (pre, post): pairs[:pre],
            (post, pre): pairs[:pre].T,
            (post, pre + 1): pairs.T,
            (body.layers[-1], post): direct,
        }
        if len(body.layers) == 1:
            seats = {(pre, post): pairs}
        ends = (shape[-2], shape[-1])
        if ends not in seats:
            raise ValueError(
                f"synapses of {self.rule_name} from {pre} to {post} neurons must end in "
                f"one of the shapes {list(seats)}, got {shape}."
            )
        return np.broadcast_to(seats[ends], shape)


class Evidence:
    """What the trials of a plan showed."""

    def __init__(self, plan: Plan, seen: Seen):
        self.plan, self.seen = plan, seen
        before, after = jax.tree.leaves(seen.before), jax.tree.leaves(seen.after)
        if not all(np.isfinite(x[:, PRESENT]).all() for x in (*after, *before)):
            raise ValueError(
                f"{plan.rule_name} diverges in a few presentations of random signals of unit "
                "variance, so that its locality cannot be measured; lower its rates."
            )
        self._usual = [
            _usual(a[:, PRESENT], b[:, PRESENT]) for a, b in zip(after, before, strict=True)
        ]

    def changes(self, trial: int, base: int = PRESENT, *, later: bool = True) -> list[list]:
        """How far synapses moved between two trials, in usual changes, by leaf.

        By the end of the presentation of the kicks, and of the next one. Leaves lead with
        the axis of networks.
        """
        return [
            [
                (real(x[:, trial]) - real(x[:, base])) / usual
                for x, usual in zip(jax.tree.leaves(tree), self._usual, strict=True)
            ]
            for tree in ((self.seen.after, self.seen.later) if later else (self.seen.after,))
        ]

    def moved(
        self, where: PyTree, trial: int, base: int = PRESENT, *, later: bool = True
    ) -> bool:
        """Whether any synapse of a mask moved in a network in which it stayed finite.

        Where it did in none of them, it moved as well.
        """
        masks = jax.tree.leaves(where)
        changes = np.concatenate(
            [
                np.abs(change[:, mask])
                for leaves in self.changes(trial, base, later=later)
                for change, mask in zip(leaves, masks, strict=True)
            ],
            axis=1,
        )
        finite = np.isfinite(changes).all(1)
        return bool((changes[finite] > MOVED).any() or not finite.any())


def _usual(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The largest change of each number that synapses of a block hold, over all networks."""
    change = np.abs(real(after) - real(before)).max((0, -2, -1), keepdims=True)
    return np.where(change > 0, change, 1.0)


def real(x: np.ndarray) -> np.ndarray:
    """Of whatever kind it was."""
    return x.astype(float)
