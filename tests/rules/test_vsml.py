"""VSML against a loop over synapses and rows, its size, what it cannot tell apart, and the
genome that descends the gradient."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import VSML, Affine, Body, Clamped, State

KEY = jax.random.key(0)
BODY, ROWS = Body((3, 4, 2)), 5


@eqx.filter_jit
def presented(rule, state, inputs, heard):
    """The network after one presentation, and its outputs."""
    state, outputs = rule.predict(state, Clamped.full(inputs), key=KEY)
    return rule.adapt(rule.receive(state, heard, key=KEY), key=KEY), outputs


@pytest.fixture(scope="module")
def rule():
    """Small, and with gates opened, so that everything moves."""
    rule = pg.rules.make("vsml", states=3, messages=4, seed=1)
    cell = rule.cell
    biases = cell.bias.at[3:6].add(5.0) + 0.5 * jax.random.normal(KEY, cell.bias.shape)
    return eqx.tree_at(lambda r: (r.cell.weight, r.cell.bias), rule, (2 * cell.weight, biases))


@pytest.fixture
def met(rule, feedback):
    """A state that has lived, inputs and feedback."""
    inputs = jax.random.normal(KEY, (ROWS, 3))
    state = rule.rest(rule.init(BODY, key=KEY), ROWS)
    state, _ = presented(rule, state, inputs, feedback(ROWS, 2, seed=3))
    return state, inputs[::-1], feedback(ROWS, 2)


@pytest.mark.parametrize(
    ("states", "messages", "size"), [(16, 8, 2384), (8, 8, 944), (3, 4, 176)]
)
def test_the_size_of_the_genome(states, messages, size):
    rule = pg.rules.make("vsml", states=states, messages=messages)
    assert pg.rules.genome(rule).size == size
    assert (rule.states, rule.messages) == (states, messages)


def ticked(rule, h, c, up, down):
    """One synapse in one row after a tick, as the paper writes an LSTM."""
    z = np.concatenate([up, down, h]) @ np.asarray(rule.cell.weight).T
    f, i, g, o = np.split(z + np.asarray(rule.cell.bias), 4)
    sigmoid = lambda x: 1.0 / (1.0 + np.exp(-x))  # noqa: E731
    c = sigmoid(f + 5.0) * c + sigmoid(i - 5.0) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def sent(layer, h):
    """The messages of synapses, added up over the first axis and divided by its length."""
    weight, bias = np.asarray(layer.weight), np.asarray(layer.bias)
    return np.mean([[weight @ one + bias for one in row] for row in h], axis=0)


def one_row(rule, blocks, x, error, target):
    """The synapses after one row, and its outputs; each block is (h, c) of (pre, post, s)."""
    message = lambda *v: np.stack([*v] + [0.0 * v[0]] * (rule.messages - len(v)), -1)  # noqa: E731
    ups, first = [message(x)], []
    each = lambda h: list(np.ndindex(h.shape[:2]))  # noqa: E731
    for h, c in blocks:
        h_, c_ = np.array(h), np.array(c)
        for i, j in each(h):
            h_[i, j], c_[i, j] = ticked(rule, h[i, j], c[i, j], ups[-1][i], 0 * ups[-1][i])
        first.append((h_, c_))
        ups.append(sent(rule.forward, h_))
    outputs = 100.0 * np.tanh(ups[-1][:, 0] / 100.0)
    down, second = message(-error, target), []
    for (h, c), up in zip(first[::-1], ups[-2::-1], strict=True):
        h_, c_ = np.array(h), np.array(c)
        for i, j in each(h):
            h_[i, j], c_[i, j] = ticked(rule, h[i, j], c[i, j], up[i], down[j])
        second.append((h_, c_))
        down = sent(rule.backward, h_.transpose(1, 0, 2))
    return second[::-1], outputs


def test_a_presentation_is_the_papers_in_every_row_and_their_mean(rule, met):
    state, inputs, heard = met
    blocks = [
        tuple(np.asarray(b[name], np.float64).transpose(1, 2, 0) for name in ("hidden", "cell"))
        for b in state.synapses
    ]
    rows = [
        one_row(rule, blocks, *(np.asarray(v, np.float64) for v in row))
        for row in zip(inputs, heard.error, heard.target.values, strict=True)
    ]
    after, outputs = presented(rule, state, inputs, heard)
    np.testing.assert_allclose(outputs, [row[1] for row in rows], atol=1e-6)
    for layer, block in enumerate(after.synapses):
        for place, name in enumerate(("hidden", "cell")):
            expected = np.mean([row[0][layer][place] for row in rows], axis=0)
            found = np.asarray(block[name]).transpose(1, 2, 0)
            np.testing.assert_allclose(found, expected, atol=1e-6)
            assert np.abs(expected - blocks[layer][place]).max() > 1e-2


def test_what_a_row_does_follows_from_that_row_alone(rule, met):
    state, inputs, heard = met
    together = presented(rule, state, inputs, heard)[1]
    alone = jax.tree.map(lambda x: x[:1], (inputs, heard))
    np.testing.assert_allclose(
        presented(rule, rule.rest(state, 1), *alone)[1], together[:1], atol=1e-6
    )


ORDERS = {"inputs": 0, "hidden": 1, "outputs": 2}


@pytest.mark.parametrize("layer", ORDERS)
def test_no_order_of_neurons_matters(rule, met, layer):
    """Neurons, with their synapses, in another order: the same network learns the same."""
    state, inputs, heard = met
    orders = [np.arange(n) for n in BODY.layers]
    orders[ORDERS[layer]] = np.roll(orders[ORDERS[layer]], 1)
    first, hidden, last = orders

    def reordered(state):
        ends = ((first, hidden), (hidden, last))
        synapses = [
            jax.tree.map(lambda x, pre=pre, post=post: x[:, pre][:, :, post], block)
            for block, (pre, post) in zip(state.synapses, ends, strict=True)
        ]
        return State(state.body, state.neurons, tuple(synapses))

    target = Clamped.full(heard.target.values[:, last])
    theirs = eqx.tree_at(lambda f: (f.error, f.target), heard, (heard.error[:, last], target))
    expected, outputs = presented(rule, state, inputs, heard)
    found, others = presented(rule, reordered(state), inputs[:, first], theirs)
    np.testing.assert_allclose(others, outputs[:, last], atol=1e-6)
    for a, b in zip(reordered(expected).synapses, found.synapses, strict=True):
        jax.tree.map(lambda x, y: np.testing.assert_allclose(y, x, atol=1e-6), a, b)


def weights(block):
    """What six cells of `backprop` hold."""
    return jnp.tanh(block["cell"][0]) + jnp.tanh(block["cell"][3])


def written_down(weights, x, gain=8.0, shift=0.5):
    """The network that `backprop` is."""
    for w in weights:
        x = gain * jnp.tanh(x + shift) @ w / w.shape[0]
    return 100.0 * jnp.tanh(x / 100.0)


def cosines(swing):
    """Between the change of each block and minus its gradient, and how far outputs are off."""
    rule = pg.rules.make("vsml", genome="backprop", rate=1e-2, swing=swing)
    inputs = jax.random.normal(KEY, (ROWS, 3))
    state = rule.rest(rule.init(BODY, key=KEY), ROWS)
    before = [weights(block) for block in state.synapses]
    error = jax.random.normal(jax.random.key(1), (ROWS, 2))
    none = jnp.zeros(ROWS)
    heard = pg.rules.Feedback(Clamped.full(jnp.zeros((ROWS, 2))), error, none, none > 0)
    after, outputs = presented(rule, state, inputs, heard)
    loss = lambda w: -(error * written_down(w, inputs)).sum()  # noqa: E731
    far = np.abs(outputs - written_down(before, inputs)).max()
    moved = [b["cell"] - a["cell"] for a, b in zip(state.synapses, after.synapses, strict=True)]
    pairs = zip(moved, jax.grad(loss)(before), strict=True)
    found = [(np.ravel(c[0] + c[3]), -np.ravel(g)) for c, g in pairs]
    return [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in found], far


def test_the_genome_of_backpropagation_is_it_in_the_limit():
    """The last block's change is exact; the first one's becomes so as gates swing less."""
    (coarse, _), far = cosines(4.0)
    (fine, last), _ = cosines(0.1)
    assert far < 1e-5
    assert last > 0.99999
    assert fine > 0.999
    assert coarse < fine


@pytest.mark.slow
def test_the_shipped_genome_learns_what_an_untrained_one_does_not():
    keys = jax.random.split(KEY, 4)

    def score(rule, problem):
        return float(pg.envs.lives(rule, problem, keys=keys).tests.score.mean())

    trained = pg.rules.shipped("vsml")
    untrained = pg.rules.make("vsml", states=trained.states)
    for name in ("xor", "moons", "and"):  # the last is none that it was trained on
        problem = pg.envs.plane(name)
        assert score(untrained, problem) < 0.6
        assert score(trained, problem) > 0.8


GOOD = {"cell": Affine.drawn(7, 12, key=KEY), "forward": Affine.drawn(3, 2, key=KEY)}
GOOD["backward"] = GOOD["forward"]
ERRORS = {
    "messages": (
        {name: Affine.drawn(3, 1, key=KEY) for name in ("forward", "backward")},
        r"`forward` must send at least two messages, .* got 1",
    ),
    "one shape": (
        {"backward": Affine.drawn(2, 2, key=KEY)},
        r"`forward` and `backward` must have weights of one shape, got \(2, 3\) and \(2, 2\)",
    ),
    "cell": (
        {"cell": Affine.drawn(8, 12, key=KEY)},
        r"`cell` must have weights of shape \(12, 7\) to fit 3 states and 2 messages, got \(12",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_parts_that_do_not_fit_are_refused(case):
    parts, message = ERRORS[case]
    VSML(**GOOD)
    with pytest.raises(ValueError, match=message):
        VSML(**(GOOD | parts))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"states": 0}, "`states` must be a whole number of at least 1, got 0"),
        ({"messages": 1}, "`messages` must be a whole number of at least 2, got 1"),
        ({"genome": "backprop", "states": 5}, "`states` must be .* at least 6, got 5"),
        ({"genome": "backpro"}, "unknown genome of vsml 'backpro'; did you mean 'backprop'"),
        ({"genome": "x.safetensors", "states": 8}, r"takes no options, got \['states'\]"),
    ],
)
def test_a_genome_that_there_is_not_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        pg.rules.make("vsml", **options)


def test_an_affine_layer_whose_shapes_do_not_fit_is_refused(unchecked):
    with pytest.raises(ValueError, match=r"`weight` and `bias` must have shapes .* \(2, 3\)"):
        Affine(jnp.zeros((2, 3)), jnp.zeros(3))
