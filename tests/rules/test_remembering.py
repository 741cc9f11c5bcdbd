"""The remembering rule: what it does to one synapse, that it knows no places, what it keeps."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import plasticgym as pg
from plasticgym.rules import Body, Clamped, Remembering, State

KEY = jax.random.key(0)
ROWS = 3
BODIES = {
    "feed-forward": Body((3, 4, 2)),
    "bidirectional": Body((3, 4, 2)),
    "recurrent": Body((5,), hidden=2),
    "sparse-recurrent": Body((5,)),
}
FORMS = {"factorised": {"units": 3}, "general": {"units": 4, "state_size": 2, "body_size": 5}}


@eqx.filter_jit
def presented(rule, state, inputs, target):
    """The network after one presentation, and its outputs."""
    state, outputs = rule.predict(state, inputs, key=KEY)
    rows, none = outputs.shape[0], jnp.zeros(outputs.shape)
    reward = jnp.zeros(rows)
    heard = pg.rules.Feedback(target, none, reward, reward > 0)
    return rule.adapt(rule.receive(state, heard, key=KEY), key=KEY), outputs


def held(key, rows, n, share=0.5):
    """Random values, of which some are clamped."""
    values, mask = (
        jax.random.normal(key, (rows, n)),
        jax.random.bernoulli(key, share, (rows, n)),
    )
    return Clamped(jnp.tanh(values), mask, jnp.array([True, False, True])[:rows])


@pytest.fixture(params=list(BODIES), scope="module")
def lived(request):
    """A rule in which everything moves, a network that has lived, and what it meets."""
    form = "general" if request.param == "recurrent" else "factorised"
    rule = pg.rules.make(
        "remembering", genome="random", topology=request.param, form=form, **FORMS[form]
    )
    biases = jax.random.normal(KEY, rule.cell.bias.shape)
    rule = eqx.tree_at(lambda r: r.cell.bias, rule, biases)
    body = BODIES[request.param]
    state = rule.rest(rule.init(body, key=KEY), ROWS)
    ends = body.layers[0], body.layers[-1]
    met = [held(key, ROWS, n) for key, n in zip(jax.random.split(KEY), ends, strict=True)]
    return rule, presented(rule, state, *met)[0], met


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def affine(layer, x):
    return np.asarray(layer.weight) @ x + np.asarray(layer.bias)


def gated(layer, x):
    return affine(layer.value, x) * sigmoid(affine(layer.gate, x))


class Row:
    """One row of a network, neuron by neuron and synapse by synapse."""

    def __init__(self, rule: Remembering, state: State, row: int):
        self.rule, self.joints = rule, rule.topology.joints(state.body)
        self.types = rule.topology.types(state.body)
        self.synapses = state.synapses
        self.bodies = [np.asarray(x["body"][:, row]) * 1.0 for x in state.neurons]
        self.flags = [np.zeros((2, n)) for n in state.body.layers]

    def clamp(self, layer, values, mask, flag):
        self.flags[layer][flag] = mask
        self.bodies[layer][0] = np.where(mask, values, self.bodies[layer][0])

    def shown(self, layer, i):
        embedded = np.asarray(self.rule.embedding[self.types[layer][i]])
        return np.concatenate([self.bodies[layer][:, i], embedded, self.flags[layer][:, i]])

    def incoming(self, layer, j):
        """What neuron j listens to: joint, place, and the states of the synapse."""
        for joint in self.joints:
            block = self.synapses[joint.block]
            for i in range(block[joint.name].shape[1]) if joint.post == layer else ():
                if "exist" not in block or block["exist"][i, j]:
                    yield joint, i, np.asarray(block[joint.name][:, i, j])

    def listen(self, layer):
        new = self.bodies[layer].copy()
        for j in range(new.shape[1]):
            found = list(self.incoming(layer, j))
            u, own = np.zeros(self.rule.message.shape[1]), np.zeros(self.rule.message.shape[0])
            for joint, i, s in found:
                x = self.shown(joint.pre, i)
                u += np.einsum("m,mcx,x->c", s, self.rule.message, x) / len(found)
                own += s / len(found) if joint.pre == layer and i == j else 0.0
            b, x = self.bodies[layer][:, j], self.shown(layer, j)
            c, z = np.split(affine(self.rule.cell, np.concatenate([b, u, own, x[len(b) :]])), 2)
            new[:, j] = b + sigmoid(z) * (np.tanh(c) - b)
            new[0, j] = b[0] if self.flags[layer][:, j].any() else new[0, j]
        self.bodies[layer] = new

    def change(self, s, pre, post):
        plasticity = self.rule.plasticity
        if isinstance(plasticity, pg.rules.GeneralChange):
            return affine(
                plasticity.top, gated(plasticity.hidden, np.concatenate([s, pre, post]))
            )
        products = gated(plasticity.pre, pre) * gated(plasticity.post, post)
        plain, scaled = np.asarray(plasticity.plain), np.asarray(plasticity.scaled)
        return (plain + scaled * s[:, None]) @ products


def one_row(rule, state, inputs, target, row):
    """Outputs of a row, and by joint what it adds to every synapse."""
    net = Row(rule, state, row)
    if inputs.starts[row]:
        net.bodies = [0.0 * b for b in net.bodies]
    net.clamp(0, inputs.values[row], inputs.mask[row], 0)
    for layer in rule.topology.listening(state.body):
        net.listen(layer)
    readout, last = np.asarray(rule.readout), net.bodies[-1]
    sure = np.abs(readout).sum() * last[0]
    outputs = np.where(net.flags[-1][0], sure, readout @ last)
    net.clamp(len(net.bodies) - 1, target.values[row], target.mask[row], 1)
    for layer in rule.topology.corrected(state.body):
        net.listen(layer)
    changes = {
        (joint, i, j): net.change(s, net.shown(joint.pre, i), net.shown(joint.post, j))
        for layer, n in enumerate(state.body.layers)
        for j in range(n)
        for joint, i, s in net.incoming(layer, j)
    }
    return outputs, changes


def test_a_presentation_is_what_the_equations_say_of_each_neuron_and_synapse(lived):
    rule, state, (inputs, target) = lived
    after, outputs = presented(rule, state, inputs, target)
    rows = [one_row(rule, state, inputs, target, row) for row in range(ROWS)]
    np.testing.assert_allclose(outputs, [row[0] for row in rows], atol=2e-5)
    for joint, i, j in rows[0][1]:
        before, now = (
            np.asarray(s.synapses[joint.block][joint.name][:, i, j]) for s in (state, after)
        )
        change = np.mean([changes[joint, i, j] for _, changes in rows], axis=0)
        most = len(list(Row(rule, state, 0).incoming(joint.post, j)))
        np.testing.assert_allclose(now, np.clip(before + change, -most, most), atol=2e-5)
        assert np.abs(change).max() > 1e-4


def reordered(tree, state, orders):
    """A network whose neurons, with their synapses, stand in another order."""
    neurons = tuple(
        jax.tree.map(lambda x, o=order: x[..., o], layer)
        for layer, order in zip(tree.neurons, orders, strict=True)
    )
    blocks = []
    for index, block in enumerate(tree.synapses):
        post = orders[min(index + 1, len(orders) - 1)]
        ends = {"backward": (post, orders[index])}
        pairs = {name: ends.get(name, (orders[index], post)) for name in block}
        blocks.append({n: x[..., pairs[n][0][:, None], pairs[n][1]] for n, x in block.items()})
    return State(state.body, neurons, tuple(blocks))


def test_neurons_in_another_order_live_the_same(lived):
    rule, state, (inputs, target) = lived
    kinds = rule.topology.types(state.body)
    orders = [np.lexsort((np.roll(np.arange(len(k)), 1), k)) for k in kinds]
    after, outputs = presented(rule, state, inputs, target)
    of = lambda held, o: Clamped(held.values[:, o], held.mask[:, o], held.starts)  # noqa: E731
    found, others = presented(
        rule, reordered(state, state, orders), of(inputs, orders[0]), of(target, orders[-1])
    )
    np.testing.assert_allclose(others, outputs[:, orders[-1]], atol=1e-5)
    expected = reordered(after, after, orders)
    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@eqx.filter_jit
def written(rule, n, rows):
    """A population that was shown these rows, and nothing else."""
    state = rule.rest(rule.init(Body((n,)), key=KEY), 1)

    def show(state, row):
        full = Clamped.full(row[None])
        return presented(rule, state, full, full)[0], None

    return jax.lax.scan(show, state, rows)[0]


def test_what_is_written_down_comes_near_the_projection_onto_patterns():
    """Greville: by what is new in each pattern; of patterns alike an outer product is far."""
    rows = jnp.where(jax.random.bernoulli(KEY, 0.75, (6, 40)), 1.0, -1.0)
    rule = pg.rules.make("remembering", "projection", topology="recurrent")
    found = written(rule, 40, rows).synapses[0]["forward"][0] / 40
    projection = np.linalg.pinv(rows) @ rows
    likeness = lambda s: np.corrcoef(s.ravel(), projection.ravel())[0, 1]  # noqa: E731
    assert likeness(np.asarray(found)) > 0.97
    assert likeness(np.asarray(rows.T @ rows)) < 0.9


def test_long_lives_of_wild_genomes_stay_bounded():
    rule = pg.rules.make("remembering", "random", topology="recurrent", seed=1)
    wild = pg.rules.with_genome(rule, 20.0 * pg.rules.genome(rule))
    rows = jax.random.rademacher(KEY, (300, 5), float)
    state = written(wild, 5, rows)
    synapses = np.asarray(state.synapses[0]["forward"])
    np.testing.assert_allclose(np.abs(synapses).max(), 5.0)  # as many as it listens to
    assert np.abs(np.asarray(state.neurons[0]["body"])).max() <= 1.0


def test_only_hidden_neurons_of_a_population_fire_by_synapses_of_birth():
    rule = pg.rules.make("remembering", "projection", topology="recurrent")
    born = np.asarray(rule.init(Body((5,), hidden=2), key=KEY).synapses[0]["forward"])
    assert not born[..., :3].any()
    assert (born[..., 3:] != 0).all()
