import functools

import jax
import jax.numpy as jnp
import numpy as np

from ..rules._check_sizes import check_sizes
from ._regression import Pairs, Regression
from ._tables import layered

_VALIDATED, _TESTED = 80, 120


def diabetes(
    *, hidden: tuple[int, ...] = (32,), batch: int = 32, presentations: int = 50
) -> Regression:
    """How far diabetes has gone after a year, by ten measurements: 442 real patients.

    Split once and for all: 242 train, 80 validation, 120 test. Least squares reaches a
    score of about 0.5; most of what is left is noise.

    Args:
        hidden: sizes of the hidden layers.
        batch: patients in a presentation.
        presentations: length of a life.

    Raises:
        ValueError: if a size is not positive.

    Source: Efron, Hastie, Johnstone and Tibshirani (2004), as bundled with scikit-learn.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.envs.diabetes().body.layers
        (10, 32, 1)

        ```
    """
    check_sizes(batch=batch, presentations=presentations)
    body = layered((10, 1), hidden)
    return Regression(*_parts(), body=body, batch=batch, presentations=presentations)


@functools.cache
def _parts() -> tuple[Pairs, Pairs, Pairs]:
    from sklearn.datasets import load_diabetes

    inputs, targets = load_diabetes(return_X_y=True, scaled=False)
    rows = np.random.default_rng([*b"diabetes"]).permutation(len(targets))
    cuts = [len(rows) - _TESTED - _VALIDATED, len(rows) - _TESTED]
    with jax.ensure_compile_time_eval():  # what is cached must not belong to a trace
        train, validation, test = (
            Pairs(
                jnp.asarray(inputs[part], jnp.float32),
                jnp.asarray(np.asarray(targets)[part, None], jnp.float32),
            )
            for part in np.split(rows, cuts)
        )
    return train, validation, test
