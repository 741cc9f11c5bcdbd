from collections.abc import Callable

import equinox as eqx
import jax
from jaxtyping import Array, Key

from ._classification import Classification, Examples

# What goes wrong with the examples of a shard, in this problem.
Stressor = Callable[[Examples, Classification, Key[Array, ""]], Examples]


def label_shift(shard: Examples, problem: Classification, key: Key[Array, ""]) -> Examples:
    r"""A stressor: all classes are taken for the next one, $c \leftarrow c + 1$ modulo $C$.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> digits = pg.envs.digits()
        >>> bad = pg.envs.label_shift(digits.train, digits, jax.random.key(0))
        >>> int(bad.classes[0]) == (int(digits.train.classes[0]) + 1) % 10
        True

        ```
    """
    total = problem.body.layers[-1]
    classes = (shard.classes.astype(int) + 1) % total
    return Examples(shard.inputs, classes.astype(shard.classes.dtype))


def pixel_shuffle(shard: Examples, problem: Classification, key: Key[Array, ""]) -> Examples:
    r"""A stressor: standardised inputs are permuted, $x_i \leftarrow x_{\pi(i)}$, by a
    $\pi$ of the key.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> digits = pg.envs.digits()
        >>> bad = pg.envs.pixel_shuffle(digits.train, digits, jax.random.key(0))
        >>> bad.inputs.shape == digits.train.inputs.shape
        True

        ```
    """
    mean, deviation = problem.mean[None], problem.deviation[None]
    inputs = (shard.inputs.astype(mean.dtype) - mean) / deviation
    order = jax.random.permutation(key, inputs.shape[1])
    return eqx.tree_at(lambda s: s.inputs, shard, inputs[:, order] * deviation + mean)
