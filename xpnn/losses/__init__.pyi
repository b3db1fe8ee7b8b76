"""Written by `python ci/names.py` from the classes themselves."""

from xpnn.losses.base import Loss as Loss
from xpnn.losses.binary import BinaryCrossEntropy as BinaryCrossEntropy
from xpnn.losses.binary import Dice as Dice
from xpnn.losses.by_name import LOSSES as LOSSES
from xpnn.losses.by_name import get_loss as get_loss
from xpnn.losses.cosine import CosineEmbedding as CosineEmbedding
from xpnn.losses.cross_entropy import SoftmaxCrossEntropy as SoftmaxCrossEntropy
from xpnn.losses.ctc import CTC as CTC
from xpnn.losses.focal import Focal as Focal
from xpnn.losses.function import FunctionLoss as FunctionLoss
from xpnn.losses.gaussian import GaussianNLL as GaussianNLL
from xpnn.losses.likelihood import KLDivergence as KLDivergence
from xpnn.losses.likelihood import NegativeLogLikelihood as NegativeLogLikelihood
from xpnn.losses.likelihood import Poisson as Poisson
from xpnn.losses.margin import Hinge as Hinge
from xpnn.losses.margin import SquaredHinge as SquaredHinge
from xpnn.losses.multi_output import MultiOutputLoss as MultiOutputLoss
from xpnn.losses.pairs import Contrastive as Contrastive
from xpnn.losses.pairs import Triplet as Triplet
from xpnn.losses.regression import MeanAbsoluteError as MeanAbsoluteError
from xpnn.losses.regression import MeanSquaredError as MeanSquaredError
from xpnn.losses.robust import Huber as Huber
from xpnn.losses.robust import LogCosh as LogCosh
from xpnn.losses.robust import SmoothL1 as SmoothL1

__all__: list[str]
