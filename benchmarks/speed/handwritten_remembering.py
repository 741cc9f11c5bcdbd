"""A life under the remembering rule in one population, as one would write it by hand.

Imports nothing from plasticgym. It is given the snippets that a life shows and one cue,
and the genome: embedding, message, cell, factorised change, readout, by position.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax


@functools.partial(jax.jit, static_argnames="ticks")
@functools.partial(jax.vmap, in_axes=(None, 0, 0, None, None))
def life(genome, shown, asked, cue, ticks):
    """Writes all snippets `(presentations, n)`, then recalls others from their cue.

    Returns the synapses, the losses while writing and the logits of all that is asked.
    """
    embedding, message, (A, a), change, readout = genome
    (P, p), (Q, q), (B, b), (D, d), w, v = change
    n, entries = shown.shape[1], len(readout)
    kind = jnp.broadcast_to(embedding[0][:, None], (embedding.shape[1], n))

    def view(body, clamped, told):
        return jnp.concatenate([body, kind, clamped[None], told[None]])

    def listen(s, body, clamped, told):
        x = view(body, clamped, told)
        heard = (message[0] @ x) @ s / n
        seen = jnp.concatenate([body, heard, jnp.diagonal(s)[None] / n, x[entries:]])
        c, z = jnp.split(A @ seen + a[:, None], 2)
        new = body + jax.nn.sigmoid(z) * (jnp.tanh(c) - body)
        held = jnp.where(clamped + told > 0, body[0], new[0])
        return new.at[0].set(held)

    def met(s, values, mask):
        clamped, told = mask.astype(float), jnp.zeros(n)
        body = jnp.zeros((entries, n)).at[0].set(jnp.where(mask, values, 0.0))
        return lax.fori_loop(0, ticks, lambda _, x: listen(s, x, clamped, told), body), clamped

    def write(s, values):
        body, clamped = met(s, values, jnp.ones(n, bool))
        outputs = jnp.abs(readout).sum() * body[0]
        told = jnp.ones(n)
        body = listen(s, body.at[0].set(values), clamped, told)
        x = view(body, clamped, told)
        pre = (P @ x + p[:, None]) * jax.nn.sigmoid(Q @ x + q[:, None])
        post = (B @ x + b[:, None]) * jax.nn.sigmoid(D @ x + d[:, None])
        change = (w[0][:, None] * pre).T @ post + ((v[0][:, None] * pre).T @ post) * s
        loss = jax.nn.softplus(-values * outputs).mean()
        return jnp.clip(s + change, -float(n), float(n)), loss

    def recalled(s, values):
        body, _ = met(s, values, cue)
        return readout @ body

    s, losses = lax.scan(write, jnp.zeros((n, n)), shown)
    return s, losses, jax.vmap(recalled, (None, 0))(s, asked)
