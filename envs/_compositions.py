import itertools
import math
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ..rules import Body, Clamped
from ..rules._check_sizes import check_sizes
from ._base import AbstractProblem, Frozen, Outcome, Part, chance
from ._supervised import position_of, teaching
from ._tables import layered

TOKENS = 2  # parts in a composition
_TESTED, _STANDARD = 256, 1024  # rows of a test, and of what standardises a part
_STEEP = 2.0  # deviation of what enters a tanh
_CUE = 2.0  # length of the code of a part, in deviations of an argument


class Composed(eqx.Module):
    """The world of compositions: its parts, and which composition is kept for the end."""

    inner: Float[Array, "parts arguments hidden"]
    outer: Float[Array, "parts hidden outputs"]
    mean: Float[Array, "parts outputs"]
    new: Int[Array, ""]
    key: Key[Array, ""]
    time: Int[Array, ""]


@final
class Compositions(AbstractProblem[Composed]):
    r"""Functions that are composed of known parts, and a new composition of them.

    A world has parts $g_p(x) = \tanh(x A_p) B_p$, with random $A_p$, $B_p$, standardised. A
    row shows two tokens, each the code of a part, one-hot, beside arguments of its own, and
    the target is

    $$y = \big(g_p(x) + g_q(x')\big) / \sqrt 2.$$

    Of all pairs $p < q$ one, in each world another, is new: for `known` presentations rows
    are of all other pairs, which hold every part; the last of them tells the boundary.
    After it all rows are of the new one. Loss, error and score are those of
    [`Regression`][plasticgym.envs.Regression]: the score of a presentation, before learning
    from it, is $R^2$. Tests are on the new composition; the parts are three draws of 256
    rows.

    **Arguments:**

    - `body`: inputs are the two tokens.
    - `batch`, `presentations`: the size of a life.
    - `known`: presentations before the new composition.
    - `parts`: at least three.

    **Raises:**

    - `ValueError`: if a size is not positive, there are fewer than three parts, the ends of
      the body do not fit, or a life ends before the new composition.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.compositions(parts=4, arguments=6).body.layers  # two tokens of 4 + 6
        (20, 64, 2)

        ```
    """

    chance: Outcome
    body: Body
    batch: int = eqx.field(static=True)
    presentations: int = eqx.field(static=True)
    known: int = eqx.field(static=True)
    parts: int = eqx.field(static=True)

    def __init__(self, *, body: Body, batch: int, presentations: int, known: int, parts: int):
        check_sizes(batch=batch, presentations=presentations, known=known, parts=parts)
        if parts < 3:
            raise ValueError(f"`parts` must be at least 3, got {parts}.")
        if body.layers[0] % TOKENS or body.layers[0] <= TOKENS * parts or len(body.layers) < 2:
            raise ValueError(
                f"`body` must have an even number of inputs above {TOKENS * parts}, two "
                f"tokens with the code of a part and arguments, got layers {body.layers}."
            )
        if known >= presentations:
            raise ValueError(
                f"`known` must be less than `presentations` = {presentations}, so that the "
                f"new composition is met, got {known}."
            )
        self.chance = chance(body.layers[-1] / 2, 0.0)
        self.body, self.batch, self.presentations = body, batch, presentations
        self.known, self.parts = known, parts

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """All compositions."""
        return tuple(itertools.combinations(range(self.parts), TOKENS))

    def reset(self, *, key: Key[Array, ""]) -> Composed:
        key_inner, key_outer, key_new, key_standard, key_rows = jax.random.split(key, 5)
        arguments, outputs = self.body.layers[0] // TOKENS - self.parts, self.body.layers[-1]
        hidden = 2 * arguments
        inner = jax.random.normal(key_inner, (self.parts, arguments, hidden))
        inner = inner * (_STEEP / math.sqrt(arguments))
        outer = jax.random.normal(key_outer, (self.parts, hidden, outputs))
        drawn = jax.random.normal(key_standard, (_STANDARD, arguments))
        said = jnp.tanh(drawn[None] @ inner) @ outer
        deviation = said.std(1, keepdims=True)
        return Composed(
            inner=inner,
            outer=outer / deviation,
            mean=(said / deviation).mean(1),
            new=jax.random.randint(key_new, (), 0, len(self.pairs)),
            key=key_rows,
            time=jnp.zeros((), int),
        )

    def observe(self, world: Composed) -> Clamped:
        return Clamped.full(self._row(*self._latest(world)))

    def respond(self, world: Composed, outputs: Float[Array, "batch outputs"]):
        target = self._said(world, *self._latest(world))
        error = target - outputs
        losses = jnp.square(error).sum(1) / 2
        boundary = jnp.broadcast_to(world.time == self.known - 1, losses.shape)
        feedback = eqx.tree_at(lambda f: f.boundary, teaching(target, error, losses), boundary)
        later = eqx.tree_at(lambda w: w.time, world, world.time + 1)
        return later, feedback, self._outcome(losses)

    def test(self, world: Composed, network: Frozen, *, part: Part, key: Key[Array, ""]):
        own = jax.random.fold_in(world.key, self.presentations + position_of(part))
        pair = jnp.full(_TESTED, world.new)
        drawn = pair, self._arguments(_TESTED, key=own)
        outputs = network(self._row(*drawn), key=key)
        return self._outcome(jnp.square(self._said(world, *drawn) - outputs).sum(1) / 2)

    def _latest(self, world: Composed):
        """Which pairs the rows are of, and their arguments."""
        key_pairs, key_arguments = jax.random.split(jax.random.fold_in(world.key, world.time))
        other = jax.random.randint(key_pairs, (self.batch,), 1, len(self.pairs))
        # Any but the new one, until that is the only one.
        step = jnp.where(world.time < self.known, other, 0)
        pairs = (world.new + step) % len(self.pairs)
        return pairs, self._arguments(self.batch, key=key_arguments)

    def _arguments(self, rows: int, *, key: Key[Array, ""]) -> Float[Array, "rows two n"]:
        n = self.body.layers[0] // TOKENS - self.parts
        return jax.random.normal(key, (rows, TOKENS, n))

    def _row(
        self,
        pairs: Int[Array, " rows"],
        arguments: Float[Array, "rows two n"],
    ) -> Float[Array, "rows inputs"]:
        codes = _CUE * jax.nn.one_hot(self._parts_of(pairs), self.parts)
        return jnp.concatenate([codes, arguments], axis=2).reshape(pairs.shape[0], -1)

    def _said(
        self,
        world: Composed,
        pairs: Int[Array, " rows"],
        arguments: Float[Array, "rows two n"],
    ) -> Float[Array, "rows outputs"]:
        """The targets."""
        every = jnp.tanh(jnp.einsum("rtn,pnh->rtph", arguments, world.inner))
        every = jnp.einsum("rtph,pho->rtpo", every, world.outer) - world.mean[None, None]
        mine = jax.nn.one_hot(self._parts_of(pairs), self.parts)
        return (every * mine[..., None]).sum((1, 2)) / math.sqrt(TOKENS)

    def _parts_of(self, pairs: Int[Array, " rows"]) -> Int[Array, "rows two"]:
        return jnp.asarray(np.array(self.pairs))[pairs]

    def _outcome(self, losses: Float[Array, " rows"]) -> Outcome:
        loss = losses.mean()
        return Outcome(loss, 1 - loss / self.chance.loss, jnp.ones(()))


def compositions(
    *,
    hidden: tuple[int, ...] = (64,),
    batch: int = 32,
    presentations: int = 1000,
    known: int | None = None,
    parts: int = 4,
    arguments: int = 4,
    outputs: int = 2,
) -> Compositions:
    """Sums of two of several random functions, and at last two that never met.

    See [`Compositions`][plasticgym.envs.Compositions].

    Args:
        hidden: sizes of the hidden layers.
        batch: rows in a presentation.
        presentations: length of a life.
        known: presentations before the new composition; `None` for four fifths of them.
        parts: how many functions there are.
        arguments: of each of them.
        outputs: of all of them.

    Raises:
        ValueError: if a size is not positive, or there are fewer than three parts.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.compositions().known
        800

        ```
    """
    check_sizes(arguments=arguments, outputs=outputs, presentations=presentations, parts=parts)
    return Compositions(
        body=layered((TOKENS * (parts + arguments), outputs), hidden),
        batch=batch,
        presentations=presentations,
        known=max(1, presentations * 4 // 5) if known is None else known,
        parts=parts,
    )
