from collections.abc import Callable, Mapping
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from ..envs import AbstractProblem, lives
from ..rules import AbstractRule
from ..rules._registry import near
from ._reference import Reference, perfect
from ._report import Report
from ._result import Result
from ._suite import Suite, check_seeds

_PARTS = ("test", "validation")
_TESTS = 10

# Told before each run how many are done, of how many, and which comes next; and, with an
# empty label, when all are done.
Progress = Callable[[int, int, str], None]


def evaluate(
    rules: Mapping[str, AbstractRule],
    suite: Suite,
    *,
    seeds: tuple[int, ...] | None = None,
    part: Literal["test", "validation"] = "test",
    reference: Reference | None = None,
    on_progress: Progress | None = None,
) -> Report:
    """Scores rules on all problems of a suite.

    In each setting each rule lives one life per seed, from `jax.random.key(seed)`, so
    that all rules meet the same worlds. Networks are tested after ten presentations,
    log-spaced from the first to the last. This is the one place that opens the test
    part; use `part="validation"` while tuning or choosing.

    Rules of equal structure and problems of equal shape share a compilation.

    Args:
        rules: the rules by the names under which they are shown.
        suite: from [`benchmarks.suite`][plasticgym.benchmarks.suite].
        seeds: instead of those of the suite.
        part: `"test"` or `"validation"`.
        reference: what counts as a normalised score of 1; a perfect score by default.
        on_progress: called as `on_progress(done, total, label)` before each rule enters a
            setting, and at the end.

    Returns:
        The scores, for [`tables`][plasticgym.benchmarks.tables],
        [`plot`][plasticgym.benchmarks.plot] and files.

    Raises:
        ValueError: if there are no rules or one is not a rule, the seeds are not a tuple
            of different whole numbers, the part is unknown, or the reference lacks a
            setting or does not exceed chance.

    !!! example

        ```python
        >>> from plasticgym import benchmarks, rules
        >>> small = benchmarks.Setting("Xor-v0", {"hidden": (4,), "presentations": 3})
        >>> suite = benchmarks.Suite("mine-v0", seen={"xor": small}, unseen={}, seeds=(0, 1))
        >>> report = benchmarks.evaluate({"sgd": rules.SGD(rate=0.1)}, suite)
        >>> report.results["sgd"]["xor"].held_out.shape
        (2, 3)

        ```
    """
    if not isinstance(suite, Suite):
        raise ValueError(
            f'`suite` must be a suite, such as `benchmarks.suite("smoke-v0")`, got {suite!r}.'
        )
    seeds = suite.seeds if seeds is None else seeds
    reference = perfect(suite) if reference is None else reference
    _check(rules, seeds, part)
    problems = {setting: suite.problem(setting) for setting in suite.settings}
    _check_reference(reference, problems)
    total = len(rules) * len(problems)
    results: dict[str, dict[str, Result]] = {name: {} for name in rules}
    done = 0
    for setting, problem in problems.items():
        for name, rule in rules.items():
            if on_progress is not None:
                on_progress(done, total, f"{name} on {setting}")
            upper = float(reference.scores[setting])
            results[name][setting] = _run(rule, problem, seeds, part, upper=upper)
            done += 1
    if on_progress is not None:
        on_progress(done, total, "")
    return Report(suite, part, seeds, reference, dict(rules), results)


def log_spaced(last: int, count: int = _TESTS) -> tuple[int, ...]:
    """`count` whole numbers from 1 to `last`, as even on a logarithmic axis as they can be.

    Where rounding would repeat a number, the next one is taken and what is left to do is
    spaced afresh; if there are fewer numbers than `count`, all are taken.
    """
    times = [1]
    for left in range(min(count, last) - 1, 0, -1):
        ideal = times[-1] * (last / times[-1]) ** (1 / left)
        times.append(max(times[-1] + 1, round(ideal)))
    return tuple(times)


def _run(
    rule: AbstractRule,
    problem: AbstractProblem,
    seeds: tuple[int, ...],
    part: Literal["test", "validation"],
    *,
    upper: float,
) -> Result:
    times = log_spaced(problem.presentations)
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    record = lives(rule, problem, keys=keys, part=part, tests=times)
    return Result(
        times=times,
        held_out=np.asarray(record.tests.score, float),
        stream=np.asarray(record.scores, float),
        weights=np.asarray(record.weights, float),
        diverged=np.asarray(record.diverged),
        chance=float(problem.chance.score),
        upper=upper,
    )


def _check(rules: Mapping[str, AbstractRule], seeds: tuple[int, ...], part: str) -> None:
    if not isinstance(rules, Mapping) or not rules:
        raise ValueError(f"`rules` must be at least one rule by its name, got {rules!r}.")
    for name, rule in rules.items():
        if not isinstance(rule, AbstractRule):
            raise ValueError(f"`rules[{name!r}]` must be a rule, got {rule!r}.")
    if part not in _PARTS:
        raise ValueError(f"unknown `part` {part!r}; {near(part, list(_PARTS))}")
    check_seeds(seeds)


def _check_reference(reference: Reference, problems: Mapping[str, AbstractProblem]) -> None:
    missing = [name for name in problems if name not in reference.scores]
    if missing:
        raise ValueError(f"`reference` must have a score for each setting, lacks {missing}.")
    for name, problem in problems.items():
        score, chance = float(reference.scores[name]), float(problem.chance.score)
        if not score > chance:
            raise ValueError(
                f"`reference` must score above chance in each setting, got {score:.4g} in "
                f"{name!r}, where chance is {chance:.4g}."
            )
