"""The CUDA sources beside this file: which kernel lies in which, and the text that NVRTC compiles."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
REAL = {"float32": "float", "float64": "double"}


@dataclass(frozen=True)
class Kernel:
    """The name of a kernel's file, without .cu, and the shape of its blocks of threads."""

    file: str
    block: tuple[int, ...] = (256,)


KERNELS = {
    **dict.fromkeys(("relu", "relu_grad", "sigmoid", "softplus", "mask", "add_bias"), Kernel("pointwise")),
    **dict.fromkeys(("uniform", "keep_mask", "normal"), Kernel("draws")),
    **dict.fromkeys(("rows_at", "take_bytes", "take_reals"), Kernel("take")),
    **dict.fromkeys(("softmax", "softmax_cross_entropy", "total"), Kernel("softmax", (512,))),
    **dict.fromkeys(("lstm_step", "lstm_step_grad"), Kernel("gates")),
    "column_sums": Kernel("columns", (32, 32)),
    **dict.fromkeys(("squares", "gain_and_bias"), Kernel("batch_norm", (32, 32))),
    **dict.fromkeys(("normalize", "normalize_grad"), Kernel("batch_norm")),
    **dict.fromkeys(("all_finite", "all_good"), Kernel("finite", (512,))),
    **dict.fromkeys(("descent", "momentum", "adam"), Kernel("update")),
    **dict.fromkeys(("im2col", "col2im"), Kernel("windows")),
    **dict.fromkeys(("max_pool", "max_pool_grad", "sum_pool", "sum_pool_grad"), Kernel("pool")),
    **dict.fromkeys(("conv1", "conv1_dw"), Kernel("conv1", (32, 8))),
}


@functools.cache
def text(file: str, dtype: str, defines: tuple[tuple[str, int], ...] = ()) -> str:
    """The source of a file for numbers of `dtype`, with its includes, and with the given macros defined."""
    macros = "".join(f"#define {name} {value}\n" for name, value in defines)
    return f"{macros}typedef {REAL[dtype]} real;\n" + expanded(f"{file}.cu", set())


def expanded(name: str, seen: set[str]) -> str:
    """The text of a file with each `#include` replaced by the file it names, or by nothing if that is in already."""
    if name in seen:
        return ""
    seen.add(name)
    lines = []
    for number, line in enumerate((FOLDER / name).read_text().splitlines(), 1):
        found = re.fullmatch(r'#include "([\w.]+)"', line)
        lines.append(f'{expanded(found[1], seen)}#line {number + 1} "{name}"' if found else line)
    return f'#line 1 "{name}"\n' + "\n".join(lines) + "\n"
