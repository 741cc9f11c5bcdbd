from typing import Any

from ..agents._trained_on import Problems
from ._suite import Setting, Suite


def unseen_in(suite: Suite, problems: Problems) -> list[str]:
    """Which unseen settings of a suite are no longer unseen after training on problems.

    A problem falls under a setting if it has the same id and every option that the
    setting names. So training on digits with 256 hidden units falls under `digits-256`
    however long the lives are, but not with 255: other bodies are other problems. Where a
    setting names lives longer than the problem usually has, lives of that length or longer
    fall under it: 200 and 500 presentations under `digits-long`, but not 199. If the id
    occurs among the unseen settings alone, any training on it falls under them.

    Args:
        suite: the suite.
        problems: id and options of each problem by name.

    Returns:
        Names of unseen settings, in the order of the suite.

    !!! example

        ```python
        >>> from plasticgym import benchmarks
        >>> lite = benchmarks.suite("lite-v0")
        >>> benchmarks.unseen_in(lite, {"mine": ("Digits-v0", {"hidden": [256]})})
        ['digits-256']

        ```
    """
    return met(suite, problems, "unseen")


def met(suite: Suite, problems: Problems, split: str) -> list[str]:
    """As `unseen_in`, for any split other than the seen one."""
    elsewhere = {
        setting.problem
        for other, settings in suite.splits.items()
        if other != split
        for setting in settings.values()
    }
    trained = [Setting(problem, options) for problem, options in problems.values()]
    return [
        name
        for name, setting in suite.splits.get(split, {}).items()
        if any(_falls_under(t, setting, setting.problem in elsewhere) for t in trained)
    ]


def _falls_under(trained: Setting, setting: Setting, compared: bool) -> bool:
    if trained.problem != setting.problem:
        return False
    theirs = trained.complete
    return not compared or all(_agrees(theirs.get(o), setting, o) for o in setting.options)


def _agrees(theirs: Any, setting: Setting, option: str) -> bool:
    ours, usual = setting.complete[option], setting.defaults.get(option)
    if option == "presentations" and usual is not None and ours > usual:
        # What is unseen is what happens late in a life, and a longer one gets there, too.
        return isinstance(theirs, int | float) and theirs >= ours
    return theirs == ours
