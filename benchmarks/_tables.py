import numpy as np
from jaxtyping import Float
from rich import box
from rich.table import Table
from rich.text import Text

from ._report import Report
from ._result import BOUNDS, Result
from ._statistics import half_width

_BARS = "▁▂▃▄▅▆▇█"
_MET = "†"  # marks a rule that was trained on what is not listed as seen
_TOLD_MET = f"; {_MET}: trained on it, so that it counts as seen for this rule"
_FITTED = "*"  # marks a rule with a note: it was fitted to each setting
_TOLD_FITTED = f"; {_FITTED}: fitted to each of these problems, see `Trained on`"


def tables(report: Report) -> list[Table]:
    """A report as tables for a terminal of 100 columns, to be printed with rich.

    For the problems of each split: the last held-out score with its 95% interval, areas
    and failures; learning curves. At the end a summary, and what rules were trained on,
    with machine, versions and date.

    !!! example

        ```python
        >>> from plasticgym import benchmarks, rules
        >>> small = benchmarks.Setting("Xor-v0", {"hidden": (4,), "presentations": 3})
        >>> suite = benchmarks.Suite("mine-v0", seen={"xor": small}, unseen={}, seeds=(0, 1))
        >>> report = benchmarks.evaluate({"sgd": rules.SGD(rate=0.1)}, suite)
        >>> [str(table.title).split(":")[0] for table in benchmarks.tables(report)]
        ['Seen problems', 'Learning curves, seen problems', 'Summary', 'Trained on']

        ```
    """
    made = []
    for split in report.settings:
        made += [_scores(report, split), *_retentions(report, split), _curves(report, split)]
    return [*made, _summary(report), _trained_on(report)]


def _scores(report: Report, split: str) -> Table:
    met = {rule: report.met(rule) for rule in report.results}
    marked = any(name in met[rule] for name in report.settings[split] for rule in met)
    table = _table(
        f"{split.capitalize()} problems: scores on the {report.part} part",
        f"last: mean after the whole life, {len(report.seeds)} seeds, ± its 95% interval "
        "(Student's t); area: mean height of the learning curve; stream: mean score while "
        f"learning; failed: lives that diverged{_TOLD_MET if marked else ''}",
    )
    table.add_column("problem", style="bold", overflow="fold")
    table.add_column("chance", justify="right")
    table.add_column("rule", overflow="fold")
    for heading in ("last", "area", "stream", "failed"):
        table.add_column(heading, justify="right", no_wrap=True)
    for setting in report.settings[split]:
        results = {rule: report.results[rule][setting] for rule in report.results}
        best = max(result.last.mean() for result in results.values())
        for row, (rule, result) in enumerate(results.items()):
            top = result.last.mean() == best and len(results) > 1
            mean, half = _number(result.last.mean()), _number(half_width(result.last))
            table.add_row(
                "" if row else setting,
                "" if row else _number(result.chance),
                f"{rule} {_MET}" if setting in met[rule] else rule,
                Text(f"{mean} ± {half}", style="bold" if top else ""),
                _number(result.area.mean()),
                _number(_mean(result.stream_area)),
                f"{result.diverged.sum()}/{len(result.diverged)}",
                end_section=row == len(results) - 1,
            )
    return table


def _retentions(report: Report, split: str) -> list[Table]:
    """How well what was learned was kept, if a problem has several tasks."""
    table = _table(
        f"Several tasks, {split} problems: what is left of each at the end",
        "accuracy: mean over tasks; forgetting: best score on a task before the end less that "
        "at the end; backward transfer: score at the end less that after its own task; means "
        f"over {len(report.seeds)} seeds, ± their 95% intervals (Student's t)",
    )
    table.add_column("problem", style="bold", overflow="fold")
    table.add_column("rule", overflow="fold")
    for heading in ("accuracy", "forgetting", "backward transfer"):
        table.add_column(heading, justify="right", no_wrap=True)
    for setting in report.settings[split]:
        kept = {rule: found[setting].retention for rule, found in report.results.items()}
        known = {rule: values for rule, values in kept.items() if values is not None}
        for row, (rule, values) in enumerate(known.items()):
            told = [f"{_number(v.mean())} ± {_number(half_width(v))}" for v in values]
            last = row == len(known) - 1
            table.add_row("" if row else setting, rule, *told, end_section=last)
    return [table] if table.row_count else []


def _curves(report: Report, split: str) -> Table:
    table = _table(
        f"Learning curves, {split} problems: {report.part} score after n presentations",
        f"bars: from chance to {report.reference.name}",
    )
    results = [report.results[rule] for rule in report.results]
    longest = max(len(r[s].times) for r in results for s in report.settings[split])
    table.show_header, table.box, table.pad_edge = False, None, False
    table.add_column(no_wrap=True)
    for _ in range(longest):
        table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    for setting in report.settings[split]:
        times = results[0][setting].times
        blank = [""] * (longest - len(times))
        heads = [Text(f"n={t}" if t == 1 else str(t), style="dim") for t in times]
        table.add_row(Text(setting, style="bold"), *heads, *blank)
        for rule, of in report.results.items():
            curve = of[setting].held_out.mean(0)
            numbers = [_number(score).removeprefix("0") for score in curve]
            bars = Text(_bars(of[setting], curve), style="cyan")
            table.add_row(f"  {rule}", *numbers, *blank, bars)
        table.add_row()
    return table


def _summary(report: Report) -> Table:
    met = {rule: report.met(rule) for rule in report.results}
    fitted = {rule: _FITTED if entry.note else "" for rule, entry in report.entries.items()}
    told = _TOLD_MET if any(met.values()) else ""
    told += _TOLD_FITTED if any(fitted.values()) else ""
    table = _table(
        f"Summary: {report.suite.id}, {report.part} part, last scores normalised",
        f"0: chance, or diverged; 1: {report.reference.name}; clipped to "
        f"{BOUNDS[0]} .. {BOUNDS[1]}, clipped: share of lives; IQM: interquartile mean over "
        "problems and seeds, with its 95% interval (bootstrap stratified by problem); worst: "
        f"lowest median of a problem{told}",
    )
    table.add_column("rule", overflow="fold")
    for heading in ("IQM", "95% interval", "mean", "worst"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    table.add_column("failed", justify="right", no_wrap=True)
    table.add_column("clipped", justify="right", no_wrap=True)
    for rule in report.results:
        table.add_row(Text(rule, style="bold"))
        counted = report.settings_of(rule)
        for row, (split, names) in enumerate(counted.items()):
            summary = report.summary(rule, split)
            mark = _MET if split == "seen" and met[rule] else ""
            table.add_row(
                f"  {split} ({len(names)}{mark}{fitted[rule]})",
                Text(_number(summary.iqm), style="bold"),
                f"{_number(summary.low)} .. {_number(summary.high)}",
                _number(summary.mean),
                _number(summary.worst_median),
                summary.worst,
                f"{summary.failures:.1%}",
                f"{summary.clipped:.1%}",
                end_section=row == len(counted) - 1,
            )
    return table


def _trained_on(report: Report) -> Table:
    table = _table("Trained on", str(report.machine))
    table.add_column("rule", style="bold", overflow="fold")
    table.add_column("problems", overflow="fold")
    for rule, entry in report.entries.items():
        told = [text for text in (", ".join(entry.trained_on), entry.note) if text]
        table.add_row(rule, "; ".join(told) or "nothing")
    return table


def _table(title: str, caption: str) -> Table:
    return Table(
        title=title,
        caption=caption,
        box=box.SIMPLE,
        title_justify="left",
        caption_justify="left",
        title_style="bold",
        padding=(0, 1, 0, 0),
    )


def _number(value: float | np.floating | np.ndarray) -> str:
    return f"{float(value):.3f}" if np.isfinite(value) else "?"


def _mean(values: Float[np.ndarray, " lives"]) -> float:
    """Over those that are known; NaN if none is."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _bars(result: Result, curve: Float[np.ndarray, " times"]) -> str:
    heights = (curve - result.chance) / (result.upper - result.chance)
    levels = np.clip(heights * len(_BARS), 0, len(_BARS) - 1).astype(int)
    return "".join(_BARS[level] for level in levels)
