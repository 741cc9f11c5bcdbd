import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from ..rules._registry import near
from ._dynamics import AbstractDynamics, Factors

# The lowest and highest value of what changes, by name.
Ranges = Mapping[str, tuple[float | int, float | int]]

_LISTED = 7  # so many sensors or fewer have orders that can be listed
_LONGEST = 32  # steps of delay


class Change(NamedTuple):
    """How a body is; what is `None` is as it was.

    - `factors`: of its physical parameters.
    - `delay`: steps between an output and what it does.
    - `noise`: standard deviation of what is added to each sensor.
    - `sensing`, `acting`: matrices that sensors and outputs are multiplied with.
    """

    factors: Factors
    delay: Int[Array, ""] | None
    noise: Float[Array, ""] | None
    sensing: Float[Array, "sensors sensors"] | None
    acting: Float[Array, "outputs outputs"] | None


@final
class Changes(eqx.Module):
    """How bodies come to differ from what they were: a draw for each world.

    Each world draws a value for every name in `changes` and one of `damages`, all of equal
    odds. Until presentation `at` its body is as it always was; from then on it is changed.

    - A physical parameter of the body, such as `"gravity"`: the factor that multiplies it,
      log-uniform in a range.
    - `"delay"`: how many steps later outputs act, uniform among whole numbers.
    - `"noise"`: the standard deviation of noise at the sensors, uniform.

    Damages are `"intact"`, none; `"reversed"`: outputs do the contrary; `"permuted N"`:
    sensors are connected in another order, the `N`-th of a list that never changes; and
    `"leg N"`: nothing moves that leg any more.

    **Arguments:**

    - `dynamics`: of the body.
    - `changes`: lowest and highest value by name; `None` for none.
    - `damages`: names, at least one.
    - `at`: a presentation, from 0 on.

    **Raises:**

    - `ValueError`: if the body has no such parameter or damage, a range is not one, or `at`
      is negative.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> changes = pg.envs.Changes(pg.envs.CartPole(), {"gravity": (0.5, 2.0)}, at=500)
        >>> sorted(changes.ranges)
        ['gravity']

        ```
    """

    ranges: dict[str, Float[Array, "2"]]
    sensing: Float[Array, "damages sensors sensors"] | None
    acting: Float[Array, "damages outputs outputs"] | None
    at: Int[Array, ""]
    longest_delay: int = eqx.field(static=True)

    def __init__(
        self,
        dynamics: AbstractDynamics,
        changes: Ranges | None = None,
        damages: Sequence[str] = ("intact",),
        at: int = 0,
    ):
        if isinstance(at, bool) or not isinstance(at, int) or at < 0:
            raise ValueError(f"`at` must be a whole number of presentations, got {at!r}.")
        if isinstance(damages, str) or not damages:
            raise ValueError(f"`damages` must be a tuple of names, got {damages!r}.")
        changes = dict(changes or {})
        for name, values in changes.items():
            _check_range(dynamics, name, values)
        matrices = [_matrices(dynamics, name) for name in damages]
        sensing, acting = (np.stack(m) for m in zip(*matrices, strict=True))
        self.ranges = {n: jnp.asarray(r, float) for n, r in sorted(changes.items())}
        # What no world needs is not computed at all.
        self.sensing = None if _idle(sensing) else jnp.asarray(sensing, float)
        self.acting = None if _idle(acting) else jnp.asarray(acting, float)
        self.at = jnp.asarray(at, int)
        self.longest_delay = int(changes.get("delay", (0, 0))[1])

    def draw(self, *, key: Key[Array, ""]) -> Change:
        """The change of one world."""
        key_damage, key_ranges = jax.random.split(key)
        keys = jax.random.split(key_ranges, max(len(self.ranges), 1))
        drawn = {}
        for (name, (low, high)), key in zip(self.ranges.items(), keys, strict=False):
            u = jax.random.uniform(key)
            if name == "noise":
                drawn[name] = low + (high - low) * u
            elif name == "delay":
                whole = jnp.floor(low + (high - low + 1.0) * u)
                drawn[name] = jnp.minimum(whole, high).astype(int)
            else:
                drawn[name] = low * (high / low) ** u
        delay, noise = (drawn.pop(name, None) for name in ("delay", "noise"))
        tables = (self.sensing, self.acting)
        count = next((len(t) for t in tables if t is not None), 1)
        which = jax.random.randint(key_damage, (), 0, count)
        sensing, acting = (None if t is None else t[which] for t in tables)
        return Change(drawn, delay, noise, sensing, acting)

    def now(self, change: Change, time: Int[Array, ""]) -> Change:
        """How the body is at a presentation: unchanged before `at`."""
        begun = time >= self.at
        return Change(
            {name: jnp.where(begun, f, 1.0) for name, f in change.factors.items()},
            _where(begun, change.delay, jnp.zeros((), int)),
            _where(begun, change.noise, jnp.zeros(())),
            _where(begun, change.sensing, _eye(change.sensing)),
            _where(begun, change.acting, _eye(change.acting)),
        )


def _where(flag: Bool[Array, ""], this: Array | None, other: Array | None) -> Array | None:
    return None if this is None or other is None else jnp.where(flag, this, other)


def _eye(like: Array | None) -> Array | None:
    return None if like is None else jnp.eye(len(like))


def _idle(matrices: np.ndarray) -> bool:
    return bool((matrices == np.eye(matrices.shape[-1])).all())


def _check_range(dynamics: AbstractDynamics, name: str, values: Any) -> None:
    known = [*dynamics.parameters, "delay", "noise"]
    body = type(dynamics).__name__
    if name not in known:
        raise ValueError(f"`changes` of {body} cannot name {name!r}; {near(name, known)}")
    numbers = isinstance(values, tuple | list) and len(values) == 2
    numbers = numbers and all(type(v) in (int, float) and math.isfinite(v) for v in values)
    if not numbers or not 0 <= values[0] <= values[1]:
        raise ValueError(
            f"`changes[{name!r}]` must be a range (lowest, highest) of numbers that are not "
            f"negative, got {values!r}."
        )
    if name == "delay" and (values[1] > _LONGEST or any(v != int(v) for v in values)):
        raise ValueError(
            f"`changes['delay']` must be whole numbers of at most {_LONGEST}, got {values!r}."
        )
    if name in dynamics.parameters and values[0] == 0:
        raise ValueError(f"`changes[{name!r}]` must be positive factors, got {values!r}.")


def _matrices(dynamics: AbstractDynamics, damage: str) -> tuple[np.ndarray, np.ndarray]:
    """What sensors and outputs are multiplied with under a damage."""
    sensing, acting = np.eye(dynamics.sensors), np.eye(dynamics.outputs)
    known = ["intact", "reversed", *(f"leg {n}" for n in range(len(dynamics.legs)))]
    order = re.fullmatch(r"permuted (\d{1,9})", str(damage))
    if damage == "reversed":
        acting = np.stack(
            [np.asarray(dynamics.reversed(jnp.asarray(r, float))) for r in acting]
        )
    elif order:
        sensing = sensing[:, _order(dynamics.sensors, int(order[1]))]
    elif damage not in known:
        raise ValueError(
            f"{type(dynamics).__name__} has no damage {damage!r}; "
            f"{near(str(damage), [*known, 'permuted 0'])}"
        )
    elif damage != "intact":
        gone = dynamics.legs[int(str(damage).split()[1])]
        acting[:, list(gone)] = 0.0
    return sensing, acting


def _order(sensors: int, number: int) -> list[int]:
    """The `number`-th order of so many sensors that is not the usual one."""
    if sensors > _LISTED:  # no two of these will be alike
        return np.random.default_rng([*b"order", number]).permutation(sensors).tolist()
    orders = list(itertools.permutations(range(sensors)))[1:]
    if number >= len(orders):
        raise ValueError(
            f"`damages` of {sensors} sensors go up to 'permuted {len(orders) - 1}', "
            f"got 'permuted {number}'."
        )
    shuffled = np.random.default_rng([*b"order"]).permutation(len(orders))
    return list(orders[shuffled[number]])
