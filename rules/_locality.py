from . import _locality_trials as trials
from ._base import AbstractRule
from ._locality_evidence import Evidence, Plan
from ._locality_probes import PROBES
from ._signals import Tier


def locality(rule: AbstractRule) -> Tier:
    """How local a rule is, measured: what decides how one of its synapses changes?

    The rule lives a few presentations of random inputs and feedback, one row at a time, in
    six small networks with two hidden layers, or, if it refuses those, of one recurrent
    population, in which there are no siblings and no transport to look for; then something
    is kicked, by little and by much, and what ought not to notice is compared with the same
    life without the kick. What the rule does not declare in `reads` is blanked. The verdict
    is the least local one.

    - *Neighbours.* Before `adapt`, everything but one synapse and its two neurons is kicked.
      If the synapse notices its own block or layers, the rule is `layer`; if anything
      further off, or the memory, it is `global`. Clocks do not count: a clock is a leaf of
      the memory that shows the same whatever the network met. A number in the memory that
      the feedback alone decides counts as a broadcast `reward`.
    - *Siblings.* A hidden neuron is cut off: synapses that leave it or feed back to it are
      zero. Its incoming synapses are changed, its states kicked. If others notice, `layer`.
    - *Transport.* The weights on which the outputs depend are changed. If neurons below
      notice during `predict`, synapses below after a change between `predict` and
      `receive`, or synapses that feed back take the change over, `gradient`.
    - *Signals.* The feedback is changed, entry by entry. If more than one number of errors
      and targets matters, `error`; if any signal does, `reward`; else `activity`.

    Synapses are looked at once more after the next presentation, so that what neurons hide
    for later shows. The weights of an array count together: keep what feeds back in an
    array of its own.

    It is evidence, not proof. It cannot see what shows only in bodies of other shapes, with
    several rows, late in a life or for rare values; statistics of the outputs alone; the
    global among what travels during `predict` and `receive`, which is `layer` at worst; nor
    weights that a neuron keeps copies of and that pass through other states before they are
    used; nor what synapses hold that is no real number, such as a wiring. A network that
    settles among its weights counts as `gradient`, whatever feeds back in it: changed
    weights reach all neurons. A zero synapse that still sends is `layer`.

    Args:
        rule: any rule that lives in a body of layers (5, 4, 6, 3) or (7,).

    Returns:
        The measured tier, to be compared with `rule.tier`.

    Raises:
        ValueError: if the network diverges in these presentations, or a synapse keeps an
            array of a shape that does not tell which axis is which.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> str(pg.rules.locality(pg.rules.Oja()))
        'activity'

        ```
    """
    shapes = trials.template(rule)
    plan = Plan(type(rule).__name__, shapes)
    judges = [probe(plan) for probe in PROBES]
    evidence = Evidence(plan, trials.run(rule, shapes, plan.trials))
    return max(judge(evidence) for judge in judges)
