import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..rules import AbstractRule
from ._base import AbstractProblem
from ._lifetime import Life, keys_of


def update_norm(
    rule: AbstractRule, problem: AbstractProblem, before: Life, after: Life
) -> Float[Array, ""]:
    """A probe: the Euclidean norm of the change of all synapses.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> life = pg.envs.live(
        ...     pg.rules.SGD(), pg.envs.plane("xor"), key=jax.random.key(0),
        ...     probes=(pg.envs.update_norm,),
        ... )
        >>> life.probes[0].shape
        (50,)

        ```
    """
    return jnp.sqrt(_dot(*[_difference(before, after)] * 2))


def weight_norms(
    rule: AbstractRule, problem: AbstractProblem, before: Life, after: Life
) -> tuple[PyTree, ...]:
    """A probe: the Euclidean norm of each leaf of each block of synapses, afterwards.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> life = pg.envs.live(
        ...     pg.rules.SGD(), pg.envs.plane("xor"), key=jax.random.key(0),
        ...     probes=(pg.envs.weight_norms,),
        ... )
        >>> [block["weight"].shape for block in life.probes[0]]
        [(50,), (50,)]

        ```
    """
    return jax.tree.map(lambda w: jnp.sqrt(jnp.sum(w**2)), after.state.synapses)


def gradient_angle(
    rule: AbstractRule, problem: AbstractProblem, before: Life, after: Life
) -> Float[Array, ""]:
    r"""A probe: the angle in degrees between the change and the steepest descent.

    Steepest is by the loss of this presentation, as a function of the synapses that the
    outputs depend on; the others, such as moments and backward synapses, do not count.
    0 is gradient descent, 90 is unrelated to it; NaN where nothing changes.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> life = pg.envs.live(
        ...     pg.rules.SGD(), pg.envs.plane("xor"), key=jax.random.key(0),
        ...     probes=(pg.envs.gradient_angle,),
        ... )
        >>> bool((life.probes[0] < 1.0).all())
        True

        ```
    """
    state, world = before.state, before.world

    def loss(synapses: PyTree) -> Float[Array, ""]:
        state_ = type(state)(state.body, state.neurons, synapses, state.memory)
        key = keys_of(before)[0]
        outputs = rule.predict(state_, problem.observe(world), key=key)[1]
        return problem.respond(world, outputs)[2].loss

    gradient = jax.grad(loss)(state.synapses)
    change = jax.tree.map(
        lambda d, g: jnp.where((g != 0).any(), d, 0.0), _difference(before, after), gradient
    )
    descent = -_dot(change, gradient)
    lengths = jnp.sqrt(_dot(change, change) * _dot(gradient, gradient))
    return jnp.degrees(jnp.arccos(jnp.clip(descent / lengths, -1.0, 1.0)))


def _difference(before: Life, after: Life) -> PyTree:
    return jax.tree.map(lambda a, b: b - a, before.state.synapses, after.state.synapses)


def _dot(this: PyTree, other: PyTree) -> Float[Array, ""]:
    products = jax.tree.map(lambda a, b: (a * b).sum(), this, other)
    return jnp.stack(jax.tree.leaves(products)).sum()
