"""cma, nevergrad and optuna on environments of one step, with no adapter at all."""

import gymnasium
import jax
import numpy as np
import pytest

import plasticgym as pg

cma = pytest.importorskip("cma")
nevergrad = pytest.importorskip("nevergrad")
optuna = pytest.importorskip("optuna")
pytestmark = [pytest.mark.adapters, pytest.mark.filterwarnings("default")]


def by_cma(cost, genes):
    options = {"bounds": [-1, 1], "maxiter": 6, "seed": 1, "verbose": -9}
    found = cma.fmin2(cost, np.zeros(genes), 0.3, options)[1].result
    return found.xbest, found.fbest


def by_nevergrad(cost, genes):
    actions = nevergrad.p.Array(shape=(genes,)).set_bounds(-1, 1)
    actions.random_state.seed(0)
    search = nevergrad.optimizers.OnePlusOne(parametrization=actions, budget=30)
    best = search.minimize(cost).value
    return best, cost(best)


def by_optuna(cost, genes):
    def objective(trial):
        return cost([trial.suggest_float(str(i), -1, 1) for i in range(genes)])

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=30)
    return [study.best_params[str(i)] for i in range(genes)], study.best_value


@pytest.mark.parametrize("optimise", [by_cma, by_nevergrad, by_optuna])
def test_the_best_that_it_finds_is_what_live_gives(optimise, xor, promised):
    rule = pg.rules.Momentum(rate=0.01)
    small = {"hidden": (4,), "batch": 8, "presentations": 6}
    env = gymnasium.make("plasticgym/Xor-v0", rule="momentum", rate=0.01, **small)
    genes = env.action_space.shape[0]

    def cost(action):
        env.reset(options={"task": 2})
        *_, over, _, info = env.step(np.asarray(action))
        assert over
        assert info["diverged"] is False
        return float(np.log(info["loss"] + 0.01))

    best, least = optimise(cost, genes)
    assert np.abs(best).max() <= 1
    role = env.unwrapped.role
    for action, expected in ((best, least), (np.zeros(genes), cost(np.zeros(genes)))):
        lived = pg.rules.with_genome(
            rule, pg.rules.genome(rule) + role.reach * np.asarray(action)
        )
        (reward,), _ = promised(lived, xor, jax.random.key(2), xor.presentations)
        chance = np.log(xor.chance.loss + 0.01)
        assert np.isclose(chance - reward, expected, atol=1e-5)
    assert least < cost(np.zeros(genes)) - 0.01
