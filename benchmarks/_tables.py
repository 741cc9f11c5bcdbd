from collections.abc import Iterable

import numpy as np
from jaxtyping import Float
from rich import box
from rich.table import Table
from rich.text import Text

from ._report import Report
from ._result import Result
from ._statistics import half_width

_BARS = "▁▂▃▄▅▆▇█"


def tables(report: Report) -> list[Table]:
    """A report as tables for a terminal of 100 columns, to be printed with rich.

    For the seen and then the unseen problems: the last held-out score with its 95%
    interval, areas and failures; learning curves; and a summary at the end.

    !!! example

        ```python
        >>> from plasticgym import benchmarks, rules
        >>> small = benchmarks.Setting("Xor-v0", {"hidden": (4,), "presentations": 3})
        >>> suite = benchmarks.Suite("mine-v0", seen={"xor": small}, unseen={}, seeds=(0, 1))
        >>> report = benchmarks.evaluate({"sgd": rules.SGD(rate=0.1)}, suite)
        >>> [str(table.title).split(":")[0] for table in benchmarks.tables(report)]
        ['Seen problems', 'Learning curves on seen problems', 'Summary']

        ```
    """
    made = []
    for split in report.suite.splits:
        made += [_scores(report, split), _curves(report, split)]
    return [*made, _summary(report)]


def _scores(report: Report, split: str) -> Table:
    table = _table(
        f"{split.capitalize()} problems: scores on the {report.part} part",
        f"mean over {_seeds(report)} ± half its 95% interval (Student's t); area: under the "
        "learning curve; stream: while learning; failed: lives that diverged",
    )
    table.add_column("problem", style="bold")
    for heading in ("chance", "last score", "area", "stream", "failed"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.columns.insert(2, _left("rule"))
    for setting in report.suite.splits[split]:
        results = {rule: report.results[rule][setting] for rule in report.results}
        best = max(float(result.last.mean()) for result in results.values())
        for row, (rule, result) in enumerate(results.items()):
            mean = float(result.last.mean())
            table.add_row(
                *(("", "") if row else (setting, f"{result.chance:.3f}")),
                rule,
                Text(
                    f"{mean:.3f} ± {_number(half_width(result.last))}",
                    style="bold" if mean == best and len(results) > 1 else "",
                ),
                f"{result.area.mean():.3f}",
                f"{result.stream_area.mean():.3f}",
                f"{int(result.diverged.sum())}/{len(result.diverged)}",
                end_section=row == len(results) - 1,
            )
    return table
