from typing import Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, Key

from ..rules import Body, Clamped, real
from ..rules._registry import near
from ._attacks import FGSM, PGD, AbstractAttack
from ._base import AbstractProblem, Frozen, Outcome, Part
from ._classification import Classification, Stream, evenly_scaled
from ._digit_images import digit_images
from ._supervised import margins, position_of

_ATTACKS = {"fgsm": FGSM, "pgd": PGD}


@final
class Robust(AbstractProblem[Stream]):
    r"""Learning to tell classes apart, and being tested under attack.

    A life is one in `problem`. In a test an attack, which knows the network and the classes,
    moves every raw input so that the margin $y_c - \max_{i \ne c} y_i$ of the output of its
    class shrinks, each entry by at most $\epsilon$ times the range of the raw inputs of the
    train part and never out of this range: the pixels of an image by $\epsilon$ of the way
    from black to white. Loss and score are those of the attacked inputs. Gradients by the
    weights take what the attack did as given.

    The cross-entropy saturates where outputs are large, and hides its gradient from an
    attack; the margin does not, and its sign does not change with the size of outputs.

    **Arguments:**

    - `problem`: a classification of images, in which all raw inputs have one range.
    - `attack`: [`FGSM`][plasticgym.envs.FGSM], [`PGD`][plasticgym.envs.PGD] or one's own.
    - `epsilon`: in (0, 1]; a leaf, so that one compilation serves all.

    **Raises:**

    - `ValueError`: if `problem` is no classification, `attack` no attack, or `epsilon` not
      in (0, 1].

    ??? cite "Reference"

        Carlini, Wagner, "Towards evaluating the robustness of neural networks", IEEE S&P
        2017, for the margin.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> problem = pg.envs.Robust(pg.envs.digits(), pg.envs.FGSM(), 0.1)
        >>> round(float(problem.chance.score), 2)
        0.1

        ```
    """

    problem: Classification
    attack: AbstractAttack
    epsilon: Float[Array, ""]
    chance: Outcome
    body: Body
    batch: int = eqx.field(static=True)
    presentations: int = eqx.field(static=True)

    def __init__(
        self,
        problem: Classification,
        attack: AbstractAttack,
        epsilon: float | Float[Array, ""],
    ):
        if not isinstance(problem, Classification):
            kind = type(problem).__name__
            raise ValueError(f"`problem` must be a Classification, got {kind}.")
        if not isinstance(attack, AbstractAttack):
            raise ValueError(f"`attack` must be an attack such as PGD(), got {attack!r}.")
        if not isinstance(epsilon, Tracer) and not 0 < epsilon <= 1:
            raise ValueError(f"`epsilon` must lie in (0, 1], got {epsilon}.")
        self.problem, self.attack, self.epsilon = problem, attack, real(epsilon)
        self.body, self.chance = problem.body, problem.chance
        self.batch, self.presentations = problem.batch, problem.presentations

    def reset(self, *, key: Key[Array, ""]) -> Stream:
        return self.problem.reset(key=key)

    def observe(self, world: Stream) -> Clamped:
        return self.problem.observe(world)

    def respond(self, world: Stream, outputs: Float[Array, "batch outputs"]):
        return self.problem.respond(world, outputs)

    def test(self, world: Stream, network: Frozen, *, part: Part, key: Key[Array, ""]):
        place, classes = position_of(part), self.problem.part(part).classes.astype(int)
        key_attack, key_test = jax.random.split(key)

        def shortfall(raw: Float[Array, "rows n"]) -> Float[Array, ""]:
            outputs = network(self.problem.shown(world, raw), key=key_test)
            target = jax.nn.one_hot(classes, outputs.shape[1], dtype=outputs.dtype)
            return -margins(outputs, target).mean()

        def tested(raw: Float[Array, "rows n"]) -> Outcome:
            shown = eqx.tree_at(lambda p: _parts(p)[place].inputs, self.problem, raw)
            return shown.test(world, network, part=part, key=key_test)

        dtype = self.problem.mean.dtype
        train, raw = (_parts(self.problem)[i].inputs.astype(dtype) for i in (0, place))
        radius = self.epsilon * (train.max() - train.min())
        attacked = self.attack(
            shortfall,
            raw,
            low=jnp.maximum(raw - radius, train.min()),
            high=jnp.minimum(raw + radius, train.max()),
            key=key_attack,
        )
        return tested(jax.lax.stop_gradient(attacked))


def _parts(problem: Classification):
    return problem.train, problem.validation, problem.held_out


def robust(
    images: Literal["digits", "mnist"] = "digits",
    *,
    hidden: tuple[int, ...] = (32,),
    batch: int = 32,
    presentations: int = 20,
    attack: Literal["fgsm", "pgd"] = "pgd",
    epsilon: float = 0.1,
) -> Robust:
    """Images of digits, to be told apart when they are attacked.

    Pixels are centred each by its own mean and divided by the deviation of all together, so
    that a pixel that is nearly always black gives an attack no lever.

    Args:
        images: [`digits`][plasticgym.envs.digits] or [`mnist`][plasticgym.envs.mnist].
        hidden: sizes of the hidden layers.
        batch: images in a presentation.
        presentations: length of a life.
        attack: one step up the gradient or many.
        epsilon: the farthest that a pixel is moved, in parts of the range of pixels.

    Raises:
        ValueError: if a size is not positive, the images or the attack are unknown, or
            `epsilon` is not in (0, 1].
        ModuleNotFoundError: if the images of `mnist` are not here.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.robust("digits", attack="fgsm").attack
        FGSM()

        ```
    """
    if attack not in _ATTACKS:
        raise ValueError(f"unknown `attack` {attack!r}; {near(attack, list(_ATTACKS))}")
    problem = digit_images(images, hidden=hidden, batch=batch, presentations=presentations)
    return Robust(evenly_scaled(problem), _ATTACKS[attack](), epsilon)
