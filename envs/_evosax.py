# evosax hides what its methods take and give behind `jit` and flax.
# pyright: reportIncompatibleVariableOverride=false, reportArgumentType=false
# pyright: reportAttributeAccessIssue=false
"""Learning problems as problems of evosax, which minimises; needs `evosax.problems`."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from evosax.problems import MetaProblem, Problem
from evosax.problems.meta_problem import State
from jaxtyping import Array, Float, Int, Key

from ..rules import AbstractRule, genome, with_genome
from ._base import AbstractProblem
from ._functions import typed
from ._lifetime import Lifetime, live
from ._role import reward_of


@final
class Drawn(eqx.Module):
    """Which problem was drawn: the `params` of a `MetaProblem`.

    **Arguments:**

    - `problem`: its place among the problems.
    """

    problem: Int[Array, ""]


@final
class GenomeProblem(Problem):
    """Genomes of a rule, judged by how networks learn under them; `to_evosax` makes one.

    **Arguments:**

    - `rule`, `problem`: what lives, and where.
    - `lives`: of each genome in an evaluation, in worlds that all genomes share.
    """

    def __init__(self, rule: AbstractRule, problem: AbstractProblem, lives: int):
        self.rule, self.problem, self.lives = rule, problem, lives

    def init(self, key: Array) -> State:
        return State(counter=jnp.zeros((), int))

    def eval(self, key: Array, solutions: Float[Array, "population genes"], state: State):
        keys = jax.random.split(typed(key), self.lives)
        fitness, metrics = _evaluate(self.rule, (self.problem,), solutions, keys)
        return fitness, state.replace(counter=state.counter + 1), metrics

    def sample(self, key: Array) -> Float[Array, " genes"]:
        return _sample(self.rule, key)


@final
class MetaGenomeProblem(MetaProblem):
    """Genomes of a rule on a problem that is drawn first; `to_evosax_meta` makes one.

    **Arguments:**

    - `rule`, `problems`: what lives, and where.
    - `lives`: of each genome in an evaluation, in worlds that all genomes share.
    """

    def __init__(self, rule: AbstractRule, problems: tuple[AbstractProblem, ...], lives: int):
        self.rule, self.problems, self.lives = rule, problems, lives

    def sample_params(self, key: Array) -> Drawn:
        return Drawn(problem=jax.random.randint(key, (), 0, len(self.problems)))

    def init(self, key: Array, params: Drawn) -> State:
        return State(counter=jnp.zeros((), int))

    def eval(
        self,
        key: Array,
        solutions: Float[Array, "population genes"],
        state: State,
        params: Drawn,
    ):
        keys = jax.random.split(typed(key), self.lives)
        fitness, metrics = _evaluate(self.rule, self.problems, solutions, keys, params.problem)
        return fitness, state.replace(counter=state.counter + 1), metrics

    def sample(self, key: Array) -> Float[Array, " genes"]:
        return _sample(self.rule, key)


def _sample(rule: AbstractRule, key: Array) -> Float[Array, " genes"]:
    """A genome about one natural step away from that of the rule."""
    default = genome(rule)
    return default + jax.random.normal(key, default.shape, default.dtype)


@eqx.filter_jit
def _evaluate(
    rule: AbstractRule,
    problems: tuple[AbstractProblem, ...],
    solutions: Float[Array, "population genes"],
    keys: Key[Array, " lives"],
    which: Int[Array, ""] | None = None,
) -> tuple[Float[Array, " population"], dict[str, Array]]:
    """The mean over lives of minus the return of an environment; and of the verdicts."""
    on_each = [lambda *of, problem=p: _lived(rule, problem, *of) for p in problems]
    found = (
        on_each[0](solutions, keys)
        if which is None
        else jax.lax.switch(which, on_each, solutions, keys)
    )
    return jax.tree.map(lambda x: x.mean(1), found)


def _lived(
    rule: AbstractRule, problem: AbstractProblem, solutions: Array, keys: Array
) -> tuple[Float[Array, "population lives"], dict[str, Array]]:
    def life(vector: Array, key: Array) -> tuple[Array, dict[str, Array]]:
        record = live(with_genome(rule, vector), problem, key=key)
        last = _last_loss(record, problem)
        fitness = -reward_of(problem.chance.loss, last)
        diverged = record.diverged.astype(fitness.dtype)
        return fitness, {"score": record.overall.score[-1], "diverged": diverged}

    over_lives = jax.vmap(life, in_axes=(None, 0))
    return jax.vmap(over_lives, in_axes=(0, None))(solutions, keys)


def _last_loss(record: Lifetime, problem: AbstractProblem) -> Float[Array, ""]:
    """The loss of the latest presentation that is scored, if any; else that of chance."""
    scored = record.weights > 0
    latest = scored.size - 1 - jnp.argmax(scored[::-1])
    return jnp.where(scored.any(), record.losses[latest], problem.chance.loss)
