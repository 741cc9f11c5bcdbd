from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

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
        ValueError: if a block holds no `"weight"`.

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
    magnitudes = [_magnitude(state, layer) for layer in range(len(state.synapses))]
    together = jnp.concatenate([m.ravel() for m in magnitudes])
    living = (together >= 0).astype(together.dtype).sum()
    dead = together.size - living
    threshold = _ranked(together, dead + jnp.round(sparsity * living))
    synapses = tuple(
        block | {"weight": _kept(block["weight"], magnitude >= threshold)}
        for block, magnitude in zip(state.synapses, magnitudes, strict=True)
    )
    return eqx.tree_at(lambda s: s.synapses, state, synapses)


def _ranked(values: Float[Array, " n"], rank: Float[Array, ""]) -> Float[Array, ""]:
    """What `rank` of the values are below, by bisection: sorting takes much longer on a CPU."""

    def halved(_, ends):
        low, high = ends
        middle = (low + high) / 2
        fits = (values < middle).astype(values.dtype).sum() <= rank
        return jnp.where(fits, middle, low), jnp.where(fits, high, middle)

    begun = jnp.zeros(()), 1.1 * values.max()
    return jax.lax.fori_loop(0, _HALVINGS, halved, begun)[0]


def _magnitude(state: State, layer: int) -> Float[Array, "pre post"]:
    """Of the weights of a block, without biases; -1 where a neuron at either end is dead."""
    block: Any = state.synapses[layer]
    if not isinstance(block, dict) or "weight" not in block:
        held = ", ".join(sorted(block)) if isinstance(block, dict) else type(block).__name__
        raise ValueError(
            '`state` must hold a "weight" at each synapse, as that of `sgd` does; these '
            f"hold {held}."
        )
    body = state.body
    magnitude = jnp.abs(block["weight"][: body.layers[layer]])
    if body.alive is None:
        return magnitude
    pre, post = body.alive[layer], body.alive[layer + 1]
    return jnp.where(pre[:, None] * post[None] > 0, magnitude, -1.0)


def _kept(weight: Float[Array, "rows post"], keep: Array) -> Float[Array, "rows post"]:
    """The weights that are kept, and all biases."""
    biases = jnp.ones((weight.shape[0] - keep.shape[0], weight.shape[1]), bool)
    return jnp.where(jnp.concatenate([keep, biases]), weight, 0.0)
