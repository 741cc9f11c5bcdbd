from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from . import _multilayer
from ._activations import activation, slope
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._signals import Signal, Tier
from ._signs import signs


@final
class WeightPerturbation(AbstractRule):
    r"""Weight perturbation: $\Delta w_{ij} = \eta\, \frac{\langle s \rangle}{\epsilon}\,
    \xi_{ij}$.

    A second pass kicks all weights at once, $W + \epsilon\, \xi$, $\xi_{ij} = \pm 1$ with
    equal odds, the same for all rows of the batch and new at every presentation. The scalar
    $s = e \cdot (\tilde y - y)$, how much better the kicked outputs $\tilde y$ are than the
    clean $y$ to first order in the error $e$, is broadcast; each synapse correlates it
    with its own kick. The network answers with the clean outputs.

    $\langle \Delta w_{ij} \rangle = \eta\, g_{ij}$, minus the derivative of the mean loss of
    the batch, up to terms in $\epsilon^2$ from the curvature of the activation; exactly
    where neurons are linear. With one linear block $s = \epsilon \sum_{kl} g_{kl} \xi_{kl}$,
    so

    $$\mathrm{Var}\, \Delta w_{ij} = \eta^2\, \big(|g|^2 - g_{ij}^2\big)$$

    (Gaussian kicks give $|g|^2 + g_{ij}^2$); several blocks add terms in $\epsilon^2$. The
    signal of a synapse drowns in that of all others: of the perturbation rules the one that
    knows least, and the slowest in large networks.

    A synapse holds its weight and its kick $\xi$. A neuron holds its clean activity, the
    one under kicks, and the scalar. Reads the error, of which only $s$ goes on, so its
    tier is reward.

    **Arguments:**

    - `rate`: $\eta$, a positive scalar.
    - `noise`: $\epsilon$, the size of the kicks, a positive scalar.
    - `activation`: as in [`SGD`][plasticgym.rules.SGD].

    **Raises:**

    - `ValueError`: if `rate` or `noise` is not positive or the activation is unknown.

    ??? cite "Reference"

        Jabri, Flower, "Weight perturbation: an optimal architecture and learning technique
        for analog VLSI feedforward and recurrent multilayer networks", IEEE Transactions on
        Neural Networks 1992. Cauwenberghs, "A fast stochastic error-descent algorithm for
        supervised learning and optimization", NeurIPS 1992.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> rule = pg.rules.WeightPerturbation()
        >>> newborn = rule.init(pg.rules.Body((2, 1)), key=jax.random.key(0))
        >>> sorted(newborn.synapses[0])
        ['kick', 'weight']

        ```
    """

    rate: Float[Array, ""] = eqx.field(default=0.01, converter=real, metadata=gene("log"))
    noise: Float[Array, ""] = eqx.field(default=0.01, converter=real, metadata=gene("log"))
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
        key_weights, key_kicks = jax.random.split(key)
        weights = _multilayer.newborn(body, self.activation, key=key_weights)
        return State(body, (), _kicked(weights, key=key_kicks))

    def rest(self, state: State, batch: int) -> State:
        zeros = [jnp.zeros((batch, n)) for n in state.body.layers]
        neurons = tuple({"activity": z, "noisy": z, "reward": z} for z in zeros)
        return State(state.body, neurons, state.synapses, state.memory)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        body, last = state.body, len(state.synapses) - 1
        clean = noisy = body.mask(0, inputs.known)
        neurons = [{"activity": clean, "noisy": noisy, "reward": jnp.zeros_like(clean)}]
        for layer, block in enumerate(state.synapses):
            sigma = activation("linear" if layer == last else self.activation)
            w, kick = block["weight"], block["kick"]
            z = _multilayer.with_bias(clean) @ w
            kicked = _multilayer.with_bias(noisy) @ (w + self.noise * kick)
            clean, noisy = (body.mask(layer + 1, sigma(a)) for a in (z, kicked))
            zero = jnp.zeros_like(clean)
            neurons.append({"activity": clean, "noisy": noisy, "reward": zero})
        return State(body, tuple(neurons), state.synapses, state.memory), clean

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        body, top = state.body, state.neurons[-1]
        # As a product, not a sum: see "wrong products" in docs/known-problems.md.
        s = jnp.vecdot(feedback.error, top["noisy"] - top["activity"])[:, None]
        neurons = tuple(
            n | {"reward": body.mask(layer, jnp.broadcast_to(s, n["reward"].shape))}
            for layer, n in enumerate(state.neurons)
        )
        return State(body, neurons, state.synapses, state.memory)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        weights = []
        for block, post in zip(state.synapses, state.neurons[1:], strict=True):
            s = post["reward"].mean(0)[None]  # a synapse hears it from its neuron
            weights.append(block["weight"] + self.rate * (s / self.noise) * block["kick"])
        synapses = _kicked(tuple(weights), key=key)
        return State(state.body, state.neurons, synapses, state.memory)


def _kicked(
    weights: tuple[Float[Array, "_pre _post"], ...], *, key: Key[Array, ""]
) -> tuple[dict[str, Array], ...]:
    """The blocks of these weights, each synapse with its next kick."""
    kicks = signs([w.shape for w in weights], key=key)
    return tuple({"weight": w, "kick": k} for w, k in zip(weights, kicks, strict=True))
