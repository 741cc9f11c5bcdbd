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


RULE_FILE = """
import plasticgym as pg

def delta(rate=0.5, activation="tanh"):
    return pg.rules.PerSynapse(change, rate=rate, activation=activation)

def change(view):
    return view.pre * view.error

def number():
    return 3

class Abstract(pg.rules.AbstractRule):
    pass
"""


def test_a_formula_stands_for_its_rule():
    text = "expr: rate * pre * error - 0.1 * a * weight; rate=0.2, a=-1, activation='relu'"
    entry = benchmarks.entry(text)
    assert (entry.label, entry.trained_on) == (text, {})
    assert isinstance(entry.rule, pg.rules.Expression)
    assert entry.rule.formula == "rate * pre * error - 0.1 * a * weight"
    found = {name: float(value) for name, value in pg.rules.named_leaves(entry.rule).items()}
    expected = {"rate": 0.2, "constants.a": -1.0, "constants.c0": 0.1}
    assert found == pytest.approx(expected)
    assert entry.rule.activation == "relu"
    assert benchmarks.entry(" expr: pre * post").rule.formula == "pre * post"


def test_a_file_of_python_stands_for_a_rule_in_it(here):
    (here / "mine").mkdir()
    (here / "mine" / "rule.py").write_text(RULE_FILE)
    entry = benchmarks.entry("mine/rule.py:delta")
    assert isinstance(entry.rule, pg.rules.PerSynapse)
    assert float(entry.rule.rate) == 0.5
    again = benchmarks.entry("./mine/rule.py:delta(rate=0.25, activation='relu')")
    assert (float(again.rule.rate), again.rule.activation) == (0.25, "relu")
    assert pg.rules.make("mine/rule.py:delta") == entry.rule


def test_files_of_one_name_in_two_folders_are_two_rules(here):
    for folder, rate in (("v1", 0.5), ("v2", 0.25)):
        (here / folder).mkdir()
        (here / folder / "rule.py").write_text(RULE_FILE.replace("rate=0.5", f"rate={rate}"))
    first, second = (benchmarks.entry(f"v{i}/rule.py:delta") for i in (1, 2))
    assert (float(first.rule.rate), float(second.rule.rate)) == (0.5, 0.25)
    assert benchmarks.entry(f"{here}/v1/rule.py:delta").rule == first.rule
    assert float(pg.rules.make("v2/rule.py:delta").rate) == 0.25


def test_a_file_that_was_changed_is_run_anew(here):
    path = here / "rule.py"
    for rate in (0.5, 0.125):
        path.write_text(RULE_FILE.replace("rate=0.5", f"rate={rate}"))
        assert float(benchmarks.entry("rule.py:delta").rule.rate) == rate
        first = benchmarks.entry("rule.py:delta(activation='relu')")
        assert first.rule.function == benchmarks.entry("rule.py:delta").rule.function


def test_a_genome_of_a_rule_in_a_file_needs_the_file_to_be_named(here):
    """It may be of others, and a genome is data: reading it runs nothing."""
    (here / "rule.py").write_text(RULE_FILE + "\nopen('ran', 'w').close()\n")
    rule = pg.rules.PerSynapse(lambda view: view.pre * view.error, rate=0.125)
    pg.rules.save_genome("a.safetensors", rule, name="rule.py:delta")
    with pytest.raises(ValueError, match=r"name that file before it, as in: plasticgym evalu"):
        benchmarks.entry("a.safetensors")
    assert not (here / "ran").exists()
    benchmarks.entry("rule.py:delta")
    assert (here / "ran").exists()
    assert float(benchmarks.entry("a.safetensors").rule.rate) == 0.125


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("expr:", "cannot be read"),
        ("expr: eta * pre", "give it a value, as in eta=0.1"),
        ("expr: pre; rate", "must read like ; rate=0.1"),
        ("expr: pre; rate=open('x')", "must read like ; rate=0.1"),
        ("expr: pre; formula='post'", "give no `formula=`"),
        ("expr: pre; activation='rlu'", "did you mean 'relu'"),
        ("none.py:delta", r"there is no file none\.py"),
        ("rule.py", "no rule named, as in rule.py:MyRule; known are change, delta, number"),
        ("rule.py:", "no rule named"),
        ("rule.py:dleta", "no rule 'dleta'; did you mean 'delta'"),
        ("rule.py:Abstract", "no rule 'Abstract'"),
        ("rule.py:pg", "no rule 'pg'.* returns one, as in def my_rule"),
        ("rule.py:change", "'change' needs arguments, as a function of one synapse"),
        ("rule.py:number", "must build a rule, got int"),
        ("rule.py:delta(rats=1)", "'rule.py:delta' does not take these options.*rats"),
        ("rule.py:delta(rate=f(1))", "with plain values"),
        ("broken.py:delta", "broken.py cannot be run: ZeroDivisionError: division by zero"),
        ("ends.py:delta", "ends.py cannot be run: SystemExit: 3"),
    ],
)
def test_what_is_no_formula_and_no_rule_in_a_file_is_refused(here, text, match):
    (here / "rule.py").write_text(RULE_FILE)
    (here / "broken.py").write_text("1 / 0")
    (here / "ends.py").write_text("raise SystemExit(3)")
    with pytest.raises(ValueError, match=match):
        benchmarks.entry(text)
