import dataclasses
from collections.abc import Sequence
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from ..envs import Frozen, Life, Part, Recalled, Remember, born, step
from ..envs._lifetime import keys_of
from ..envs._recalled import rightness
from ..rules import AbstractRule


@final
@dataclasses.dataclass(frozen=True)
class Remembered:
    """What networks remember of snippets, and how much room that takes them.

    **Arguments:**

    - `stored`, `unseen`: the share of missing bits that are right of snippets that were
      stored and of as many never shown, shape `(seeds,)`; one half is chance.
    - `diverged`: which lives diverged; their shares are one half.
    - `missing`: the missing bits of all snippets that were stored: as many bits as a
      memory can give back.
    - `floats`: how many entries of synapses and memory each life changed, shape `(seeds,)`.
    """

    stored: Float[np.ndarray, " seeds"]
    unseen: Float[np.ndarray, " seeds"]
    diverged: Bool[np.ndarray, " seeds"]
    missing: int
    floats: Int[np.ndarray, " seeds"]

    @property
    def share(self) -> Float[np.ndarray, " seeds"]:
        """Of a missing bit, what is remembered; knowing what is usual counts nothing."""
        nought = jnp.zeros(self.stored.shape)
        return np.asarray(
            Recalled(nought, jnp.asarray(self.stored), jnp.asarray(self.unseen)).share
        )

    @property
    def density(self) -> Float[np.ndarray, " seeds"]:
        """Bits remembered per entry that a life changes."""
        return self.missing * self.share / np.maximum(self.floats, 1)


def remembered(
    rule: AbstractRule,
    problem: Remember,
    *,
    seeds: Sequence[int],
    part: Part = "test",
    settings: Sequence[tuple[int, int]] | None = None,
) -> list[Remembered]:
    """Lives that write and wait, and what is recalled on their way with learning off.

    Nothing tells what is stored from what passes in a delay. So the first `n` snippets,
    recalled when `n + d` were shown, are `n` that were stored before a delay of `d`: one
    life, and one compilation, serves many settings.

    An entry counts in a life if it differs after any of its presentations from what it was
    at birth. Synapses that do not exist keep their value, and count nothing.

    Args:
        rule: how networks learn.
        problem: of which only writing and delay are lived.
        seeds: one life each.
        part: `"validation"` for choices, `"test"` for what is reported.
        settings: pairs of a number stored and a delay in presentations that are lived on
            the way; `None`: those of the problem.

    Returns:
        For each setting, the shares of all lives and the count of entries.

    Raises:
        ValueError: if there is no seed, a setting is no pair of whole numbers of at least 1
            and 0, or the problem ends before a setting does.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> problem = pg.envs.remember(bits=16, stored=2, delay=0, hidden=0)
        >>> found, = pg.benchmarks.remembered(pg.rules.Hopfield(), problem, seeds=range(16))
        >>> int(found.floats[0]), found.missing
        (240, 16)

        ```
    """
    asked = [(problem.stored, problem.delay)] if settings is None else list(settings)
    _check(problem, seeds, asked)
    times = [n * problem.snippet + delay for n, delay in asked]
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    at = np.isin(np.arange(1, problem.written + 1), times)
    right, floats, diverged = jax.tree.map(
        np.asarray, _lives(rule, problem, keys, part, jnp.asarray(at))
    )

    def one(n: int, time: int) -> Remembered:
        lost = diverged[:, time - 1]
        stored, unseen = right[:, time - 1, :, :n].mean(2).T / problem.missing
        half = lambda share: np.where(lost, 0.5, share)  # noqa: E731
        return Remembered(half(stored), half(unseen), lost, n * problem.missing, floats)

    return [one(n, time) for (n, _), time in zip(asked, times, strict=True)]


def _check(problem: Remember, seeds: Sequence[int], asked: list[tuple[int, int]]) -> None:
    if not len(seeds):
        raise ValueError(f"`seeds` must hold one seed or more, got {seeds!r}.")
    whole = lambda n: isinstance(n, int | np.integer) and not isinstance(n, bool)  # noqa: E731
    if not asked or any(
        not (whole(n) and whole(delay)) or n < 1 or delay < 0 for n, delay in asked
    ):
        raise ValueError(
            "`settings` must hold pairs of whole numbers: at least 1 that is stored, and a "
            f"delay of at least 0, got {asked}."
        )
    most = max(n for n, _ in asked)
    last = max(n * problem.snippet + delay for n, delay in asked)
    if most > problem.stored or last > problem.written:
        raise ValueError(
            f"`settings` must end within {problem.stored} stored and {problem.written} "
            f"presentations, got {asked}."
        )


@eqx.filter_jit
def _lives(rule: AbstractRule, problem: Remember, keys: jax.Array, part: Part, at: jax.Array):
    """The missing bits that are right of each snippet, stored and never shown, by time.

    And how many entries changed, and whether the life had diverged by then.
    """

    def one(key):
        newborn = born(rule, problem, key=key)

        def turn(lived: tuple[Life, list[jax.Array]], now: jax.Array):
            life, _ = step(rule, problem, lived[0])
            changed = [
                once | (entries != at_birth)
                for once, entries, at_birth in zip(
                    lived[1], _kept(life), _kept(newborn), strict=True
                )
            ]

            def ask():
                network = Frozen(rule, life.state)
                logits, bits, missing = problem.answers(
                    life.world, network, part=part, key=keys_of(life)[3]
                )
                right = jnp.where(missing, rightness(logits, bits), 0.0)
                return right.sum((1, 2)).reshape(2, problem.stored)

            nothing = jnp.zeros((2, problem.stored))
            return (life, changed), (jax.lax.cond(now, ask, lambda: nothing), life.diverged)

        unchanged = [jnp.zeros(entries.shape, bool) for entries in _kept(newborn)]
        (_, changed), (right, diverged) = jax.lax.scan(turn, (newborn, unchanged), at)
        floats = sum((entries.sum() for entries in changed), jnp.zeros((), int))
        return right, floats, diverged

    return jax.vmap(one)(keys)


def _kept(life: Life) -> list[jax.Array]:
    """All that synapses and memory hold."""
    return jax.tree.leaves((life.state.synapses, life.state.memory))
