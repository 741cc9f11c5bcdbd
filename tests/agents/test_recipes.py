"""Recipes: what they train on, and that no agent of theirs learns from the test part."""

import doctest
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.agents import RECIPES
from plasticgym.envs import Classification, Examples

SMALL = {"cma-es": {"population": 8, "lives": 2}, "metagradient": {"lives": 2}}
SMALL["evolution"] = SMALL["cma-es"]


@pytest.fixture(params=list(RECIPES))
def run(request):
    return pg.agents.recipe(request.param, seed=7)


def test_a_recipe_is_a_run_that_builds(run):
    if run.problems.keys() & {"Ant-v0", "HalfCheetah-v0"}:
        pytest.importorskip("brax")
    agent, rule, problems = run.build()
    assert isinstance(agent, pg.agents.AbstractAgent)
    assert pg.rules.genome(rule).size > 0
    assert len(problems) == len(run.problems)
    assert run.seed == 7


def test_a_recipe_leaves_the_unseen_unseen(run):
    lite = pg.benchmarks.suite("lite-v0")
    assert pg.benchmarks.unseen_in(lite, run.trained_on) == []
    assert run.unseen == ()


@pytest.mark.parametrize("name", list(RECIPES))
def test_a_recipe_tells_its_cost_and_its_example_runs(name):
    build = RECIPES[name]
    assert "Cost: " in (inspect.getdoc(build) or "")
    (example,) = doctest.DocTestFinder().find(build, name, globs={})
    report = []
    assert doctest.DocTestRunner().run(example, out=report.append).attempted > 0
    assert report == []


def test_an_unknown_recipe_gets_the_near_names():
    with pytest.raises(
        ValueError, match="unknown recipe 'blur-cma'; did you mean 'blur-cmaes'"
    ):
        pg.agents.recipe("blur-cma")


def noise(part, rng):
    """A part of the same shape and values, in which nothing belongs together any more."""
    inputs = rng.permutation(np.asarray(part.inputs).ravel()).reshape(part.inputs.shape)
    return Examples(jnp.asarray(inputs), jnp.asarray(rng.permutation(part.classes)))


def with_parts(problem, **parts):
    """The problem made anew from other data, so that what it derives from them is new, too."""
    theirs = {name: getattr(problem, name) for name in ("train", "validation", "held_out")}
    sizes = {"batch": problem.batch, "presentations": problem.presentations}
    return Classification(**(theirs | parts), body=problem.body, **sizes)


def alike(found, others):
    return all(np.array_equal(x, y) for x, y in zip(found, others, strict=True))


@pytest.mark.slow
def test_training_reads_the_validation_part_and_never_the_test_part(run):
    agent = pg.agents.make(run.agent, **{**run.agent_options, **SMALL[run.agent]})
    rule, rng = pg.rules.make(run.rule, **run.options), np.random.default_rng(0)
    sizes = {"hidden": (4,), "batch": 8, "presentations": 3}
    problems = [pg.envs.plane(name, **sizes) for name in ("xor", "moons")]
    if not pg.rules.accepts(rule, problems[0].body):
        pytest.skip("it lives in one population, and these problems have classes")

    def trained(mine):
        found = pg.agents.train(agent, rule, mine, generations=2, seed=0)
        # Rank-based strategies may find the same genome by other fitnesses.
        return jax.tree.leaves((pg.rules.genome(found.rule), found.history))

    def without(part):
        return [with_parts(p, **{part: noise(getattr(p, part), rng)}) for p in problems]

    clean = trained(problems)
    assert alike(trained(without("held_out")), clean)
    assert not alike(trained(without("validation")), clean)
