import jax.numpy as jnp
from jaxtyping import Array, Float

Synapse = dict[str, Float[Array, "pre post"]]


def adam_step(
    synapse: Synapse,
    descent: Float[Array, "pre post"],
    time: Float[Array, ""],
    *,
    rate: Float[Array, ""],
    decays: tuple[Float[Array, ""], Float[Array, ""]],
    epsilon: Float[Array, ""],
) -> Synapse:
    """A block after step `time` of Adam, the first being 1; `descent` is minus its gradient."""
    (b1, b2), t = decays, time
    m = b1 * synapse["mean"] + (1.0 - b1) * descent
    v = b2 * synapse["square"] + (1.0 - b2) * descent**2
    # A root has no slope at 0, where a pixel that never changes is: a meta-gradient needs one.
    root = jnp.sqrt(v / (1.0 - b2**t) + jnp.finfo(v.dtype).tiny)
    step = (m / (1.0 - b1**t)) / (root + epsilon)
    return {"weight": synapse["weight"] + rate * step, "mean": m, "square": v}
