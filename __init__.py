"""Learning problems as Gymnasium environments whose agent is a local update rule."""

from importlib.metadata import version as _version

from . import agents as agents
from . import benchmarks as benchmarks
from . import envs as envs
from . import rules as rules

__version__ = _version("plasticgym")
