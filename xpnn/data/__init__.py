"""Data to train on: MNIST, Fashion-MNIST, the spiral, IDX files, splits and batches."""

from xpnn.data.batches import Batches, epoch_order
from xpnn.data.datasets import DATASETS, Dataset, Source, load
from xpnn.data.fashion import FASHION_CLASSES, fashion
from xpnn.data.idx import read_idx
from xpnn.data.mnist import MNIST_CLASSES, mnist
from xpnn.data.spiral import spiral
from xpnn.data.split import stratified_split

__all__ = [
    "DATASETS",
    "FASHION_CLASSES",
    "MNIST_CLASSES",
    "Batches",
    "Dataset",
    "Source",
    "epoch_order",
    "fashion",
    "load",
    "mnist",
    "read_idx",
    "spiral",
    "stratified_split",
]
