from collections.abc import Sequence
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from ..envs import AbstractProblem, Life, Outcome, born, step
from ..envs._lifetime import examine, select
from ..rules import AbstractRule, State
from ..rules._check_sizes import check_sizes
from ._base import AbstractAgent, Generation, Search
from ._metagradient import MetaGradient


@final
class Windowed(AbstractAgent):
    r"""Short-term back-propagation: a meta-gradient through two windows of a life.

    In each life a window of `width` presentations is drawn, in which something may be
    written; the other window is its end: the last `recall` presentations and the test. The
    life is lived without gradients first. Then it is lived again inside the windows alone,
    and how the first one changed synapses and memory goes straight through what lies
    between: with $s_a$ the states when it closes, and $s_b$ when the last one opens,

    $$\tilde s_b = \text{sg}(s_b) + (s_a - \text{sg}(s_a)) + (s_0 - \text{sg}(s_0)),$$

    where sg stops gradients and $s_0$ are the states at birth: genes of birth have the
    gradient that they would have if nothing ever changed what was born. Presentation $t$ of
    the first window is lived by the genome

    $$\theta_t = \text{sg}(\theta) + \tfrac{n}{n_t}\, (\theta - \text{sg}(\theta)),$$

    $n$ being the number of windows there are and $n_t$ of those that hold presentation $t$,
    fewer at the ends of a life. So in the mean gradient over windows every presentation
    counts once. What synapses do to each other's changes beyond a window, or what neurons
    carry over, has no gradient. The loss is that of
    [`MetaGradient`][plasticgym.agents.MetaGradient], of the last window alone: half that of
    its presentations and half that of the test, or without any of them that of the test.
    Memory does not grow with the length of the life.

    **Arguments:**

    - `agent`: descends the gradient. Its `segment` plays no role.
    - `width`: presentations of the window that is drawn.
    - `recall`: presentations at the end of a life; 0: the test alone.

    **Raises:**

    - `ValueError`: if `width` is not positive, `recall` is negative, or, at `update`, both
      are longer than a life.

    ??? cite "Reference"

        Gregor, "Finding online neural update rules by learning to remember", 2020, for the
        idea; the form is ours. Bengio, Leonard, Courville, "Estimating or propagating
        gradients through stochastic neurons", 2013, for gradients straight through.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.agents.Windowed(pg.agents.MetaGradient(lives=4), width=2).recall
        0

        ```
    """

    agent: MetaGradient
    width: int = eqx.field(static=True, default=1)
    recall: int = eqx.field(static=True, default=0)

    def __check_init__(self):
        check_sizes(width=self.width)
        if isinstance(self.recall, bool) or not isinstance(self.recall, int) or self.recall < 0:
            raise ValueError(
                f"`recall` must be a whole number of at least 0, got {self.recall!r}."
            )

    def init(
        self, rule: AbstractRule, problems: Sequence[AbstractProblem], *, key: Key[Array, ""]
    ) -> Search:
        return self.agent.init(rule, problems, key=key)

    def update(
        self, rule: AbstractRule, problems: Sequence[AbstractProblem], search: Search
    ) -> tuple[Search, Generation]:
        for problem in problems:
            if problem.presentations < self.width + self.recall:
                raise ValueError(
                    f"`width` and `recall` must fit into lives of {problem.presentations} "
                    f"presentations, got {self.width} and {self.recall}."
                )
        return self.agent.descended(rule, problems, search, self._lived)

    def champion(self, rule: AbstractRule, search: Search) -> AbstractRule:
        return self.agent.champion(rule, search)

    def _lived(
        self, rule: AbstractRule, problem: AbstractProblem, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Bool[Array, ""]]:
        """The loss of one life, and whether it diverged."""
        key_life, key_window = jax.random.split(key)
        before = problem.presentations - self.recall
        opens = jax.random.randint(key_window, (), 0, before - self.width + 1)
        newborn = born(rule, problem, key=key_life)
        life, kept = _passed(rule, problem, newborn, before, opens)
        held = _holding(opens, self.width, before)
        written = _written(rule, problem, kept, (before - self.width + 1) / held)

        def straight(end: Array, new: Array, at_birth: Array) -> Array:
            if not jnp.issubdtype(end.dtype, jnp.inexact):
                return end
            return end + _differential(new) + _differential(at_birth)

        kept_by = lambda life: (life.state.synapses, life.state.memory)  # noqa: E731
        synapses, memory = jax.tree.map(straight, *map(kept_by, (life, written, newborn)))
        state = State(life.state.body, life.state.neurons, synapses, memory)
        life = Life(state, life.world, life.key, life.time, life.diverged)
        life, outcomes = _presented(rule, problem, life, self.recall)
        held_out, diverged = examine(rule, problem, life, part="validation")
        if self.recall == 0:
            return held_out.loss, diverged
        weight = jnp.maximum(outcomes.weight.sum(), 1.0)
        stream = (outcomes.loss * outcomes.weight).sum() / weight
        return (stream + held_out.loss) / 2.0, diverged


def _holding(opens: Int[Array, ""], width: int, presentations: int) -> Float[Array, " width"]:
    """How many windows hold each presentation of the one that opens there."""
    time = opens + jnp.arange(width)
    most = min(width, presentations - width + 1)
    return jnp.minimum(jnp.minimum(time + 1, presentations - time), most).astype(float)


def _passed(
    rule: AbstractRule,
    problem: AbstractProblem,
    newborn: Life,
    presentations: int,
    opens: Int[Array, ""],
) -> tuple[Life, Life]:
    """A life after so many presentations, and as it was when the window opened."""
    still, begun = jax.lax.stop_gradient((rule, newborn))

    def presentation(lives: tuple[Life, Life], time: Int[Array, ""]):
        life, kept = lives
        kept = select(time == opens, life, kept)
        return (step(still, problem, life)[0], kept), None

    lives, _ = jax.lax.scan(presentation, (begun, begun), jnp.arange(presentations))
    return lives


def _written(
    rule: AbstractRule,
    problem: AbstractProblem,
    life: Life,
    weights: Float[Array, " presentations"],
) -> Life:
    """A life after so many presentations, by genomes with so many times the gradient."""

    def presentation(life: Life, weight: Float[Array, ""]):
        def weighted(gene: Any) -> Any:
            if not eqx.is_inexact_array(gene):
                return gene
            return jax.lax.stop_gradient(gene) + weight * _differential(gene)

        return step(jax.tree.map(weighted, rule), problem, life)[0], None

    return jax.lax.scan(presentation, life, weights)[0]


def _presented(
    rule: AbstractRule, problem: AbstractProblem, life: Life, presentations: int
) -> tuple[Life, Outcome]:
    """A life after so many presentations more, and their outcomes."""
    return jax.lax.scan(lambda life, _: step(rule, problem, life), life, length=presentations)


def _differential(x: Array) -> Array:
    """Zero, with the gradient of `x`."""
    return x - jax.lax.stop_gradient(x)


def windowed(width: int = 1, recall: int = 0, **options: Any) -> Windowed:
    """`Windowed` around a `MetaGradient` with these options: `agents.make("windowed")`.

    Args:
        width: presentations of the window that is drawn.
        recall: presentations at the end of a life.
        options: of `MetaGradient`.
    """
    return Windowed(MetaGradient(**options), width=width, recall=recall)
