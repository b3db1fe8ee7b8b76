"""The rows. Each is checked on every backend by the tests that follow from it; a public class without one fails."""

from dataclasses import dataclass, replace
from typing import Any

from xpnn.config import short_repr
from xpnn.initializers import (
    Constant,
    Dirac,
    Identity,
    Normal,
    Orthogonal,
    Sinusoidal,
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
    Add,
    AlphaDropout,
    Average,
    AvgPool1D,
    AvgPool2D,
    BatchNorm,
    Bidirectional,
    Concatenate,
    Conv1D,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GaussianNoise,
    GlobalAveragePool,
    GlobalMaxPool,
    Graph,
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
    MultiHeadAttention,
    Multiply,
    PaddingMask,
    Parallel,
    PositionalEncoding,
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
    Shared,
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
from xpnn.layers.base import for_each, is_multiple
from xpnn.losses import (
    CTC,
    BinaryCrossEntropy,
    Contrastive,
    CosineEmbedding,
    Dice,
    Focal,
    GaussianNLL,
    Hinge,
    Huber,
    KLDivergence,
    LogCosh,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    MultiOutputLoss,
    NegativeLogLikelihood,
    Poisson,
    SmoothL1,
    SoftmaxCrossEntropy,
    SquaredHinge,
    Triplet,
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
    LAMB,
    LARS,
    LBFGS,
    SGD,
    SWA,
    Accumulate,
    Adadelta,
    Adafactor,
    AdaGrad,
    Adam,
    Adamax,
    AdamW,
    AMSGrad,
    Constrained,
    Group,
    Groups,
    Lion,
    Lookahead,
    MaxNorm,
    Muon,
    NAdam,
    NonNegative,
    RAdam,
    RMSProp,
    UnitNorm,
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

    Of a layer of several inputs the shape is a tuple of shapes. A layer that takes ids gets ids; one that takes a mask
    gets 0 and 1, never all 0 in a row, unless blank: then the first sample's masks are all 0.
    """

    layer: Layer
    shape: tuple[Any, ...]
    batch: int = 3
    bytes: bool = False
    blank: bool = False

    @property
    def kinds(self) -> tuple[str | None, ...]:
        """What the layer takes, input by input."""
        return for_each(self.layer.input_kind, len(self.shape) if is_multiple(self.shape) else 1)

    @property
    def ids(self) -> bool:
        return self.layer.input_kind == "int"

    def __str__(self) -> str:
        return f"{short_repr(self.layer)}-{self.shape}x{self.batch}".replace(" ", "")


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
    Case(GlobalAveragePool(), (5, 2)),
    Case(GlobalMaxPool(), (5, 2)),
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
    Case(ConvTranspose2D(3, 3), (3, 2, 2)),
    Case(ConvTranspose2D(2, 3, (2, 3), "same"), (3, 2, 3), batch=1),
    Case(ConvTranspose2D(1, (2, 3), 2, ((1, 0), (0, 2)), (1, 2), output_padding=(1, 0)), (2, 3, 1)),
    Case(ConvTranspose2D(4, 2, 2, 1, groups=2, init=glorot_uniform, bias_init=Normal(0.5)), (3, 2, 2)),
    Case(ConvTranspose2D(2, 1, 3, "same", output_padding=0), (1, 2, 1)),
    Case(ConvTranspose2D(17, 3, 1, 1), (4, 5, 2), batch=1),
    Case(MultiHeadAttention(2), (3, 4)),
    Case(MultiHeadAttention(3, 2, causal=True, bias_init=Normal(0.5)), (4, 5), batch=2),
    Case(MultiHeadAttention(1, dropout=0.4, init=Normal(0.5)), (3, 2)),
    Case(MultiHeadAttention(1), (1, 1), batch=1),
    Case(MultiHeadAttention(2, cross=True), ((2, 4), (3, 5)), batch=2),
    Case(MultiHeadAttention(1, causal=True, masked=True), ((3, 2), (3,)), blank=True),
    Case(MultiHeadAttention(2, 1, cross=True, masked=True), ((3, 2), (2, 3), (2,)), blank=True),
    Case(PositionalEncoding(), (3, 5)),
    Case(PositionalEncoding("sinusoidal"), (1, 1), batch=1),
    Case(PositionalEncoding("learned"), (3, 2)),
    Case(PositionalEncoding("learned", Normal(0.5)), (1, 3), batch=1),
]
SIAMESE = Graph(
    inputs=("left", "right"),
    nodes={
        "a": (Sequential((Dense(4), Tanh(), Dropout(0.4))), "left"),
        "b": (Shared("a"), "right"),
        "both": (Multiply(), ("a", "b")),
        "score": (Dense(2), "both"),
    },
    outputs="score",
)
"""One branch for two inputs."""
BRANCHED = Graph(
    inputs=("image", "words"),
    nodes=[
        ("flat", Sequential((Flatten(), Dense(4))), "image"),
        ("sum", Add(), ("flat", "words")),
        ("class", Dense(3), "sum"),
        ("value", Dense(1), "sum"),
    ],
    outputs=("class", "value", "words"),
)
"""Two inputs, three outputs, one of them an input."""
WORDS = Graph(
    inputs="ids",
    nodes={
        "real": (PaddingMask(), "ids"),
        "vectors": (Embedding(3, 2), "ids"),
        "state": (GRU(2, masked=True), ("vectors", "real")),
    },
    outputs="state",
)
"""Embedding and mask of the same ids."""
NORMED = Graph(
    inputs=("x", "y"),
    nodes={
        "a": (BatchNorm(), "x"),
        "b": (Shared("a"), "y"),
        "c": (Average(), ("a", "b", "b")),
    },
    outputs=("c", "a"),
)
"""Shared statistics; an output that is taken by a node too."""
LAYERS += [
    Case(Concatenate(), ((2, 3), (2, 1))),
    Case(Concatenate(), ((4,),), batch=1),
    Case(Add(), ((3,), (3,), (3,))),
    Case(Multiply(), ((2, 3), (2, 3), (2, 3))),
    Case(Average(), ((3,), (3,)), batch=1),
    Case(Sequential((Average(), Dense(2), Dropout(0.4))), ((2, 3), (2, 3))),
    Case(PaddingMask(), (4,)),
    Case(PaddingMask(2), (2, 3), batch=1),
    Case(SimpleRNN(2, masked=True), ((3, 2), (3,)), blank=True),
    Case(LSTM(2, True, masked=True), ((3, 2), (3,)), blank=True),
    Case(GRU(2, True, masked=True), ((3, 1), (3,))),
    Case(GRU(3, masked=True), ((2, 2), (2,)), batch=1),
    Case(Bidirectional(LSTM(2, masked=True)), ((3, 2), (3,)), blank=True),
    Case(Bidirectional(SimpleRNN(1, True, masked=True)), ((3, 2), (3,)), batch=2),
    Case(SIAMESE, ((3,), (3,))),
    Case(BRANCHED, ((2, 3), (4,))),
    Case(WORDS, (3,)),
    Case(
        Sequential((Dense(4), Graph("x", (("h", Tanh(), "x"), ("y", Add(), ("x", "h", "h"))), "y"))),
        (3,),
        batch=1,
    ),
    Case(Recompute(NORMED), ((3,), (3,)), batch=4),
    Case(NORMED, ((3,), (3,)), batch=4),
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
    shape: tuple[Any, ...]
    target: str  # "ids", "one-hot", "soft", "real", "unit" (from 0 to 1) ...
    weighted: bool = False

    def __str__(self) -> str:
        return f"{short_repr(self.loss)}-{self.shape}-{self.target}{'-weighted' * self.weighted}".replace(
            " ", ""
        )


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
    LossCase(NegativeLogLikelihood(ignore_index=-100), (7, 3), "ignored"),
    LossCase(NegativeLogLikelihood(ignore_index=-100), (7, 3), "ignored", True),
]
LOSSES += [
    LossCase(SoftmaxCrossEntropy(ignore_index=-100), (7, 3), "ignored"),
    LossCase(SoftmaxCrossEntropy(0.2, WEIGHTS, ignore_index=-100), (7, 5), "ignored", True),
    LossCase(SoftmaxCrossEntropy(ignore_index=1), (7, 3), "ids"),
    LossCase(Focal(ignore_index=-100), (7, 3), "ignored", True),
    LossCase(SoftmaxCrossEntropy(reduction="sum"), (4, 3), "ids"),
    LossCase(SoftmaxCrossEntropy(0.2, WEIGHTS, reduction="none", ignore_index=-100), (7, 5), "ignored"),
    LossCase(Huber(0.3, reduction="sum"), (3, 2, 5), "real", True),
    LossCase(KLDivergence(reduction="none"), (3, 2, 5), "unit", True),
    LossCase(CosineEmbedding(reduction="none"), (3, 2, 5), "real"),
    LossCase(Dice(), (3, 4, 2), "unit"),
    LossCase(Dice(0.1), (1, 2, 3, 1), "unit"),
    LossCase(Dice(reduction="none"), (4, 3, 2), "unit", True),
    LossCase(GaussianNLL(), (4, 2), "own"),
    LossCase(GaussianNLL(0.3), (3, 2, 6), "own", True),
    LossCase(Contrastive(3.0), (6, 3), "own"),
    LossCase(Contrastive(2.0), (5, 1), "own", True),
    LossCase(Contrastive(reduction="none"), (1, 2), "own"),
    LossCase(Triplet(), (6, 3), "own"),
    LossCase(Triplet(5.0), (5, 1), "own", True),
    LossCase(Triplet(reduction="none"), (7, 2), "own", True),
    LossCase(CTC(), (3, 5, 4), "own"),
    LossCase(CTC(2, True), (4, 5, 3), "own", True),
    LossCase(CTC(1, reduction="sum"), (1, 1, 2), "own"),
    LossCase(CTC(reduction="none"), (2, 2, 3), "own", True),
]

MULTI_OUTPUT = [
    LossCase(MultiOutputLoss((SoftmaxCrossEntropy(), MeanSquaredError())), ((4, 3), (4, 2)), "ids real"),
    LossCase(
        MultiOutputLoss((MeanSquaredError(), SoftmaxCrossEntropy(0.1)), (1.0, 0.5)),
        ((4, 1), (4, 3)),
        "real ids",
        True,
    ),
    LossCase(
        MultiOutputLoss((Huber(), Huber(), Hinge()), (0.0, 2.0, 0.1)),
        ((3, 2), (3, 2), (3, 1)),
        "real real signs",
    ),
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

FULL_BATCH = [LBFGS(), LBFGS(3, 7, 1e-3, 0.0, l2=0.1), LBFGS(1, c1=1e-3, c2=0.1, max_evaluations=9)]
"""Those that ask for the loss at points of their own choice, and so have checks of their own."""
SLOW, FROZEN = Group("0.W", lr=0.25, decay=2.0), Group("1.?", frozen=True)
OPTIMIZERS += [
    LARS(),
    LARS(5.0, 0.5, 1e-2, weight_decay=0.1, clip_norm=0.5),
    LAMB(0.1),
    LAMB(0.1, 0.0, 0.5, 1e-2, weight_decay=0.1, clip_norm=0.5),
    Muon(),
    Muon(0.1, 0.5, False, 2, (2.0, -1.5, 0.5), 1e-3, Adam(0.1, l2=0.1, l1=0.01), weight_decay=0.1),
    Muon(others=AMSGrad(0.1), clip_norm=0.5),
    Adafactor(),
    Adafactor(0.5, 0.5, 1e-2, 0.1, 2.0, weight_decay=0.1, clip_norm=0.5),
    Groups(NAdam(0.1, l1=1e-2, weight_decay=0.1, clip_norm=0.5), (SLOW, FROZEN)),
    Groups(EMA(Lookahead(LAMB(0.1, weight_decay=0.1, clip_norm=0.5), 2)), (FROZEN, SLOW)),
    Groups(
        Constrained(RAdam(0.1), (NonNegative("1.*"), UnitNorm("*.W"))), (Group("1.b", lr=0.5, decay=1.0),)
    ),
    Constrained(SGD(0.5, 0.9), (MaxNorm("0.W", 1.0, (0, 1)), MaxNorm("*.b", 0.5))),
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
    Sinusoidal(),
    Sinusoidal(10.0),
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
