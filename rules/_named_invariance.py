from ._exact import Exact
from ._invariance import AbstractInvariance
from ._layer_local import LayerLocal
from ._penalty import Penalty
from ._registry import Registry
from ._spelled import spelled

_MEMBERS: Registry[AbstractInvariance] = Registry(
    "invariance",
    {"penalty": Penalty, "exact": Exact, "layer-local": LayerLocal},
    AbstractInvariance,
)


def named_invariance(value: AbstractInvariance | str) -> AbstractInvariance:
    """The converter of an invariance: a part, or its name with options.

    Raises:
        ValueError: if the text names none or options that it does not take.
    """
    if not isinstance(value, str):
        return value
    name, options, _ = spelled(value)
    return _MEMBERS.make(name, **options)
