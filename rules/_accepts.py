import equinox as eqx
import jax

from ._base import AbstractRule, Body


def accepts(rule: AbstractRule, body: Body) -> bool:
    """Whether networks of this body can live under a rule.

    Most rules want layers; associative memories want one recurrent population.

    Args:
        rule: any rule.
        body: the sizes of a network.

    Returns:
        `False` if `rule.init` refuses the body by a `ValueError`.

    !!! example

        ```python
        >>> import plasticgym as pg
        >>> [pg.rules.accepts(pg.rules.Hopfield(), pg.rules.Body(b)) for b in ((8,), (8, 8))]
        [True, False]

        ```
    """
    try:
        eqx.filter_eval_shape(lambda r: r.init(body, key=jax.random.key(0)), rule)
    except ValueError:
        return False
    return True
