"""Suites of problems, and how rules are scored on them."""

from ..rules import Registry
from ._cache import use_cache as use_cache
from ._continual import continual_v0 as continual_v0
from ._entry import Entry as Entry
from ._entry import entry as entry
from ._evaluate import evaluate as evaluate
from ._lite import lite_v0 as lite_v0
from ._plot import plot as plot
from ._race import race_v0 as race_v0
from ._reference import Reference as Reference
from ._reference import perfect as perfect
from ._reference import reference as reference
from ._reference import tuned as tuned
from ._remembered import Remembered as Remembered
from ._remembered import remembered as remembered
from ._report import Report as Report
from ._report import Summary as Summary
from ._result import Result as Result
from ._retention import Retention as Retention
from ._retention import retention as retention
from ._smoke import smoke_v0 as smoke_v0
from ._statistics import Interval as Interval
from ._statistics import bootstrap as bootstrap
from ._statistics import iqm as iqm
from ._suite import Setting as Setting
from ._suite import Suite as Suite
from ._tables import tables as tables
from ._training import unseen_in as unseen_in

SUITES: Registry[Suite] = Registry(
    "suite",
    {
        "smoke-v0": smoke_v0,
        "lite-v0": lite_v0,
        "race-v0": race_v0,
        "continual-v0": continual_v0,
    },
)
register = SUITES.register
suite = SUITES.make
