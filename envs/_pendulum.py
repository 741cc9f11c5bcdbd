import math
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._changes import Ranges
from ._control import Control, control
from ._dynamics import AbstractDynamics, Factors, mean_reward

_STEP = 0.05  # seconds
_GRAVITY, _TORQUE, _FASTEST = 10.0, 2.0, 8.0


@final
class Pendulum(AbstractDynamics[Float[Array, "2"]]):
    r"""A rod that hangs from one end and is turned by a motor too weak to lift it at once.

    With angle $\theta$ from upright, the output clipped to $[-1, 1]$ giving the torque
    $u \in [-2, 2]$, mass $m$ and length $l$,

    $$\ddot\theta = \frac{3 g}{2 l} \sin\theta + \frac{3}{m l^2} u, \qquad
    r = -(\theta^2 + 0.1\, \dot\theta^2 + 0.001\, u^2),$$

    the angle in $(-\pi, \pi]$ and the reward of the state before the step; steps are of 0.05
    s, and $|\dot\theta| \le 8$. Episodes begin anywhere and last 200 steps. Sensors feel
    $(\cos\theta, \sin\theta, \dot\theta / 8)$.
    """

    sensors: int = eqx.field(static=True, default=3)
    outputs: int = eqx.field(static=True, default=1)
    limit: int = eqx.field(static=True, default=200)
    beginnings: int = eqx.field(static=True, default=32)
    parameters: tuple[str, ...] = eqx.field(static=True, default=("gravity", "mass", "length"))
    legs: tuple[tuple[int, ...], ...] = eqx.field(static=True, default=())
    chance: float = eqx.field(static=True, default=-6.13)
    best: float = eqx.field(static=True, default=-0.70)

    def reset(self, *, key: Key[Array, ""]) -> Float[Array, "2"]:
        return jax.random.uniform(key, (2,), float, -1.0, 1.0) * jnp.array([math.pi, 1.0])

    def sense(self, physics: Float[Array, "2"]) -> Float[Array, "3"]:
        angle, spin = physics
        return jnp.stack([jnp.cos(angle), jnp.sin(angle), spin / _FASTEST])

    def move(self, physics: Float[Array, "2"], outputs: Float[Array, "1"], factors: Factors):
        g, m, length = (factors.get(name, 1.0) for name in self.parameters)
        angle, spin = physics
        u = _TORQUE * jnp.clip(outputs[0], -1.0, 1.0)
        away = (angle + math.pi) % (2 * math.pi) - math.pi
        reward = -(away**2 + 0.1 * spin**2 + 0.001 * u**2)
        turn = 1.5 * g * _GRAVITY / length * jnp.sin(angle) + 3.0 / (m * length**2) * u
        spin = jnp.clip(spin + _STEP * turn, -_FASTEST, _FASTEST)
        return jnp.stack([angle + _STEP * spin, spin]), reward, jnp.zeros((), bool)

    def reversed(self, outputs: Float[Array, "1"]) -> Float[Array, "1"]:
        return -outputs

    def score(self, rewards: Float[Array, " presentations"]) -> Float[Array, ""]:
        return mean_reward(rewards)


def pendulum(
    *,
    hidden: tuple[int, ...] = (16,),
    batch: int = 1,
    presentations: int = 1000,
    changes: Ranges | None = None,
    damages: tuple[str, ...] = ("intact",),
    at: int = 0,
) -> Control:
    """A pendulum to be swung up and held there, in episodes of 200 steps.

    How it moves is told in [`Pendulum`][plasticgym.envs.Pendulum]; gravity, mass and length
    may change.

    Args:
        hidden: sizes of the hidden layers.
        batch: pendulums that one network moves at once.
        presentations: length of a life, in steps.
        changes: as in [`Changes`][plasticgym.envs.Changes].
        damages: of which each world draws one, as in [`Changes`][plasticgym.envs.Changes].
        at: the presentation from which on the body is changed and damaged.

    Raises:
        ValueError: if a size is not positive, or a change or damage is not one of this body.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.pendulum(changes={"mass": (0.7, 1.4)}).body.layers
        (3, 16, 1)

        ```
    """
    return control(
        Pendulum(), hidden, batch, presentations, changes=changes, damages=damages, at=at
    )
