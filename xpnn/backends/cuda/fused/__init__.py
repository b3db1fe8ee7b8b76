"""Kernels written in CUDA C++, for arrays on an NVIDIA GPU: each an override of a reference kernel of `xpnn.kernels`.

The sources lie beside this file, one idea to a file, and are compiled by NVRTC when a kernel is first launched. A
backend inherits `FusedKernels` and says how one is launched.
"""

from xpnn.backends.cuda.fused import pointwise, rows, update, windows
from xpnn.backends.cuda.fused.launch import CudaBackend

__all__ = ["FusedKernels"]


class FusedKernels(CudaBackend):
    """The table of these kernels."""

    relu = pointwise.relu
    relu_grad = pointwise.relu_grad
    sigmoid = pointwise.sigmoid
    softplus = pointwise.softplus
    mask = pointwise.mask
    add_bias = pointwise.add_bias
    lstm_step = pointwise.lstm_step
    lstm_step_grad = pointwise.lstm_step_grad
    uniform = pointwise.uniform
    normal = pointwise.normal
    keep_mask = pointwise.keep_mask

    rows_at = rows.rows_at
    take_rescaled = rows.take_rescaled
    softmax = rows.softmax
    softmax_cross_entropy = rows.softmax_cross_entropy
    softmax_cross_entropy_and_correct = rows.softmax_cross_entropy_and_correct
    softmax_cross_entropy_gradient_and_correct = rows.softmax_cross_entropy_gradient_and_correct
    all_finite = rows.all_finite
    column_sums = rows.column_sums
    batch_norm = rows.batch_norm
    batch_norm_grad = rows.batch_norm_grad

    elementwise = update.elementwise
    cond = update.cond

    im2col = windows.im2col
    col2im = windows.col2im
    conv = windows.conv
    conv_dx = windows.conv_dx
    conv_dw = windows.conv_dw
    max_pool = windows.max_pool
    max_pool_grad = windows.max_pool_grad
    sum_pool = windows.sum_pool
    sum_pool_grad = windows.sum_pool_grad
