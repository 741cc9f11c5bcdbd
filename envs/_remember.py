import math
from collections.abc import Callable
from typing import Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from ..rules import Body, Clamped, Feedback
from ..rules._check_sizes import check_sizes
from ..rules._registry import near
from ._base import AbstractProblem, Frozen, Outcome, Part, chance
from ._recalled import Recalled, asked_of, logistic, rightness
from ._supervised import PARTS, position_of

Place = Literal["beginning", "random"]
Episodes = Literal["snippets", "life"]


def _beginning(key: Key[Array, ""], rows: int, size: int) -> Int[Array, "rows size"]:
    return jnp.broadcast_to(jnp.arange(size), (rows, size))


def _random(key: Key[Array, ""], rows: int, size: int) -> Int[Array, "rows size"]:
    return jax.random.uniform(key, (rows, size)).argsort(1).argsort(1)


# Ranks the bits of each snippet: the first so many are its cue.
_PLACES: dict[str, Callable[..., Int[Array, "rows size"]]] = {
    "beginning": _beginning,
    "random": _random,
}


class Album(eqx.Module):
    """The world of remembering: what is shown when, and what will be asked."""

    stored: Float[Array, "stored snippet bits"]
    unseen: Float[Array, "parts stored snippet bits"]
    cues: Bool[Array, "parts asked snippet bits"]
    values: Float[Array, "presentations bits"]
    mask: Bool[Array, "presentations bits"]
    starts: Bool[Array, " presentations"]
    scored: Bool[Array, " presentations"]
    time: Int[Array, ""]


@final
class Remember(AbstractProblem[Album]):
    r"""Remembering snippets that were shown once, from a part of their bits.

    A world draws snippets of `snippet` presentations of `bits` bits of ±1. A life writes,
    waits and recalls:

    - *write*: each of the `stored` snippets is clamped once, one after the other;
    - *delay*: other snippets are clamped for `delay` presentations. Nothing tells them from
      those that will be asked for;
    - *recall*, for the rest of the life: those that were written and as many that were
      never shown, in random order, with a part of their bits clamped and the others free.

    Outputs are the logits of the bits being +1: with bit $x$ and output $y$ the loss is
    $\log(1 + e^{-x y})$, averaged over the bits that are asked for: all of them while
    writing and waiting, those that are free in recall. While writing and waiting the bits
    are the target; in recall nothing is fed back: the target is masked, and error and
    reward are 0. Synapses still adapt there, as a rule sees fit. Only the recall of what
    was written is scored: by $2 a - 1$, $a$ being the share of its missing bits that is
    right; an output of 0 is right by half.

    It is tested with learning off, in the state in which the life is then: each snippet is
    recalled by itself, and so are as many that were never shown, of which the parts are
    three draws. With $e$ and $e_0$ the shares of missing bits that are wrong, both at most
    one half, and $H$ the binary entropy, the score is $H(e_0) - H(e)$: how much of a
    missing bit is remembered. What can be told from the cue without a memory, as of
    digits, counts nothing.

    **Arguments:**

    - `body`: layers whose ends have `bits` neurons, or one recurrent population of as many
      and any number of hidden ones.
    - `bits`, `snippet`: bits of a presentation, and presentations of a snippet.
    - `stored`, `delay`: how many snippets are written, and how many presentations pass
      before they are recalled.
    - `cue`: the part of the bits of a snippet that is clamped in recall, in (0, 1).
    - `presentations`: the length of a life, at least `written`.
    - `place`: of the cue: `"beginning"`, the first bits, or `"random"`, any.
    - `episodes`: `"snippets"`: each of them starts, so that activity comes to rest; or
      `"life"`: only the first presentation does, and a memory may lie in activity.
    - `patterns`: snippets to draw from; `None`: all bits are uniform and independent.

    **Raises:**

    - `ValueError`: if a size is not positive, `cue` leaves no bit or all of them free, the
      life ends before everything is written and `delay` over, body or patterns do not fit,
      there are too few patterns, or `place` or `episodes` is unknown.

    ??? cite "Reference"

        Gregor, "Finding online neural update rules by learning to remember", 2020; the
        problem is ours where the paper is silent.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> problem = pg.envs.remember(bits=16, stored=4, delay=2)
        >>> problem.written, problem.presentations
        (6, 14)

        ```
    """

    body: Body
    bits: int = eqx.field(static=True)
    snippet: int = eqx.field(static=True)
    stored: int = eqx.field(static=True)
    delay: int = eqx.field(static=True)
    cue: float = eqx.field(static=True)
    presentations: int = eqx.field(static=True)
    place: Place = eqx.field(static=True, default="beginning")
    episodes: Episodes = eqx.field(static=True, default="snippets")
    patterns: Bool[Array, "rows snippet bits"] | None = None

    def __check_init__(self):
        check_lengths(self.bits, self.snippet, self.stored, self.delay, self.cue)
        check_sizes(presentations=self.presentations)
        if self.presentations < self.written:
            raise ValueError(
                f"`presentations` must be at least `stored` x `snippet` + `delay` = "
                f"{self.stored} x {self.snippet} + {self.delay} = {self.written}, or the life "
                f"ends before anything is recalled, got {self.presentations}; take a longer "
                "life, or less to write or a shorter delay."
            )
        for name, known in (("place", list(_PLACES)), ("episodes", ["snippets", "life"])):
            if getattr(self, name) not in known:
                given = getattr(self, name)
                raise ValueError(f"unknown `{name}` {given!r}; {near(given, known)}")
        layers = self.body.layers
        ends = layers[0] - self.body.hidden, layers[-1] - self.body.hidden
        if ends != (self.bits, self.bits):
            raise ValueError(
                f"`body` must have {self.bits} inputs and outputs, one for each bit, or be one "
                f"population of as many and `hidden` others, got layers {layers} and "
                f"{self.body.hidden} hidden."
            )
        self._check_patterns()

    def _check_patterns(self) -> None:
        if self.patterns is None:
            return
        if self.patterns.shape[1:] != (self.snippet, self.bits):
            raise ValueError(
                f"`patterns` must have shape (rows, {self.snippet}, {self.bits}), "
                f"got {self.patterns.shape}."
            )
        needed = 3 * self.stored + self._distractors
        if len(self.patterns) < needed:
            raise ValueError(
                f"`patterns` must hold at least {needed} snippets, so that those to be stored, "
                f"those of the delay and those never shown differ, got {len(self.patterns)}."
            )

    @property
    def batch(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """There is one stream."""
        return 1

    @property
    def chance(self) -> Outcome:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What guessing scores."""
        return chance(math.log(2.0), 0.0)

    @property
    def written(self) -> int:
        """The presentations of writing and delay; recall is what follows."""
        return self.stored * self.snippet + self.delay

    @property
    def missing(self) -> int:
        """The bits of a snippet that are free in recall."""
        return self.snippet * self.bits - cued(self.cue, self.snippet * self.bits)

    @property
    def _distractors(self) -> int:
        return -(-self.delay // self.snippet)

    def reset(self, *, key: Key[Array, ""]) -> Album:
        key_draw, key_ask, key_order, key_cue = jax.random.split(key, 4)
        shown, unseen = self._drawn(key_draw)
        stored, other = shown[: self.stored], shown[self.stored : 2 * self.stored]
        size, recalls = 2 * self.stored, self.presentations - self.written
        # Whoever is asked for more than once is asked in another order.
        rounds = -(-recalls // (size * self.snippet))
        orders = jax.random.split(key_order, rounds)
        order = jax.vmap(lambda k: jax.random.permutation(k, size))(orders).reshape(-1)
        asked = jnp.concatenate([stored, other])[order].reshape(-1, self.bits)[:recalls]
        cues = self._cues(key_cue, len(order)).reshape(-1, self.bits)[:recalls]
        waiting = shown[size:].reshape(-1, self.bits)[: self.delay]
        known = jnp.ones((self.written, self.bits), bool)
        was_written = jnp.repeat(order < self.stored, self.snippet)[:recalls]
        starts = self._starts()
        return Album(
            stored=stored,
            unseen=unseen,
            cues=self._cues(key_ask, len(PARTS) * size).reshape(
                len(PARTS), size, self.snippet, self.bits
            ),
            values=jnp.concatenate([stored.reshape(-1, self.bits), waiting, asked]),
            mask=jnp.concatenate([known, cues]),
            starts=starts,
            scored=jnp.concatenate([jnp.zeros(self.written, bool), was_written & ~cues.all(1)]),
            time=jnp.zeros((), int),
        )

    def observe(self, world: Album) -> Clamped:
        values, mask = world.values[world.time], world.mask[world.time]
        return self._clamped(values, mask, world.starts[world.time])

    def respond(self, world: Album, outputs: Float[Array, "batch outputs"]):
        bits, mask = world.values[world.time], world.mask[world.time]
        logits = outputs[0, : self.bits]
        asked = asked_of(mask)
        loss = (logistic(logits, bits) * asked).sum() / asked.sum()
        right = (rightness(logits, bits) * asked).sum() / asked.sum()
        taught = world.time < self.written
        error = bits * jax.nn.sigmoid(-bits * logits) * asked / asked.sum()
        target = self._clamped(bits, mask & taught, world.starts[world.time])
        feedback = Feedback(
            target=Clamped(target.known, target.mask, target.starts),
            error=self._wide(jnp.where(taught, error, 0.0)),
            reward=jnp.where(taught, -loss, 0.0)[None],
            boundary=jnp.zeros(1, bool),
        )
        weight = world.scored[world.time].astype(outputs.dtype)
        later = eqx.tree_at(lambda w: w.time, world, world.time + 1)
        return later, feedback, Outcome(loss, 2 * right - 1, weight)

    def test(self, world: Album, network: Frozen, *, part: Part, key: Key[Array, ""]):
        found = self.recall(world, network, part=part, key=key)
        return Outcome(found.loss, found.share, jnp.ones(()))

    def recall(
        self, world: Album, network: Frozen, *, part: Part, key: Key[Array, ""]
    ) -> Recalled:
        """What a network recalls, with learning off, of what was written and never shown."""
        return Recalled.of(*self.answers(world, network, part=part, key=key))

    def answers(
        self, world: Album, network: Frozen, *, part: Part, key: Key[Array, ""]
    ) -> tuple[Array, Array, Array]:
        """Outputs for what was written and, behind it, for as many snippets never shown.

        Each snippet is recalled by itself, from the state in which the network is.

        Returns:
            Outputs, bits, and which of them are missing, each of shape
            `(2 * stored, snippet, bits)`.
        """
        i = position_of(part)
        snippets, cues = jnp.concatenate([world.stored, world.unseen[i]]), world.cues[i]
        rule, state = network.rule, network.state
        if self.episodes == "snippets" or not jax.tree.leaves(state.neurons):
            state = rule.rest(state, 1)
        starts = (jnp.arange(self.snippet) == 0) & (self.episodes == "snippets")

        def one(snippet: Array, cue: Array, key: Key[Array, ""]):
            def predict(state, now):
                values, mask, start, key = now
                return rule.predict(state, self._clamped(values, mask, start), key=key)

            keys = jax.random.split(key, self.snippet)
            outputs = jax.lax.scan(predict, state, (snippet, cue, starts, keys))[1]
            return outputs[:, 0, : self.bits]

        logits = jax.vmap(one)(snippets, cues, jax.random.split(key, len(snippets)))
        return logits, snippets, ~cues

    def _drawn(self, key: Key[Array, ""]) -> tuple[Array, Array]:
        """Snippets for a life, and for each part some that it never shows."""
        life, size = 2 * self.stored + self._distractors, (self.snippet, self.bits)
        if self.patterns is None:
            parts = len(PARTS) * self.stored
            drawn = jax.random.rademacher(key, (life + parts, *size), float)
            return drawn[:life], drawn[life:].reshape(len(PARTS), self.stored, *size)
        rows = jax.random.permutation(key, len(self.patterns))
        keys = jax.random.split(jax.random.fold_in(key, 1), len(PARTS))
        unseen = [jax.random.permutation(k, rows[life:])[: self.stored] for k in keys]
        bits = jnp.where(self.patterns, 1.0, -1.0)
        return bits[rows[:life]], bits[jnp.stack(unseen)]

    def _cues(self, key: Key[Array, ""], rows: int) -> Bool[Array, "rows snippet bits"]:
        size = self.snippet * self.bits
        ranks = _PLACES[self.place](key, rows, size)
        return (ranks < cued(self.cue, size)).reshape(rows, self.snippet, self.bits)

    def _starts(self) -> Bool[Array, " presentations"]:
        """Where snippets begin: a delay may cut the last of its own short."""
        time = jnp.arange(self.presentations)
        if self.episodes == "life":
            return time == 0
        since = jnp.where(time < self.written, time, time - self.written)
        return since % self.snippet == 0

    def _clamped(self, values: Array, mask: Array, starts: Array) -> Clamped:
        """One row for the whole of the first layer, hidden neurons being free."""
        hidden = jnp.zeros(self.body.layers[0] - self.bits, bool)
        return Clamped(self._wide(values), jnp.concatenate([mask, hidden])[None], starts[None])

    def _wide(self, values: Float[Array, " bits"]) -> Float[Array, "1 n"]:
        return jnp.pad(values, (0, self.body.layers[0] - self.bits))[None]


def cued(cue: float, size: int) -> int:
    """How many of so many bits a cue has."""
    return round(cue * size)


def check_lengths(bits: int, snippet: int, stored: int, delay: int, cue: float) -> None:
    """Raises a `ValueError` naming the first that is none."""
    check_sizes(bits=bits, snippet=snippet, stored=stored)
    if isinstance(delay, bool) or not isinstance(delay, int) or delay < 0:
        raise ValueError(f"`delay` must be a whole number of at least 0, got {delay!r}.")
    size = bits * snippet
    if isinstance(cue, bool) or not isinstance(cue, int | float) or not 0 < cue < 1:
        raise ValueError(
            "`cue` must lie strictly between 0 (nothing to go by) and 1 (nothing to recall), "
            f"got {cue!r}."
        )
    if not 0 < cued(cue, size) < size:
        raise ValueError(
            f"`cue` must leave some of the {size} bits of a snippet clamped and some free, "
            f"got {cue}, which is {cued(cue, size)} bits; take more bits or a cue nearer 0.5."
        )
