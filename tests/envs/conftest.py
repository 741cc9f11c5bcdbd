"""A life step by step, which is what lives in one program are compared with."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

import plasticgym as pg


@pytest.fixture(scope="session")
def step():
    return eqx.filter_jit(pg.envs.step)


@pytest.fixture(scope="session")
def loop(step):
    """The lives after each presentation, and the outcomes."""
    begun = eqx.filter_jit(pg.envs.born)

    def loop(rule, problem, *, key):
        life = begun(rule, problem, key=key)
        history, outcomes = [life], []
        for _ in range(problem.presentations):
            life, outcome = step(rule, problem, life)
            history.append(life)
            outcomes.append(outcome)
        return history, jax.tree.map(lambda *x: jnp.stack(x), *outcomes)

    return loop


@pytest.fixture(scope="session")
def history(xor, loop):
    """That of a rule that learns."""
    return loop(pg.rules.SGD(rate=0.3, activation="tanh"), xor, key=jax.random.key(5))
