from typing import Any

from .._run import Run
from ._problems import SEEN

_STEPS = 800
_AGENT: dict[str, Any] = {
    "rate": 0.03,
    "lives": 8,
    "draws": 3,
    "growth": 0.3,
    "warmup": 20,
    "horizon": _STEPS,
}


def blur_metagradient(seed: int = 0) -> Run:
    """Descends the meta-gradient of a normalised BLUR of four states.

    Cost: @@COST@@.

    Args:
        seed: of all that is random.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.agents.recipe("blur-metagradient", seed=3).agent
        'metagradient'

        ```
    """
    start = {"genome": "normalised", "states": 4, "noise": 0.05, "seed": seed}
    return _run("blur", start, seed)


def sgd_metagradient(seed: int = 0) -> Run:
    """What BLUR is to be compared with: SGD on the same body, trained in the same way.

    Cost: @@COST@@.

    Args:
        seed: of all that is random.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.agents.recipe("sgd-metagradient").rule
        'normalised-sgd'

        ```
    """
    return _run("normalised-sgd", {}, seed)


def adam_metagradient(seed: int = 0) -> Run:
    """What BLUR is to be compared with: Adam on the same body, trained in the same way.

    Cost: @@COST@@.

    Args:
        seed: of all that is random.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.agents.recipe("adam-metagradient").rule
        'normalised-adam'

        ```
    """
    return _run("normalised-adam", {}, seed)


def _run(rule: str, options: dict[str, Any], seed: int) -> Run:
    return Run(
        rule=rule,
        options=options,
        problems=SEEN,
        agent="metagradient",
        agent_options=_AGENT,
        generations=_STEPS,
        seed=seed,
    )
