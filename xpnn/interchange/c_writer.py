"""Lines of C for the nodes of a program, for one sample, with every size written out."""

import math
import re
from typing import Any

import numpy as np

from xpnn.errors import UsageError
from xpnn.interchange import c_loops as loops
from xpnn.interchange import c_windows as windows
from xpnn.interchange.interpret import run
from xpnn.interchange.program import Host, Node, Program
from xpnn.interchange.sequence_rows import Body
from xpnn.layers.lengths import is_open
from xpnn.printing import in_comment

POINTWISE = {
    "Add": "{0} + {1}",
    "Sub": "{0} - {1}",
    "Mul": "{0} * {1}",
    "Div": "{0} / {1}",
    "Greater": "{0} > {1}",
    "Equal": "{0} == {1}",
    "And": "({0} != 0) && ({1} != 0)",
    "Not": "{0} == 0",
    "Neg": "-{0}",
    "Tanh": "tanhf({0})",
    "Exp": "expf({0})",
    "Sqrt": "sqrtf({0})",
    "Abs": "fabsf({0})",
    "Erf": "erff({0})",
    "Cast": "(float){0}",
    "Relu": "{0} > 0 ? {0} : 0",
    "Sigmoid": "sigmoid_({0})",
    "Softplus": "softplus_({0})",
    "Softsign": "{0} / (1 + fabsf({0}))",
    "Mish": "{0} * tanhf(softplus_({0}))",
    "HardSwish": "{0} * clip_({0} / 6 + 0.5f, 0, 1)",
    "Selu": "1.05070098f * ({0} > 0 ? {0} : 1.67326324f * expm1f({0}))",
    "PRelu": "{0} > 0 ? {0} : {1} * {0}",
    "Clip": "clip_({0}, {1}, {2})",
    "Where": "{0} != 0 ? {1} : {2}",
}
SET = {
    "LeakyRelu": "{0} > 0 ? {0} : ALPHA * {0}",
    "Elu": "{0} > 0 ? {0} : ALPHA * expm1f({0})",
    "Celu": "{0} > 0 ? {0} : ALPHA * expm1f({0} / ALPHA)",
    "HardSigmoid": "clip_(ALPHA * {0} + BETA, 0, 1)",
}
"""With settings of their own."""
SAME = ("Identity", "Reshape", "Unsqueeze")
"""Another name for the same numbers."""


def copied(out: str, x: str, n: int, *, to: str = "", of: str = "") -> str:
    """n numbers from one array to another."""
    return f"for (int i = 0; i < {n}; i++) {out}[{to}i] = {x}[{of}i];"


def number(value: float) -> str:
    """A float as C writes it."""
    text = f"{value:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


class Writer:
    """Lines of C for the nodes, with the shape of every value for one sample."""

    def __init__(self, program: Program) -> None:
        if is_open(tuple(shape for _, _, shape in program.inputs)):
            raise UsageError(
                "the network takes sequences of any length: C and the page need one",
                why="every size is written out there",
                fix="export the same layers made with a length in input_shape, with these parameters",
            )
        self.program = program
        self.weights: dict[str, tuple[str, Host]] = {}
        self.buffers: dict[str, int] = {}
        self.sizes: set[str] = set()
        self.words = {name: re.sub(r"\W", "_", name) for name, _, _ in program.inputs}
        self.values = run(
            program, {name: np.zeros((1, *shape), dtype) for name, dtype, shape in program.inputs}
        )

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a value, the axis of the one sample included."""
        return tuple(np.shape(self.values[name]))

    def size(self, name: str) -> int:
        """The number of its elements."""
        return int(np.size(self.values[name]))

    def word(self, name: str) -> str:
        """How the file calls a value or a constant."""
        if name in self.words:
            return self.words[name]
        if name not in self.program.constants:
            self.words[name] = f"h{len(self.words)}"
            self.buffers[self.words[name]] = max(1, self.size(name))
            return self.words[name]
        if name not in self.weights:
            self.weights[name] = f"w{len(self.weights)}", np.asarray(self.program.constants[name], np.float32)
        return self.weights[name][0]

    def operand(self, name: str) -> tuple[str, tuple[int, ...]]:
        """A value with its shape."""
        return self.word(name), self.shape(name)

    def lines(self, node: Node) -> list[str]:
        """Write the lines of one node."""
        if node.kind == "Shape" or all(self.is_sizes(name) for name in node.inputs if name):
            self.sizes |= set(node.outputs)
            return []
        if node.kind in SAME:
            word = self.word(node.inputs[0])
            self.words[node.outputs[0]] = word
            return []
        if node.kind == "Scan":
            return self.loop(node)
        made = self.make(node)
        if made is None:
            raise UsageError(
                f"layer {node.path or '0'} cannot be written in C",
                why=f"ONNX's {node.kind} has no loops here",
            )
        return [f"/* layer {in_comment(node.path)}: {node.kind} */", *made] if node.path else made

    def make(self, node: Node) -> list[str] | None:
        """The loops of one node; None where there are none."""
        kind, a, names = node.kind, node.attributes, [name for name in node.inputs if name]
        out = [self.word(name) for name in node.outputs]
        shape = self.shape(node.outputs[0])
        words, first = [self.word(name) for name in names if not self.is_sizes(name)], self.shape(names[0])
        if kind in POINTWISE or kind in SET or kind == "Gelu":
            return loops.elementwise(
                out[0], shape, [self.operand(name) for name in names], self.formula(node)
            )
        if kind in ("Sum", "Mean"):
            total = " + ".join(f"{{{i}}}" for i in range(len(names)))
            expression = f"({total}) / {len(names)}" if kind == "Mean" else total
            return loops.elementwise(out[0], shape, [self.operand(name) for name in names], expression)
        if kind == "Expand":
            return [f"for (int i = 0; i < {self.size(node.outputs[0])}; i++) {out[0]}[i] = {words[0]}[0];"]
        if kind == "Gemm":
            lines = loops.product(out[0], words[0], words[1], (first, self.shape(names[1]), shape))
            return [*lines, f"for (int i = 0; i < {shape[-1]}; i++) {out[0]}[i] += {words[2]}[i];"]
        if kind == "MatMul":
            return loops.product(out[0], words[0], words[1], (first, self.shape(names[1]), shape))
        if kind == "Transpose":
            return loops.transposed(out[0], words[0], first, a["perm"])
        if kind in ("ReduceSum", "ReduceMean", "ReduceMax"):
            axes = [int(i) for i in self.program.constants[names[1]]]
            return loops.reduced(out[0], words[0], first, axes, kind)
        if kind == "Hardmax":
            return loops.hardmax(out[0], words[0], first, a["axis"])
        if kind == "Slice":
            start, _, axis, step = (int(self.program.constants[name][0]) for name in names[1:])
            return loops.sliced(out[0], words[0], (first, shape), axis, start, step)
        if kind in ("Softmax", "LogSoftmax"):
            return loops.softmax(out[0], words[0], first, a["axis"], log=kind == "LogSoftmax")
        if kind == "Concat":
            return loops.joined(out[0], [self.operand(name) for name in names], a["axis"])
        if kind == "Split":
            return loops.cut(out, words[0], first, a["axis"])
        return self.over_positions(node, out, words, (first, shape))

    def over_positions(
        self, node: Node, out: list[str], words: list[str], shapes: tuple[Any, Any]
    ) -> list[str] | None:
        """Convolutions and the like."""
        kind, a, (first, shape) = node.kind, node.attributes, shapes
        if kind == "Conv":
            return windows.convolution(out[0], words, shapes, a)
        if kind == "ConvTranspose":
            return windows.transposed_convolution(out[0], words, shapes, a)
        if kind in ("MaxPool", "AveragePool"):
            return windows.pool(out[0], words[0], shapes, a, largest=kind == "MaxPool")
        if kind == "LayerNormalization":
            rows, n = math.prod(first[:-1]), first[-1]
            shift = f"{words[2]}[j]" if len(words) > 2 else "0"
            return loops.normalized(out[0], words[0], rows, n, a["epsilon"], f"{words[1]}[j]", shift)
        if kind == "InstanceNormalization":
            n = math.prod(first[2:])
            return loops.normalized(
                out[0], words[0], first[1], n, a["epsilon"], f"{words[1]}[r]", f"{words[2]}[r]"
            )
        if kind == "Gather":
            n, count = self.shape(node.inputs[0])[-1], self.size(node.inputs[1])
            return [
                f"for (int i = 0; i < {count}; i++) for (int j = 0; j < {n}; j++) "
                f"{out[0]}[i * {n} + j] = {words[0]}[(int){words[1]}[i] * {n} + j];"
            ]
        if kind == "LRN":
            return windows.response(out[0], words[0], first, a)
        if kind == "Pad":
            ends = self.program.constants[node.inputs[1]]
            rank = len(first)
            if "mode" in a:
                sizes = zip(range(rank), first, ends, strict=False)
                places = [windows.shown(i, n, int(before), a["mode"]) for i, n, before in sizes]
                at = " + ".join(f"a{i} * {step}" for i, step in enumerate(loops.strides(first)))
                to = loops.place(shape, rank)
                return loops.nested(shape, [*places, f"{out[0]}[{to}] = {words[0]}[{at}];"])
            to = " + ".join(
                f"(i{i} + {int(ends[i])}) * {step}" for i, step in enumerate(loops.strides(shape))
            )
            move = f"{out[0]}[{to}] = {words[0]}[{loops.place(first, rank)}];"
            value = number(float(self.program.constants[node.inputs[2]])) if len(node.inputs) > 2 else "0"
            clear = f"for (int i = 0; i < {math.prod(shape)}; i++) {out[0]}[i] = {value};"
            return [clear, *loops.nested(first, [move])]
        if kind == "Resize":
            scales = [int(v) for v in self.program.constants[node.inputs[2]]]
            steps = zip(range(len(first)), scales, loops.strides(first), strict=True)
            at = " + ".join(f"div_(i{i}, {s}) * {step}" for i, s, step in steps)
            return loops.nested(shape, [f"{out[0]}[{loops.place(shape, len(shape))}] = {words[0]}[{at}];"])
        if kind in ("LSTM", "GRU", "RNN"):
            return windows.recurrent(kind, out, words, first, self.shape(node.inputs[1])[0], a)
        return None

    def formula(self, node: Node) -> str:
        """The expression of an elementwise operation."""
        a = node.attributes
        if node.kind == "Gelu":
            if a["approximate"] == "tanh":
                return "{0} * (1 + tanhf(0.797884561f * ({0} + 0.044715f * {0} * {0} * {0}))) / 2"
            return "{0} * (1 + erff({0} * 0.707106781f)) / 2"
        if node.kind in POINTWISE:
            return POINTWISE[node.kind]
        text = SET[node.kind].replace("ALPHA", number(float(a.get("alpha", 0))))
        return text.replace("BETA", number(float(a.get("beta", 0))))

    def is_sizes(self, name: str) -> bool:
        """Whether it holds sizes or axes, which are written out."""
        a = self.program.constants.get(name)
        return name in self.sizes or (a is not None and a.dtype == np.int64)

    def loop(self, node: Node) -> list[str]:
        """A Scan: its states and what is collected lie in arrays of their own."""
        body: Body = node.attributes["body"]
        n = len(body.inputs) - 2
        time = self.shape(node.inputs[n])[0]
        reverse = bool(node.attributes["scan_input_directions"][0])
        lines = []
        for old, start in zip(body.inputs[:n], node.inputs[:n], strict=True):
            lines.append(copied(self.word(old), self.word(start), self.size(old)))
        lines.append(f"for (int k = 0; k < {time}; k++) {{")
        lines.append(f"  const int t = {f'{time - 1} - k' if reverse else 'k'};")
        for inner, series in zip(body.inputs[n:], node.inputs[n:], strict=True):
            size = self.size(inner)
            lines.append("  " + copied(self.word(inner), self.word(series), size, of=f"t * {size} + "))
        lines += [f"  {line}" for one in body.nodes for line in self.lines(one)]
        size = self.size(body.outputs[n])
        states = self.word(node.outputs[n])
        lines.append("  " + copied(states, self.word(body.outputs[n]), size, to=f"t * {size} + "))
        for old, new in zip(body.inputs[:n], body.outputs[:n], strict=True):
            lines.append("  " + copied(self.word(old), self.word(new), self.size(old)))
        lines += ["}", f"(void){states};"]
        for old, end in zip(body.inputs[:n], node.outputs[:n], strict=True):
            self.words[end] = self.word(old)
        return lines
