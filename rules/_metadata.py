import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from ._mixing import Measure, rows_as_vectors

_GAIN = 10.0  # a tenth more is right counts as 1
_SMALL = 1e-12


def metadata(
    agreed: PyTree, proposed: PyTree, measure: Measure
) -> tuple[Float[Array, "replicas 3"], Bool[Array, " replicas"]]:
    """What is known of replicas without looking into them, and which of them are finite.

    Of each: ten times its accuracy minus the mean one at the last mixing, the logarithm of
    the norm of what it learned since over the mean norm, and the cosine of that to the mean.
    """
    learned = rows_as_vectors(jax.tree.map(jnp.subtract, proposed, agreed))
    sound = jnp.isfinite(learned).all(1)
    learned = jnp.where(sound[:, None], learned, 0.0)
    accuracy = _GAIN * (measure(proposed) - measure(agreed).mean())
    norms = jnp.sqrt(jnp.square(learned).sum(1) + _SMALL)
    mean = learned.mean(0)
    cosine = learned @ mean / (norms * jnp.sqrt(jnp.square(mean).sum() + _SMALL))
    return jnp.stack([accuracy, jnp.log(norms / norms.mean()), cosine], 1), sound
