import dataclasses
import functools
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, final

import jax

from ..envs import PROBLEMS, AbstractProblem
from ..rules import RULES, AbstractRule, save_genome
from ..rules._atomic import write_atomically
from ..rules._check_sizes import check_sizes
from ..rules._genome_file import origin
from ._base import AbstractAgent, check_genome, check_problems
from ._checkpoint import load_checkpoint, save_checkpoint
from ._train import Trained, train
from ._trained_on import Problems, joined, read_problems, trained_on_before, written_problems

_FORMAT = "plasticgym run 2"
_TAKEN = "`folder` {} exists already; choose another one, or resume the run in it."
_RUN, _CHECKPOINT, _GENOME, _HISTORY = (
    "run.json",
    "checkpoint.safetensors",
    "genome.safetensors",
    "history.csv",
)


@dataclasses.dataclass(frozen=True)
class Run:
    """What a meta-training is to do, in names and plain values.

    **Arguments:**

    - `rule`, `options`: build the rule at whose genome the search begins.
    - `problems`: id and options of each problem by the name it goes by.
    - `agent`, `agent_options`: build the agent.
    - `generations`: how many in all.
    - `seed`: of all that is random.
    - `command`: the command line that started it, if any.
    - `unseen`: settings that a benchmark lists as unseen, on which it was allowed to train
      all the same.

    **Raises:**

    - `ValueError`: if `generations` is not positive, there is no problem, or the seed is
      no whole number of 32 bits.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> run = pg.agents.Run("sgd", {"xor": ("Xor-v0", {})}, "cma-es", 10, seed=0)
        >>> [type(part).__name__ for part in run.build()[:2]]
        ['Evolution', 'SGD']

        ```
    """

    rule: str
    problems: Problems
    agent: str
    generations: int
    seed: int
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    agent_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    command: str = ""
    unseen: Sequence[str] = ()

    def __post_init__(self):
        check_sizes(generations=self.generations)
        check_problems(self.problems)
        if type(self.seed) is not int or not 0 <= self.seed < 2**32:
            raise ValueError(
                f"`seed` must be a whole number from 0 to 2**32 - 1, got {self.seed!r}."
            )
        if isinstance(self.unseen, str) or not all(isinstance(n, str) for n in self.unseen):
            raise ValueError(f"`unseen` must be names of settings, got {self.unseen!r}.")

    @property
    def trained_on(self) -> Problems:
        """The problems, and those on which the genome was trained at which it begins.

        Raises:
            ValueError: if the options name a genome that there is not.
        """
        return joined(self.problems, trained_on_before(self.rule, self.options))

    def build(self) -> tuple[AbstractAgent, AbstractRule, tuple[AbstractProblem, ...]]:
        """The agent, the rule and the problems.

        Raises:
            ValueError: if there is none of a name, it does not take its options, or the
                rule has no genes.
        """
        from . import AGENTS  # the registry stands above the agents

        problems = tuple(PROBLEMS.make(i, **options) for i, options in self.problems.values())
        rule = RULES.make(self.rule, **self.options)
        check_genome(rule)
        return AGENTS.make(self.agent, **self.agent_options), rule, problems


def start(
    run: Run,
    folder: str | os.PathLike,
    *,
    every: float = 10.0,
    on_generation: Callable[[Trained, float], Any] | None = None,
) -> Trained:
    """Begins a meta-training in a new folder.

    The folder holds `run.json` (what it does), `checkpoint.safetensors` (where it
    stands), `genome.safetensors` (its champion so far) and `history.csv`. Each is
    replaced all at once, so that at any moment the run can be read and resumed; an
    interrupted run loses what it did since its last checkpoint.

    Args:
        run: what to do.
        folder: must not exist, or be empty.
        every: seconds between checkpoints; there is one after the first generation and
            one at the end in any case.
        on_generation: see `train`.

    Raises:
        ValueError: if the folder holds anything, or `run` names what there is not.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(_TAKEN.format(folder))
    kept, parts = _Kept(run, folder, run.trained_on, every), run.build()
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_written(run, kept.trained_on), indent=2)
    draft = folder / f".{_RUN}.{os.getpid()}.part"
    draft.write_text(text)
    try:
        os.link(draft, folder / _RUN)  # of two that start at once, one gets it, whole
    except FileExistsError:
        raise ValueError(_TAKEN.format(folder)) from None
    finally:
        draft.unlink()
    return _go_on(kept, parts, None, on_generation)


def resume(
    folder: str | os.PathLike,
    *,
    every: float = 10.0,
    on_generation: Callable[[Trained, float], Any] | None = None,
) -> Trained:
    """Goes on with the run in a folder from its last checkpoint, bit for bit.

    Raises:
        ValueError: if the folder holds no run of this version, or its checkpoint is
            damaged or of another run.
    """
    folder = Path(folder)
    run, trained_on = _read(folder)
    kept, parts = _Kept(run, folder, trained_on, every), run.build()
    before = None
    if (folder / _CHECKPOINT).is_file():
        before = load_checkpoint(folder / _CHECKPOINT, _header(run), parts)
        kept.generation = int(before[0].generation)
    return _go_on(kept, parts, before, on_generation)


def read_run(folder: str | os.PathLike) -> Run:
    """What the run in a folder is to do.

    Raises:
        ValueError: if there is none, or it is damaged or of another version.
    """
    return _read(Path(folder))[0]


def _read(folder: Path) -> tuple[Run, Problems]:
    """What the run in a folder is to do, and `trained_on` as it was when it began."""
    path = folder / _RUN
    if not path.is_file():
        raise ValueError(f"{folder} holds no run: there is no {_RUN} in it.")
    try:
        told = dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error}.") from error
    if told.pop("format", None) != _FORMAT:
        raise ValueError(f"{path} is not a run of this version ({_FORMAT!r}).")
    told.pop("plasticgym", None)
    try:
        problems, trained_on = (read_problems(told.pop(n)) for n in ("problems", "trained_on"))
        return Run(**told, problems=problems), trained_on
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error}.") from error


def _written(run: Run, trained_on: Problems) -> dict[str, Any]:
    told = {"format": _FORMAT, "plasticgym": version("plasticgym"), **dataclasses.asdict(run)}
    return told | {"trained_on": written_problems(trained_on)}


@final
@dataclasses.dataclass
class _Kept:
    """What a folder holds of a run: `generation` is that of its checkpoint."""

    run: Run
    folder: Path
    trained_on: Problems
    every: float
    generation: int = -1
    seconds: float = -math.inf

    @functools.cached_property
    def options(self) -> Mapping[str, Any]:
        """Options that build the rule without the file of the genome at which it begins."""
        begun = origin(self.run.rule, self.run.options)
        return self.run.options if begun is None else begun.options

    def keep(self, trained: Trained) -> None:
        """Saves, if it is time to."""
        if time.monotonic() - self.seconds >= self.every:
            self.save(trained)

    def save(self, trained: Trained) -> None:
        """Saves, unless that is where the folder stands already."""
        generation = int(trained.search.generation)
        if generation == self.generation:
            return
        path, history = self.folder / _GENOME, trained.history
        save_genome(
            path,
            trained.rule,
            name=self.run.rule,
            options=self.options,
            provenance=_provenance(self.run, self.trained_on, trained),
        )
        rows = [
            f"{i + 1},{b:.6g},{m:.6g},{d:.6g}"
            for i, (b, m, d) in enumerate(zip(*history, strict=True))
        ]
        table = "\n".join(["generation,best,mean,diverged", *rows, ""])
        write_atomically(self.folder / _HISTORY, table.encode())
        # Last: a run killed before this line resumes from the checkpoint before.
        save_checkpoint(self.folder / _CHECKPOINT, _header(self.run), trained.search, history)
        self.generation, self.seconds = generation, time.monotonic()


def _go_on(kept: _Kept, parts, before, on_generation) -> Trained:
    agent, rule, problems = parts
    latest: list[Trained] = []

    def look(trained: Trained, seconds: float) -> None:
        latest[:] = [trained]
        kept.keep(trained)
        if on_generation is not None:
            on_generation(trained, seconds)

    try:
        trained = train(
            agent,
            rule,
            problems,
            generations=kept.run.generations,
            seed=kept.run.seed,
            start=before,
            on_generation=look,
        )
    except KeyboardInterrupt:
        if latest:
            kept.save(latest[0])
        raise
    kept.save(trained)
    return trained


def _provenance(run: Run, trained_on: Problems, trained: Trained) -> dict[str, Any]:
    mean = trained.history.mean
    return {
        "command": run.command,
        "rule_options": dict(run.options),
        "agent": run.agent,
        "agent_options": dict(run.agent_options),
        "problems": written_problems(run.problems),
        "trained_on": written_problems(trained_on),
        "unseen": list(run.unseen),
        "seed": run.seed,
        "generations": len(mean),
        "mean_fitness_of_last_generation": float(mean[-1]) if len(mean) else None,
        "plasticgym": version("plasticgym"),
        "jax": jax.__version__,
    }


def _header(run: Run) -> dict[str, str]:
    """What a checkpoint must agree on with the run that goes on from it."""
    told = dataclasses.asdict(run)
    del told["generations"], told["command"]
    return {"format": _FORMAT, "run": json.dumps(told, sort_keys=True)}
