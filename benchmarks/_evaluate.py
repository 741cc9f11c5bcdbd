from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from ..envs import AbstractProblem, lives
from ..rules import AbstractRule
from ..rules._registry import near
from ._entry import Entry
from ._reference import Reference
from ._reference import reference as frozen
from ._report import Report
from ._result import Result
from ._retention import retention
from ._suite import SPLITS, Suite, check_seeds

_PARTS = ("test", "validation")
_TESTS = 10

# Told before each run how many are done, of how many, and which comes next; and, with an
# empty label, when all are done.
Progress = Callable[[int, int, str], None]


def evaluate(
    rules: Mapping[str, AbstractRule | Mapping[str, AbstractRule] | Entry],
    suite: Suite,
    *,
    seeds: tuple[int, ...] | None = None,
    part: Literal["test", "validation"] = "test",
    splits: tuple[str, ...] = SPLITS,
    reference: Reference | None = None,
    on_progress: Progress | None = None,
) -> Report:
    """Scores rules on the problems of a suite.

    In each setting each rule lives one life per seed, from `jax.random.key(seed)`, so
    that all rules meet the same worlds. Networks are tested after ten presentations,
    log-spaced from the first to the last, and after each task if there are several. In the
    package this is the one place that opens the test part, beside it only the scripts of
    `benchmarks/` that measure what was chosen; use `part="validation"` while choosing.

    Rules of equal structure and problems of equal shape share a compilation.

    Args:
        rules: by the names under which they are shown: a rule; a rule for each setting,
            such as [`tuned`][plasticgym.benchmarks.tuned] returns; or an
            [`entry`][plasticgym.benchmarks.entry], which knows what it was trained on,
            so that this counts as seen.
        suite: from [`benchmarks.suite`][plasticgym.benchmarks.suite].
        seeds: instead of those of the suite.
        part: `"test"` or `"validation"`.
        splits: which of `"seen"`, `"validation"` and `"unseen"` to run.
        reference: what counts as a normalised score of 1; the frozen one of the suite by
            default, see [`reference`][plasticgym.benchmarks.reference].
        on_progress: called as `on_progress(done, total, label)` before each rule enters a
            setting, and at the end.

    Returns:
        The scores, for [`tables`][plasticgym.benchmarks.tables],
        [`plot`][plasticgym.benchmarks.plot] and files.

    Raises:
        ValueError: if there are no rules or one is not a rule or lacks a setting, the
            seeds are not a tuple of different whole numbers, the part or a split is
            unknown, or the reference lacks a setting or does not exceed chance.

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
    _check(seeds, part, splits, suite)
    settings = [name for s, held in suite.splits.items() if s in splits for name in held]
    entries = _entries(rules, settings)
    reference = frozen(suite) if reference is None else reference
    problems = {setting: suite.problem(setting) for setting in settings}
    _check_reference(reference, problems)
    results = _results(entries, problems, seeds, part, reference, on_progress)
    return Report(suite, part, seeds, reference, entries, results, splits)


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


def _results(
    entries: Mapping[str, Entry],
    problems: Mapping[str, AbstractProblem],
    seeds: tuple[int, ...],
    part: Literal["test", "validation"],
    reference: Reference,
    on_progress: Progress | None,
) -> dict[str, dict[str, Result]]:
    results: dict[str, dict[str, Result]] = {name: {} for name in entries}
    done, total = 0, len(entries) * len(problems)
    for setting, problem in problems.items():
        for name, entry in entries.items():
            if on_progress is not None:
                on_progress(done, total, f"{name} on {setting}")
            rule, upper = entry.in_setting(setting), float(reference.scores[setting])
            results[name][setting] = _run(rule, problem, seeds, part, upper=upper)
            done += 1
    if on_progress is not None:
        on_progress(done, total, "")
    return results


def _run(
    rule: AbstractRule,
    problem: AbstractProblem,
    seeds: tuple[int, ...],
    part: Literal["test", "validation"],
    *,
    upper: float,
) -> Result:
    times = tuple(sorted({*log_spaced(problem.presentations), *problem.ends}))
    keys = jnp.stack([jax.random.key(seed) for seed in seeds])
    record = lives(rule, problem, keys=keys, part=part, tests=times)
    kept = None
    if problem.ends:
        after = [times.index(end) for end in problem.ends]
        weights = np.asarray(record.tests.weight[0, -1], float)
        kept = retention(np.asarray(record.tests.score[:, after], float), weights)
    return Result(
        times=times,
        held_out=np.asarray(record.overall.score, float),
        stream=np.asarray(record.scores, float),
        weights=np.asarray(record.weights, float),
        diverged=np.asarray(record.diverged),
        chance=float(problem.chance.score),
        upper=upper,
        retention=kept,
    )


def _entries(rules: Mapping[str, Any], settings: list[str]) -> dict[str, Entry]:
    """What was given as entries, after a check of each."""
    if not isinstance(rules, Mapping) or not rules:
        raise ValueError(f"`rules` must be at least one rule by its name, got {rules!r}.")
    entries = {}
    for name, given in rules.items():
        entry = given if isinstance(given, Entry) else Entry(name, given)
        one = isinstance(entry.rule, AbstractRule)
        each = dict.fromkeys(settings, entry.rule) if one else entry.rule
        if not isinstance(each, Mapping) or not all(
            isinstance(rule, AbstractRule) for rule in each.values()
        ):
            raise ValueError(
                f"`rules[{name!r}]` must be a rule, or a rule for each setting, got {given!r}."
            )
        lacking = [setting for setting in settings if setting not in each]
        if lacking:
            raise ValueError(
                f"`rules[{name!r}]` must have a rule for each setting, lacks {lacking}."
            )
        entries[name] = entry
    return entries


def _check(seeds: tuple[int, ...], part: str, splits: tuple[str, ...], suite: Suite) -> None:
    if part not in _PARTS:
        raise ValueError(f"unknown `part` {part!r}; {near(part, list(_PARTS))}")
    if not isinstance(splits, tuple) or not splits:
        raise ValueError(f"`splits` must be a tuple of {', '.join(SPLITS)}, got {splits!r}.")
    for split in splits:
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}; {near(split, list(SPLITS))}")
    if not set(splits) & set(suite.splits):
        raise ValueError(
            f"`splits` must name one that {suite.id} has ({', '.join(suite.splits)}), got "
            f"{splits!r}."
        )
    check_seeds(seeds)


def _check_reference(reference: Reference, problems: Mapping[str, AbstractProblem]) -> None:
    missing = [name for name in problems if name not in reference.scores]
    if missing:
        raise ValueError(
            f"`reference` must have a score for each setting, lacks {missing} "
            f"({reference.name}). Give another one, such as `benchmarks.perfect(suite)`, or "
            "run benchmarks/references/tune_suite.py."
        )
    for name, problem in problems.items():
        score, chance = float(reference.scores[name]), float(problem.chance.score)
        if not score > chance:
            raise ValueError(
                f"`reference` must score above chance in each setting, got {score:.4g} in "
                f"{name!r}, where chance is {chance:.4g}."
            )
