import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, final

from ..rules import RULES, AbstractRule
from ..rules._registry import near
from ._suite import Setting, Suite

REFERENCE_FORMAT = "plasticgym-reference-v1"
_FOLDER = Path(__file__).parent / "references"
_YARDSTICK = "adam"
# What is stored of a rule under this name is its best rate by that score.
_RATES = {"last": "rate", "stream_area": "rate_stream"}


@final
@dataclasses.dataclass(frozen=True)
class Reference:
    """What counts as a normalised score of 1; the problem's chance counts as 0.

    **Arguments:**

    - `name`: what it is, as tables and files show it.
    - `scores`: the held-out score that counts as 1, for each setting of a suite.

    !!! example

        ```python
        >>> from plasticgym import benchmarks
        >>> benchmarks.Reference("tuned Adam, 2026-11", {"xor": 0.97}).scores["xor"]
        0.97

        ```
    """

    name: str
    scores: Mapping[str, float]


def perfect(suite: Suite) -> Reference:
    """The reference that needs no run: a score of 1.0, which nothing can exceed.

    !!! example

        ```python
        >>> from plasticgym import benchmarks
        >>> benchmarks.perfect(benchmarks.suite("smoke-v0")).name
        'a perfect score of 1.0'

        ```
    """
    return Reference("a perfect score of 1.0", dict.fromkeys(suite.settings, 1.0))


def reference(suite: Suite) -> Reference:
    """The frozen reference of a suite: tuned Adam, where it has been run, else `perfect`.

    Adam had its rate chosen for each problem on the validation part; what counts as 1 is
    its mean last score on the test part, as stored with the package. Settings that are
    not as they were then have no score.

    Raises:
        ValueError: if the stored file is damaged.

    !!! example

        ```python
        >>> from plasticgym import benchmarks
        >>> xor = {"xor": benchmarks.Setting("Xor-v0")}
        >>> mine = benchmarks.Suite("mine-v0", seen=xor, unseen={}, seeds=(0, 1))
        >>> benchmarks.reference(mine).name  # nobody has run Adam on it
        'a perfect score of 1.0'

        ```
    """
    path = reference_file(suite)
    if not path.is_file():
        return perfect(suite)
    told = read_reference(path)
    found = _found(told, suite, _YARDSTICK, path)
    with _undamaged(path):
        name = f"Adam tuned for each problem, {told['date']}"
        scores = {setting: float(r["last"]["mean"]) for setting, r in found.items()}
    return Reference(name, scores)


def tuned(
    suite: Suite, name: str, *, score: Literal["last", "stream_area"] = "last"
) -> dict[str, AbstractRule]:
    """A rule with the rate that is best for it in each setting of a suite.

    The rates were chosen on the validation parts when the frozen references of the suite
    were made, and come with the package.

    Args:
        suite: the suite.
        name: `"sgd"`, `"momentum"` or `"adam"`.
        score: what the rate is best for: `"last"`, the score after the whole life, or
            `"stream_area"`, the mean score while learning; where the stored file has no
            rate for that, it is the one for `"last"`.

    Returns:
        A rule for each setting that was run, as `evaluate` takes it in place of a rule.

    Raises:
        ValueError: if the suite or the rule has not been run, the score is unknown, or
            the stored file is damaged.

    !!! example

        ```python
        benchmarks.evaluate({"sgd*": benchmarks.tuned(suite, "sgd")}, suite)
        ```
    """
    if score not in _RATES:
        raise ValueError(f"unknown `score` {score!r}; {near(score, list(_RATES))}")
    path = reference_file(suite)
    if not path.is_file():
        raise ValueError(
            f"no rates have been tuned for {suite.id}; tune them by "
            f"`python benchmarks/references/tune_suite.py {suite.id}`."
        )
    found = _found(read_reference(path), suite, name, path)
    with _undamaged(path):
        rates = {s: float(r.get(_RATES[score], r["rate"])) for s, r in found.items()}
    return {setting: RULES.make(name, rate=rate) for setting, rate in rates.items()}


def reference_file(suite: Suite) -> Path:
    """Where what was tuned for a suite is stored."""
    return _FOLDER / f"{suite.id}.json"


def read_reference(path: Path) -> dict[str, Any]:
    """What such a file says.

    Raises:
        ValueError: if it is damaged or of another version.
    """
    with _undamaged(path):
        told = dict(json.loads(path.read_text()))
    if told.get("format") != REFERENCE_FORMAT:
        raise ValueError(
            f"{path} is no reference of this version: its format is {told.get('format')!r}, "
            f"not {REFERENCE_FORMAT!r}."
        )
    return told


def _found(told: dict[str, Any], suite: Suite, name: str, path: Path) -> dict[str, Any]:
    """What is known of a rule, for the settings that are as they were."""
    with _undamaged(path):
        of = {
            setting: dict(record["rules"])
            for setting, record in told["settings"].items()
            if setting in suite.settings and same(suite.settings[setting], record)
        }
    names = {known for records in of.values() for known in records}
    if of and name not in names:
        raise ValueError(f"no rates of {name!r} in {path}; {near(name, sorted(names))}")
    return {setting: rules[name] for setting, rules in of.items() if name in rules}


@contextlib.contextmanager
def _undamaged(path: Path) -> Iterator[None]:
    """What cannot be read here is the fault of the file."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error!r}.") from error


def same(setting: Setting, record: Mapping[str, Any]) -> bool:
    """Whether a stored record is of this very problem."""
    return (setting.problem, setting.complete) == (record["problem"], record["options"])
