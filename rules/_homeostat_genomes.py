from pathlib import Path
from typing import Any

from ._base import AbstractRule
from ._genome_file import load_genome, started
from ._homeostat import Homeostat
from ._registry import Registry

_PENDULUM = Path(__file__).parent / "genomes" / "homeostat-pendulum.safetensors"


def homeostat(genome: str = "drawn", **options: Any) -> AbstractRule:
    """The homeostat with a genome by name: `rules.make("homeostat", genome=...)`.

    Args:
        genome: `"drawn"`, what [`Homeostat`][plasticgym.rules.Homeostat] makes of the
            options; `"pendulum"`, at which the recipe `pendulum-homeostat` begins: it draws
            around weights that were evolved to move a pendulum; or a genome file.
        options: of the rule, if it is drawn.

    Raises:
        ValueError: if there is no such genome or it does not take the options.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.make("homeostat", genome="pendulum").layers
        (3, 8, 1, 1)

        ```
    """
    return started(STARTS, genome, options, expected="homeostat")


STARTS: Registry[AbstractRule] = Registry(
    "genome of homeostat",
    {"drawn": Homeostat, "pendulum": lambda: load_genome(_PENDULUM, expected="homeostat")},
)
