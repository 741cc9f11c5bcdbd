"""Meta-trainings that are worth repeating, each in full: `plasticgym train --recipe NAME`."""

from ...rules import Registry
from .._run import Run
from ._blur_cmaes import blur_cmaes as blur_cmaes
from ._control import ant_abcd as ant_abcd
from ._control import cart_pole_homeostat as cart_pole_homeostat
from ._control import half_cheetah_abcd as half_cheetah_abcd
from ._control import pendulum_abcd as pendulum_abcd
from ._control import pendulum_homeostat as pendulum_homeostat
from ._learned_optimizer import learned_optimizer as learned_optimizer
from ._metagradient import adam_metagradient as adam_metagradient
from ._metagradient import blur_metagradient as blur_metagradient
from ._metagradient import sgd_metagradient as sgd_metagradient
from ._remembering import remembering as remembering
from ._remembering import remembering_digits as remembering_digits
from ._vsml import vsml as vsml

RECIPES: Registry[Run] = Registry(
    "recipe",
    {
        "blur-cmaes": blur_cmaes,
        "blur-metagradient": blur_metagradient,
        "sgd-metagradient": sgd_metagradient,
        "adam-metagradient": adam_metagradient,
        "vsml": vsml,
        "remembering": remembering,
        "remembering-digits": remembering_digits,
        "learned-optimizer": learned_optimizer,
        "cart-pole-homeostat": cart_pole_homeostat,
        "pendulum-homeostat": pendulum_homeostat,
        "pendulum-abcd": pendulum_abcd,
        "ant-abcd": ant_abcd,
        "half-cheetah-abcd": half_cheetah_abcd,
    },
)
