"""The two inner loops of `inner_loop.py` as one would write them by hand for speed.

Imports nothing from plasticgym. Both consume the same random draws as the library: from
the key of a life, one for the weights, one for the order of examples.
"""

import functools
import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax


class Data(NamedTuple):
    """Raw `uint8` inputs and classes of the train and validation parts, and statistics."""

    inputs: jax.Array
    classes: jax.Array
    held_out_inputs: jax.Array
    held_out_classes: jax.Array
    mean: jax.Array
    deviation: jax.Array


def _order(key, rows, presentations, batch):
    return (jax.random.uniform(key, (presentations, batch)) * rows).astype(jnp.int32)


def _standard(data, inputs, classes):
    x = (inputs.astype(jnp.float32) - data.mean) / data.deviation
    return x, classes.astype(jnp.int32)


def _batch(data, rows):
    return _standard(data, data.inputs[rows], data.classes[rows])


def _held_out(data, outputs_of):
    """Loss and balanced accuracy on the validation part."""
    x, classes = _standard(data, data.held_out_inputs, data.held_out_classes)
    outputs = outputs_of(x)
    loss, _, target, _ = _cross_entropy(outputs, classes)
    right = (outputs.argmax(1) == classes).astype(jnp.float32)
    return loss, ((right @ target) / target.sum(0)).mean()


def _cross_entropy(outputs, classes):
    log_p = jax.nn.log_softmax(outputs)
    target = jax.nn.one_hot(classes, outputs.shape[1])
    loss = -(log_p * target).sum(1).mean()
    accuracy = (outputs.argmax(1) == classes).mean()
    return loss, accuracy, target, log_p


@functools.partial(jax.jit, static_argnames=("layers", "presentations", "batch"))
@functools.partial(jax.vmap, in_axes=(None, None, 0, None, None, None))
def sgd(data, rate, key, layers, presentations, batch):
    """SGD on a relu network, biases apart from weights.

    Returns losses and accuracies, the validation outcome, and the final weights.
    """
    n, h, m = layers
    key_weights, key_order, _ = jax.random.split(key, 3)
    draws = jax.random.normal(key_weights, (n * h + h * m,))
    w1 = draws[: n * h].reshape(n, h) * math.sqrt(2 / n)
    w2 = draws[n * h :].reshape(h, m) * math.sqrt(2 / h)
    order = _order(key_order, data.classes.shape[0], presentations, batch)

    def hidden_and_outputs(weights, x):
        w1, b1, w2, b2 = weights
        hidden = jax.nn.relu(x @ w1 + b1)
        return hidden, hidden @ w2 + b2

    def present(weights, rows):
        w1, b1, w2, b2 = weights
        x, classes = _batch(data, rows)
        hidden, outputs = hidden_and_outputs(weights, x)
        loss, accuracy, target, log_p = _cross_entropy(outputs, classes)
        error = target - jnp.exp(log_p)
        delta = (error @ w2.T) * (hidden > 0)
        eta = rate / batch
        weights = (
            w1 + eta * (x.T @ delta),
            b1 + eta * delta.sum(0),
            w2 + eta * (hidden.T @ error),
            b2 + eta * error.sum(0),
        )
        return weights, (loss, accuracy)

    weights = (w1, jnp.zeros(h), w2, jnp.zeros(m))
    weights, stream = lax.scan(present, weights, order)
    return stream, _held_out(data, lambda x: hidden_and_outputs(weights, x)[1]), weights


@functools.partial(jax.jit, static_argnames=("layers", "presentations", "batch"))
@functools.partial(jax.vmap, in_axes=(None, None, 0, None, None, None))
def blur(data, genome, key, layers, presentations, batch):
    """Additive asymmetric BLUR with tanh, channels leading.

    Returns losses and accuracies, the validation outcome, and the final weights.
    """
    nu, mu, nu_, mu_, keep, eta, keep_, eta_, gain = genome
    k, sizes = nu.shape[0], list(itertools.pairwise(layers))
    key_weights, key_order, _ = jax.random.split(key, 3)
    keys = jax.random.split(key_weights)

    def born(key, shapes):
        draws = jax.random.normal(key, (k, sum(a * b for a, b in shapes)))
        blocks, start = [], 0
        for a, b in shapes:
            blocks.append(draws[:, start : start + a * b].reshape(k, a, b) / math.sqrt(a))
            start += a * b
        return blocks

    up = [jnp.pad(w, ((0, 0), (0, 1), (0, 0))) for w in born(keys[0], sizes)]
    down = born(keys[1], [(b, a) for a, b in sizes[::-1]])[::-1]
    order = _order(key_order, data.classes.shape[0], presentations, batch)

    def mix(a, matrix):
        return jnp.stack([sum(a[d] * matrix[d, c] for d in range(k)) for c in range(k)])

    def biased(a):
        return jnp.concatenate([a, jnp.ones((*a.shape[:2], 1))], 2)

    def transposed(a):
        return jnp.swapaxes(a, 1, 2)

    def ascend(up, x):
        states = [jnp.stack([x, *[jnp.zeros_like(x)] * (k - 1)])]
        for w in up:
            states.append(jnp.tanh(eta * (mix(biased(states[-1]), nu) @ w)))
        return states

    def present(weights, rows):
        up, down = weights
        x, classes = _batch(data, rows)
        states = ascend(up, x)
        top = states[-1]
        loss, accuracy, target, _ = _cross_entropy(gain * top[0], classes)
        states[-1] = jnp.stack([top[0], 2 * target - 1, *[jnp.zeros_like(target)] * (k - 2)])
        for layer in range(len(up) - 1, 0, -1):
            z = mix(states[layer + 1], mu) @ down[layer]
            states[layer] = jnp.tanh(keep * states[layer] + eta * z)
        new_up, new_down = [], []
        for layer, (w, v) in enumerate(zip(up, down, strict=True)):
            a, b = states[layer : layer + 2]
            hebb = transposed(mix(biased(a), nu_)) @ (mix(b, mu_.T) * (eta_ / batch))
            new_up.append(keep_ * w + hebb)
            hebb = transposed(mix(b, nu_)) @ (mix(a, mu_.T) * (eta_ / batch))
            new_down.append(keep_ * v + hebb)
        return (new_up, new_down), (loss, accuracy)

    weights, stream = lax.scan(present, (up, down), order)
    return stream, _held_out(data, lambda x: gain * ascend(weights[0], x)[-1][0]), weights
