import itertools
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from ..rules import SGD, AbstractRule, Body, Clamped, Feedback, Signal, State, Tier, _multilayer
from ..rules._registry import near
from ._base import AbstractProblem
from ._lifetime import born, finish, present, select
from ._role import AbstractRole, Episode, Progress, check_positive, is_over, progress_of

_ACTIVITY = ("weight", "pre", "post", "pre * post", "post ** 2")
_ERROR = (*_ACTIVITY, "error", "pre * error")

SYNAPSE_COLUMNS: dict[str, tuple[str, ...]] = {
    "activity": _ACTIVITY,
    "error": _ERROR,
    "gradient": (*_ERROR, "gradient"),
}
"""What an agent that is the rule sees of each synapse, by `tier`; each has all of the last.

All but the weight are means over the batch. `"pre"` and `"post"` are the activities of
the two neurons of a synapse: the bias unit is always 1, the last layer's activities are
the outputs. `"error"` is that of the neuron behind the synapse: at the outputs minus the
derivative of the loss of an example, below it fed back through fixed random matrices,
which each world draws in the place of the transposed weights (Lillicrap et al., 2016).
`"gradient"` is the exact one, of the mean loss of the batch by the weight.
"""

_SIGNALS = {
    "activity": frozenset(),
    "error": frozenset({Signal.ERROR}),
    "gradient": frozenset({Signal.ERROR}),
}


@final
class Host(AbstractRule):
    """The network of plain rules, whose synapses wait for someone else to change them.

    Feedback reaches it only as far as the tier allows. Its memory holds the random
    matrices through which errors are fed back, one for each block but the first.
    """

    network: SGD
    of: str = eqx.field(static=True)

    @property
    def reads(self) -> frozenset[Signal]:
        return _SIGNALS[self.of]

    @property
    def tier(self) -> Tier:
        return Tier[self.of.upper()]

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        state = self.network.init(body, key=key)
        activation, key = self.network.activation, jax.random.fold_in(key, 1)
        drawn = _multilayer.newborn(body, activation, key=key)
        feedback = tuple(weights[:-1].T for weights in drawn[1:])
        return State(body, (), state.synapses, feedback if self.reads else None)

    def rest(self, state: State, batch: int) -> State:
        return self.network.rest(state, batch)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        return self.network.predict(state, inputs, key=key)

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        if self.tier is Tier.GRADIENT:
            return self.network.receive(state, feedback, key=key)
        return self.fed_back(state, feedback.error) if self.reads else state

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        return state

    def fed_back(self, state: State, error: Float[Array, "batch outputs"]) -> State:
        """With the errors that reach each neuron through the random matrices."""
        return _multilayer.backward(state, error, self.network.activation, state.memory)


@final
class Synapses(AbstractRole):
    """You are the rule: you see every synapse and say how much each one changes.

    A life is cut before the synapses adapt, and your action takes the place of `adapt`.
    So you act once per presentation, after having seen it; the loss of the next one is
    your reward. The last action has no presentation after it: it earns nothing, and
    counts for the score. Every synapse holds one weight; they stand in the order of
    `blocks`, each row by row, the last row of a block being the biases.

    **Arguments:**

    - `problem`: where the network lives.
    - `tier`: how local you are: `"activity"`, `"error"` or `"gradient"`; the columns that
      you see are those of [`SYNAPSE_COLUMNS`][plasticgym.envs.SYNAPSE_COLUMNS].
    - `unit`: by how much an action of 1 changes a weight.
    - `activation`: of hidden layers, as in [`SGD`][plasticgym.rules.SGD].

    **Raises:**

    - `ValueError`: if `unit` is not positive, or the tier or activation is unknown.
    """

    problem: AbstractProblem
    host: Host
    unit: Float[Array, ""]
    columns: tuple[str, ...] = eqx.field(static=True)

    def __init__(
        self,
        problem: AbstractProblem,
        *,
        tier: str = "activity",
        unit: float = 0.1,
        activation: str = "relu",
    ):
        check_positive(unit=unit)
        if tier not in SYNAPSE_COLUMNS:
            raise ValueError(f"unknown `tier` {tier!r}; {near(tier, list(SYNAPSE_COLUMNS))}")
        self.problem = problem
        self.host = Host(SGD(activation=activation), tier)
        self.unit = jnp.asarray(unit, float)
        self.columns = SYNAPSE_COLUMNS[tier]

    @property
    def blocks(self) -> tuple[tuple[int, int], ...]:
        """The shape of each block of synapses: one row per neuron and one for the bias."""
        layers = self.problem.body.layers
        return tuple((m + 1, n) for m, n in itertools.pairwise(layers))

    @property
    def acted(self) -> tuple[int, ...]:
        return (sum(rows * columns for rows, columns in self.blocks),)

    @property
    def observed(self) -> tuple[int, ...]:
        return (*self.acted, len(self.columns))

    @property
    def choices(self) -> None:
        return None

    @property
    def bound(self) -> float:
        return 1e6

    @property
    def actions(self) -> int:
        return self.problem.presentations

    @property
    def shortest(self) -> int:
        return self.actions

    def rule(self, action: Float[Array, " actions"]) -> AbstractRule:
        return self.host

    def begin(self, *, key: Key[Array, ""]) -> Episode:
        life, outcome = present(self.host, self.problem, born(self.host, self.problem, key=key))
        chance = self.problem.chance
        return Episode(life, Progress.at_chance(chance).after(outcome), chance.loss)

    def act(self, episode: Episode, action: Float[Array, " actions"]) -> Episode:
        state = episode.life.state
        synapses, start = [], 0
        for block, (rows, columns) in zip(state.synapses, self.blocks, strict=True):
            stop = start + rows * columns
            change = self.unit * action[start:stop].reshape(rows, columns)
            synapses.append({"weight": block["weight"] + change})
            start = stop
        adapted = State(state.body, state.neurons, tuple(synapses), state.memory)
        life = finish(episode.life, adapted)
        shown, outcome = present(self.host, self.problem, life)
        after = (shown, episode.progress.after(outcome))
        over = life.time >= self.problem.presentations
        life, progress = select(over, (life, episode.progress), after)
        return Episode(life, progress, episode.paid)

    def reward(self, before: Episode, after: Episode) -> Float[Array, ""]:
        return progress_of(before, after)

    def over(self, episode: Episode) -> Bool[Array, ""]:
        return is_over(self, episode)

    def see(self, episode: Episode) -> Float[Array, "synapses columns"]:
        state = episode.life.state
        fed_back = state
        if self.host.reads:
            fed_back = self.host.fed_back(state, state.neurons[-1]["error"])
        seen = []
        for layer, block in enumerate(state.synapses):
            pre, post = (state.neurons[i]["activity"] for i in (layer, layer + 1))
            error, exact = (of.neurons[layer + 1]["error"] for of in (fed_back, state))
            pre, weight, rows = _multilayer.with_bias(pre), block["weight"], post.shape[0]
            columns = {
                "weight": weight,
                "pre": jnp.broadcast_to(pre.mean(0)[:, None], weight.shape),
                "post": jnp.broadcast_to(post.mean(0)[None], weight.shape),
                "pre * post": pre.T @ (post / rows),
                "post ** 2": jnp.broadcast_to(jnp.square(post).mean(0)[None], weight.shape),
                "error": jnp.broadcast_to(error.mean(0)[None], weight.shape),
                "pre * error": pre.T @ (error / rows),
                "gradient": -pre.T @ (exact / rows),
            }
            seen.append(jnp.stack([columns[c].ravel() for c in self.columns], axis=1))
        return jnp.concatenate(seen)
