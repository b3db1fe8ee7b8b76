"""Training: the pure step, the loop around it, what watches it, and model files."""

from xpnn.training.averages import UseAverage
from xpnn.training.callbacks import Callback, KeepBest
from xpnn.training.film import Film, load_film
from xpnn.training.history import History, Row
from xpnn.training.mixing import CutMix, Mixup
from xpnn.training.plateau import ReduceOnPlateau
from xpnn.training.trainer import Trainer

__all__ = [
    "Callback",
    "CutMix",
    "Film",
    "History",
    "KeepBest",
    "Mixup",
    "ReduceOnPlateau",
    "Row",
    "Trainer",
    "UseAverage",
    "load_film",
]
