"""What can be read off the outputs of networks that were told nothing."""

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

import plasticgym as pg

PARTS = ("train", "validation")


def inputs_of(problem):
    """The inputs of the train and the validation part, as networks meet them."""
    world = problem.reset(key=jax.random.key(0))
    return {part: problem.shown(world, getattr(problem, part).inputs) for part in PARTS}


@eqx.filter_jit
def lived(rule, problem, *, keys):
    """The outputs on both parts of one network per key, at the end of its life.

    Those of a network that diverged are all zero: nothing can be read off them.
    """

    def one(key):
        life = pg.envs.live(rule, problem, key=key)
        found = outputs(rule, problem, life.state)
        return jax.tree.map(lambda rows: jnp.where(life.diverged, 0.0, rows), found)

    return jax.vmap(one)(keys)


@eqx.filter_jit
def newborn(rule, problem, *, keys):
    """The same before its life."""
    return jax.vmap(
        lambda key: outputs(rule, problem, pg.envs.born(rule, problem, key=key).state)
    )(keys)


def outputs(rule, problem, state):
    network, key = pg.envs.Frozen(rule, state), jax.random.key(0)
    return {part: network(rows, key=key) for part, rows in inputs_of(problem).items()}


def each(outputs):
    """The outputs of one network after the other, each output of unit deviation."""
    for seed in range(len(outputs["train"])):
        one = {part: np.nan_to_num(np.asarray(rows[seed])) for part, rows in outputs.items()}
        deviation = one["train"].std(0)
        yield {part: rows / np.where(deviation > 0, deviation, 1) for part, rows in one.items()}


def accuracy(one, problem):
    """Balanced accuracy on the validation part of logistic regression on the outputs."""
    classes = {part: np.asarray(getattr(problem, part).classes) for part in PARTS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        readout = LogisticRegression(max_iter=300).fit(one["train"], classes["train"])
    return balanced_accuracy_score(classes["validation"], readout.predict(one["validation"]))


def accuracies(rule, problem, *, seeds):
    """The mean of it over networks from these seeds."""
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    found = [accuracy(one, problem) for one in each(lived(rule, problem, keys=keys))]
    return float(np.mean(found))
