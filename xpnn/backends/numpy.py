"""NumPy: always there. Its overrides save passes over memory, nothing else."""

from collections.abc import Callable
from typing import Any

import numpy as np

from xpnn.backends import in_place
from xpnn.backends.base import Backend
from xpnn.backends.cpu import (
    axes,
    cross_entropy,
    distribution,
    draws,
    passes,
    planned,
    pointwise,
    predictions,
    products,
    resample,
    rows,
    vectors,
    windows,
)
from xpnn.backends.cpu.spinning import spin_briefly
from xpnn.kernels import Array


class NumpyBackend(Backend):
    """NumPy on the CPU: what the library is, then the table of the kernels that it overrides."""

    name = "numpy"

    def load(self) -> Any:
        """NumPy through array-api-compat."""
        import array_api_compat.numpy as xp

        return xp

    def owns(self, a: Any) -> bool:
        """Is it a plain ndarray of numbers, in native byte order?"""
        return type(a) is np.ndarray and a.dtype.isnative and a.dtype.kind in "biuf"

    def from_host(self, a: np.ndarray[Any, Any]) -> Array:
        """`a` itself, in the same memory."""
        return a

    def scalar(self, value: float | int | bool, dtype: Any = None) -> Array:
        """Without the checks of `asarray`, which take ten times as long."""
        return np.array(value, dtype or self.dtype)

    def device_context(self) -> Any:
        """Overflow and NaN are reported by the training step, by name, not by NumPy's warnings."""
        return np.errstate(all="ignore")

    def compile(self, step: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
        """`step` itself; from now on OpenBLAS's idle threads leave the cores to it."""
        spin_briefly()
        return step

    for_samples = predictions.for_samples
    for_one_sample = predictions.for_one_sample
    one_sample = predictions.one_sample

    buffer = in_place.buffer
    memoized = in_place.memoized
    planned = planned.planned
    concat_flat = in_place.concat_flat

    matmul = products.matmul
    affine = products.affine
    affine_relu = products.affine_relu
    affine_dx = products.affine_dx
    add_bias = products.add_bias

    relu = pointwise.relu
    relu_grad = pointwise.relu_grad
    mask = pointwise.mask
    scaled_mask = pointwise.scaled_mask
    relu_dropout_grad = pointwise.relu_dropout_grad
    sigmoid = pointwise.sigmoid
    normal_cdf = distribution.normal_cdf
    lstm_step = pointwise.lstm_step

    whole_passes = True
    lstm_pass = passes.lstm_pass
    lstm_pass_grad = passes.lstm_pass_grad
    gru_pass = passes.gru_pass
    gru_pass_grad = passes.gru_pass_grad

    softmax_cross_entropy_gradient_and_correct = cross_entropy.softmax_cross_entropy_gradient_and_correct

    uniform = draws.uniform
    keep_mask = draws.keep_mask
    dropout = draws.dropout
    bias_relu_dropout = draws.bias_relu_dropout
    normal = draws.normal

    rows_at = rows.rows_at
    take_rescaled = rows.take_rescaled
    add_rows = rows.add_rows
    column_sums = rows.column_sums

    elementwise = vectors.elementwise
    copied = vectors.copied
    all_finite = vectors.all_finite
    nan_unless = vectors.nan_unless
    cond = vectors.cond

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
    take_axis_grad = axes.take_axis_grad
    bilinear = resample.bilinear
