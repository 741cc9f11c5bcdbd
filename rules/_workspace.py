from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from ._check_sizes import check_sizes
from ._gene import gene, real
from ._router import AbstractRouter, winners
from ._unit import unit


@final
class Workspace(AbstractRouter):
    r"""Routes through a shared workspace: an associative memory with a slot per module.

    With rows $M_m$ of length 1 and $\hat x$ a token of length 1, reading completes it and
    writing moves the slots that it is nearest to:

    $$r = M^T \mathrm{softmax}(\beta M \hat x), \qquad
    M_m \leftarrow \mathrm{unit}\big(\lambda M_m + (1 - \lambda) \langle \hat x \rangle_m
    \big),$$

    the mean over the tokens that won slot $m$: slots compete for tokens, and each is won by
    the `top` ones nearest to it. It goes to the module whose slot is nearest to what was
    read, which may be another. No gradient enters the memory. Reading is the update of a
    modern Hopfield network and never raises its energy,
    $\tfrac12 |x|^2 - \tfrac1\beta \log \sum_m e^{\beta M_m \cdot x}$.

    **Arguments:**

    - `beta`: $\beta$, the sharpness of reading.
    - `keep`: $\lambda$, in (0, 1).
    - `top`: how many slots a token writes to.

    **Raises:**

    - `ValueError`: if `beta` or `top` is not positive, or `keep` not in (0, 1).

    ??? cite "Reference"

        Sun, Ochiai, Wu, Lin, Kanai, "Associative transformer", arXiv 2309.12862, 2023.
        Ramsauer et al., "Hopfield networks is all you need", ICLR 2021.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> float(pg.rules.Workspace(beta=4.0).beta)
        4.0

        ```
    """

    beta: Float[Array, ""] = eqx.field(default=8.0, converter=real, metadata=gene("log"))
    keep: Float[Array, ""] = eqx.field(default=0.9, converter=real, metadata=gene("logit"))
    top: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        check_sizes(top=self.top)

    def init(self, modules: int, width: int, *, key: Key[Array, ""]):
        if self.top > modules:
            raise ValueError(f"`top` must be at most {modules} modules, got {self.top}.")
        return unit(jax.random.normal(key, (modules, width)))

    def route(self, memory: Float[Array, "slots width"], tokens: Float[Array, "rows width"]):
        return winners(memory @ self.read(memory, unit(tokens)).T)

    def read(
        self, memory: Float[Array, "slots width"], queries: Float[Array, "rows width"]
    ) -> Float[Array, "rows width"]:
        """What the memory makes of queries: one step of a Hopfield network."""
        return jax.nn.softmax(self.beta * queries @ memory.T) @ memory

    def energy(
        self, memory: Float[Array, "slots width"], queries: Float[Array, "rows width"]
    ) -> Float[Array, " rows"]:
        """What reading never raises."""
        met = jax.nn.logsumexp(self.beta * queries @ memory.T, axis=1)
        return jnp.square(queries).sum(1) / 2 - met / self.beta

    def learn(
        self,
        memory: Float[Array, "slots width"],
        tokens: Float[Array, "rows width"],
        chosen: Bool[Array, "modules rows"],
    ) -> Float[Array, "slots width"]:
        x = jax.lax.stop_gradient(unit(tokens))
        _, won = jax.lax.top_k(x @ memory.T, self.top)
        mine = jax.nn.one_hot(won, memory.shape[0]).sum(1)
        total = mine.sum(0)
        mean = mine.T @ x / jnp.maximum(total, 1.0)[:, None]
        written = unit(self.keep * memory + (1.0 - self.keep) * mean)
        return jnp.where(total[:, None] > 0, written, memory)
