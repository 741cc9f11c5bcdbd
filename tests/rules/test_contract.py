"""What every registered rule keeps to. No test here knows which member it is testing."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import Body, Clamped, Signal, Tier, genome, with_genome

KEY = jax.random.key(0)
BODY, BATCH = Body((5, 4, 6, 3)), 8


@pytest.fixture(params=list(pg.rules.RULES))
def rule(request) -> pg.rules.AbstractRule:
    return pg.rules.make(request.param)


@pytest.fixture
def inputs() -> Clamped:
    return Clamped.full(jax.random.normal(KEY, (BATCH, 5)))


@eqx.filter_jit
def newborn(rule):
    return rule.rest(rule.init(BODY, key=KEY), BATCH)


def shapes(tree):
    return jax.tree.map(lambda x: (x.shape, x.dtype), tree)


@eqx.filter_jit
def learned(rule, state, inputs, feedback):
    """The network after one presentation, in which no signal is blanked."""
    state, _ = rule.predict(state, inputs, key=KEY)
    return rule.adapt(rule.receive(state, feedback, key=KEY), key=KEY)


def test_a_presentation_keeps_structure_shapes_and_dtypes(rule, inputs, feedback):
    def stages():
        state = newborn(rule)
        predicted, outputs = rule.predict(state, inputs, key=KEY)
        received = rule.receive(predicted, feedback(BATCH, 3), key=KEY)
        return state, predicted, received, rule.adapt(received, key=KEY), outputs

    state, *later, outputs = jax.eval_shape(stages)
    assert outputs.shape == (BATCH, 3)
    assert outputs.dtype == jnp.float32
    for other in later:
        assert jax.tree.structure(other) == jax.tree.structure(state)
        assert shapes(other) == shapes(state)


def test_neurons_lead_to_batch_and_synapses_join_neighbours(rule):
    state = jax.eval_shape(lambda: newborn(rule))
    assert len(state.neurons) == len(BODY.layers)
    assert len(state.synapses) == len(BODY.layers) - 1
    for n, layer in zip(BODY.layers, state.neurons, strict=True):
        assert all(leaf.shape[-2:] == (BATCH, n) for leaf in jax.tree.leaves(layer))
    for pre, post, block in zip(BODY.layers[:-1], BODY.layers[1:], state.synapses, strict=True):
        forward, backward = {(pre, post), (pre + 1, post)}, {(post, pre), (post + 1, pre)}
        leaves = jax.tree.leaves(block)
        assert leaves
        assert all(leaf.shape[-2:] in forward | backward for leaf in leaves)


def test_a_newborn_network_has_no_batch(rule):
    assert jax.tree.leaves(rule.init(BODY, key=KEY).neurons) == []


def test_what_it_declares_is_of_the_right_kind(rule):
    assert isinstance(rule.reads, frozenset)
    assert all(isinstance(signal, Signal) for signal in rule.reads)
    assert isinstance(rule.tier, Tier)


def test_predict_and_receive_leave_synapses_untouched(rule, inputs, feedback):
    heard = feedback(BATCH, 3)

    def traced(state):
        predicted, _ = rule.predict(state, inputs, key=KEY)
        received = rule.receive(predicted, heard, key=KEY)
        before = jax.tree.leaves(state.synapses)
        for after in (predicted, received):
            for old, new in zip(before, jax.tree.leaves(after.synapses), strict=True):
                assert new is old
        return received

    jax.eval_shape(traced, newborn(rule))


def test_it_sees_exactly_the_signals_that_it_declares(rule, inputs, feedback):
    heard = feedback(BATCH, 3)
    others = feedback(BATCH, 3, seed=1)
    state = newborn(rule)
    reference = jax.tree.leaves(learned(rule, state, inputs, heard).synapses)
    for signal in Signal:
        changed = dataclasses.replace(heard, **{str(signal): getattr(others, str(signal))})
        after = jax.tree.leaves(learned(rule, state, inputs, changed).synapses)
        same = all(np.array_equal(a, b) for a, b in zip(reference, after, strict=True))
        assert same == (signal not in rule.reads), signal


def test_blanked_signals_are_zero(rule, feedback):
    heard = feedback(BATCH, 3).only(rule.reads)
    for signal in Signal:
        value = getattr(heard, str(signal))
        value = value.mask if signal is Signal.TARGET else value
        assert bool(jnp.any(value)) == (signal in rule.reads)


def test_it_averages_over_the_rows_of_its_batch(rule, inputs, feedback):
    heard = feedback(BATCH, 3)
    state = newborn(rule)
    twice = jax.tree.map(lambda x: jnp.concatenate([x, x]), (inputs, heard))
    once_ = learned(rule, state, inputs, heard).synapses
    twice_ = learned(rule, rule.rest(state, 2 * BATCH), *twice).synapses
    for a, b in zip(jax.tree.leaves(once_), jax.tree.leaves(twice_), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_genomes_of_one_rule_share_one_compilation(rule, inputs, feedback):
    traces = []

    @eqx.filter_jit
    def learn(rule):
        traces.append(1)
        return rule.predict(newborn(rule), inputs, key=KEY)[1]

    vector = genome(rule)
    for shift in (0.0, 0.1, -0.1):
        learn(with_genome(rule, vector + shift))
    assert len(traces) == 1


def test_vmap_over_genomes_and_seeds_equals_a_loop(rule, xor):
    def losses(vector, key):
        return pg.envs.live(with_genome(rule, vector), xor, key=key).losses

    vectors = genome(rule)[None] + jnp.array([[0.0], [0.2], [-0.2]])
    keys = jax.random.split(KEY, 3)
    together = jax.jit(jax.vmap(losses))(vectors, keys)
    alone = jax.jit(losses)
    for i in range(3):
        np.testing.assert_allclose(together[i], alone(vectors[i], keys[i]), rtol=2e-5)
    assert np.unique(together, axis=0).shape[0] == 3


def test_same_key_same_life_bit_for_bit(rule, xor):
    keys = jax.random.split(KEY, 3).at[2].set(jax.random.split(KEY, 3)[0])
    first = pg.envs.lives(rule, xor, keys=keys)
    second = pg.envs.lives(rule, xor, keys=keys)
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
    assert np.array_equal(first.losses[0], first.losses[2])
    assert not np.array_equal(first.losses[0], first.losses[1])


def test_the_genome_makes_the_round_trip(rule):
    vector = genome(rule)
    assert vector.ndim == 1
    assert vector.size > 0
    again = with_genome(rule, vector)
    assert jax.tree.structure(again) == jax.tree.structure(rule)
    assert shapes(again) == shapes(rule)
    for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(rule), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6)
    moved = vector + jax.random.normal(KEY, vector.shape)
    np.testing.assert_allclose(genome(with_genome(rule, moved)), moved, rtol=1e-4, atol=1e-4)


def test_every_gene_has_a_name_of_its_own(rule):
    names = pg.rules.gene_names(rule)
    assert len(names) == genome(rule).size
    assert len(set(names)) == len(names)


def test_a_gene_moves_the_leaf_of_its_name(rule):
    vector, before = genome(rule), pg.rules.named_leaves(rule)
    for i, name in enumerate(pg.rules.gene_names(rule)):
        after = pg.rules.named_leaves(with_genome(rule, vector.at[i].add(1.0)))
        moved = [key for key in before if not np.allclose(before[key], after[key], rtol=1e-4)]
        assert moved == [name.partition("[")[0]]


def scaled(module):
    """Name, scale and value of every gene of a module and of its parts."""
    for field in dataclasses.fields(module):
        value, scale = getattr(module, field.name), field.metadata.get("gene")
        for part in value if isinstance(value, tuple) else (value,):
            if isinstance(part, eqx.Module):
                yield from scaled(part)
        if scale is not None and value is not None:
            yield field.name, scale.name, value


@pytest.mark.parametrize("size", [30.0, 1e3, 1e30])
def test_no_genome_leaves_the_range_of_its_scales(rule, size):
    draws = jax.random.normal(KEY, genome(rule).shape)
    for vector in (size * draws, jnp.full_like(draws, size), jnp.full_like(draws, -size)):
        far = with_genome(rule, vector)
        genes = list(scaled(far))
        assert sum(value.size for *_, value in genes) == vector.size
        # What was built from such values would have been refused.
        for name, scale, value in genes:
            assert np.isfinite(value).all() or scale == "linear"
            if scale in ("log", "logit"):
                assert (np.asarray(value) > 0).all(), name
            if scale == "logit":
                assert (np.asarray(value) < 1).all(), name


def test_a_genome_of_the_wrong_length_is_refused(rule):
    vector = genome(rule)
    for wrong in (vector[:-1], jnp.append(vector, 0.0), vector[:0]):
        with pytest.raises(ValueError, match=rf"`vector` must have shape \({vector.size},\)"):
            with_genome(rule, wrong)


def test_a_genome_of_the_wrong_rank_is_refused(rule, unchecked):
    vector = genome(rule)
    with pytest.raises(ValueError, match=r"`vector` must have shape .* got \(1, "):
        with_genome(rule, vector[None])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_genome_that_is_not_finite_is_refused(rule, bad):
    with pytest.raises(ValueError, match="`vector` must be finite"):
        with_genome(rule, genome(rule).at[-1].set(bad))


ALIVE = np.array([1, 0, 1, 1, 0, 1, 0], float), np.array([0, 1, 1], float)
# Which entries of an axis live, by its lengths in the small and the large body: those of a
# hidden layer, or those and the bias, which comes last.
LIVING = {(6, 6): range(6), (7, 7): range(7), (3, 3): range(3)}
for alive in ALIVE:
    some, all_, which = int(alive.sum()), len(alive), np.flatnonzero(alive)
    LIVING |= {(some, all_): which, (some + 1, all_ + 1): [*which, all_]}


def embedded(small, large):
    """`large` with its living synapses those of `small`; the dead ones keep their values."""

    def axis(a: int, b: int) -> np.ndarray:
        return np.asarray(LIVING[a, b])

    def one(a, b):
        rows, columns = axis(a.shape[-2], b.shape[-2]), axis(a.shape[-1], b.shape[-1])
        return b.at[..., rows[:, None], columns[None]].set(a)

    return jax.tree.map(one, small, large)


def bounded(**parts):
    """BLUR in full, with parts that look at a whole layer."""
    rule = pg.rules.make("blur", genome="normalised", wiring="asymmetric")
    return dataclasses.replace(rule, **parts)


def forgetful(forgetting):
    return dataclasses.replace(bounded().synapse, forgetting=forgetting)


# What is 0 under relu may not be under other activations, and norms may count the dead.
VARIANTS = {
    **{name: lambda name=name: pg.rules.make(name) for name in pg.rules.RULES},
    "sgd, tanh": lambda: pg.rules.SGD(activation="tanh"),
    "normalised-sgd, tanh": lambda: pg.rules.NormalisedSGD(top="tanh"),
    "blur, backpropagation": lambda: pg.rules.make("blur", genome="backprop", hidden="sigmoid"),
    "blur, batch": lambda: pg.rules.make("blur", genome="normalised", axes=("batch",)),
    "blur, both": lambda: pg.rules.make("blur", genome="normalised", axes=("batch", "neurons")),
    "blur, unit columns used": lambda: bounded(used=(pg.rules.UnitColumns(),)),
    "blur, unit columns stored": lambda: bounded(stored=(pg.rules.UnitColumns(),)),
    "blur, by weights": lambda: bounded(synapse=forgetful(pg.rules.ByWeights())),
    "blur, by activity": lambda: bounded(synapse=forgetful(pg.rules.ByActivity())),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_body_with_dead_neurons_lives_like_the_smaller_one(variant):
    """In double precision: norms over two neurons magnify the rounding of other sums."""
    with jax.enable_x64(True):
        (expected, losses), (found, others) = small_and_large(VARIANTS[variant]())
    np.testing.assert_allclose(others, losses, rtol=1e-6)
    assert len(np.unique(losses)) == 5
    living = jax.tree.leaves(embedded(expected, found))
    for a, b in zip(living, jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def small_and_large(rule):
    """Synapses at the end and losses of a life in a small body and in a larger one."""
    rng = np.random.default_rng(0)
    parts = [
        pg.envs.Examples(
            jnp.asarray(rng.normal(size=(40, 6)), jnp.float32),
            jnp.asarray(np.arange(40) % 3, jnp.uint8),
        )
        for _ in range(3)
    ]
    alive = (jnp.ones(6), *map(jnp.asarray, ALIVE), jnp.ones(3))
    bodies = Body((6, 4, 2, 3)), Body((6, 7, 3, 3), alive)
    small, large = (
        pg.envs.Classification(*parts, body=body, batch=BATCH, presentations=5)
        for body in bodies
    )

    def whole(problem, life):
        step = lambda life, _: pg.envs.step(rule, problem, life)  # noqa: E731
        life, outcomes = jax.lax.scan(step, life, length=5)
        return life.state.synapses, outcomes.loss

    @eqx.filter_jit
    def both(rule, small, large):
        a, b = (pg.envs.born(rule, problem, key=KEY) for problem in (small, large))
        synapses = embedded(a.state.synapses, b.state.synapses)
        b = eqx.tree_at(lambda life: life.state.synapses, b, synapses)
        return whole(small, a), whole(large, b)

    return both(rule, small, large)


def test_birth_scales_count_only_living_neurons(rule):
    """A quarter of a wide layer is born like a layer a quarter as wide."""
    alive = (jnp.ones(64), jnp.tile(jnp.array([1.0, 0.0, 0.0, 0.0]), 64), jnp.ones(64))
    small = rule.init(Body((64, 64, 64)), key=KEY).synapses
    large = rule.init(Body((64, 256, 64), alive), key=KEY).synapses
    for a, b in zip(jax.tree.leaves(small), jax.tree.leaves(large), strict=True):
        expected = np.std(a[..., :64, :])
        found = np.std(b[..., : 256 if b.shape[-2] > 255 else 64, :])
        np.testing.assert_allclose(found, expected, rtol=0.06)


@pytest.mark.parametrize("layers", [(5,), ()])
def test_a_body_without_both_ends_is_refused(rule, layers):
    with pytest.raises(ValueError, match=r"`(body|layers)` must"):
        rule.init(Body(layers), key=KEY)
