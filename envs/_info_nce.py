import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ..rules import Body, Feedback
from ..rules._unit import unit
from ._base import Outcome
from ._supervised import teaching

TEMPERATURE = 0.07


def similarities(
    anchors: Float[Array, "rows d"], answers: Float[Array, "others d"]
) -> Float[Array, "rows others"]:
    r"""Cosines over the temperature, $s_{ij} = \hat u_i \cdot \hat v_j / 0.07$."""
    return unit(anchors) @ unit(answers).T / TEMPERATURE


def info_nce(
    anchors: Float[Array, "rows d"],
    answers: Float[Array, "rows d"],
    same: Bool[Array, "rows rows"],
) -> Float[Array, " rows"]:
    r"""InfoNCE with several positives, in both directions.

    With $P_i$ the answers that are as good as that of row $i$, which is among them, half of

    $$-\log \frac{\sum_{j \in P_i} e^{s_{ij}}}{\sum_j e^{s_{ij}}}
      -\log \frac{\sum_{j \in P_i} e^{s_{ji}}}{\sum_j e^{s_{ji}}}.$$
    """
    s = similarities(anchors, answers)
    one_way = (_missed(each, same) for each in (s, s.T))
    return 0.5 * sum(one_way, jnp.zeros(s.shape[0], s.dtype))


def compared(
    outputs: Float[Array, "batch outputs"], same: Bool[Array, "batch batch"]
) -> tuple[Feedback, Outcome]:
    """What two embeddings that are compared by InfoNCE are told, and how good they are."""
    d = outputs.shape[1] // 2

    def loss(outputs: Float[Array, "batch outputs"]) -> Float[Array, " batch"]:
        return info_nce(outputs[:, :d], outputs[:, d:], same)

    losses, pull = jax.vjp(loss, outputs)
    (gradient,) = pull(jnp.ones_like(losses))
    u, v = outputs[:, :d], outputs[:, d:]
    feedback = teaching(jnp.concatenate([unit(v), unit(u)], axis=1), -gradient, losses)
    nearest = similarities(u, v).argmax(1)
    found = jnp.take_along_axis(same, nearest[:, None], axis=1).astype(losses.dtype)
    return feedback, Outcome(losses.mean(), found.mean(), jnp.ones(()))


def check_embeddings(body: Body, inputs: int) -> None:
    """Raises a `ValueError` if a body does not fit inputs and two embeddings."""
    if len(body.layers) < 2 or body.layers[0] != inputs or body.layers[-1] % 2:
        raise ValueError(
            f"`body` must have {inputs} inputs and an even number of outputs, half for "
            f"each embedding, got layers {body.layers}."
        )


def _missed(s: Float[Array, "rows rows"], same: Bool[Array, "rows rows"]) -> Array:
    good = jax.nn.logsumexp(jnp.where(same, s, -jnp.inf), axis=1)
    # Rounding must not make it negative.
    return jnp.maximum(jax.nn.logsumexp(s, axis=1) - good, 0.0)
