import math
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from ..rules import Body, Clamped
from ..rules._check_sizes import check_sizes
from ._base import AbstractProblem, Frozen, Outcome, Part, chance
from ._supervised import PARTS, cross_entropy, position_of, share_right, teaching
from ._tables import layered

_EXAM = (2, 64)  # snippets that each row recites, and rows
_LEAST = 2  # symbols there are, and symbols in a snippet


class Recital(eqx.Module):
    """The world of repeats: its snippets, and which of them each row recites when."""

    snippets: Int[Array, "snippets length"]
    order: Int[Array, "turns batch"]
    again: Bool[Array, "turns batch"]
    exams: Int[Array, "parts recited rows"]
    time: Int[Array, ""]


@final
class Repeats(AbstractProblem[Recital]):
    r"""Predicting the next symbol of a stream in which snippets come back.

    A world draws `snippets` of `length` symbols each, all uniform and independent. Each row
    of the batch recites one snippet after another, each time a random one, without end: it
    starts with the first presentation and goes on through all others. The input is the
    present symbol, one-hot, the target the next one. With $p$ the softmax of the outputs
    the loss of a row is $-\log p_t$, and the error $t - p$. All rows are taught always.

    Scored are only the symbols that can be known: those inside a snippet (not its first)
    that the row has recited before. With $a$ the share of them that is right and $K$
    symbols, the score is $(a - 1/K) / (1 - 1/K)$: 0 for whoever remembers nothing, since
    $1/K$ is what anyone expects of a snippet never shown, and 1 where all is right. Symbols
    occur in several snippets: without the symbols before, some cannot be told for certain.
    Where no row has anything to know, the presentation has weight 0.

    It is tested with learning off, but with activity that goes on, on 64 rows that recite
    two snippets each; the parts are three draws of them. All symbols but the first of each
    snippet count.

    **Arguments:**

    - `body`: inputs and outputs are as many as there are symbols.
    - `batch`, `presentations`: the size of a life.
    - `snippets`, `length`: how many there are in a world, and how many symbols each has.

    **Raises:**

    - `ValueError`: if a size is not positive, there are fewer than two symbols in all or
      in a snippet, the ends of the body differ, or a life ends before anything comes back.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.repeats(symbols=16).body.layers
        (16, 32, 16)

        ```
    """

    chance: Outcome
    body: Body
    batch: int = eqx.field(static=True)
    presentations: int = eqx.field(static=True)
    snippets: int = eqx.field(static=True)
    length: int = eqx.field(static=True)

    def __init__(
        self, *, body: Body, batch: int, presentations: int, snippets: int, length: int
    ):
        check_sizes(batch=batch, presentations=presentations, snippets=snippets, length=length)
        symbols = body.layers[0]
        if symbols != body.layers[-1] or symbols < _LEAST:
            raise ValueError(
                "`body` must have as many inputs as outputs, one for each of two or more "
                f"symbols, got layers {body.layers}."
            )
        if length < _LEAST:
            raise ValueError(f"`length` must be at least 2, got {length}.")
        if presentations <= length:
            raise ValueError(
                f"`presentations` must be more than `length` = {length}, for nothing comes "
                f"back before, got {presentations}."
            )
        self.chance = chance(math.log(symbols), 0.0)
        self.body, self.batch, self.presentations = body, batch, presentations
        self.snippets, self.length = snippets, length

    def reset(self, *, key: Key[Array, ""]) -> Recital:
        shown, recited, examined = jax.random.split(key, 3)
        turns = self.presentations // self.length + 1
        order = jax.random.randint(recited, (turns, self.batch), 0, self.snippets)
        counts = jax.nn.one_hot(order, self.snippets, dtype=int).cumsum(0)
        now = jnp.take_along_axis(counts, order[:, :, None], 2)[:, :, 0]
        return Recital(
            snippets=jax.random.randint(
                shown, (self.snippets, self.length), 0, self.body.layers[0]
            ),
            order=order,
            again=now > 1,
            exams=jax.random.randint(examined, (len(PARTS), *_EXAM), 0, self.snippets),
            time=jnp.zeros((), int),
        )

    def observe(self, world: Recital) -> Clamped:
        values = self._one_hot(self._symbols(world, world.time))
        starts = jnp.broadcast_to(world.time == 0, (self.batch,))
        return Clamped(values, jnp.ones(values.shape, bool), starts)

    def respond(self, world: Recital, outputs: Float[Array, "batch outputs"]):
        later = world.time + 1
        target = self._one_hot(self._symbols(world, later))
        losses, error = cross_entropy(outputs, target)
        feedback = teaching(target, error, losses)
        known = world.again[later // self.length] & (later % self.length > 0)
        outcome = self._outcome(losses, outputs, target, known)
        return eqx.tree_at(lambda w: w.time, world, later), feedback, outcome

    def test(self, world: Recital, network: Frozen, *, part: Part, key: Key[Array, ""]):
        exam = world.exams[position_of(part)]
        symbols = world.snippets[exam].swapaxes(1, 2).reshape(-1, exam.shape[1])
        stream = self._one_hot(symbols)

        def predict(state, turn):
            values, now, key = turn
            starts = jnp.broadcast_to(now == 0, values.shape[:1])
            inputs = Clamped(values, jnp.ones(values.shape, bool), starts)
            return network.rule.predict(state, inputs, key=key)

        times, keys = jnp.arange(len(stream) - 1), jax.random.split(key, len(stream) - 1)
        rested = network.rule.rest(network.state, exam.shape[1])
        outputs = jax.lax.scan(predict, rested, (stream[:-1], times, keys))[1]
        outputs, target = (x.reshape(-1, x.shape[-1]) for x in (outputs, stream[1:]))
        known = jnp.repeat((times + 1) % self.length > 0, exam.shape[1])
        losses, _ = cross_entropy(outputs, target)
        return self._outcome(losses, outputs, target, known)

    def _symbols(self, world: Recital, time: Int[Array, ""]) -> Int[Array, " batch"]:
        return world.snippets[world.order[time // self.length], time % self.length]

    def _one_hot(self, symbols: Int[Array, "*rows"]) -> Float[Array, "*rows symbols"]:
        return jax.nn.one_hot(symbols, self.body.layers[0])

    def _outcome(
        self,
        losses: Float[Array, " rows"],
        outputs: Float[Array, "rows symbols"],
        target: Float[Array, "rows symbols"],
        known: Bool[Array, " rows"],
    ) -> Outcome:
        # Where nothing can be known, all rows make a loss that is finite and not scored.
        counted = (known | ~known.any()).astype(losses.dtype)
        right = share_right(outputs, target.argmax(1))
        loss, accuracy = losses @ counted / counted.sum(), right @ counted / counted.sum()
        guessed = 1 / target.shape[1]
        score = (accuracy - guessed) / (1 - guessed)
        return Outcome(loss, score, known.any().astype(losses.dtype))


def repeats(
    *,
    hidden: tuple[int, ...] = (32,),
    batch: int = 16,
    presentations: int = 100,
    symbols: int = 32,
    snippets: int = 4,
    length: int = 5,
) -> Repeats:
    """Prediction of the next symbol of a stream in which snippets come back.

    Which symbols are scored, and how, is told in [`Repeats`][plasticgym.envs.Repeats]. With
    these sizes a network that forgets all symbols but the present one can reach about 0.84.

    Args:
        hidden: sizes of the hidden layers.
        batch: rows that recite the same snippets, each in an order of its own.
        presentations: length of a life, in symbols.
        symbols: how many there are.
        snippets: how many there are in a world.
        length: of a snippet, in symbols.

    Raises:
        ValueError: if a size is not positive, `symbols` or `length` is less than 2, or a
            life ends before anything comes back.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> round(float(pg.envs.repeats().chance.loss), 2)
        3.47

        ```
    """
    check_sizes(batch=batch, presentations=presentations, symbols=symbols)
    if symbols < _LEAST:
        raise ValueError(f"`symbols` must be at least 2, got {symbols}.")
    return Repeats(
        body=layered((symbols, symbols), hidden),
        batch=batch,
        presentations=presentations,
        snippets=snippets,
        length=length,
    )
