from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from ..rules import AbstractRule, State, gene_names, genome, with_genome
from ..rules._check_sizes import check_sizes
from ._base import AbstractProblem
from ._lifetime import Life, born, select, step
from ._role import (
    EPSILON,
    AbstractRole,
    Episode,
    Progress,
    check_positive,
    is_over,
    progress_of,
    root_mean_square,
)

_LEARNING = ("time_left", "loss", "best_loss", "score", "best_score")


@final
class Steering(AbstractRole):
    r"""You steer a rule: you see how learning goes and act on the genome.

    An action $a$ sets the genome to $g_0 + \text{reach} \cdot a$ in gene units, $g_0$ being
    that of the rule as it was built; the network lives so for a number of presentations.

    You see `columns`: the share of the life that is left; the last and the lowest loss of
    the training stream, as $\log(L + 0.01) - \log(L_\text{chance} + 0.01)$; the last and
    the highest score; and for every state of the neurons of each layer and of the
    synapses of each block, as $\log(1 + r)$, its root mean square $r$ (of neurons, over
    the batch of the last presentation).

    **Arguments:**

    - `problem`: where the network lives.
    - `steered`: the rule.
    - `presentations_per_action`: how long an action lasts; the whole life by default, so
      that an episode has one step. The last action has what is left.
    - `reach`: how far an action of 1 moves a gene from its default, in gene units.

    **Raises:**

    - `ValueError`: if `presentations_per_action` or `reach` is not positive, or the rule
      has no genes.
    """

    problem: AbstractProblem
    steered: AbstractRule
    reach: Float[Array, ""]
    presentations_per_action: int = eqx.field(static=True)
    columns: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self,
        problem: AbstractProblem,
        steered: AbstractRule,
        *,
        presentations_per_action: int | None = None,
        reach: float = 3.0,
    ):
        last = problem.presentations
        lasts = last if presentations_per_action is None else presentations_per_action
        check_sizes(presentations_per_action=lasts)
        check_positive(reach=reach)
        if not gene_names(steered):
            raise ValueError(f"`rule` must have genes to steer, got {steered!r}.")
        self.problem, self.steered = problem, steered
        self.reach = jnp.asarray(reach, float)
        self.presentations_per_action = min(lasts, last)
        life = jax.eval_shape(lambda: born(steered, problem, key=jax.random.key(0)))
        self.columns = (*_LEARNING, *_states(life.state))

    @property
    def observed(self) -> tuple[int, ...]:
        return (len(self.columns),)

    @property
    def acted(self) -> tuple[int, ...]:
        return (len(gene_names(self.steered)),)

    @property
    def choices(self) -> None:
        return None

    @property
    def bound(self) -> float:
        return 100.0

    @property
    def actions(self) -> int:
        return -(-self.problem.presentations // self.presentations_per_action)

    @property
    def shortest(self) -> int:
        return self.actions

    def rule(self, action: Float[Array, " actions"]) -> AbstractRule:
        return with_genome(self.steered, genome(self.steered) + self.reach * action)

    def begin(self, *, key: Key[Array, ""]) -> Episode:
        life, chance = born(self.steered, self.problem, key=key), self.problem.chance
        return Episode(life, Progress.at_chance(chance), chance.loss)

    def act(self, episode: Episode, action: Float[Array, " actions"]) -> Episode:
        rule, last = self.rule(action), self.problem.presentations
        lasts = self.presentations_per_action

        def presentation(carry: tuple[Life, Progress], _):
            life, outcome = step(rule, self.problem, carry[0])
            after = (life, carry[1].after(outcome))
            if last % lasts:  # the last action may be shorter
                after = select(carry[0].time >= last, carry, after)
            return after, None

        start = (episode.life, episode.progress)
        after, _ = jax.lax.scan(presentation, start, length=lasts)
        return Episode(*after, episode.paid)

    def reward(self, before: Episode, after: Episode) -> Float[Array, ""]:
        return progress_of(before, after)

    def over(self, episode: Episode) -> Bool[Array, ""]:
        return is_over(self, episode)

    def see(self, episode: Episode) -> Float[Array, " columns"]:
        problem, progress = self.problem, episode.progress
        left = (problem.presentations - episode.life.time) / problem.presentations
        left = left.astype(progress.loss.dtype)
        chance = jnp.log(problem.chance.loss + EPSILON)
        losses = [jnp.log(x + EPSILON) - chance for x in (progress.loss, progress.best_loss)]
        sizes = [jnp.log1p(root_mean_square(x)) for x in _states(episode.life.state).values()]
        return jnp.stack([left, *losses, progress.score, progress.best_score, *sizes])


def _states(state: State) -> dict[str, Any]:
    """The real states of neurons above the inputs, and of synapses, by name."""
    first = min(1, len(state.neurons) - 1)
    named = {
        **{f"neurons[{i}]": x for i, x in enumerate(state.neurons) if i >= first},
        **{f"synapses[{i}]": x for i, x in enumerate(state.synapses)},
    }
    return {
        ".".join([name, *(jax.tree_util.keystr((k,), simple=True) for k in path)]): leaf
        for name, tree in named.items()
        for path, leaf in jax.tree.flatten_with_path(tree)[0]
        if jnp.issubdtype(leaf.dtype, jnp.floating)
    }
