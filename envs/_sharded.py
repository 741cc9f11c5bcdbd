from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from ..rules import AbstractRule, Body, Clamped, Replicas
from ..rules._check_sizes import check_sizes
from ._base import AbstractProblem, Frozen, Outcome, Part
from ._classification import Classification, Examples
from ._cross_modal_answer import CrossModalAnswer
from ._skews import AbstractSkew, Even
from ._stressors import Stressor
from ._supervised import teaching

_Dealt = Classification | CrossModalAnswer  # whose examples can be dealt out


class Shards(eqx.Module):
    """The worlds of the shards; every leaf of the first three leads with them.

    `examples` are what each shard streams from, if not the whole train part.
    """

    worlds: PyTree
    examples: Examples | None
    stressed: Bool[Array, " k"]
    measured: Examples | None


@final
class Sharded(AbstractProblem[Shards]):
    r"""One problem in `k` worlds at once, which are equal blocks of the batch.

    Block $i$ of the rows is the batch of world $i$. Loss and score are means over worlds,
    while living and in tests, where each world tests its block of the network: a
    [`Replicas`][plasticgym.rules.Replicas] network answers with a replica of its own in
    each, any plain rule with the one network there is, taught by all worlds together.

    With a skew the worlds differ in what they stream from: a shard of the train part. A
    stressor spoils the shards of `bad` worlds, drawn anew in each life; tests are clean.

    The last `measured` rows of every presentation are always the same, of the train part,
    with all classes alike, and in no shard. Their target is told, their error and reward
    are zero, and they are not scored: mixings may measure on them. A rule that is no
    `Replicas` would count them among its rows; it lives with `measured=0`. `Replicas` that
    measure another number of rows, or whose number does not divide `k`, are refused when
    they are tested, which [`live`][plasticgym.envs.live] traces before they live.

    **Arguments:**

    - `problem`: each world is one of this.
    - `k`: how many worlds there are.
    - `measured`: how many rows are measured.
    - `skew`: how examples are dealt out; without it, worlds stream from the whole train
      part, or from equal shares of it where rows are measured or shards spoiled.
    - `stressor`: what is wrong with bad shards: `label_shift`, `pixel_shuffle`, or a
      function like them.
    - `bad`: how many shards are.

    **Raises:**

    - `ValueError`: if a size is not positive, there are more bad shards than shards, the
      stressor is no function, a class has too few examples, or a problem without classes
      has a skew, or one without a target of classes a stressor or measured rows.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> problem = pg.envs.Sharded(pg.envs.digits(batch=20), 10, measured=50)
        >>> problem.batch
        250

        ```
    """

    problem: AbstractProblem
    bad: Int[Array, ""]
    skew: AbstractSkew | None
    k: int = eqx.field(static=True)
    measured: int = eqx.field(static=True)
    stressor: Stressor | None = eqx.field(static=True)

    def __init__(
        self,
        problem: AbstractProblem,
        k: int,
        measured: int = 0,
        *,
        skew: AbstractSkew | None = None,
        stressor: Stressor | None = None,
        bad: int = 0,
    ):
        check_sizes(k=k)
        if measured != 0:
            check_sizes(measured=measured)
        if isinstance(bad, bool) or not isinstance(bad, int) or not 0 <= bad <= k:
            raise ValueError(f"`bad` must be a whole number from 0 to {k} shards, got {bad!r}.")
        if stressor is not None and not callable(stressor):
            raise ValueError(
                f"`stressor` must be a function, such as `envs.label_shift`, got {stressor!r}."
            )
        if bad and stressor is None:
            raise ValueError(f"`stressor` must say what is wrong with {bad} shards, got None.")
        if skew is None and (measured or stressor is not None):
            skew = Even()
        if skew is not None:
            clean = stressor is None and not measured
            if not isinstance(problem, _Dealt if clean else Classification):
                wanted = (
                    "a `Classification` or a `CrossModalAnswer` to be skewed"
                    if clean
                    else "a `Classification` to be stressed or measured"
                )
                raise ValueError(f"`problem` must be {wanted}, got {type(problem).__name__}.")
            skew.check(_left(problem.train, measured), k)
        self.problem, self.k, self.measured, self.skew = problem, k, measured, skew
        self.stressor, self.bad = stressor, jnp.asarray(bad)

    @property
    def body(self) -> Body:  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of one world."""
        return self.problem.body

    @property
    def batch(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The rows of all worlds and those that are measured."""
        return self.k * self.problem.batch + self.measured

    @property
    def presentations(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Those of one world."""
        return self.problem.presentations

    @property
    def chance(self) -> Outcome:  # pyright: ignore[reportIncompatibleVariableOverride]
        """That of one world."""
        return self.problem.chance

    def reset(self, *, key: Key[Array, ""]) -> Shards:
        key_worlds, key_bad, key_deal, key_stress = jax.random.split(key, 4)
        drawn = jax.random.uniform(key_bad, (self.k,))
        stressed = (drawn[:, None] > drawn[None]).sum(1) < self.bad
        examples, measured = None, None
        if self.skew is not None:
            examples, measured = self._dealt(self.skew, key=key_deal)
            examples = self._spoiled(examples, stressed, key=key_stress)
        reset = lambda shard, key: self._world_of(shard).reset(key=key)  # noqa: E731
        worlds = jax.vmap(reset)(examples, jax.random.split(key_worlds, self.k))
        return Shards(worlds, examples, stressed, measured)

    def observe(self, world: Shards) -> Clamped:
        observe = lambda shard, one: self._world_of(shard).observe(one)  # noqa: E731
        seen = _joined(jax.vmap(observe)(world.examples, world.worlds))
        if world.measured is None:
            return seen
        first = jax.tree.map(lambda x: x[0], world.worlds)
        shown = Clamped.full(self._classes.shown(first, world.measured.inputs))
        return _appended(seen, shown)

    def respond(self, world: Shards, outputs: Float[Array, "batch outputs"]):
        respond = lambda shard, one, y: self._world_of(shard).respond(one, y)  # noqa: E731
        blocks = outputs[: self.k * self.problem.batch].reshape(self.k, self.problem.batch, -1)
        worlds, feedback, outcomes = jax.vmap(respond)(world.examples, world.worlds, blocks)
        feedback = _joined(feedback)
        if world.measured is not None:
            classes = world.measured.classes.astype(int)
            target = jax.nn.one_hot(classes, outputs.shape[1], dtype=outputs.dtype)
            silent = jnp.zeros_like(target)
            feedback = _appended(feedback, teaching(target, silent, silent[:, 0]))
        later = Shards(worlds, world.examples, world.stressed, world.measured)
        return later, feedback, _mean(outcomes)

    def test(self, world: Shards, network: Frozen, *, part: Part, key: Key[Array, ""]):
        self._check_blocks(network.rule)

        def one(own: PyTree, block: Int[Array, ""]) -> Outcome:
            asked = _Block(network.rule, network.state, network, block, self.k, self.measured)
            return self.problem.test(own, asked, part=part, key=key)

        return _mean(jax.vmap(one)(world.worlds, jnp.arange(self.k)))

    def _check_blocks(self, rule: AbstractRule) -> None:
        """Raises a `ValueError` if replicas would get rows of parts of shards."""
        if not isinstance(rule, Replicas):
            return
        if self.k % rule.replicas:
            raise ValueError(
                f"`replicas` must be {self.k}, one for each shard, or divide it, got "
                f"{rule.replicas}."
            )
        if rule.measured != self.measured:
            raise ValueError(
                f"`measured` must be {self.measured}, the rows that the shards leave to be "
                f"measured, got {rule.measured}."
            )

    @property
    def _classes(self) -> Classification:
        assert isinstance(self.problem, Classification)
        return self.problem

    @property
    def _cut(self) -> Classification | CrossModalAnswer:
        """The problem whose train part is dealt out."""
        assert isinstance(self.problem, _Dealt)
        return self.problem

    def _world_of(self, shard: Examples | None) -> AbstractProblem:
        """The problem that a shard is."""
        if shard is None:
            return self.problem
        return eqx.tree_at(lambda p: p.train, self.problem, shard)

    def _dealt(
        self, skew: AbstractSkew, *, key: Key[Array, ""]
    ) -> tuple[Examples, Examples | None]:
        """The examples of all shards, and those that are measured."""
        key_order, key_deal = jax.random.split(key)
        train, total, m = self._cut.train, self._cut.classes, self.measured
        order = _with_classes_alike(train.classes.astype(int), total, key=key_order)
        classes = train.classes[order[m:]].astype(int)
        places = skew.deal(classes, self.k, total, key=key_deal)
        return _taken(train, order[m:][places]), _taken(train, order[:m]) if m else None

    def _spoiled(
        self, shards: Examples, stressed: Bool[Array, " k"], *, key: Key[Array, ""]
    ) -> Examples:
        """The shards, with the stressor at work on some."""
        stressor = self.stressor
        if stressor is None:
            return shards

        def one(shard: Examples, bad: Bool[Array, ""], key: Key[Array, ""]) -> Examples:
            spoiled = stressor(shard, self._classes, key)
            return jax.tree.map(
                lambda a, b: jnp.where(bad, a, b.astype(a.dtype)), spoiled, shard
            )

        return jax.vmap(one)(shards, stressed, jax.random.split(key, self.k))


class _Block(Frozen):
    """A network that answers as it does in one block of its rows, all being asked the same."""

    network: Frozen
    block: Int[Array, ""]
    k: int = eqx.field(static=True)
    measured: int = eqx.field(static=True)

    def __call__(self, values: Float[Array, "rows n"], *, key: Key[Array, ""]):
        rows = values.shape[0]
        unasked = jnp.zeros((self.measured, *values.shape[1:]), values.dtype)
        outputs = self.network(jnp.concatenate([*[values] * self.k, unasked]), key=key)
        # Under `vmap` over blocks, all are asked at once if they are asked the same.
        return outputs[: self.k * rows].reshape(self.k, rows, -1)[self.block]


def _with_classes_alike(
    classes: Int[Array, " rows"], total: int, *, key: Key[Array, ""]
) -> Int[Array, " rows"]:
    """Rows in random order, the first of each class before the second of any."""
    order = jnp.argsort(jax.random.uniform(key, classes.shape))
    counted = jax.nn.one_hot(classes[order], total, dtype=int)
    rank, counts = (counted.cumsum(0) * counted).sum(1) - 1, counted.sum(0)
    # Before a row come all of smaller rank, and those of its rank in smaller classes.
    smaller = jnp.minimum(counts[None], rank[:, None]).sum(1)
    alike = (counts[None] > rank[:, None]) & (jnp.arange(total)[None] < classes[order][:, None])
    return jnp.zeros_like(order).at[smaller + alike.sum(1)].set(order)


def _left(train: Examples, measured: int) -> list[int]:
    """How many examples of each class are at least not measured."""
    counts = np.bincount(np.asarray(train.classes))
    taken = -(-measured // len(counts))
    if taken >= counts.min():
        raise ValueError(
            f"`measured` must be less than {counts.min() * len(counts)}, so that no class "
            f"is used up, got {measured}."
        )
    return (counts - taken).tolist()


def _taken(examples: Examples, rows: Int[Array, "..."]) -> Examples:
    return jax.tree.map(lambda x: x[rows], examples)


def _joined(blocks: Any) -> Any:
    """Leaves of shape `(k, batch, ...)` as one batch."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), blocks)


def _appended(tree: Any, more: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), tree, more)


def _mean(outcomes: Outcome) -> Outcome:
    """Over worlds, by weight; where none counts, all do, with weight 0."""
    weights = outcomes.weight
    counted = jnp.where(weights.sum() > 0, weights, 1.0)
    share = counted / counted.sum()
    return Outcome(outcomes.loss @ share, outcomes.score @ share, weights.mean())
