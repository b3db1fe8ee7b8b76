"""What the CUDA kernels are launched with: grids, sizes, strides and settings, on a stand-in of three multiprocessors.

That kernels compute the right numbers from these is shown by `test_cuda_kernels.py`, which runs them, slowly.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from xpnn.backends.cuda.fused import FusedKernels, launch, pointwise, rows, update, windows
from xpnn.window import Window


class Launches(FusedKernels):
    """NumPy's arrays; a launch notes its name, grid, arrays by shape and dtype, and numbers."""

    name, processors = "launches", 3

    def load(self):
        import array_api_compat.numpy as xp

        self.seen = []
        return xp

    def owns(self, a):
        return type(a) is np.ndarray

    def device_context(self):
        return np.errstate(all="ignore")

    def launch(self, name, grid, args, **defines):
        words = [
            f"{'x'.join(map(str, a.shape))}{a.dtype.char}" if isinstance(a, np.ndarray) else repr(a)
            for a in args
        ]
        macros = [f"{macro}={value}" for macro, value in defines.items()]
        self.seen.append(" ".join([f"{name}{list(grid)}", *words, *macros]))


def reals(*shape):
    return np.zeros(shape, np.float32)


def ids(*shape):
    return np.zeros(shape, np.int64)


def flags(*shape):
    return np.zeros(shape, bool)


def octets(*shape):
    return np.zeros(shape, np.uint8)


TICK = np.asarray(3)
ODD = Window((3, 2), (1, 2), ((1, 0), (0, 2)), (2, 1))
PLAIN = Window((3, 2), pads=((1, 2), (0, 3)))
HALVES = Window((2, 2), (2, 2))
ONE = Window((1, 1))
SEQUENCE, VOLUME = Window((3,), (2,), ((1, 0),)), Window((2, 2, 2))
LAUNCHES = [
    ("relu", (reals(300, 3),), ["relu[4] 300x3f 300x3f 900"]),
    ("sigmoid", (reals(256),), ["sigmoid[1] 256f 256f 256"]),
    ("softplus", (reals(9999),), ["softplus[24] 9999f 9999f 9999"]),
    ("relu_grad", (reals(2, 3), reals(2, 3),), ["relu_grad[1] 2x3f 2x3f 2x3f 6"]),
    ("relu_grad", (reals(2, 3), reals(2, 3), True), ["relu_grad[1] 2x3f 2x3f 2x3f 6"]),
    ("relu_grad", (reals(2, 3), reals(3),), []),
    ("mask", (reals(2, 3), flags(2, 3),), ["mask[1] 2x3f 2x3? 2x3f 6"]),
    ("mask", (reals(2, 3), flags(3),), []),
    ("mask", (reals(2, 3), reals(2, 3),), []),
    ("add_bias", (reals(5, 3), reals(3),), ["add_bias[1] 5x3f 3f 15 3 0"]),
    ("add_bias", (reals(5, 3), reals(3), True), ["add_bias[1] 5x3f 3f 15 3 1"]),
    ("add_bias", (reals(5, 3), None, True), ["relu[1] 5x3f 5x3f 15"]),
    ("add_bias", (reals(3, 5).T, reals(3),), []),
    ("lstm_step", (reals(5, 12), reals(5, 12), reals(5, 3),), [
        "lstm_step[1] 5x12f 5x12f 5x3f 15 3 5x3f 5x3f 5x12f 5x3f",
    ]),
    ("lstm_step", (reals(5, 12), reals(12), reals(5, 3),), [
        "sigmoid[1] 5x3f 5x3f 15",
        "sigmoid[1] 5x3f 5x3f 15",
        "sigmoid[1] 5x3f 5x3f 15",
    ]),
    ("lstm_step_grad", (reals(5, 3), reals(5, 3), reals(5, 3), reals(5, 12), reals(5, 3),), [
        "lstm_step_grad[1] 5x3f 5x3f 5x3f 5x12f 5x3f 15 3 5x12f 5x3f",
    ]),
    ("uniform", ((7, 2), TICK, (300, 3),), ["uniform[4] 1044171562 l 0 900 300x3f"]),
    ("uniform", ((7, 2), TICK, (3, ), 5), ["uniform[1] 1044171562 l 5 3 3f"]),
    ("uniform", ((7, 2), TICK, (0, ),), []),
    ("normal", ((7, ), TICK, (2, 2), 9), ["normal[1] 3553343841 l 9 4 2x2f"]),
    ("keep_mask", ((7, 2), TICK, (5, 3), 0.3, 2), ["keep_mask[1] 1044171562 l 5033165 2 15 5x3?"]),
    ("keep_mask", ((7, 2), TICK, (4, ), 1.0), ["keep_mask[1] 1044171562 l 16777216 0 4 4?"]),
    ("rows_at", (ids(9), np.asarray(2), 4), ["rows_at[1] 9l l 4 4l"]),
    ("take_rescaled", (octets(5, 2, 3), ids(4), 0.5, -1), ["take_bytes[1] 5x2x3B 4l 4 6 0.5 -1.0 4x2x3f"]),
    ("take_rescaled", (reals(5, 2), ids(3), 2, 0), ["take_reals[1] 5x2f 3l 3 2 2.0 0.0 3x2f"]),
    ("take_rescaled", (ids(5, 2), ids(3), 2, 0), []),
    ("take_rescaled", (reals(5, 2), ids(0), 2, 0), []),
    ("softmax", (reals(5, 1),), ["softmax[1] 5x1f 5 1 1 5x1f"]),
    ("softmax", (reals(2, 3, 5),), ["softmax[1] 2x3x5f 6 5 8 2x3x5f"]),
    ("softmax", (reals(3, 40),), ["softmax[1] 3x40f 3 40 32 3x40f"]),
    ("softmax", (reals(7, 32),), ["softmax[1] 7x32f 7 32 32 7x32f"]),
    ("softmax_cross_entropy", (reals(6, 5), ids(6),), ["softmax_cross_entropy[1] 6x5f 6l 6 5 8 6x5f f 0"]),
    ("softmax_cross_entropy", (reals(512, 8), ids(512),), [
        "softmax_cross_entropy[1] 512x8f 512l 512 8 8 512x8f f 0",
    ]),
    ("softmax_cross_entropy", (reals(513, 8), ids(513),), [
        "softmax_cross_entropy[9] 513x8f 513l 513 8 8 513x8f 9f 0",
        "total[1] 9f 0 9 f 0",
    ]),
    ("softmax_cross_entropy", (reals(9999, 8), ids(9999),), [
        "softmax_cross_entropy[12] 9999x8f 9999l 9999 8 8 9999x8f 12f 0",
        "total[1] 12f 0 12 f 0",
    ]),
    ("softmax_cross_entropy_and_correct", (reals(6, 5), ids(6),), ["softmax_cross_entropy[1] 6x5f 6l 6 5 8 0 f l"]),
    ("softmax_cross_entropy_and_correct", (reals(600, 8), ids(600),), [
        "softmax_cross_entropy[10] 600x8f 600l 600 8 8 0 10f 10l",
        "total[1] 10f 10l 10 f l",
    ]),
    ("softmax_cross_entropy_gradient_and_correct", (reals(6, 5), ids(6),), [
        "softmax_cross_entropy[1] 6x5f 6l 6 5 8 6x5f f l",
    ]),
    ("softmax_cross_entropy_gradient_and_correct", (reals(600, 8), ids(600),), [
        "softmax_cross_entropy[10] 600x8f 600l 600 8 8 600x8f 10f 10l",
        "total[1] 10f 10l 10 f l",
    ]),
    ("softmax_cross_entropy", (reals(6, 5), np.zeros(6, np.int32),), ["mask[1] 6x5f 6x5? 6x5f 30"]),
    ("all_finite", (reals(5),), ["all_finite[1] 5f 5 5f 0 5f 0 5f 0 ?"]),
    ("all_finite", (reals(5), reals(3, 2),), ["all_finite[1] 5f 5 3x2f 6 5f 0 5f 0 ?"]),
    ("all_finite", (reals(16384),), ["all_finite[1] 16384f 16384 16384f 0 16384f 0 16384f 0 ?"]),
    ("all_finite", (reals(16380), reals(5),), [
        "all_finite[5] 16380f 16380 5f 5 16380f 0 16380f 0 5?",
        "all_good[1] 5? 5 ?",
    ]),
    ("all_finite", (reals(99999),), [
        "all_finite[12] 99999f 99999 99999f 0 99999f 0 99999f 0 12?",
        "all_good[1] 12? 12 ?",
    ]),
    ("all_finite", (*[reals(2)] * 4,), ["all_finite[1] 2f 2 2f 2 2f 2 2f 2 ?"]),
    ("all_finite", (*[reals(2)] * 5,), []),
    ("column_sums", (reals(5, 3),), ["column_sums[1, 1] 5x3f 5 3 5 1.0 3f"]),
    ("column_sums", (reals(1024, 33),), ["column_sums[2, 1] 1024x33f 1024 33 1024 1.0 33f"]),
    ("column_sums", (reals(1025, 32),), [
        "column_sums[1, 3] 1025x32f 1025 32 342 1.0 3x32f",
        "column_sums[1, 1] 3x32f 3 32 3 1.0 32f",
    ]),
    ("column_sums", (reals(2, 4, 3), reals(3),), ["column_sums[1, 1] 2x4x3f 8 3 8 1.0 3f"]),
    ("column_sums", (reals(140000, 1),), [
        "column_sums[1, 256] 140000x1f 140000 1 547 1.0 256x1f",
        "column_sums[1, 1] 256x1f 256 1 256 1.0 1f",
    ]),
    ("batch_norm", (reals(6, 3), reals(3), reals(3), 0.5), [
        "column_sums[1, 1] 6x3f 6 3 6 6.0 3f",
        "squares[1, 1] 6x3f 3f 6 3 6 6.0 3f",
        "normalize[1] 6x3f 3f 3f 3f 3f 18 3 0.5 6x3f 6x3f 3f",
    ]),
    ("batch_norm", (reals(2, 700, 3), reals(3), reals(3), 0.5, True), [
        "column_sums[1, 3] 2x700x3f 1400 3 467 1.0 3x3f",
        "column_sums[1, 1] 3x3f 3 3 3 1400.0 3f",
        "squares[1, 3] 2x700x3f 3f 1400 3 467 1.0 3x3f",
        "column_sums[1, 1] 3x3f 3 3 3 1400.0 3f",
        "normalize[17] 2x700x3f 3f 3f 3f 3f 4200 3 0.5 2x700x3f 2x700x3f 3f",
        "relu[17] 2x700x3f 2x700x3f 4200",
    ]),
    ("batch_norm_grad", (reals(6, 3), reals(6, 3), reals(3), reals(3),), [
        "gain_and_bias[1, 1] 6x3f 6x3f 6 6 6 1.0 6f",
        "normalize_grad[1] 6x3f 6x3f 3f 3f 6f 18 3 6x3f",
    ]),
    ("im2col", (reals(2, 5, 6, 3), ODD), ["im2col[4] 2x5x6x3f 2x2x4x6x3f 4 5 6 3 2 4 3 2 1 2 1 0 2 1 0.0"]),
    ("im2col", (reals(2, 5, 6, 3), ODD, -1), ["im2col[4] 2x5x6x3f 2x2x4x6x3f 4 5 6 3 2 4 3 2 1 2 1 0 2 1 -1.0"]),
    ("im2col", (reals(2, 7, 3), SEQUENCE), ["im2col[2] 2x7x3f 2x3x3x3f 2 1 7 3 1 3 1 3 1 2 0 1 1 1 0.0"]),
    ("im2col", (reals(1, 3, 3, 3, 1), VOLUME), []),
    ("col2im", (reals(2, 2, 4, 6, 3), (2, 5, 6, 3), ODD), [
        "col2im[10] 2x2x4x6x3f 2x5x6x3f 10 5 6 3 2 4 3 2 1 2 1 0 2 1",
    ]),
    ("col2im", (reals(2, 3, 3, 3), (2, 6, 3), SEQUENCE), ["col2im[2] 2x3x3x3f 2x6x3f 2 1 6 3 1 3 1 3 1 2 0 1 1 1"]),
    ("conv", (reals(2, 5, 6, 3), reals(3, 2, 3, 4), reals(4), ODD), [
        "im2col[4] 2x5x6x3f 2x2x4x6x3f 4 5 6 3 2 4 3 2 1 2 1 0 2 1 0.0",
        "add_bias[1] 2x2x4x4f 4f 64 4 0",
    ]),
    ("conv", (reals(2, 5, 6, 1), reals(3, 2, 1, 40), None, PLAIN), [
        "conv1[2, 2] 2x5x6x1f 3x2x1x40f 40f 2 5 6 6 8 1 0 40 2x6x8x40f 0 KH=3 KW=2",
    ]),
    ("conv", (reals(2, 5, 6, 1), reals(3, 2, 1, 4), reals(4), PLAIN, 1, True), [
        "conv1[2, 1] 2x5x6x1f 3x2x1x4f 4f 2 5 6 6 8 1 0 4 2x6x8x4f 1 KH=3 KW=2",
    ]),
    ("conv", (reals(2, 5, 6, 1), reals(3, 2, 1, 4), reals(4), ODD), [
        "im2col[4] 2x5x6x1f 2x2x4x6x1f 4 5 6 1 2 4 3 2 1 2 1 0 2 1 0.0",
        "add_bias[1] 2x2x4x4f 4f 64 4 0",
    ]),
    ("conv", (reals(9, 5, 1), reals(3, 1, 4), None, Window((3, )),), [
        "conv1[2, 1] 9x5x1f 3x1x4f 4f 9 1 5 1 3 0 0 4 9x3x4f 0 KH=1 KW=3",
    ]),
    ("conv", (reals(2, 5, 6, 4), reals(3, 2, 2, 4), reals(4), ODD, 2), [
        "im2col[4] 2x5x6x4f 2x2x4x6x4f 4 5 6 4 2 4 3 2 1 2 1 0 2 1 0.0",
        "add_bias[1] 2x2x4x4f 4f 64 4 0",
    ]),
    ("conv_dx", (reals(2, 2, 4, 4), reals(3, 2, 3, 4), (2, 5, 6, 3), ODD), [
        "col2im[10] 16x18f 2x5x6x3f 10 5 6 3 2 4 3 2 1 2 1 0 2 1",
    ]),
    ("conv_dx", (reals(2, 3, 4), reals(3, 3, 4), (2, 6, 3), SEQUENCE), [
        "col2im[2] 6x9f 2x6x3f 2 1 6 3 1 3 1 3 1 2 0 1 1 1",
    ]),
    ("conv_dw", (reals(2, 5, 6, 3), reals(2, 2, 4, 4), ODD), [
        "im2col[4] 2x5x6x3f 2x2x4x6x3f 4 5 6 3 2 4 3 2 1 2 1 0 2 1 0.0",
    ]),
    ("conv_dw", (reals(2, 5, 6, 1), reals(2, 6, 8, 33), PLAIN), [
        "conv1_dw[2, 2] 2x5x6x1f 2x6x8x33f 2 5 6 6 8 1 0 33 2x198f KH=3 KW=2",
        "column_sums[7, 1] 2x198f 2 198 2 1.0 3x2x1x33f",
    ]),
    ("conv_dw", (reals(40, 5, 6, 1), reals(40, 6, 8, 2), PLAIN), [
        "conv1_dw[6, 1] 40x5x6x1f 40x6x8x2f 40 5 6 6 8 1 0 2 6x12f KH=3 KW=2",
        "column_sums[1, 1] 6x12f 6 12 6 1.0 3x2x1x2f",
    ]),
    ("max_pool", (reals(2, 5, 6, 3), HALVES), [
        "max_pool[4] 2x5x6x3f 2x2x3x3f 2x2x3x3B 4 5 6 3 2 3 2 2 2 2 0 0 1 1",
    ]),
    ("max_pool", (reals(1, 40, 40, 1), Window((17, 16)),), [
        "im2col[24] 1x40x40x1f 1x24x25x272x1f 24 40 40 1 24 25 17 16 1 1 0 0 1 1 -inf",
        "im2col[24] 1x40x40x1f 1x24x25x272x1f 24 40 40 1 24 25 17 16 1 1 0 0 1 1 0.0",
    ]),
    ("max_pool", (reals(2, 6, 3), Window((2, ), (2, )),), [
        "max_pool[2] 2x6x3f 2x3x3f 2x3x3B 2 1 6 3 1 3 1 2 1 2 0 0 1 1",
    ]),
    ("max_pool_grad", (reals(2, 2, 3, 3), octets(2, 2, 3, 3), (2, 5, 6, 3), HALVES), [
        "max_pool_grad[10] 2x2x3x3f 2x2x3x3B 2x5x6x3f 10 5 6 3 2 3 2 2 2 2 0 0 1 1",
    ]),
    ("max_pool_grad", (reals(2, 2, 3, 3), ids(2, 2, 3, 3), (2, 5, 6, 3), HALVES), [
        "mask[1] 2x2x3x4x3f 2x2x3x4x3? 2x2x3x4x3f 144",
        "col2im[10] 2x2x3x4x3f 2x5x6x3f 10 5 6 3 2 3 2 2 2 2 0 0 1 1",
    ]),
    ("sum_pool", (reals(2, 5, 6, 3), HALVES), ["sum_pool[4] 2x5x6x3f 2x2x3x3f 4 5 6 3 2 3 2 2 2 2 0 0 1 1"]),
    ("sum_pool_grad", (reals(2, 2, 3, 3), (2, 5, 6, 3), HALVES), [
        "sum_pool_grad[10] 2x2x3x3f 2x5x6x3f 10 5 6 3 2 3 2 2 2 2 0 0 1 1",
    ]),
    ("sum_pool_grad", (reals(1, 3, 3), (1, 6, 3), Window((2, ), (2, )),), [
        "sum_pool_grad[1] 1x3x3f 1x6x3f 1 1 6 3 1 3 1 2 1 2 0 0 1 1",
    ]),
    ("elementwise", (None, (reals(5), reals(5)), (reals(5),), ("descent", (0.1, 0.2, 0.3), (TICK, reals(), reals()))), [
        "descent[1] 5f 5f 5f l f f ? 5 0.1 0.2 0.3",
    ]),
    ("elementwise", (None, (reals(9999), reals(9999)), (reals(9999), reals(9999)),
     ("momentum", (0.1, 0.2, 0.3, 0.9, 1), (TICK, reals(), reals()))), [
        "momentum[12] 9999f 9999f 9999f 9999f l f f ? 9999 0.1 0.2 0.3 0.9 1.0",
    ]),
    ("keep_mask", ((7, 2), TICK, (1025,), 0.5), ["keep_mask[2] 1044171562 l 8388608 0 1025 1025?"]),
    ("take_rescaled", (octets(1, 6), ids(2), 1.0, 0.0), ["take_bytes[1] 1x6B 2l 2 6 1.0 0.0 2x6f"]),
    ("sum_pool", (reals(1, 3, 3, 3, 1), VOLUME), []),
    ("sum_pool", (ids(2, 5, 6, 3), HALVES), []),
    ("sum_pool_grad", (reals(1, 2, 2, 2, 1), (1, 3, 3, 3, 1), VOLUME), []),
    ("max_pool", (reals(1, 3, 3, 3, 1), VOLUME), []),
    ("max_pool", (ids(2, 4, 4, 1), HALVES), []),
    ("max_pool_grad", (reals(1, 2, 2, 2, 1), octets(1, 2, 2, 2, 1), (1, 3, 3, 3, 1), VOLUME), [
        "mask[1] 1x2x2x2x8x1f 1x2x2x2x8x1? 1x2x2x2x8x1f 64",
    ]),
    ("col2im", (reals(1, 2, 2, 2, 8, 1), (1, 3, 3, 3, 1), VOLUME), []),
    ("im2col", (ids(2, 5, 6, 3), HALVES), []),
    ("conv", (reals(1, 3, 3, 3, 1), reals(2, 2, 2, 1, 4), None, VOLUME), []),
    ("conv_dx", (reals(1, 2, 2, 2, 4), reals(2, 2, 2, 1, 4), (1, 3, 3, 3, 1), VOLUME), []),
    ("conv_dw", (reals(1, 3, 3, 3, 1), reals(1, 2, 2, 2, 4), VOLUME), []),
    ("conv_dx", (reals(2, 2, 4, 4), reals(3, 2, 2, 4), (2, 5, 6, 4), ODD, 2), [
        "col2im[10] 2x2x4x6x4f 2x5x6x4f 10 5 6 4 2 4 3 2 1 2 1 0 2 1",
    ]),
    ("conv_dw", (reals(2, 5, 6, 4), reals(2, 2, 4, 4), ODD, 2), [
        "im2col[4] 2x5x6x4f 2x2x4x6x4f 4 5 6 4 2 4 3 2 1 2 1 0 2 1 0.0",
    ]),
    ("normal", ((7,), TICK, (4,)), ["normal[1] 3553343841 l 0 4 4f"]),
    ("conv", (reals(40, 5, 6, 1), reals(3, 2, 1, 2), None, PLAIN), [
        "conv1[24, 1] 40x5x6x1f 3x2x1x2f 2f 40 5 6 6 8 1 0 2 40x6x8x2f 0 KH=3 KW=2",
    ]),
    ("im2col", (reals(30, 5, 6, 1), HALVES), ["im2col[48] 30x5x6x1f 30x2x3x4x1f 60 5 6 1 2 3 2 2 2 2 0 0 1 1 0.0"]),
    ("im2col", (reals(1, 1, 1, 1), ONE), ["im2col[1] 1x1x1x1f 1x1x1x1x1f 1 1 1 1 1 1 1 1 1 1 0 0 1 1 0.0"]),
    ("col2im", (reals(1, 1, 1, 1, 1), (1, 1, 1, 1), ONE), [
        "col2im[1] 1x1x1x1x1f 1x1x1x1f 1 1 1 1 1 1 1 1 1 1 0 0 1 1",
    ]),
    ("conv", (reals(1, 1, 1, 1), reals(1, 1, 1, 1), None, ONE), [
        "conv1[1, 1] 1x1x1x1f 1x1x1x1f 1f 1 1 1 1 1 0 0 1 1x1x1x1f 0 KH=1 KW=1",
    ]),
    ("conv_dx", (reals(1, 1, 1, 1), reals(1, 1, 1, 1), (1, 1, 1, 1), ONE), [
        "col2im[1] 1x1f 1x1x1x1f 1 1 1 1 1 1 1 1 1 1 0 0 1 1",
    ]),
    ("max_pool_grad", (reals(1, 1, 1, 1), octets(1, 1, 1, 1), (1, 1, 1, 1), ONE), [
        "max_pool_grad[1] 1x1x1x1f 1x1x1x1B 1x1x1x1f 1 1 1 1 1 1 1 1 1 1 0 0 1 1",
    ]),
    ("sum_pool_grad", (reals(1, 1, 1, 1), (1, 1, 1, 1), ONE), [
        "sum_pool_grad[1] 1x1x1x1f 1x1x1x1f 1 1 1 1 1 1 1 1 1 1 0 0 1 1",
    ]),
    ("rows_at", (ids(9), np.asarray(2), 1), ["rows_at[1] 9l l 1 1l"]),
    ("rows_at", (ids(9), np.asarray(2), 0), []),
    ("take_rescaled", (reals(1), ids(1), 1.0, 0.0), ["take_reals[1] 1f 1l 1 1 1.0 0.0 1f"]),
    ("uniform", ((7,), TICK, ()), ["uniform[1] 3553343841 l 0 1 f"]),
    ("keep_mask", ((7,), TICK, (), 0.5), ["keep_mask[1] 3553343841 l 8388608 0 1 ?"]),
]  # fmt: skip
"""(kernel, its arguments, what is launched); nothing where the reference computes it."""


@pytest.mark.parametrize(("name", "arguments", "wanted"), LAUNCHES)
def test_what_a_kernel_is_launched_with(name, arguments, wanted):
    be = Launches("cpu", "float32")
    with be.device_context():
        getattr(be, name)(*arguments)
    assert be.seen == wanted


def sized(size, dtype="float32"):
    """As much of an array as is asked before a launch."""
    return SimpleNamespace(size=size, dtype=np.dtype(dtype))


def test_arrays_that_kernels_take_are_neither_empty_nor_too_large():
    be, most = Launches("cpu", "float32"), 1 << 30
    assert be.launchable(sized(1), sized(most - 1))
    for other in (sized(0), sized(most), sized(5, "float64"), sized(5, "int64")):
        assert not be.launchable(sized(1), other)
        assert not be.launchable(other)
    assert {launch.LIMIT, pointwise.LIMIT, rows.LIMIT, windows.LIMIT} == {most}


def test_most_blocks_for_each_multiprocessor():
    be = Launches("cpu", "float32")
    for n, most, blocks in (
        (1, 8, 1),
        (256, 8, 1),
        (257, 8, 2),
        (24 * 256, 8, 24),
        (24 * 256 + 1, 8, 24),
        (9999, 4, 12),
    ):
        be.seen.clear()
        be.launch_over("relu", n, most=most)
        assert be.seen == [f"relu[{blocks}]"]
    be.seen.clear()
    be.launch_over("softmax", 513)
    assert be.seen == ["softmax[2]"], "its blocks have 512 threads"


@pytest.mark.parametrize(
    ("classes", "threads"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (16, 16), (17, 32), (33, 32)]
)
def test_threads_for_a_row(classes, threads):
    assert rows.group(classes) == threads


@pytest.mark.parametrize(
    ("channels", "window", "direct"),
    [
        (1, Window((7, 7)), True),
        (1, Window((8, 7)), False),
        (1, Window((7, 8)), False),
        (2, Window((3, 3)), False),
        (1, Window((3, 3), (1, 2)), False),
        (1, Window((3, 3), dilation=(2, 1)), False),
        (1, Window((3, 3), pads=((1, 1), (2, 0))), True),
        (1, Window((7,)), True),
    ],
)
def test_filters_that_stay_in_registers(channels, window, direct):
    assert windows.direct(reals(2, *[9] * len(window.kernel), channels), window) is direct


@pytest.mark.parametrize(
    ("shape", "blocks"),
    [
        ((1, 8, 8, 5), 1),
        ((1, 8, 9, 5), 2),
        ((3, 8, 8, 5), 3),
        ((1, 9, 8, 5), 2),
        ((8, 8, 5), 1),
        ((9, 8, 5), 2),
    ],
)
def test_strips_of_windows_in_blocks(shape, blocks):
    assert windows.strips(shape) == blocks


def test_samples_whose_columns_are_few_enough(monkeypatch):
    monkeypatch.setattr(windows, "COLUMNS", 100)
    for n, each, wanted in (
        (5, 50, [(0, 2), (2, 4), (4, 6)]),
        (3, 101, [(0, 1), (1, 2), (2, 3)]),
        (3, 1, [(0, 100)]),
    ):
        assert [(part.start, part.stop) for part in windows.batches(n, each)] == wanted


def test_updates_run_under_the_conditions_they_are_in():
    """A nested one is true where both are; what a branch did not change comes back as it is."""
    be, found = Launches("cpu", "float32"), []

    def inner(tree):
        found.append(bool(update.condition.get()))
        return {"a": tree["a"], "b": tree["b"] + 1}

    def outer(tree):
        found.append(bool(update.condition.get()))
        return be.cond(flags() if flips else ~flags(), inner, tree)

    a, b = reals(2), reals(2)
    for flips in (False, True):
        for ok in (~flags(), flags()):
            found.clear()
            new = be.cond(ok, outer, {"a": a, "b": b})
            assert new["a"] is a
            assert new["b"].tolist() == [float(bool(ok) and not flips)] * 2
            assert found == [bool(ok), bool(ok) and not flips]
            assert update.condition.get() is None

    def fails(tree):
        raise KeyError

    with pytest.raises(KeyError):
        be.cond(~flags(), fails, {})
    assert update.condition.get() is None


@pytest.mark.parametrize(
    ("loop", "given", "vectors"),
    [
        (None, (reals(5), reals(5)), (reals(5),)),
        ("other", (reals(5), reals(5)), (reals(5),)),
        ("descent", (reals(5), reals(5)), (reals(5), reals(5))),
        ("adam", (reals(5), reals(5)), (reals(5), reals(5))),
        ("descent", (reals(5), reals(5)), (reals(10)[::2],)),
        ("descent", (reals(5).astype("f8"), reals(5)), (reals(5),)),
        ("descent", (reals(5), reals(5)), (reals(5).astype("f8"),)),
    ],
)
def test_other_updates_are_the_rules_own(loop, given, vectors):
    be = Launches("cpu", "float32")

    def rule(*arrays):
        return tuple(a + 1 for a in arrays[-len(vectors) :])

    named = loop and (loop, (0.1, 0.2, 0.3), (TICK, reals(), reals()))
    new = be.elementwise(rule, given, vectors, named)
    assert not be.seen
    assert [a.tolist() for a in new] == [[1.0] * 5] * len(vectors)
