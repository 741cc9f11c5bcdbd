from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Retention(NamedTuple):
    r"""How well networks keep what they learned, one number per life.

    With $R_{ij}$ the score on task $j$ after task $i$ of $T$,

    - `accuracy`: the mean of $R_{Tj}$ over tasks, each counting by its weight;
    - `forgetting`: the mean over $j < T$ of $\max_{i < T} R_{ij} - R_{Tj}$ (Chaudhry et al.,
      2018): 0 if nothing is lost;
    - `backward`: backward transfer, the mean over $j < T$ of $R_{Tj} - R_{jj}$ (Lopez-Paz
      and Ranzato, 2017): positive if later tasks help with earlier ones.

    The last two are 0 where there is one task only.
    """

    accuracy: Float[np.ndarray, "*lives"]
    forgetting: Float[np.ndarray, "*lives"]
    backward: Float[np.ndarray, "*lives"]


def retention(
    scores: Float[np.ndarray, "*lives times tasks"], weights: Float[np.ndarray, " tasks"]
) -> Retention:
    """Mean accuracy, forgetting and backward transfer, from scores after each task on each.

    Args:
        scores: after each task, on each task: shape `(..., tasks, tasks)`.
        weights: what each task counts in the accuracy, shape `(tasks,)`.

    Raises:
        ValueError: if there are not as many times as tasks and weights.

    ??? cite "Reference"

        Lopez-Paz, Ranzato, "Gradient episodic memory for continual learning", NeurIPS 2017.
        Chaudhry, Dokania, Ajanthan, Torr, "Riemannian walk for incremental learning", ECCV
        2018.

    !!! example

        ```python
        >>> import numpy as np
        >>> from plasticgym import benchmarks
        >>> scores = np.array([[0.9, 0.1], [0.6, 0.8]])
        >>> found = benchmarks.retention(scores, np.ones(2))
        >>> [round(float(x), 2) for x in found]
        [0.7, 0.3, -0.3]

        ```
    """
    if scores.ndim < 2 or scores.shape[-2:] != (len(weights), len(weights)):
        raise ValueError(
            "`scores` must have as many times as tasks, and `weights` one for each, got shapes "
            f"{scores.shape} and {weights.shape}."
        )
    last = scores[..., -1, :]
    accuracy = np.asarray(last @ weights / weights.sum())
    if len(weights) == 1:
        return Retention(accuracy, np.zeros_like(accuracy), np.zeros_like(accuracy))
    learned = np.diagonal(scores, axis1=-2, axis2=-1)
    lost = scores[..., :-1, :-1].max(-2) - last[..., :-1]
    gained = last[..., :-1] - learned[..., :-1]
    return Retention(accuracy, np.asarray(lost.mean(-1)), np.asarray(gained.mean(-1)))
