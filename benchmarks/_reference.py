import dataclasses
from collections.abc import Mapping
from typing import final

from ._suite import Suite


@final
@dataclasses.dataclass(frozen=True)
class Reference:
    """What counts as a normalised score of 1; the problem's chance counts as 0.

    **Arguments:**

    - `name`: what it is, as tables and files show it.
    - `scores`: the held-out score that counts as 1, for each setting of a suite.

    !!! example

        ```python
        >>> from plasticgym import benchmarks
        >>> benchmarks.Reference("tuned Adam, 2026-11", {"xor": 0.97}).scores["xor"]
        0.97

        ```
    """

    name: str
    scores: Mapping[str, float]


def perfect(suite: Suite) -> Reference:
    """The reference that needs no run: a score of 1.0, which nothing can exceed.

    !!! example

        ```python
        >>> from plasticgym import benchmarks
        >>> benchmarks.perfect(benchmarks.suite("smoke-v0")).name
        'a perfect score of 1.0'

        ```
    """
    return Reference("a perfect score of 1.0", dict.fromkeys(suite.settings, 1.0))
