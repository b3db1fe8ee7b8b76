"""NumPy with numba's loops (extra `fast`)."""

import numba

from xpnn.backends.cpu import compiled_plan, numba_kernels, numba_windows
from xpnn.backends.cpu import one_sample as compiled_chain
from xpnn.backends.numpy import NumpyBackend


class FastNumpyBackend(NumpyBackend):
    """The same arrays, results and name; loops in place of these of NumPy's kernels."""

    def hardware(self) -> str:
        """The device, and the numba that compiles the loops."""
        return f"{super().hardware()}, numba {numba.__version__}"

    one_sample = compiled_chain.one_sample
    planned = compiled_plan.planned

    mask = numba_kernels.mask
    scaled_mask = numba_kernels.scaled_mask
    relu_grad = numba_kernels.relu_grad
    add_bias = numba_kernels.add_bias
    dropout = numba_kernels.dropout
    bias_relu_dropout = numba_kernels.bias_relu_dropout
    relu_dropout_grad = numba_kernels.relu_dropout_grad
    take_rescaled = numba_kernels.take_rescaled
    keep_mask = numba_kernels.keep_mask
    softmax_cross_entropy = numba_kernels.softmax_cross_entropy
    softmax_cross_entropy_gradient_and_correct = numba_kernels.softmax_cross_entropy_gradient_and_correct
    batch_norm = numba_kernels.batch_norm
    batch_norm_grad = numba_kernels.batch_norm_grad
    lstm_step = numba_kernels.lstm_step
    lstm_step_grad = numba_kernels.lstm_step_grad
    gru_step = numba_kernels.gru_step
    gru_step_grad = numba_kernels.gru_step_grad
    lstm_pass = numba_kernels.lstm_pass
    lstm_pass_grad = numba_kernels.lstm_pass_grad
    gru_pass = numba_kernels.gru_pass
    gru_pass_grad = numba_kernels.gru_pass_grad
    elementwise = numba_kernels.elementwise
    col2im = numba_windows.col2im
    max_pool = numba_windows.max_pool
    max_pool_grad = numba_windows.max_pool_grad
    conv = numba_windows.conv
    conv_dx = numba_windows.conv_dx
    conv_dw = numba_windows.conv_dw
    conv_relu_max_pool = numba_windows.conv_relu_max_pool
