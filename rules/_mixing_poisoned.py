from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from ._check_sizes import check_sizes
from ._gene import gene, real
from ._mixing import AbstractMixing, Measure, chosen, replicas_of
from ._named_mixing import named_mixing
from ._signals import Signal, Tier


@final
class Poisoned(AbstractMixing):
    r"""Some replicas lie about what they learned, to whatever mixes:
    $D_j \leftarrow -s\, D_j$ for the last few.

    What they would keep for themselves is poisoned alike. A stressor of mixings.

    **Arguments:**

    - `mixing`: what mixes: a part, or text such as `"median"`.
    - `bad`: how many lie.
    - `scale`: $s$, a positive scalar.

    **Raises:**

    - `ValueError`: if `bad` is not a positive whole number, the scale not positive or the
      mixing unknown; in [`Replicas`][plasticgym.rules.Replicas], if there are fewer of them.

    ??? cite "Reference"

        Blanchard, El Mhamdi, Guerraoui, Stainer, "Machine learning with adversaries:
        Byzantine tolerant gradient descent", NeurIPS 2017.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.Poisoned("median", bad=2).bad
        2

        ```
    """

    mixing: AbstractMixing = eqx.field(converter=named_mixing)
    bad: int = eqx.field(static=True, default=1)
    scale: Float[Array, ""] = eqx.field(default=1.0, converter=real, metadata=gene("log"))

    def __check_init__(self):
        check_sizes(bad=self.bad)

    @property
    def reads(self) -> frozenset[Signal]:
        return self.mixing.reads

    @property
    def tier(self) -> Tier:
        return self.mixing.tier

    def check(self, replicas: int) -> None:
        if self.bad > replicas:
            raise ValueError(f"`bad` must be at most {replicas} replicas, got {self.bad}.")
        self.mixing.check(replicas)

    def mix(self, agreed: PyTree, proposed: PyTree, measure: Measure, *, key: Key[Array, ""]):
        lie = lambda old, new: old - self.scale * (new - old)  # noqa: E731
        replicas = replicas_of(proposed)
        lies = jnp.arange(replicas) >= replicas - self.bad
        told = chosen(lies, jax.tree.map(lie, agreed, proposed), proposed)
        return self.mixing.mix(agreed, told, measure, key=key)
