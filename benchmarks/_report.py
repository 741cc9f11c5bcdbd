import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, final

import numpy as np

from ..rules import AbstractRule, named_leaves
from ..rules._as_json import as_json
from ..rules._atomic import write_atomically
from ..rules._registry import near
from ._entry import Entry
from ._machine import Machine, machine
from ._reference import Reference
from ._result import BOUNDS, Result
from ._statistics import LEVEL, RESAMPLES, bootstrap, half_width, iqm
from ._suite import SPLITS, Setting, Suite
from ._training import met

FORMAT = "plasticgym-report-v2"
_SEED = 0  # of the bootstrap


class Summary(NamedTuple):
    """Normalised last held-out scores of a rule, over all settings of a split and seeds.

    They are clipped to [-0.5, 2]; a life that diverged has 0.

    - `iqm`, `low`, `high`: their interquartile mean and its 95% interval, by a bootstrap
      stratified by problem.
    - `mean`: their plain mean.
    - `worst`, `worst_median`: the setting with the lowest median, and that median.
    - `failures`: the share of lives that diverged.
    - `clipped`: the share of lives whose score was clipped.
    """

    iqm: float
    low: float
    high: float
    mean: float
    worst: str
    worst_median: float
    failures: float
    clipped: float


@final
@dataclasses.dataclass(frozen=True)
class Report:
    """What [`evaluate`][plasticgym.benchmarks.evaluate] found.

    **Arguments:**

    - `suite`, `part`, `seeds`: what was run, and on which held-out part it was tested.
    - `reference`: what counts as a normalised score of 1.
    - `entries`: the rules and what they were trained on, by name.
    - `results`: by name of the rule and name of the setting.
    - `splits`: those that were run.
    - `machine`: where and when.
    """

    suite: Suite
    part: Literal["test", "validation"]
    seeds: tuple[int, ...]
    reference: Reference
    entries: Mapping[str, Entry]
    results: Mapping[str, Mapping[str, Result]]
    splits: tuple[str, ...] = SPLITS
    machine: Machine = dataclasses.field(default_factory=machine)

    @property
    def settings(self) -> dict[str, Mapping[str, Setting]]:
        """The settings that were run, by split of the suite."""
        return {s: held for s, held in self.suite.splits.items() if s in self.splits}

    @property
    def _names(self) -> list[str]:
        return [name for held in self.settings.values() for name in held]

    def met(self, rule: str) -> list[str]:
        """The settings not listed as seen on which this rule was trained nevertheless."""
        trained_on, splits = self.entries[rule].trained_on, [*self.settings]
        return [name for s in splits if s != "seen" for name in met(self.suite, trained_on, s)]

    def settings_of(self, rule: str) -> dict[str, list[str]]:
        """Names of settings by split, as they count for a rule.

        What it was trained on is seen, whatever the suite says; empty splits are left out.
        """
        met = self.met(rule)
        counted = {s: [n for n in held if n not in met] for s, held in self.settings.items()}
        counted = {"seen": [*counted.pop("seen", []), *met], **counted}
        return {split: names for split, names in counted.items() if names}

    def summary(self, rule: str, split: str) -> Summary:
        """Sums a rule up over the settings that count as seen, validation or unseen for it.

        Raises:
            ValueError: if the rule or the split is not in the report, or this rule was
                trained on all of the split.
        """
        if rule not in self.results:
            raise ValueError(f"unknown `rule` {rule!r}; {near(rule, [*self.results])}")
        counted = self.settings_of(rule)
        if split not in counted:
            raise ValueError(f"unknown `split` {split!r}; {near(split, [*counted])}")
        results = {name: self.results[rule][name] for name in counted[split]}
        strata = [result.normalised for result in results.values()]
        pooled = np.concatenate(strata)
        medians = {name: float(np.median(r.normalised)) for name, r in results.items()}
        worst = min(medians, key=lambda name: medians[name])
        return Summary(
            float(iqm(pooled)),
            *bootstrap(iqm, strata, seed=_SEED),
            mean=float(pooled.mean()),
            worst=worst,
            worst_median=medians[worst],
            failures=float(np.mean([result.failures for result in results.values()])),
            clipped=float(np.mean([result.clipped for result in results.values()])),
        )

    def to_json(self) -> dict[str, Any]:
        """All of it as what JSON can hold; what is not a number is `None`.

        Scores are per seed, in the order of `seeds`, but for the stream, which is a mean
        over them. `format` changes when the meaning of a field does.
        """
        return {
            "format": FORMAT,
            **self.machine._asdict(),
            "suite": {
                "id": self.suite.id,
                **{split: _settings(getattr(self.suite, split)) for split in SPLITS},
            },
            "splits": [*self.settings],
            "part": self.part,
            "seeds": list(self.seeds),
            "reference": {
                "name": self.reference.name,
                "scores": {n: float(self.reference.scores[n]) for n in self._names},
            },
            "statistics": {
                "interval": LEVEL,
                "clipped_to": list(BOUNDS),
                "bootstrap": {"resamples": RESAMPLES, "seed": _SEED, "strata": "problem"},
            },
            "rules": {
                name: {**_entry(entry), "counted_as_seen": self.met(name)}
                for name, entry in self.entries.items()
            },
            "results": {
                rule: {setting: _result(result) for setting, result in results.items()}
                for rule, results in self.results.items()
            },
            "summary": {
                rule: {s: _summary(self.summary(rule, s)) for s in self.settings_of(rule)}
                for rule in self.results
            },
        }

    def save(self, path: str | os.PathLike) -> None:
        """Writes `to_json()` to a file, whole or not at all; one that exists is replaced."""
        text = json.dumps(self.to_json(), allow_nan=False) + "\n"
        write_atomically(pathlib.Path(path), text.encode())


def _settings(settings: Mapping[str, Setting]) -> dict[str, Any]:
    return {
        name: {"problem": s.problem, "options": as_json(s.options)}
        for name, s in settings.items()
    }


def _entry(entry: Entry) -> dict[str, Any]:
    told = {"trained_on": as_json(entry.trained_on), "note": entry.note}
    if isinstance(entry.rule, AbstractRule):
        return {**_rule(entry.rule), **told}
    return {"by_setting": {name: _rule(rule) for name, rule in entry.rule.items()}, **told}


def _rule(rule: AbstractRule) -> dict[str, Any]:
    return {
        "class": type(rule).__name__,
        "tier": str(rule.tier),
        "reads": sorted(str(signal) for signal in rule.reads),
        "genome": {name: _plain(np.asarray(v)) for name, v in named_leaves(rule).items()},
    }


def _summary(summary: Summary) -> dict[str, Any]:
    told = summary._asdict().items()
    return {field: value if isinstance(value, str) else _plain(value) for field, value in told}


def _result(result: Result) -> dict[str, Any]:
    kept = result.retention
    told = {} if kept is None else {"retention": _plain_each(kept._asdict())}
    return {
        **told,
        "chance": _plain(result.chance),
        "upper": _plain(result.upper),
        "times": list(result.times),
        "held_out": _plain(result.held_out),
        "stream": _plain(result.stream_curve),
        "diverged": result.diverged.tolist(),
        "last": {
            "mean": _plain(result.last.mean()),
            "half_width": _plain(half_width(result.last)),
        },
        "area": _plain(result.area),
        "stream_area": _plain(result.stream_area),
        "normalised": _plain(result.normalised),
        "failures": result.failures,
        "clipped": result.clipped,
    }


def _plain_each(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in values.items()}


def _plain(values: Any) -> Any:
    """Numbers as JSON can hold them: lists, seven significant digits, no NaN."""
    if isinstance(values, np.ndarray) and values.ndim:
        return [_plain(value) for value in values]
    value = float(values)
    return float(f"{value:.7g}") if math.isfinite(value) else None
