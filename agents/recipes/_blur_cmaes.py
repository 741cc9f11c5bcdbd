from .._run import Run
from ._problems import SEEN


def blur_cmaes(seed: int = 0, generations: int = 300) -> Run:
    """Evolves a normalised BLUR of two states, its gauges fixed, with CMA-ES.

    Cost: 5 minutes on one core of a busy machine.

    Args:
        seed: of all that is random.
        generations: how many.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.agents.recipe("blur-cmaes", seed=3).agent
        'cma-es'

        ```
    """
    return Run(
        rule="blur",
        options={"genome": "normalised", "states": 2, "gauge": "fixed", "seed": seed},
        problems=SEEN,
        agent="cma-es",
        agent_options={
            "population": 32,
            "lives": 2,
            "draws": 3,
            "growth": 0.3,
            "objective": "loss",
            "spread": 0.3,
        },
        generations=generations,
        seed=seed,
    )
