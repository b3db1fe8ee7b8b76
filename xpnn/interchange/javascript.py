"""A program as JavaScript: the loops of the C export, in the words of the other language."""

import base64
import json
import math
import re

from xpnn.interchange.c_writer import Writer, copied
from xpnn.interchange.program import Node, Program, Shape

Names = dict[str, tuple[str, tuple[int, ...]]]

WORDS = (
    (r"\bfor \(int ", "for (let "),
    (r"\bconst (?:int|float) ", "const "),
    (r"\b(?:double|float|int) (?=\w+ = )", "let "),
    (r"\(void\)\w+;", ""),
    (r"\((?:float|int)\)", ""),
    (r"(?<![\w.])(\d+(?:\.\d*)?(?:e[-+]?\d+)?)f\b", r"\1"),
    (r"\b(tanh|exp|log|log1p|expm1|sqrt)f?\(", r"Math.\1("),
    (r"\bfabsf\(", "Math.abs("),
    (r"\bfmaxf\(", "Math.max("),
    (r"-INFINITY", "-Infinity"),
)
"""What C writes differently from JavaScript, and how it becomes JavaScript."""
ARRAYS = re.compile(r"\bfloat ((?:\w+\[\d+\](?:, )?)+);")
PRELUDE = """
function div_(a, b) { return Math.trunc(a / b); }
function sigmoid_(x) { return 1 / (1 + Math.exp(-x)); }
function softplus_(x) { return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))); }
function clip_(x, low, high) { return x < low ? low : x > high ? high : x; }
function erff(x) {  // e^(-x^2) 2 / sqrt(pi) times the sum of 2^n x^(2n+1) / (1 3 5 ... (2n+1)), all of one sign
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x, sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) sum += term *= 2 * x * x / (2 * n + 1);
  return sum * Math.exp(-x * x) * 2 / Math.sqrt(Math.PI);
}
function floats(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer), out = new Float32Array(bytes.length / 4);
  for (let i = 0; i < out.length; i++) out[i] = view.getFloat32(4 * i, true);
  return out;
}
"""


def translated(line: str) -> str:
    """A line of C as JavaScript."""
    line = ARRAYS.sub(
        lambda m: "const " + re.sub(r"(\w+)\[(\d+)\]", r"\1 = new Float32Array(\2)", m[1]) + ";", line
    )
    for pattern, word in WORDS:
        line = re.sub(pattern, word, line)
    return line.rstrip()


def script(program: Program, names: Names | None = None) -> str:
    """A function predict(x) for one sample of one input and one output, with its weights.

    names: {path of a layer: (its name, the shape of its result)}; those have their values in an array `layers`.
    """
    writer = Writer(program)
    body = [translated(line) for node in program.nodes for line in writer.lines(node)]
    (word,) = (writer.words[name] for name, _, _ in program.inputs)
    ((name, _),) = program.outputs
    size = writer.size(name)
    end = [
        f"const out = new Float32Array({size});",
        translated(copied("out", writer.word(name), size)),
        "return out;",
    ]
    flat, cuts, at = b"", [], 0
    for constant, a in writer.weights.values():
        flat += a.astype("<f4").tobytes()
        cuts.append(f"const {constant} = weights.subarray({at}, {at + a.size});")
        at += a.size
    buffers = [f"const {one} = new Float32Array({n});" for one, n in writer.buffers.items()]
    lines = [
        PRELUDE.strip(), f'const weights = floats("{base64.b64encode(flat).decode()}");', *cuts, *buffers,
        f"const layers = [{', '.join(shown(writer, names or {}))}];",
        f"function predict({word}) {{", *(f"  {line}" for line in [*body, *end] if line.strip()), "}",
    ]  # fmt: skip
    return "\n".join(lines)


def shown(writer: Writer, names: Names) -> list[str]:
    """An object for each layer with values of its own: its name, shape, where they lie, and its weights as pictures.

    The weights are shown of a layer that stands on the picture itself: of each of its units the kernel, or a number
    for each pixel.
    """
    found: dict[str, str] = {}
    picture = writer.program.inputs[0][2]
    seen: set[str] = {writer.words[writer.program.inputs[0][0]]}
    for node in writer.program.nodes:
        path, word = node.path.split(".")[0], writer.words.get(node.outputs[0], "")
        if path not in names or word not in writer.buffers or word in seen:
            continue
        name, shape = names[path]
        size = tuple(writer.shape(node.outputs[0])[1:])
        if math.prod(size) != math.prod(shape) or len(shape) not in (1, 3):
            continue
        first = len(shape) == 3 and size != tuple(shape)
        about = {"name": f"{path} {name}", "shape": list(shape), "first": first}
        about["form"] = list(shape) if len(shape) == 3 else [1, 1, *shape]
        found[path] = f"{{...{json.dumps(about)}, values: {word}{weights(writer, node, picture)}}}"
    return list(found.values())


def weights(writer: Writer, node: Node, picture: Shape) -> str:
    """The weights of a Gemm on all pixels, or of a Conv on their channels; nothing for other nodes."""
    if (
        node.kind not in ("Gemm", "MatMul", "Conv")
        or node.inputs[1] not in writer.weights
        or len(picture) != 3
    ):
        return ""
    W = writer.weights[node.inputs[1]]
    if node.kind == "Conv" and W[1].ndim == 4 and W[1].shape[1] == picture[2]:
        form = [*W[1].shape[2:], W[1].shape[1]]
    elif node.kind != "Conv" and W[1].shape[0] == math.prod(picture):
        form = list(picture)
    else:
        return ""
    kernel = node.kind == "Conv"
    about = {"form": form, "count": int(W[1].shape[0 if kernel else -1]), "kernel": kernel}
    return f", weights: {{...{json.dumps(about)}, values: {W[0]}}}"
