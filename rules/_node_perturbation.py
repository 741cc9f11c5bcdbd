from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from . import _multilayer
from ._activations import activation, slope
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._local_view import LocalView
from ._signals import Signal, Tier
from ._signs import signs


@final
class NodePerturbation(AbstractRule):
    r"""Node perturbation: $\delta_j = \frac{s}{\epsilon}\, \xi_j$,
    $\Delta w_{ij} = \eta\, \langle x_i\, \delta_j \rangle$.

    A second pass kicks all neurons above the inputs at once:
    $\tilde h = \sigma(\tilde z + \epsilon\, \xi)$, $\xi_j = \pm 1$ with equal odds. The
    scalar $s = e \cdot (\tilde y - y)$, how much better the kicked outputs $\tilde y$ are
    than the clean $y$ to first order in the error $e$, is broadcast to all neurons; each
    correlates it with its own kick. The network answers with the clean outputs.

    $\langle \delta_j \rangle = g_j$, minus the derivative of the loss of the example by the
    pre-activation $z_j$, up to terms in $\epsilon^2$ from the curvature of $\sigma$; exactly
    where neurons are linear. There $s = \epsilon \sum_k g_k \xi_k$, so

    $$\mathrm{Var}\, \delta_j = \langle \textstyle\sum_{k \neq j} g_k^2\, \xi_k^2 \xi_j^2
    \rangle = |g|^2 - g_j^2, \quad \mathrm{Var}\, \Delta w_{ij} = \frac{\eta^2}{B^2}
    \textstyle\sum_b x_{bi}^2 (|g_b|^2 - g_{bj}^2)$$

    over a batch of $B$ (Gaussian kicks give $|g|^2 + g_j^2$). It grows with the number of
    neurons, and with it the number of presentations that learning takes.

    A neuron holds its clean activity, the one under the kick, its $\xi$ and $\delta$; a
    synapse its weight. Reads the error, of which only $s$ goes on, so its tier is reward.

    **Arguments:**

    - `rate`: $\eta$, a positive scalar.
    - `noise`: $\epsilon$, the size of the kicks, a positive scalar.
    - `activation`: as in [`SGD`][plasticgym.rules.SGD].

    **Raises:**

    - `ValueError`: if `rate` or `noise` is not positive or the activation is unknown.

    ??? cite "Reference"

        Williams, "Simple statistical gradient-following algorithms for connectionist
        reinforcement learning", Machine Learning 1992. Werfel, Xie, Seung, "Learning curves
        for stochastic gradient descent in linear feedforward networks", Neural Computation
        2005.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> str(pg.rules.NodePerturbation(noise=0.1).tier)
        'reward'

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=0.1, converter=real, metadata=gene("log"))
    noise: Float[Array, ""] = eqx.field(default=0.1, converter=real, metadata=gene("log"))
    activation: str = eqx.field(static=True, default="tanh")

    def __check_init__(self):
        slope(self.activation)

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset({Signal.ERROR})

    @property
    def tier(self) -> Tier:
        return Tier.REWARD

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        weights = _multilayer.newborn(body, self.activation, key=key)
        return State(body, (), tuple({"weight": w} for w in weights))

    def rest(self, state: State, batch: int) -> State:
        zeros = [jnp.zeros((batch, n)) for n in state.body.layers]
        neurons = tuple(_neuron(z, z, z, z) for z in zeros)
        return State(state.body, neurons, state.synapses, state.memory)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        body, last = state.body, len(state.synapses) - 1
        clean = noisy = body.mask(0, inputs.known)
        zero = jnp.zeros_like(clean)
        neurons = [_neuron(clean, noisy, zero, zero)]
        kicks = signs([(len(clean), n) for n in body.layers[1:]], key=key)
        for layer, (block, kick) in enumerate(zip(state.synapses, kicks, strict=True)):
            sigma = activation("linear" if layer == last else self.activation)
            kick = body.mask(layer + 1, kick)
            z = _multilayer.with_bias(clean) @ block["weight"]
            kicked = _multilayer.with_bias(noisy) @ block["weight"] + self.noise * kick
            clean, noisy = (body.mask(layer + 1, sigma(a)) for a in (z, kicked))
            neurons.append(_neuron(clean, noisy, kick, jnp.zeros_like(clean)))
        return State(body, tuple(neurons), state.synapses, state.memory), clean

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        top = state.neurons[-1]
        # As a product, not a sum: see "wrong products" in docs/known-problems.md.
        s = jnp.vecdot(feedback.error, top["noisy"] - top["activity"])[:, None]
        neurons = tuple(n | {"error": n["kick"] * (s / self.noise)} for n in state.neurons)
        return State(state.body, neurons, state.synapses, state.memory)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        return _multilayer.descended(state, self.rate)

    def change(self, view: LocalView) -> Float[Array, ""]:
        # The error of its neuron is what that neuron found out by its own kick.
        return self.rate * view.pre * view.error


def _neuron(activity: Array, noisy: Array, kick: Array, error: Array) -> dict[str, Array]:
    return {"activity": activity, "noisy": noisy, "kick": kick, "error": error}
