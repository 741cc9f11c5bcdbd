import dataclasses
import json
import os
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..envs import PROBLEMS, AbstractProblem
from ..envs._base import check_sizes
from ..rules import RULES, AbstractRule, save_genome
from ..rules._atomic import write_atomically
from ._base import AbstractAgent, Search, check_problems
from ._train import History, Trained, begin, train

_FORMAT = "plasticgym run 1"
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
    problems: Mapping[str, tuple[str, Mapping[str, Any]]]
    agent: str
    generations: int
    seed: int
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    agent_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    command: str = ""

    def __post_init__(self):
        check_sizes(generations=self.generations)
        check_problems(self.problems)
        if type(self.seed) is not int or not 0 <= self.seed < 2**32:
            raise ValueError(
                f"`seed` must be a whole number from 0 to 2**32 - 1, got {self.seed!r}."
            )

    def build(self) -> tuple[AbstractAgent, AbstractRule, tuple[AbstractProblem, ...]]:
        """The agent, the rule and the problems."""
        from . import AGENTS  # the registry stands above the agents

        rule = RULES.make(self.rule, **_tuples(self.options))
        problems = tuple(PROBLEMS.make(i, **_tuples(o)) for i, o in self.problems.values())
        return AGENTS.make(self.agent, **_tuples(self.agent_options)), rule, problems


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
    parts = run.build()
    folder.mkdir(parents=True, exist_ok=True)
    told = {"format": _FORMAT, "plasticgym": version("plasticgym"), **dataclasses.asdict(run)}
    text = json.dumps(told, indent=2)
    draft = folder / f".{_RUN}.{os.getpid()}.part"
    draft.write_text(text)
    try:
        os.link(draft, folder / _RUN)  # of two that start at once, one gets it, whole
    except FileExistsError:
        raise ValueError(_TAKEN.format(folder)) from None
    finally:
        draft.unlink()
    return _go_on(run, folder, parts, None, every, on_generation)


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
    run = read_run(folder)
    parts = run.build()
    agent, rule, problems = parts
    before = None
    if (folder / _CHECKPOINT).is_file():
        before = _load(folder / _CHECKPOINT, run, agent, rule, problems)
    return _go_on(run, folder, parts, before, every, on_generation)


def read_run(folder: str | os.PathLike) -> Run:
    """What the run in a folder is to do.

    Raises:
        ValueError: if there is none, or it is damaged or of another version.
    """
    path = Path(folder) / _RUN
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
        problems = {name: (i, dict(o)) for name, (i, o) in told.pop("problems").items()}
        return Run(**told, problems=problems)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error}.") from error


def _go_on(run, folder, parts, before, every, on_generation) -> Trained:
    agent, rule, problems = parts
    saved = [-float("inf")]
    latest: list[Trained] = []

    def keep(trained: Trained, seconds: float) -> None:
        latest[:] = [trained]
        if time.monotonic() - saved[0] >= every:
            _save(folder, run, trained)
            saved[0] = time.monotonic()
        if on_generation is not None:
            on_generation(trained, seconds)

    try:
        trained = train(
            agent,
            rule,
            problems,
            generations=run.generations,
            seed=run.seed,
            start=before,
            on_generation=keep,
        )
    except KeyboardInterrupt:
        if latest:
            _save(folder, run, latest[0])
        raise
    _save(folder, run, trained)
    return trained


def _save(folder: Path, run: Run, trained: Trained) -> None:
    from safetensors.numpy import save

    search, history = trained.search, trained.history
    tensors = {f"search{name}": leaf for name, leaf in _leaves(search).items()}
    tensors |= {f"history.{name}": row for name, row in history._asdict().items()}
    header = {"format": _FORMAT, "run": _identity(run)}
    rows = [
        f"{i + 1},{b:.6g},{m:.6g},{d:.6g}"
        for i, (b, m, d) in enumerate(zip(*history, strict=True))
    ]
    table = "\n".join(["generation,best,mean,diverged", *rows, ""])
    save_genome(
        folder / _GENOME,
        trained.rule,
        name=run.rule,
        options=run.options,
        provenance={
            "command": run.command,
            "agent": run.agent,
            "agent_options": dict(run.agent_options),
            "problems": {name: list(spec) for name, spec in run.problems.items()},
            "seed": run.seed,
            "generations": int(search.generation),
            "fitness": float(history.mean[-1]) if len(history.mean) else None,
            "plasticgym": version("plasticgym"),
            "jax": jax.__version__,
        },
    )
    write_atomically(folder / _HISTORY, table.encode())
    # Last: a run killed before this line resumes from the checkpoint before.
    write_atomically(folder / _CHECKPOINT, save(tensors, metadata=header))


def _load(
    path: Path,
    run: Run,
    agent: AbstractAgent,
    rule: AbstractRule,
    problems: tuple[AbstractProblem, ...],
) -> tuple[Search, History]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            found = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"the checkpoint {path} is damaged: {error}. Begin a new run."
        ) from error
    if header.get("format") != _FORMAT or header.get("run") != _identity(run):
        raise ValueError(f"the checkpoint {path} belongs to another run or version.")
    like = eqx.filter_eval_shape(begin, agent, rule, problems, seed=run.seed)
    paths, structure = jax.tree.flatten_with_path(like)
    expected = {f"search{jax.tree_util.keystr(p)}": (leaf, _is_key(leaf)) for p, leaf in paths}
    missing = (expected.keys() | {f"history.{n}" for n in History._fields}) ^ found.keys()
    if missing:
        raise ValueError(f"the checkpoint {path} does not fit this version: {sorted(missing)}.")
    leaves = []
    for name, (leaf, is_key) in expected.items():
        value = found[name]
        shape = jax.eval_shape(jax.random.key_data, leaf).shape if is_key else leaf.shape
        if value.shape != shape:
            raise ValueError(
                f"`{name}` in the checkpoint {path} must have shape {shape}, got {value.shape}."
            )
        array = jnp.asarray(value)
        leaves.append(jax.random.wrap_key_data(array) if is_key else array)
    history = History(*(found[f"history.{name}"] for name in History._fields))
    return jax.tree.unflatten(structure, leaves), history


def _leaves(search: Search) -> dict[str, np.ndarray]:
    named = {}
    for path, leaf in jax.tree.flatten_with_path(search)[0]:
        data = jax.random.key_data(leaf) if _is_key(leaf) else leaf
        named[jax.tree_util.keystr(path)] = np.asarray(data)
    return named


def _tuples(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as they were before JSON made lists of tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}


def _is_key(leaf) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _identity(run: Run) -> str:
    """What a checkpoint must agree on with the run that goes on from it."""
    told = dataclasses.asdict(run)
    del told["generations"], told["command"]
    return json.dumps(told, sort_keys=True)
