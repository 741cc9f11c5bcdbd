import contextlib
import copy
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from ..rules._registry import near
from ._changes import Ranges
from ._control import Control, control
from ._dynamics import AbstractDynamics, Factors, few_falls, mean_reward

_FELT = 10.0  # sensors feel no more than this


class _Known(NamedTuple):
    """What a body is called by brax, what it is paid and how good that is."""

    backend: str
    pays: Callable[[Array, Bool[Array, ""]], Array]
    measure: Callable[[Array], Array]
    chance: float | None
    best: float | None
    legs: tuple[tuple[int, ...], ...] = ()


def _reward(reward: Array, over: Bool[Array, ""]) -> Array:
    return reward


def _fall(reward: Array, over: Bool[Array, ""]) -> Array:
    return -over.astype(reward.dtype)


_BODIES: dict[str, _Known] = {
    "ant": _Known("spring", _reward, mean_reward, 0.0, 8.0, ((0, 1), (2, 3), (4, 5), (6, 7))),
    "halfcheetah": _Known("spring", _reward, mean_reward, 0.0, 8.0),
    "inverted_pendulum": _Known("generalized", _fall, few_falls, 0.1, 1.0),
    "fast": _Known("generalized", _reward, mean_reward, 81.0, 163.0),
}
# What brax has besides is paid what brax pays, and nobody measured how good that is.
_OTHER = _Known("generalized", _reward, mean_reward, None, None)


def _known(name: str) -> _Known:
    return _BODIES.get(name, _OTHER)


@final
class BraxBody(AbstractDynamics[PyTree]):
    """A body of brax, moved by its physics: outputs are clipped to [-1, 1].

    Sensors feel what brax observes, within [-10, 10]. Where brax pays 1 for every step
    survived, a fall is paid -1 and all else 0. `"gravity"` and `"mass"`, of all parts, may
    change.

    **Arguments:**

    - `name`: `"ant"`, `"halfcheetah"`, `"inverted_pendulum"`, `"fast"`, or what else brax
      knows, such as `"hopper"`.
    - `chance`, `best`: the mean reward of outputs drawn at random, and the best that is
      known; needed for bodies other than these four.

    **Raises:**

    - `ValueError`: if the body is unknown, or these are missing, or `best` is not above
      `chance`.
    - `ModuleNotFoundError`: if brax is not installed.

    ??? cite "Reference"

        Freeman et al., "Brax: a differentiable physics engine for large scale rigid body
        simulation", NeurIPS Datasets and Benchmarks 2021.
    """

    name: str = eqx.field(static=True)
    environment: Any = eqx.field(static=True)
    sensors: int = eqx.field(static=True)
    outputs: int = eqx.field(static=True)
    legs: tuple[tuple[int, ...], ...] = eqx.field(static=True)
    chance: float = eqx.field(static=True)
    best: float = eqx.field(static=True)
    limit: int = eqx.field(static=True, default=1000)
    beginnings: int = eqx.field(static=True, default=8)
    parameters: tuple[str, ...] = eqx.field(static=True, default=("gravity", "mass"))

    def __init__(self, name: str, *, chance: float | None = None, best: float | None = None):
        environment = _environment(name)
        known = _known(name)
        chance = known.chance if chance is None else chance
        best = known.best if best is None else best
        if chance is None or best is None:
            raise ValueError(
                f"`chance` and `best` must be given for {name!r}: the mean reward of outputs "
                "drawn at random, and the best that is known."
            )
        if not best > chance:
            raise ValueError(f"`best` must exceed the `chance` of {chance}, got {best}.")
        self.name, self.environment, self.legs = name, environment, known.legs
        self.sensors, self.outputs = environment.observation_size, environment.action_size
        self.chance, self.best = chance, best
        # One that goes fast has no physics to change.
        self.parameters = ("gravity", "mass") if hasattr(environment, "sys") else ()

    def reset(self, *, key: Key[Array, ""]) -> PyTree:
        with _promoting():
            return jax.tree.map(jnp.asarray, self.environment.reset(key))

    def sense(self, physics: PyTree) -> Float[Array, " sensors"]:
        return jnp.clip(physics.obs, -_FELT, _FELT)

    def move(self, physics: PyTree, outputs: Float[Array, " outputs"], factors: Factors):
        known = _known(self.name)
        with _promoting():
            environment = _changed(self.environment, factors)
            # Some bodies write into the dictionaries of the state that they are given.
            own = jax.tree.map(lambda x: x, physics)
            after = environment.step(own, jnp.clip(outputs, -1.0, 1.0))
            # So that lives can be scanned over: brax's rewards may be numbers of Python.
            like = lambda new, old: jnp.asarray(new, old.dtype).reshape(old.shape)  # noqa: E731
            after = jax.tree.map(like, after, physics)
        over = after.done > 0
        return after, known.pays(after.reward, over), over

    def reversed(self, outputs: Float[Array, " outputs"]) -> Float[Array, " outputs"]:
        return -outputs

    def score(self, rewards: Float[Array, " presentations"]) -> Float[Array, ""]:
        return _known(self.name).measure(rewards)


def brax_body(
    name: str,
    *,
    hidden: tuple[int, ...] = (32,),
    batch: int = 1,
    presentations: int = 1000,
    changes: Ranges | None = None,
    damages: tuple[str, ...] = ("intact",),
    at: int = 0,
    chance: float | None = None,
    best: float | None = None,
) -> Control:
    """A body of brax that is to do what brax pays for: to run, to balance.

    How it moves is told in [`BraxBody`][plasticgym.envs.BraxBody].

    Args:
        name: of the body.
        hidden: sizes of the hidden layers.
        batch: bodies that one network moves at once.
        presentations: length of a life, in steps.
        changes: as in [`Changes`][plasticgym.envs.Changes].
        damages: of which each world draws one, as in [`Changes`][plasticgym.envs.Changes];
            the ant also has `"leg 0"` to `"leg 3"`.
        at: the presentation from which on the body is changed and damaged.
        chance, best: as in `BraxBody`.

    Raises:
        ValueError: if the body is unknown or `chance` or `best` missing, a size is not
            positive, or a change or damage is
            not one of this body.
        ModuleNotFoundError: if brax is not installed.

    !!! example

        ```python
        problem = pg.envs.problem("Ant-v0", damages=("leg 0",), at=500)
        ```
    """
    body = BraxBody(name, chance=chance, best=best)
    return control(body, hidden, batch, presentations, changes=changes, damages=damages, at=at)


@functools.cache  # one of each, so that it is compiled once
def _environment(name: str) -> Any:
    try:
        import brax.envs  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the body {name!r} needs brax, and there is no module `{error.name}`; install it "
            "with `pip install 'plasticgym[control]'`.",
            name=error.name,
        ) from error
    known = list(brax.envs._envs)
    if name not in known:
        raise ValueError(f"unknown body {name!r}; {near(name, known)}")
    with _promoting(), jax.ensure_compile_time_eval():
        options = {} if name == "fast" else {"backend": _known(name).backend}
        return brax.envs.get_environment(name, **options)


def _changed(environment: Any, factors: Factors) -> Any:
    """The same environment with the parts of its body and its gravity multiplied."""
    if not factors:
        return environment
    changed, system = copy.copy(environment), environment.sys
    if "gravity" in factors:
        system = system.replace(gravity=system.gravity * factors["gravity"])
    if "mass" in factors:
        inertia, by = system.link.inertia, factors["mass"]
        inertia = inertia.replace(mass=inertia.mass * by, i=inertia.i * by)
        system = system.replace(link=system.link.replace(inertia=inertia))
    changed.sys = system
    return changed


@contextlib.contextmanager
def _promoting():
    """For a library that mixes dtypes and ranks, however strict the caller is about them."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
