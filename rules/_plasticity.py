from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._forgetting import AbstractForgetting
from ._gene import check_genes, gene, real, real_or_none

_SMALL = 1e-12  # under the root of a norm, so that what is zero stays zero


@final
class Plasticity(eqx.Module):
    r"""How the synapses of BLUR change, from the states of the neurons they join.

    With $a_i$, $a_j$ the states of the neurons before and behind a synapse and $t$ the
    presentations so far,

    $$\begin{aligned}
    H_{ij}^c &= \big\langle \textstyle\sum_e a_i^e \tilde\nu_{ec}\,
      \sum_d \tilde\mu_{cd} a_j^d \big\rangle - |m| W_{ij}^c S_j, \\
    W_{ij}^c &\leftarrow \tilde f_c\, W_{ij}^c + \frac{\tilde\eta_c}{1 + d_c t} H_{ij}^c,
    \end{aligned}$$

    the mean over the batch.

    **Arguments:**

    - `pre`, `post`: $\tilde\nu$ and $\tilde\mu$, shape `(k, k)`: what a synapse correlates.
    - `keep`, `rate`: $\tilde f$ and $\tilde\eta$: numbers, or vectors with an entry per
      state of a synapse.
    - `decay`: $d$, of the same kind; `None` for rates that stay.
    - `forgetting`: gives $|m| W_{ij} S_j$; `None` for none.

    **Raises:**

    - `ValueError`: if a shape does not fit or a rate or decay is not positive.

    !!! example

        ```python
        >>> import jax.numpy as jnp, plasticgym as pg
        >>> pg.rules.Plasticity(jnp.eye(2), jnp.eye(2), rate=[0.1, 0.01]).rate.shape
        (2,)

        ```
    """

    pre: Float[Array, "k k"] = eqx.field(converter=real, metadata=gene(unit=0.3))
    post: Float[Array, "k k"] = eqx.field(converter=real, metadata=gene(unit=0.3))
    keep: Float[Array, "*m"] = eqx.field(default=1.0, converter=real, metadata=gene(unit=0.01))
    rate: Float[Array, "*m"] = eqx.field(default=0.1, converter=real, metadata=gene("log"))
    decay: Float[Array, "*m"] | None = eqx.field(
        default=None, converter=real_or_none, metadata=gene("log")
    )
    forgetting: AbstractForgetting | None = None

    def __check_init__(self):
        check_genes(self)

    def check(self, states: int, synapse_states: int) -> None:
        """Raises a `ValueError` unless it fits neurons and synapses of so many states."""
        for name in ("pre", "post"):
            shape = jnp.shape(getattr(self, name))
            if shape != (states, states):
                raise ValueError(f"`{name}` must have shape ({states}, {states}), got {shape}.")
        for name in ("keep", "rate", "decay"):
            value = getattr(self, name)
            if value is not None and jnp.shape(value) not in ((), (synapse_states,)):
                raise ValueError(
                    f"`{name}` must be a number or have shape ({synapse_states},), got shape "
                    f"{jnp.shape(value)}."
                )

    def scaled(self, synapse_states: int) -> "Plasticity":
        r"""With matrices whose scales one rate could make good for brought to one.

        Of what so many states use, columns of $\tilde\nu$ get length 1 (columns of zeros
        stay) and $\tilde\mu$ the norm $\sqrt m$. Where each state has a rate of its own,
        these and the rows of $\tilde\mu$ can still make good for each other.
        """
        m = synapse_states
        pre, post = self.pre[:, :m], self.post[:m]
        pre = pre * jax.lax.rsqrt(jnp.square(pre).sum(0) + _SMALL)[None]
        post = post * jnp.sqrt(float(m)) * jax.lax.rsqrt(jnp.square(post).sum() + _SMALL)
        new = self.pre.at[:, :m].set(pre), self.post.at[:m].set(post)
        return eqx.tree_at(lambda s: (s.pre, s.post), self, new)

    def changed(
        self,
        weights: Float[Array, "m pre post"],
        a: Float[Array, "k batch pre"],
        b: Float[Array, "k batch post"],
        time: Float[Array, ""] | None,
    ) -> Float[Array, "m pre post"]:
        """The new weights of synapses from neurons with states `a` to others with `b`."""
        m, batch = weights.shape[0], a.shape[1]
        rate = self.rate
        if self.decay is not None and time is not None:
            rate = rate / (1.0 + self.decay * time)
        pre = mix(a, self.pre[:, :m])
        post = mix(b, self.post[:m].T)
        # The rate joins the small factor, so that the large product is scaled for nothing.
        hebb = jnp.swapaxes(pre, 1, 2) @ (post * _per_state(rate / batch))
        if self.forgetting is not None:
            hebb = hebb - _per_state(rate) * self.forgetting(weights, post)
        return _per_state(self.keep) * weights + hebb


def mix(
    states: Float[Array, "k batch n"], matrix: Float[Array, "k c"]
) -> Float[Array, "c batch n"]:
    r"""$\sum_d a^d M_{dc}$: states into channels, as a sum that fuses with its neighbours."""
    k, channels = matrix.shape
    return jnp.stack([sum(states[d] * matrix[d, c] for d in range(k)) for c in range(channels)])


def _per_state(value: Float[Array, "*m"]) -> Float[Array, "..."]:
    """Aligned with `(m, pre, post)`: a number stays one."""
    return value if value.ndim == 0 else value[:, None, None]
