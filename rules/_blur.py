from collections.abc import Callable
from typing import Literal, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._activations import activation
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._multilayer import newborn, with_bias
from ._registry import near
from ._signals import Signal, Tier

_States = Float[Array, "k batch n"]

# How the backward message z meets the state a of a neuron, before the activation.
_MEETINGS: dict[str, Callable[..., _States]] = {
    "additive": lambda f, eta, a, z: f * a + eta * z,
    "multiplicative second state": lambda f, eta, a, z: jnp.concatenate(
        [a[:1], f * a[1:] * z[1:]]
    ),
}


@final
class Blur(AbstractRule):
    r"""Bidirectional learned update rules (BLUR): every neuron holds $k$ states.

    Blocks hold forward synapses $W$ and backward synapses $V$, a weight per channel.
    With $a$ the states of a layer (those of the bias unit are all 1), channels $c$ and
    upstream, downstream neurons $i$, $j$, one presentation is

    $$\begin{aligned}
    \text{predict} \quad & a_j^c \leftarrow \sigma_c\big(\eta \textstyle\sum_i W_{ij}^c
      \sum_d a_i^d \nu_{dc}\big), \\
    \text{receive} \quad & a_i^c \leftarrow \sigma'_c\big(f a_i^c + \eta \textstyle\sum_j
      V_{ji}^c \sum_d a_j^d \mu_{dc}\big), \\
    \text{adapt} \quad & W_{ij}^c \leftarrow \tilde f\, W_{ij}^c + \tilde\eta\,
      \big\langle \textstyle\sum_e a_i^e \tilde\nu_{ec} \, \sum_d \tilde\mu_{cd} a_j^d
      \big\rangle,
    \end{aligned}$$

    the mean over the batch, and $V$ like $W$ with $i$ and $j$ exchanged. Inputs enter
    state 1 of the first layer, which feedback does not touch; the prediction is state 1
    of the last, times a gain; the target enters its state 2 as -1 or 1. There is no loss
    and no derivative: what is learned is learned by the genome, $4k^2 + 4$ numbers shared
    by all neurons (and the gain). Backpropagation is a special case (see
    [`Blur.backpropagation`][plasticgym.rules.Blur.backpropagation]).

    In all matrices the first index is the source and the second the destination; we
    average over the batch where the authors' code sums.

    **Arguments:**

    - `forward`, `backward`: $\nu$ and $\mu$, shape `(k, k)`: how states mix on their way.
    - `pre`, `post`: $\tilde\nu$ and $\tilde\mu$, shape `(k, k)`: what a synapse
      correlates.
    - `neuron_keep`, `neuron_rate`: $f$ and $\eta$. `synapse_keep`, `synapse_rate`:
      $\tilde f$ and $\tilde\eta$.
    - `gain`: scales the outputs, which are bounded where the top is.
    - `hidden`, `top`: activations of the forward pass, one per state: $\sigma$ of hidden
      layers and of the last one.
    - `feedback`: activations of the backward pass, one per state: $\sigma'$.
    - `synapse_states`: `k`, or 1 for one weight that serves all channels and learns from
      the first.
    - `wiring`: `"asymmetric"`, or `"symmetric"` for $V = W^T$ without the bias.
    - `meeting`: `"additive"` as above; `"multiplicative second state"`:
      $a^1$ stays, $a_i^c \leftarrow f a_i^c z_i^c$ for the others.
    - `injects`: `"target"` as above; `"error"`: state 2 of the last layer is multiplied by
      the error of its output.

    **Raises:**

    - `ValueError`: if a shape does not fit the number of states, which is at least 2, or
      an option is unknown.

    ??? cite "Reference"

        Sandler, Vladymyrov, Zhmoginov, Miller, Jackson, Madams, Aguera y Arcas,
        "Meta-Learning Bidirectional Update Rules", ICML 2021.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.genome(pg.rules.Blur.hebbian(states=4)).size  # 68 and the gain
        69

        ```
    """

    forward: Float[Array, "k k"] = eqx.field(converter=real, metadata=gene(unit=0.3))
    backward: Float[Array, "k k"] = eqx.field(converter=real, metadata=gene(unit=0.3))
    pre: Float[Array, "k k"] = eqx.field(converter=real, metadata=gene(unit=0.3))
    post: Float[Array, "k k"] = eqx.field(converter=real, metadata=gene(unit=0.3))
    neuron_keep: Float[Array, ""] = eqx.field(
        default=1.0, converter=real, metadata=gene(unit=0.3)
    )
    neuron_rate: Float[Array, ""] = eqx.field(
        default=1.0, converter=real, metadata=gene(unit=0.3)
    )
    synapse_keep: Float[Array, ""] = eqx.field(
        default=1.0, converter=real, metadata=gene(unit=0.01)
    )
    synapse_rate: Float[Array, ""] = eqx.field(
        default=0.1, converter=real, metadata=gene("log")
    )
    gain: Float[Array, ""] = eqx.field(default=4.0, converter=real, metadata=gene("log"))
    hidden: tuple[str, ...] = eqx.field(static=True, kw_only=True)
    top: tuple[str, ...] = eqx.field(static=True, kw_only=True)
    feedback: tuple[str, ...] = eqx.field(static=True, kw_only=True)
    synapse_states: int = eqx.field(static=True, kw_only=True)
    wiring: Literal["asymmetric", "symmetric"] = eqx.field(
        static=True, default="asymmetric", kw_only=True
    )
    meeting: str = eqx.field(static=True, default="additive", kw_only=True)
    injects: Literal["target", "error"] = eqx.field(static=True, default="target", kw_only=True)

    def __check_init__(self):
        k = self.states
        if k < 2:
            raise ValueError(f"`forward` must have at least two states, got shape ({k}, {k}).")
        for name in ("forward", "backward", "pre", "post"):
            shape = jnp.shape(getattr(self, name))
            if shape != (k, k):
                raise ValueError(f"`{name}` must have shape ({k}, {k}), got {shape}.")
        for name in ("hidden", "top", "feedback"):
            names = getattr(self, name)
            if len(names) != k:
                raise ValueError(
                    f"`{name}` must name one activation per state ({k}), got {names}."
                )
            for each in names:
                activation(each)
        if self.synapse_states not in (1, k):
            raise ValueError(f"`synapse_states` must be 1 or {k}, got {self.synapse_states}.")
        _check_option("wiring", self.wiring, ["asymmetric", "symmetric"])
        _check_option("meeting", self.meeting, list(_MEETINGS))
        _check_option("injects", self.injects, ["target", "error"])

    @classmethod
    def hebbian(cls, states: int = 2) -> "Blur":
        """A starting point that learns a little: targets drive Hebbian change.

        State 1 goes up and is kept; state 2 of the last layer, the target, comes down as
        state 2; synapses correlate state 1 with the difference of the two. With linear
        neurons and one layer this is the delta rule. Further states are silent.
        """
        _check_states(states)
        zeros = jnp.zeros((states, states))
        return cls(
            forward=zeros.at[0, 0].set(1.0),
            backward=zeros.at[0, 1].set(-1.0).at[1, 1].set(1.0),
            pre=zeros.at[0, 0].set(1.0),
            post=zeros.at[0, 0].set(-1.0).at[0, 1].set(1.0),
            **_bounded(states),
        )

    @classmethod
    def random(cls, states: int = 2, *, key: Key[Array, ""]) -> "Blur":
        """Matrices drawn from N(0, 1), as the authors begin."""
        _check_states(states)
        draws = jax.random.normal(key, (4, states, states), float)
        return cls(*draws, **_bounded(states))

    @classmethod
    def backpropagation(cls, rate: float = 0.1, hidden: str = "tanh") -> "Blur":
        r"""The genome whose synapses descend the exact gradient.

        Two states $(h, h')$, one symmetric synapse, the error injected at a linear top.

        Args:
            rate: the learning rate $\tilde\eta$.
            hidden: the activation of hidden layers: tanh, sigmoid or linear.
        """
        eye, swap = jnp.eye(2), jnp.array([[0.0, 1.0], [1.0, 0.0]])
        return cls(
            forward=jnp.array([[1.0, 1.0], [0.0, 0.0]]),
            backward=eye,
            pre=eye,
            post=swap,
            synapse_rate=rate,
            gain=1.0,
            hidden=(hidden, hidden + "'"),
            top=("linear", "linear'"),
            feedback=("linear", "linear"),
            synapse_states=1,
            wiring="symmetric",
            meeting="multiplicative second state",
            injects="error",
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
        return Tier.ERROR if self.wiring == "asymmetric" else Tier.GRADIENT

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        key_forward, key_backward = jax.random.split(key)
        channels = (self.synapse_states,)
        forward = newborn(body, "linear", key=key_forward, channels=channels)
        synapses = tuple({"forward": w} for w in forward)
        if self.wiring == "asymmetric":
            alive = None if body.alive is None else body.alive[::-1]
            reversed_ = Body(body.layers[::-1], alive)
            backward = newborn(reversed_, "linear", key=key_backward, channels=channels)
            synapses = tuple(
                block | {"backward": v[:, :-1]}
                for block, v in zip(synapses, backward[::-1], strict=True)
            )
        return State(body, (), synapses)

    def rest(self, state: State, batch: int) -> State:
        neurons = tuple(jnp.zeros((self.states, batch, n)) for n in state.body.layers)
        return State(state.body, neurons, state.synapses)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        body, last = state.body, len(state.synapses) - 1
        x = body.mask(0, inputs.known)
        a = jnp.stack([x] + [jnp.zeros_like(x)] * (self.states - 1))
        neurons = [a]
        for layer, block in enumerate(state.synapses):
            z = mix(with_bias(a), self.forward) @ block["forward"]
            names = self.top if layer == last else self.hidden
            a = body.mask(layer + 1, _activate(names, self.neuron_rate * z))
            neurons.append(a)
        return State(body, tuple(neurons), state.synapses), self.gain * a[0]

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        body, neurons = state.body, list(state.neurons)
        top = neurons[-1]
        if self.injects == "target":
            target = feedback.target
            second = jnp.where(target.mask, 2.0 * target.values - 1.0, 0.0)
        else:
            second = top[1] * feedback.error
        a = jnp.concatenate([top[:1], second[None], jnp.zeros_like(top[2:])])
        neurons[-1] = a = body.mask(len(neurons) - 1, a)
        for layer in range(len(neurons) - 2, 0, -1):
            z = mix(a, self.backward) @ self._backward(state.synapses[layer])
            meet = _MEETINGS[self.meeting]
            a = meet(self.neuron_keep, self.neuron_rate, neurons[layer], z)
            neurons[layer] = a = body.mask(layer, _activate(self.feedback, a))
        return State(body, tuple(neurons), state.synapses)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        synapses = []
        for layer, block in enumerate(state.synapses):
            up, down = state.neurons[layer : layer + 2]
            changed = {"forward": self._correlate(block["forward"], with_bias(up), down)}
            if "backward" in block:
                changed["backward"] = self._correlate(block["backward"], down, up)
            synapses.append(changed)
        return State(state.body, state.neurons, tuple(synapses))

    def _backward(self, block) -> Float[Array, "channels post pre"]:
        if self.wiring == "asymmetric":
            return block["backward"]
        return jnp.swapaxes(block["forward"][:, :-1], 1, 2)

    def _correlate(
        self,
        weight: Array,
        a: Float[Array, "k batch up"],
        b: Float[Array, "k batch down"],
    ) -> Array:
        """The new weight of synapses from neurons with states `a` to others with `b`."""
        channels, batch = self.synapse_states, a.shape[1]
        pre = mix(a, self.pre[:, :channels])
        post = mix(b, self.post[:channels].T)
        hebb = jnp.swapaxes(pre, 1, 2) @ (post * (self.synapse_rate / batch))
        return self.synapse_keep * weight + hebb


def mix(states: _States, matrix: Float[Array, "k c"]) -> Float[Array, "c batch n"]:
    r"""$\sum_d a^d M_{dc}$: states into channels, as a sum that fuses with its neighbours."""
    k, channels = matrix.shape
    return jnp.stack([sum(states[d] * matrix[d, c] for d in range(k)) for c in range(channels)])


def _activate(names: tuple[str, ...], z: _States) -> _States:
    if len(set(names)) == 1:
        return activation(names[0])(z)
    return jnp.stack([activation(name)(z[c]) for c, name in enumerate(names)])


def _bounded(states: int) -> dict:
    tanh = ("tanh",) * states
    return {"hidden": tanh, "top": tanh, "feedback": tanh, "synapse_states": states}


def _check_states(states: int) -> None:
    if not isinstance(states, int) or states < 2:
        raise ValueError(f"`states` must be a whole number of at least 2, got {states}.")


def _check_option(name: str, value: str, known: list[str]) -> None:
    if value not in known:
        raise ValueError(f"unknown `{name}` {value!r}; {near(value, known)}")
