from typing import Any, Literal, final

import equinox as eqx
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from ..rules import Body, Clamped, Feedback, real, sparse
from ..rules._check_sizes import check_sizes
from ._base import AbstractProblem, Frozen, Outcome, Part
from ._digit_images import digit_images


class Thinning(eqx.Module):
    """The world of sparsifying: that of the problem within, and presentations so far."""

    world: PyTree
    time: Int[Array, ""]


@final
class Sparsify(AbstractProblem[Thinning]):
    r"""Learning a problem, and then to do with few weights.

    For `dense` presentations a life is one in `problem`; the last of them is a `boundary`.
    Then it goes on with inputs only: no target, no error and no reward, and nothing is
    scored. In a test the network keeps the share $1 - \text{sparsity}$ of its weights that
    are largest in magnitude ([`sparse`][plasticgym.rules.sparse]: of all blocks together,
    biases are kept and not counted), and is scored by `problem` with these.

    So a rule that stays where it is when there is no error, such as `sgd`, is one-shot
    magnitude pruning, and any other uses the inputs to walk to a network that loses less.
    A rule whose synapses hold no `"weight"` cannot be tested.

    **Arguments:**

    - `problem`: any problem of one task; its presentations are those of the whole life.
    - `sparsity`: the share of weights to lose, in (0, 1); a leaf, so that one compilation
      serves all.
    - `dense`: presentations with feedback.

    **Raises:**

    - `ValueError`: if `problem` has several tasks, `sparsity` is not in (0, 1), `dense` is
      not positive or more than there are presentations.

    ??? cite "Reference"

        Raghavan, Tharwat, Hari, Satani, Liu, Thomson, "Engineering flexible machine learning
        systems by traversing functionally invariant paths", Nature Machine Intelligence 2024.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> problem = pg.envs.Sparsify(pg.envs.digits(presentations=60), 0.9, dense=50)
        >>> life = pg.envs.live(pg.rules.SGD(rate=0.1), problem, key=jax.random.key(0))
        >>> float(life.weights.sum())
        50.0

        ```
    """

    problem: AbstractProblem
    sparsity: Float[Array, ""]
    chance: Outcome
    body: Body
    batch: int = eqx.field(static=True)
    presentations: int = eqx.field(static=True)
    dense: int = eqx.field(static=True)

    def __init__(
        self, problem: AbstractProblem, sparsity: float | Float[Array, ""], *, dense: int
    ):
        check_sizes(dense=dense)
        if dense > problem.presentations:
            raise ValueError(
                "`dense` must be at most the presentations of a life, "
                f"{problem.presentations}, got {dense}."
            )
        if problem.ends:
            raise ValueError(
                f"`problem` must have one task, got {type(problem).__name__}, in which tasks "
                f"end after the presentations {problem.ends}."
            )
        if not isinstance(sparsity, Tracer) and not 0 < sparsity < 1:
            raise ValueError(f"`sparsity` must lie strictly in (0, 1), got {sparsity}.")
        self.problem, self.sparsity, self.dense = problem, real(sparsity), dense
        self.body, self.chance = problem.body, problem.chance
        self.batch, self.presentations = problem.batch, problem.presentations

    @property
    def past(self) -> tuple[int, ...]:
        goes_on = self.dense < self.presentations
        return (min(self.dense * self.batch, self.problem.examples),) if goes_on else ()

    def reset(self, *, key: Key[Array, ""]) -> Thinning:
        return Thinning(self.problem.reset(key=key), jnp.zeros((), int))

    def observe(self, world: Thinning) -> Clamped:
        return self.problem.observe(world.world)

    def respond(self, world: Thinning, outputs: Float[Array, "batch outputs"]):
        inner, feedback, outcome = self.problem.respond(world.world, outputs)
        taught, last = world.time < self.dense, world.time == self.dense - 1
        weight = jnp.where(taught, outcome.weight, 0.0)
        outcome = Outcome(outcome.loss, outcome.score, weight)
        return Thinning(inner, world.time + 1), _told(feedback, taught, last), outcome

    def test(self, world: Thinning, network: Frozen, *, part: Part, key: Key[Array, ""]):
        thin = Frozen(network.rule, sparse(network.state, self.sparsity))
        return self.problem.test(world.world, thin, part=part, key=key)


def _told(feedback: Feedback, taught: Bool[Array, ""], last: Bool[Array, ""]) -> Feedback:
    """The feedback while it is given, with a boundary at the last; then nothing."""
    target: Any = feedback.target
    return Feedback(
        target=Clamped(
            jnp.where(taught, target.values, 0.0), target.mask & taught, target.starts
        ),
        error=jnp.where(taught, feedback.error, 0.0),
        reward=jnp.where(taught, feedback.reward, 0.0),
        boundary=(feedback.boundary & taught) | last,
    )


def sparsify(
    images: Literal["digits", "mnist"] = "digits",
    *,
    hidden: tuple[int, ...] = (32,),
    batch: int = 32,
    presentations: int = 40,
    sparsity: float = 0.8,
    dense: int | None = None,
) -> Sparsify:
    """Images of digits, to be told apart with few weights.

    Args:
        images: [`digits`][plasticgym.envs.digits] or [`mnist`][plasticgym.envs.mnist].
        hidden: sizes of the hidden layers.
        batch: images in a presentation.
        presentations: length of a life.
        sparsity: the share of weights that a network loses when it is tested.
        dense: presentations with feedback; half of the life if not given.

    Raises:
        ValueError: if a size is not positive, the images are unknown, `sparsity` is not in
            (0, 1), or `dense` is longer than the life.
        ModuleNotFoundError: if the images of `mnist` are not here.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.sparsify("digits", sparsity=0.9).dense
        20

        ```
    """
    problem = digit_images(images, hidden=hidden, batch=batch, presentations=presentations)
    dense = (presentations + 1) // 2 if dense is None else dense
    return Sparsify(problem, sparsity, dense=dense)
