"""Suites of problems, and how rules are scored on them."""

from ..rules import Registry
from ._entry import entry as entry
from ._evaluate import evaluate as evaluate
from ._plot import plot as plot
from ._reference import Reference as Reference
from ._reference import perfect as perfect
from ._report import Report as Report
from ._report import Summary as Summary
from ._result import Result as Result
from ._smoke import smoke_v0 as smoke_v0
from ._statistics import Interval as Interval
from ._statistics import bootstrap as bootstrap
from ._statistics import iqm as iqm
from ._suite import Setting as Setting
from ._suite import Suite as Suite
from ._tables import tables as tables

SUITES: Registry[Suite] = Registry("suite", {"smoke-v0": smoke_v0})
register = SUITES.register
suite = SUITES.make
