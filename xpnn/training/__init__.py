"""Training: the pure step, the training loop, callbacks, and model files."""

from xpnn.training.averages import UseAverage
from xpnn.training.batch_statistics import update_bn
from xpnn.training.callbacks import Callback, KeepBest
from xpnn.training.checkpointing import Checkpoint
from xpnn.training.early_stopping import EarlyStopping
from xpnn.training.film import Film, load_film
from xpnn.training.history import History, Row
from xpnn.training.mixing import CutMix, Mixup
from xpnn.training.plateau import ReduceOnPlateau
from xpnn.training.run import Run
from xpnn.training.statistics import Statistics
from xpnn.training.stopping import StopOnSignal, TimeLimit
from xpnn.training.tensorboard import TensorBoard
from xpnn.training.threads import Threads
from xpnn.training.trainer import Trainer

__all__ = [
    "Callback",
    "Checkpoint",
    "CutMix",
    "EarlyStopping",
    "Film",
    "History",
    "KeepBest",
    "Mixup",
    "ReduceOnPlateau",
    "Row",
    "Run",
    "Statistics",
    "StopOnSignal",
    "TensorBoard",
    "Threads",
    "TimeLimit",
    "Trainer",
    "UseAverage",
    "load_film",
    "update_bn",
]
