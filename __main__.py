"""The command line: `plasticgym`, `python -m plasticgym`."""

import contextlib
import dataclasses
import functools
import importlib.util
import re
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from .rules._written_rule import is_of_file

_BAD_INPUT, _INTERRUPTED = 2, 130
_PICTURES = (".png", ".svg", ".pdf")
_NOTHING_ELSE = "`--resume` goes on with a run as it was; give nothing else."

app = typer.Typer(
    help="Learning problems whose agent is a local update rule.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_out = Console()
_err = Console(stderr=True)


def _option(text: str):
    return typer.Option(help=text)


_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]


def main() -> None:
    """Runs the command line. Exit codes: 0 done, 2 bad input, 130 interrupted."""
    try:
        app()
    except (ValueError, ModuleNotFoundError, OSError) as error:
        _err.print("[bold red]error:[/]", end=" ")
        _err.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(_BAD_INPUT)
    except KeyboardInterrupt:
        _err.print("interrupted")
        sys.exit(_INTERRUPTED)


@app.command()
def problems() -> None:
    """List the problems that a rule can live in."""
    from ._listings import problems

    problems(_out, _err)


@app.command()
def rules() -> None:
    """List the rules, how local they are, what they read, and their genes."""
    from ._listings import rules

    rules(_out, _err)


@app.command()
def train(
    rule: Annotated[
        str | None,
        typer.Argument(help="As blur, 'blur(states=4)', 'expr: FORMULA', rule.py:MyRule."),
    ] = None,
    on: Annotated[str | None, _option("Problems, as digits,'xor(batch=16)'.")] = None,
    suite: Annotated[str | None, _option("Train on what this suite lists as seen.")] = None,
    agent: Annotated[
        str | None, _option("cma-es (otherwise), metagradient, 'cma-es(lives=4)'.")
    ] = None,
    generations: Annotated[
        int | None, _option("Updates of the genome, in all; 100, or the recipe's.")
    ] = None,
    seed: Annotated[int | None, _option("Of all that is random; 0 otherwise.")] = None,
    out: Annotated[
        Path | None,
        _option("A new folder; otherwise runs/RULE-AGENT-SEED or runs/RECIPE-SEED."),
    ] = None,
    recipe: Annotated[
        str | None, _option("A training in full, such as blur-metagradient.")
    ] = None,
    resume: Annotated[Path | None, _option("Go on with the run in this folder.")] = None,
    allow_unseen: Annotated[
        bool, typer.Option("--allow-unseen", help="Even on what lite-v0 lists as unseen.")
    ] = False,
) -> None:
    """Find a genome for a rule, or go on with a run that was interrupted."""
    from . import agents, benchmarks, envs

    benchmarks.use_cache()
    named = (rule, on, suite, agent, generations, seed)
    if resume is not None:
        if allow_unseen or any(x is not None for x in (*named[1:], recipe, out)):
            raise ValueError(_NOTHING_ELSE)
        run, folder, go = _run_in(resume, rule), resume, agents.resume
    else:
        run = _new_run(*named) if recipe is None else _recipe_run(recipe, *named)
        run = dataclasses.replace(run, unseen=_unseen(run, allowed=allow_unseen))
        name = recipe or re.sub(r"[:/\\]+", "-", f"{run.rule}-{run.agent}").lstrip(".-")
        folder = out or Path("runs") / f"{name}-{run.seed}"
        go = functools.partial(agents.start, run)
    # A rule in a file of Python has to be named again wherever it is to be run.
    file = f"{shlex.quote(rule)} " if rule is not None and is_of_file(run.rule) else ""
    names = ", ".join(run.problems)
    _out.print(f"training [bold]{run.rule}[/] by {run.agent} on {names} in {folder}")
    try:
        with _progress("generation") as progress:
            task = progress.add_task("compiling", total=run.generations)

            def show(trained: agents.Trained, seconds: float) -> None:
                best, mean, diverged = (row[-1] for row in trained.history)
                progress.update(
                    task,
                    completed=int(trained.search.generation),
                    description=f"best {best:.3f}  mean {mean:.3f}  diverged {diverged:.1%}",
                )

            trained = go(folder, on_generation=show)
    except KeyboardInterrupt:
        _err.print("interrupted; go on with:", _quoted(f"train {file}--resume", folder))
        sys.exit(_INTERRUPTED)
    mean = trained.history.mean
    _out.print(f"mean fitness {mean[0]:.3f} at first, {mean[-1]:.3f} at the end")
    if any(isinstance(problem, envs.Control) for problem in run.build()[2]):
        _out.print("no suite has bodies that move: docs/control.md says how to score it")
        return
    _out.print("score it with:", _quoted(f"evaluate {file}".strip(), folder), highlight=False)


@app.command()
def evaluate(
    entries: Annotated[
        list[str],
        typer.Argument(
            help="Names, 'sgd(rate=0.1)', 'sgd*', 'expr: FORMULA; rate=0.1', rule.py:MyRule, "
            "folders of runs, genome files."
        ),
    ],
    suite: Annotated[str, _option("The suite.")] = "smoke-v0",
    split: Annotated[
        str | None, _option("Only these, as seen,validation; unseen is the third.")
    ] = None,
    part: Annotated[str, _option("Held-out data to test on: test or validation.")] = "test",
    seed: Annotated[int | None, _option("First seed, instead of the suite's.")] = None,
    json: Annotated[Path | None, _option("Write all figures to this file.")] = None,
    plot: Annotated[Path | None, _option("Draw learning curves into this file.")] = None,
    overwrite: _Overwrite = False,
) -> None:
    """Score rules on seen and unseen problems, side by side.

    A bare name has the genome that comes with the package; 'sgd*', 'momentum*' and 'adam*'
    have the rate that is best in each problem.
    """
    from . import benchmarks

    if plot is not None and plot.suffix not in _PICTURES:
        raise ValueError(f"`--plot` must end in {', '.join(_PICTURES)}, got {plot}.")
    if plot is not None and importlib.util.find_spec("matplotlib") is None:
        raise ValueError("`--plot` needs matplotlib: pip install 'plasticgym[plot]'.")
    for path in (json, plot):
        _check_free(path, overwrite=overwrite)
    benchmarks.use_cache()
    chosen = benchmarks.suite(suite)
    seeds = chosen.seeds
    if seed is not None:
        seeds = tuple(range(seed, seed + len(chosen.seeds)))
    found = [benchmarks.entry(text, chosen) for text in entries]
    scored = {entry.label: entry for entry in found}
    if len(scored) < len(entries):
        raise ValueError(f"`entries` must all differ, got {', '.join(entries)}.")
    with _progress("scored") as progress:
        task = progress.add_task("")
        report = benchmarks.evaluate(
            scored,
            chosen,
            seeds=seeds,
            part=cast(Any, part),  # it says itself which there are
            splits=tuple(chosen.splits) if split is None else tuple(split.split(",")),
            on_progress=lambda done, total, label: progress.update(
                task, completed=done, total=total, description=label
            ),
        )
    for table in benchmarks.tables(report):
        _out.print(table)
    if json is not None:
        report.save(json)
        _out.print(f"figures in {json}")
    if plot is not None:
        benchmarks.plot(report, plot)
        _out.print(f"learning curves in {plot}")


@app.command()
def plot(
    folder: Annotated[Path, typer.Argument(help="The folder of a run.")],
    out: Annotated[Path | None, _option("The picture; DIR/history.png otherwise.")] = None,
    overwrite: _Overwrite = False,
) -> None:
    """Draw how a run went."""
    from . import agents

    path = out or folder / "history.png"
    _check_free(path, overwrite=overwrite)
    agents.plot(folder, path)
    _out.print(f"fitness by generation in {path}")


def _new_run(
    rule: str | None,
    on: str | None,
    suite: str | None,
    agent: str | None,
    generations: int | None,
    seed: int | None,
):
    from . import agents, benchmarks, envs
    from .rules import spelled, spelled_list, written_rule

    if rule is None:
        raise ValueError("name the RULE to train, as in: plasticgym train blur --on digits,xor")
    if (on is None) == (suite is None):
        raise ValueError("say what to train on: `--on digits,xor` or `--suite smoke-v0`.")
    if suite is not None:
        seen = benchmarks.suite(suite).seen.items()
        where = {name: (setting.problem, dict(setting.options)) for name, setting in seen}
    else:
        where = {}
        for item in spelled_list(on or ""):
            name = item.name if item.name not in where else f"{item.name}-{len(where)}"
            where[name] = (envs.problem_id(item.name), item.options)
    rule_, agent_ = written_rule(rule), spelled("cma-es" if agent is None else agent)
    return agents.Run(
        rule=rule_.name,
        options=rule_.options,
        problems=where,
        agent=agent_.name,
        agent_options=agent_.options,
        generations=100 if generations is None else generations,
        seed=0 if seed is None else seed,
        command=_command(),
    )


def _run_in(folder: Path, rule: str | None):
    """The run in a folder, the rule of which may be in a file of Python that was named."""
    from . import agents
    from .rules import RULES, written_rule

    run, name = agents.read_run(folder), None if rule is None else written_rule(rule).name
    if name is not None and not is_of_file(run.rule):
        raise ValueError(_NOTHING_ELSE)
    if name not in (None, run.rule):
        raise ValueError(f"{folder} holds a run of {run.rule}, not of {name}.")
    if is_of_file(run.rule) and run.rule not in RULES:
        raise ValueError(
            f"{folder} holds a run of {run.rule}, a file of Python; name that file, too, as "
            f"in: plasticgym train {run.rule} --resume {folder}"
        )
    return run


def _recipe_run(
    recipe: str,
    rule: str | None,
    on: str | None,
    suite: str | None,
    agent: str | None,
    generations: int | None,
    seed: int | None,
):
    from . import agents

    if any(x is not None for x in (rule, on, suite, agent)):
        raise ValueError(
            "`--recipe` says which rule, problems and agent; give none of RULE, --on, --suite "
            "and --agent."
        )
    given = {"seed": seed, "generations": generations}
    run = agents.recipe(recipe, **{k: v for k, v in given.items() if v is not None})
    return dataclasses.replace(run, command=_command())


def _unseen(run, *, allowed: bool) -> tuple[str, ...]:
    """The settings of `lite-v0` that are no longer unseen after a run, if that is allowed."""
    from . import benchmarks

    names = benchmarks.unseen_in(benchmarks.suite("lite-v0"), run.trained_on)
    if names and not allowed:
        raise ValueError(
            f"lite-v0 lists {', '.join(names)} as unseen; train on other problems, or add "
            "--allow-unseen, and scores there will not count as unseen."
        )
    return tuple(names)


def _command() -> str:
    return shlex.join(["plasticgym", *sys.argv[1:]])


def _quoted(command: str, path: Path) -> str:
    return f"plasticgym {command} {shlex.quote(str(path))}"


def _check_free(path: Path | None, *, overwrite: bool) -> None:
    if path is None:
        return
    if path.exists() and not overwrite:
        raise ValueError(f"{path} exists already; choose another name or add --overwrite.")
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent} to write {path.name} into.")


@contextlib.contextmanager
def _progress(unit: str):
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=_err) as progress:
        yield progress


if __name__ == "__main__":
    main()
