"""Meta-trainers: how a rule is obtained."""

from ..rules import Registry
from ._base import AbstractAgent as AbstractAgent
from ._base import Generation as Generation
from ._base import Search as Search
from ._evolution import Evolution as Evolution
from ._metagradient import MetaGradient as MetaGradient
from ._plot import plot as plot
from ._run import Run as Run
from ._run import read_run as read_run
from ._run import resume as resume
from ._run import start as start
from ._train import History as History
from ._train import Trained as Trained
from ._train import train as train
from ._windowed import Windowed as Windowed
from ._windowed import windowed as _windowed
from .recipes import RECIPES as RECIPES

AGENTS: Registry[AbstractAgent] = Registry(
    "agent",
    {
        "cma-es": Evolution,
        "evolution": Evolution,
        "metagradient": MetaGradient,
        "windowed": _windowed,
    },
)
register = AGENTS.register
make = AGENTS.make
recipe = RECIPES.make
