"""What a problem is, the problems there are, and lives in them."""

import functools
from collections.abc import Callable

from ..rules import Registry
from ._acrobot import Acrobot as Acrobot
from ._acrobot import acrobot as acrobot
from ._adapters import to_brax as to_brax
from ._adapters import to_evosax as to_evosax
from ._adapters import to_evosax_meta as to_evosax_meta
from ._adapters import to_sb3 as to_sb3
from ._attacks import FGSM as FGSM
from ._attacks import PGD as PGD
from ._attacks import AbstractAttack as AbstractAttack
from ._base import AbstractProblem as AbstractProblem
from ._base import Frozen as Frozen
from ._base import Outcome as Outcome
from ._base import Part as Part
from ._brax_body import BraxBody as BraxBody
from ._brax_body import brax_body as brax_body
from ._cart_pole import CartPole as CartPole
from ._cart_pole import cart_pole as cart_pole
from ._changes import Changes as Changes
from ._check_vector_env import check_vector_env as check_vector_env
from ._classification import Classification as Classification
from ._classification import Examples as Examples
from ._compositions import Compositions as Compositions
from ._compositions import compositions as compositions
from ._continual import Continual as Continual
from ._control import Control as Control
from ._cross_modal_answer import CrossModalAnswer as CrossModalAnswer
from ._cross_modal_answer import cross_modal_answer as cross_modal_answer
from ._diabetes import diabetes as diabetes
from ._dynamics import AbstractDynamics as AbstractDynamics
from ._func_env import to_func_env as to_func_env
from ._gymnasium import register_id, register_ids
from ._gymnax import to_gymnax as to_gymnax
from ._homogeneous_learning import HomogeneousLearning as HomogeneousLearning
from ._homogeneous_learning import homogeneous_learning as homogeneous_learning
from ._images import fashion_mnist as fashion_mnist
from ._images import mnist as mnist
from ._lifetime import Life as Life
from ._lifetime import Lifetime as Lifetime
from ._lifetime import Probe as Probe
from ._lifetime import born as born
from ._lifetime import live as live
from ._lifetime import lives as lives
from ._lifetime import present as present
from ._lifetime import step as step
from ._mountain_car import MountainCar as MountainCar
from ._mountain_car import mountain_car as mountain_car
from ._pendulum import Pendulum as Pendulum
from ._pendulum import pendulum as pendulum
from ._permuted import permuted_digits as permuted_digits
from ._permuted import permuted_mnist as permuted_mnist
from ._plane import plane as plane
from ._probes import gradient_angle as gradient_angle
from ._probes import update_norm as update_norm
from ._probes import weight_norms as weight_norms
from ._problem_id import problem_id as problem_id
from ._problem_id import shell_name as shell_name
from ._recalled import Recalled as Recalled
from ._regression import AbstractTeacher as AbstractTeacher
from ._regression import Pairs as Pairs
from ._regression import Regression as Regression
from ._remember import Remember as Remember
from ._repeats import Repeats as Repeats
from ._repeats import repeats as repeats
from ._replica_gate import Gate as Gate
from ._replica_gate import replica_gate as replica_gate
from ._replica_rounds import AbstractDecision as AbstractDecision
from ._replica_rounds import ReplicaRounds as ReplicaRounds
from ._replica_topology import Topology as Topology
from ._replica_topology import replica_topology as replica_topology
from ._robust import Robust as Robust
from ._robust import robust as robust
from ._role import AbstractRole as AbstractRole
from ._role import Episode as Episode
from ._role import Progress as Progress
from ._role import Verdict as Verdict
from ._rollout import Rollout as Rollout
from ._sharded import Sharded as Sharded
from ._sharded_digits import sharded_digits as sharded_digits
from ._sines import sines as sines
from ._single import LearningEnv as LearningEnv
from ._skews import AbstractSkew as AbstractSkew
from ._skews import Dirichlet as Dirichlet
from ._skews import Even as Even
from ._skews import MainClass as MainClass
from ._snippets import remember as remember
from ._snippets import remember_digits as remember_digits
from ._sparsify import Sparsify as Sparsify
from ._sparsify import sparsify as sparsify
from ._split import split_digits as split_digits
from ._split import split_mnist as split_mnist
from ._steering import Steering as Steering
from ._stressors import label_shift as label_shift
from ._stressors import pixel_shuffle as pixel_shuffle
from ._synapses import SYNAPSE_COLUMNS as SYNAPSE_COLUMNS
from ._synapses import Synapses as Synapses
from ._tables import breast_cancer as breast_cancer
from ._tables import digits as digits
from ._tables import wine as wine
from ._teachers import teacher as teacher
from ._two_views import TwoViews as TwoViews
from ._two_views import two_views as two_views
from ._vector import LearningVectorEnv as LearningVectorEnv

PROBLEMS: Registry[AbstractProblem] = Registry(
    "problem",
    {
        "Digits-v0": digits,
        "Wine-v0": wine,
        "BreastCancer-v0": breast_cancer,
        "Xor-v0": functools.partial(plane, "xor"),
        "Nxor-v0": functools.partial(plane, "nxor"),
        "Or-v0": functools.partial(plane, "or"),
        "And-v0": functools.partial(plane, "and"),
        "Moons-v0": functools.partial(plane, "moons"),
        "Circle-v0": functools.partial(plane, "circle"),
        "Slice-v0": functools.partial(plane, "slice"),
        "Cross-v0": functools.partial(plane, "cross"),
        "Triangle-v0": functools.partial(plane, "triangle"),
        "Blobs-v0": functools.partial(plane, "blobs"),
        "Mnist-v0": mnist,
        "FashionMnist-v0": fashion_mnist,
        "Sines-v0": sines,
        "Teacher-v0": teacher,
        "Diabetes-v0": diabetes,
        "Repeats-v0": repeats,
        "RobustDigits-v0": functools.partial(robust, "digits"),
        "RobustMnist-v0": functools.partial(robust, "mnist"),
        "SparsifyDigits-v0": functools.partial(sparsify, "digits"),
        "SparsifyMnist-v0": functools.partial(sparsify, "mnist"),
        "Remember-v0": remember,
        "RememberDigits-v0": remember_digits,
        "SplitDigits-v0": split_digits,
        "PermutedDigits-v0": permuted_digits,
        "SplitMnist-v0": split_mnist,
        "PermutedMnist-v0": permuted_mnist,
        "CartPole-v0": cart_pole,
        "Pendulum-v0": pendulum,
        "Acrobot-v0": acrobot,
        "MountainCar-v0": mountain_car,
        "Ant-v0": functools.partial(brax_body, "ant"),
        "HalfCheetah-v0": functools.partial(brax_body, "halfcheetah"),
        "InvertedPendulum-v0": functools.partial(brax_body, "inverted_pendulum"),
        "Fast-v0": functools.partial(brax_body, "fast"),
        "ShardedDigits-v0": sharded_digits,
        "CrossModalAnswer-v0": cross_modal_answer,
        "TwoViews-v0": two_views,
        "Compositions-v0": compositions,
    },
)
problem = PROBLEMS.make
register_ids(PROBLEMS)

# Environments in which you are something else than a rule or who steers one.
ROLES: Registry[AbstractRole] = Registry(
    "role",
    {
        "HomogeneousLearning-v0": homogeneous_learning,
        "ReplicaGate-v0": replica_gate,
        "ReplicaTopology-v0": replica_topology,
    },
    AbstractRole,
)
register_ids(ROLES)


def register(name: str, build: Callable[..., AbstractProblem]) -> None:
    """Adds a problem, under this name here and as `plasticgym/<name>` in Gymnasium.

    Raises:
        ValueError: if the name is taken by another one or cannot be part of an id.
    """
    register_id(name)
    PROBLEMS.register(name, build)
