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

_PARTS = (1000, 500, 500)
_GAIN = 2.0  # of the teacher's hidden sums: far enough from linear


@final
class Networks(AbstractTeacher):
    r"""Answers $\tanh(x U + b) V$ with normal $U$, $b$, $V$ drawn per world, standardised.

    Sums of hidden units have deviation 2 without $b$, and $b$ has 1. In each world every
    answer is given mean 0 and deviation 1 over the train part.
    """

    units: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True)

    def draw(self, inputs: Float[Array, "rows n"], *, key: Key[Array, ""]):
        n = inputs.shape[1]
        first, bias, second = jax.random.split(key, 3)
        drawn = {
            "first": jax.random.normal(first, (n, self.units)) * (_GAIN / n**0.5),
            "bias": jax.random.normal(bias, (self.units,)),
            "second": jax.random.normal(second, (self.units, self.outputs)),
            "mean": jnp.zeros(self.outputs),
            "deviation": jnp.ones(self.outputs),
        }
        raw = self.answer(drawn, inputs)
        return drawn | {"mean": raw.mean(0), "deviation": raw.std(0)}

    def answer(self, drawn, inputs: Float[Array, "rows n"]):
        hidden = jnp.tanh(inputs @ drawn["first"] + drawn["bias"][None])
        raw = hidden @ drawn["second"]
        return (raw - drawn["mean"][None]) / drawn["deviation"][None]


def teacher(
    *,
    hidden: tuple[int, ...] = (32,),
    batch: int = 32,
    presentations: int = 200,
    inputs: int = 8,
    units: int = 16,
    outputs: int = 1,
) -> Regression:
    """Regression to a random network with one hidden layer, which each world draws.

    1,000 train, 500 validation and 500 test inputs are standard normal, drawn once and for
    all per number of inputs. Targets have mean 0 and deviation 1 in each world.

    Args:
        hidden: sizes of the hidden layers of the network that learns.
        batch: inputs in a presentation.
        presentations: length of a life.
        inputs: of both networks.
        units: hidden units of the teacher, of tanh.
        outputs: of both networks.

    Raises:
        ValueError: if a size is not positive.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.teacher(inputs=4, outputs=2).body.layers
        (4, 32, 2)

        ```
    """
    sizes = {"batch": batch, "presentations": presentations}
    check_sizes(**sizes, inputs=inputs, units=units, outputs=outputs)
    body, network = layered((inputs, outputs), hidden), Networks(units, outputs)
    return Regression(*_parts(inputs), teacher=network, body=body, **sizes)


@functools.cache
def _parts(inputs: int) -> tuple[Pairs, Pairs, Pairs]:
    rng = np.random.default_rng([*b"teacher", inputs])
    drawn = [rng.normal(size=(rows, inputs)) for rows in _PARTS]
    with jax.ensure_compile_time_eval():  # what is cached must not belong to a trace
        train, validation, test = (Pairs(jnp.asarray(x, jnp.float32)) for x in drawn)
    return train, validation, test
