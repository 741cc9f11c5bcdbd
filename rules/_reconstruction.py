from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from ._check_sizes import check_sizes
from ._gene import gene, real
from ._router import AbstractRouter, winners
from ._unit import unit

_Memory = dict[str, Array]


@final
class Reconstruction(AbstractRouter):
    r"""Routes by reconstruction: each module has a small autoencoder, and the best one wins.

    With $\hat x$ a token of length 1 and $D_m$ what module $m$ knows, of `rank` columns,

    $$\epsilon_m = |\hat x - D_m D_m^T \hat x|^2, \qquad
    \Delta D_m = \eta\, \big\langle (\hat x - D_m D_m^T \hat x)\, (D_m^T \hat x)^T
    \big\rangle,$$

    the mean over the tokens that went to $m$: Oja's subspace rule, whose columns come to
    span the leading principal components of its tokens. A token goes to the module in use
    with the least $\epsilon$. Where even that is more than `novelty`, a module that was
    never used begins with the first such token as what it knows: from then on it takes
    part. A presentation brings one new module into use at most.

    **Arguments:**

    - `rate`: $\eta$.
    - `novelty`: in (0, 1).
    - `rank`: columns of $D$.

    **Raises:**

    - `ValueError`: if the rate is not positive, the novelty is not in (0, 1) or the rank
      is not positive.

    ??? cite "Reference"

        Sun, Sakuma, Kashima, "Remembering transformer for continual learning",
        arXiv 2404.07518, 2024. Oja, "Neural networks, principal components, and subspaces",
        International Journal of Neural Systems 1989.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.Hierarchy("sgd", router=pg.rules.Reconstruction(rank=2)).router.rank
        2

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=0.1, converter=real, metadata=gene("log"))
    novelty: Float[Array, ""] = eqx.field(default=0.5, converter=real, metadata=gene("logit"))
    rank: int = eqx.field(static=True, default=4)

    def __check_init__(self):
        check_sizes(rank=self.rank)

    def init(self, modules: int, width: int, *, key: Key[Array, ""]) -> _Memory:
        drawn = jax.random.normal(key, (modules, width, self.rank)) / jnp.sqrt(width)
        return {"known": 0.1 * drawn, "used": jnp.zeros(modules)}

    def route(self, memory: _Memory, tokens: Float[Array, "rows width"]):
        return winners(-self._error(memory, tokens))

    def learn(
        self,
        memory: _Memory,
        tokens: Float[Array, "rows width"],
        chosen: Bool[Array, "modules rows"],
    ) -> _Memory:
        error, x = self._error(memory, tokens), unit(tokens)
        mine = chosen.astype(x.dtype)
        share = mine / jnp.maximum(mine.sum(1, keepdims=True), 1.0)

        def changed(known: Float[Array, "width rank"], share: Float[Array, " rows"]):
            code = x @ known
            return known + self.rate * ((x - code @ known.T) * share[:, None]).T @ code

        known, used = jax.vmap(changed)(memory["known"], share), memory["used"]
        strange = error.min(0) > self.novelty
        first = (1.0 - used) * jnp.cumprod(jnp.append(jnp.ones(1), used[:-1]))
        new = first * strange.any().astype(x.dtype)
        begun = known.at[:, :, 0].set(x[strange.argmax()][None])
        known = jnp.where(new[:, None, None] > 0, begun, known)
        return {"known": known, "used": jnp.maximum(used, new)}

    def _error(self, memory: _Memory, tokens: Float[Array, "rows width"]):
        """The share of each token that each module cannot say; infinite for unused ones."""
        x = unit(tokens)

        def missed(known: Float[Array, "width rank"]) -> Float[Array, " rows"]:
            return jnp.square(x - x @ known @ known.T).sum(1)

        error, used = jax.vmap(missed)(memory["known"]), memory["used"][:, None]
        # Before there is any, all tokens are the first one's.
        none = jnp.where(used.max() > 0, jnp.inf, 2.0)
        return jnp.where(used > 0, error, none)
