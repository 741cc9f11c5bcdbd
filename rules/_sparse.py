import itertools
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._base import State

_HALVINGS = 32  # more do not change a number in single precision


def sparse(state: State, sparsity: Float[Array, ""]) -> State:
    r"""The network without its smallest weights: one-shot magnitude pruning.

    Of the $n$ weights of all blocks together the $\mathrm{round}(\text{sparsity} \cdot n)$
    of smallest magnitude become 0 and the others stay. What counts are the leaves named
    `"weight"`, less the rows of biases and whatever leaves or reaches a dead neuron; all
    else that a synapse keeps stays as it is.

    Args:
        state: a network whose blocks each hold a `"weight"` of shape `(pre [+ 1], post)`.
        sparsity: the share of weights to lose, in (0, 1).

    Returns:
        The same network, other weights.

    Raises:
        ValueError: if a block holds no `"weight"`, or those of several networks.

    ??? cite "Reference"

        Han, Pool, Tran, Dally, "Learning both weights and connections for efficient neural
        networks", NeurIPS 2015.

    !!! example

        ```python
        >>> import jax, jax.numpy as jnp, plasticgym as pg
        >>> state = pg.rules.SGD().init(pg.rules.Body((4, 5)), key=jax.random.key(0))
        >>> pruned = pg.rules.sparse(state, jnp.asarray(0.9))
        >>> int((pruned.synapses[0]["weight"] != 0).sum())  # of 20
        2

        ```
    """
    weights, body = [_weight(block) for block in state.synapses], state.body
    keep = largest(weights, body.layers[:-1], sparsity, alive=body.alive)
    synapses = tuple(
        block | {"weight": jnp.where(k, block["weight"], 0.0)}
        for block, k in zip(state.synapses, keep, strict=True)
    )
    return eqx.tree_at(lambda s: s.synapses, state, synapses)


def largest(
    weights: Sequence[Float[Array, "_rows _post"]],
    inputs: Sequence[int],
    sparsity: Float[Array, ""],
    *,
    alive: Sequence[Float[Array, " _n"]] | None = None,
) -> list[Bool[Array, "_rows _post"]]:
    """Which weights are not among the smallest of all blocks together; all biases are.

    Rows of a block beyond its `inputs` are biases; `alive` is that of a body.
    """
    magnitudes = [jnp.abs(w[:n]) for w, n in zip(weights, inputs, strict=True)]
    if alive is not None:
        lives = [a[:, None] * b[None] > 0 for a, b in itertools.pairwise(alive)]
        magnitudes = [jnp.where(x, m, -1.0) for x, m in zip(lives, magnitudes, strict=True)]
    together = jnp.concatenate([m.ravel() for m in magnitudes])
    living = (together >= 0).astype(together.dtype).sum()
    dead = together.size - living
    threshold = _ranked(together, dead + jnp.round(sparsity * living))
    return [
        jnp.pad(m >= threshold, ((0, len(w) - len(m)), (0, 0)), constant_values=True)
        for w, m in zip(weights, magnitudes, strict=True)
    ]


def _ranked(values: Float[Array, " n"], rank: Float[Array, ""]) -> Float[Array, ""]:
    """What `rank` of the values are below, by bisection: sorting takes much longer on a CPU."""

    def halved(_, ends):
        low, high = ends
        middle = (low + high) / 2
        fits = (values < middle).astype(values.dtype).sum() <= rank
        return jnp.where(fits, middle, low), jnp.where(fits, high, middle)

    begun = jnp.zeros(()), 1.1 * values.max()
    return jax.lax.fori_loop(0, _HALVINGS, halved, begun)[0]


def _weight(block: Any) -> Float[Array, "rows post"]:
    if not isinstance(block, dict) or "weight" not in block:
        held = ", ".join(sorted(block)) if isinstance(block, dict) else type(block).__name__
        raise ValueError(
            '`state` must hold a "weight" at each synapse, as that of `sgd` does; these '
            f"hold {held}."
        )
    weight = block["weight"]
    if weight.ndim != 2:
        raise ValueError(
            "`state` must be one network, with weights of shape (pre, post), got "
            f"{weight.shape}; use `jax.vmap`, or take one member of an ensemble."
        )
    return weight
