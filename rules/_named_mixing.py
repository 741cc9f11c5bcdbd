from ._mixing import AbstractMixing
from ._mixing_average import Alone, Average, Partial
from ._mixing_gated import GatedAverage, Segmented
from ._mixing_graph import Gossip, Ring
from ._mixing_learned import Learned
from ._mixing_robust import Krum, Median, TrimmedMean
from ._named_part import named_part
from ._registry import Registry

MIXINGS: Registry[AbstractMixing] = Registry(
    "mixing",
    {
        "alone": Alone,
        "average": Average,
        "partial": Partial,
        "ring": Ring,
        "gossip": Gossip,
        "gated": GatedAverage,
        "segmented": Segmented,
        "median": Median,
        "trimmed-mean": TrimmedMean,
        "krum": Krum,
        "learned": Learned,
    },
    AbstractMixing,
)


def named_mixing(value: AbstractMixing | str) -> AbstractMixing:
    """The converter of a mixing: a part, or its name with options.

    Raises:
        ValueError: if it is neither, or the text names none or options that it does not take.
    """
    return named_part(value, MIXINGS, AbstractMixing)
