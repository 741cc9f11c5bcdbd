import functools
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ..rules._check_sizes import check_sizes
from ._regression import AbstractTeacher, Pairs, Regression
from ._tables import layered

_REACH = 5.0
_AMPLITUDES = (0.1, 5.0)
_PARTS = (1000, 500, 500)


@final
class Sines(AbstractTeacher):
    r"""Answers $a \sin(x - \phi) / \sigma$, with $a$ from [0.1, 5] and $\phi$ from [0, $\pi$].

    Both are uniform and drawn per world; $\sigma$ makes the variance 1 on average.
    """

    deviation: Float[Array, ""]
    outputs: int = eqx.field(static=True, default=1)

    def draw(self, inputs: Float[Array, "rows n"], *, key: Key[Array, ""]):
        low, high = _AMPLITUDES
        draws = jax.random.uniform(key, (2,))
        return {"amplitude": low + (high - low) * draws[0], "phase": jnp.pi * draws[1]}

    def answer(self, drawn, inputs: Float[Array, "rows n"]):
        return drawn["amplitude"] * jnp.sin(inputs - drawn["phase"]) / self.deviation


def sines(
    *, hidden: tuple[int, ...] = (40,), batch: int = 32, presentations: int = 200
) -> Regression:
    """Regression to a sine whose amplitude and phase each world draws.

    1,000 train, 500 validation and 500 test points are uniform in [-5, 5], drawn once and
    for all; amplitudes are uniform in [0.1, 5], phases in [0, pi]. Targets are divided by
    their deviation over all worlds, so that worlds of small amplitude remain small.

    Args:
        hidden: sizes of the hidden layers.
        batch: points in a presentation.
        presentations: length of a life.

    Raises:
        ValueError: if a size is not positive.

    Source: the family is that of Finn, Abbeel and Levine, "Model-agnostic meta-learning",
    ICML 2017.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.sines().body.layers
        (1, 40, 1)

        ```
    """
    check_sizes(batch=batch, presentations=presentations)
    train, validation, test, teacher = _parts()
    body = layered((1, 1), hidden)
    sizes = {"batch": batch, "presentations": presentations}
    return Regression(train, validation, test, teacher=teacher, body=body, **sizes)


@functools.cache
def _parts() -> tuple[Pairs, Pairs, Pairs, Sines]:
    rng = np.random.default_rng([*b"sines"])
    points = [rng.uniform(-_REACH, _REACH, (rows, 1)) for rows in _PARTS]
    # The mean over amplitudes and phases of the variance over the train points.
    low, high = _AMPLITUDES
    square = (high**3 - low**3) / (3 * (high - low))
    variance = square * (np.sin(points[0]).var() + np.cos(points[0]).var()) / 2
    with jax.ensure_compile_time_eval():  # what is cached must not belong to a trace
        train, validation, test = (Pairs(jnp.asarray(x, jnp.float32)) for x in points)
        deviation = jnp.asarray(np.sqrt(variance), jnp.float32)
        return train, validation, test, Sines(deviation=deviation)
