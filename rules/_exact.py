from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from ._base import AbstractRule, Clamped, State
from ._gene import gene, real
from ._invariance import AbstractInvariance, Anchored
from ._multilayer import with_bias
from ._weights import Weights, check_plain, weights_of, with_weights


@final
class Exact(AbstractInvariance):
    r"""The step is bent to the one that changes outputs at anchors least: in closed form.

    $$\Delta W \leftarrow \mu\, (g + \mu I)^{-1} \Delta W
    = \Delta W - J^T (J J^T + A \mu I)^{-1} J\, \Delta W, \quad g = \tfrac{1}{A} J^T J,$$

    the minimum of $\tfrac{1}{2} \theta^T g\, \theta + \tfrac{\mu}{2} |\theta - \Delta W|^2$,
    by the identity of Woodbury, with $J$ the derivative of all outputs at the $A$ anchors by
    all weights. As $\mu \to 0$ the step is projected to where outputs do not change to first
    order; the larger $\mu$, the nearer it is to the step as it was.

    $J$ is never built: at an anchor, the derivative of an output by the weights of a block
    is the product of the activity below and the derivative by the biases, so that $J J^T$
    is a sum over blocks of products of small Gram matrices. Its side is anchors times
    outputs, and a presentation costs its third power.

    What is bent is the step of the rule within, whatever made it: a gradient or the
    moments of Adam. That rule must keep activities and errors at its neurons, and no more,
    as those of `sgd`. The frozen outputs are not used: what is lost to second order is not
    won back.

    **Arguments:**

    - `damping`: $\mu$, a positive scalar.

    **Raises:**

    - `ValueError`: if `damping` is not positive; when a network is born, if the rule within
      settles or perturbs.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> rule = pg.rules.InvariantPath("sgd(rate=0.1)", pg.rules.Exact(damping=0.01))
        >>> round(float(rule.invariance.damping), 3)
        0.01

        ```
    """

    damping: Float[Array, ""] = eqx.field(default=1e-3, converter=real, metadata=gene("log"))

    def check_fits(self, rule: AbstractRule, state: State) -> None:
        check_plain(rule, state)

    def errors(
        self,
        outputs: Float[Array, "rows outputs"],
        frozen: Float[Array, "rows outputs"],
        held: Bool[Array, " rows"],
        tasks: Int[Array, ""],
    ) -> Float[Array, "rows outputs"]:
        return jnp.zeros_like(outputs)

    def bent(
        self, before: Weights, after: Weights, anchored: Anchored, kept: PyTree
    ) -> Weights:
        below = _below(anchored)
        slopes = _slopes(anchored)
        held = anchored.held.astype(float)
        moved = jnp.zeros(slopes[0].shape[:2])  # J dW
        gram = jnp.zeros((*moved.shape, *moved.shape))  # J J^T
        for h, d, old, new in zip(below, slopes, before, after, strict=True):
            moved += jnp.einsum("aj,aoj->ao", h @ (new - old), d)
            gram += (h @ h.T)[:, None, :, None] * jnp.einsum("aoj,bpj->aobp", d, d)
        size = moved.size
        damped = jnp.maximum(held.sum(), 1.0) * self.damping * jnp.eye(size)
        matrix = gram.reshape(size, size) + damped
        solved = jax.scipy.linalg.solve(matrix, moved.reshape(size), assume_a="pos")
        u = solved.reshape(moved.shape)
        return tuple(
            new - h.T @ jnp.einsum("ao,aoj->aj", u, d)
            for h, d, new in zip(below, slopes, after, strict=True)
        )


def _below(anchored: Anchored) -> list[Float[Array, "rows _pre"]]:
    """What each block is fed by the anchors, the unit of the biases included."""
    rows = len(anchored.held)
    return [with_bias(layer["activity"][-rows:]) for layer in anchored.state.neurons[:-1]]


def _slopes(anchored: Anchored) -> list[Float[Array, "rows outputs _post"]]:
    """The derivatives of all outputs by the biases of each block; 0 where none is held."""
    rule, state = anchored.rule, anchored.state
    weights = weights_of(state)
    rested = rule.rest(State(state.body, (), state.synapses, state.memory), 1)
    key = jax.random.key(0)  # rules answer without noise

    def outputs(biases, row):
        moved = tuple(w.at[-1].add(b) for w, b in zip(weights, biases, strict=True))
        return rule.predict(with_weights(rested, moved), Clamped.full(row[None]), key=key)[1][0]

    zeros = tuple(jnp.zeros(w.shape[1]) for w in weights)
    slopes = jax.vmap(lambda row: jax.jacrev(outputs)(zeros, row))(anchored.inputs)
    held = anchored.held.astype(float)[:, None, None]
    return [d * held for d in slopes]
