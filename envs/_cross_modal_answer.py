from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ..rules import Body, Clamped
from ..rules._check_sizes import check_sizes
from ._base import AbstractProblem, Frozen, Outcome, Part, chance
from ._classification import Classification, Examples
from ._info_nce import check_embeddings, compared, similarities
from ._plain_digits import plain_digits
from ._supervised import drawn_rows, position_of, rows_at, share_right
from ._tables import layered

QUESTIONS = ("which digit", "odd or even", "greater than 4", "the next digit")
ANSWERS = (*"0123456789", "even", "odd", "no", "yes")
_DIGITS = 10
# The place of the answer to each question about each digit.
_ANSWERED = np.array(
    [
        [*range(10)],
        [10, 11] * 5,
        [12] * 5 + [13] * 5,
        [*range(1, 10), 0],
    ]
)
_LONG = 16  # numbers in the vector of an answer


class Asked(eqx.Module):
    """The world of questions: which image comes with which of them, when."""

    order: Int[Array, "presentations batch"]
    questions: Int[Array, "presentations batch"]
    time: Int[Array, ""]


@final
class CrossModalAnswer(AbstractProblem[Asked]):
    r"""Finding the answer to a question about an image among vectors that stand for answers.

    A row shows three things side by side: an image of a digit, one of four questions as a
    one-hot code (which digit, odd or even, greater than 4, the next digit), and the vector
    of its answer, one of 14 fixed random ones. The outputs are two embeddings of equal
    length: the first half, $u$, is to be that of image and question, the second half, $v$,
    that of the answer. The loss is InfoNCE over the batch at temperature 0.07, in both
    directions, where all rows of one answer are positives:

    $$s_{ij} = \hat u_i \cdot \hat v_j / 0.07, \qquad
    L_i = -\tfrac12 \log \frac{\sum_{j \in P_i} e^{s_{ij}}}{\sum_j e^{s_{ij}}}
          -\tfrac12 \log \frac{\sum_{j \in P_i} e^{s_{ji}}}{\sum_j e^{s_{ji}}}.$$

    The error is minus the derivative of the sum of $L_i$: at $u$ what the anchor is to
    change, at $v$ what the answer is. The target of either embedding is the other one.

    Of a presentation the score is the share of rows whose nearest $v$ in the batch is of
    the right answer. In a test no answer is shown with the question: all questions are
    asked of every image of the part, the 14 answers are shown alone, and the share of
    questions whose nearest answer is right is the score; the loss is that of the first
    direction, with every answer as frequent as it is there. A network whose halves are not
    apart, as a plain rule's, can read the answer off the row while it learns, and has
    nothing to read in the test: [`CrossModal`][plasticgym.rules.CrossModal] keeps them
    apart. Chance is the most frequent answer.

    **Arguments:**

    - `images`: of digits.
    - `body`: inputs of an image, 4 questions and 16 numbers of an answer; an even number of
      outputs.
    - `batch`, `presentations`: the size of a life; a batch has two rows at least.

    **Raises:**

    - `ValueError`: if a size is not positive, the batch has one row, or the ends of the
      body do not fit.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> problem = pg.envs.cross_modal_answer()
        >>> problem.modalities, problem.body.layers[-1] // 2
        ((68, 16), 16)

        ```
    """

    train: Examples
    validation: Examples
    held_out: Examples
    mean: Float[Array, " n"]
    deviation: Float[Array, " n"]
    answers: Float[Array, "answers 16"]
    chance: Outcome
    body: Body
    batch: int = eqx.field(static=True)
    presentations: int = eqx.field(static=True)

    def __init__(self, images: Classification, *, body: Body, batch: int, presentations: int):
        check_sizes(batch=batch, presentations=presentations)
        if batch < 2:
            raise ValueError(f"`batch` must be at least 2 rows to compare, got {batch}.")
        inputs = images.train.inputs.shape[1] + len(QUESTIONS) + _LONG
        check_embeddings(body, inputs)
        self.train, self.validation = images.train, images.validation
        self.held_out = images.held_out
        self.mean, self.deviation = images.mean, images.deviation
        drawn = np.random.default_rng(0).normal(size=(len(ANSWERS), _LONG))
        self.answers = jnp.asarray(drawn, float)
        shares = np.bincount(_ANSWERED[:, np.asarray(images.train.classes)].ravel())
        shares = shares / shares.sum()
        self.chance = chance(-(shares * np.log(shares)).sum(), float(shares.max()))
        self.body, self.batch, self.presentations = body, batch, presentations

    @property
    def classes(self) -> int:
        """How many classes images are of."""
        return _DIGITS

    @property
    def modalities(self) -> tuple[int, int]:
        """How many inputs are of image and question, and how many of the answer."""
        return self.body.layers[0] - _LONG, _LONG

    def reset(self, *, key: Key[Array, ""]) -> Asked:
        size = (self.presentations, self.batch)
        key_rows, key_questions = jax.random.split(key)
        order = drawn_rows(self.train.classes.shape[0], size, key=key_rows)
        questions = drawn_rows(len(QUESTIONS), size, key=key_questions)
        return Asked(order, questions, jnp.zeros((), int))

    def observe(self, world: Asked) -> Clamped:
        rows, questions = self._present(world)
        answers = self.answers[answer_of(self.train.classes[rows].astype(int), questions)]
        asked = self._asked(self.train.inputs[rows], questions)
        return Clamped.full(jnp.concatenate([asked, answers], axis=1))

    def respond(self, world: Asked, outputs: Float[Array, "batch outputs"]):
        rows, questions = self._present(world)
        answers = answer_of(self.train.classes[rows].astype(int), questions)
        later = Asked(world.order, world.questions, world.time + 1)
        return later, *compared(outputs, answers[:, None] == answers[None])

    def test(self, world: Asked, network: Frozen, *, part: Part, key: Key[Array, ""]):
        images = (self.train, self.validation, self.held_out)[position_of(part)]
        questions, n = jnp.arange(len(QUESTIONS)), images.classes.shape[0]
        asked = self._asked(
            jnp.repeat(images.inputs, len(questions), 0), jnp.tile(questions, n)
        )
        silent = jnp.zeros((asked.shape[0], _LONG))
        alone = jnp.zeros((len(ANSWERS), asked.shape[1]))
        shown = [[asked, silent], [alone, self.answers]]
        rows = jnp.concatenate([jnp.concatenate(each, axis=1) for each in shown])
        outputs = network(rows, key=key)
        d = outputs.shape[1] // 2
        s = similarities(outputs[: asked.shape[0], :d], outputs[asked.shape[0] :, d:])
        right = jnp.asarray(_ANSWERED)[:, images.classes].T.ravel()
        of_each = jax.nn.one_hot(right, len(ANSWERS))
        log_p = jax.nn.log_softmax(s + jnp.log(of_each.mean(0))[None])
        loss = -(log_p * of_each).sum(1).mean()
        return Outcome(loss, share_right(s, right).mean(), jnp.ones(()))

    def _present(self, world: Asked) -> tuple[Int[Array, " batch"], Int[Array, " batch"]]:
        return rows_at(world.order, world.time), rows_at(world.questions, world.time)

    def _asked(self, raw: Array, questions: Int[Array, " rows"]) -> Float[Array, "rows n"]:
        images = (raw.astype(self.mean.dtype) - self.mean[None]) / self.deviation[None]
        return jnp.concatenate([images, jax.nn.one_hot(questions, len(QUESTIONS))], axis=1)


def answer_of(digit: Int[Array, "*rows"], question: Int[Array, "*rows"]) -> Array:
    """The place among `ANSWERS` of the answer to a question about a digit."""
    return jnp.asarray(_ANSWERED)[question, digit]


def cross_modal_answer(
    *,
    hidden: tuple[int, ...] = (128,),
    batch: int = 64,
    presentations: int = 100,
    embedding: int = 16,
) -> CrossModalAnswer:
    """Four questions about real handwritten digits, answered by one of 14 vectors.

    See [`CrossModalAnswer`][plasticgym.envs.CrossModalAnswer]; images and their parts are
    those of [`digits`][plasticgym.envs.digits], with pixels between 0 and 1.

    Args:
        hidden: sizes of the hidden layers, of both towers together.
        batch: rows that are compared with each other.
        presentations: length of a life.
        embedding: length of each of the two embeddings.

    Raises:
        ValueError: if a size is not positive or the batch has one row.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.cross_modal_answer(hidden=(64,)).body.layers
        (84, 64, 32)

        ```
    """
    check_sizes(embedding=embedding)
    images = plain_digits()
    inputs = images.body.layers[0] + len(QUESTIONS) + _LONG
    return CrossModalAnswer(
        images,
        body=layered((inputs, 2 * embedding), hidden),
        batch=batch,
        presentations=presentations,
    )
