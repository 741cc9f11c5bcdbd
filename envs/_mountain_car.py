from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._changes import Ranges
from ._control import Control, control
from ._dynamics import AbstractDynamics, Factors, mean_reward

_GRAVITY, _FORCE = 0.0025, 0.001
_LEFT, _RIGHT, _GOAL, _FASTEST = -1.2, 0.6, 0.5, 0.07


@final
class MountainCar(AbstractDynamics[Float[Array, "2"]]):
    r"""A car in a valley, too weak to leave it without swinging to and fro.

    The largest of three outputs sets the push $a$ to -1, 0 or 1. With position $x$ and
    speed $v$, a step is

    $$v \leftarrow v + f a - g \cos 3x, \qquad x \leftarrow x + v, \qquad
    g = 0.0025,\ f = 0.001,$$

    $|v| \le 0.07$, and $x \in [-1.2, 0.6]$; the left end stops it. From 0.5 on it has
    arrived, which is paid 1 and ends the episode; all else is paid 0. Sensors feel
    $(x + 0.3) / 0.9$ and $v / 0.07$.

    ??? cite "Reference"

        Moore, "Efficient memory-based learning for robot control", 1990.
    """

    sensors: int = eqx.field(static=True, default=2)
    outputs: int = eqx.field(static=True, default=3)
    limit: int = eqx.field(static=True, default=200)
    beginnings: int = eqx.field(static=True, default=32)
    parameters: tuple[str, ...] = eqx.field(static=True, default=("gravity", "force"))
    legs: tuple[tuple[int, ...], ...] = eqx.field(static=True, default=())
    chance: float = eqx.field(static=True, default=0.0)
    best: float = eqx.field(static=True, default=0.0103)

    def reset(self, *, key: Key[Array, ""]) -> Float[Array, "2"]:
        return jnp.stack([jax.random.uniform(key, (), float, -0.6, -0.4), jnp.zeros(())])

    def sense(self, physics: Float[Array, "2"]) -> Float[Array, "2"]:
        x, v = physics
        return jnp.stack([(x + 0.3) / 0.9, v / _FASTEST])

    def move(self, physics: Float[Array, "2"], outputs: Float[Array, "3"], factors: Factors):
        g, f = (factors.get(name, 1.0) for name in self.parameters)
        x, v = physics
        a = jnp.argmax(outputs).astype(physics.dtype) - 1.0
        v = v + f * _FORCE * a - g * _GRAVITY * jnp.cos(3.0 * x)
        v = jnp.clip(v, -_FASTEST, _FASTEST)
        x = jnp.clip(x + v, _LEFT, _RIGHT)
        v = jnp.where((x <= _LEFT) & (v < 0.0), 0.0, v)
        over = (x >= _GOAL) & (v >= 0.0)
        return jnp.stack([x, v]), over.astype(physics.dtype), over

    def reversed(self, outputs: Float[Array, "3"]) -> Float[Array, "3"]:
        return outputs[::-1]

    def score(self, rewards: Float[Array, " presentations"]) -> Float[Array, ""]:
        return mean_reward(rewards)


def mountain_car(
    *,
    hidden: tuple[int, ...] = (16,),
    batch: int = 1,
    presentations: int = 1000,
    changes: Ranges | None = None,
    damages: tuple[str, ...] = ("intact",),
    at: int = 0,
) -> Control:
    """A car that is to leave a valley, again and again.

    How it moves is told in [`MountainCar`][plasticgym.envs.MountainCar]; gravity and the force
    of its engine may change.

    Args:
        hidden: sizes of the hidden layers.
        batch: cars that one network moves at once.
        presentations: length of a life, in steps.
        changes: as in [`Changes`][plasticgym.envs.Changes].
        damages: of which each world draws one, as in [`Changes`][plasticgym.envs.Changes].
        at: the presentation from which on the body is changed and damaged.

    Raises:
        ValueError: if a size is not positive, or a change or damage is not one of this body.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.mountain_car().body.layers
        (2, 16, 3)

        ```
    """
    return control(
        MountainCar(), hidden, batch, presentations, changes=changes, damages=damages, at=at
    )
