import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..envs import AbstractProblem
from ..rules import AbstractRule
from ..rules._check_sizes import check_sizes
from ._base import AbstractAgent, Generation, Search, check_genome


class History(NamedTuple):
    """Reports of all generations so far; each entry has shape `(generations,)`."""

    best: np.ndarray
    mean: np.ndarray
    diverged: np.ndarray

    def grown(self, report: Generation) -> "History":
        """This history with one more generation."""
        row = (report.best, report.mean, report.diverged)
        return History(
            *(np.append(old, np.float32(new)) for old, new in zip(self, row, strict=True))
        )

    @classmethod
    def empty(cls) -> "History":
        """No generation yet."""
        return cls(*(np.zeros(0, np.float32) for _ in range(3)))


@final
@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """Where a training stands, and how it got there.

    **Arguments:**

    - `agent`, `initial`: who trains, and the rule at which it began.
    - `search`: how far it has come.
    - `history`: the reports of its generations.
    """

    agent: AbstractAgent
    initial: AbstractRule
    search: Search
    history: History

    @functools.cached_property
    def rule(self) -> AbstractRule:
        """The rule with the agent's champion genome, built when first asked for."""
        return _champion(self.agent, self.initial, self.search)


def train(
    agent: AbstractAgent,
    rule: AbstractRule,
    problems: Sequence[AbstractProblem],
    *,
    generations: int,
    seed: int,
    start: tuple[Search, History] | None = None,
    on_generation: Callable[[Trained, float], Any] | None = None,
) -> Trained:
    """Runs an agent for so many generations, each one compiled program.

    Args:
        agent: how the rule is improved.
        rule: where the search begins, and the structure of what it finds.
        problems: on which the rule lives; their test parts play no role.
        generations: the total, with those already done in `start`.
        seed: all that is random comes from it.
        start: a search to go on with, as an earlier call returned it.
        on_generation: called after each with where the training stands and the seconds
            that generation took; what it returns is ignored.

    Returns:
        Where the training stands at the end.

    Raises:
        ValueError: if `generations` is not a positive whole number, there is no problem
            or the rule has no genes.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> agent = pg.agents.Evolution(population=4, lives=1)
        >>> problem = pg.envs.plane("xor", hidden=(4,), presentations=5)
        >>> trained = pg.agents.train(agent, pg.rules.SGD(), [problem], generations=2, seed=0)
        >>> trained.history.mean.shape
        (2,)

        ```
    """
    check_sizes(generations=generations)
    check_genome(rule)
    problems = tuple(problems)
    if start is None:
        search = begin(agent, rule, problems, seed=seed)
        history = History.empty()
    else:
        search, history = start
    trained = Trained(agent, rule, search, history)
    for _ in range(int(search.generation), generations):
        clock = time.perf_counter()
        search, report = _update(agent, rule, problems, search)
        history = history.grown(jax.device_get(report))
        trained = Trained(agent, rule, search, history)
        if on_generation is not None:
            on_generation(trained, time.perf_counter() - clock)
    return trained


@eqx.filter_jit
def begin(
    agent: AbstractAgent,
    rule: AbstractRule,
    problems: Sequence[AbstractProblem],
    *,
    seed: int | jax.Array,
) -> Search:
    """The search before its first generation."""
    search = agent.init(rule, problems, key=jax.random.key(seed))
    # Without weak types, the first generation compiles like all the others.
    return jax.tree.map(_strong, search)


def _strong(x: jax.Array) -> jax.Array:
    is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return x if is_key else jax.lax.convert_element_type(x, x.dtype)


@eqx.filter_jit
def _update(agent, rule, problems, search):
    return agent.update(rule, problems, search)


@eqx.filter_jit
def _champion(agent, rule, search):
    return agent.champion(rule, search)
