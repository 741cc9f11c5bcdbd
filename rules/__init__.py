"""What a rule is, and the rules there are."""

from . import _multilayer
from ._abcd import ABCD as ABCD
from ._accepts import accepts as accepts
from ._adam import Adam as Adam
from ._affine import Affine as Affine
from ._anti_hebb import AntiHebb as AntiHebb
from ._away_from_start import AwayFromStart as AwayFromStart
from ._base import AbstractRule as AbstractRule
from ._base import Body as Body
from ._base import Clamped as Clamped
from ._base import Feedback as Feedback
from ._base import State as State
from ._bcm import BCM as BCM
from ._blur import Blur as Blur
from ._blur_genomes import blur as _blur
from ._chemotaxis import Chemotaxis as Chemotaxis
from ._constraint import Saturation as Saturation
from ._constraint import UnitColumns as UnitColumns
from ._cross_modal import CrossModal as CrossModal
from ._direct_feedback_alignment import DirectFeedbackAlignment as DirectFeedbackAlignment
from ._direction import AbstractDirection as AbstractDirection
from ._direction import NewTask as NewTask
from ._elastic_weight_consolidation import (
    ElasticWeightConsolidation as ElasticWeightConsolidation,
)
from ._ensemble import Ensemble as Ensemble
from ._equilibrium_propagation import EquilibriumPropagation as EquilibriumPropagation
from ._exact import Exact as Exact
from ._expression import Expression as Expression
from ._feedback_alignment import FeedbackAlignment as FeedbackAlignment
from ._fixed_mask import FixedMask as FixedMask
from ._fixed_weights import FixedWeights as FixedWeights
from ._forgetting import ByActivity as ByActivity
from ._forgetting import ByWeights as ByWeights
from ._gated import Gated as Gated
from ._gated_policy import GatedPolicy as GatedPolicy
from ._gene import gene as gene
from ._gene import real as real
from ._genome import gene_names as gene_names
from ._genome import genome as genome
from ._genome import named_leaves as named_leaves
from ._genome import with_genome as with_genome
from ._genome_file import Genome as Genome
from ._genome_file import load_genome as load_genome
from ._genome_file import read_genome as read_genome
from ._genome_file import save_genome as save_genome
from ._genome_file import shipped as shipped
from ._gradient_projection_memory import (
    GradientProjectionMemory as GradientProjectionMemory,
)
from ._hebb import Hebb as Hebb
from ._hierarchy import Hierarchy as Hierarchy
from ._homeostat import Homeostat as Homeostat
from ._homeostat_genomes import homeostat as _homeostat
from ._hopfield import Hopfield as Hopfield
from ._invariance import AbstractInvariance as AbstractInvariance
from ._invariance import Anchored as Anchored
from ._invariant_path import InvariantPath as InvariantPath
from ._invariant_walk import InvariantWalk as InvariantWalk
from ._layer_local import LayerLocal as LayerLocal
from ._learned_optimizer import LearnedOptimizer as LearnedOptimizer
from ._learned_optimizer import learned_optimizer as _learned_optimizer
from ._learning_without_forgetting import (
    LearningWithoutForgetting as LearningWithoutForgetting,
)
from ._least_control import LeastControl as LeastControl
from ._local_view import LocalView as LocalView
from ._locality import locality as locality
from ._lstm import LSTM as LSTM
from ._mixing import AbstractMixing as AbstractMixing
from ._mixing_average import Alone as Alone
from ._mixing_average import Average as Average
from ._mixing_average import Partial as Partial
from ._mixing_gated import GatedAverage as GatedAverage
from ._mixing_gated import Segmented as Segmented
from ._mixing_graph import Gossip as Gossip
from ._mixing_graph import Ring as Ring
from ._mixing_learned import Learned as Learned
from ._mixing_poisoned import Poisoned as Poisoned
from ._mixing_robust import Krum as Krum
from ._mixing_robust import Median as Median
from ._mixing_robust import TrimmedMean as TrimmedMean
from ._momentum import Momentum as Momentum
from ._node_perturbation import NodePerturbation as NodePerturbation
from ._normalisation import Normalisation as Normalisation
from ._normalised_adam import NormalisedAdam as NormalisedAdam
from ._normalised_sgd import NormalisedSGD as NormalisedSGD
from ._oja import Oja as Oja
from ._past import Clock as Clock
from ._penalty import Penalty as Penalty
from ._per_synapse import PerSynapse as PerSynapse
from ._plasticity import Plasticity as Plasticity
from ._predictive_coding import PredictiveCoding as PredictiveCoding
from ._pseudo_inverse import PseudoInverse as PseudoInverse
from ._reconstruction import Reconstruction as Reconstruction
from ._registry import Registry as Registry
from ._remembering import Remembering as Remembering
from ._remembering_genomes import remembering as _remembering
from ._replay import Replay as Replay
from ._replicas import Replicas as Replicas
from ._router import AbstractRouter as AbstractRouter
from ._sanger import Sanger as Sanger
from ._settling import Settling as Settling
from ._settling import beside as _beside
from ._sgd import SGD as SGD
from ._sign_symmetric import SignSymmetric as SignSymmetric
from ._signals import Signal as Signal
from ._signals import Tier as Tier
from ._sparse import sparse as sparse
from ._sparse_pull import SparsePull as SparsePull
from ._spelled import Spelled as Spelled
from ._spelled import spelled as spelled
from ._spelled import spelled_list as spelled_list
from ._storkey import Storkey as Storkey
from ._synapse_change import FactorisedChange as FactorisedChange
from ._synapse_change import GeneralChange as GeneralChange
from ._three_factor import ThreeFactor as ThreeFactor
from ._topology import Bidirectional as Bidirectional
from ._topology import FeedForward as FeedForward
from ._topology import Recurrent as Recurrent
from ._topology import SparseRecurrent as SparseRecurrent
from ._transfer import Transfer as Transfer
from ._volterra import Volterra as Volterra
from ._vsml import VSML as VSML
from ._vsml_genomes import vsml as _vsml
from ._weight_perturbation import WeightPerturbation as WeightPerturbation
from ._workspace import Workspace as Workspace
from ._written_rule import written_rule as written_rule

# The layered network that plain rules live in, as functions for rules of your own.
multilayer = _multilayer

RULES: Registry[AbstractRule] = Registry(
    "rule",
    {
        "sgd": SGD,
        "momentum": Momentum,
        "adam": Adam,
        "normalised-sgd": NormalisedSGD,
        "normalised-adam": NormalisedAdam,
        "feedback-alignment": FeedbackAlignment,
        "direct-feedback-alignment": DirectFeedbackAlignment,
        "sign-symmetric": SignSymmetric,
        "node-perturbation": NodePerturbation,
        "weight-perturbation": WeightPerturbation,
        "predictive-coding": PredictiveCoding,
        "equilibrium-propagation": EquilibriumPropagation,
        "least-control": LeastControl,
        "hebb": Hebb,
        "anti-hebb": AntiHebb,
        "oja": Oja,
        "sanger": Sanger,
        "bcm": BCM,
        "abcd": ABCD,
        "three-factor": ThreeFactor,
        "homeostat": _homeostat,
        "volterra": Volterra,
        "blur": _blur,
        "vsml": _vsml,
        "learned-optimizer": _learned_optimizer,
        "hopfield": _beside(Hopfield),
        "storkey": _beside(Storkey),
        "pseudo-inverse": _beside(PseudoInverse),
        "remembering": _remembering,
        "expression": Expression,
        "invariant-path": InvariantPath,
        "elastic-weight-consolidation": ElasticWeightConsolidation,
        "learning-without-forgetting": LearningWithoutForgetting,
        "replay": Replay,
        "gradient-projection-memory": GradientProjectionMemory,
        "invariant-walk": InvariantWalk,
        "replicas": Replicas,
    },
    AbstractRule,
)
register = RULES.register
make = RULES.make

# The parts of invariant paths.
INVARIANCES: Registry[AbstractInvariance] = Registry(
    "invariance",
    {"penalty": Penalty, "exact": Exact, "layer-local": LayerLocal},
    AbstractInvariance,
)
DIRECTIONS: Registry[AbstractDirection] = Registry(
    "direction",
    {
        "new-task": NewTask,
        "sparse-pull": SparsePull,
        "fixed-mask": FixedMask,
        "away-from-start": AwayFromStart,
    },
    AbstractDirection,
)
