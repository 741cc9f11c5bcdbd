from collections.abc import Callable, Sequence
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from ..envs import AbstractProblem, live
from ..rules import AbstractRule, gene_names, genome, real, with_genome
from ..rules._check_sizes import check_sizes
from ..rules._registry import near
from ._base import (
    AbstractAgent,
    Generation,
    Search,
    check_draws,
    check_problems,
    draw,
    over_problems,
    promoting,
    stream_and_held_out,
)


def _names(fields: Sequence[str]) -> tuple[str, ...]:
    return (fields,) if isinstance(fields, str) else tuple(fields)


@final
class MetaGradient(AbstractAgent):
    r"""Descends the gradient of lifetimes by the genome, through the whole life.

    The loss of a life, in multiples of the problem's chance loss, is

    $$\tfrac12 \big(\bar L_\text{stream} + L_\text{validation}\big),$$

    the weighted mean loss of its own stream before learning from it, and the loss on the
    validation part at its end. Gradients are taken per life; those of diverged lives and
    those that are not finite are dropped, and reported as diverged; the mean of the others
    moves the genome with Adam after clipping its norm. Memory grows with the length of
    the life.

    **Arguments:**

    - `rate`: the learning rate of Adam, in gene units.
    - `clip`: the largest norm of a meta-gradient.
    - `lives`: lives per problem and meta-step.
    - `draws`: problems per meta-step, drawn from all; `None`: all of them, every time.
    - `growth`: presentations per meta-step by which the longest life that may be drawn
      grows, from the shortest there is; `inf`: all may be, from the start.
    - `warmup`, `horizon`: the rate rises from 0 during the first meta-steps and has fallen
      to 0, along a cosine, after `horizon` of them; `None`: it stays.
    - `segment`: so many presentations at a time are computed again on the way back, to
      save memory; see [`live`][plasticgym.envs.live].
    - `fixed`: genes that stay as they are, by the names of their fields, such as
      `("synapse.keep",)`.

    **Raises:**

    - `ValueError`: if a size, `rate`, `clip` or `growth` is not positive, or a growth is
      given without `draws`, or `fixed` names what is no gene of the rule.

    ??? cite "Reference"

        Andrychowicz et al., "Learning to learn by gradient descent by gradient descent",
        NeurIPS 2016; optax (DeepMind, 2020).

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.agents.MetaGradient(lives=4).lives
        4

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=0.03, converter=real)
    clip: Float[Array, ""] = eqx.field(default=1.0, converter=real)
    lives: int = eqx.field(static=True, default=16)
    draws: int | None = eqx.field(static=True, default=None)
    growth: Float[Array, ""] = eqx.field(default=float("inf"), converter=real)
    warmup: int = eqx.field(static=True, default=0)
    horizon: int | None = eqx.field(static=True, default=None)
    segment: int | None = eqx.field(static=True, default=None)
    fixed: tuple[str, ...] = eqx.field(static=True, default=(), converter=_names)

    def __check_init__(self):
        check_sizes(lives=self.lives)
        check_draws(self.draws, self.growth)
        for name in ("horizon", "segment"):
            if getattr(self, name) is not None:
                check_sizes(**{name: getattr(self, name)})
        if self.warmup and (self.horizon is None or not 0 < self.warmup < self.horizon):
            raise ValueError(
                f"`warmup` must be less than `horizon`, got {self.warmup} and {self.horizon}."
            )
        for name in ("rate", "clip"):
            if not getattr(self, name) > 0:
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")

    def init(
        self, rule: AbstractRule, problems: Sequence[AbstractProblem], *, key: Key[Array, ""]
    ) -> Search:
        check_problems(problems)
        self._moving(rule)
        vector = genome(rule)
        progress = {"genome": vector, "optimizer": self._optimizer().init(vector)}
        return Search(progress, key, jnp.zeros((), int))

    def update(
        self, rule: AbstractRule, problems: Sequence[AbstractProblem], search: Search
    ) -> tuple[Search, Generation]:
        def record(mine: AbstractRule, problem: AbstractProblem, key: Key[Array, ""]):
            record = live(mine, problem, key=key, segment=self.segment)
            loss = stream_and_held_out(record, record.losses, record.tests.loss[-1])
            return loss, record.diverged

        return self.descended(rule, problems, search, record)

    def descended(
        self,
        rule: AbstractRule,
        problems: Sequence[AbstractProblem],
        search: Search,
        record: Callable[..., tuple[Float[Array, ""], Bool[Array, ""]]],
    ) -> tuple[Search, Generation]:
        """One meta-step down the gradient of any loss of a life.

        Args:
            rule: gives the structure.
            problems: on which it lives.
            search: how far it has come.
            record: a function of a rule, a problem and a key: the loss of a life, and
                whether it diverged.
        """
        import optax

        vector = search.progress["genome"]
        key = jax.random.fold_in(search.key, search.generation)
        key_draw, key_live = jax.random.split(key)
        drawn = None
        if self.draws is not None:
            drawn = draw(
                problems,
                self.draws,
                self.growth,
                generation=search.generation,
                key=key_draw,
            )
        keys = jax.random.split(key_live, (self.draws or len(problems), self.lives))

        def life(problem: AbstractProblem, key: Key[Array, ""]):
            def loss(vector: Float[Array, " genes"]):
                loss, diverged = record(with_genome(rule, vector), problem, key)
                return loss / problem.chance.loss, diverged

            return jax.value_and_grad(loss, has_aux=True)(vector)

        (losses, diverged), gradients = over_problems(life, problems, keys=keys, drawn=drawn)
        good = jnp.isfinite(gradients).all(-1) & ~diverged
        total = jnp.where(good[..., None], gradients, 0.0).sum((0, 1))
        gradient = total / jnp.maximum(good.sum(), 1).astype(total.dtype)
        gradient = jnp.where(self._moving(rule), gradient, 0.0)
        optimizer = self._optimizer()
        with promoting():
            change, state = optimizer.update(gradient, search.progress["optimizer"], vector)
        progress = {"genome": optax.apply_updates(vector, change), "optimizer": state}
        fitness = 1.0 - losses.mean()
        report = Generation(fitness, fitness, (~good).astype(float).mean())
        return Search(progress, search.key, search.generation + 1), report

    def champion(self, rule: AbstractRule, search: Search) -> AbstractRule:
        return with_genome(rule, search.progress["genome"])

    def _moving(self, rule: AbstractRule) -> Bool[np.ndarray, " genes"]:
        """Which genes are not fixed."""
        fields = [name.partition("[")[0] for name in gene_names(rule)]
        for name in self.fixed:
            if name not in fields:
                raise ValueError(f"`fixed` must name genes; {near(name, sorted(set(fields)))}")
        return ~np.isin(fields, self.fixed)

    def _optimizer(self):
        import optax

        rate = self.rate
        if self.horizon is not None:
            share = optax.warmup_cosine_decay_schedule(
                0.0 if self.warmup else 1.0, 1.0, self.warmup, self.horizon
            )
            rate = lambda count: self.rate * share(count)  # noqa: E731
        return optax.chain(optax.clip_by_global_norm(self.clip), optax.adam(rate))
