from typing import NamedTuple

from jaxtyping import Array, Float


class LocalView(NamedTuple):
    """What one synapse can see in one row of a batch; every entry is a scalar.

    What the method `change` of a rule is a function of, see
    [`AbstractRule`][plasticgym.rules.AbstractRule].

    **Arguments:**

    - `pre`, `post`: the activities of its two neurons; the unit of the biases has `pre` 1.
    - `weight`: its own.
    - `error`: what was fed back to its `post` neuron; 0 under rules that feed nothing back.
    - `reward`: the scalar that is broadcast.
    - `target`: what its `post` neuron should be; 0 below the outputs.

    !!! example

        ```python
        >>> import jax.numpy as jnp
        >>> from plasticgym.rules import LocalView, Oja
        >>> zero = jnp.zeros(())
        >>> view = LocalView(jnp.ones(()), 2 * jnp.ones(()), zero, zero, zero, zero)
        >>> float(Oja(rate=0.5).change(view))  # rate post (pre - post weight)
        1.0

        ```
    """

    pre: Float[Array, ""]
    post: Float[Array, ""]
    weight: Float[Array, ""]
    error: Float[Array, ""]
    reward: Float[Array, ""]
    target: Float[Array, ""]
