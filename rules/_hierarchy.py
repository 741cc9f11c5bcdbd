import math
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key, PyTree

from ._base import AbstractRule, Body, Clamped, Feedback, State
from ._check_sizes import check_sizes
from ._inner_rule import inner_rule
from ._reconstruction import Reconstruction
from ._router import AbstractRouter
from ._signals import Signal, Tier


@final
class Hierarchy(AbstractRule):
    r"""Modules for different functions, each a network of its own, and a router.

    The inputs of a row are `tokens` equal pieces $x_t$, one if not said otherwise. Each
    goes to one module $m(t)$, which alone may act on it and learn from it:

    $$y = T^{-1/2} \sum_t f_{m(t)}(x_t; \theta_{m(t)}), \qquad
    \Delta\theta_m = \text{rule}\big(\{[m(t) = m]\, x_t\}\big).$$

    with $T$ tokens, so that outputs at birth are about as large as those of one module;
    what a module is to say is $T^{-1/2}$ of a target. All modules live under one rule, and
    are as the body is but for the inputs, which are those of a token. To a module the
    tokens of others are silence, over which its rule averages too: no inputs, error, target
    or reward. A module that got no token does not change at all, so that what it knows
    cannot be forgotten. Under [`SGD`][plasticgym.rules.SGD] modules descend the
    gradient of the mean loss, with tokens staying where they went.

    The router learns by itself, after the modules. Reads what the rule reads; its tier is
    global, for a router looks at all inputs.

    **Arguments:**

    - `rule`: of the modules, or text such as `"adam(rate=0.01)"`.
    - `router`: [`Reconstruction`][plasticgym.rules.Reconstruction] or
      [`Workspace`][plasticgym.rules.Workspace].
    - `modules`: how many.
    - `tokens`: in how many pieces the inputs come.

    **Raises:**

    - `ValueError`: if a number is not positive or the router is none; where it is used, if
      the inputs of the body cannot be cut into so many equal tokens, or are outputs too, in
      one population.

    ??? cite "Reference"

        Sun, "Meta learning in decentralized neural networks: towards more general AI",
        arXiv 2302.01020, AAAI 2023.

    !!! example

        ```python
        >>> import jax, plasticgym as pg
        >>> rule = pg.rules.Hierarchy("sgd", modules=3, tokens=2)
        >>> state = rule.init(pg.rules.Body((10, 4, 2)), key=jax.random.key(0))
        >>> state.synapses[0]["weight"].shape  # five inputs and the bias
        (3, 6, 4)

        ```
    """

    rule: AbstractRule = eqx.field(converter=inner_rule)
    router: AbstractRouter = eqx.field(default_factory=Reconstruction)
    modules: int = eqx.field(static=True, default=4)
    tokens: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        check_sizes(modules=self.modules, tokens=self.tokens)
        if not isinstance(self.router, AbstractRouter):
            raise ValueError(
                f"`router` must be `Reconstruction()` or `Workspace()`, got {self.router!r}."
            )

    @property
    def reads(self) -> frozenset[Signal]:
        return self.rule.reads

    @property
    def tier(self) -> Tier:
        return Tier.GLOBAL

    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        key_modules, key_router = jax.random.split(key)
        own = self._body(body)

        def newborn(key: Key[Array, ""]) -> tuple[PyTree, PyTree]:
            state = self.rule.init(own, key=key)
            return state.synapses, state.memory

        synapses, within = jax.vmap(newborn)(jax.random.split(key_modules, self.modules))
        router = self.router.init(self.modules, own.layers[0], key=key_router)
        return State(body, (), synapses, {"modules": within, "router": router})

    def rest(self, state: State, batch: int) -> State:
        rows, width = batch * self.tokens, state.body.layers[0] // self.tokens
        held = jax.vmap(lambda own: self.rule.rest(own, rows).neurons)(self._split(state))
        routed = {
            "module": held[0],
            "token": jnp.zeros((rows, width)),
            "chosen": jnp.zeros((self.modules, rows, width)),
        }
        return State(state.body, (routed, *held[1:]), state.synapses, state.memory)

    def predict(self, state: State, inputs: Clamped, *, key: Key[Array, ""]):
        cut = Clamped(
            self._pieces(inputs.values),
            self._pieces(inputs.mask),
            jnp.repeat(inputs.starts, self.tokens),
        )
        chosen = self.router.route(state.memory["router"], cut.known)

        def one(own: State, mine: Bool[Array, " rows"], key: Key[Array, ""]):
            shown = Clamped(cut.values, cut.mask & mine[:, None], cut.starts)
            after, outputs = self.rule.predict(own, shown, key=key)
            return (after.neurons, after.memory), jnp.where(mine[:, None], outputs, 0.0)

        (held, within), outputs = jax.vmap(one)(self._split(state), chosen, self._keys(key))
        routed = {
            "module": held[0],
            "token": cut.known,
            "chosen": jnp.broadcast_to(
                chosen[:, :, None].astype(outputs.dtype), (*chosen.shape, cut.values.shape[1])
            ),
        }
        after = self._joined(state, (routed, *held[1:]), within)
        pieces = outputs.sum(0).reshape(-1, self.tokens, outputs.shape[2])
        return after, pieces.sum(1) / math.sqrt(self.tokens)

    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        told = jax.tree.map(lambda x: jnp.repeat(x, self.tokens, axis=0), feedback)

        def one(own: State, mine: Bool[Array, " rows"], key: Key[Array, ""]):
            target, share = told.target, math.sqrt(self.tokens)
            heard = Feedback(
                Clamped(target.values / share, target.mask & mine[:, None], target.starts),
                # The mean over pieces is to be that over rows, of which each is a share.
                jnp.where(mine[:, None], told.error * share, 0.0),
                jnp.where(mine, told.reward, 0.0),
                told.boundary,
            )
            after = self.rule.receive(own, heard, key=key)
            return after.neurons, after.memory

        held, within = jax.vmap(one)(self._split(state), self._chosen(state), self._keys(key))
        routed = state.neurons[0] | {"module": held[0]}
        return self._joined(state, (routed, *held[1:]), within)

    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        chosen, before = self._chosen(state), self._split(state)
        after = jax.vmap(lambda own, key: self.rule.adapt(own, key=key))(
            before, self._keys(key)
        )

        def kept(new: Array, old: Array) -> Array:
            mine = chosen.any(1).reshape(-1, *[1] * (new.ndim - 1))
            return jnp.where(mine, new, old)

        synapses, within = jax.tree.map(
            kept, (after.synapses, after.memory), (before.synapses, before.memory)
        )
        tokens = state.neurons[0]["token"]
        router = self.router.learn(state.memory["router"], tokens, chosen)
        routed = state.neurons[0] | {"module": after.neurons[0]}
        memory = {"modules": within, "router": router}
        return State(state.body, (routed, *after.neurons[1:]), synapses, memory)

    def _body(self, body: Body) -> Body:
        """That of a module."""
        inputs, *above = body.layers
        if self.tokens > 1 and not above:
            raise ValueError(
                "`body` must have layers where `tokens` is more than 1, as pieces of one "
                f"population are no outputs, got {body.layers}."
            )
        if inputs % self.tokens:
            raise ValueError(
                f"`body` must have a multiple of {self.tokens} inputs, one piece for each "
                f"token, got layers {body.layers}."
            )
        alive = body.alive
        if alive is not None and self.tokens > 1:
            alive = (alive[0][: inputs // self.tokens], *alive[1:])
        return Body((inputs // self.tokens, *above), alive, hidden=body.hidden)

    def _split(self, state: State) -> State:
        """The modules, for `vmap` to run over: every leaf leads with them."""
        own, neurons = self._body(state.body), state.neurons
        if own.alive is not None:
            stacked = [jnp.broadcast_to(a[None], (self.modules, len(a))) for a in own.alive]
            own = eqx.tree_at(lambda b: b.alive, own, tuple(stacked))
        held = (neurons[0]["module"], *neurons[1:]) if neurons else ()
        return State(own, held, state.synapses, state.memory["modules"])

    def _joined(self, state: State, neurons: tuple[PyTree, ...], within: PyTree) -> State:
        # The very synapses that were given: `vmap` returns others.
        memory = state.memory | {"modules": within}
        return State(state.body, neurons, state.synapses, memory)

    def _chosen(self, state: State) -> Bool[Array, "modules rows"]:
        return state.neurons[0]["chosen"][:, :, 0] > 0

    def _pieces(self, values: Array) -> Array:
        return values.reshape(values.shape[0] * self.tokens, -1)

    def _keys(self, key: Key[Array, ""]) -> Key[Array, " modules"]:
        return jax.random.split(key, self.modules)
