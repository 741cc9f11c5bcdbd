import functools
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from ..rules import AbstractRule, State
from ..rules._check_sizes import check_sizes
from ._base import AbstractProblem, Frozen, Outcome, Part

DIVERGED_AT = 10.0  # in multiples of the chance loss


class Life(eqx.Module):
    """One life in progress: what `step` takes and returns.

    It can be stopped, stored, resumed and selected like any pytree.

    **Arguments:**

    - `state`, `world`: the network and where it lives.
    - `key`: the source of all that is random in this life; presentation `time` draws
      from `fold_in(key, time)`.
    - `time`: presentations lived.
    - `diverged`: whether outputs or loss stopped being finite, or the loss exceeded ten
      times that of chance. From then on synapses and memory stay as they are and every
      outcome is `problem.chance`. Outputs and loss are judged because a synapse that is
      not finite matters only through them, and looking at each would cost more.
    """

    state: State
    world: PyTree
    key: Key[Array, ""]
    time: Int[Array, ""]
    diverged: Bool[Array, ""]


# A probe is a function of one step, recorded at every presentation: it is given the rule,
# the problem, and the life before and after.
Probe = Callable[[AbstractRule, AbstractProblem, Life, Life], PyTree]


class Lifetime(eqx.Module):
    """The record of one life.

    **Arguments:**

    - `losses`, `scores`, `weights`: of each presentation, before learning from it, shape
      `(presentations,)`; losses are capped at ten times that of chance.
    - `probes`: what each probe saw, with a leading axis of presentations.
    - `tests`: held-out outcomes, with a leading axis of times: after the presentations
      that were asked for, and at the end. A problem of several tasks adds an axis of tasks.
    - `overall`: these of all tasks together, without that axis.
    - `state`: the network at the end, its neurons at rest.
    - `diverged`: whether it diverged at a presentation, or was not finite in the test at
      the end.
    """

    losses: Float[Array, " presentations"]
    scores: Float[Array, " presentations"]
    weights: Float[Array, " presentations"]
    probes: tuple[PyTree, ...]
    tests: Outcome
    overall: Outcome
    state: State
    diverged: Bool[Array, ""]


def born(rule: AbstractRule, problem: AbstractProblem, *, key: Key[Array, ""]) -> Life:
    """A new-born network in a new world.

    Raises:
        ValueError: if more tasks end than the rule has room for, or they are too short for
            what it keeps of each.
    """
    rule.check_tasks(problem.past)
    key_synapses, key_world, key_life = jax.random.split(key, 3)
    state = rule.rest(rule.init(problem.body, key=key_synapses), problem.batch)
    world = problem.reset(key=key_world)
    return Life(state, world, key_life, jnp.zeros((), int), jnp.zeros((), bool))


def present(rule: AbstractRule, problem: AbstractProblem, life: Life) -> tuple[Life, Outcome]:
    """Observe, predict, respond, receive: one presentation up to where synapses change.

    Returns:
        The life, at the same `time`, and the outcome of this presentation: that of
        chance if the network has diverged by now.
    """
    key_predict, key_receive, *_ = keys_of(life)
    state, outputs = rule.predict(life.state, problem.observe(life.world), key=key_predict)
    world, feedback, outcome = problem.respond(life.world, outputs)
    state = rule.receive(state, feedback.only(rule.reads), key=key_receive)
    _check_untouched(rule, life.state, state)
    cap = DIVERGED_AT * problem.chance.loss
    sound = jnp.isfinite(outputs).all() & (outcome.loss <= cap)
    diverged = life.diverged | ~sound
    scored = Outcome(
        select(diverged, problem.chance.loss, outcome.loss),
        select(diverged, problem.chance.score, outcome.score),
        outcome.weight,
    )
    return Life(state, world, life.key, life.time, diverged), scored


def step(rule: AbstractRule, problem: AbstractProblem, life: Life) -> tuple[Life, Outcome]:
    """One presentation, then the synapses adapt.

    Args:
        rule: how the network learns.
        problem: where it lives.
        life: a life from `born` or an earlier step.

    Returns:
        The life after this presentation and the outcome before learning from it.
    """
    life_, outcome = present(rule, problem, life)
    return finish(life_, rule.adapt(life_.state, key=keys_of(life)[2])), outcome


def finish(life: Life, adapted: State) -> Life:
    """The life after a presentation, given how its network adapted."""
    kept = life.state
    synapses, memory = select(
        life.diverged, (kept.synapses, kept.memory), (adapted.synapses, adapted.memory)
    )
    state = State(kept.body, adapted.neurons, synapses, memory)
    return Life(state, life.world, life.key, life.time + 1, life.diverged)


def live(
    rule: AbstractRule,
    problem: AbstractProblem,
    *,
    key: Key[Array, ""],
    part: Part = "validation",
    probes: Sequence[Probe] = (),
    tests: Sequence[int] = (),
    segment: int | None = None,
) -> Lifetime:
    """One life from birth to its last presentation: the one inner loop of the library.

    Runs under `jit`, `vmap` and `grad`; see [`lives`][plasticgym.envs.lives] for many at
    once.

    Args:
        rule: how the network learns.
        problem: where it lives.
        key: all that is random comes from it.
        part: the held-out part on which it is tested.
        probes: functions `probe(rule, problem, before, after)` of every step.
        tests: presentations after which it is tested as well as at the end.
        segment: for gradients through long lives: so many presentations at a time are
            computed again on the way back instead of kept, so that memory holds a life
            per segment and the presentations of one. About the square root of the number
            of presentations needs least. `None` keeps everything.

    Returns:
        The record of the life.

    Raises:
        ValueError: if `tests` names a presentation that there is not, or `segment` is not
            positive.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> life = pg.envs.live(
        ...     pg.rules.SGD(rate=0.1), pg.envs.digits(), key=jax.random.key(0), tests=(5,)
        ... )
        >>> life.tests.score.shape  # after 5 presentations and at the end
        (2,)

        ```
    """
    last = problem.presentations
    if any(not isinstance(t, int) or not 1 <= t <= last for t in tests):
        raise ValueError(f"`tests` must be whole numbers from 1 to {last}, got {tuple(tests)}.")
    if segment is not None:
        check_sizes(segment=segment)
    between = sorted({t for t in tests if t < last})
    scheduled = jnp.isin(jnp.arange(1, last + 1), jnp.asarray(between, int))

    def presentation(life: Life, test_now: Bool[Array, ""]):
        after, outcome = step(rule, problem, life)
        seen = tuple(probe(rule, problem, life, after) for probe in probes)
        tested = None
        if between:
            test = functools.partial(_tested, rule, problem, after, part)
            tested = jax.lax.cond(test_now, test, lambda: _like(problem.chance, test))
        return after, (outcome, seen, tested)

    life = born(rule, problem, key=key)
    life, (outcomes, seen, tested) = _scan(presentation, life, scheduled, segment)
    final, diverged = examine(rule, problem, life, part=part)
    final = jax.tree.map(lambda x: x[None], final)
    if between:
        earlier = jax.tree.map(lambda x: x[jnp.asarray(between) - 1], tested)
        final = jax.tree.map(lambda *x: jnp.concatenate(x), earlier, final)
    return Lifetime(
        losses=outcomes.loss,
        scores=outcomes.score,
        weights=outcomes.weight,
        probes=seen,
        tests=final,
        overall=problem.overall(final),
        state=rule.rest(life.state, problem.batch),
        diverged=diverged,
    )


def examine(
    rule: AbstractRule, problem: AbstractProblem, life: Life, *, part: Part
) -> tuple[Outcome, Bool[Array, ""]]:
    """How a life would be scored now, on a held-out part, and whether it has diverged.

    The outcome is that of chance if it has, be it only on this part.
    """
    network, key = Frozen(rule, life.state), keys_of(life)[3]
    outcome = problem.test(life.world, network, part=part, key=key)
    diverged = life.diverged | ~jnp.isfinite(outcome.loss).all()
    loss = jnp.minimum(outcome.loss, DIVERGED_AT * problem.chance.loss)
    outcome = Outcome(loss, outcome.score, outcome.weight)
    return select(diverged, problem.chance, outcome), diverged


@eqx.filter_jit
def lives(
    rule: AbstractRule,
    problem: AbstractProblem,
    *,
    keys: Key[Array, " lives"],
    part: Part = "validation",
    probes: Sequence[Probe] = (),
    tests: Sequence[int] = (),
) -> Lifetime:
    """Many lives at once, compiled: `live` for each key; every leaf leads with `lives`.

    Compiled once per structure and shape of rule and problem, so that problems of equal
    shape and rules with other genomes share it.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> keys = jax.random.split(jax.random.key(0), 8)
        >>> record = pg.envs.lives(pg.rules.SGD(rate=0.1), pg.envs.plane("xor"), keys=keys)
        >>> record.scores.shape
        (8, 50)

        ```
    """
    return jax.vmap(
        lambda key: live(rule, problem, key=key, part=part, probes=probes, tests=tests)
    )(keys)


def _scan(body: Callable, carry: PyTree, xs: Array, segment: int | None):
    """A scan whose gradient computes segments again instead of keeping them."""
    if segment is None:
        return jax.lax.scan(body, carry, xs)
    again = jax.checkpoint(lambda carry, xs: jax.lax.scan(body, carry, xs), prevent_cse=False)
    whole = len(xs) // segment * segment
    pieces = xs[:whole].reshape(-1, segment)
    carry, ys = jax.lax.scan(again, carry, pieces)
    ys = jax.tree.map(lambda y: y.reshape(whole, *y.shape[2:]), ys)
    if whole < len(xs):
        carry, rest = again(carry, xs[whole:])
        ys = jax.tree.map(lambda *y: jnp.concatenate(y), ys, rest)
    return carry, ys


def keys_of(life: Life) -> Key[Array, "4"]:
    """The keys of this presentation: of predict, receive, adapt, and of a test before it."""
    return jax.random.split(jax.random.fold_in(life.key, life.time), 4)


def select(where: Bool[Array, ""], this: PyTree, other: PyTree) -> PyTree:
    """`this` where the flag is set, else `other`, leaf by leaf."""
    return jax.tree.map(lambda a, b: jnp.where(where, a, b), this, other)


def _check_untouched(rule: AbstractRule, before: State, after: State) -> None:
    """Raises a `ValueError` while tracing if the synapses are not the very same arrays."""
    leaves = jax.tree.leaves((before.synapses, after.synapses))
    half = len(leaves) // 2
    pairs = zip(leaves[:half], leaves[half:], strict=False)
    if len(leaves) % 2 or any(a is not b for a, b in pairs):
        raise ValueError(
            f"`predict` and `receive` of {type(rule).__name__} must leave the synapses as "
            "they are; change them in `adapt`. They must be the very arrays that were given: "
            "after a `vmap` or `scan`, put them back."
        )


def _like(outcome: Outcome, function: Callable[[], Outcome]) -> Outcome:
    """`outcome` in the shapes that `function` returns."""
    shapes = jax.eval_shape(function)
    return jax.tree.map(lambda x, like: jnp.broadcast_to(x, like.shape), outcome, shapes)


def _tested(rule: AbstractRule, problem: AbstractProblem, life: Life, part: Part) -> Outcome:
    return examine(rule, problem, life, part=part)[0]
