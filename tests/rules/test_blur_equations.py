"""BLUR in all its variants against its equations, written out once more in numpy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from plasticgym.rules import (
    Blur,
    Body,
    ByActivity,
    ByWeights,
    Clamped,
    Feedback,
    Normalisation,
    Plasticity,
    Saturation,
    Transfer,
    UnitColumns,
)

KEY = jax.random.key(0)
K, BATCH, LAYERS = 3, 5, (3, 4, 3, 2)
SIGMA = {
    "tanh": np.tanh,
    "tanh'": lambda z: 1 - np.tanh(z) ** 2,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "relu": lambda z: np.maximum(z, 0),
    "linear": lambda z: z,
}


def drawn(seed: int, *shape: int):
    return np.random.default_rng(seed).normal(size=shape)


def plasticity(seed: int = 0, states: int = K, **options) -> Plasticity:
    pre, post = 0.5 * drawn(seed, 2, K, K)
    each = np.arange(1, states + 1)
    defaults = {"keep": 0.9 + 0.02 * each, "rate": 0.3 / each}
    return Plasticity(pre, post, **defaults | options)


def blur(seed: int = 10, **options) -> Blur:
    defaults = {
        "synapse": plasticity(seed + 1, options.get("synapse_states", K)),
        "neuron_keep": 0.8,
        "neuron_rate": 0.7,
        "gain": 2.0,
        "birth": 1.2,
        "bias_birth": 0.6,
        "hidden": ("tanh", "sigmoid", "relu"),
        "top": ("tanh", "linear", "tanh'"),
        "feedback": ("linear", "tanh", "sigmoid"),
        "synapse_states": K,
    }
    forward, backward = 0.6 * drawn(seed, 2, K, K)
    return Blur(forward, backward, **defaults | options)


def norm(*axes):
    unit = Normalisation(1 + 0.2 * drawn(3, K), 0.3 * drawn(4, K), axes)
    return {
        "hidden": Transfer(("tanh", "sigmoid", "linear"), unit),
        "feedback": Transfer(("tanh", "linear", "tanh"), unit),
    }


VARIANTS = {
    "additive": dict,
    "multiplicative": lambda: {"meeting": "multiplicative"},
    "multiplicative second state": lambda: {"meeting": "multiplicative second state"},
    "error": lambda: {"injects": "error"},
    "reward": lambda: {"injects": "reward"},
    "forward source": lambda: {"pre_source": "forward"},
    "symmetric": lambda: {"wiring": "symmetric"},
    "symmetric at birth": lambda: {"wiring": "symmetric at birth"},
    "one weight": lambda: {"synapse_states": 1},
    "one weight, symmetric": lambda: {"synapse_states": 1, "wiring": "symmetric"},
    "normalised over neurons": lambda: norm("neurons"),
    "normalised over the batch": lambda: norm("batch"),
    "normalised over both": lambda: norm("batch", "neurons"),
    "decay": lambda: {"synapse": plasticity(decay=np.array([0.5, 0.1, 2.0]))},
    "numbers for vectors": lambda: {"synapse": plasticity(keep=0.9, rate=0.2, decay=0.5)},
    "by weights": lambda: {"synapse": plasticity(forgetting=ByWeights(-0.7))},
    "by activity": lambda: {"synapse": plasticity(forgetting=ByActivity(0.7))},
    "saturation": lambda: {"stored": (Saturation(0.5),)},
    "unit columns, stored": lambda: {"stored": (UnitColumns(),)},
    "unit columns, used": lambda: {"used": (UnitColumns(),), "wiring": "symmetric"},
    "one constraint after another": lambda: {"used": (UnitColumns(), Saturation(0.4))},
    "backward synapses of their own": lambda: {"backward_synapse": plasticity(7)},
    "a genome per layer": lambda: {"above": blur(20, above=blur(30, gain=3.0))},
    "all at once": lambda: {
        "synapse": plasticity(decay=np.full(K, 0.3), forgetting=ByActivity(0.4)),
        "backward_synapse": plasticity(8, decay=np.full(K, 0.6), forgetting=ByWeights(0.2)),
        "pre_source": "forward",
        "meeting": "multiplicative second state",
        "stored": (Saturation(2.0),),
        "used": (UnitColumns(),),
        **norm("neurons"),
    },
}


def respond(transfer: Transfer, z):
    """z: (batch, n, k)."""
    unit = transfer.normalisation
    if unit is not None:
        axes = tuple({"batch": 0, "neurons": 1}[a] for a in unit.axes)
        spread = np.sqrt(z.var(axes, keepdims=True) + 1e-5)
        z = (z - z.mean(axes, keepdims=True)) / spread
        z = z * np.asarray(unit.gain) + np.asarray(unit.shift)
    return np.stack([SIGMA[f](z[..., c]) for c, f in enumerate(transfer.activations)], -1)


def bound(constraints, w):
    """w: (pre, post, m)."""
    for each in constraints:
        if isinstance(each, UnitColumns):
            w = w / np.sqrt((w**2).sum(0, keepdims=True))
        else:
            w = float(each.bound) * np.tanh(w / float(each.bound))
    return w


def biased(a):
    return np.concatenate([a, np.ones((len(a), 1, K))], 1)


def changed(rule, synapse, w, a, b, time):
    """The new weights from what stands before and behind them, (batch, n, k) each."""
    nu, mu = np.asarray(synapse.pre), np.asarray(synapse.post)
    hebb = np.einsum("bie,ec,cd,bjd->ijc", a, nu, mu, b)[..., : w.shape[2]] / len(a)
    if synapse.forgetting is not None:
        strength = (w**2).sum(0)
        if isinstance(synapse.forgetting, ByActivity):
            seen = np.einsum("cd,bjd->bjc", mu, b)
            strength = (seen**2).mean(0)[:, : w.shape[2]]
        hebb = hebb - abs(float(synapse.forgetting.multiplier)) * w * strength[None]
    rate = np.asarray(synapse.rate)
    if synapse.decay is not None:
        rate = rate / (1 + np.asarray(synapse.decay) * time)
    return bound(rule.stored, np.asarray(synapse.keep) * w + rate * hebb)


def ascended(rules, ups, x):
    a = [np.stack([x] + [0 * x] * (K - 1), -1)]
    for i, (rule, w) in enumerate(zip(rules, ups, strict=True)):
        nu, last = np.asarray(rule.forward), i == len(ups) - 1
        w = np.broadcast_to(bound(rule.used, w), (*w.shape[:2], K))
        z = np.einsum("bid,dc,ijc->bjc", biased(a[-1]), nu, w)
        a.append(respond(rule.top if last else rule.hidden, float(rule.neuron_rate) * z))
    return a


def descended(rules, downs, a):
    """The states after feedback, the last layer's given."""
    for i in range(len(a) - 2, 0, -1):
        rule, v = rules[i], downs[i]
        v = np.broadcast_to(v, (*v.shape[:2], K))
        z = np.einsum("bjd,dc,jic->bic", a[i + 1], np.asarray(rule.backward), v)
        f, eta, met = float(rule.neuron_keep), float(rule.neuron_rate), f_times(rule, a[i], z)
        a[i] = respond(rule.feedback, f * a[i] + eta * z if met is None else met)
    return a


def f_times(rule, a, z):
    f = float(rule.neuron_keep)
    if rule.meeting == "multiplicative":
        return f * a * z
    if rule.meeting == "multiplicative second state":
        return np.concatenate([a[..., :1], f * a[..., 1:] * z[..., 1:]], -1)
    return None


def presented(rule, ups, downs, world, time):
    """Outputs and new weights of one presentation; weights are (pre, post, m)."""
    x, target, error = world
    rules = [rule, rule.above or rule]
    rules.append(rules[1].above or rules[1])
    a = ascended(rules, ups, x)
    forward, top = list(a), a[-1]
    second = {
        "target": 2 * target - 1,
        "error": top[..., 1] * error,
        "reward": top[..., 0] * error.sum(1, keepdims=True),
    }[rule.injects]
    a[-1] = np.stack([top[..., 0], second] + [0 * second] * (K - 2), -1)
    symmetric = rule.wiring == "symmetric"
    used = [
        bound(r.used, w)[:-1].swapaxes(0, 1) if symmetric else bound(r.used, v)
        for r, w, v in zip(rules, ups, downs, strict=True)
    ]
    a = descended(rules, used, a)
    source = forward if rule.pre_source == "forward" else a
    new_ups, new_downs = [], []
    for i, r in enumerate(rules):
        own = r.backward_synapse or r.synapse
        new_ups.append(changed(r, r.synapse, ups[i], biased(source[i]), a[i + 1], time))
        if not symmetric:
            new_downs.append(changed(r, own, downs[i], source[i + 1], a[i], time))
    return float(rule.gain) * top[..., 0], new_ups, new_downs or downs


def by_numpy(rule, state, worlds):
    axes = lambda w: np.moveaxis(np.asarray(w), 0, -1)  # noqa: E731
    ups = [axes(block["forward"]) for block in state.synapses]
    downs = [axes(block.get("backward", block["forward"])) for block in state.synapses]
    outputs = []
    for time, world in enumerate(worlds):
        output, ups, downs = presented(rule, ups, downs, world, time)
        outputs.append(output)
    return outputs, ups, downs


def by_library(rule, state, worlds):
    @jax.jit
    def present(state, x, target, error):
        paid, still = error.sum(1), jnp.zeros(BATCH, bool)
        state, outputs = rule.predict(state, Clamped.full(x), key=KEY)
        feedback = Feedback(Clamped.full(target), error, paid, still)
        return rule.adapt(rule.receive(state, feedback, key=KEY), key=KEY), outputs

    outputs = []
    for world in worlds:
        state, output = present(state, *map(jnp.asarray, world))
        outputs.append(output)
    return outputs, state


@pytest.mark.parametrize("variant", VARIANTS)
def test_three_presentations_are_as_the_equations_say(variant):
    rng = np.random.default_rng(5)
    worlds = [
        (
            rng.normal(size=(BATCH, LAYERS[0])),
            np.eye(LAYERS[-1])[rng.integers(0, LAYERS[-1], BATCH)],
            rng.normal(size=(BATCH, LAYERS[-1])),
        )
        for _ in range(3)
    ]
    with jax.enable_x64(True):
        rule = blur(**VARIANTS[variant]())
        state = rule.rest(rule.init(Body(LAYERS), key=KEY), BATCH)
        outputs, ups, downs = by_numpy(rule, state, worlds)
        found, state = by_library(rule, state, worlds)
    np.testing.assert_allclose(found, outputs, atol=1e-9)
    assert np.abs(outputs[2] - outputs[0]).max() > 1e-3
    for block, w, v in zip(state.synapses, ups, downs, strict=True):
        np.testing.assert_allclose(block["forward"], np.moveaxis(w, -1, 0), atol=1e-9)
        if "backward" in block:
            np.testing.assert_allclose(block["backward"], np.moveaxis(v, -1, 0), atol=1e-9)
    assert ("backward" in state.synapses[0]) == (rule.wiring != "symmetric")


def test_every_variant_is_another_rule():
    """So that no test above passes because its option does nothing."""
    worlds = [(drawn(1, BATCH, 3), np.eye(2)[[0, 1, 1, 0, 1]], drawn(2, BATCH, 2))] * 3
    ends = {}
    with jax.enable_x64(True):
        for name, options in VARIANTS.items():
            rule = blur(**options())
            state = dataclasses.replace(rule, wiring="asymmetric").init(Body(LAYERS), key=KEY)
            outputs, *_ = by_numpy(rule, state, worlds)
            ends[name] = tuple(np.round(outputs[2].ravel(), 8))
    assert len(set(ends.values())) == len(VARIANTS) - 1  # at birth only: as asymmetric
