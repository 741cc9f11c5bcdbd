"""What a name on the command line stands for, and what that was trained on."""

import pytest

import plasticgym as pg
from plasticgym import benchmarks

XOR = {"hidden": [4], "presentations": 3}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def saved(path, provenance=None, rate=0.25):
    rule = pg.rules.SGD(rate=rate)
    pg.rules.save_genome(path, rule, name="sgd", provenance=provenance)


def test_a_bare_name_has_the_genome_that_comes_with_the_package():
    entry = benchmarks.entry("sgd")
    assert entry.label == "sgd (shipped)"
    assert entry.rule == pg.rules.shipped("sgd") != pg.rules.make("sgd")
    assert "xor" in entry.trained_on


def test_a_name_without_such_a_genome_or_with_options_is_exactly_so():
    for text, rule in (("oja", pg.rules.Oja()), ("sgd(rate=0.5)", pg.rules.SGD(rate=0.5))):
        entry = benchmarks.entry(text)
        assert (entry.label, entry.trained_on) == (text, {})
        assert entry.rule == rule


def test_a_genome_file_tells_what_it_was_trained_on(here):
    first, again = ["Xor-v0", XOR], ["Xor-v0", {**XOR, "batch": 8}]
    saved(here / "a.safetensors", {"problems": {"xor": first}})
    entry = benchmarks.entry("a.safetensors")
    assert (entry.label, float(entry.rule.rate)) == ("a.safetensors", 0.25)
    assert entry.trained_on == {"xor": ("Xor-v0", XOR)}
    before = {"xor": again, "moons": ["Moons-v0", {}], "same": first}
    saved(here / "b.safetensors", {"problems": {"xor": first}, "trained_on": before})
    assert benchmarks.entry("b.safetensors").trained_on == {
        "xor": ("Xor-v0", XOR),
        "xor-2": ("Xor-v0", {**XOR, "batch": 8}),
        "moons": ("Moons-v0", {}),
    }


def test_a_rule_that_begins_at_a_genome_was_trained_on_what_that_was(here):
    rule = pg.rules.make("blur")
    told = {"problems": {"mine": ["Xor-v0", XOR]}}
    pg.rules.save_genome("a.safetensors", rule, name="blur", provenance=told)
    entry = benchmarks.entry("blur(genome='a.safetensors')")
    assert entry.trained_on == {"mine": ("Xor-v0", XOR)}
    assert benchmarks.entry("blur(genome='random')").trained_on == {}


def test_a_file_that_says_nothing_was_trained_on_nothing_known(here):
    saved(here / "a.safetensors")
    assert benchmarks.entry("a.safetensors").trained_on == {}


@pytest.mark.parametrize("problems", [["xor"], {"xor": "Xor-v0"}, {"xor": [1, {}]}, {"x": []}])
def test_a_file_that_does_not_say_it_in_form_is_refused(here, problems):
    saved(here / "a.safetensors", {"problems": problems})
    with pytest.raises(ValueError, match=r"a\.safetensors does not say what it was trained on"):
        benchmarks.entry("a.safetensors")


def test_a_run_tells_what_it_was_trained_on(here):
    options = {"lives": 1}
    run = pg.agents.Run(
        "sgd", {"mine": ("Xor-v0", XOR)}, "metagradient", 1, 0, agent_options=options
    )
    pg.agents.start(run, here / "run")
    entry = benchmarks.entry("run/")
    assert entry.label == "run"
    assert entry.trained_on == {"mine": ("Xor-v0", XOR)}


def test_a_folder_named_like_a_rule_does_not_shadow_it(here):
    (here / "sgd").mkdir()
    (here / "oja").write_text("mine")
    assert benchmarks.entry("sgd").label == "sgd (shipped)"
    assert benchmarks.entry("oja").rule == pg.rules.Oja()
    with pytest.raises(ValueError, match="holds no run"):
        benchmarks.entry("./sgd")


def test_a_star_needs_a_suite():
    with pytest.raises(ValueError, match=r"`sgd\*` depends on the suite"):
        benchmarks.entry("sgd*")
