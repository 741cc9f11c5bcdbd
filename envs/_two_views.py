import math
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from ..rules import Body, Clamped
from ..rules._check_sizes import check_sizes
from ..rules._unit import unit
from ._base import AbstractProblem, Frozen, Outcome, Part, chance
from ._classification import Classification, Examples
from ._info_nce import check_embeddings, compared, similarities
from ._plain_digits import plain_digits
from ._supervised import drawn_rows, position_of, rows_at, share_right
from ._tables import layered


class Seen(eqx.Module):
    """The world of two views: which image comes when."""

    order: Int[Array, "presentations batch"]
    time: Int[Array, ""]


@final
class TwoViews(AbstractProblem[Seen]):
    r"""Finding the lower half of an image by its upper half, among those of other images.

    A row shows both halves side by side. The outputs are two embeddings of equal length,
    $u$ of the upper half and $v$ of the lower one, and the loss is InfoNCE over the batch
    at temperature 0.07, in both directions, with the two halves of an image as its only
    positives. Error and target are as in
    [`CrossModalAnswer`][plasticgym.envs.CrossModalAnswer]; no class is ever told.

    The score is retrieval: the share of upper halves whose nearest lower half, among as
    many as there are rows in a batch, is their own. A test cuts the part into such groups,
    in a random order, and leaves over what makes no group.

    **Arguments:**

    - `images`: their inputs are cut in the middle.
    - `body`: its inputs are an image, its outputs even in number.
    - `batch`, `presentations`: the size of a life; a batch has two rows at least, and at
      most as many as the smallest part has images.

    **Raises:**

    - `ValueError`: if a size does not fit.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.two_views().modalities
        (32, 32)

        ```
    """

    images: Classification
    chance: Outcome
    body: Body
    batch: int = eqx.field(static=True)
    presentations: int = eqx.field(static=True)

    def __init__(self, images: Classification, *, body: Body, batch: int, presentations: int):
        check_sizes(batch=batch, presentations=presentations)
        parts = (images.train, images.validation, images.held_out)
        fewest = min(len(part.classes) for part in parts)
        if not 2 <= batch <= fewest:
            raise ValueError(
                f"`batch` must be from 2 rows to {fewest}, the images of the smallest part, "
                f"got {batch}."
            )
        inputs = images.train.inputs.shape[1]
        check_embeddings(body, inputs)
        self.images = images
        self.chance = chance(math.log(batch), 1 / batch)
        self.body, self.batch, self.presentations = body, batch, presentations

    @property
    def modalities(self) -> tuple[int, int]:
        """How many inputs are of the upper half, and how many of the lower one."""
        upper = self.body.layers[0] // 2
        return upper, self.body.layers[0] - upper

    def reset(self, *, key: Key[Array, ""]) -> Seen:
        size = (self.presentations, self.batch)
        order = drawn_rows(self.images.train.classes.shape[0], size, key=key)
        return Seen(order, jnp.zeros((), int))

    def observe(self, world: Seen) -> Clamped:
        rows = rows_at(world.order, world.time)
        return Clamped.full(self._shown(self.images.train.inputs[rows]))

    def respond(self, world: Seen, outputs: Float[Array, "batch outputs"]):
        later = Seen(world.order, world.time + 1)
        return later, *compared(outputs, jnp.eye(self.batch, dtype=bool))

    def test(self, world: Seen, network: Frozen, *, part: Part, key: Key[Array, ""]):
        key_network, key_order = jax.random.split(key)
        images = self._part(part)
        outputs = network(self._shown(images.inputs), key=key_network)
        order = jax.random.permutation(key_order, outputs.shape[0])
        groups = outputs.shape[0] // self.batch
        grouped = outputs[order[: groups * self.batch]].reshape(groups, self.batch, -1)
        same = jnp.eye(self.batch, dtype=bool)
        told = jax.vmap(lambda one: compared(one, same)[1])(grouped)
        return Outcome(told.loss.mean(), told.score.mean(), jnp.ones(()))

    def across(
        self, network: Frozen, *, part: Part, key: Key[Array, ""]
    ) -> Float[Array, " halves"]:
        """How well classes are told by one half where only the other half was ever named.

        Each class stands for the mean embedding of the halves of one kind, over the train
        part; an image is of the class nearest to the embedding of its other half. The lower
        half is missing first, then the upper one.

        Returns:
            The share of a part that is right, of shape `(2,)`.
        """
        examples, d = self._part(part), self.body.layers[-1] // 2
        known = network(self._shown(self.images.train.inputs), key=key)
        asked = network(self._shown(examples.inputs), key=key)
        of_class = jax.nn.one_hot(
            self.images.train.classes.astype(int), self.images.body.layers[-1], axis=0
        )
        right = []
        for missing, there in ((slice(d, None), slice(0, d)), (slice(0, d), slice(d, None))):
            middles = of_class @ unit(known[:, missing])
            said = similarities(asked[:, there], middles)
            right.append(share_right(said, examples.classes.astype(int)).mean())
        return jnp.stack(right)

    def _part(self, part: Part) -> Examples:
        images = self.images
        return (images.train, images.validation, images.held_out)[position_of(part)]

    def _shown(self, raw: Array) -> Float[Array, "rows n"]:
        images = self.images
        return (raw.astype(images.mean.dtype) - images.mean[None]) / images.deviation[None]


def two_views(
    *,
    hidden: tuple[int, ...] = (128,),
    batch: int = 50,
    presentations: int = 100,
    embedding: int = 16,
) -> TwoViews:
    """The upper and the lower half of real handwritten digits, to be brought together.

    See [`TwoViews`][plasticgym.envs.TwoViews]; images and their parts are those of
    [`digits`][plasticgym.envs.digits], with pixels between 0 and 1.

    Args:
        hidden: sizes of the hidden layers, of both towers together.
        batch: rows that are compared with each other.
        presentations: length of a life.
        embedding: length of each of the two embeddings.

    Raises:
        ValueError: if a size is not positive, or the batch has one row or too many.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.two_views(embedding=8).body.layers
        (64, 128, 16)

        ```
    """
    check_sizes(embedding=embedding)
    images = plain_digits()
    body = layered((images.body.layers[0], 2 * embedding), hidden)
    return TwoViews(images, body=body, batch=batch, presentations=presentations)
