from collections.abc import Sequence
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._check_sizes import check_sizes
from ._inner_rule import inner_rule
from ._signals import Signal, Tier


def _inner_rules(values: Sequence[AbstractRule | str]) -> tuple[AbstractRule, ...]:
    if isinstance(values, str):
        raise ValueError(f'`experts` must be rules, such as ("sgd", "sgd"), got {values!r}.')
    return tuple(map(inner_rule, values))


@final
class CrossModal(AbstractRule):
    r"""Experts side by side, one for each modality, that never see each other's weights.

    Every layer of the body is shared out among the experts: expert $e$ has a tower, the
    network that joins its shares, and lives in it under a rule of its own. With $x_e$ its
    share of the inputs and $\theta_e$ all synapses of its tower,

    $$\text{outputs} = [y_1(x_1; \theta_1), y_2(x_2; \theta_2), \dots], \qquad
    \Delta\theta_e = \text{rule}_e\Big(x_e,\; -\frac{\partial L}{\partial y_e}\Big).$$

    So where a problem compares the outputs of the towers, as InfoNCE does, each gets only
    its own part of the gradient of the similarities, $2 B d$ floats up and as many down in
    a presentation, and under [`SGD`][plasticgym.rules.SGD] the network descends exactly
    the gradient of the whole. On any other problem it is a network without synapses
    between the towers.

    Reads what its experts read, of target and error each the part at its own outputs. Its
    tier is that of the least local of them: activity, reward, error, gradient or layer.

    **Arguments:**

    - `experts`: the rules of the towers, or text such as `"adam(rate=0.005)"`.
    - `inputs`: how many inputs each tower has; `None`: equal shares, as of all other
      layers, the first ones larger by one where they are not equal.

    **Raises:**

    - `ValueError`: if there is no expert, or there are not as many sizes as experts; where
      it is used, if a layer has fewer neurons than there are towers, if the sizes are not
      all of the inputs of the body, or if a modality is missing from a batch.

    ??? cite "Reference"

        van den Oord, Li, Vinyals, "Representation learning with contrastive predictive
        coding", arXiv 1807.03748, 2018 (InfoNCE). Sun, Ochiai, Esaki, "BiCSL: bidirectional
        contrastive split learning for visual question answering", arXiv 2208.11435, 2022.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> rule = pg.rules.CrossModal(("sgd", "adam"), inputs=(3, 2))
        >>> state = rule.init(pg.rules.Body((5, 6, 4)), key=jax.random.key(0))
        >>> [tower["weight"].shape for tower in state.synapses[0]]
        [(4, 3), (3, 3)]

        ```
    """

    experts: tuple[AbstractRule, ...] = eqx.field(converter=_inner_rules)
    inputs: tuple[int, ...] | None = eqx.field(
        static=True, default=None, converter=lambda sizes: sizes and tuple(sizes)
    )

    def __check_init__(self):
        if not self.experts:
            raise ValueError("`experts` must be at least one rule, got none.")
        if self.inputs is not None and len(self.inputs) != len(self.experts):
            raise ValueError(
                f"`inputs` must have a size for each of the {len(self.experts)} experts, "
                f"got {self.inputs}."
            )
        if self.inputs is not None:
            check_sizes(**{f"inputs[{e}]": n for e, n in enumerate(self.inputs)})

    @property
    def reads(self) -> frozenset[Signal]:
        return frozenset().union(*(expert.reads for expert in self.experts))

    @property
    def tier(self) -> Tier:
        return max(expert.tier for expert in self.experts)

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        keys = jax.random.split(key, len(self.experts))
        bodies = [self._body(body, e) for e in range(len(self.experts))]
        return _joined(
            body,
            [
                expert.init(own, key=key)
                for expert, own, key in zip(self.experts, bodies, keys, strict=True)
            ],
        )

    def rest(self, state: State, batch: int) -> State:
        return self._each(state, lambda e, expert, own: expert.rest(own, batch))

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        self._check_inputs(state.body, inputs)
        cuts, keys, outputs = self._cuts(state.body, 0), self._keys(key), []

        def one(e: int, expert: AbstractRule, own: State) -> State:
            values, mask = (x[:, cuts[e]] for x in (inputs.values, inputs.mask))
            own, answer = expert.predict(own, Clamped(values, mask, inputs.starts), key=keys[e])
            outputs.append(answer)
            return own

        state = self._each(state, one)
        return state, jnp.concatenate(outputs, axis=1)

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        cuts, keys = self._cuts(state.body, len(state.body.layers) - 1), self._keys(key)
        target = feedback.target

        def one(e: int, expert: AbstractRule, own: State) -> State:
            cut = cuts[e]
            told = Feedback(
                target=Clamped(target.values[:, cut], target.mask[:, cut], target.starts),
                error=feedback.error[:, cut],
                reward=feedback.reward,
                boundary=feedback.boundary,
            )
            return expert.receive(own, told.only(expert.reads), key=keys[e])

        return self._each(state, one)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        keys = self._keys(key)
        return self._each(state, lambda e, expert, own: expert.adapt(own, key=keys[e]))

    def _keys(self, key: Key[Array, ""]) -> Key[Array, " experts"]:
        return jax.random.split(key, len(self.experts))

    def _each(self, state: State, act: Any) -> State:
        """The state after `act(e, expert, tower)` in every tower."""
        towers = [
            act(e, expert, self._tower(state, e)) for e, expert in enumerate(self.experts)
        ]
        return _joined(state.body, towers)

    def _tower(self, state: State, e: int) -> State:
        return State(
            self._body(state.body, e),
            tuple(layer[e] for layer in state.neurons),
            tuple(block[e] for block in state.synapses),
            state.memory[e],
        )

    def _body(self, body: Body, e: int) -> Body:
        cuts = [self._cuts(body, layer)[e] for layer in range(len(body.layers))]
        alive = body.alive and tuple(a[c] for a, c in zip(body.alive, cuts, strict=True))
        return Body(tuple(cut.stop - cut.start for cut in cuts), alive)

    def _cuts(self, body: Body, layer: int) -> list[slice]:
        """Which neurons of a layer each tower has."""
        n, towers = body.layers[layer], len(self.experts)
        if body.hidden:
            raise ValueError(
                "`body` must have layers, or one population without hidden neurons, got "
                f"{body.hidden} hidden ones of {body.layers}."
            )
        if n < towers:
            raise ValueError(
                f"`body` must have at least {towers} neurons in every layer, one for each "
                f"expert, got layers {body.layers}."
            )
        sizes = [len(part) for part in np.array_split(np.arange(n), towers)]
        if layer == 0 and self.inputs is not None:
            sizes = list(self.inputs)
            if sum(sizes) != n:
                raise ValueError(
                    f"`body` must have {sum(sizes)} inputs, those of the modalities "
                    f"{self.inputs}, got layers {body.layers}. Give a modality that is not "
                    "known as zeros with a `mask` of False."
                )
        ends = np.cumsum(sizes).tolist()
        return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]

    def _check_inputs(self, body: Body, inputs: Clamped) -> None:
        """Raises a `ValueError` naming the modalities that a batch does not hold."""
        width, cuts = inputs.values.shape[1], self._cuts(body, 0)
        missing = [e for e, cut in enumerate(cuts) if cut.stop > width]
        if missing or width != body.layers[0]:
            raise ValueError(
                f"`inputs` must hold all modalities, {body.layers[0]} values in a row, got "
                f"{width}; of {missing} there are too few. Give a modality that is not known "
                "as zeros with a `mask` of False."
            )


def _joined(body: Body, towers: list[State]) -> State:
    """The towers as one network, whose layers and blocks hold one entry for each."""
    neurons = tuple(zip(*(tower.neurons for tower in towers), strict=True))
    synapses = tuple(zip(*(tower.synapses for tower in towers), strict=True))
    memory: PyTree = tuple(tower.memory for tower in towers)
    return State(body, neurons, synapses, memory)
