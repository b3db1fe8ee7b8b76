"""Every operation worth accelerating, once, in pure Array API calls: the reference.

A backend inherits these and may override any of them; the tests hold each override equal to
`getattr(Kernels, name)(backend, ...)`. Nothing here assigns to an item, tests an array in an `if`, or
brings a number to the host.
"""

from typing import Any

from xpnn.kernels import (
    activations,
    axes,
    base,
    counter,
    flat,
    gates,
    losses,
    normalization,
    passes,
    products,
    rows,
    sampling,
    windows,
)
from xpnn.kernels.base import Array, Rule

__all__ = ["Array", "Kernels", "Rule"]


class Kernels:
    """The table of the reference: the name of each kernel and the function that computes it.

    A function here takes the backend first, so that it becomes the backend's method. A backend's class names its
    overrides the same way, one line each. `xp`, `dtype` and `device` are set by the backend.
    """

    xp: Any
    dtype: Any
    device: Any

    arange = base.arange
    matmul = base.matmul
    column_sums = base.column_sums

    operand = products.operand
    affine = products.affine
    add_bias = products.add_bias
    affine_grads = products.affine_grads
    transposed_products = products.transposed_products
    affine_dx = products.affine_dx
    affine_relu = products.affine_relu
    affine_relu_with_mask = products.affine_relu_with_mask

    relu = activations.relu
    relu_grad = activations.relu_grad
    sigmoid = activations.sigmoid
    softplus = activations.softplus
    softmax = activations.softmax
    normal_cdf = activations.normal_cdf
    mask = activations.mask
    scaled_mask = activations.scaled_mask
    dropout = activations.dropout
    bias_relu_dropout = activations.bias_relu_dropout
    relu_dropout_grad = activations.relu_dropout_grad

    batch_norm = normalization.batch_norm
    batch_norm_grad = normalization.batch_norm_grad

    softmax_cross_entropy = losses.softmax_cross_entropy
    softmax_cross_entropy_and_correct = losses.softmax_cross_entropy_and_correct
    softmax_cross_entropy_gradient_and_correct = losses.softmax_cross_entropy_gradient_and_correct

    lstm_step = gates.lstm_step
    lstm_step_grad = gates.lstm_step_grad
    gru_step = gates.gru_step
    gru_step_grad = gates.gru_step_grad

    lstm_pass = passes.lstm_pass
    lstm_pass_grad = passes.lstm_pass_grad
    gru_pass = passes.gru_pass
    gru_pass_grad = passes.gru_pass_grad

    uniform = counter.uniform
    keep_mask = counter.keep_mask
    normal = counter.normal

    take_rows = rows.take_rows
    take_rescaled = rows.take_rescaled
    rows_at = rows.rows_at
    one_hot = rows.one_hot
    add_rows = rows.add_rows

    elementwise = flat.elementwise
    concat_flat = flat.concat_flat
    all_finite = flat.all_finite
    nan_unless = flat.nan_unless
    cond = flat.cond
    all_reduce = flat.all_reduce

    pad = windows.pad
    im2col = windows.im2col
    col2im = windows.col2im
    conv = windows.conv
    conv_dx = windows.conv_dx
    conv_dw = windows.conv_dw
    conv_relu_max_pool = windows.conv_relu_max_pool
    max_pool = windows.max_pool
    max_pool_grad = windows.max_pool_grad
    sum_pool = windows.sum_pool
    sum_pool_grad = windows.sum_pool_grad

    take_axis = axes.take_axis
    take_axis_grad = axes.take_axis_grad

    bilinear = sampling.bilinear
    bilinear_grad = sampling.bilinear_grad
