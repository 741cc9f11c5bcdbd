import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


class Recalled(eqx.Module):
    r"""What a network recalled of snippets that were stored and of as many never shown.

    **Arguments:**

    - `loss`: the mean logistic loss of the missing bits of those stored.
    - `stored`, `unseen`: the shares of missing bits that were right; chance is one half.

    !!! example

        ```python
        >>> import jax.numpy as jnp
        >>> import plasticgym as pg
        >>> half = jnp.asarray(0.5)
        >>> float(pg.envs.Recalled(loss=half, stored=jnp.ones(()), unseen=half).share)
        1.0

        ```
    """

    loss: Float[Array, "*lives"]
    stored: Float[Array, "*lives"]
    unseen: Float[Array, "*lives"]

    @classmethod
    def of(
        cls,
        logits: Float[Array, "asked snippet bits"],
        bits: Float[Array, "asked snippet bits"],
        missing: Bool[Array, "asked snippet bits"],
    ) -> "Recalled":
        """From the outputs for stored snippets, which stand first, and for as many others."""
        right = jnp.where(missing, rightness(logits, bits), 0.0)
        losses = jnp.where(missing, logistic(logits, bits), 0.0)
        (stored, unseen), (loss, _), (asked, others) = (
            x.reshape(2, -1).sum(1) for x in (right, losses, missing.astype(logits.dtype))
        )
        return cls(loss / asked, stored / asked, unseen / others)

    @property
    def share(self) -> Float[Array, "*lives"]:
        """Of a missing bit, what is remembered: $H(e_0) - H(e)$."""
        return entropy(1.0 - self.unseen) - entropy(1.0 - self.stored)


def entropy(error: Float[Array, "*lives"]) -> Float[Array, "*lives"]:
    """Of a bit that is wrong so often, in bits; more than one half counts as one half."""
    e = jnp.clip(error, 0.0, 0.5)
    return -(jax.scipy.special.xlogy(e, e) + jax.scipy.special.xlog1py(1 - e, -e)) / jnp.log(
        2.0
    )


def logistic(
    logits: Float[Array, "*bits"], bits: Float[Array, "*bits"]
) -> Float[Array, "*bits"]:
    """The logistic loss of each bit."""
    return jax.nn.softplus(-bits * logits)


def rightness(
    logits: Float[Array, "*bits"], bits: Float[Array, "*bits"]
) -> Float[Array, "*bits"]:
    """1.0 where the sign is right, 0.5 where there is none."""
    return 0.5 * (1.0 + jnp.sign(logits) * bits)


def asked_of(mask: Bool[Array, " bits"]) -> Float[Array, " bits"]:
    """1.0 for the bits that are asked for: those that are free, or all if none is."""
    return (~mask | mask.all()).astype(float)
