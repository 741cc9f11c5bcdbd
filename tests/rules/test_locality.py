"""How local rules are, measured; and rules that claim to be more local than they are."""

import dataclasses
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
import pytest

import plasticgym as pg
from plasticgym.rules import AbstractRule, Signal, State, Tier, multilayer


@pytest.mark.slow
@pytest.mark.parametrize("name", list(pg.rules.RULES))
def test_a_rule_is_as_local_as_it_declares(name):
    rule = pg.rules.make(name)
    assert pg.rules.locality(rule) is rule.tier


def blur(**options):
    return lambda: pg.rules.make("blur", **options)


def with_parts(**parts):
    return lambda: dataclasses.replace(pg.rules.make("blur"), **parts)


def forgetting(part):
    synapse = dataclasses.replace(pg.rules.make("blur").synapse, forgetting=part)
    return with_parts(synapse=synapse)


VARIANTS = {
    "blur, backpropagation": blur(genome="backprop"),
    "blur, descent": blur(genome="descent"),
    "blur, random": blur(genome="random"),
    "blur, layer norm": blur(genome="normalised", wiring="asymmetric"),
    "blur, by activity": forgetting(pg.rules.ByActivity()),
    "blur, by weights": forgetting(pg.rules.ByWeights()),
    "blur, saturation": with_parts(stored=(pg.rules.Saturation(),)),
    "blur, unit columns": with_parts(stored=(pg.rules.UnitColumns(),)),
    "chemotaxis": pg.rules.Chemotaxis,
    "replicas of blur": lambda: pg.rules.Replicas("blur"),
    "hierarchy of blur": lambda: pg.rules.Hierarchy("blur", modules=2),
    "abcd per synapse": lambda: pg.rules.ABCD(layers=(5, 4, 6, 3)),
    "sgd, tanh": lambda: pg.rules.SGD(activation="tanh"),
    "formula of errors": lambda: pg.rules.Expression("rate * pre * tanh(error)"),
    "formula of the reward": lambda: pg.rules.Expression("rate * reward * trace(pre * post)"),
    "formula of targets": lambda: pg.rules.Expression(
        "rate * trace(pre) * (target - post) - 0.01 * weight"
    ),
    **{
        f"remembering, {topology}": lambda topology=topology: pg.rules.make(
            "remembering", "projection", topology=topology
        )
        for topology in ("bidirectional", "recurrent", "sparse-recurrent")
    },
    "function of a synapse": lambda: pg.rules.PerSynapse(
        lambda view: view.pre * view.post * view.reward, rate=0.1
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_so_are_variants(variant):
    rule = VARIANTS[variant]()
    assert pg.rules.locality(rule) is rule.tier


class Altered(AbstractRule):
    """A rule with something done to the network after it predicts, receives and adapts.

    Each is a function of the states before and after; `received` is told the feedback too.
    Neurons have a number of their own to hide something in, and so has the memory.
    """

    rule: AbstractRule
    predicted: Callable = eqx.field(static=True, default=lambda before, after: after)
    received: Callable = eqx.field(static=True, default=lambda before, after, heard: after)
    adapted: Callable = eqx.field(static=True, default=lambda before, after: after)
    born: Callable = eqx.field(static=True, default=lambda state: state)
    hears: frozenset[Signal] | None = eqx.field(static=True, default=None)

    @property
    def reads(self):
        return self.rule.reads if self.hears is None else self.hears

    @property
    def tier(self):
        return self.rule.tier

    def init(self, body, *, key):
        return remember(self.born(self.rule.init(body, key=key)), jnp.zeros(()))

    def rest(self, state, batch):
        rested = self.rule.rest(state, batch)
        neurons = tuple(n | {"own": jnp.zeros_like(n["activity"])} for n in rested.neurons)
        return State(state.body, neurons, state.synapses, state.memory)

    def predict(self, state, inputs, *, key):
        after, outputs = self.rule.predict(state, inputs, key=key)
        return self.predicted(state, kept(after, state)), outputs

    def receive(self, state, feedback, *, key):
        after = self.rule.receive(state, feedback, key=key)
        return self.received(state, kept(after, state), feedback)

    def adapt(self, state, *, key):
        return self.adapted(state, kept(self.rule.adapt(state, key=key), state))


def kept(after: State, before: State) -> State:
    """The state with what was hidden."""
    neurons = tuple(
        {"own": old["own"]} | new
        for old, new in zip(before.neurons, after.neurons, strict=True)
    )
    return State(after.body, neurons, after.synapses, before.memory)


def at_neurons(state: State, **new) -> State:
    """The state with a leaf at every neuron set to a function of what it holds."""
    neurons = tuple(
        n | {name: jnp.broadcast_to(make(n), n[name].shape) for name, make in new.items()}
        for n in state.neurons
    )
    return State(state.body, neurons, state.synapses, state.memory)


def scaled(state: State, before: State, by) -> State:
    """The state with the changes of all weights multiplied, those of each block by its own."""
    by = by if isinstance(by, list) else [by] * len(state.synapses)
    synapses = tuple(
        new | {"weight": old["weight"] + factor * (new["weight"] - old["weight"])}
        for old, new, factor in zip(before.synapses, state.synapses, by, strict=True)
    )
    return State(state.body, state.neurons, synapses, state.memory)


def scaled_by_largest(state: State, before: State) -> State:
    """The change of each block multiplied by its largest weight."""
    largest = [jnp.abs(block["weight"]).max() for block in before.synapses]
    return scaled(state, before, largest)


def by_neuron(state: State, before: State) -> State:
    """The change of each synapse multiplied by what its neuron hides."""
    return scaled(state, before, [n["own"].mean(0)[None] for n in before.neurons[1:]])


def hidden_error(state: State, error) -> State:
    """Neurons of the last hidden layer told the errors of the outputs, as they come."""
    *others, hidden, last = state.neurons
    told = jnp.concatenate([error, error], axis=1)
    neurons = (*others, hidden | {"error": told}, last)
    return State(state.body, neurons, state.synapses, state.memory)


def mean_weight(state: State):
    return sum(jnp.abs(block["weight"]).mean() for block in state.synapses)


def remember(state: State, held) -> State:
    return State(state.body, state.neurons, state.synapses, {"held": held})


def exact(state: State, error) -> State:
    """Errors fed back through the weights themselves."""
    return kept(multilayer.backward(state, error, "relu"), state)


def foretold(before: State, after: State) -> State:
    """What errors would be if all outputs erred by one, before they do."""
    fed = exact(after, jnp.ones_like(after.neurons[-1]["activity"]))
    return at_neurons(fed, own=lambda n: n["error"])


def late(before: State, after: State, heard) -> State:
    """The exact error of the last presentation; neurons hide that of this one."""
    fed = exact(before, heard.error)
    return at_neurons(fed, own=lambda n: n["error"], error=lambda n: n["own"])


def taken_over(before: State, after: State) -> State:
    """Feedback synapses set to the weights of the pairs of neurons that they join."""
    synapses = tuple(
        new | {"feedback": old["weight"][:-1].T} if "feedback" in new else new
        for old, new in zip(before.synapses, after.synapses, strict=True)
    )
    return State(after.body, after.neurons, synapses, after.memory)


def alignment(**alterations):
    return lambda: Altered(pg.rules.FeedbackAlignment(), **alterations)


def hebb(**alterations):
    return lambda: Altered(pg.rules.Hebb(), **alterations)


def rewarded(**alterations):
    return hebb(hears=frozenset({Signal.REWARD}), **alterations)


CHEATS = {
    "a far neuron": (
        hebb(adapted=lambda b, a: scaled(a, b, b.neurons[-1]["activity"][0, 0])),
        Tier.GLOBAL,
    ),
    "a statistic in the memory": (
        hebb(adapted=lambda b, a: remember(scaled(a, b, b.memory["held"]), mean_weight(b))),
        Tier.GLOBAL,
    ),
    "inputs in the memory": (
        hebb(
            predicted=lambda b, a: remember(a, a.neurons[0]["activity"].sum()),
            adapted=lambda b, a: scaled(a, b, b.memory["held"]),
        ),
        Tier.GLOBAL,
    ),
    "a mean of all weights": (
        alignment(
            received=lambda b, a, _: at_neurons(a, error=lambda n: n["error"] * mean_weight(a))
        ),
        Tier.LAYER,
    ),
    "the activity of siblings": (
        hebb(
            predicted=lambda b, a: at_neurons(
                a, activity=lambda n: n["activity"] - n["activity"].max()
            )
        ),
        Tier.LAYER,
    ),
    "the largest weight of the block": (
        hebb(adapted=lambda b, a: remember(scaled_by_largest(a, b), b.memory["held"])),
        Tier.LAYER,
    ),
    "the exact error, at neurons": (
        alignment(received=lambda b, a, heard: exact(b, heard.error)),
        Tier.GRADIENT,
    ),
    "the exact error, foretold": (
        alignment(
            predicted=foretold,
            received=lambda b, a, heard: at_neurons(
                a, error=lambda n: n["own"] * heard.error.sum()
            ),
        ),
        Tier.GRADIENT,
    ),
    "the exact error, late": (alignment(received=late), Tier.GRADIENT),
    "weights taken over": (alignment(adapted=taken_over), Tier.GRADIENT),
    "the error of each output": (
        lambda: Altered(
            pg.rules.NodePerturbation(),
            received=lambda b, a, heard: hidden_error(a, heard.error),
        ),
        Tier.ERROR,
    ),
    "the reward": (
        rewarded(
            received=lambda b, a, heard: at_neurons(a, own=lambda n: heard.reward[:, None]),
            adapted=lambda b, a: by_neuron(a, b),
        ),
        Tier.REWARD,
    ),
    "the last reward, in the memory": (
        rewarded(
            received=lambda b, a, heard: remember(a, heard.reward.mean()),
            adapted=lambda b, a: scaled(a, b, b.memory["held"]),
        ),
        Tier.REWARD,
    ),
}


ENOUGH = (
    "a far neuron",
    "a statistic in the memory",
    "a mean of all weights",
    "the activity of siblings",
    "the exact error, at neurons",
    "the reward",
)


@pytest.mark.parametrize(
    "cheat", [c if c in ENOUGH else pytest.param(c, marks=pytest.mark.slow) for c in CHEATS]
)
def test_a_rule_that_claims_to_be_more_local_is_caught(cheat):
    build, tier = CHEATS[cheat]
    rule = build()
    assert rule.tier < tier
    assert pg.rules.locality(rule) is tier


@pytest.mark.slow
def test_clocks_in_the_memory_may_matter_at_every_tier():
    def tick(before, after):
        return remember(
            scaled(after, before, 1 + before.memory["held"]), before.memory["held"] + 1
        )

    assert pg.rules.locality(hebb(adapted=tick)()) is Tier.ACTIVITY


@pytest.mark.slow
def test_what_is_not_declared_is_not_heard():
    """The rule would learn from the reward if it were told."""
    build, _ = CHEATS["the last reward, in the memory"]
    silent = dataclasses.replace(build(), hears=frozenset())
    assert pg.rules.locality(silent) is Tier.ACTIVITY


def test_an_array_that_joins_no_layers_is_refused():
    def odd(state):
        synapses = tuple(block | {"odd": jnp.zeros((2, 2))} for block in state.synapses)
        return State(state.body, state.neurons, synapses, state.memory)

    with pytest.raises(ValueError, match=r"synapses of Altered from 5 to 4 .* got \(2, 2\)"):
        pg.rules.locality(hebb(born=odd)())


def test_a_rule_that_diverges_is_refused():
    with pytest.raises(ValueError, match=r"Oja diverges .* lower its rates"):
        pg.rules.locality(pg.rules.Oja(rate=1e30))
