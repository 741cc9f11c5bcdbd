from collections.abc import Mapping
from typing import Any


def as_json(value: Any) -> Any:
    """Options as JSON would give them back: dictionaries, and lists for tuples."""
    if isinstance(value, Mapping):
        return {key: as_json(v) for key, v in value.items()}
    return [as_json(v) for v in value] if isinstance(value, tuple | list) else value
