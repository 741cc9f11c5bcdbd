from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ._affine import Affine
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._check_sizes import check_sizes
from ._signals import Signal, Tier


@final
class LSTM(AbstractRule):
    r"""Long short-term memory in the place of a rule: nothing is plastic but its state.

    With $x$ the clamped values and the mask of what is clamped,

    $$[i, f, o, g] = A\,[x, h] + a, \quad c \leftarrow \sigma(f) \odot c + \sigma(i) \odot
    \tanh g, \quad h \leftarrow \sigma(o) \odot \tanh c,$$

    and the outputs are $B\,h + b$. $A, a, B, b$ are the genome: trained from life to life,
    and the same for a whole life. What it remembers are $h$ and $c$, which it keeps where
    others keep clocks, whatever row starts. It is a baseline for memories in synapses and
    no rule of them: it is no member of `RULES`, it has no synapses, and it lives one row at
    a time in bodies that it was drawn for. Reads no feedback; its tier is global.

    **Arguments:**

    - `gates`: $A$ and $a$, from twice as many inputs as outputs, and the units, to four
      times the units.
    - `readout`: $B$ and $b$, from units to outputs.

    **Raises:**

    - `ValueError`: if their shapes do not fit each other, or, later, if the body does not
      fit them or there are several rows.

    ??? cite "Reference"

        Hochreiter, Schmidhuber, "Long short-term memory", Neural Computation 1997.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> rule = pg.rules.LSTM.drawn(16, 8, key=jax.random.key(0))
        >>> life = pg.envs.live(rule, pg.envs.remember(bits=16), key=jax.random.key(1))
        >>> sum(x.size for x in life.state.memory.values())
        16

        ```
    """

    gates: Affine
    readout: Affine

    def __check_init__(self):
        outputs, units = self.readout.weight.shape
        expected = (4 * units, 2 * outputs + units)
        if self.gates.weight.shape != expected:
            raise ValueError(
                f"`gates` must have weights of shape {expected} to fit {units} units and "
                f"{outputs} outputs, got {self.gates.weight.shape}."
            )

    @classmethod
    def drawn(cls, bits: int, units: int, *, key: Key[Array, ""]) -> "LSTM":
        """A random one for so many inputs and outputs, which forgets little at first."""
        check_sizes(bits=bits, units=units)
        key_gates, key_readout = jax.random.split(key)
        gates = Affine.drawn(2 * bits + units, 4 * units, key=key_gates)
        keeping = gates.bias.at[units : 2 * units].set(1.0)
        return cls(Affine(gates.weight, keeping), Affine.drawn(units, bits, key=key_readout))

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset()

    @property
    def tier(self) -> Tier:
        return Tier.GLOBAL

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        bits, units = self.readout.weight.shape
        if (body.layers[0], body.layers[-1]) != (bits, bits):
            raise ValueError(
                f"`body` must have {bits} inputs and outputs, for which this LSTM was drawn, "
                f"got layers {body.layers}; draw another one."
            )
        zeros = jnp.zeros(units)
        blocks = tuple({} for _ in body.layers[1:]) or ({},)
        return State(body, (), blocks, {"hidden": zeros, "cell": zeros})

    def rest(self, state: State, batch: int) -> State:
        if batch != 1:
            raise ValueError(f"`batch` must be 1, for an LSTM has one memory, got {batch}.")
        neurons = tuple(jnp.zeros((1, n)) for n in state.body.layers)
        return State(state.body, neurons, state.synapses, state.memory)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        seen = (inputs.known[0], inputs.mask[0].astype(float), state.memory["hidden"])
        i, f, o, g = jnp.split(self.gates(jnp.concatenate(seen)), 4)
        c = jax.nn.sigmoid(f) * state.memory["cell"] + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        outputs: Float[Array, "1 outputs"] = self.readout(h)[None]
        neurons = (inputs.known, *state.neurons[1:-1], outputs)[-len(state.neurons) :]
        return State(state.body, neurons, state.synapses, {"hidden": h, "cell": c}), outputs

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        return state

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        return state
