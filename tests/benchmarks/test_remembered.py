"""What is remembered of snippets: shares, room, and many settings from one life."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.benchmarks import Remembered, remembered

SEEDS = range(6)


def build(**options):
    sizes = {"bits": 16, "stored": 4, "delay": 2, "hidden": 0, "cue": 0.5}
    return pg.envs.remember(**{**sizes, **options})


@pytest.fixture(scope="module")
def rule():
    return pg.rules.make("hopfield", steps=2)


def test_one_setting_is_what_lives_are_tested_to_score(rule):
    problem = build()
    (found,) = remembered(rule, problem, seeds=SEEDS)
    keys = jax.vmap(jax.random.key)(jnp.asarray(SEEDS))
    record = pg.envs.lives(rule, problem, keys=keys, part="test", tests=(problem.written,))
    np.testing.assert_allclose(found.share, record.tests.score[:, 0], atol=1e-6)
    assert found.missing == 4 * 8
    np.testing.assert_array_equal(found.floats, 16 * 15)
    np.testing.assert_allclose(found.density, found.share * 32 / 240, rtol=1e-6)
    assert found.stored.mean() > found.unseen.mean() + 0.2
    assert not found.diverged.any()


@pytest.mark.slow
def test_what_is_shown_after_some_snippets_is_their_delay(rule):
    """As many as are stored next, or pass: the same accuracy, to within its interval."""
    seeds = range(200)
    (whole,) = remembered(rule, build(stored=3, delay=3), seeds=seeds)
    on_the_way = remembered(
        rule, build(stored=6, delay=0), seeds=seeds, settings=[(3, 0), (3, 3), (6, 0)]
    )
    assert [f.missing for f in on_the_way] == [24, 24, 48]
    assert abs(on_the_way[1].stored.mean() - whole.stored.mean()) < 0.02
    assert on_the_way[0].stored.mean() > on_the_way[1].stored.mean() + 0.03


@pytest.mark.slow
def test_synapses_that_do_not_exist_take_no_room():
    rule = pg.rules.make(
        "remembering", topology="sparse-recurrent", topology_options={"share": 0.3, "ticks": 1}
    )
    problem = build(stored=1, delay=0)
    (found,) = remembered(rule, problem, seeds=SEEDS)
    keys = jax.vmap(jax.random.key)(jnp.asarray(SEEDS))
    exist = pg.envs.lives(rule, problem, keys=keys).state.synapses[0]["exist"]
    np.testing.assert_array_equal(found.floats, exist.sum((1, 2)))
    assert found.floats.max() < 16 * 16 / 2


def test_nothing_is_remembered_by_who_knows_only_what_is_usual():
    usual = np.array([0.8, 0.4, 1.0])
    same = Remembered(usual, usual, np.zeros(3, bool), 10, np.full(3, 5))
    np.testing.assert_allclose(same.density, 0.0, atol=1e-7)


@pytest.mark.parametrize("setting", [(5, 0), (4, 3), (2, 5)])
def test_settings_that_are_not_lived_are_refused(rule, setting):
    with pytest.raises(ValueError, match="`settings` must end within 4 stored and 6 present"):
        remembered(rule, build(), seeds=SEEDS, settings=[setting])


@pytest.mark.parametrize("setting", [(0, 0), (1, -1), (2.0, 0), (1, 0.5), (True, 0)])
def test_settings_that_are_no_counts_are_refused(rule, setting, unchecked):
    with pytest.raises(ValueError, match=r"`settings` must hold pairs .*: .* got"):
        remembered(rule, build(), seeds=SEEDS, settings=[setting])


@pytest.mark.parametrize("wrong", [{"settings": []}, {"seeds": []}])
def test_nothing_to_measure_is_refused(rule, wrong):
    with pytest.raises(ValueError, match=r"`(settings|seeds)` must hold"):
        remembered(rule, build(), **{"seeds": SEEDS, **wrong})
