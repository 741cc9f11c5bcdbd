import math
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._changes import Ranges
from ._control import Control, control
from ._dynamics import AbstractDynamics, Factors, few_falls

_STEP = 0.02  # seconds
_FORCE = 10.0
_GRAVITY, _CART, _POLE, _HALF = 9.8, 1.0, 0.1, 0.5
_EDGE, _LEAN = 2.4, math.radians(12.0)
_SCALE = (_EDGE, 2.0, _LEAN, 2.0)


@final
class CartPole(AbstractDynamics[Float[Array, "4"]]):
    r"""A pole on a cart that is pushed left or right: output 1 or 2, whichever is larger.

    With position $x$, angle $\theta$, force $F$, cart $m_c$, pole $m$ of half length $l$,

    $$f = \frac{F + m l \dot\theta^2 \sin\theta}{m_c + m}, \quad
    \ddot\theta = \frac{g \sin\theta - f \cos\theta}
    {l\,(\frac43 - \frac{m \cos^2\theta}{m_c + m})}, \quad
    \ddot x = f - \frac{m l\, \ddot\theta \cos\theta}{m_c + m},$$

    by Euler's method in steps of 0.02 s. Beyond 2.4 m or 12 degrees it falls, which is paid
    -1; all else is paid 0. Sensors feel $(x, \dot x, \theta, \dot\theta)$ in multiples of
    2.4, 2, 12 degrees and 2.

    ??? cite "Reference"

        Barto, Sutton, Anderson, "Neuronlike adaptive elements that can solve difficult
        learning control problems", IEEE Transactions on Systems, Man, and Cybernetics 1983.
    """

    sensors: int = eqx.field(static=True, default=4)
    outputs: int = eqx.field(static=True, default=2)
    limit: int = eqx.field(static=True, default=500)
    beginnings: int = eqx.field(static=True, default=32)
    parameters: tuple[str, ...] = eqx.field(
        static=True, default=("gravity", "mass", "length", "force")
    )
    legs: tuple[tuple[int, ...], ...] = eqx.field(static=True, default=())
    chance: float = eqx.field(static=True, default=0.104)
    best: float = eqx.field(static=True, default=1.0)

    def reset(self, *, key: Key[Array, ""]) -> Float[Array, "4"]:
        return jax.random.uniform(key, (4,), float, -0.05, 0.05)

    def sense(self, physics: Float[Array, "4"]) -> Float[Array, "4"]:
        return physics / jnp.asarray(_SCALE)

    def move(self, physics: Float[Array, "4"], outputs: Float[Array, "2"], factors: Factors):
        g, pole, half, push = (factors.get(name, 1.0) for name in self.parameters)
        g, pole, half, push = g * _GRAVITY, pole * _POLE, half * _HALF, push * _FORCE
        _, v, angle, spin = physics
        force = jnp.where(outputs[1] > outputs[0], push, -push)
        sin, cos, total = jnp.sin(angle), jnp.cos(angle), _CART + pole
        f = (force + pole * half * spin**2 * sin) / total
        turn = (g * sin - f * cos) / (half * (4 / 3 - pole * cos**2 / total))
        push = f - pole * half * turn * cos / total
        moved = physics + _STEP * jnp.stack([v, push, spin, turn])
        over = (jnp.abs(moved[0]) > _EDGE) | (jnp.abs(moved[2]) > _LEAN)
        return moved, -over.astype(moved.dtype), over

    def reversed(self, outputs: Float[Array, "2"]) -> Float[Array, "2"]:
        return outputs[::-1]

    def score(self, rewards: Float[Array, " presentations"]) -> Float[Array, ""]:
        return few_falls(rewards)


def cart_pole(
    *,
    hidden: tuple[int, ...] = (16,),
    batch: int = 1,
    presentations: int = 1000,
    changes: Ranges | None = None,
    damages: tuple[str, ...] = ("intact",),
    at: int = 0,
) -> Control:
    """A pole to be kept upright on a cart, which falls at chance some nine times in 200 steps.

    How it moves is told in [`CartPole`][plasticgym.envs.CartPole]; gravity, the mass and
    length of its pole, and the force may change.

    Args:
        hidden: sizes of the hidden layers.
        batch: carts that one network moves at once.
        presentations: length of a life, in steps.
        changes: as in [`Changes`][plasticgym.envs.Changes].
        damages: of which each world draws one, as in [`Changes`][plasticgym.envs.Changes].
        at: the presentation from which on the body is changed and damaged.

    Raises:
        ValueError: if a size is not positive, or a change or damage is not one of this body.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.cart_pole(damages=("reversed",), at=500).body.layers
        (4, 16, 2)

        ```
    """
    return control(
        CartPole(), hidden, batch, presentations, changes=changes, damages=damages, at=at
    )
