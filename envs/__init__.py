"""What a problem is, the problems there are, and lives in them."""

import functools

from ..rules import Registry
from ._base import AbstractProblem as AbstractProblem
from ._base import Frozen as Frozen
from ._base import Outcome as Outcome
from ._base import Part as Part
from ._classification import Classification as Classification
from ._classification import Examples as Examples
from ._lifetime import Life as Life
from ._lifetime import Lifetime as Lifetime
from ._lifetime import born as born
from ._lifetime import live as live
from ._lifetime import lives as lives
from ._lifetime import present as present
from ._lifetime import step as step
from ._plane import plane as plane
from ._problem_id import problem_id as problem_id
from ._problem_id import shell_name as shell_name
from ._tables import breast_cancer as breast_cancer
from ._tables import digits as digits
from ._tables import wine as wine

PROBLEMS: Registry[AbstractProblem] = Registry(
    "problem",
    {
        "Digits-v0": digits,
        "Wine-v0": wine,
        "BreastCancer-v0": breast_cancer,
        "Xor-v0": functools.partial(plane, "xor"),
        "Nxor-v0": functools.partial(plane, "nxor"),
        "Or-v0": functools.partial(plane, "or"),
        "And-v0": functools.partial(plane, "and"),
        "Moons-v0": functools.partial(plane, "moons"),
        "Circle-v0": functools.partial(plane, "circle"),
        "Slice-v0": functools.partial(plane, "slice"),
        "Cross-v0": functools.partial(plane, "cross"),
        "Triangle-v0": functools.partial(plane, "triangle"),
        "Blobs-v0": functools.partial(plane, "blobs"),
    },
)
register = PROBLEMS.register
problem = PROBLEMS.make
