from ._direction import AbstractDirection
from ._invariance import AbstractInvariance
from ._spelled import spelled


def named_invariance(value: AbstractInvariance | str) -> AbstractInvariance:
    """The converter of an invariance: a part, or its name with options.

    Raises:
        ValueError: if it is neither, or the text names none or options that it does not take.
    """
    from . import INVARIANCES  # the registries stand above their members

    return named_part(value, INVARIANCES, AbstractInvariance)


def named_direction(value: AbstractDirection | str) -> AbstractDirection:
    """The converter of a direction: a part, or its name with options.

    Raises:
        ValueError: if it is neither, or the text names none or options that it does not take.
    """
    from . import DIRECTIONS

    return named_part(value, DIRECTIONS, AbstractDirection)


def named_part(value, registry, kind: type):
    """A part, or the one of the registry that the text names, with options.

    Raises:
        ValueError: if it is neither, or the text names none or options that it does not take.
    """
    if isinstance(value, str):
        name, options, _ = spelled(value)
        return registry.make(name, **options)
    if not isinstance(value, kind):
        raise ValueError(
            f"`{registry.kind}` must be a part or text that names one of "
            f"{', '.join(registry)}, got {value!r}."
        )
    return value
