"""The rows. Each is checked on every backend by the tests that follow from it; a public class without one fails."""

from dataclasses import dataclass, replace
from typing import Any

from xpnn.describe import brief
from xpnn.initializers import (
    Constant,
    Dirac,
    Identity,
    Normal,
    Orthogonal,
    Sparse,
    TruncatedNormal,
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
    CELU,
    ELU,
    GELU,
    GLU,
    GRU,
    LSTM,
    SELU,
    AlphaDropout,
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Bidirectional,
    Conv1D,
    Conv2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalAveragePool,
    GlobalMaxPool,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    HardTanh,
    InstanceNorm,
    Layer,
    LayerNorm,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Maxout,
    MaxPool1D,
    MaxPool2D,
    Mish,
    Parallel,
    PReLU,
    RandomElastic,
    RandomErase,
    RandomFlip,
    RandomRotation,
    RandomShear,
    RandomShift,
    RandomZoom,
    Recompute,
    ReLU,
    Rescale,
    Reshape,
    Residual,
    RMSNorm,
    Sequential,
    Sigmoid,
    SiLU,
    SimpleRNN,
    Softmax,
    Softplus,
    Softsign,
    SpatialDropout,
    Standardize,
    Step,
    Tanh,
    UpSampling2D,
    Warp,
    ZeroPad2D,
)
from xpnn.losses import (
    BinaryCrossEntropy,
    CosineEmbedding,
    Focal,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    NegativeLogLikelihood,
    Poisson,
    SmoothL1,
    SoftmaxCrossEntropy,
    SquaredHinge,
)
from xpnn.metrics import (
    F1,
    MAE,
    MSE,
    R2,
    ROCAUC,
    Accuracy,
    AveragePrecision,
    CalibrationError,
    CohenKappa,
    ConfusionMatrix,
    LogLoss,
    MatthewsCorrelation,
    Perplexity,
    Precision,
    Recall,
    TopK,
)
from xpnn.optimizers import (
    EMA,
    SGD,
    SWA,
    Accumulate,
    Adadelta,
    AdaGrad,
    Adam,
    Adamax,
    AdamW,
    AMSGrad,
    Lion,
    Lookahead,
    NAdam,
    RAdam,
    RMSProp,
)
from xpnn.schedules import (
    ConstantRate,
    Cosine,
    CosineRestarts,
    Cyclic,
    Exponential,
    InverseTime,
    Joined,
    MultiStep,
    Noam,
    OneCycle,
    Polynomial,
    StepDecay,
    Warmup,
)


@dataclass(frozen=True)
class Case:
    """A layer, the shape of one sample, and how many there are. bytes: the samples are uint8.

    A layer that takes ids gets ids.
    """

    layer: Layer
    shape: tuple[int, ...]
    batch: int = 3
    bytes: bool = False

    @property
    def ids(self) -> bool:
        return self.layer.takes == "int"

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

SKIP = Residual(Sequential((Dense(4), Dropout(0.4), Tanh())))
LAYERS += [
    Case(SKIP, (4,)),
    Case(Residual(Tanh()), (2, 3), batch=1),
    Case(Residual(Residual(Dense(3))), (2, 3)),
    Case(Parallel((Dense(2), Dense(3, bias_init=Normal(0.5)))), (5,)),
    Case(Parallel((Dense(1), SKIP, Flatten())), (4,), batch=1),
    *(Case(Parallel((Dense(3), Tanh(), Dropout(0.3)), merge), (3,)) for merge in ("add", "average")),
    Case(Parallel((Dense(5), Softmax(), Dense(5)), "multiply"), (2, 5)),
    Case(Parallel((Rescale(1 / 255), Standardize(100.0, 50.0)), "add"), (2, 3), bytes=True),
    Case(Parallel((Sigmoid(),), "multiply"), (7,)),
    Case(Recompute(Sequential((Dense(4), Dropout(0.4), Tanh(), Dense(2)))), (3,)),
    Case(Recompute(Dense(3)), (2, 5), batch=1),
    *(
        row
        for kind in (SimpleRNN, LSTM, GRU)
        for row in (
            Case(kind(3), (3, 2)),
            Case(kind(2, sequences=True), (2, 5), batch=1),
            Case(kind(4, False, Normal(0.5), Normal(0.5)), (1, 1), batch=2),
        )
    ),
    Case(Bidirectional(SimpleRNN(3)), (3, 2)),
    Case(Bidirectional(LSTM(2)), (1, 2), batch=1),
    Case(Bidirectional(GRU(1, sequences=True)), (3, 2), batch=2),
    Case(Sequential((Embedding(4, 2), GRU(3, True), Residual(LSTM(3, True)), SimpleRNN(2))), (2,)),
    Case(Embedding(5, 3), (4,)),
    Case(Embedding(3, 1), (), batch=7),
    Case(Embedding(50, 2, Normal(1.0)), (2, 3), batch=1),
    Case(Embedding(1, 4), (3,)),
    Case(Parallel((Embedding(5, 3), Embedding(9, 3)), "add"), (4,)),
    Case(Sequential((Reshape((2, 3)), Recompute(Embedding(4, 2)), Flatten(), Dense(2))), (6,)),
    Case(Sequential((Recompute(PIXELS), Recompute(Recompute(Tanh())))), (2, 2, 1), bytes=True),
]

LAYERS += [
    Case(GELU(), (7,)),
    Case(GELU(), (2, 3), batch=1),
    Case(GELU(True), (7,)),
    Case(GELU(True), (3, 1, 2)),
    Case(SiLU(), (7,)),
    Case(SiLU(), (2, 3), batch=1),
    Case(Mish(), (7,)),
    Case(Mish(), (2, 3), batch=1),
    Case(SELU(), (7,)),
    Case(SELU(), (2, 3), batch=1),
    Case(CELU(), (7,)),
    Case(CELU(0.3), (2, 3), batch=1),
    Case(CELU(2.5), (5,)),
    Case(HardSigmoid(), (7,), batch=101),
    Case(HardSigmoid(), (2, 3), batch=1),
    Case(HardSwish(), (7,), batch=101),
    Case(HardSwish(), (2, 3), batch=1),
    Case(HardTanh(), (7,)),
    Case(HardTanh(), (2, 3), batch=1),
    Case(Softsign(), (7,)),
    Case(Softsign(), (2, 3), batch=1),
    Case(LogSoftmax(), (5,)),
    Case(LogSoftmax(), (2, 3), batch=1),
    Case(LogSoftmax(), (1,)),
    Case(LogSigmoid(), (7,)),
    Case(LogSigmoid(), (2, 3), batch=1),
    Case(PReLU(), (5,)),
    Case(PReLU(init=Constant(-0.5)), (2, 1, 3), batch=1),
    Case(PReLU(shared=True), (3, 2)),
    Case(PReLU(shared=True), (), batch=4),
]

LAYERS += [
    Case(BatchNorm(), (5,), batch=4),
    Case(BatchNorm(0.3, 1e-3), (2, 3, 3), batch=5),
    Case(BatchNorm(1.0), (3, 2), batch=1),
    Case(BatchNorm(0.0, 0.1), (1,), batch=2),
    Case(LayerNorm(), (5,)),
    Case(LayerNorm(1e-3), (2, 3, 7), batch=1),
    Case(RMSNorm(), (5,)),
    Case(RMSNorm(0.1), (2, 3, 1), batch=1),
    Case(GroupNorm(2), (3, 1, 6)),
    Case(GroupNorm(1, 1e-3), (5,), batch=1),
    Case(GroupNorm(3), (7, 3)),
    Case(InstanceNorm(), (3, 2, 3)),
    Case(InstanceNorm(1e-3), (7, 1), batch=1),
    Case(Sequential((Dense(4), ReLU(), BatchNorm(), Dense(2))), (3,), batch=5),
]

LAYERS += [
    Case(GaussianNoise(0.5), (7,)),
    Case(GaussianNoise(2.0), (2, 3), batch=1),
    Case(GaussianNoise(0.0), (5,)),
    Case(SpatialDropout(0.5), (3, 7)),
    Case(SpatialDropout(0.2), (2, 3, 5), batch=1),
    Case(SpatialDropout(0.0), (2, 3)),
    Case(SpatialDropout(1.0), (2, 3)),
    Case(AlphaDropout(0.5), (7,)),
    Case(AlphaDropout(0.1), (2, 3), batch=1),
    Case(AlphaDropout(0.0), (5,)),
    Case(GLU(), (6,)),
    Case(GLU(), (3, 1, 2), batch=1),
    Case(Maxout(3), (5,)),
    Case(Maxout(2, 3, glorot_uniform, Normal(0.5)), (2, 7), batch=1),
    Case(Maxout(1, 1), (1,)),
]

LAYERS += [
    Case(RandomShift(0.4), (4, 5, 2)),
    Case(RandomShift(0.9), (1, 3, 1), batch=1),
    Case(RandomRotation(180.0), (5, 4, 1)),
    Case(RandomZoom(0.5), (4, 5, 1), batch=1),
    Case(RandomShear(40.0), (5, 3, 2)),
    Case(RandomElastic(), (4, 6, 1)),
    Case(RandomElastic(0.5, 1.5), (1, 1, 3), batch=1),
    Case(
        Warp((RandomRotation(), RandomShift(), RandomElastic(0.7), RandomZoom(0.2), RandomElastic())),
        (5, 4, 1),
    ),
    Case(Warp((Warp((RandomShear(), RandomZoom())),)), (3, 3, 1), bytes=True),
    Case(Warp(()), (2, 3, 1)),
    Case(RandomErase(0.8, (0.3, 0.9)), (4, 5, 2)),
    Case(RandomErase(1.0, (1.0, 1.0)), (2, 3, 1), batch=1),
    Case(RandomErase(0.0), (2, 3, 1)),
    Case(RandomFlip(), (2, 3, 2), batch=5),
    Case(RandomFlip(0.9, "vertical"), (3, 2, 1), batch=1),
    Case(
        Sequential(
            (RandomFlip(0.0), RandomErase(), Rescale(1 / 255), Warp((RandomShift(),)), Flatten(), Dense(2))
        ),
        (3, 4, 1),
        bytes=True,
    ),
]


@dataclass(frozen=True)
class LossCase:
    """A loss, the shape of the predictions, the form of its target, and whether samples are weighted."""

    loss: Loss
    shape: tuple[int, ...]
    target: str  # "ids", "one-hot", "soft", "real", "unit" (from 0 to 1) ...
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

LOSSES += [
    LossCase(loss, shape, target, weighted)
    for loss, target in (
        (Huber(), "real"),
        (Huber(0.3), "real"),
        (SmoothL1(0.5), "real"),
        (LogCosh(), "real"),
        (Hinge(), "signs"),
        (SquaredHinge(), "signs"),
        (KLDivergence(), "unit"),
        (Poisson(), "counts"),
        (CosineEmbedding(), "real"),
    )
    for shape, weighted in (((4, 3), False), ((3, 2, 5), True))
]
LOSSES += [
    LossCase(loss, (6, 5), target, weighted)
    for loss in (NegativeLogLikelihood(), Focal(), Focal(1.0))
    for target, weighted in (("ids", False), ("ids", True), ("soft", True))
]
LOSSES += [
    LossCase(KLDivergence(), (4, 3), "soft"),
    LossCase(KLDivergence(), (4, 3), "one-hot", True),
    LossCase(Focal(0.0), (4, 3), "one-hot"),
    LossCase(Focal(3.5), (1, 2), "ids"),
    LossCase(NegativeLogLikelihood(-100), (7, 3), "ignored"),
    LossCase(NegativeLogLikelihood(-100), (7, 3), "ignored", True),
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

OPTIMIZERS += [
    AMSGrad(0.1),
    AMSGrad(0.1, beta1=0.5, beta2=0.0, eps=1e-2, weight_decay=0.1),
    NAdam(0.1),
    NAdam(0.1, beta1=0.0, beta2=0.5, eps=1e-2),
    NAdam(0.1, momentum_decay=0.5, l2=1e-2, clip_norm=0.5),
    RAdam(0.1),
    RAdam(0.1, beta2=0.9, weight_decay=0.1, l1=1e-2),
    RAdam(0.1, beta1=0.0, beta2=0.5),
    Adamax(0.1),
    Adamax(0.1, beta1=0.0, beta2=0.5, eps=1e-2, l2=1e-2),
    Adadelta(),
    Adadelta(0.5, rho=0.5, eps=1e-2, weight_decay=0.1),
    Lion(0.1),
    Lion(0.01, beta1=0.3, beta2=0.5, weight_decay=0.5, clip_norm=0.5),
    EMA(SGD(0.1, momentum=0.9)),
    EMA(Adam(0.1), 0.5),
    SWA(SGD(0.1)),
    SWA(NAdam(0.1), 1, 2),
    SWA(SGD(0.1), 9),
    Lookahead(SGD(0.1, momentum=0.9), 2),
    Lookahead(Adam(0.1), 3, 0.8),
    Accumulate(SGD(0.1, momentum=0.9), 2),
    Accumulate(NAdam(0.1, clip_norm=0.5), 2),
    Accumulate(Adam(0.1), 1),
    EMA(Lookahead(Accumulate(Adam(0.1), 2), 2), 0.9),
]

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
    Polynomial(),
    Polynomial(2.5),
    MultiStep((0.5, 0.75)),
    MultiStep((2, 5, 30), 0.5),
    MultiStep(()),
    CosineRestarts(),
    CosineRestarts(3, 2, 0.1),
    CosineRestarts(1, 3),
    Cyclic(),
    Cyclic(3, 5, 0.0, "triangular2"),
    Cyclic(0.2, 0.1, 0.5, "exp_range", 0.9),
    Noam(),
    Noam(4),
    Joined((Warmup(2), Cosine(), ConstantRate()), (3, 9)),
    Joined((Polynomial(), CosineRestarts(0.5)), (0.4,)),
    Joined((Cosine(),), ()),
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
    TruncatedNormal(),
    TruncatedNormal(2.0, 0.5),
    Identity(),
    Identity(-0.5),
    Dirac(),
    Dirac(2),
    Sparse(0.6),
    Sparse(0.2, 2.0),
]

METRICS = [
    Accuracy(),
    TopK(1),
    TopK(2),
    TopK(9),
    ConfusionMatrix(),
    *(kind(average) for kind in (Precision, Recall, F1) for average in ("macro", "micro", "weighted", None)),
    CohenKappa(),
    MatthewsCorrelation(),
    ROCAUC(),
    ROCAUC(None),
    AveragePrecision(),
    AveragePrecision(None),
    LogLoss(),
    Perplexity(),
    CalibrationError(),
    CalibrationError(4),
    MAE(),
    MSE(),
    R2(),
]
