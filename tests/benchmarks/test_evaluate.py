"""Scores of a tiny suite, held against single lives and arithmetic."""

import dataclasses

import equinox as eqx
import jax
import numpy as np
import pytest

import plasticgym as pg
from plasticgym import benchmarks
from plasticgym.benchmarks import _evaluate

OPTIONS = {"hidden": (4,), "batch": 8, "presentations": 5}
SEEDS = (3, 1, 4)


def setting(problem="Xor-v0", **options):
    return benchmarks.Setting(problem, OPTIONS | options)


SUITE = benchmarks.Suite(
    "tiny-v0", seen={"xor": setting()}, unseen={"and": setting("And-v0")}, seeds=SEEDS
)
alone = eqx.filter_jit(pg.envs.live)
SGD, WILD = pg.rules.SGD(rate=0.3), pg.rules.SGD(rate=1e4)


@pytest.fixture(scope="module")
def report():
    return benchmarks.evaluate({"sgd": SGD, "wild": WILD}, SUITE)


@pytest.mark.parametrize(("name", "rule"), [("sgd", SGD), ("wild", WILD)])
@pytest.mark.parametrize("where", ["xor", "and"])
def test_scores_are_those_of_single_lives(report, name, rule, where):
    result, problem = report.results[name][where], SUITE.problem(where)
    assert result.times == (1, 2, 3, 4, 5)
    for row, seed in enumerate(SEEDS):
        life = alone(rule, problem, key=jax.random.key(seed), part="test", tests=result.times)
        np.testing.assert_allclose(result.held_out[row], life.tests.score, atol=1e-5)
        np.testing.assert_allclose(result.stream[row], life.scores, atol=1e-5)
        assert result.diverged[row] == life.diverged


def test_the_same_call_gives_the_same_report(report):
    again = benchmarks.evaluate({"sgd": SGD, "wild": WILD}, SUITE)
    assert again.to_json() == report.to_json()
    others = benchmarks.evaluate({"sgd": SGD}, SUITE, seeds=(1, 3))
    assert others.seeds == (1, 3)
    this, other = report.results["sgd"]["xor"], others.results["sgd"]["xor"]
    np.testing.assert_allclose(other.held_out, this.held_out[[1, 0]], atol=1e-6)


def test_a_diverged_life_is_counted_and_scores_chance(report):
    wild = report.results["wild"]["xor"]
    assert wild.diverged.any()
    assert (wild.last[wild.diverged] == wild.chance).all()
    assert (wild.normalised[wild.diverged] == 0.0).all()
    assert wild.failures == wild.diverged.mean()
    assert report.results["sgd"]["xor"].failures == 0.0
    failures = [report.results["wild"][s].failures for s in ("xor", "and")]
    assert [report.summary("wild", s).failures for s in ("seen", "unseen")] == failures


def test_only_the_part_that_is_asked_for_is_opened():
    def noisy(**options):
        problem = pg.envs.plane("xor", **options)
        return eqx.tree_at(lambda p: p.held_out.classes, problem, 1 - problem.held_out.classes)

    pg.envs.register("NoisyXor-v0", noisy)
    suite = dataclasses.replace(SUITE, unseen={"noisy": setting("NoisyXor-v0")})
    for part, same in (("validation", True), ("test", False)):
        results = benchmarks.evaluate({"sgd": SGD}, suite, part=part).results["sgd"]
        clean, noise = results["xor"], results["noisy"]
        assert np.array_equal(clean.stream, noise.stream)
        assert np.array_equal(clean.held_out, noise.held_out) == same
        if part == "test":
            np.testing.assert_allclose(noise.held_out, 1 - clean.held_out, atol=1e-6)


def test_only_the_splits_that_are_asked_for_are_run(report):
    part = benchmarks.evaluate({"sgd": SGD}, SUITE, splits=("unseen",))
    assert part.results["sgd"].keys() == {"and"}
    assert list(part.settings) == ["unseen"]
    this, that = part.results["sgd"]["and"], report.results["sgd"]["and"]
    np.testing.assert_allclose(this.held_out, that.held_out, atol=1e-6)
    lacking = benchmarks.Reference("half", {"and": 0.9})
    benchmarks.evaluate({"sgd": SGD}, SUITE, splits=("unseen",), reference=lacking)


def test_a_rule_per_setting_enters_each_with_its_own(report):
    both = {"xor": SGD, "and": WILD}
    mixed = benchmarks.evaluate({"sgd*": both}, SUITE).results["sgd*"]
    for where, same in (("xor", "sgd"), ("and", "wild")):
        expected = report.results[same][where]
        np.testing.assert_allclose(mixed[where].held_out, expected.held_out, atol=1e-6)


def test_entries_bring_what_they_were_trained_on():
    entry = benchmarks.Entry("sgd", SGD, {"a": ("And-v0", {"presentations": 2})})
    report = benchmarks.evaluate({"mine": entry, "bare": SGD}, SUITE, seeds=(0,))
    assert (report.met("mine"), report.met("bare")) == (["and"], [])


def test_rules_of_equal_structure_and_problems_of_equal_shape_share_a_compilation():
    traced = []

    class Counted(pg.rules.AbstractRule):
        rule: pg.rules.SGD

        @property
        def reads(self):
            return self.rule.reads

        @property
        def tier(self):
            return self.rule.tier

        def init(self, body, *, key):
            traced.append(body)
            return self.rule.init(body, key=key)

        def rest(self, state, batch):
            return self.rule.rest(state, batch)

        def predict(self, state, inputs, *, key):
            return self.rule.predict(state, inputs, key=key)

        def receive(self, state, feedback, *, key):
            return self.rule.receive(state, feedback, key=key)

        def adapt(self, state, *, key):
            return self.rule.adapt(state, key=key)

    benchmarks.evaluate({"slow": Counted(SGD), "fast": Counted(WILD)}, SUITE)
    assert len(traced) == 1


def test_progress_is_told():
    calls = []
    benchmarks.evaluate(
        {"sgd": SGD, "wild": WILD}, SUITE, on_progress=lambda *call: calls.append(call)
    )
    assert calls == [
        (0, 4, "sgd on xor"),
        (1, 4, "wild on xor"),
        (2, 4, "sgd on and"),
        (3, 4, "wild on and"),
        (4, 4, ""),
    ]


def test_another_reference_moves_what_counts_as_one(report):
    reference = benchmarks.Reference("half way", {"xor": 0.75, "and": 1.0})
    other = benchmarks.evaluate({"sgd": SGD}, SUITE, reference=reference)
    this, that = report.results["sgd"], other.results["sgd"]
    np.testing.assert_allclose(that["xor"].normalised, 2 * this["xor"].normalised)
    np.testing.assert_allclose(that["and"].normalised, this["and"].normalised)
    assert other.to_json()["reference"] == {
        "name": "half way",
        "scores": {"xor": 0.75, "and": 1.0},
    }


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (1, (1,)),
        (4, (1, 2, 3, 4)),
        (10, tuple(range(1, 11))),
        (20, (1, 2, 3, 4, 5, 7, 9, 12, 15, 20)),
        (10**9, tuple(10**e for e in range(10))),
    ],
)
def test_tests_are_spaced_evenly_on_a_logarithmic_axis(last, expected):
    assert _evaluate.log_spaced(last) == expected


def test_tests_are_ten_from_first_to_last_and_rise():
    for last in range(10, 400):
        times = _evaluate.log_spaced(last)
        assert (len(times), times[0], times[-1]) == (10, 1, last)
        assert all(np.diff(times) > 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rules": {}}, r"`rules` must be at least one rule by its name, got \{\}"),
        ({"rules": [SGD]}, r"`rules` must be at least one rule by its name"),
        ({"rules": {"sgd": pg.rules.SGD}}, r"`rules\['sgd'\]` must be a rule, .* got <class"),
        ({"rules": {"sgd*": {"xor": SGD}}}, r"`rules\['sgd\*'\]` .* lacks \['and'\]"),
        ({"rules": {"sgd*": {"xor": 1, "and": SGD}}}, r"`rules\['sgd\*'\]` must be a rule"),
        ({"splits": ("sen",)}, r"unknown split 'sen'; did you mean 'seen'"),
        ({"splits": ()}, r"`splits` must be a tuple of seen, validation, unseen, got \(\)"),
        ({"splits": "seen"}, r"`splits` must be a tuple"),
        ({"splits": ("validation",)}, r"`splits` must name one that tiny-v0 has \(seen, un"),
        ({"suite": "smoke-v0"}, r"`suite` must be a suite, such as .*got 'smoke-v0'"),
        ({"seeds": ()}, r"`seeds` must be a tuple of at least one"),
        ({"seeds": (1, 1)}, r"`seeds` must be .* all different, got \(1, 1\)"),
        ({"seeds": [1]}, r"`seeds` must be a tuple"),
        ({"seeds": (1.0,)}, r"`seeds` must be"),
        ({"part": "tests"}, r"unknown `part` 'tests'; did you mean 'test'"),
        ({"part": "train"}, r"unknown `part` 'train'"),
        (
            {"reference": benchmarks.Reference("adam", {"xor": 0.9})},
            r"`reference` must have a score for each setting, lacks \['and'\]",
        ),
        (
            {"reference": benchmarks.Reference("adam", {"xor": 0.9, "and": 0.5})},
            r"`reference` must score above chance .*got 0.5 in 'and', where chance is 0.5",
        ),
    ],
)
def test_bad_input_is_named_before_anything_runs(change, message, unchecked):
    def ran(*_):
        pytest.fail("something ran")

    right = {"rules": {"sgd": SGD}, "suite": SUITE, "on_progress": ran}
    options = right | change
    with pytest.raises(ValueError, match=message):
        benchmarks.evaluate(options.pop("rules"), options.pop("suite"), **options)
