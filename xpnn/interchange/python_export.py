"""A trained model as one Python file that needs NumPy alone."""

import base64
import inspect
import json
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpnn.durable import write_durably
from xpnn.interchange.interpret import NEEDS, find, function_of, settings_of
from xpnn.interchange.program import Host, Node, Program, inputs_in_words
from xpnn.interchange.sequence_rows import Body
from xpnn.interchange.trace import names_of, program_of
from xpnn.printing import in_comment
from xpnn.system import user_path

if TYPE_CHECKING:
    from xpnn.model import Model

ARITHMETIC = {
    "Add": "{} + {}",
    "Sub": "{} - {}",
    "Mul": "{} * {}",
    "Div": "{} / {}",
    "MatMul": "{} @ {}",
    "Greater": "{} > {}",
    "Equal": "{} == {}",
    "And": "{} & {}",
    "Not": "~{}",
    "Neg": "-{}",
    "Tanh": "np.tanh({})",
    "Exp": "np.exp({})",
    "Sqrt": "np.sqrt({})",
    "Abs": "np.abs({})",
    "Cos": "np.cos({})",
    "Sin": "np.sin({})",
    "Range": "np.arange({}, {}, {})",
    "Identity": "{}",
}
"""Operations that need no function of their own."""
HEAD = '''"""{title}

Written by xpnn {version}; needs NumPy alone. {what}

    python {name}.py samples.npy        prints the most likely class, or the numbers, of each sample
"""

import math
import sys
{imports}from typing import Any

import numpy as np

{classes}
'''
TAIL = """

if __name__ == "__main__":
    answers = predict(*(np.load(file) for file in sys.argv[1:]))
    for row in answers:
        best = int(np.argmax(row)) if row.ndim == 1 and row.size > 1 else None
        print(row if best is None else CLASSES[best] if best < len(CLASSES) else best)
"""


def save_python(
    model: "Model",
    path: str | Path,
    *,
    channels: str = "last",
    probabilities: bool | None = None,
    preprocessing: bool = True,
    classes: Any = (),
    beside: bool = False,
) -> Program:
    """Write `model` to a Python file with a function predict(x, ...), for any number of samples.

    Its weights are in the file as base64, or with beside=True in NAME.weights beside it, as float32. The other settings
    are those of `save_onnx`. Raises UsageError for a layer that cannot be written, and FileError.
    """
    path = user_path(path)
    program = program_of(model, channels=channels, probabilities=probabilities, preprocessing=preprocessing)
    text, flat = source(program, path.stem, tuple(names_of(model, classes)), beside)
    if beside:
        write_durably(path.with_suffix(".weights"), flat)
    write_durably(path, text.encode())
    return program


def source(program: Program, name: str, classes: tuple[str, ...], beside: bool) -> tuple[str, bytes]:
    """The text of the file, and the bytes of the weights."""
    from xpnn import __version__

    writer = Writer(program)
    body = [line for node in program.nodes for line in writer.lines(node)]
    arguments = ", ".join(writer.words[one] for one, _, _ in program.inputs)
    results = ", ".join(writer.words[one] for one, _ in program.outputs)
    what = "; ".join(f"{n}: {dtype} (N, {', '.join(map(str, shape))})" for n, dtype, shape in program.inputs)
    head = HEAD.format(
        title=f"What the model {in_comment(name)} predicts.", version=__version__,
        what=in_comment(f"It takes {what}.{inputs_in_words(program)}"), name=in_comment(name),
        imports="from pathlib import Path\n" if beside else "import base64\n",
        classes=f"CLASSES: Any = {list(classes)!r}",
    )  # fmt: skip
    flat = b"".join(a.astype("<f4").tobytes() for a in writer.weights.values())
    shapes = "\n".join(f"    {json.dumps(key)}: {a.shape}," for key, a in writer.weights.items())
    data = 'Path(__file__).with_suffix(".weights").read_bytes()'
    if not beside:
        lines = textwrap.wrap(base64.b64encode(flat).decode(), 100)
        data = 'base64.b64decode(\n    """\n' + "\n".join(lines) + '\n"""\n)'
    parts = [
        head, f"SHAPES: Any = {{\n{shapes}\n}}", f"DATA = {data}", CUT, *writer.functions(),
        f'def predict({arguments}):\n    """{results} of any number of samples."""\n'
        + "\n".join(f"    {line}" for line in body) + f"\n    return {results}",
    ]  # fmt: skip
    return "\n\n".join(part.strip("\n") for part in parts) + "\n" + TAIL, flat


CUT = """W: Any = {}
for key, size in SHAPES.items():
    n = math.prod(size)
    W[key], DATA = np.frombuffer(DATA[: 4 * n], "<f4").reshape(size), DATA[4 * n :]
"""


class Writer:
    """Lines of Python for the nodes of a program, with a short word for each value."""

    def __init__(self, program: Program) -> None:
        self.constants = program.constants
        self.weights: dict[str, Host] = {}
        self.words: dict[str, str] = {}
        self.used: dict[str, None] = {}
        self.count = 0
        for name, _, _ in program.inputs:
            self.words[name] = re.sub(r"\W", "_", name)
        for name, _ in program.outputs:
            self.words[name] = (
                "y_" + re.sub(r"\W", "_", name) if name in self.words else re.sub(r"\W", "_", name)
            )

    def word(self, name: str) -> str:
        """How the file calls a value or writes a constant."""
        if name in self.words:
            return self.words[name]
        if name not in self.constants:
            self.count += 1
            self.words[name] = f"h{self.count}"
            return self.words[name]
        a = self.constants[name]
        if a.dtype == np.int64:
            return repr(a.tolist())
        if a.size == 1 and a.dtype == np.float32 and a.ndim == 0:
            return repr(float(str(a[()])))
        self.weights[name] = a.astype(np.float32)
        key = json.dumps(name)
        return f"W[{key}]" if a.dtype == np.float32 else f"(W[{key}] > 0)"

    def lines(self, node: Node) -> list[str]:
        """Write the lines of one node."""
        if node.kind == "Scan":
            return self.loop(node)
        inputs = [self.word(name) for name in node.inputs if name]
        call = self.call(node, inputs)
        results = ", ".join(self.word(name) for name in node.outputs)
        layer = f"  # layer {in_comment(node.path)}" if node.path else ""
        return [f"{results} = {call}{layer}"]

    def call(self, node: Node, inputs: list[str]) -> str:
        """Write the right side of an assignment."""
        if node.kind in ARITHMETIC:
            return ARITHMETIC[node.kind].format(*inputs)
        name = function_of(node.kind)
        self.need(name)
        settings = [f"{key}={value!r}" for key, value in settings_of(node).items()]
        return f"{name}({', '.join([*inputs, *settings])})"

    def need(self, name: str) -> None:
        """A function, and those that it calls."""
        for other in NEEDS.get(name, []):
            self.need(other)
        self.used[name] = None

    def functions(self) -> list[str]:
        """Return the source of the functions that are called."""
        return [inspect.getsource(find(name)).rstrip() for name in self.used]

    def loop(self, node: Node) -> list[str]:
        """A Scan: its body becomes a function."""
        body: Body = node.attributes["body"]
        self.need("scan")
        n = len(body.inputs) - 2
        step = f"step{len(self.words)}"
        arguments = ", ".join(self.word(name) for name in body.inputs)
        inside = [line for one in body.nodes for line in self.lines(one)]
        given = ", ".join(self.word(name) for name in body.outputs)
        states = ", ".join(self.word(name) for name in node.inputs[:n])
        series = ", ".join(self.word(name) for name in node.inputs[n:])
        results = ", ".join(self.word(name) for name in node.outputs)
        reverse = bool(node.attributes["scan_input_directions"][0])
        return [
            f"def {step}({arguments}):",
            *(f"    {line}" for line in inside),
            f"    return {given}",
            "",
            f"{results} = scan({step}, [{states}], [{series}], reverse={reverse})",
        ]
