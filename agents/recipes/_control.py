from typing import Any

from .._run import Run

# Changes that lives in training meet, drawn anew in each world.
SEEN: dict[str, tuple[float, float]] = {
    "gravity": (0.7, 1.4),
    "mass": (0.7, 1.4),
    "length": (0.7, 1.4),
    "delay": (0, 1),
    "noise": (0.0, 0.05),
}
_PARTS = {name: SEEN[name] for name in ("gravity", "mass", "noise")}  # of bodies of brax
_ANT_LEGS = ("intact", "leg 0", "leg 1")


def cart_pole_homeostat(seed: int = 0, generations: int = 60) -> Run:
    """Evolves how long a homeostat bears what, and how far it draws, on changing cart-poles.

    Cost: minutes on one core.

    Args:
        seed: of all that is random.
        generations: how many.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.agents.recipe("cart-pole-homeostat", seed=3).rule
        'homeostat'

        ```
    """
    problem = ("CartPole-v0", {"hidden": (8,), "changes": SEEN})
    return _evolved(("homeostat", {}), problem, seed, generations, population=64, lives=2)


def pendulum_homeostat(seed: int = 0, generations: int = 40) -> Run:
    """Evolves a homeostat on changing pendulums, from features that were evolved before.

    Where it begins was made by `python benchmarks/control/features.py`.

    Cost: a minute or two on one core.

    Args:
        seed: of all that is random.
        generations: how many.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.agents.recipe("pendulum-homeostat", seed=3).options
        {'genome': 'pendulum'}

        ```
    """
    problem = ("Pendulum-v0", {"hidden": (8, 1), "changes": SEEN})
    start = ("homeostat", {"genome": "pendulum"})
    return _evolved(start, problem, seed, generations, population=64, lives=2, spread=0.1)


def pendulum_abcd(seed: int = 0, generations: int = 400) -> Run:
    """Evolves ABCD, with coefficients of its own for each synapse, on changing pendulums.

    Cost: minutes on two cores.

    Args:
        seed: of all that is random.
        generations: how many.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> sorted(pg.agents.recipe("pendulum-abcd", seed=3).problems)
        ['Pendulum-v0']

        ```
    """
    problem = ("Pendulum-v0", {"hidden": (8,), "changes": SEEN})
    return _evolved(_abcd(3, 8, 1), problem, seed, generations, population=128)


def ant_abcd(seed: int = 0, generations: int = 500) -> Run:
    """Evolves ABCD on ants of which some lack a leg.

    Cost: for an accelerator; not measured. It needs the extra `control`.

    Args:
        seed: of all that is random.
        generations: how many.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.agents.recipe("ant-abcd").problems["Ant-v0"][1]["damages"]
        ('intact', 'leg 0', 'leg 1')

        ```
    """
    problem = ("Ant-v0", {"hidden": (32,), "changes": _PARTS, "damages": _ANT_LEGS})
    return _evolved(_abcd(27, 32, 8), problem, seed, generations, population=512)


def half_cheetah_abcd(seed: int = 0, generations: int = 500) -> Run:
    """Evolves ABCD on half-cheetahs of changing mass in changing gravity.

    Cost: for an accelerator; not measured. It needs the extra `control`.

    Args:
        seed: of all that is random.
        generations: how many.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.agents.recipe("half-cheetah-abcd").agent_options["population"]
        512

        ```
    """
    problem = ("HalfCheetah-v0", {"hidden": (32,), "changes": _PARTS})
    return _evolved(_abcd(17, 32, 6), problem, seed, generations, population=512)


def _abcd(*layers: int) -> tuple[str, dict[str, Any]]:
    return "abcd", {"layers": layers, "rate": 0.1, "both": 0.0}


def _evolved(
    rule: tuple[str, dict[str, Any]],
    problem: tuple[str, dict[str, Any]],
    seed: int,
    generations: int,
    *,
    population: int,
    lives: int = 4,
    spread: float = 0.3,
) -> Run:
    # A matrix of covariances over thousands of genes would cost more than the lives.
    strategy = "CMA_ES" if population < 512 else "Open_ES"
    return Run(
        rule=rule[0],
        options=rule[1],
        problems={problem[0]: problem},
        agent="evolution",
        agent_options={
            "strategy": strategy,
            "population": population,
            "lives": lives,
            "objective": "loss",
            "spread": spread,
        },
        generations=generations,
        seed=seed,
    )
