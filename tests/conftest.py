"""What all tests share: strict arrays, checked annotations, a few small things to test on."""

import atexit
import os
import shutil
import tempfile

# No test writes to the user's cache of compilations.
os.environ["PLASTICGYM_CACHE"] = ""
# The tests run small programs once: compiling them is most of their time, and the plainer of
# XLA's two ways to write machine code takes a third of it.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_cpu_use_fusion_emitters=false"
)
# What one worker has compiled, the other and the processes that tests start need not.
if "PYTEST_XDIST_WORKER" not in os.environ:
    compiled = tempfile.mkdtemp(prefix="plasticgym-tests-")
    atexit.register(shutil.rmtree, compiled, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

import jax
import jaxtyping

# Before the package is first imported: every annotation in it is checked at every call.
jaxtyping.install_import_hook("plasticgym", "beartype.beartype")

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_disable_most_optimizations", True)

import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

import plasticgym as pg  # noqa: E402


@pytest.fixture(autouse=True)
def registries(monkeypatch):
    """What a test registers is gone after it."""
    kinds = (pg.rules.RULES, pg.envs.PROBLEMS, pg.agents.AGENTS, pg.agents.RECIPES)
    kinds += (pg.benchmarks.SUITES,)
    for registry in kinds:
        monkeypatch.setattr(registry, "_members", dict(registry._members))


@pytest.fixture(scope="module", autouse=True)
def forgotten():
    """What a file compiled is unloaded: a process may map only 65,530 pieces of memory."""
    yield
    jax.clear_caches()


@pytest.fixture
def unchecked():
    """Annotations are not checked, as for users: what is wrong must be found by the code."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.fixture(scope="session")
def xor() -> pg.envs.Classification:
    """The small problem on which most lives of the tests are spent."""
    return pg.envs.plane("xor", hidden=(4,), batch=8, presentations=6)


@pytest.fixture(scope="session")
def home():
    """What goes with layers if a rule lives in them, or else with a recurrent population."""

    def home(rule, *, layered, recurrent):
        return layered if pg.rules.accepts(rule, pg.rules.Body((2, 2))) else recurrent

    return home


@pytest.fixture(scope="session")
def feedback():
    """Random feedback on `outputs` classes for a batch, every signal of it alive."""

    def draw(batch: int, outputs: int, seed: int = 0) -> pg.rules.Feedback:
        rng = np.random.default_rng(seed)
        classes = rng.integers(0, outputs, batch)
        return pg.rules.Feedback(
            target=pg.rules.Clamped.full(jnp.asarray(np.eye(outputs)[classes], float)),
            error=jnp.asarray(rng.normal(size=(batch, outputs)), float),
            reward=jnp.asarray(rng.normal(size=batch), float),
            boundary=jnp.asarray(rng.random(batch) < 0.5),
        )

    return draw


@pytest.fixture
def compilations():
    """The names of what is compiled from here on."""
    events = []

    def note(event, duration_secs, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            events.append(event)

    jax.monitoring.register_event_duration_secs_listener(note)
    yield events
    jax.monitoring.unregister_event_duration_listener(note)
