from typing import Any

from .._run import Run
from ._problems import SEEN

_STEPS = 800


def blur_metagradient(seed: int = 0, generations: int = _STEPS) -> Run:
    """Descends the meta-gradient of a normalised BLUR of four states that is told the error.

    Its synapses neither grow nor fade by themselves: a keep above 1 pays in lives as short
    as these, and ruins long ones.

    Cost: 11 to 26 minutes on one core of a busy machine.

    Args:
        seed: of all that is random.
        generations: meta-steps, over which the rate of the meta-gradient falls to 0.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.agents.recipe("blur-metagradient", seed=3).agent
        'metagradient'

        ```
    """
    start = {"genome": "normalised", "states": 4, "injects": "error", "seed": seed}
    return _run("blur", start, seed, generations, fixed=["synapse.keep"])


def sgd_metagradient(seed: int = 0, generations: int = _STEPS) -> Run:
    """What BLUR is to be compared with: SGD on the same body, trained in the same way.

    Cost: 2 to 5 minutes on one core of a busy machine.

    Args:
        seed: of all that is random.
        generations: meta-steps, over which the rate of the meta-gradient falls to 0.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.agents.recipe("sgd-metagradient").rule
        'normalised-sgd'

        ```
    """
    return _run("normalised-sgd", {}, seed, generations)


def adam_metagradient(seed: int = 0, generations: int = _STEPS) -> Run:
    """What BLUR is to be compared with: Adam on the same body, trained in the same way.

    Cost: 2 to 5 minutes on one core of a busy machine.

    Args:
        seed: of all that is random.
        generations: meta-steps, over which the rate of the meta-gradient falls to 0.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.agents.recipe("adam-metagradient").rule
        'normalised-adam'

        ```
    """
    return _run("normalised-adam", {}, seed, generations)


def _run(rule: str, options: dict[str, Any], seed: int, generations: int, **more: Any) -> Run:
    agent = {
        "rate": 0.03,
        "lives": 8,
        "draws": 3,
        "growth": 0.3,
        "warmup": min(20, generations - 1),
        "horizon": generations,
        **more,
    }
    return Run(
        rule=rule,
        options=options,
        problems=SEEN,
        agent="metagradient",
        agent_options=agent,
        generations=generations,
        seed=seed,
    )
