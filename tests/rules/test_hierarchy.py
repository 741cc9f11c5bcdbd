"""Modules that act and change alone, and the routers that choose them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import SGD, Body, Clamped, Feedback, Hierarchy, Reconstruction, Workspace

KEY, RATE, TOKENS = jax.random.key(0), 0.3, 2
BODY = Body((8, 5, 2))


@pytest.fixture(scope="module", params=[Reconstruction(rank=2), Workspace()], ids=["r", "w"])
def presented(request):
    """The rule, its inputs, and the states of one presentation in which all modules know."""
    rule = Hierarchy(SGD(rate=RATE), router=request.param, modules=3, tokens=TOKENS)
    inputs = jax.random.normal(KEY, (6, 8))
    error = jax.random.normal(jax.random.key(1), (6, 2))
    born = rule.rest(rule.init(BODY, key=KEY), 6)
    if isinstance(request.param, Reconstruction):
        born = eqx.tree_at(lambda s: s.memory["router"]["used"], born, jnp.array([1.0, 1.0, 0]))
    seen, outputs = rule.predict(born, Clamped.full(inputs), key=KEY)
    told = Feedback(Clamped.full(error), error, -error[:, 0], jnp.zeros(6, bool))
    after = rule.adapt(rule.receive(seen, told, key=KEY), key=KEY)
    return rule, inputs, error, born, seen, outputs, after


def weights_of(state):
    return tuple(block["weight"] for block in state.synapses)


def by_hand(weights, tokens, chosen):
    """Outputs of all modules in their tokens, summed over the tokens of a row and scaled."""
    (first, second), total = weights, 0.0
    for m, mine in enumerate(chosen):
        hidden = jax.nn.relu(tokens @ first[m][:-1] + first[m][-1:])
        total = total + (hidden @ second[m][:-1] + second[m][-1:]) * mine[:, None]
    return total.reshape(-1, TOKENS, 2).sum(1) / TOKENS**0.5


def test_every_token_has_one_module_and_outputs_are_their_sum(presented):
    rule, inputs, _, born, seen, outputs, _ = presented
    tokens = inputs.reshape(-1, 4)
    chosen = rule.router.route(born.memory["router"], tokens)
    np.testing.assert_array_equal(chosen.sum(0), 1)
    assert (chosen.sum(1) > 0).sum() > 1
    mine = chosen.astype(float)
    np.testing.assert_allclose(outputs, by_hand(weights_of(born), tokens, mine), atol=1e-5)
    np.testing.assert_array_equal(seen.neurons[0]["token"], tokens)


def test_modules_descend_the_gradient_of_the_whole(presented):
    rule, inputs, error, born, _, _, after = presented
    tokens = inputs.reshape(-1, 4)
    chosen = rule.router.route(born.memory["router"], tokens).astype(float)
    loss = lambda weights: -(by_hand(weights, tokens, chosen) * error).sum() / 6  # noqa: E731
    gradient = jax.grad(loss)(weights_of(born))
    for old, new, exact in zip(weights_of(born), weights_of(after), gradient, strict=True):
        np.testing.assert_allclose((old - new) / RATE, exact, atol=1e-5)


def test_a_module_without_tokens_stays_as_it_was():
    """Even under a rule that changes weights without being told anything."""
    rule = Hierarchy(pg.rules.Hebb(), router=Reconstruction(rank=2), modules=3)
    born = rule.rest(rule.init(BODY, key=KEY), 4)
    inputs = Clamped.full(jax.random.normal(KEY, (4, 8)))
    seen, _ = rule.predict(born, inputs, key=KEY)
    after = rule.adapt(seen, key=KEY)
    for old, new in zip(
        jax.tree.leaves(born.synapses), jax.tree.leaves(after.synapses), strict=True
    ):
        np.testing.assert_array_equal(old[1:], new[1:])
        assert not np.array_equal(old[0], new[0])


def test_a_strange_token_brings_a_new_module_into_use():
    router, memory = Reconstruction(novelty=0.5, rank=2), None
    memory = router.init(3, 6, key=KEY)
    one, other = (jnp.tile(jnp.eye(6)[i][None], (4, 1)) for i in (0, 1))
    used = []
    for tokens in (one, one, other, other, one, other):
        chosen = router.route(memory, tokens)
        memory = router.learn(memory, tokens, chosen)
        used.append(np.asarray(memory["used"]).tolist())
    assert used == [[1.0, 0.0, 0.0]] * 2 + [[1.0, 1.0, 0.0]] * 4
    of_one, of_other = (router.route(memory, x)[:, 0].argmax() for x in (one, other))
    assert int(of_one) != int(of_other)


def test_autoencoders_come_to_span_the_principal_components():
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(6, 2)))
    tokens = jnp.asarray(rng.normal(size=(64, 2)) @ basis.T, float)
    router = Reconstruction(rate=0.5, rank=2)
    memory = router.init(1, 6, key=KEY)
    chosen = jnp.ones((1, 64), bool)
    learn = lambda memory, _: (router.learn(memory, tokens, chosen), None)  # noqa: E731
    memory, _ = jax.lax.scan(learn, memory, length=200)
    known = np.asarray(memory["known"][0])
    np.testing.assert_allclose(known @ known.T, basis @ basis.T, atol=0.02)


def test_reading_never_raises_the_energy():
    for i, beta in enumerate((0.5, 2.0, 8.0, 32.0)):
        router = Workspace(beta=beta)
        key_memory, key_queries = jax.random.split(jax.random.key(i))
        memory = router.init(5, 7, key=key_memory)
        queries = jax.random.normal(key_queries, (200, 7))
        before = router.energy(memory, queries)
        after = router.energy(memory, router.read(memory, queries))
        assert (after <= before + 1e-5).all()
        assert (after < before).any()


def test_slots_stay_of_length_one_and_take_a_tenth_of_what_they_win():
    router = Workspace()
    memory = jnp.eye(3)[:2]
    tokens = jnp.array([[3.0, 0.0, 4.0]])
    after = router.learn(memory, tokens, router.route(memory, tokens))
    expected = np.array([0.9 + 0.1 * 0.6, 0.0, 0.1 * 0.8])
    np.testing.assert_allclose(after[0], expected / np.linalg.norm(expected), rtol=1e-5)
    np.testing.assert_array_equal(after[1], memory[1])


def test_no_gradient_enters_the_memory():
    router, memory = Workspace(), jnp.eye(3)[:2]
    told = lambda x: router.learn(memory, x, router.route(memory, x)).sum()  # noqa: E731
    np.testing.assert_array_equal(jax.grad(told)(jnp.array([[3.0, 0.0, 4.0]])), 0.0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Hierarchy("sgd", modules=0), "`modules` must be a positive whole number"),
        (lambda: Hierarchy("sgd", tokens=0), "`tokens` must be a positive whole number"),
        (lambda: Hierarchy("sgdd"), "unknown rule 'sgdd'"),
        (
            lambda: Hierarchy("sgd", "workspace"),
            "`router` must be `Reconstruction\\(\\)` or .* got 'workspace'",
        ),
        (lambda: Reconstruction(novelty=1.5), r"`novelty` must lie strictly in \(0, 1\)"),
        (lambda: Reconstruction(rank=0), "`rank` must be a positive whole number"),
        (lambda: Workspace(beta=0.0), "`beta` must be positive"),
        (lambda: Workspace(top=0), "`top` must be a positive whole number"),
    ],
)
def test_what_does_not_fit_is_refused(build, message, unchecked):
    with pytest.raises(ValueError, match=message):
        build()


def test_inputs_that_cannot_be_cut_are_refused():
    with pytest.raises(ValueError, match="`body` must have a multiple of 3 inputs"):
        Hierarchy("sgd", tokens=3).init(BODY, key=KEY)


def test_hidden_neurons_of_a_population_stay_hidden_and_pieces_of_it_are_refused():
    rule = pg.rules.make("remembering", topology="recurrent")
    body = Body((6,), hidden=2)
    outer = Hierarchy(rule, modules=1)
    state = outer.rest(outer.init(body, key=KEY), 3)
    own = rule.rest(rule.init(body, key=KEY), 3)
    own = eqx.tree_at(lambda s: s.synapses, own, jax.tree.map(lambda x: x[0], state.synapses))
    inputs = Clamped.full(jax.random.normal(KEY, (3, 6)))
    heard = outer.predict(state, inputs, key=KEY)[1]
    np.testing.assert_allclose(heard, rule.predict(own, inputs, key=KEY)[1], rtol=1e-5)
    with pytest.raises(ValueError, match="`body` must have layers where `tokens` is more"):
        Hierarchy(rule, tokens=2).init(body, key=KEY)


def test_more_winners_than_slots_are_refused():
    with pytest.raises(ValueError, match="`top` must be at most 2 modules, got 3"):
        Hierarchy("sgd", router=Workspace(top=3), modules=2).init(BODY, key=KEY)
