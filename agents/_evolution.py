import functools
from collections.abc import Callable, Sequence
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from ..envs import AbstractProblem, Lifetime, Outcome, live
from ..rules import AbstractRule, genome, real, with_genome
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

_WORST = -1.0
_WIDEST = 1e3  # where all fitness is equal, a step size would grow until genes overflow


def _score(record: Lifetime, chance: Outcome) -> Float[Array, ""]:
    score = stream_and_held_out(record, record.scores, record.overall.score[-1])
    return (score - chance.score) / (1.0 - chance.score)


def _loss(record: Lifetime, chance: Outcome) -> Float[Array, ""]:
    loss = stream_and_held_out(record, record.losses, record.overall.loss[-1])
    return jnp.maximum(1.0 - loss / chance.loss, _WORST)


_OBJECTIVES: dict[str, Callable[[Lifetime, Outcome], Float[Array, ""]]] = {
    "score": _score,
    "loss": _loss,
}


@final
class Evolution(AbstractAgent):
    r"""Evolves the genome of any rule with a strategy of evosax.

    Every member of a generation lives in the same worlds from the same births, so that
    only genomes differ. The fitness of a life is

    $$\tfrac12 \big(\bar s_\text{stream} + s_\text{validation}\big), \quad
    s = \frac{\text{score} - \text{chance}}{1 - \text{chance}},$$

    of the weighted mean score of its own stream, before learning from it, and of its
    score on the validation part at its end: 0 for knowing nothing, as a life does from
    where it diverged, 1 for being right from the first presentation. A genome's fitness
    is the mean over problems and lives.

    **Arguments:**

    - `strategy`: the name of an evosax algorithm, as evosax spells it.
    - `population`: genomes per generation.
    - `lives`: lives per genome, problem and generation.
    - `objective`: `"score"` as above, or `"loss"`: $1 - L / L_\text{chance}$, $L$ half the
      mean loss of the stream and half that on the validation part.
    - `spread`: standard deviation of the first generation, in gene units, for strategies
      that have one.
    - `draws`, `growth`: as in [`MetaGradient`][plasticgym.agents.MetaGradient]; all
      members of a generation live in the same drawn problems.

    **Raises:**

    - `ValueError`: if the strategy or objective is unknown, or a size or `spread` is not
      positive.

    ??? cite "Reference"

        Hansen, Müller, Koumoutsakos, "Reducing the time complexity of the derandomized
        evolution strategy with covariance matrix adaptation", 2003; Lange, "evosax:
        JAX-based evolution strategies", 2022.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.agents.Evolution(population=16).strategy
        'CMA_ES'

        ```
    """

    strategy: str = eqx.field(static=True, default="CMA_ES")
    population: int = eqx.field(static=True, default=64)
    lives: int = eqx.field(static=True, default=2)
    objective: str = eqx.field(static=True, default="score")
    spread: Float[Array, ""] = eqx.field(default=1.0, converter=real)
    draws: int | None = eqx.field(static=True, default=None)
    growth: Float[Array, ""] = eqx.field(default=float("inf"), converter=real)

    def __check_init__(self):
        check_sizes(population=self.population, lives=self.lives)
        check_draws(self.draws, self.growth)
        if self.population < 4:
            raise ValueError(f"`population` must be at least 4, got {self.population}.")
        if not self.spread > 0:
            raise ValueError(f"`spread` must be positive, got {self.spread}.")
        if self.objective not in _OBJECTIVES:
            known = list(_OBJECTIVES)
            raise ValueError(
                f"unknown `objective` {self.objective!r}; {near(self.objective, known)}"
            )
        if self.strategy not in _strategies():
            raise ValueError(
                f"unknown `strategy` {self.strategy!r}; "
                f"{near(self.strategy, list(_strategies()))}"
            )
        try:
            _build(self.strategy, self.population, 2)
        except (AssertionError, TypeError) as error:
            raise ValueError(
                f"`strategy` {self.strategy!r} cannot be built with a population of "
                f"{self.population}: {error}"
            ) from error

    def init(
        self, rule: AbstractRule, problems: Sequence[AbstractProblem], *, key: Key[Array, ""]
    ) -> Search:
        check_problems(problems)
        strategy, params = self._strategy(rule)
        key, key_init, key_first, key_live = jax.random.split(key, 4)
        start = genome(rule)
        if hasattr(strategy, "get_mean"):
            with promoting():
                progress = strategy.init(key_init, start, params)
        else:
            noise = jax.random.normal(key_first, (self.population, start.size), start.dtype)
            first = start[None] + self.spread * noise.at[0].set(0.0)
            fitness, _ = self.fitness(
                rule, problems, first, generation=jnp.zeros((), int), key=key_live
            )
            with promoting():
                progress = strategy.init(key_init, first, -fitness, params)
        return Search(progress, key, jnp.zeros((), int))

    def update(
        self, rule: AbstractRule, problems: Sequence[AbstractProblem], search: Search
    ) -> tuple[Search, Generation]:
        strategy, params = self._strategy(rule)
        key = jax.random.fold_in(search.key, search.generation)
        key_ask, key_live, key_tell = jax.random.split(key, 3)
        with promoting():
            vectors, progress = strategy.ask(key_ask, search.progress, params)
        fitness, diverged = self.fitness(
            rule, problems, vectors, generation=search.generation, key=key_live
        )
        with promoting():
            progress, _ = strategy.tell(key_tell, vectors, -fitness, progress, params)
        report = Generation(fitness.max(), fitness.mean(), diverged.mean())
        return Search(progress, search.key, search.generation + 1), report

    def champion(self, rule: AbstractRule, search: Search) -> AbstractRule:
        """The mean of the strategy's distribution; without one, its best member."""
        strategy, _ = self._strategy(rule)
        if hasattr(strategy, "get_mean"):
            return with_genome(rule, strategy.get_mean(search.progress))
        return with_genome(rule, search.progress.best_solution)

    def fitness(
        self,
        rule: AbstractRule,
        problems: Sequence[AbstractProblem],
        vectors: Float[Array, "members genes"],
        *,
        generation: Int[Array, ""],
        key: Key[Array, ""],
    ) -> tuple[Float[Array, " members"], Float[Array, " members"]]:
        """The fitness of genomes and the share of their lives that diverged."""
        drawn = None
        if self.draws is not None:
            key, key_draw = jax.random.split(key)
            drawn = draw(problems, self.draws, self.growth, generation=generation, key=key_draw)
        keys = jax.random.split(key, (self.draws or len(problems), self.lives))

        def member(vector: Float[Array, " genes"]):
            born_with = with_genome(rule, vector)

            def life(problem: AbstractProblem, key: Key[Array, ""]):
                record = live(born_with, problem, key=key)
                fitness = _OBJECTIVES[self.objective](record, problem.chance)
                return fitness, record.diverged.astype(float)

            fitness, diverged = over_problems(life, problems, keys=keys, drawn=drawn)
            fitness = jnp.where(jnp.isfinite(fitness), fitness, _WORST)
            return fitness.mean(), diverged.mean()

        return jax.vmap(member)(vectors)

    def _strategy(self, rule: AbstractRule):
        strategy = _build(self.strategy, self.population, genome(rule).size)
        with promoting():
            params = strategy.default_params
        if hasattr(params, "std_init"):
            params = params.replace(std_init=self.spread)
        if hasattr(params, "std_max"):
            params = params.replace(std_max=_WIDEST)
        return strategy, params


@functools.cache
def _strategies() -> dict[str, type]:
    from evosax.algorithms import distribution_based_algorithms, population_based_algorithms

    return {**distribution_based_algorithms, **population_based_algorithms}


@functools.cache
def _build(strategy: str, population: int, genes: int):
    # Methods of evosax are compiled per instance, so instances are shared.
    with jax.ensure_compile_time_eval(), promoting():
        return _strategies()[strategy](population_size=population, solution=jnp.zeros(genes))
