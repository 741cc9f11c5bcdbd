import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import final

from ..agents import read_run
from ..agents._trained_on import Problems, joined, read_problems, trained_on_before
from ..rules import RULES, AbstractRule, read_genome, written_rule
from ..rules._genome_file import described, shipped_genome
from ..rules._written_rule import is_code, is_of_file
from ._reference import tuned
from ._suite import Suite

_STARRED = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*)\*")
_STAR_NOTE = "rate chosen for each setting on its validation part"


@final
@dataclasses.dataclass(frozen=True)
class Entry:
    """Who takes part in an evaluation.

    **Arguments:**

    - `label`: the name under which it is shown.
    - `rule`: a rule, or one for each setting of a suite.
    - `trained_on`: id and options of each problem on which the genome was trained or
      tuned, by the name it goes by there.
    - `note`: how it was fitted to the very settings in which it is scored, if it was;
      tables show it and mark the scores, as no setting is then new to it.

    !!! example

        ```python
        >>> from plasticgym import benchmarks, rules
        >>> list(benchmarks.Entry("mine", rules.SGD(rate=0.1)).trained_on)
        []

        ```
    """

    label: str
    rule: AbstractRule | Mapping[str, AbstractRule]
    trained_on: Problems = dataclasses.field(default_factory=dict)
    note: str = ""

    def in_setting(self, setting: str) -> AbstractRule:
        """The rule with which it enters a setting."""
        return self.rule if isinstance(self.rule, AbstractRule) else self.rule[setting]


def entry(text: str, suite: Suite | None = None) -> Entry:
    """What a name on the command line stands for.

    Args:
        text: a registered name (`"sgd"`: with the genome that comes with the package, if
            there is one), a name with options (`"sgd(rate=0.1)"`: exactly so), a name with
            a star (`"sgd*"`: with the rate that is best in each setting, see
            [`tuned`][plasticgym.benchmarks.tuned]), a formula (`"expr: rate * pre * error;
            rate=0.1"`) or a file of Python (`"rule.py:MyRule"`, which is run), see
            [`written_rule`][plasticgym.rules.written_rule]; the folder of a run, or a
            genome file. A name stands for the rule even where there is a folder called
            so; write `./sgd` for the folder.
        suite: where it is to be scored; needed for a star.

    Raises:
        ValueError: if it is none of these; for a name, with the near ones.

    !!! example

        ```python
        >>> from plasticgym import benchmarks
        >>> float(benchmarks.entry("sgd(rate=0.5)").rule.rate)
        0.5
        >>> benchmarks.entry("sgd").label
        'sgd (shipped)'

        ```
    """
    path, starred = Path(text), _STARRED.fullmatch(text)
    if starred is not None:
        if suite is None:
            raise ValueError(f"`{text}` depends on the suite; give `suite=`, too.")
        return Entry(text, tuned(suite, starred[1]), note=_STAR_NOTE)
    if not is_code(text) and text.split("(")[0].strip() not in RULES:
        if path.is_dir():
            return _of_run(text, path)
        if path.suffix == ".safetensors" or path.is_file():
            return _of_genome(text, path)
        if "/" in text.split("(")[0]:
            raise ValueError(f"there is no folder or file {text}.")
    name, options, literal = written_rule(text)
    genome = None if literal else shipped_genome(name)
    if genome is None:
        return Entry(text, RULES.make(name, **options), trained_on_before(name, options))
    return _of_genome(f"{text} (shipped)", genome, expected=name)


def _of_run(text: str, folder: Path) -> Entry:
    run = read_run(folder)
    found = _of_genome(text.rstrip("/"), folder / "genome.safetensors", expected=run.rule)
    return dataclasses.replace(found, trained_on=joined(found.trained_on, run.problems))


def _of_genome(label: str, path: Path, expected: str | None = None) -> Entry:
    found = read_genome(path)
    name, told = found.rule, found.provenance
    if is_of_file(name) and name not in RULES:
        # It may be of others: no file is run that was not named by who is running this.
        raise ValueError(
            f"{path} is a genome of {name}, a file of Python; name that file before it, as "
            f"in: plasticgym evaluate {name} {label}"
        )
    rule = described(found, str(path), expected)
    try:
        # What the genome it started from was trained on may stand under `trained_on` alone.
        sources = [read_problems(told.get(field, {})) for field in ("problems", "trained_on")]
    except ValueError as error:
        raise ValueError(f"{path} does not say what it was trained on: {error}") from error
    return Entry(label, rule, joined(*sources))
