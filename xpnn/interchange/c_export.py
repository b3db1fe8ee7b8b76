"""A trained model as one C header: float32, C99, no allocation, nothing beside the mathematics library."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from xpnn.durable import write_durably
from xpnn.interchange.c_writer import Writer, copied, number
from xpnn.interchange.program import Host, Program, inputs_in_words
from xpnn.interchange.trace import names_of, program_of
from xpnn.system import user_path

if TYPE_CHECKING:
    from xpnn.model import Model

INPUTS = {"float32": "float", "uint8": "unsigned char", "int64": "int"}
HEAD = """/* What the model {name} predicts, for one sample at a time. Written by xpnn {version}.

   {what}
   {name}_predict({arguments}) fills {outputs}.
   It allocates nothing and keeps its working memory, {memory} bytes, in static arrays: call it from one thread.
   Needs the C library alone: cc -O2 program.c -lm */
#ifndef XPNN_{upper}_H
#define XPNN_{upper}_H
#include <math.h>

static inline int div_(int a, int b) {{ return a / b; }}
static inline float sigmoid_(float x) {{ return 1 / (1 + expf(-x)); }}
static inline float softplus_(float x) {{ return fmaxf(x, 0) + log1pf(expf(-fabsf(x))); }}
static inline float clip_(float x, float low, float high) {{ return x < low ? low : x > high ? high : x; }}
"""


def save_c(
    model: "Model",
    path: str | Path,
    *,
    channels: str = "last",
    probabilities: bool | None = None,
    preprocessing: bool = True,
    classes: Sequence[str] = (),
) -> Program:
    """Write `model` to a C header NAME.h with a function NAME_predict(x, ..., y, ...) for one sample.

    The weights are in it as float32. The settings are those of `save_onnx`; names of the classes become the array
    NAME_classes. Raises UsageError for what cannot be written, and FileError.
    """
    path = user_path(path)
    program = program_of(model, channels=channels, probabilities=probabilities, preprocessing=preprocessing)
    write_durably(
        path, header(program, re.sub(r"\W", "_", path.stem), list(names_of(model, classes))).encode()
    )
    return program


def header(program: Program, name: str, classes: Sequence[str]) -> str:
    """The text of the file."""
    from xpnn import __version__

    writer = Writer(program)
    body = [line for node in program.nodes for line in writer.lines(node)]
    inputs = [(writer.words[one], dtype, shape) for one, dtype, shape in program.inputs]
    outputs = [(f"out{i}", shape) for i, (_, shape) in enumerate(program.outputs)]
    taken = [f"const {INPUTS[dtype]} *{word}" for word, dtype, _ in inputs]
    arguments = ", ".join([*taken, *(f"float *{word}" for word, _ in outputs)])
    copies = [
        copied(word, writer.word(one), math.prod(shape))
        for (one, shape), (word, _) in zip(program.outputs, outputs, strict=True)
    ]
    what = "; ".join(f"{word}: {INPUTS[dtype]}[{math.prod(shape)}], {shape}" for word, dtype, shape in inputs)
    about = inputs_in_words(program)
    text = HEAD.format(
        name=name, version=__version__, what=f"It takes {what}.{about}", arguments=arguments, upper=name.upper(),
        outputs=", ".join(f"{word} with {math.prod(shape)} numbers" for word, shape in outputs),
        memory=f"{4 * sum(writer.buffers.values()):,}",
    )  # fmt: skip
    names = ", ".join(quoted(one) for one in classes)
    parts = [text]
    if classes:
        parts.append(f"static const char *const {name}_classes[{len(classes)}] = {{{names}}};\n")
    parts += [constant(word, a) for word, a in writer.weights.values()]
    buffers = [f"static float {word}[{size}];" for word, size in writer.buffers.items()]
    lines = [*buffers, *body, *copies]
    unused = [f"(void){word};" for word, _, _ in inputs if not re.search(rf"\b{word}\b", "\n".join(lines))]
    inside = "\n".join(f"  {line}" for line in [*unused, *lines])
    return "\n".join([*parts, f"static void {name}_predict({arguments}) {{\n{inside}\n}}\n#endif\n"])


def quoted(word: str) -> str:
    """A C string; what is not ASCII is written byte by byte."""
    return (
        '"'
        + "".join(chr(c) if 32 <= c < 127 and c not in b'"\\?' else f"\\{c:03o}" for c in word.encode())
        + '"'
    )


def constant(word: str, a: Host) -> str:
    """An array of numbers that read back as the same float32."""
    numbers = [number(float(v)) for v in a.reshape(-1)]
    lines = [", ".join(numbers[i : i + 8]) for i in range(0, len(numbers), 8)]
    return f"static const float {word}[{a.size}] = {{\n" + ",\n".join(lines) + "\n};\n"
