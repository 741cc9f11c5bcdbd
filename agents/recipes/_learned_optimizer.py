from .._run import Run
from ._problems import SEEN

_STEPS = 300


def learned_optimizer(seed: int = 0, generations: int = _STEPS) -> Run:
    """Descends the meta-gradient of the learned optimizer on digits.

    Lives are of two lengths, so that the clock among its features is no count-down.

    Cost: 15 to 30 minutes on one core of a busy machine, three of them compilation.

    Args:
        seed: of all that is random.
        generations: meta-steps, over which the rate of the meta-gradient falls to 0.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.agents.recipe("learned-optimizer", seed=3).agent
        'metagradient'

        ```
    """
    return Run(
        rule="learned-optimizer",
        options={"seed": seed},
        problems={name: SEEN[name] for name in ("digits", "digits-long")},
        agent="metagradient",
        agent_options={
            "rate": 0.1,
            "lives": 4,
            "draws": 2,
            "warmup": min(10, generations - 1),
            "horizon": generations,
        },
        generations=generations,
        seed=seed,
    )
