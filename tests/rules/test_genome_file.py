"""Genome files: what is written is read back, and nothing damaged or foreign gets in."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

import plasticgym as pg
from plasticgym.rules import RULES, Adam, Blur, genome, load_genome, save_genome

HEADER = {
    "format": "plasticgym genome 1",
    "rule": '"sgd"',
    "options": "{}",
    "provenance": "{}",
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.safetensors"


@pytest.mark.parametrize("name", list(RULES))
def test_the_round_trip_is_exact(name, path):
    rule = pg.rules.with_genome(RULES.make(name), genome(RULES.make(name)) + 0.25)
    save_genome(path, rule, name=name, provenance={"seed": 3})
    assert np.array_equal(genome(load_genome(path)), genome(rule))


def test_options_rebuild_the_structure(path):
    save_genome(path, RULES.make("blur", states=4), name="blur", options={"states": 4})
    loaded = load_genome(path, expected="blur")
    assert isinstance(loaded, Blur)
    assert loaded.states == 4


def test_saving_replaces_the_file_and_leaves_no_other(path):
    for rate in (0.1, 0.2):
        save_genome(path, pg.rules.SGD(rate=rate), name="sgd")
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    np.testing.assert_allclose(load_genome(path).rate, 0.2, rtol=1e-6)


def test_a_write_that_fails_leaves_the_old_file(path):
    save_genome(path, pg.rules.SGD(rate=0.1), name="sgd")
    with pytest.raises(TypeError):
        save_genome(path, pg.rules.SGD(rate=0.2), name="sgd", options={"bad": object()})
    np.testing.assert_allclose(load_genome(path).rate, 0.1, rtol=1e-6)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_missing_file_is_refused(path):
    with pytest.raises(ValueError, match=r"there is no genome file at .*some\.safetensors"):
        load_genome(path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\x80\x04K\x01.", b"\xff" * 64])
def test_what_is_no_safetensors_file_is_refused(content, path):
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a readable safetensors file"):
        load_genome(path)


def test_a_truncated_file_is_refused(path):
    save_genome(path, Adam(), name="adam")
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match="is not a readable safetensors file"):
        load_genome(path)


@pytest.mark.parametrize(
    ("tensors", "header", "message"),
    [
        ({"rate": 0.1}, {"format": "other 2"}, r"its format is 'other 2', not 'plasticgym"),
        ({"rate": 0.1}, {"options": "{"}, r"the header of .* is damaged"),
        ({"rate": 0.1}, {"provenance": "[]"}, r"the header of .* is damaged"),
        ({"rate": 0.1}, {"options": '{"genome": "shipped"}'}, "it must stand alone"),
        ({"rate": 0.1}, {"options": '{"genome": "a.safetensors"}'}, "it must stand alone"),
        ({"rate": 0.1}, {"rule": '"sgdd"'}, r"unknown rule 'sgdd'; did you mean 'sgd'"),
        ({"rate": np.nan}, {}, r"`rate` in .* must be finite"),
        ({"speed": 0.1}, {}, r"does not fit SGD: it holds .*speed.*, the rule has .*rate"),
        ({"rate": [0.1, 0.2]}, {}, r"does not fit SGD: it holds .*\(2,\)"),
        ({"rate": 0.1, "more": 1.0}, {}, r"does not fit SGD"),
        ({}, {}, r"does not fit SGD"),
    ],
)
def test_foreign_and_damaged_files_are_refused(tensors, header, message, path):
    arrays = {key: np.asarray(value, np.float32) for key, value in tensors.items()}
    save_file(arrays, path, metadata=HEADER | header)
    with pytest.raises(ValueError, match=message):
        load_genome(path)


@pytest.mark.parametrize("missing", ["format", "rule", "options", "provenance"])
def test_a_header_that_lacks_something_is_refused(missing, path):
    header = {key: value for key, value in HEADER.items() if key != missing}
    save_file({"rate": np.asarray(0.1, np.float32)}, path, metadata=header)
    with pytest.raises(ValueError, match=r"is not a genome of this version|is damaged"):
        load_genome(path)


@pytest.mark.parametrize("rate", [0.0, -0.1])
def test_values_that_the_rule_would_refuse_are_refused(rate, path):
    save_file({"rate": np.asarray(rate, np.float32)}, path, metadata=HEADER)
    with pytest.raises(ValueError, match=r"`rate`.* must be positive"):
        load_genome(path)


@pytest.mark.parametrize("gene", ["synapse.rate", "synapse.decay", "gain"])
def test_genes_of_parts_have_their_range_as_well(gene, path):
    options = {"genome": "normalised", "states": 2}
    values = dict(pg.rules.named_leaves(RULES.make("blur", **options)))
    header = HEADER | {"rule": '"blur"', "options": json.dumps(options)}
    arrays = {key: np.asarray(value) for key, value in values.items()}
    save_file(arrays, path, metadata=header)
    load_genome(path)
    save_file(arrays | {gene: np.asarray(-arrays[gene])}, path, metadata=header)
    with pytest.raises(
        ValueError, match=rf"does not fit Blur: `{gene.split('.')[-1]}` must be"
    ):
        load_genome(path)


@pytest.mark.parametrize("name", ["shipped", "a.safetensors"])
def test_a_file_that_would_not_stand_alone_is_not_written(name, path):
    with pytest.raises(ValueError, match="`options` must not name another genome"):
        save_genome(path, RULES.make("blur"), name="blur", options={"genome": name})
    assert not path.exists()


@pytest.mark.parametrize("options", [[1], "x", {"states": "rm -rf"}, {"speed": 1}])
def test_options_that_the_rule_does_not_take_are_refused(options, path, unchecked):
    header = HEADER | {"options": json.dumps(options)}
    save_file({"rate": np.asarray(0.1, np.float32)}, path, metadata=header)
    with pytest.raises(ValueError, match=r"is damaged|does not take these options|`states`"):
        load_genome(path)


def test_a_genome_of_another_rule_is_refused(path):
    save_genome(path, Adam(), name="adam")
    with pytest.raises(ValueError, match="holds a genome of 'adam', not of 'blur'"):
        load_genome(path, expected="blur")
