"""Fits VSML to backpropagation: python benchmarks/rules/clone_vsml.py [--seed S] [--out FILE]

Synapses are born, then meet random inputs and errors; gradient descent makes what each of
them sends up, sends down and remembers like that of the genome that is written down,
`rules.make("vsml", genome="backprop")`, as Kirsch and Schmidhuber (2021, section 3.2) did
before they trained further. It begins at random weights and goes to
rules/genomes/vsml-cloned.safetensors, at which the recipe `vsml` begins.
"""

import argparse
from importlib.metadata import version
from pathlib import Path

import jax
import jax.numpy as jnp
import optax

import plasticgym as pg

FILE = Path(__file__).resolve().parents[2] / "rules" / "genomes" / "vsml-cloned.safetensors"
STATES, STEPS, AT_ONCE, RATE = 8, 6000, 250, 0.1
SYNAPSES, PRESENTATIONS = 256, 12
# What `backprop` does by default; newborn cells hold a number of deviation BIRTH.
ETA, GAIN, SHIFT, BIRTH = 1.0, 8.0, 0.5, 0.3


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=FILE)
    told = parser.parse_args()
    rule = pg.rules.make("vsml", states=STATES, seed=told.seed)
    genome, state = pg.rules.genome(rule), optimizer().init(pg.rules.genome(rule))
    for start in range(0, STEPS, AT_ONCE):
        genome, state = fitted(rule, genome, state, start, told.seed)
        up, down, _ = errors(rule, genome, jax.random.key(told.seed + 1))
        print(f"step {start + AT_ONCE}: up {up:.4f}, down {down:.4f}", flush=True)
    up, down, _ = errors(rule, genome, jax.random.key(told.seed + 1))
    pg.rules.save_genome(
        told.out,
        pg.rules.with_genome(rule, genome),
        name="vsml",
        options={"states": STATES},
        provenance={
            "command": f"python benchmarks/rules/clone_vsml.py --seed {told.seed}",
            "cloned": "backpropagation",
            "relative squared error of messages": {
                "up": round(float(up), 4),
                "down": round(float(down), 4),
            },
            "presentations": PRESENTATIONS,
            "problems": {},
            "plasticgym": version("plasticgym"),
            "jax": jax.__version__,
        },
    )


def optimizer():
    rate = optax.warmup_cosine_decay_schedule(0.0, RATE, 100, STEPS)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))


@jax.jit
def fitted(rule, genome, state, start, seed):
    """`genome` after so many steps from `start`."""

    def loss(genome, key):
        return sum(errors(rule, genome, key))

    def step(i, carry):
        genome, state = carry
        key = jax.random.fold_in(jax.random.key(seed), start + i)
        change, state = optimizer().update(jax.grad(loss)(genome, key), state, genome)
        return optax.apply_updates(genome, change), state

    return jax.lax.fori_loop(0, AT_ONCE, step, (genome, state))


@jax.jit
def errors(rule, genome, key):
    """Squared errors of entry 0 up and down, in parts of its square, and of the others."""
    up, down = messages(pg.rules.with_genome(rule, genome), key)
    first = [((a[:, 0] - b) ** 2).mean() / (b**2).mean() for a, b in (up, down)]
    return *first, sum((a[:, 1:] ** 2).mean() for a, _ in (up, down))


def messages(rule, key):
    """What synapses send up and down, and what they should, in multiples of the gain."""
    keys, size = jax.random.split(key, 5), (PRESENTATIONS, SYNAPSES)
    born = BIRTH * jax.random.normal(keys[0], (SYNAPSES,))
    louder = jnp.exp(0.5 * jax.random.normal(keys[1], (PRESENTATIONS, 1)))
    x = louder * jax.random.normal(keys[2], size)
    e = 0.4 * jax.random.normal(keys[3], size)
    target = jax.random.bernoulli(keys[4], 0.5, size).astype(float)  # of no use to it

    def message(*entries):
        silent = [jnp.zeros(SYNAPSES)] * (rule.messages - len(entries))
        return jnp.stack([*entries, *silent])[:, :, None, None]

    def presentation(carry, heard):
        h, c, w = carry
        x, e, target = heard
        h, c = rule.tick(h, c, message(x))
        up = rule.forward(h)[:, :, 0, 0] / GAIN
        h, c = rule.tick(h, c, message(x), message(e, target))
        down = rule.backward(h)[:, :, 0, 0] / GAIN
        t = jnp.tanh(x + SHIFT)
        expected = t * w, (1.0 - t**2) * w * e
        return (h, c, w - ETA * t * e), ((up, expected[0]), (down, expected[1]))

    c = jnp.broadcast_to(born, (rule.states, SYNAPSES))[:, :, None, None]
    return jax.lax.scan(presentation, (jnp.zeros_like(c), c, 2.0 * born), (x, e, target))[1]


if __name__ == "__main__":
    main()
