"""What the tuning scripts share: lives at many rates, and a search for the best one."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..envs import AbstractProblem, lives
from ..rules import AbstractRule

_Rule = TypeVar("_Rule", bound=AbstractRule)
# A score, or one for each problem, by rate.
Tried = dict[float, Any]

TUNED = ("sgd", "momentum", "adam")  # rules whose best rates are frozen references
RATES = tuple(float(rate) for rate in np.round(10.0 ** (np.arange(-10, 4) / 2), 12))
_LOWEST, _HIGHEST = 1e-8, 1e4


def search(
    scores_at: Callable[[Sequence[float]], Any], rates: Sequence[float] = RATES
) -> tuple[Tried, float]:
    """Scores of all rates that were tried, by rate, and the best rate.

    Rates are added, half a decade at a time, until the best is neither the lowest nor the
    highest. `scores_at(rates)` gives a score, or one per problem, for each; what counts is
    their mean. Of several best, the middle one is taken.
    """
    tried = {}
    rates = list(rates)
    while rates:
        tried |= dict(zip(rates, scores_at(rates), strict=True))
        chosen, known = best(tried), sorted(tried)
        rates = [known[-1] * 10**0.5] if chosen == known[-1] < _HIGHEST else []
        rates += [known[0] / 10**0.5] if chosen == known[0] > _LOWEST else []
    return tried, best(tried)


def best(tried: Tried) -> float:
    """The rate with the highest mean score; the middle one of several."""
    means = {rate: float(np.mean(scores)) for rate, scores in tried.items()}
    tied = sorted(rate for rate in means if means[rate] == max(means.values()))
    return tied[len(tied) // 2]


def around(rate: float) -> list[float]:
    """Six rates between this one and its neighbours, half a decade away."""
    return [rate * 10 ** (eighths / 8) for eighths in (-3, -2, -1, 1, 2, 3)]


def validation_scores(
    rule: AbstractRule,
    rates: Sequence[float],
    problem: AbstractProblem,
    *,
    seeds: Sequence[int],
) -> list[dict[str, float]]:
    """Mean last validation score and mean stream area at each rate; one compilation."""
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    records = [lives(with_rate(rule, rate), problem, keys=keys) for rate in rates]
    return [
        {"last": float(r.overall.score[:, -1].mean()), "stream_area": float(r.scores.mean())}
        for r in records
    ]


def last_scores(
    rule: AbstractRule,
    rates: Sequence[float],
    problem: AbstractProblem,
    *,
    seeds: Sequence[int],
) -> Float[np.ndarray, " rates"]:
    """Mean last validation score at each rate."""
    found = validation_scores(rule, rates, problem, seeds=seeds)
    return np.asarray([scores["last"] for scores in found])


def with_rate(rule: _Rule, rate: float) -> _Rule:
    """The rule with another rate."""
    return eqx.tree_at(lambda rule: rule.rate, rule, jnp.asarray(rate, float))
