"""Data to train on: datasets by name, generated points, your own files, splits and batches."""

from xpnn.data.arrays import read_npy, read_npz
from xpnn.data.batches import Batch, Batches, epoch_order
from xpnn.data.dataset import Dataset
from xpnn.data.datasets import DATASETS, Source, load
from xpnn.data.emnist import emnist, kmnist
from xpnn.data.fashion import FASHION_CLASSES, fashion
from xpnn.data.folds import hash_split, k_folds, row_keys
from xpnn.data.idx import read_idx
from xpnn.data.image_preparation import ImagePreparation
from xpnn.data.images import read_images
from xpnn.data.mnist import MNIST_CLASSES, mnist
from xpnn.data.picture import Picture, read_digits, read_picture
from xpnn.data.points import blobs, moons, rings
from xpnn.data.preparation import Preparation
from xpnn.data.spiral import spiral
from xpnn.data.split import stratified_split
from xpnn.data.strokes import strokes
from xpnn.data.tables.fitting import prepare_table
from xpnn.data.tables.preparation import TablePreparation
from xpnn.data.tables.reading import read_csv, read_table

__all__ = [
    "DATASETS",
    "FASHION_CLASSES",
    "MNIST_CLASSES",
    "Batch",
    "Batches",
    "Dataset",
    "ImagePreparation",
    "Picture",
    "Preparation",
    "Source",
    "TablePreparation",
    "blobs",
    "emnist",
    "epoch_order",
    "fashion",
    "hash_split",
    "k_folds",
    "kmnist",
    "load",
    "mnist",
    "moons",
    "prepare_table",
    "read_csv",
    "read_digits",
    "read_idx",
    "read_images",
    "read_npy",
    "read_npz",
    "read_picture",
    "read_table",
    "rings",
    "row_keys",
    "spiral",
    "stratified_split",
    "strokes",
]
