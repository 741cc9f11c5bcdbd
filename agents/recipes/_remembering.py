from typing import Any

from .._run import Run

_STEPS, _MORE_STEPS = 400, 120


def remembering(seed: int = 0, generations: int = _STEPS) -> Run:
    """Descends the meta-gradient of remembering in one population, from `"projection"`.

    Random patterns as many as half the neurons, fewer with a delay, and digits. Lives end
    when all is written and the delay over: what is recalled then is the loss.

    Cost: 6 to 20 minutes on one core of a busy machine, up to five of them compilation.

    Args:
        seed: of all that is random.
        generations: meta-steps, over which the rate of the meta-gradient falls to 0.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.agents.recipe("remembering", seed=3).options["topology"]
        'recurrent'

        ```
    """
    return Run(
        rule="remembering",
        options={"genome": "projection", "spread": 0.05, "topology": "recurrent"},
        problems={
            "full": ("Remember-v0", _life(32, 0, bits=64, place="random")),
            "small": ("Remember-v0", _life(16, 4, bits=32, place="random")),
            "delayed": ("Remember-v0", _life(16, 8, bits=64, place="random")),
            "digits": ("RememberDigits-v0", _life(16, 4)),
        },
        agent="metagradient",
        agent_options={
            "rate": 0.1,
            "lives": 8,
            "warmup": min(10, generations - 1),
            "horizon": generations,
        },
        generations=generations,
        seed=seed,
    )


def remembering_digits(seed: int = 1, generations: int = _MORE_STEPS) -> Run:
    """Goes on from the genome that `remembering` found, with more digits to remember.

    Cost: 3 to 8 minutes on one core of a busy machine, half of them compilation.

    Args:
        seed: of all that is random.
        generations: meta-steps, over which the rate of the meta-gradient falls to 0.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.agents.recipe("remembering-digits").options["genome"]
        'patterns'

        ```
    """
    return Run(
        rule="remembering",
        options={"genome": "patterns", "topology": "recurrent"},
        problems={
            "full": ("Remember-v0", _life(32, 0, bits=64, place="random")),
            "digits": ("RememberDigits-v0", _life(28, 0)),
        },
        agent="metagradient",
        agent_options={
            "rate": 0.1,
            "lives": 8,
            "warmup": min(5, generations - 1),
            "horizon": generations,
        },
        generations=generations,
        seed=seed,
    )


def _life(stored: int, delay: int, **options: Any) -> dict[str, Any]:
    return {
        "stored": stored,
        "delay": delay,
        "hidden": 0,
        "presentations": stored + delay,
        **options,
    }
