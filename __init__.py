"""Learning problems as Gymnasium environments whose agent is a local update rule."""

from . import envs as envs
from . import rules as rules

__version__ = "0.1.0"
