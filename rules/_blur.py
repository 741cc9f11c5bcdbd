import functools
from collections.abc import Callable
from typing import Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._constraint import AbstractConstraint
from ._gene import gene, real, real_or_none
from ._multilayer import newborn, with_bias
from ._plasticity import Plasticity, mix
from ._registry import near
from ._signals import Signal, Tier
from ._transfer import Transfer, transfer

_States = Float[Array, "k batch n"]

# How the backward message z meets the states a of a neuron, before the transfer.
_MEETINGS: dict[str, Callable[..., _States]] = {
    "additive": lambda f, eta, a, z: f * a + eta * z,
    "multiplicative": lambda f, eta, a, z: f * a * z,
    "multiplicative second state": lambda f, eta, a, z: jnp.concatenate(
        [a[:1], f * a[1:] * z[1:]]
    ),
}
_INJECTIONS: dict[str, Callable[[_States, Feedback], Float[Array, "batch n"]]] = {
    "target": lambda a, feedback: jnp.where(
        feedback.target.mask, 2.0 * feedback.target.values - 1.0, 0.0
    ),
    "error": lambda a, feedback: a[1] * feedback.error,
    "reward": lambda a, feedback: a[0] * feedback.reward[:, None],
}
_WIRINGS = ["asymmetric", "symmetric at birth", "symmetric"]
_BIRTHS = ["independent", "alike"]
_SOURCES = ["backward", "forward"]


@final
class Blur(AbstractRule):
    r"""Bidirectional learned update rules (BLUR): every neuron holds $k$ states.

    Blocks hold forward synapses $W$ and backward synapses $V$, a weight per state.
    With $a$ the states of a layer (those of the bias unit are all 1), states $c$ and
    upstream, downstream neurons $i$, $j$, one presentation is

    $$\begin{aligned}
    \text{predict} \quad & a_j^c \leftarrow \sigma_c\big(\eta \textstyle\sum_i W_{ij}^c
      \sum_d a_i^d \nu_{dc}\big), \\
    \text{receive} \quad & a_i^c \leftarrow \sigma'_c\big(f a_i^c + \eta \textstyle\sum_j
      V_{ji}^c \sum_d a_j^d \mu_{dc}\big), \\
    \text{adapt} \quad & W_{ij}^c \leftarrow \phi\big(\tilde f\, W_{ij}^c + \tilde\eta\,
      \big\langle \textstyle\sum_e a_i^e \tilde\nu_{ec} \, \sum_d \tilde\mu_{cd} a_j^d
      \big\rangle\big),
    \end{aligned}$$

    the mean over the batch, and $V$ like $W$ with $i$ and $j$ exchanged. Inputs enter
    state 1 of the first layer, which feedback does not touch; the prediction is state 1
    of the last, times a gain; the target enters its state 2 as -1 or 1. There is no loss
    and no derivative: what is learned is learned by the genome, $4k^2 + 4$ numbers shared
    by all neurons, and the genes of optional parts. Backpropagation is a special case.

    In all matrices the first index is the source and the second the destination; we
    average over the batch where the authors' code sums. Reads what it injects; its tier is
    error, or reward if it injects that, or gradient if its wiring stays symmetric, or that
    of the least local of its parts: layer with normalisation.

    **Arguments:**

    - `forward`, `backward`: $\nu$ and $\mu$, shape `(k, k)`: how states mix on their way.
    - `synapse`: $\tilde\nu$, $\tilde\mu$, $\tilde f$, $\tilde\eta$: how $W$ changes.
    - `neuron_keep`, `neuron_rate`: $f$ and $\eta$.
    - `gain`: scales the outputs, which are bounded where the top is.
    - `birth`, `bias_birth`: standard deviation of newborn weights, in multiples of
      1 / sqrt(inputs), and of biases; `None` for 1 and 0.
    - `backward_synapse`: how $V$ changes; `None`: like $W$.
    - `above`: the rule of the blocks above the first one; `None`: this one. So a chain of
      them is a genome per layer. Births, gain and what is injected are those of the first.
    - `hidden`, `top`: $\sigma$ of hidden layers and of the last one: a
      [`Transfer`][plasticgym.rules.Transfer] or the names of its activations.
    - `feedback`: $\sigma'$.
    - `stored`, `used`: $\phi$: constraints of synapses, applied one after the other when
      they change, or whenever they are used.
    - `synapse_states`: `k`, or 1 for one weight that serves all states and learns from
      the first.
    - `wiring`: `"asymmetric"`; `"symmetric at birth"`, where $V$ is born as $W^T$ without
      the bias; or `"symmetric"`, where it stays that.
    - `births`: whether the weights of a synapse are drawn `"independent"` or `"alike"`.
    - `meeting`: `"additive"` as above; `"multiplicative"`: $a_i^c \leftarrow f a_i^c
      z_i^c$; `"multiplicative second state"`: so for all but $a^1$, which stays.
    - `pre_source`: whether $a_i$ in the Hebbian change is the `"backward"` state, which
      feedback left, or the `"forward"` one, which it found.
    - `injects`: `"target"` as above; `"error"`: state 2 of the last layer is multiplied by
      the error of its output; `"reward"`: it is state 1 times the reward, so that what was
      done counts the more the better it was paid.
    - `gauge`: `"free"`; or `"fixed"`: matrices are normalised when used, so that their
      scales, which rates can make good for, do not matter.

    **Raises:**

    - `ValueError`: if a shape does not fit the number of states, which is at least 2, or
      an option is unknown.

    ??? cite "Reference"

        Sandler, Vladymyrov, Zhmoginov, Miller, Jackson, Madams, Aguera y Arcas,
        "Meta-Learning Bidirectional Update Rules", ICML 2021.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.genome(pg.rules.make("blur", states=4)).size  # 68 and the gain
        69

        ```
    """

    forward: Float[Array, "k k"] = eqx.field(converter=real, metadata=gene(unit=0.3))
    backward: Float[Array, "k k"] = eqx.field(converter=real, metadata=gene(unit=0.3))
    synapse: Plasticity
    neuron_keep: Float[Array, ""] = eqx.field(
        default=1.0, converter=real, metadata=gene(unit=0.3)
    )
    neuron_rate: Float[Array, ""] = eqx.field(
        default=1.0, converter=real, metadata=gene(unit=0.3)
    )
    gain: Float[Array, ""] = eqx.field(default=4.0, converter=real, metadata=gene("log"))
    birth: Float[Array, ""] | None = eqx.field(
        default=None, converter=real_or_none, metadata=gene("log")
    )
    bias_birth: Float[Array, ""] | None = eqx.field(
        default=None, converter=real_or_none, metadata=gene("log")
    )
    backward_synapse: Plasticity | None = None
    above: "Blur | None" = None
    hidden: Transfer = eqx.field(converter=transfer, kw_only=True)
    top: Transfer = eqx.field(converter=transfer, kw_only=True)
    feedback: Transfer = eqx.field(converter=transfer, kw_only=True)
    stored: tuple[AbstractConstraint, ...] = ()
    used: tuple[AbstractConstraint, ...] = ()
    synapse_states: int = eqx.field(static=True, kw_only=True)
    wiring: Literal["asymmetric", "symmetric at birth", "symmetric"] = eqx.field(
        static=True, default="asymmetric", kw_only=True
    )
    births: Literal["independent", "alike"] = eqx.field(
        static=True, default="independent", kw_only=True
    )
    meeting: str = eqx.field(static=True, default="additive", kw_only=True)
    pre_source: Literal["backward", "forward"] = eqx.field(
        static=True, default="backward", kw_only=True
    )
    injects: Literal["target", "error", "reward"] = eqx.field(
        static=True, default="target", kw_only=True
    )
    gauge: Literal["free", "fixed"] = eqx.field(static=True, default="free", kw_only=True)

    def __check_init__(self):
        k = self.states
        if k < 2:
            raise ValueError(f"`forward` must have at least two states, got shape ({k}, {k}).")
        for name in ("forward", "backward"):
            shape = jnp.shape(getattr(self, name))
            if shape != (k, k):
                raise ValueError(f"`{name}` must have shape ({k}, {k}), got {shape}.")
        for name in ("hidden", "top", "feedback"):
            names = getattr(self, name).activations
            if len(names) != k:
                raise ValueError(
                    f"`{name}` must name one activation per state ({k}), got {names}."
                )
        if self.synapse_states not in (1, k):
            raise ValueError(f"`synapse_states` must be 1 or {k}, got {self.synapse_states}.")
        for each in (self.synapse, self.backward_synapse):
            if each is not None:
                each.check(k, self.synapse_states)
        _check_option("wiring", self.wiring, _WIRINGS)
        _check_option("births", self.births, _BIRTHS)
        _check_option("meeting", self.meeting, list(_MEETINGS))
        _check_option("pre_source", self.pre_source, _SOURCES)
        _check_option("injects", self.injects, list(_INJECTIONS))
        _check_option("gauge", self.gauge, list(_GAUGES))
        if self.above is not None and self.above._form != self._form:
            raise ValueError(
                "`above` must agree in states, wiring, meeting, sources and decay, got "
                f"{self.above._form} above {self._form}."
            )

    @property
    def states(self) -> int:
        """The number of states of a neuron, $k$."""
        return self.forward.shape[0]

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset({Signal(self.injects)})

    @property
    def tier(self) -> Tier:
        heard = Tier.REWARD if self.injects == "reward" else Tier.ERROR
        wired = Tier.GRADIENT if self.wiring == "symmetric" else heard
        tiers = [wired, *(part.tier for part in (*self.stored, *self.used))]
        for synapse in (self.synapse, self.backward_synapse):
            if synapse is not None and synapse.forgetting is not None:
                tiers.append(synapse.forgetting.tier)
        if any(t.normalisation for t in (self.hidden, self.top, self.feedback)):
            tiers.append(Tier.LAYER)
        if self.above is not None:
            tiers.append(self.above.tier)
        return max(tiers)

    def at(self, layer: int) -> "Blur":
        """The rule of block `layer`, its gauges fixed where they are to be."""
        if layer == 0 or self.above is None:
            return _GAUGES[self.gauge](self)
        return self.above.at(layer - 1)

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        key_forward, key_backward = jax.random.split(key)
        forward = self._newborn(body, key=key_forward)
        synapses = tuple({"forward": w} for w in forward)
        if self.wiring == "symmetric at birth":
            synapses = tuple({"forward": w, "backward": _transposed(w)} for w in forward)
        elif self.wiring == "asymmetric":
            alive = None if body.alive is None else body.alive[::-1]
            backward = self._newborn(Body(body.layers[::-1], alive), key=key_backward)
            synapses = tuple(
                block | {"backward": v[:, :-1]}
                for block, v in zip(synapses, backward[::-1], strict=True)
            )
        return State(body, (), synapses, {"time": jnp.zeros(())} if self._ages else None)

    def rest(self, state: State, batch: int) -> State:
        zeros = [jnp.zeros((self.states, batch, n)) for n in state.body.layers]
        neurons = tuple(self._kept(z) for z in zeros)
        return State(state.body, neurons, state.synapses, state.memory)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        body, last = state.body, len(state.synapses) - 1
        x = body.mask(0, inputs.known)
        a = jnp.stack([x] + [jnp.zeros_like(x)] * (self.states - 1))
        neurons = [self._kept(a)]
        for layer, block in enumerate(state.synapses):
            rule = self.at(layer)
            w = rule._usable(_living(block["forward"], body, layer))
            z = mix(with_bias(a), rule.forward) @ w
            transfer = rule.top if layer == last else rule.hidden
            a = transfer(rule.neuron_rate * z, body, layer + 1)
            neurons.append(self._kept(a))
        return State(body, tuple(neurons), state.synapses, state.memory), self.gain * a[0]

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        body, neurons = state.body, list(state.neurons)
        last = len(neurons) - 1
        a = neurons[-1]["state"]
        second = _INJECTIONS[self.injects](a, feedback)
        a = jnp.stack([a[0], second] + [jnp.zeros_like(second)] * (self.states - 2))
        a = body.mask(last, a)
        neurons[-1] = neurons[-1] | {"state": a}
        for layer in range(last - 1, 0, -1):
            rule, block = self.at(layer), state.synapses[layer]
            z = mix(a, rule.backward) @ rule._backward(block, body, layer)
            meet = _MEETINGS[self.meeting]
            a = meet(rule.neuron_keep, rule.neuron_rate, neurons[layer]["state"], z)
            a = rule.feedback(a, body, layer)
            neurons[layer] = neurons[layer] | {"state": a}
        return State(body, tuple(neurons), state.synapses, state.memory)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        time = state.memory["time"] if self._ages else None
        synapses = []
        for layer, block in enumerate(state.synapses):
            rule, (up, down) = self.at(layer), state.neurons[layer : layer + 2]
            source = "state" if self.pre_source == "backward" else "forward"
            w = _living(block["forward"], state.body, layer)
            w = rule.synapse.changed(w, with_bias(up[source]), down["state"], time)
            changed = {"forward": rule._bounded(w)}
            if "backward" in block:
                plasticity = rule.backward_synapse or rule.synapse
                v = _living(block["backward"], state.body, layer + 1)
                v = plasticity.changed(v, down[source], up["state"], time)
                changed["backward"] = rule._bounded(v)
            synapses.append(changed)
        memory = {"time": time + 1.0} if time is not None else state.memory
        return State(state.body, state.neurons, tuple(synapses), memory)

    @property
    def _form(self) -> tuple:
        sources = (self.pre_source, self.injects)
        sizes, sources = (self.states, self.synapse_states), (self.pre_source, self.injects)
        return (*sizes, self.wiring, self.meeting, *sources, self._ages)

    @property
    def _ages(self) -> bool:
        """Whether a rate decays, so that there must be a clock."""
        both = (self.synapse, self.backward_synapse)
        return any(s is not None and s.decay is not None for s in both)

    def _kept(self, a: _States) -> dict[str, _States]:
        """What a layer holds: its states, and those before feedback where they are needed."""
        return {"state": a} if self.pre_source == "backward" else {"state": a, "forward": a}

    def _newborn(self, body: Body, *, key: Key[Array, ""]) -> tuple[Array, ...]:
        m = self.synapse_states
        drawn = (1 if self.births == "alike" else m,)
        blocks = newborn(
            body,
            "linear",
            key=key,
            channels=drawn,
            deviation=1.0 if self.birth is None else self.birth,
            bias_deviation=self.bias_birth,
        )
        return tuple(jnp.broadcast_to(w, (m, *w.shape[1:])) for w in blocks)

    def _backward(
        self, block: dict[str, Array], body: Body, layer: int
    ) -> Float[Array, "m post pre"]:
        if self.wiring == "symmetric":
            return _transposed(self._usable(_living(block["forward"], body, layer)))
        return self._usable(_living(block["backward"], body, layer + 1))

    def _usable(self, weights: Float[Array, "m pre post"]) -> Float[Array, "m pre post"]:
        return functools.reduce(lambda w, constraint: constraint(w), self.used, weights)

    def _bounded(self, weights: Float[Array, "m pre post"]) -> Float[Array, "m pre post"]:
        return functools.reduce(lambda w, constraint: constraint(w), self.stored, weights)


def _fixed(rule: Blur) -> Blur:
    r"""The rule with its matrices scaled: $\nu$ and $\mu$ together have norm $\sqrt{2k}$.

    Those of its synapses as in `Plasticity.scaled`. Backpropagation is as it was.
    """
    k, m = float(rule.states), rule.synapse_states
    squares = jnp.square(rule.forward).sum() + jnp.square(rule.backward).sum()
    scale = jnp.sqrt(2.0 * k) * jax.lax.rsqrt(squares + _SMALL)
    backward = None if rule.backward_synapse is None else rule.backward_synapse.scaled(m)
    return eqx.tree_at(
        lambda r: (r.forward, r.backward, r.synapse, r.backward_synapse),
        rule,
        (rule.forward * scale, rule.backward * scale, rule.synapse.scaled(m), backward),
        is_leaf=lambda x: x is None,
    )


_GAUGES: dict[str, Callable[[Blur], Blur]] = {"free": lambda rule: rule, "fixed": _fixed}
_SMALL = 1e-12


def _living(
    weights: Float[Array, "m pre post"], body: Body, layer: int
) -> Float[Array, "m pre post"]:
    """The weights with those from dead neurons of a layer at zero: no norm counts them."""
    if body.alive is None:
        return weights
    alive = jnp.pad(
        body.alive[layer],
        (0, weights.shape[1] - body.layers[layer]),
        constant_values=1.0,
    )
    return weights * alive[None, :, None]


def _transposed(weights: Float[Array, "m pre post"]) -> Float[Array, "m post inputs"]:
    """$W^T$ without the bias."""
    return jnp.swapaxes(weights[:, :-1], 1, 2)


def _check_option(name: str, value: str, known: list[str]) -> None:
    if value not in known:
        raise ValueError(f"unknown `{name}` {value!r}; {near(value, known)}")
