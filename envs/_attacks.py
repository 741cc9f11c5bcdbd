import abc
from collections.abc import Callable
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ..rules._check_sizes import check_sizes

Loss = Callable[[Float[Array, "rows n"]], Float[Array, ""]]


class AbstractAttack(eqx.Module):
    """What moves each row of inputs a little so that a network does badly on it."""

    @abc.abstractmethod
    def __call__(
        self,
        loss: Loss,
        inputs: Float[Array, "rows n"],
        *,
        low: Float[Array, "rows n"],
        high: Float[Array, "rows n"],
        key: Key[Array, ""],
    ) -> Float[Array, "rows n"]:
        """The attacked inputs.

        Args:
            loss: what is to grow, a differentiable mean over rows of inputs.
            inputs: shape `(rows, n)`.
            low, high: between which each entry may be moved, of the same shape.
            key: a PRNG key.

        Returns:
            Inputs of the same shape.
        """


@final
class FGSM(AbstractAttack):
    r"""The fast gradient sign method: $x + \epsilon\, \mathrm{sign}(\nabla_x L)$.

    Each entry goes as far as it may, up the gradient: nothing is stronger where the outputs
    are linear and two. Elsewhere the gradient turns on the way, and
    [`PGD`][plasticgym.envs.PGD] is stronger.

    ??? cite "Reference"

        Goodfellow, Shlens, Szegedy, "Explaining and harnessing adversarial examples",
        ICLR 2015.

    !!! example

        ```python
        >>> import jax, jax.numpy as jnp, plasticgym as pg
        >>> loss, x = lambda x: (x * jnp.array([[1.0, -3.0]])).mean(), jnp.zeros((1, 2))
        >>> pg.envs.FGSM()(loss, x, low=x - 0.5, high=x + 0.5, key=jax.random.key(0)).tolist()
        [[0.5, -0.5]]

        ```
    """

    def __call__(
        self,
        loss: Loss,
        inputs: Float[Array, "rows n"],
        *,
        low: Float[Array, "rows n"],
        high: Float[Array, "rows n"],
        key: Key[Array, ""],
    ) -> Float[Array, "rows n"]:
        up = jax.grad(loss)(inputs)
        return jnp.where(up > 0, high, jnp.where(up < 0, low, inputs))


@final
class PGD(AbstractAttack):
    r"""Projected gradient descent: many steps up the sign of the gradient.

    With $\Pi$ the projection to where entries may be, an interval of half width $\epsilon$
    each, and from a random point of it,

    $$x \leftarrow \Pi\big(x + \tfrac{2.5\, \epsilon}{\text{steps}}\,
    \mathrm{sign}(\nabla_x L)\big),$$

    so that every point can be reached from every other.

    **Arguments:**

    - `steps`: how many.

    **Raises:**

    - `ValueError`: if `steps` is not positive.

    ??? cite "Reference"

        Madry, Makelov, Schmidt, Tsipras, Vladu, "Towards deep learning models resistant to
        adversarial attacks", ICLR 2018.

    !!! example

        ```python
        >>> import jax, jax.numpy as jnp, plasticgym as pg
        >>> loss, x = lambda x: (x * jnp.array([[1.0, -3.0]])).mean(), jnp.zeros((1, 2))
        >>> pg.envs.PGD()(loss, x, low=x - 0.5, high=x + 0.5, key=jax.random.key(0)).tolist()
        [[0.5, -0.5]]

        ```
    """

    steps: int = eqx.field(static=True, default=20)

    def __check_init__(self):
        check_sizes(steps=self.steps)

    def __call__(
        self,
        loss: Loss,
        inputs: Float[Array, "rows n"],
        *,
        low: Float[Array, "rows n"],
        high: Float[Array, "rows n"],
        key: Key[Array, ""],
    ) -> Float[Array, "rows n"]:
        def step(x, _):
            return jnp.clip(x + stride * jnp.sign(jax.grad(loss)(x)), low, high), None

        stride = (2.5 / self.steps) * (high - low) / 2
        start = low + (high - low) * jax.random.uniform(key, inputs.shape, inputs.dtype)
        return jax.lax.scan(step, start, length=self.steps)[0]
