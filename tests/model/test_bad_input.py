"""What is wrong with a call or with its data: the class of the error, what happened, why, and how to fix it."""

from dataclasses import dataclass

import numpy as np
import pytest

import xpnn
from xpnn.errors import (
    BackendError,
    CheckpointError,
    DataError,
    DeviceError,
    FileError,
    ShapeError,
    UsageError,
    XpnnError,
    first_line,
)
from xpnn.initializers import Constant, Orthogonal, VarianceScaling
from xpnn.losses import BinaryCrossEntropy, MeanSquaredError, MultiOutputLoss, SoftmaxCrossEntropy
from xpnn.schedules import Cosine, Exponential, InverseTime, OneCycle, StepDecay, Warmup

Adam, Dense, Dropout, Model, ReLU, Rescale = (
    xpnn.Adam,
    xpnn.Dense,
    xpnn.Dropout,
    xpnn.Model,
    xpnn.ReLU,
    xpnn.Rescale,
)
SGD, Sequential, Softmax = xpnn.SGD, xpnn.Sequential, xpnn.Softmax

X = np.linspace(0, 1, 6 * 4).reshape(6, 4)
IDS = np.array([0, 1, 2, 0, 1, 2])
IMAGES = np.zeros((6, 5, 7, 3))
inf, nan = float("inf"), float("nan")


def net(*layers, shape=(4,), **settings):
    return Model(list(layers) or [Dense(3)], shape, seed=0, **settings)


def fit(x=X, y=IDS, *, model=None, **settings):
    return (model or net()).fit(x, y, verbose=0, **{"epochs": 1} | settings)


def replaced(array, place, value, dtype=float):
    new = np.array(array, dtype=dtype)
    new[place] = value
    return new


def fit_binary(y):
    return fit(y=y, model=net(Dense(1)), loss="binary_cross_entropy")


def fit_real(y, units=2):
    return fit(y=y, model=net(Dense(units)), loss="mean_squared_error")


def images(x):
    return net(xpnn.Flatten(), Dense(3), shape=(5, 7, 3)).predict(x)


DEEP = Sequential([Dense(6), Sequential([ReLU(), xpnn.Reshape((5,))])])
WIDE = [*[Dense(4)] * 40, xpnn.Reshape((3,))]

DEEP_WAY = (
    "shapes on the way: (4,) -> 0 ReLU (4,) -> 1.0 Dense (6,) -> 1.1.0 ReLU (6,) -> 1.1.1 Reshape (here)"
)

# call, class, fragments of the message
NAMES = [
    (lambda: net(backend="nunpy"), UsageError, ["unknown backend 'nunpy'", "did you mean 'numpy'?", "cupy"]),
    (lambda: net(backend="cuda"), UsageError, ["unknown backend 'cuda'", "backend='cupy'"]),
    (lambda: net(backend=None), UsageError, ["unknown backend None", "one of: numpy"]),
    (lambda: net(backend=["numpy"]), UsageError, ["unknown backend ['numpy']"]),
    (lambda: net(device="cup"), UsageError, ["'numpy' has no device 'cup'", "did you mean 'cpu'?"]),
    (lambda: net(device="cuda"), UsageError, ["'numpy' has no device 'cuda'", "one of: cpu"]),
    (lambda: net(device="cpu:1"), UsageError, ["'numpy' has no device 'cpu:1'"]),
    pytest.param(
        lambda: net(device="cuda:x", backend="torch"),
        UsageError,
        ["has no device 'cuda:x'"],
        marks=pytest.mark.oracle,  # it needs PyTorch
    ),
    (lambda: net(device=0), UsageError, ["device=0", "wanted words"]),
    (lambda: net(dtype="flaot64"), UsageError, ["unknown dtype 'flaot64'", "did you mean 'float64'?"]),
    (lambda: net(dtype="float16"), UsageError, ["unknown dtype 'float16'", "one of: float32, float64"]),
    (lambda: net(dtype=np.float32), UsageError, ["wanted words", "dtype='float32'"]),
    (lambda: fit(loss="softmax_crossentropy"), UsageError, ["did you mean 'softmax_cross_entropy'?"]),
    (lambda: fit(loss=[]), UsageError, ["unknown loss []"]),
    (lambda: fit(optimizer="adm"), UsageError, ["unknown optimizer 'adm'", "did you mean 'adam'?"]),
    (lambda: fit(optimizer=Adam), UsageError, ["optimizer=Adam is a class", "Adam(), an object"]),
    (lambda: fit(optimizer={}), UsageError, ["unknown optimizer {}"]),
    (lambda: fit(optimizer=np.zeros(3)), UsageError, ["optimizer of type ndarray", "xpnn.Adam(1e-3)"]),
    (
        lambda: fit(loss=lambda p, y: 0),
        ShapeError,
        ["targets of shape (6,) for outputs of shape (N, 3)"],
    ),
    (lambda: fit(schedule="cosin"), UsageError, ["unknown schedule 'cosin'", "did you mean 'cosine'?"]),
    (lambda: fit(schedule=0.5), UsageError, ["unknown schedule 0.5"]),
]
SETTINGS = [
    (lambda: Dense(0), UsageError, ["Dense(units=0): wanted a whole number of at least 1"]),
    (lambda: Dense(-1), UsageError, ["Dense(units=-1)"]),
    (lambda: Dense(2.5), UsageError, ["Dense(units=2.5): wanted a whole number"]),
    (lambda: Dense("10"), UsageError, ["Dense(units='10')"]),
    (lambda: Dense(True), UsageError, ["Dense(units=True)"]),
    (lambda: Dense(3, init="he"), UsageError, ["unknown initializer 'he'", "one of: zeros"]),
    (lambda: Dense(3, init="he_norml"), UsageError, ["did you mean 'he_normal'?"]),
    (lambda: Dense(3, init=3), UsageError, ["Dense(init=3): wanted an Initializer"]),
    (lambda: xpnn.EMA("adm"), UsageError, ["unknown optimizer 'adm'", "did you mean 'adam'?"]),
    (lambda: MultiOutputLoss(("mse", "mea")), UsageError, ["unknown loss 'mea'", "did you mean 'mse'?"]),
    (lambda: xpnn.Residual([Dense(3), ReLU]), UsageError, ["entry 1 of Sequential", "write ReLU()"]),
    (lambda: xpnn.Residual("relu"), UsageError, ["Residual(layer='relu'): wanted a Layer"]),
    (lambda: xpnn.Parallel([[Dense(3), 1]]), UsageError, ["entry 1 of Sequential is not a layer: 1"]),
    (lambda: Dropout(1.5), UsageError, ["Dropout(rate=1.5)", "from 0 to 1"]),
    (lambda: Dropout(-0.1), UsageError, ["Dropout(rate=-0.1)"]),
    (lambda: Dropout(nan), UsageError, ["Dropout(rate=nan): wanted a number from 0 to 1"]),
    (lambda: Rescale("1/255"), UsageError, ["Rescale(scale='1/255'): wanted a finite number"]),
    (lambda: Rescale(inf), UsageError, ["Rescale(scale=inf)"]),
    (lambda: Rescale(1, 1j), UsageError, ["Rescale(offset=1j)"]),
    (lambda: xpnn.LeakyReLU(nan), UsageError, ["LeakyReLU(slope=nan)"]),
    (lambda: xpnn.ELU(None), UsageError, ["ELU(alpha=None)"]),
    (lambda: xpnn.Step("0"), UsageError, ["Step(threshold='0')"]),
    (lambda: xpnn.Standardize(0, 0), UsageError, ["std must be above 0"]),
    (lambda: xpnn.Standardize(0, [1, -1]), UsageError, ["std must be above 0"]),
    (lambda: xpnn.Standardize([0, nan], 1), UsageError, ["Standardize(mean=[0, nan])"]),
    (
        lambda: xpnn.Reshape((-1,)),
        UsageError,
        ["wanted whole numbers of at least 1", "write the sizes out"],
    ),
    (lambda: xpnn.Reshape(4), UsageError, ["Reshape(shape=4): wanted a sequence"]),
    (lambda: xpnn.Reshape((2.0, 2)), UsageError, ["each a whole number"]),
    (
        lambda: Sequential([Dense(2), ReLU]),
        UsageError,
        ["entry 1 of Sequential is not a layer", "write ReLU()"],
    ),
    (lambda: Sequential(["relu"]), UsageError, ["entry 0", "a layer such as Dense(10)"]),
    (lambda: Sequential(5), UsageError, ["wanted a list of layers"]),
    (lambda: Constant("0"), UsageError, ["Constant(value='0')"]),
    (
        lambda: VarianceScaling(fan="avg"),
        UsageError,
        ["VarianceScaling(fan='avg'): unknown fan", "one of: in, out, mean"],
    ),
    (lambda: VarianceScaling(-1.0), UsageError, ["VarianceScaling(scale=-1.0): wanted a number above 0"]),
    (
        lambda: SoftmaxCrossEntropy(1.5),
        UsageError,
        ["SoftmaxCrossEntropy(label_smoothing=1.5): wanted a number from 0 to 1"],
    ),
    (lambda: SoftmaxCrossEntropy(class_weight=[1, -1]), UsageError, ["at least 0"]),
    (lambda: SoftmaxCrossEntropy(class_weight=[0, 0]), UsageError, ["not all 0"]),
    (lambda: SoftmaxCrossEntropy(class_weight=[1, nan]), UsageError, ["class_weight=[1, nan]"]),
    (lambda: Adam(-1), UsageError, ["Adam(lr=-1): wanted a number of at least 0"]),
    (lambda: Adam("fast"), UsageError, ["Adam(lr='fast'): wanted a number of at least 0"]),
    (lambda: Adam(nan), UsageError, ["Adam(lr=nan)"]),
    (lambda: Adam(inf), UsageError, ["Adam(lr=inf)"]),
    (lambda: Adam(beta1=1.0), UsageError, ["Adam(beta1=1.0): wanted a number from 0 to below 1"]),
    (lambda: Adam(eps=-1e-8), UsageError, ["Adam(eps=-1e-08)"]),
    (lambda: xpnn.AdamW(weight_decay=-1), UsageError, ["AdamW(weight_decay=-1)"]),
    (lambda: xpnn.AdaGrad(lr_decay=-1), UsageError, ["AdaGrad(lr_decay=-1)"]),
    (lambda: xpnn.RMSProp(rho=1.5), UsageError, ["RMSProp(rho=1.5)"]),
    (lambda: xpnn.RMSProp(centered="yes"), UsageError, ["RMSProp(centered='yes'): wanted True or False"]),
    (lambda: SGD(momentum=1), UsageError, ["SGD(momentum=1)"]),
    (lambda: SGD(nesterov=True), UsageError, ["needs a momentum above 0", "momentum=0.9"]),
    (lambda: SGD(clip_norm=0), UsageError, ["SGD(clip_norm=0): wanted a number above 0 or None"]),
    (lambda: SGD(clip_norm=nan), UsageError, ["SGD(clip_norm=nan)"]),
    (lambda: SGD(l1=-1), UsageError, ["SGD(l1=-1)"]),
    (lambda: SGD(l2=nan), UsageError, ["SGD(l2=nan)"]),
    (lambda: StepDecay(0), UsageError, ["StepDecay(every=0): wanted a whole number of at least 1"]),
    (lambda: StepDecay(1.5), UsageError, ["StepDecay(every=1.5)"]),
    (lambda: StepDecay(5, 0), UsageError, ["StepDecay(gamma=0)"]),
    (lambda: Exponential(-1), UsageError, ["Exponential(gamma=-1)"]),
    (lambda: InverseTime(-1), UsageError, ["InverseTime(k=-1)"]),
    (lambda: Cosine(2), UsageError, ["Cosine(final=2)"]),
    (lambda: Warmup(-1), UsageError, ["Warmup(steps=-1)"]),
    (lambda: Warmup(5, "cosin"), UsageError, ["unknown schedule 'cosin'", "did you mean 'cosine'?"]),
    (lambda: OneCycle(up=2), UsageError, ["OneCycle(up=2): wanted a number from 0 to 1"]),
]
CONSTRUCTION = [
    (
        lambda: net(ReLU(), DEEP),
        ShapeError,
        ["layer 1.1.1 Reshape", "cannot make (5,)", "got (6,)", DEEP_WAY],
    ),
    (
        lambda: net(xpnn.Standardize([0, 0], 1), Dense(3)),
        ShapeError,
        ["layer 0 Standardize", "2 features", "got (4,)"],
    ),
    (
        lambda: net(Dense(8), ReLU(), xpnn.Reshape((3, 3)), Dense(2)),
        ShapeError,
        [
            "layer 2",
            "(9 numbers)",
            "got (8,) (8 numbers)",
            "(4,) -> 0 Dense (8,) -> 1 ReLU (8,) -> 2 Reshape (here)",
        ],
    ),
    (lambda: net(*WIDE), ShapeError, ["layer 40", "(4,) -> ... -> 30 Dense (4,) -> 31"]),
    (lambda: net(Dense(2), shape=()), ShapeError, ["layer 0 Dense(units=2)", "at least one feature"]),
    (
        lambda: net(Dense(2, bias_init=Orthogonal())),
        UsageError,
        ["Orthogonal needs a matrix", "Normal or Constant"],
    ),
    (lambda: Model([Dense(2)], 784), UsageError, ["input_shape=784", "input_shape=(784,)"]),
    (lambda: Model([Dense(2)], (0,)), UsageError, ["input_shape=(0,)", "at least 1"]),
    (lambda: Model([Dense(2)], (-1, 4)), UsageError, ["input_shape=(-1, 4)"]),
    (lambda: Model([Dense(2)], (28.5,)), UsageError, ["input_shape=(28.5,)", "whole number"]),
    (lambda: Model([Dense(2)], "784"), UsageError, ["input_shape='784'"]),
    (lambda: Model([Dense(2)], None), UsageError, ["input_shape=None"]),
    (lambda: Model("mlp", (4,)), UsageError, ["not a layer: 'm'"]),
    (lambda: Model(None, (4,)), UsageError, ["wanted a list of layers"]),
    (lambda: Model([Dense], (4,)), UsageError, ["write Dense()"]),
    (lambda: Model([Dense(2)], (4,), seed=-1), UsageError, ["seed=-1", "whole number of at least 0"]),
    (lambda: Model([Dense(2)], (4,), seed=1.5), UsageError, ["seed=1.5"]),
    (lambda: Model([Dense(2)], (4,), seed="x"), UsageError, ["seed='x'"]),
    (lambda: Model([Dense(2)], (4,), seed=True), UsageError, ["seed=True"]),
]
SHAPES = [
    (
        lambda: images(np.moveaxis(IMAGES, -1, 1)),
        ShapeError,
        ["(6, 3, 5, 7)", "(N, 5, 7, 3)", "channels come last"],
    ),
    (lambda: images(IMAGES[0]), ShapeError, ["(5, 7, 3)", "a single sample? x[None]"]),
    (lambda: images(IMAGES.reshape(6, 105)), ShapeError, ["(6, 105)", "x.reshape(-1, 5, 7, 3)"]),
    (lambda: images(IMAGES[:, :3]), ShapeError, ["(6, 3, 7, 3)", "input_shape=(3, 7, 3)"]),
    (lambda: images(IMAGES[..., 0]), ShapeError, ["(6, 5, 7)", "give (N, 5, 7, 3)"]),
    (lambda: images(5.0), ShapeError, ["x has shape ()"]),
    (lambda: net(Dense(3), shape=(5, 7, 1)).predict(IMAGES[..., 0]), ShapeError, ["x.reshape(-1, 5, 7, 1)"]),
    (lambda: net(Dense(3), shape=(105,)).predict(IMAGES), ShapeError, ["x.reshape(-1, 105)"]),
    (
        lambda: net(Dense(3), shape=(784,)).fit(np.zeros((2, 28, 28)), [0, 1]),
        ShapeError,
        ["x.reshape(-1, 784)"],
    ),
    (lambda: net().predict(X[0]), ShapeError, ["x has shape (4,)", "x[None]"]),
]
LABELS = [
    (
        lambda: fit(y=[0, 1, 2, 0, 3, 2]),
        DataError,
        ["label 4 is 3", "0 to 2; 1 of 6 are not", "renumber"],
    ),
    (lambda: fit(y=[0, -1, 2, 0, 1, -7]), DataError, ["label 1 is -1", "2 of 6"]),
    (lambda: fit(y=[0, 1, 2, 0.5, 1, 2]), DataError, ["label 3 is 0.5", 'loss="mse"']),
    (
        lambda: fit(y=[0, 1, nan, 0, 1, 2]),
        DataError,
        ["label 2 is nan", "leave out the samples without a label"],
    ),
    (lambda: fit(y=[0, 1, inf, 0, 1, 2]), DataError, ["label 2 is inf"]),
    (lambda: fit(y=np.array([0, 1, 2, 255, 1, 2], np.uint8)), DataError, ["label 3 is 255"]),
    (
        lambda: fit(y=np.array([0, 1, 2, 2**63, 1, 2], np.uint64)),
        DataError,
        ["label 3 is 9223372036854775808"],
    ),
    (lambda: fit(y=IDS[:5]), DataError, ["x has 6 samples, y has 5", "one target for each sample"]),
    (lambda: fit(y=[]), DataError, ["x has 6 samples, y has 0"]),
    (lambda: fit(y=1), ShapeError, ["labels of shape ()"]),
    (
        lambda: fit(y=np.zeros((6, 1, 3))),
        ShapeError,
        ["labels of shape (6, 1, 3)", "ids (N,) or rows (N, 3)"],
    ),
    (lambda: fit(y=np.eye(4)[IDS]), ShapeError, ["labels of width 4 for 3 outputs"]),
    (
        lambda: fit(y=np.ones((6, 3))),
        DataError,
        ["label row 0 is no distribution", "sum to 1", "divide each row"],
    ),
    (lambda: fit(y=replaced(np.eye(3)[IDS], 4, [2, -1, 0])), DataError, ["label row 4"]),
    (lambda: fit(y=replaced(np.eye(3)[IDS], (5, 0), nan)), DataError, ["label row 5", "nan"]),
    (lambda: fit(y=replaced(np.eye(3)[IDS], 2, [inf, -inf, 1])), DataError, ["label row 2"]),
    (lambda: fit(y=["cat", "dog", "cat", "dog", "cat", "dog"]), DataError, ["data of dtype <U3"]),
    (lambda: fit(y=None), UsageError, ["no y"]),
    (
        lambda: fit(y=IDS, model=net(Dense(1))),
        ShapeError,
        ["wants outputs (N, classes)", "binary_cross_entropy"],
    ),
    (
        lambda: fit(y=IDS, loss=SoftmaxCrossEntropy(class_weight=(1, 2))),
        UsageError,
        ["2 entries for 3 classes"],
    ),
    (
        lambda: fit_binary([0, 1, 2, 0, 1, 0]),
        DataError,
        ["target (2, 0) is 2", "from 0 to 1", "softmax_cross_entropy"],
    ),
    (lambda: fit_binary([0, 1, -1, 0, 1, 0]), DataError, ["target (2, 0) is -1"]),
    (lambda: fit_binary([0, 1, nan, 0, 1, 0]), DataError, ["target (2, 0) is nan", "1 of 6"]),
    (lambda: fit_real(np.zeros(6)), ShapeError, ["targets of shape (6,)", "(N, 2)", "never broadcasts"]),
    (lambda: fit_real(np.zeros((6, 1))), ShapeError, ["targets of shape (6, 1)"]),
    (lambda: fit_real(5.0, 1), ShapeError, ["targets of shape ()"]),
    (lambda: fit_real(replaced(np.zeros((6, 2)), (3, 1), inf)), DataError, ["target (3, 1) is inf"]),
    (
        lambda: fit_real(replaced(np.zeros((6, 2)), (3, 1), 1e300)),
        DataError,
        ["y[3, 1] is 1e+300, too large"],
    ),
]
DATA = [
    (lambda: fit(replaced(X, (3, 1), nan)), DataError, ["x[3] holds NaN or infinity", "drop or fill"]),
    (lambda: fit(replaced(X, (4, 0), -inf)), DataError, ["x[4] holds NaN"]),
    (lambda: fit(replaced(X, (2, 2), 1e300)), DataError, ["x[2] holds NaN or infinity (as float32)"]),
    (lambda: net().predict(replaced(X, (5, 1), nan, np.float32)), DataError, ["x[5] holds NaN"]),
    (lambda: net().evaluate(replaced(X, (5, 1), nan), IDS), DataError, ["x[5] holds NaN"]),
    (lambda: fit(X[:0], IDS[:0]), DataError, ["x has no samples"]),
    (lambda: net().predict(X[:0]), DataError, ["x has no samples"]),
    (lambda: net().predict([]), ShapeError, ["x has shape (0,)"]),
    (lambda: net().evaluate(X[:0], IDS[:0]), DataError, ["x has no samples"]),
    (lambda: fit(X + 1j), DataError, ["data of dtype complex128", "real numbers", "x.real"]),
    (lambda: fit(X.astype(object)), DataError, ["data of dtype object"]),
    (lambda: fit(X.astype(str)), DataError, ["data of dtype <U"]),
    (lambda: fit(X.astype("datetime64[s]")), DataError, ["data of dtype datetime64"]),
    (lambda: fit(np.zeros(6, [("a", float)])), DataError, ["data of dtype"]),
    (lambda: fit([[1, 2], [3]]), DataError, ["cannot read list as an array of numbers"]),
    (lambda: fit(None), DataError, ["None is no array"]),
    (lambda: fit({"a": 1}), DataError, ["a dict of 1 entries is no array"]),
    (lambda: fit("x.npy"), DataError, ["'x.npy' is no array", "read_npy"]),
    (lambda: fit(iter(X), y=None), UsageError, ["steps_per_epoch"]),
    (lambda: fit(X[:, 0]), ShapeError, ["x has shape (6,)", "x[:, None]"]),
    (
        lambda: fit(np.ma.masked_greater(X, 0.5)),
        DataError,
        ["cannot read MaskedArray", "masked entries; fill or drop"],
    ),
]
RUNS = [
    (lambda: fit(epochs=0), UsageError, ["epochs=0: wanted a whole number of at least 1"]),
    (lambda: fit(epochs=1.5), UsageError, ["epochs=1.5"]),
    (lambda: fit(epochs=True), UsageError, ["epochs=True"]),
    (lambda: fit(epochs="5"), UsageError, ["epochs='5'"]),
    (lambda: fit(batch_size=0), UsageError, ["batch_size=0"]),
    (lambda: fit(batch_size=-5), UsageError, ["batch_size=-5"]),
    (lambda: fit(batch_size=2.0), UsageError, ["batch_size=2.0"]),
    (lambda: fit(batch_size=None), UsageError, ["batch_size=None"]),
    (
        lambda: fit(validation=1.5),
        UsageError,
        ["cannot hold out 1.5 of 6 samples", "a fraction between 0 and 1"],
    ),
    (lambda: fit(validation=-1), UsageError, ["cannot hold out -1"]),
    (lambda: fit(validation=6), UsageError, ["cannot hold out 6 of 6"]),
    (lambda: fit(validation=nan), UsageError, ["cannot hold out nan"]),
    (lambda: fit(validation=1e308), UsageError, ["cannot hold out 1e+308", "a fraction between 0 and 1"]),
    (lambda: fit(validation=True), UsageError, ["validation is a bool", "a pair (x, y)"]),
    (lambda: fit(validation="0.1"), UsageError, ["validation is a str"]),
    (lambda: fit(validation=X), UsageError, ["validation is a ndarray"]),
    (lambda: fit(validation=(X,)), UsageError, ["validation holds 1 arrays", "validation=(x, y)"]),
    (lambda: fit(validation=(X[:, :2], IDS)), ShapeError, ["validation x has shape (6, 2)"]),
    (lambda: fit(validation=(X, IDS[:3])), DataError, ["validation x has 6 samples, validation y has 3"]),
    (lambda: fit(validation=(X, IDS + 1)), DataError, ["label 2 is 3"]),
    (lambda: fit(sample_weight=np.ones(5)), ShapeError, ["sample_weight has shape (5,), x has 6 samples"]),
    (lambda: fit(sample_weight=np.ones((6, 1))), ShapeError, ["sample_weight has shape (6, 1)"]),
    (lambda: fit(sample_weight=2.0), ShapeError, ["sample_weight has shape ()"]),
    (lambda: fit(sample_weight=[1, 1, -1, 1, 1, 1]), DataError, ["sample_weight[2] is -1"]),
    (lambda: fit(sample_weight=[1, 1, 1, nan, 1, 1]), DataError, ["sample_weight[3] is nan"]),
    (lambda: fit(sample_weight=np.zeros(6)), DataError, ["every sample_weight is 0"]),
    (lambda: fit(sample_weight=[1, 1, 1, 1e300, 1, 1]), DataError, ["sample_weight[3] is 1e+300, too large"]),
    (lambda: fit(sample_weight="heavy"), DataError, ["is no array"]),
    (lambda: fit(model=net(Dense(3), Softmax())), UsageError, ["Softmax()", "drop the last layer"]),
    (lambda: fit(model=net(Sequential([Dense(3), Softmax()]))), UsageError, ["wants logits"]),
    (
        lambda: fit(y=IDS % 2, model=net(Dense(1), xpnn.Sigmoid()), loss=BinaryCrossEntropy()),
        UsageError,
        ["ends in Sigmoid(), but BinaryCrossEntropy wants logits"],
    ),
    (lambda: net(Dense(3), Softmax()).evaluate(X, IDS), UsageError, ["ends in Softmax()"]),
    (
        lambda: fit(model=net(Dense(4), xpnn.Step(), Dense(3))),
        UsageError,
        ["layer 1 Step cannot be trained", "Sigmoid"],
    ),
    (
        lambda: fit(model=net(Dense(4), Sequential([ReLU(), xpnn.Step()]), Dense(3))),
        UsageError,
        ["layer 1.1 Step cannot be trained through"],
    ),
    (lambda: fit(model=Model([], (4,))), UsageError, ["no parameters to train", "Dense(10)"]),
    (lambda: fit(model=Model([ReLU()], (4,))), UsageError, ["no parameters to train"]),
    (lambda: fit(model=net(xpnn.Standardize(0, 1))), UsageError, ["no parameters to train"]),
    (lambda: net().evaluate(X, IDS, loss="perplexity"), UsageError, ["unknown loss 'perplexity'"]),
    (lambda: net().evaluate(X, IDS[:4]), DataError, ["x has 6 samples, y has 4"]),
]
TABLE = [*NAMES, *SETTINGS, *CONSTRUCTION, *SHAPES, *LABELS, *DATA, *RUNS]


@pytest.mark.parametrize(
    ("call", "kind", "fragments"), TABLE, ids=lambda v: v[0][:60] if isinstance(v, list) else ""
)
def test_bad_input_is_refused_with_its_message(call, kind, fragments):
    with pytest.raises(XpnnError) as caught:
        call()
    assert type(caught.value) is kind
    for fragment in fragments:
        assert fragment in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_every_class_is_one_that_python_users_catch():
    """And carries the exit code of the command line."""
    codes = {UsageError: (2, ValueError), BackendError: (3, RuntimeError), DataError: (4, ValueError)}
    codes |= {ShapeError: (4, ValueError), DeviceError: (3, TypeError), CheckpointError: (5, ValueError)}
    codes |= {FileError: (7, OSError)}
    for kind, (code, builtin) in codes.items():
        error = kind("what", why="why", fix="fix")
        assert isinstance(error, builtin)
        assert error.exit_code == code
        assert str(error) == "what\n  why: why\n  fix: fix"


def test_a_failed_fit_leaves_the_model_as_it_was():
    model = net()
    before, loss = model.theta.tobytes(), model.loss
    for settings in ({"y": [9] * 6}, {"sample_weight": [-1] * 6}, {"validation": 7}):
        with pytest.raises(XpnnError):
            fit(model=model, **settings)
    assert model.theta.tobytes() == before
    assert model.loss == loss


@pytest.mark.parametrize("n", [1, 2, 3, 5, 6])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 6, 7, 1000])
def test_any_batch_size_works(n, batch_size):
    """More than the data is one short batch; a last batch may be of one sample."""
    model = net()
    history = fit(X[:n], IDS[:n], model=model, batch_size=batch_size, epochs=2)
    assert len(history) == 2
    full = net()
    if batch_size >= n:
        fit(X[:n], IDS[:n], model=full, batch_size=n, epochs=2)
        assert model.theta.tobytes() == full.theta.tobytes()


def test_whole_numbers_of_numpy_are_whole_numbers():
    history = fit(epochs=np.int64(2), batch_size=np.int32(4), validation=np.int64(2))
    assert len(history) == 2
    assert Model([Dense(np.int16(3))], np.array([4]), seed=np.uint8(0)).net == Sequential([Dense(3)])


def test_a_loss_never_broadcasts():
    be = xpnn.get_backend("numpy")
    for loss, target in ((MeanSquaredError(), np.zeros(6)), (SoftmaxCrossEntropy(), np.ones((6, 1)))):
        with pytest.raises(ShapeError, match="never broadcasts"):
            loss(be, np.zeros((6, 3)), target)


@dataclass(frozen=True)
class Hotter(Adam):
    """Adam with another default for `lr`, whose annotation says nothing of its limits."""

    lr: float = 0.1


def test_a_subclass_with_another_default_keeps_the_limits():
    assert Hotter().lr == 0.1
    with pytest.raises(UsageError, match=r"Hotter\(lr=-1\): wanted a number of at least 0"):
        Hotter(-1)


def test_of_a_long_way_the_first_shape_and_the_last_are_shown():
    for n, shown in ((10, 0), (11, 1), (30, 1)):
        with pytest.raises(ShapeError) as caught:
            xpnn.Model([*[xpnn.ReLU()] * n, xpnn.Reshape((7,))], (4,))
        way = caught.value.fix.removeprefix("shapes on the way: ").split(" -> ")
        wanted = ["(4,)", *(f"{i} ReLU (4,)" for i in range(n)), f"{n} Reshape (here)"]
        assert way == ([wanted[0], "...", *wanted[-11:]] if shown else wanted)


def test_the_first_line_of_what_others_say():
    assert first_line(ValueError("\n a\nb")) == "a"
    assert first_line(ValueError("x" * 301)) == "x" * 300
    assert first_line(ValueError("")) == first_line(ValueError("  ")) == "ValueError"
