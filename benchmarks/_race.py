from collections.abc import Mapping

from ._lite import lite_v0
from ._suite import Setting, Suite

_LENGTHS = (20, 50)


def race_v0() -> Suite:
    """The seen and unseen problems of `lite-v0` in short lives: which rule learns faster?

    Each problem is lived in lives of 20 and of 50 presentations, as `xor-20` and `xor-50`,
    with a hundred seeds, so that paired differences between rules have narrow intervals.

    !!! example

        ```python
        >>> from plasticgym import benchmarks
        >>> list(benchmarks.race_v0().seen)[:4]
        ['digits-20', 'digits-50', 'xor-20', 'xor-50']

        ```
    """
    lite = lite_v0()
    return Suite(
        "race-v0",
        seen=_in_short_lives(lite.seen),
        unseen=_in_short_lives(lite.unseen),
        seeds=tuple(range(3000, 3100)),
    )


def _in_short_lives(settings: Mapping[str, Setting]) -> dict[str, Setting]:
    """Those that name no length of life, in each of the lengths."""
    return {
        f"{name}-{length}": Setting(s.problem, {**s.options, "presentations": length})
        for name, s in settings.items()
        if "presentations" not in s.options
        for length in _LENGTHS
    }
