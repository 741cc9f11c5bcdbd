import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from ._gene import check_genes
from ._signals import Signal, Tier


class Body(eqx.Module):
    """The sizes of a network; which of its neurons exist is data.

    **Arguments:**

    - `layers`: neurons per layer: inputs, hidden layers, outputs. One entry stands for
      one recurrent population whose inputs and outputs are the same neurons.
    - `alive`: per layer, 1.0 where a neuron exists and 0.0 where it is padding, shape
      `(n,)` each; `None`, at no cost, if all of them do. A body with dead neurons lives
      like the smaller body, so many widths share one compilation.
    - `hidden`: of one recurrent population, how many neurons, its last, are neither inputs
      nor outputs; 0 for layers, in which the place of a layer tells.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> pg.rules.Body((64, 32, 10)).layers
        (64, 32, 10)

        ```
    """

    layers: tuple[int, ...] = eqx.field(static=True, converter=tuple)
    alive: tuple[Float[Array, " _n"], ...] | None = None
    hidden: int = eqx.field(static=True, default=0)

    def __check_init__(self):
        whole = [isinstance(n, int) and not isinstance(n, bool) for n in self.layers]
        if not self.layers or not all(whole) or min(self.layers) < 1:
            raise ValueError(
                f"`layers` must be positive whole numbers, one per layer, got {self.layers}."
            )
        if self.alive is not None and tuple(len(a) for a in self.alive) != self.layers:
            raise ValueError(
                f"`alive` must hold one vector per layer with lengths {self.layers}, "
                f"got lengths {tuple(len(a) for a in self.alive)}."
            )
        most = self.layers[0] - 1 if len(self.layers) == 1 else 0
        counted = isinstance(self.hidden, int) and not isinstance(self.hidden, bool)
        if not counted or not 0 <= self.hidden <= most:
            raise ValueError(
                "`hidden` must leave a neuron of one population for inputs, and be 0 where "
                f"there are layers, got {self.hidden} of {self.layers}."
            )

    def mask(
        self, layer: int, values: Float[Array, "*states batch n"]
    ) -> Float[Array, "*states batch n"]:
        """`values` of a layer with those of dead neurons set to zero."""
        if self.alive is None:
            return values
        return values * jnp.expand_dims(self.alive[layer], tuple(range(values.ndim - 1)))

    def fan_in(self, layer: int) -> Float[Array, ""]:
        """The number of living neurons of a layer, at least 1."""
        if self.alive is None:
            return jnp.asarray(float(self.layers[layer]))
        return jnp.maximum(self.alive[layer].sum(), 1.0)


class Clamped(eqx.Module):
    """Values that the world holds neurons at.

    **Arguments:**

    - `values`: shape `(batch, n)`.
    - `mask`: shape `(batch, n)`; where it is `False` the neuron is free.
    - `starts`: shape `(batch,)`; whether the row begins an episode, so that what the
      network remembers of earlier rows is put to rest. Always `True` in supervised
      problems.
    """

    values: Float[Array, "batch n"]
    mask: Bool[Array, "batch n"]
    starts: Bool[Array, " batch"]

    @classmethod
    def full(cls, values: Float[Array, "batch n"]) -> "Clamped":
        """All of `values`, every row beginning an episode."""
        return cls(values, jnp.ones(values.shape, bool), jnp.ones(values.shape[:1], bool))

    @property
    def known(self) -> Float[Array, "batch n"]:
        """The values, zero where a neuron is free."""
        return jnp.where(self.mask, self.values, 0.0)


class Feedback(eqx.Module):
    """What the world tells a network about its outputs. Every leaf leads with the batch.

    **Arguments:**

    - `target`: what the outputs should be: one-hot in {0, 1} for classes, or real.
    - `error`: minus the derivative of each example's loss by the outputs, shape
      `(batch, outputs)`, not divided by the batch.
    - `reward`: shape `(batch,)`; in supervised problems minus the loss of the example.
    - `boundary`: shape `(batch,)`; whether the task ends with this presentation.
    """

    target: Clamped
    error: Float[Array, "batch outputs"]
    reward: Float[Array, " batch"]
    boundary: Bool[Array, " batch"]

    def only(self, reads: frozenset[Signal]) -> "Feedback":
        """This feedback with every signal not in `reads` blanked."""
        target, blank = self.target, jnp.zeros_like
        return Feedback(
            target=target
            if Signal.TARGET in reads
            else Clamped(blank(target.values), blank(target.mask), target.starts),
            error=self.error if Signal.ERROR in reads else blank(self.error),
            reward=self.reward if Signal.REWARD in reads else blank(self.reward),
            boundary=self.boundary if Signal.BOUNDARY in reads else blank(self.boundary),
        )


class State(eqx.Module):
    """All that a network is.

    **Arguments:**

    - `body`: its sizes.
    - `neurons`: per layer, a pytree of leaves that end in `(batch, n)`: the only field
      with a batch.
    - `synapses`: per block, a pytree of leaves that end in `(pre, post)`, with one more
      row where the block has a bias. Block `l` joins layer `l` to the next one (or a
      single population to itself).
    - `memory`: anything else that a rule keeps, such as clocks and anchors.

    The several numbers that a neuron or synapse holds, and replicas of a network, stand
    on axes *in front of* these two: there they batch matrix products without a
    transposition, and `vmap` puts them there by itself.
    """

    body: Body
    neurons: tuple[PyTree, ...]
    synapses: tuple[PyTree, ...]
    memory: PyTree = None


class AbstractRule(eqx.Module):
    """What happens locally when a network meets an input and a feedback.

    Its array leaves are its *genome* (see [`genome`][plasticgym.rules.genome]); its
    other fields are structure. One presentation is

    ```
    state, outputs = rule.predict(state, inputs, key=...)    # neurons change
    state          = rule.receive(state, feedback, key=...)  # neurons change
    state          = rule.adapt(state, key=...)              # synapses change
    ```

    A rule averages over the rows of its batch. Dead neurons of a body neither act nor
    count. All methods are pure.

    A local rule *may* have one method more, and then says in it what `adapt` does in the
    same state, as slowly and plainly as can be:

    ```
    change = rule.change(view)  # of one synapse in one row; its weight moves by the mean
    ```

    `view` is a [`LocalView`][plasticgym.rules.LocalView] and the change a scalar. A test
    compares the two, and [`PerSynapse`][plasticgym.rules.PerSynapse] lives by it alone. A
    rule that moves weights by what no view holds, such as states of its own, has none.
    """

    def __check_init__(self):
        check_genes(self)

    @property
    @abc.abstractmethod
    def reads(self) -> frozenset[Signal]:
        """The signals of the feedback that the rule may see; the others are blanked."""

    @property
    @abc.abstractmethod
    def tier(self) -> Tier:
        """How local the rule is."""

    def check_tasks(self, past: tuple[int, ...]) -> None:
        """Raises a `ValueError` unless the rule can keep what it must of a problem's tasks.

        Args:
            past: of each task that ends before the last one begins, how many different rows
                it shows at most.
        """
        return

    @abc.abstractmethod
    def init(self, body: Body, *, key: Key[Array, ""]) -> State:
        """Newborn synapses.

        Args:
            body: the sizes of the network.
            key: a PRNG key.

        Returns:
            A state whose `neurons` are empty; `rest` fills them.
        """

    @abc.abstractmethod
    def rest(self, state: State, batch: int) -> State:
        """The same network with its neurons at rest, for `batch` rows."""

    @abc.abstractmethod
    def predict(
        self, state: State, inputs: Clamped, *, key: Key[Array, ""]
    ) -> tuple[State, Float[Array, "batch outputs"]]:
        """The network meets `inputs`: its neurons change, its synapses do not.

        Returns:
            The state, and outputs of shape `(batch, outputs)`: logits or real values.
        """

    @abc.abstractmethod
    def receive(self, state: State, feedback: Feedback, *, key: Key[Array, ""]) -> State:
        """Feedback acts on the neurons; the synapses do not change."""

    @abc.abstractmethod
    def adapt(self, state: State, *, key: Key[Array, ""]) -> State:
        """The synapses change, from what is local to them."""
