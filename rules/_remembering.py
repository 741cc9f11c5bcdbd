import functools
import itertools
from collections.abc import Sequence
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from ._affine import Affine
from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._gene import gene, real
from ._signals import Signal, Tier
from ._synapse_change import AbstractSynapseChange
from ._topology import AbstractTopology

_FLAGS = 2  # whether a neuron is clamped, and whether it was told a target
_TYPES = 3

_Layer = dict[str, Array]  # body (d, batch, n); clamped, told (batch, n)
_Block = dict[str, Array]  # forward, backward (m, pre, post); exist (pre, post)


@final
class Remembering(AbstractRule):
    r"""Vector states of neurons and synapses, and two small networks that all of them share.

    Neuron $i$ has a body $b_i$ and a type with embedding $e_i$ (input, hidden or output; in
    one population, whose inputs are its outputs, input or hidden); it shows
    $x_i = [b_i, e_i, \text{clamped}_i, \text{told}_i]$. Neuron $j$ listens to its $N_j$
    synapses, whose states are $s_{ij}$, and to its synapse with itself if it has one:

    $$\begin{aligned}
    u_j &= \textstyle\frac{1}{N_j} \sum_i G[s_{ij}, x_i], \quad
    [c_j, z_j] = A\,[b_j, u_j, s_{jj} / N_j, e_j, \text{clamped}_j, \text{told}_j] + a, \\
    b_j &\leftarrow b_j + \sigma(z_j) \odot (\tanh c_j - b_j), \\
    s_{ij} &\leftarrow \text{clip}(s_{ij} + F(s_{ij}, x_i, x_j), -N_j, N_j),
    \end{aligned}$$

    with $G$ bilinear and $F$ a [factorised][plasticgym.rules.FactorisedChange] or a
    [general][plasticgym.rules.GeneralChange] change. Clamped neurons keep their value as
    entry 0 of $b$. Which layers listen when is the topology's business; targets clamp the
    outputs, after which layers listen again. Outputs are $r \cdot b$, and of clamped neurons
    their value times $\sum |r|$. Synapses are born with deviation $\beta \sqrt{N_j}$, $\beta$
    by the type of neuron $j$.

    Bodies stay in [-1, 1], or at what they were clamped to, and no synapse ever says more
    than its neuron's mean can: long lives stay finite. Nothing in the genome knows of places
    or sizes, so that one genome serves any number of neurons and any topology, and neurons
    in another order live the same. Reads the target; its tier is error, for no synapse
    carries another's weight, and layer where layers settle, as hidden neurons then hear each
    other by way of the inputs.

    The equations are ours: the abstract of the paper tells the parts, not their form. So
    are the flag `told`, by which synapses can know what is to be remembered, and that a
    neuron sees its synapse with itself, by which it can know how full its synapses are.

    **Arguments:**

    - `embedding`: $e$, shape `(3, types)`.
    - `message`: $G$, shape `(states, channels, shown)`.
    - `cell`: $A$ and $a$, to twice as many outputs as a body has entries.
    - `plasticity`: $F$.
    - `readout`: $r$, one number per entry of a body.
    - `birth`: $\beta$ of inputs, hidden neurons and outputs.
    - `topology`: for example [`FeedForward`][plasticgym.rules.FeedForward] in layers, or
      [`Recurrent`][plasticgym.rules.Recurrent] in one population.

    **Raises:**

    - `ValueError`: if their shapes do not fit each other.

    ??? cite "Reference"

        Gregor, "Finding online neural update rules by learning to remember", 2020,
        arXiv 2003.03124.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> rule = pg.rules.make("remembering", topology="recurrent")
        >>> rule.topology.ticks
        5

        ```
    """

    embedding: Float[Array, "3 types"] = eqx.field(converter=real, metadata=gene(unit=0.1))
    message: Float[Array, "m channels shown"] = eqx.field(
        converter=real, metadata=gene(unit=0.1)
    )
    cell: Affine
    plasticity: AbstractSynapseChange
    readout: Float[Array, " d"] = eqx.field(converter=real, metadata=gene())
    birth: Float[Array, "3"] = eqx.field(converter=real, metadata=gene(unit=0.1))
    topology: AbstractTopology

    def __check_init__(self):
        (d,), (kinds, types) = self.readout.shape, self.embedding.shape
        if kinds != _TYPES or self.birth.shape != (_TYPES,):
            raise ValueError(
                "`embedding` and `birth` must lead with the 3 types of neurons, got shapes "
                f"{self.embedding.shape} and {self.birth.shape}."
            )
        states, channels, shown = self.message.shape
        if shown != d + types + _FLAGS:
            raise ValueError(
                f"`message` must have shape (states, channels, {d + types + _FLAGS}) to fit "
                f"bodies of {d} and embeddings of {types}, got {self.message.shape}."
            )
        if (self.plasticity.states, self.plasticity.shown) != (states, shown):
            raise ValueError(
                f"`plasticity` must be of {states} states and {shown} numbers shown, got "
                f"{self.plasticity.states} and {self.plasticity.shown}."
            )
        shape = (2 * d, shown + channels + states)
        if self.cell.weight.shape != shape:
            raise ValueError(
                f"`cell` must have weights of shape {shape}, got {self.cell.weight.shape}."
            )

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset({Signal.TARGET})

    @property
    def tier(self) -> Tier:
        return self.topology.tier

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        self.topology.check(body)
        key_exist, key_birth = jax.random.split(key)
        exist = self.topology.exist(body, key=key_exist)
        blocks: list[_Block] = [{} for _ in body.layers[1:]] or [{}]
        if exist is not None:
            blocks[0]["exist"] = exist
        types, states = self.topology.types(body), self.message.shape[0]
        for i, joint in enumerate(self.topology.joints(body)):
            shape = (states, body.layers[joint.pre], body.layers[joint.post])
            drawn = jax.random.normal(jax.random.fold_in(key_birth, i), shape, float)
            count = self._incoming(body, blocks, joint.post)
            s = (self.birth[types[joint.post]] * jnp.sqrt(count))[None, None] * drawn
            blocks[joint.block][joint.name] = (
                s if exist is None else jnp.where(exist[None], s, 0.0)
            )
        return State(body, (), tuple(blocks))

    def rest(self, state: State, batch: int) -> State:
        d = self.readout.shape[0]
        neurons = []
        for n in state.body.layers:
            free = jnp.zeros((batch, n))
            neurons.append({"body": jnp.zeros((d, batch, n)), "clamped": free, "told": free})
        return State(state.body, tuple(neurons), state.synapses, state.memory)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        neurons = []
        for layer in state.neurons:
            begun = jnp.where(inputs.starts[None, :, None], 0.0, layer["body"])
            free = jnp.zeros_like(layer["clamped"])
            neurons.append({"body": begun, "clamped": free, "told": free})
        neurons[0] = _clamped(neurons[0], inputs, "clamped")
        neurons = self._heard(state, neurons, self.topology.listening(state.body))
        last = neurons[-1]
        free = jnp.tensordot(self.readout, last["body"], 1)
        sure = jnp.abs(self.readout).sum() * last["body"][0]
        outputs = jnp.where(last["clamped"] > 0, sure, free)
        return State(state.body, tuple(neurons), state.synapses, state.memory), outputs

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        neurons = list(state.neurons)
        neurons[-1] = _clamped(neurons[-1], feedback.target, "told")
        neurons = self._heard(state, neurons, self.topology.corrected(state.body))
        return State(state.body, tuple(neurons), state.synapses, state.memory)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        body, types = state.body, self.topology.types(state.body)
        shown = [self._shown(x, t) for x, t in zip(state.neurons, types, strict=True)]
        blocks = [dict(block) for block in state.synapses]
        for joint in self.topology.joints(body):
            block = blocks[joint.block]
            s = block[joint.name]
            s = s + self.plasticity(s, shown[joint.pre], shown[joint.post])
            most = self._incoming(body, state.synapses, joint.post)
            s = jnp.clip(s, -most[None, None], most[None, None])
            block[joint.name] = (
                jnp.where(block["exist"][None], s, 0.0) if "exist" in block else s
            )
        return State(body, state.neurons, tuple(blocks), state.memory)

    def _heard(self, state: State, neurons: list[_Layer], order: tuple[int, ...]):
        """The neurons after layers have listened in that order."""
        for layer, turns in itertools.groupby(order):
            listened = functools.partial(self._listened, state, layer)
            # As a loop, a population that listens often compiles as one that does so once.
            times = len(list(turns))
            if times == 1:
                neurons = listened(0, neurons)
            else:
                neurons = jax.lax.fori_loop(0, times, listened, neurons)
        return neurons

    def _listened(self, state: State, layer: int, _: Any, neurons: list[_Layer]):
        """The neurons after one layer has listened."""
        heard, own = self._messages(state, neurons, layer)
        mine = self._updated(state, neurons[layer], layer, heard, own)
        return [*neurons[:layer], mine, *neurons[layer + 1 :]]

    def _messages(self, state: State, neurons: list[_Layer], layer: int):
        """What reaches the neurons of a layer, and what of their states is their own."""
        body, types = state.body, self.topology.types(state.body)
        states, channels, _ = self.message.shape
        batch, n = neurons[layer]["told"].shape
        heard, own = jnp.zeros((channels, batch, n)), jnp.zeros((states, batch, n))
        count = self._incoming(body, state.synapses, layer)
        for joint in self.topology.joints(body):
            if joint.post != layer:
                continue
            s = state.synapses[joint.block][joint.name]
            shown = self._shown(neurons[joint.pre], types[joint.pre])
            sent = body.mask(joint.pre, jnp.tensordot(self.message, shown, 1))
            heard = heard + jnp.einsum("mcbi,mij->cbj", sent, s) / count[None, None]
            if joint.pre == joint.post:
                diagonal = jnp.diagonal(s, axis1=1, axis2=2) / count[None]
                own = own + diagonal[:, None]
        return heard, own

    def _updated(
        self,
        state: State,
        layer: _Layer,
        index: int,
        heard: Float[Array, "channels batch n"],
        own: Float[Array, "m batch n"],
    ) -> _Layer:
        b = layer["body"]
        seen = self._shown(layer, self.topology.types(state.body)[index])
        rest = seen[b.shape[0] :]
        c, z = jnp.split(self.cell(jnp.concatenate([b, heard, own, rest])), 2)
        new = b + jax.nn.sigmoid(z) * (jnp.tanh(c) - b)
        held = (layer["clamped"] + layer["told"]) > 0
        new = new.at[0].set(jnp.where(held, b[0], new[0]))
        return layer | {"body": state.body.mask(index, new)}

    def _shown(
        self, layer: _Layer, types: Int[np.ndarray, " n"]
    ) -> Float[Array, "shown batch n"]:
        flags = jnp.stack([layer["clamped"], layer["told"]])
        embedded = self.embedding[types].T[:, None]
        embedded = jnp.broadcast_to(embedded, (len(embedded), *flags.shape[1:]))
        return jnp.concatenate([layer["body"], embedded, flags])

    def _incoming(self, body: Body, synapses: Sequence[_Block], layer: int):
        """How many living neurons each of a layer listens to, at least 1; shape `(n,)`."""
        n = body.layers[layer]
        sources = [j for j in self.topology.joints(body) if j.post == layer]
        if not sources:
            return jnp.ones(n)
        exist = synapses[sources[0].block].get("exist")
        if exist is not None:
            return jnp.maximum(body.mask(0, exist.T.astype(float)).sum(1), 1.0)
        return jnp.broadcast_to(sum(body.fan_in(joint.pre) for joint in sources), (n,))


def _clamped(layer: _Layer, held: Clamped, flag: str) -> _Layer:
    """A layer whose neurons keep the values of those that are held."""
    value = jnp.where(held.mask, held.values, layer["body"][0])
    return layer | {
        "body": layer["body"].at[0].set(value),
        flag: held.mask.astype(value.dtype),
    }
