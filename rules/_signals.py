import enum


class Signal(enum.StrEnum):
    """A part of the [`Feedback`][plasticgym.rules.Feedback] that a rule may read."""

    TARGET = "target"
    ERROR = "error"
    REWARD = "reward"
    BOUNDARY = "boundary"


class Tier(enum.IntEnum):
    """How local a rule is, from most to least: what may decide how one synapse changes."""

    ACTIVITY = 0  # its own states and those of its two neurons
    REWARD = 1  # and one broadcast scalar
    ERROR = 2  # and signals fed back by the network's own or fixed random synapses
    GRADIENT = 3  # and the weights of others: the exact gradient
    LAYER = 4  # and statistics of the layer
    GLOBAL = 5  # and anything else

    def __str__(self) -> str:
        return self.name.lower()
