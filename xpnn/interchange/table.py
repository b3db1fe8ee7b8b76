"""One row for each layer class: the operations of ONNX that do what it does outside of training.

A row is a function (program, layer, its parameters, its input) -> the name of its result, or a Value where the result
lies channels first. A layer without a row is refused by name.
"""

from xpnn import layers as L
from xpnn.interchange import attention_rows as attention
from xpnn.interchange import container_rows as containers
from xpnn.interchange import image_rows as images
from xpnn.interchange import pointwise_rows as points
from xpnn.interchange import resample_rows as resample
from xpnn.interchange import sequence_rows as sequences
from xpnn.interchange import tensor_rows as tensors
from xpnn.interchange.emit import TABLE, emit

__all__ = ["TABLE", "emit"]

TABLE |= {
    L.Dense: points.dense,
    L.Maxout: points.maxout,
    L.Embedding: points.embedding,
    L.PaddingMask: points.padding_mask,
    L.PositionalEncoding: attention.positional,
    L.Flatten: points.flatten,
    L.Reshape: points.reshape,
    L.Permute: tensors.permute,
    L.Slice: tensors.slice_,
    L.Split: tensors.split,
    L.ReduceSum: tensors.reduction("ReduceSum"),
    L.ReduceMean: tensors.reduction("ReduceMean"),
    L.ReduceMax: tensors.reduction("ReduceMax"),
    L.MaskedMean: tensors.masked_mean,
    L.Offset: tensors.offset,
    L.Scale: tensors.scale,
    L.Rescale: points.rescale,
    L.Standardize: points.standardize,
    L.ReLU: points.elementwise("Relu"),
    L.LeakyReLU: points.elementwise("LeakyRelu", alpha=lambda layer: layer.slope),
    L.PReLU: points.prelu,
    L.ELU: points.elementwise("Elu", alpha=lambda layer: layer.alpha),
    L.SELU: points.elementwise("Selu"),
    L.CELU: points.elementwise("Celu", alpha=lambda layer: layer.alpha),
    L.GELU: points.gelu,
    L.SiLU: points.silu,
    L.Mish: points.elementwise("Mish"),
    L.GLU: points.glu,
    L.Sigmoid: points.elementwise("Sigmoid"),
    L.LogSigmoid: points.log_sigmoid,
    L.Tanh: points.elementwise("Tanh"),
    L.Softplus: points.elementwise("Softplus"),
    L.Softsign: points.elementwise("Softsign"),
    L.HardSigmoid: points.elementwise("HardSigmoid", alpha=1 / 6, beta=0.5),
    L.HardSwish: points.elementwise("HardSwish"),
    L.HardTanh: points.hard_tanh,
    L.Clip: tensors.clip,
    L.Step: points.step,
    L.Hardmax: points.along_channels("Hardmax"),
    L.Softmax: points.along_channels("Softmax"),
    L.LogSoftmax: points.along_channels("LogSoftmax"),
    L.Conv1D: images.convolution,
    L.Conv2D: images.convolution,
    L.Conv3D: images.convolution,
    L.ConvTranspose1D: images.transposed_convolution,
    L.ConvTranspose2D: images.transposed_convolution,
    L.ConvTranspose3D: images.transposed_convolution,
    L.MaxPool1D: images.pool("MaxPool"),
    L.MaxPool2D: images.pool("MaxPool"),
    L.MaxPool3D: images.pool("MaxPool"),
    L.AvgPool1D: images.pool("AveragePool"),
    L.AvgPool2D: images.pool("AveragePool"),
    L.AvgPool3D: images.pool("AveragePool"),
    L.GlobalAveragePool: images.global_pool("ReduceMean"),
    L.GlobalMaxPool: images.global_pool("ReduceMax"),
    L.UpSampling2D: images.up_sampling,
    L.ZeroPad2D: images.zero_pad,
    L.Pad: resample.pad,
    L.Resize: resample.resize,
    L.AdaptiveAvgPool: resample.adaptive,
    L.LocalResponseNorm: resample.response,
    L.SeparableConv2D: resample.separable,
    L.BatchNorm: images.batch_norm,
    L.LayerNorm: images.layer_norm,
    L.RMSNorm: images.rms_norm,
    L.LpNormalize: tensors.lp_normalize,
    L.GroupNorm: images.group_norm,
    L.InstanceNorm: images.group_norm,
    L.SimpleRNN: sequences.recurrent,
    L.LSTM: sequences.recurrent,
    L.GRU: sequences.recurrent,
    L.Bidirectional: sequences.recurrent,
    L.SelectOutput: containers.select_output,
    L.MultiHeadAttention: attention.attention,
    L.RotaryPositions: attention.rotary_positions,
    L.Concatenate: containers.concatenate,
    L.Add: containers.merge("Sum"),
    L.Subtract: containers.merge("Sub"),
    L.Average: containers.merge("Mean"),
    L.Multiply: containers.multiply,
    L.Sequential: containers.sequential,
    L.Residual: containers.residual,
    L.Parallel: containers.parallel,
    L.Recompute: containers.recompute,
    L.Graph: containers.graph,
}

ONLY_IN_TRAINING = (
    L.Dropout,
    L.SpatialDropout,
    L.AlphaDropout,
    L.GaussianNoise,
    L.RandomFlip,
    L.RandomErase,
    L.RandomShift,
    L.RandomRotation,
    L.RandomShear,
    L.RandomZoom,
    L.RandomElastic,
    L.Warp,
)
TABLE |= dict.fromkeys(ONLY_IN_TRAINING, points.same)
