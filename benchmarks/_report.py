import dataclasses
import importlib.metadata
import json
import math
import os
import pathlib
import platform
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, final

import jax
import numpy as np

from ..rules import AbstractRule
from ..rules._atomic import write_atomically
from ..rules._registry import near
from ._reference import Reference
from ._result import Result
from ._statistics import LEVEL, RESAMPLES, bootstrap, half_width, iqm
from ._suite import Setting, Suite

FORMAT = "plasticgym-report-v1"
_SEED = 0  # of the bootstrap


class Summary(NamedTuple):
    """Normalised last held-out scores of a rule, over all settings of a split and seeds.

    - `iqm`, `low`, `high`: their interquartile mean and its 95% interval, by a bootstrap
      stratified by problem.
    - `mean`: their plain mean.
    - `worst`, `worst_median`: the setting with the lowest median, and that median.
    - `failures`: the share of lives that diverged.
    """

    iqm: float
    low: float
    high: float
    mean: float
    worst: str
    worst_median: float
    failures: float


@final
@dataclasses.dataclass(frozen=True)
class Report:
    """What [`evaluate`][plasticgym.benchmarks.evaluate] found.

    **Arguments:**

    - `suite`, `part`, `seeds`: what was run, and on which held-out part it was tested.
    - `reference`: what counts as a normalised score of 1.
    - `rules`: the rules by name.
    - `results`: by name of the rule and name of the setting.
    """

    suite: Suite
    part: Literal["test", "validation"]
    seeds: tuple[int, ...]
    reference: Reference
    rules: Mapping[str, AbstractRule]
    results: Mapping[str, Mapping[str, Result]]

    def summary(self, rule: str, split: str) -> Summary:
        """Sums a rule up over the `"seen"` or the `"unseen"` settings.

        Raises:
            ValueError: if the rule or the split is not in the report.
        """
        if rule not in self.results:
            raise ValueError(f"unknown `rule` {rule!r}; {near(rule, [*self.results])}")
        if split not in self.suite.splits:
            raise ValueError(f"unknown `split` {split!r}; {near(split, [*self.suite.splits])}")
        results = {name: self.results[rule][name] for name in self.suite.splits[split]}
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
        )

    def to_json(self) -> dict[str, Any]:
        """All of it as what JSON can hold; what is not a number is `None`.

        Scores are per seed, in the order of `seeds`, but for the stream, which is a mean
        over them. `format` changes when the meaning of a field does.
        """
        return {
            "format": FORMAT,
            "versions": {
                "python": platform.python_version(),
                **{p: importlib.metadata.version(p) for p in ("plasticgym", "jax", "numpy")},
            },
            "backend": jax.default_backend(),
            "suite": {
                "id": self.suite.id,
                "seen": _settings(self.suite.seen),
                "unseen": _settings(self.suite.unseen),
            },
            "part": self.part,
            "seeds": list(self.seeds),
            "reference": {
                "name": self.reference.name,
                "scores": {s: float(self.reference.scores[s]) for s in self.suite.settings},
            },
            "statistics": {
                "interval": LEVEL,
                "bootstrap": {"resamples": RESAMPLES, "seed": _SEED, "strata": "problem"},
            },
            "rules": {name: _rule(rule) for name, rule in self.rules.items()},
            "results": {
                rule: {setting: _result(result) for setting, result in results.items()}
                for rule, results in self.results.items()
            },
            "summary": {
                rule: {
                    split: {
                        field: value if isinstance(value, str) else _plain(value)
                        for field, value in self.summary(rule, split)._asdict().items()
                    }
                    for split in self.suite.splits
                }
                for rule in self.results
            },
        }

    def save(self, path: str | os.PathLike) -> None:
        """Writes `to_json()` to a file, whole or not at all; one that exists is replaced."""
        text = json.dumps(self.to_json(), allow_nan=False) + "\n"
        write_atomically(pathlib.Path(path), text.encode())


def _settings(settings: Mapping[str, Setting]) -> dict[str, Any]:
    # Through JSON, so that tuples are the lists they will be when read again.
    return {
        name: {"problem": s.problem, "options": json.loads(json.dumps(dict(s.options)))}
        for name, s in settings.items()
    }


def _rule(rule: AbstractRule) -> dict[str, Any]:
    reads = sorted(str(signal) for signal in rule.reads)
    return {"class": type(rule).__name__, "tier": str(rule.tier), "reads": reads}


def _result(result: Result) -> dict[str, Any]:
    return {
        "chance": _plain(result.chance),
        "upper": _plain(result.upper),
        "times": list(result.times),
        "held_out": _plain(result.held_out),
        "stream": _plain(result.stream.mean(0)),
        "diverged": result.diverged.tolist(),
        "last": {
            "mean": _plain(result.last.mean()),
            "half_width": _plain(half_width(result.last)),
        },
        "area": _plain(result.area),
        "stream_area": _plain(result.stream_area),
        "normalised": _plain(result.normalised),
        "failures": result.failures,
    }


def _plain(values: Any) -> Any:
    """Numbers as JSON can hold them: lists, seven significant digits, no NaN."""
    if isinstance(values, np.ndarray) and values.ndim:
        return [_plain(value) for value in values]
    value = float(values)
    return float(f"{value:.7g}") if math.isfinite(value) else None
