"""The CUDA kernels through NVIDIA's own compiler, which needs no GPU: that they compile, and into what."""

import io
import math
import re
from importlib.metadata import distributions

import pytest

from xpnn.backends.cuda.fused.source import FOLDER, KERNELS, REAL, text

pytest.importorskip("cupy")
HERE = {distribution.name for distribution in distributions()}
pytestmark = [
    pytest.mark.oracle,
    pytest.mark.skipif("nvidia-cuda-nvrtc" not in HERE, reason="nvidia-cuda-nvrtc is not installed"),
]

REGISTERS = 65536
"""Of a multiprocessor: the threads of a block share them."""
PLAIN = sorted({kernel.file for kernel in KERNELS.values()} - {"conv1"})
VARIANTS = [(file, ()) for file in PLAIN] + [
    ("conv1", (("KH", h), ("KW", w))) for h, w in ((1, 1), (2, 3), (3, 3), (5, 5), (7, 7))
]


def compiled(source, arch):
    """{kernel: (registers, bytes spilled)} of a source, from what the assembler says."""
    from cupy.cuda.compiler import _NVRTCProgram

    said = io.StringIO()
    options = ("-std=c++17", f"-arch={arch}", "--ptxas-options=-v")
    _NVRTCProgram(source, "kernels.cu", method="cubin").compile(options=options, log_stream=said)
    assert "warning" not in said.getvalue()
    found = re.findall(
        r"entry function '(\w+)'.*?(\d+) bytes spill stores.*?Used (\d+) registers",
        said.getvalue(),
        re.DOTALL,
    )
    return {name: (int(registers), int(spilled)) for name, spilled, registers in found}


@pytest.mark.parametrize("arch", ["sm_80", "sm_90"])
@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize(("file", "defines"), VARIANTS)
def test_every_file_compiles_and_its_blocks_fit(file, defines, dtype, arch):
    """All kernels of the table, no register spilled to memory, and enough of them for the block that the table says."""
    found = compiled(text(file, dtype, defines), arch)
    assert set(found) == {name for name, kernel in KERNELS.items() if kernel.file == file}
    for name, (registers, spilled) in found.items():
        threads = math.prod(KERNELS[name].block)
        assert spilled == 0, name
        assert -(-registers // 8) * 8 * threads <= REGISTERS, name


def test_a_file_that_does_not_compile_is_found():
    from cupy.cuda.compiler import CompileException

    with pytest.raises(CompileException, match="no_such_number"):
        compiled(text("pointwise", "float32").replace("larger_than_0(sum)", "no_such_number"), "sm_90")


def test_every_source_is_in_the_table():
    assert {path.stem for path in FOLDER.glob("*.cu")} == {kernel.file for kernel in KERNELS.values()}
