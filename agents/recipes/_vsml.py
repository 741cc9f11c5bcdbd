from .._run import Run

_STEPS = 150
_SIZES = {"hidden": (16,), "batch": 8, "presentations": 40, "view": "rotated"}


def vsml(seed: int = 0, generations: int = _STEPS) -> Run:
    """Descends the meta-gradient of VSML, cloned from backpropagation, in the plane.

    In small bodies, batches and lives. More meta-steps serve the plane better and bodies of
    other sizes worse: twice as many unlearn images.

    Cost: 5 to 15 minutes on one core of a busy machine, up to three of them compilation.

    Args:
        seed: of all that is random.
        generations: meta-steps, over which the rate of the meta-gradient falls to 0.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.agents.recipe("vsml", seed=3).options
        {'genome': 'cloned'}

        ```
    """
    names = ("xor", "or", "moons", "circle")
    return Run(
        rule="vsml",
        options={"genome": "cloned"},
        problems={name: (f"{name.capitalize()}-v0", dict(_SIZES)) for name in names},
        agent="metagradient",
        agent_options={
            "rate": 0.02,
            "lives": 2,
            "warmup": min(10, generations - 1),
            "horizon": generations,
        },
        generations=generations,
        seed=seed,
    )
