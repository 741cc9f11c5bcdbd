"""Under XLA's full optimizations, a thousand lives at once are what each is alone.

The other tests compile without most optimizations, to be quick. jaxlib 0.10.2 is known to
miscompile some products of many small matrices on CPU (see docs/known-problems.md); this
is where it would show if a rule of ours were among them.
"""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
import equinox as eqx, jax, jax.numpy as jnp, numpy as np
import plasticgym as pg

rule = pg.rules.make(sys.argv[1])
problems = [pg.envs.plane("xor", presentations=5), pg.envs.digits(presentations=3)]
agent = pg.agents.Evolution(lives=1, objective="loss")
start, key = pg.rules.genome(rule), jax.random.key(0)
genomes = start[None] + 0.05 * jax.random.normal(key, (1024, start.size))
first = jnp.zeros((), int)
fitness = eqx.filter_jit(
    lambda vectors: agent.fitness(rule, problems, vectors, generation=first, key=key)[0]
)
together, which = np.asarray(fitness(genomes)), np.linspace(0, 1023, 12).astype(int)
alone = [np.asarray(fitness(genomes[i : i + 1]))[0] for i in which]
np.testing.assert_allclose(together[which], alone, atol=1e-5)
assert np.ptp(together) > 1e-4, "the genomes must differ in what they do"
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "sgd",
        "adam",
        "hebb",
        "oja",
        "blur",
        "node-perturbation",
        "predictive-coding",
        "three-factor",
    ],
)
def test_a_thousand_genomes_live_as_each_alone(name):
    subprocess.run([sys.executable, "-c", SCRIPT, name], check=True)
