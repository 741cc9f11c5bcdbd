"""What a rule is, and the rules there are."""

from ._adam import Adam as Adam
from ._base import AbstractRule as AbstractRule
from ._base import Body as Body
from ._base import Clamped as Clamped
from ._base import Feedback as Feedback
from ._base import State as State
from ._blur import Blur as Blur
from ._blur_genomes import blur as _blur
from ._constraint import Saturation as Saturation
from ._constraint import UnitColumns as UnitColumns
from ._forgetting import ByActivity as ByActivity
from ._forgetting import ByWeights as ByWeights
from ._gene import gene as gene
from ._gene import real as real
from ._genome import gene_names as gene_names
from ._genome import genome as genome
from ._genome import named_leaves as named_leaves
from ._genome import with_genome as with_genome
from ._genome_file import Genome as Genome
from ._genome_file import load_genome as load_genome
from ._genome_file import read_genome as read_genome
from ._genome_file import save_genome as save_genome
from ._genome_file import shipped as shipped
from ._hebb import Hebb as Hebb
from ._momentum import Momentum as Momentum
from ._normalisation import Normalisation as Normalisation
from ._normalised_adam import NormalisedAdam as NormalisedAdam
from ._normalised_sgd import NormalisedSGD as NormalisedSGD
from ._oja import Oja as Oja
from ._plasticity import Plasticity as Plasticity
from ._registry import Registry as Registry
from ._sgd import SGD as SGD
from ._signals import Signal as Signal
from ._signals import Tier as Tier
from ._spelled import Spelled as Spelled
from ._spelled import spelled as spelled
from ._spelled import spelled_list as spelled_list
from ._transfer import Transfer as Transfer

RULES: Registry[AbstractRule] = Registry(
    "rule",
    {
        "sgd": SGD,
        "momentum": Momentum,
        "adam": Adam,
        "normalised-sgd": NormalisedSGD,
        "normalised-adam": NormalisedAdam,
        "hebb": Hebb,
        "oja": Oja,
        "blur": _blur,
    },
)
register = RULES.register
make = RULES.make
