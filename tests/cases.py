"""The rows. Each is checked on every backend by the tests that follow from it; a public class without one fails."""

from dataclasses import dataclass, replace
from typing import Any

from xpnn.describe import brief
from xpnn.initializers import (
    Constant,
    Normal,
    Orthogonal,
    VarianceScaling,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    ones,
    zeros,
)
from xpnn.layers import (
    ELU,
    AvgPool1D,
    AvgPool2D,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    Layer,
    LeakyReLU,
    MaxPool1D,
    MaxPool2D,
    ReLU,
    Rescale,
    Reshape,
    Sequential,
    Sigmoid,
    Softmax,
    Softplus,
    Standardize,
    Step,
    Tanh,
    UpSampling2D,
    ZeroPad2D,
)
from xpnn.losses import BinaryCrossEntropy, Loss, MeanAbsoluteError, MeanSquaredError, SoftmaxCrossEntropy
from xpnn.metrics import F1, Accuracy, ConfusionMatrix, Precision, Recall, TopK
from xpnn.optimizers import SGD, AdaGrad, Adam, AdamW, RMSProp
from xpnn.schedules import ConstantRate, Cosine, Exponential, InverseTime, OneCycle, StepDecay, Warmup


@dataclass(frozen=True)
class Case:
    """A layer, the shape of one sample, and how many there are. bytes: the samples are uint8."""

    layer: Layer
    shape: tuple[int, ...]
    batch: int = 3
    bytes: bool = False

    def __str__(self) -> str:
        return f"{brief(self.layer)}-{self.shape}x{self.batch}".replace(" ", "")


MLP = Sequential((Flatten(), Dense(5), ReLU(), Dense(3)))
DEEP = Sequential((Dense(6), Sequential((Tanh(), Dropout(0.4), Dense(4))), ELU(), Dense(2), Softmax()))
PIXELS = Sequential((Rescale(1 / 255), Flatten(), Standardize(0.3, 0.5), Dense(3), Sigmoid()))

LAYERS = [
    Case(Dense(4), (5,)),
    Case(Dense(1), (1,)),
    Case(Dense(3), (7,), batch=1),
    Case(Dense(3, glorot_uniform, Normal(0.5)), (2, 3, 5)),
    Case(Dense(33), (47,), batch=5),
    Case(Flatten(), (2, 3, 2)),
    Case(Flatten(), (5,), batch=1),
    Case(Flatten(), ()),
    Case(Reshape((3, 2)), (6,)),
    Case(Reshape((6,)), (1, 2, 3)),
    Case(Reshape(()), (1,)),
    Case(Rescale(1 / 127.5, -1.0), (2, 3)),
    Case(Rescale(-2.5), (5,), batch=1),
    Case(Rescale(1 / 255), (4, 3), bytes=True),
    Case(Standardize(0.5, 2.0), (3,)),
    Case(Standardize((0.5, -1.0, 3.0), (2.0, 0.25, 1.5)), (2, 3)),
    Case(Standardize((30.0, 128.0), (50.0, 70.0)), (5, 2), bytes=True),
    Case(Dropout(0.5), (7,)),
    Case(Dropout(0.1), (3, 4, 5)),
    Case(Dropout(0.0), (5,)),
    Case(Dropout(1.0), (5,)),
    Case(ReLU(), (7,)),
    Case(ReLU(), (2, 3, 4), batch=1),
    Case(LeakyReLU(), (7,)),
    Case(LeakyReLU(0.3), (2, 3)),
    Case(LeakyReLU(0.0), (5,), batch=1),
    Case(ELU(), (7,)),
    Case(ELU(0.5), (2, 3), batch=1),
    Case(Sigmoid(), (7,)),
    Case(Sigmoid(), (3, 1, 2)),
    Case(Tanh(), (7,)),
    Case(Tanh(), (2, 3), batch=1),
    Case(Softplus(), (7,)),
    Case(Softplus(), (2, 3, 1)),
    Case(Softmax(), (5,)),
    Case(Softmax(), (2, 3), batch=1),
    Case(Softmax(), (1,)),
    Case(Step(), (7,)),
    Case(Step(0.5), (2, 3), batch=1),
    Case(Sequential(()), (3,)),
    Case(MLP, (2, 3, 1)),
    Case(MLP, (4, 2), batch=1),
    Case(DEEP, (3,)),
    Case(PIXELS, (2, 2, 1), bytes=True),
]
CONVOLUTIONS = [
    Case(Conv2D(3, 3), (5, 4, 2)),
    Case(Conv2D(1, 1), (1, 1, 1), batch=1),
    Case(Conv2D(2, (2, 3), padding="same"), (3, 5, 2), batch=2),
    Case(Conv2D(2, 3, (2, 3), ((2, 0), (1, 2)), init=glorot_uniform, bias_init=Normal(0.5)), (5, 4, 3)),
    Case(Conv2D(2, (3, 2), padding=1, dilation=(1, 2)), (3, 5, 1)),
    Case(Conv2D(4, 3, (2, 1), "same", groups=2), (4, 3, 2), batch=2),
    Case(Conv2D(3, 2, groups=3), (3, 4, 3)),
    Case(Conv2D(17, 3, padding="same"), (9, 7, 8)),
    Case(MaxPool2D(), (4, 4, 3)),
    Case(MaxPool2D((3, 2), (2, 1), "same"), (5, 4, 2)),
    Case(MaxPool2D(2, padding=1), (3, 5, 1), batch=1),
    Case(MaxPool2D((2, 3), 1, ((1, 0), (0, 2))), (4, 3, 2)),
    Case(AvgPool2D(), (5, 4, 3)),
    Case(AvgPool2D((3, 2), (2, 1), "same"), (5, 4, 2)),
    Case(AvgPool2D((2, 3), 1, ((1, 0), (0, 2))), (4, 3, 2), batch=1),
    Case(Conv1D(3, 2), (5, 2)),
    Case(Conv1D(4, 3, 2, "same", groups=2), (6, 4), batch=1),
    Case(Conv1D(2, 2, 1, (2, 0), 3, init=glorot_uniform, bias_init=Normal(0.5)), (4, 3)),
    Case(MaxPool1D(), (5, 2)),
    Case(MaxPool1D(3, 2, 1), (4, 3), batch=1),
    Case(AvgPool1D(), (5, 2)),
    Case(AvgPool1D(3, 2, (1, 2)), (4, 3), batch=1),
    Case(GlobalAveragePool(), (3, 2, 4)),
    Case(GlobalAveragePool(), (1, 1, 1), batch=1),
    Case(GlobalMaxPool(), (3, 2, 4)),
    Case(GlobalMaxPool(), (1, 1, 1), batch=1),
    Case(ZeroPad2D(), (2, 3, 2)),
    Case(ZeroPad2D(((0, 2), (1, 0))), (1, 3, 2)),
    Case(UpSampling2D(), (2, 3, 2)),
    Case(UpSampling2D((1, 3)), (3, 1, 2), batch=1),
]
LAYERS[-1:-1] = CONVOLUTIONS


@dataclass(frozen=True)
class LossCase:
    """A loss, the shape of the predictions, the form of its target, and whether samples are weighted."""

    loss: Loss
    shape: tuple[int, ...]
    target: str  # "ids", "one-hot", "soft", "real" or "unit" (from 0 to 1)
    weighted: bool = False

    def __str__(self) -> str:
        return f"{brief(self.loss)}-{self.shape}-{self.target}{'-weighted' * self.weighted}".replace(" ", "")


WEIGHTS = (1.0, 0.25, 0.0, 2.0, 3.0)
LOSSES = [
    LossCase(loss, (6, 5), target, weighted)
    for loss in (
        SoftmaxCrossEntropy(),
        SoftmaxCrossEntropy(0.1),
        SoftmaxCrossEntropy(class_weight=WEIGHTS),
        SoftmaxCrossEntropy(0.3, WEIGHTS),
    )
    for target in ("ids", "one-hot", "soft")
    for weighted in (False, True)
]
LOSSES += [
    LossCase(loss, shape, target, weighted)
    for loss, target in (
        (BinaryCrossEntropy(), "unit"),
        (MeanSquaredError(), "real"),
        (MeanAbsoluteError(), "real"),
    )
    for shape in ((4, 1), (3, 2, 5))
    for weighted in (False, True)
]
LOSSES += [
    LossCase(SoftmaxCrossEntropy(), (1, 2), "ids"),
    LossCase(SoftmaxCrossEntropy(1.0), (4, 3), "ids"),
    LossCase(MeanSquaredError(), (1, 1), "real"),
]

PENALTIES: list[dict[str, Any]] = [
    {"l1": 1e-2, "l2": 1e-3},
    {"weight_decay": 0.1, "clip_norm": 0.5},
    {"l1": 1e-3, "l2": 1e-2, "weight_decay": 0.05, "clip_norm": 1e3},
]
RULES = [
    SGD(0.1),
    SGD(0.1, momentum=0.9),
    SGD(0.1, momentum=0.5, nesterov=True),
    AdaGrad(0.1),
    AdaGrad(0.1, lr_decay=0.1, initial=0.5, eps=1e-3),
    RMSProp(0.01),
    RMSProp(0.01, rho=0.5, momentum=0.9),
    RMSProp(0.01, centered=True, eps=1e-3),
    RMSProp(0.01, momentum=0.3, centered=True, eps=1e-3),
    Adam(0.1),
    Adam(0.1, beta1=0.0, beta2=0.5, eps=1e-2),
    AdamW(0.1),
]
OPTIMIZERS = RULES + [replace(rule, **penalty) for rule in (RULES[1], RULES[-2]) for penalty in PENALTIES]

SCHEDULES = [
    ConstantRate(),
    InverseTime(),
    InverseTime(0.5),
    StepDecay(3),
    StepDecay(1, 0.5),
    Exponential(),
    Exponential(0.9),
    Cosine(),
    Cosine(0.1),
    Warmup(0),
    Warmup(4),
    Warmup(5, Cosine(0.2)),
    OneCycle(),
    OneCycle(0.5, 10.0, 100.0),
    OneCycle(0.0),
    OneCycle(1.0),
]

INITIALIZERS = [
    zeros,
    ones,
    Constant(0.25),
    Constant((1.0, 2.0, 3.0, 4.0)),
    Normal(),
    Normal(2.0),
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    VarianceScaling(0.5, "out", "uniform"),
    Orthogonal(),
    Orthogonal(2.0),
]

METRICS = [
    Accuracy(),
    TopK(1),
    TopK(2),
    TopK(9),
    ConfusionMatrix(),
    *(kind(average) for kind in (Precision, Recall, F1) for average in ("macro", "micro", "weighted", None)),
]
