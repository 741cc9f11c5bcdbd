import abc
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from ..rules import real
from ..rules._check_sizes import check_sizes


class AbstractSkew(eqx.Module):
    """How the examples of a pool are dealt out to shards."""

    @abc.abstractmethod
    def check(self, counts: list[int], shards: int) -> None:
        """Raises a `ValueError` if a pool with so many examples of each class is too small."""

    @abc.abstractmethod
    def deal(
        self, classes: Int[Array, " pool"], shards: int, total: int, *, key: Key[Array, ""]
    ) -> Int[Array, "shards size"]:
        """Which examples each shard holds.

        Args:
            classes: of a pool in random order.
            shards: how many there are.
            total: how many classes there are.
            key: a PRNG key.

        Returns:
            Places in the pool, of shape `(shards, size)`.
        """


@final
class Even(AbstractSkew):
    """No skew: the pool is cut into equal shards, which share no example.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.Even()
        Even()

        ```
    """

    def check(self, counts: list[int], shards: int) -> None:
        if sum(counts) < shards:
            raise ValueError(f"`k` must be at most {sum(counts)} examples, got {shards}.")

    def deal(
        self, classes: Int[Array, " pool"], shards: int, total: int, *, key: Key[Array, ""]
    ):
        size = classes.shape[0] // shards
        return jnp.arange(shards * size).reshape(shards, size)


@final
class MainClass(AbstractSkew):
    """Each shard has a main class: shard $n$ has class $n$ modulo their number.

    Shards of one main class share none of their `own` examples; the `other` ones are drawn
    from all that are of other classes, and shards may share those.

    **Arguments:**

    - `own`: examples of the main class.
    - `other`: examples of other classes.

    **Raises:**

    - `ValueError`: if a number is not positive; where it is used, if a class has too few.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.MainClass(own=80, other=20).own
        80

        ```
    """

    own: int = eqx.field(static=True, default=80)
    other: int = eqx.field(static=True, default=20)

    def __check_init__(self):
        check_sizes(own=self.own, other=self.other)

    def check(self, counts: list[int], shards: int) -> None:
        fewest, each = min(counts), -(-shards // len(counts))
        if each > fewest:
            raise ValueError(
                f"`k` must be at most {fewest * len(counts)}, as many as leave an example of "
                f"its class to each shard, got {shards}."
            )
        if each * self.own > fewest:
            raise ValueError(
                f"`own` must be at most {fewest // each}, for a class has {fewest} examples "
                f"that are not measured, and {each} of {shards} shards, got {self.own}."
            )
        rest = sum(counts) - max(counts)
        if self.other > rest:
            raise ValueError(f"`other` must be at most {rest}, got {self.other}.")

    def deal(
        self, classes: Int[Array, " pool"], shards: int, total: int, *, key: Key[Array, ""]
    ):
        drawn = jax.random.uniform(key, (shards, classes.shape[0]))

        def one(n: Int[Array, ""], drawn: Float[Array, " pool"]):
            main, begin = classes == n % total, n // total * self.own
            # The place of each row of the main class among these, and nowhere for others.
            place = jnp.where(main, main.cumsum() - 1 - begin, self.own)
            place = jnp.where(place < 0, self.own, place)
            own = jnp.zeros(self.own, int).at[place].set(jnp.arange(len(main)), mode="drop")
            other = jax.lax.top_k(jnp.where(main, -1.0, drawn), self.other)[1]
            return jnp.concatenate([own, other])

        return jax.vmap(one)(jnp.arange(shards), drawn)


@final
class Dirichlet(AbstractSkew):
    r"""Each shard has proportions of classes of its own, $p \sim \mathrm{Dir}(\alpha, ..,
    \alpha)$.

    Its examples are drawn without replacement, each with a chance in proportion to $p$ of
    its class over the size of the class; shards may share examples. Large $\alpha$ is no
    skew, small $\alpha$ leaves one class, as far as it has enough examples.

    **Arguments:**

    - `alpha`: $\alpha$, a positive scalar.
    - `size`: examples of a shard.

    **Raises:**

    - `ValueError`: if `alpha` or `size` is not positive; where it is used, if there are
      fewer examples.

    ??? cite "Reference"

        Hsu, Qi, Brown, "Measuring the effects of non-identical data distribution for
        federated visual classification", arXiv 1909.06335, 2019.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> float(pg.envs.Dirichlet(alpha=0.5, size=100).alpha)
        0.5

        ```
    """

    alpha: Float[Array, ""] = eqx.field(default=0.5, converter=real)
    size: int = eqx.field(static=True, default=100)

    def __check_init__(self):
        check_sizes(size=self.size)
        if not 0 < self.alpha < float("inf"):
            raise ValueError(
                f"`alpha` must be positive and finite (0.1 is a strong skew), got {self.alpha}."
            )

    def check(self, counts: list[int], shards: int) -> None:
        if self.size > sum(counts):
            raise ValueError(f"`size` must be at most {sum(counts)}, got {self.size}.")

    def deal(
        self, classes: Int[Array, " pool"], shards: int, total: int, *, key: Key[Array, ""]
    ):
        key_shares, key_rows = jax.random.split(key)
        counts = jnp.zeros(total).at[classes].add(1.0)
        shares = jax.random.loggamma(key_shares, self.alpha, (shards, total))
        chances = shares[:, classes] - jnp.log(counts)[classes][None]
        # The largest of these sums are a draw without replacement.
        noise = jax.random.gumbel(key_rows, chances.shape)
        return jax.lax.top_k(chances + noise, self.size)[1]
