import math
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._changes import Ranges
from ._control import Control, control
from ._dynamics import AbstractDynamics, Factors, mean_reward

_STEP = 0.2  # seconds
_GRAVITY = 9.8
_FASTEST = (4 * math.pi, 9 * math.pi)


@final
class Acrobot(AbstractDynamics[Float[Array, "4"]]):
    r"""Two links that hang from one end, with a motor between them: swing the other end up.

    The largest of three outputs sets the torque $a$ to -1, 0 or 1. With both links of mass
    $m$, length $l$, centre of mass at $c = l / 2$ and inertia $I = m l^2$,

    $$\begin{aligned}
    d_1 &= m c^2 + m (l^2 + c^2 + 2 l c \cos\theta_2) + 2 I, \quad
    d_2 = m (c^2 + l c \cos\theta_2) + I, \\
    \phi_2 &= m c g \sin(\theta_1 + \theta_2), \quad
    \phi_1 = -m l c\, \dot\theta_2 (\dot\theta_2 + 2 \dot\theta_1) \sin\theta_2
      + m (c + length) g \sin\theta_1 + \phi_2, \\
    \ddot\theta_2 &= \frac{a + \phi_1 d_2 / d_1 - m l c\, \dot\theta_1^2 \sin\theta_2
      - \phi_2}{m c^2 + I - d_2^2 / d_1}, \quad
    \ddot\theta_1 = -\frac{d_2 \ddot\theta_2 + \phi_1}{d_1},
    \end{aligned}$$

    by a fourth-order Runge-Kutta step of 0.2 s. The episode is over, and paid 1, when the
    end is a length above the pivot, $-\cos\theta_1 - \cos(\theta_1 + \theta_2) > 1$; all
    else is paid 0. Sensors feel cosine and sine of both angles, and the speeds in multiples
    of $4\pi$ and $9\pi$, which they cannot exceed.

    ??? cite "Reference"

        Sutton, "Generalization in reinforcement learning: successful examples using sparse
        coarse coding", NeurIPS 1996.
    """

    sensors: int = eqx.field(static=True, default=6)
    outputs: int = eqx.field(static=True, default=3)
    limit: int = eqx.field(static=True, default=500)
    beginnings: int = eqx.field(static=True, default=32)
    parameters: tuple[str, ...] = eqx.field(static=True, default=("gravity", "mass", "length"))
    legs: tuple[tuple[int, ...], ...] = eqx.field(static=True, default=())
    chance: float = eqx.field(static=True, default=0.0001)
    best: float = eqx.field(static=True, default=0.0127)

    def reset(self, *, key: Key[Array, ""]) -> Float[Array, "4"]:
        return jax.random.uniform(key, (4,), float, -0.1, 0.1)

    def sense(self, physics: Float[Array, "4"]) -> Float[Array, "6"]:
        one, two, *speeds = physics
        angles = [jnp.cos(one), jnp.sin(one), jnp.cos(two), jnp.sin(two)]
        return jnp.stack([*angles, speeds[0] / _FASTEST[0], speeds[1] / _FASTEST[1]])

    def move(self, physics: Float[Array, "4"], outputs: Float[Array, "3"], factors: Factors):
        torque = jnp.argmax(outputs).astype(physics.dtype) - 1.0
        k1 = self._slope(physics, torque, factors)
        k2 = self._slope(physics + _STEP / 2 * k1, torque, factors)
        k3 = self._slope(physics + _STEP / 2 * k2, torque, factors)
        k4 = self._slope(physics + _STEP * k3, torque, factors)
        moved = physics + _STEP / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        angles = (moved[:2] + math.pi) % (2 * math.pi) - math.pi
        fastest = jnp.asarray(_FASTEST, physics.dtype)
        moved = jnp.concatenate([angles, jnp.clip(moved[2:], -fastest, fastest)])
        over = -jnp.cos(angles[0]) - jnp.cos(angles[0] + angles[1]) > 1.0
        return moved, over.astype(moved.dtype), over

    def reversed(self, outputs: Float[Array, "3"]) -> Float[Array, "3"]:
        return outputs[::-1]

    def score(self, rewards: Float[Array, " presentations"]) -> Float[Array, ""]:
        return mean_reward(rewards)

    def _slope(self, physics: Float[Array, "4"], torque: Float[Array, ""], factors: Factors):
        g, m, length = (factors.get(name, 1.0) for name in self.parameters)
        c, inertia = length / 2, m * length**2
        one, two, speed_one, speed_two = physics
        sin, cos, weight = jnp.sin(two), jnp.cos(two), m * g * _GRAVITY
        d1 = m * c**2 + m * (length**2 + c**2 + 2 * length * c * cos) + 2 * inertia
        d2 = m * (c**2 + length * c * cos) + inertia
        phi2 = weight * c * jnp.sin(one + two)
        phi1 = -m * length * c * speed_two * (speed_two + 2 * speed_one) * sin
        phi1 = phi1 + weight * (c + length) * jnp.sin(one) + phi2
        turn_two = torque + phi1 * d2 / d1 - m * length * c * speed_one**2 * sin - phi2
        turn_two = turn_two / (m * c**2 + inertia - d2**2 / d1)
        turn_one = -(d2 * turn_two + phi1) / d1
        return jnp.stack([speed_one, speed_two, turn_one, turn_two])


def acrobot(
    *,
    hidden: tuple[int, ...] = (16,),
    batch: int = 1,
    presentations: int = 1000,
    changes: Ranges | None = None,
    damages: tuple[str, ...] = ("intact",),
    at: int = 0,
) -> Control:
    """Two links whose free end is to be swung up, again and again.

    How they move is told in [`Acrobot`][plasticgym.envs.Acrobot]; gravity, masses and lengths
    may change.

    Args:
        hidden: sizes of the hidden layers.
        batch: acrobots that one network moves at once.
        presentations: length of a life, in steps.
        changes: as in [`Changes`][plasticgym.envs.Changes].
        damages: of which each world draws one, as in [`Changes`][plasticgym.envs.Changes].
        at: the presentation from which on the body is changed and damaged.

    Raises:
        ValueError: if a size is not positive, or a change or damage is not one of this body.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.acrobot().body.layers
        (6, 16, 3)

        ```
    """
    return control(
        Acrobot(), hidden, batch, presentations, changes=changes, damages=damages, at=at
    )
