"""Loops of C for convolutions, pooling, padding, enlarging and recurrent layers."""

from collections.abc import Sequence
from typing import Any

Shape = tuple[int, ...]


def two(values: Sequence[int], one: int) -> tuple[int, int]:
    """A setting for height and width; of sequences, as of images one row high."""
    return (values[0], values[1]) if len(values) == 2 else (one, values[0])


def image(shape: Shape) -> tuple[int, int, int]:
    """Channels, height and width of (1, C, H, W) or (1, C, L)."""
    return (shape[1], shape[2], shape[3]) if len(shape) == 4 else (shape[1], 1, shape[2])


def geometry(a: dict[str, Any]) -> tuple[int, ...]:
    """Kernel, strides, the pads before, dilations: two of each."""
    k, s, d = a["kernel_shape"], a["strides"], a.get("dilations", [1] * len(a["kernel_shape"]))
    return (*two(k, 1), *two(s, 1), *two(a["pads"][: len(k)], 0), *two(d, 1))


def convolution(out: str, names: Sequence[str], shapes: tuple[Shape, Shape], a: dict[str, Any]) -> list[str]:
    """Conv: for each tap, a row of the output at a time."""
    x, W, b = names
    (c, h, w), (f, oh, ow) = image(shapes[0]), image(shapes[1])
    kh, kw, sh, sw, ph, pw, dh, dw = geometry(a)
    g = a["group"]
    cg, fg = c // g, f // g
    return [
        f"for (int f = 0; f < {f}; f++) {{",
        f"  const int to = f * {oh * ow}, first = div_(f, {fg}) * {cg};",
        f"  for (int i = 0; i < {oh * ow}; i++) {out}[to + i] = {b}[f];",
        f"  for (int c = 0; c < {cg}; c++) for (int u = 0; u < {kh}; u++) for (int v = 0; v < {kw}; v++) {{",
        f"    const float k = {W}[((f * {cg} + c) * {kh} + u) * {kw} + v];",
        f"    for (int i = 0; i < {oh}; i++) {{",
        f"      const int y = i * {sh} + u * {dh} - {ph};",
        f"      if (y < 0 || y >= {h}) continue;",
        f"      for (int j = 0; j < {ow}; j++) {{",
        f"        const int z = j * {sw} + v * {dw} - {pw};",
        f"        if (z >= 0 && z < {w}) {out}[to + i * {ow} + j] += k * {x}[((first + c) * {h} + y) * {w} + z];",
        "      }",
        "    }",
        "  }",
        "}",
    ]


def transposed_convolution(
    out: str, names: Sequence[str], shapes: tuple[Shape, Shape], a: dict[str, Any]
) -> list[str]:
    """ConvTranspose: each input is spread over the outputs that it reaches."""
    x, W, b = names
    (c, h, w), (f, oh, ow) = image(shapes[0]), image(shapes[1])
    kh, kw, sh, sw, ph, pw, dh, dw = geometry(a)
    g = a["group"]
    cg, fg = c // g, f // g
    return [
        f"for (int f = 0; f < {f}; f++) for (int i = 0; i < {oh * ow}; i++) {out}[f * {oh * ow} + i] = {b}[f];",
        f"for (int c = 0; c < {c}; c++) for (int f = 0; f < {fg}; f++)",
        f"for (int u = 0; u < {kh}; u++) for (int v = 0; v < {kw}; v++) {{",
        f"  const float k = {W}[((c * {fg} + f) * {kh} + u) * {kw} + v];",
        f"  const int to = (div_(c, {cg}) * {fg} + f) * {oh * ow};",
        f"  for (int i = 0; i < {h}; i++) for (int j = 0; j < {w}; j++) {{",
        f"    const int y = i * {sh} + u * {dh} - {ph}, z = j * {sw} + v * {dw} - {pw};",
        f"    if (y >= 0 && y < {oh} && z >= 0 && z < {ow})",
        f"      {out}[to + y * {ow} + z] += k * {x}[(c * {h} + i) * {w} + j];",
        "  }",
        "}",
    ]


def pool(out: str, x: str, shapes: tuple[Shape, Shape], a: dict[str, Any], *, largest: bool) -> list[str]:
    """MaxPool, or AveragePool with its pads left out."""
    (c, h, w), (_, oh, ow) = image(shapes[0]), image(shapes[1])
    kh, kw, sh, sw, ph, pw, _, _ = geometry(a)
    step = "if (e > best) best = e;" if largest else "best += e; n++;"
    end = "best" if largest else "best / n"
    return [
        f"for (int c = 0; c < {c}; c++) for (int i = 0; i < {oh}; i++) for (int j = 0; j < {ow}; j++) {{",
        f"  float best = {'-INFINITY' if largest else '0'}; {'' if largest else 'int n = 0;'}",
        f"  for (int u = 0; u < {kh}; u++) for (int v = 0; v < {kw}; v++) {{",
        f"    const int y = i * {sh} + u - {ph}, z = j * {sw} + v - {pw};",
        f"    if (y < 0 || y >= {h} || z < 0 || z >= {w}) continue;",
        f"    const float e = {x}[(c * {h} + y) * {w} + z];",
        f"    {step}",
        "  }",
        f"  {out}[(c * {oh} + i) * {ow} + j] = {end};",
        "}",
    ]


def recurrent(
    kind: str, outs: Sequence[str], names: Sequence[str], shape: Shape, directions: int, a: dict[str, Any]
) -> list[str]:
    """LSTM, GRU or RNN over x (time, 1, n): all states, and the last. The first states are 0, or have names."""
    x, W, R, B, *first = names
    time, _, n = shape
    units, reverse = int(a["hidden_size"]), a["direction"] == "reverse"
    begin = [f"{name}[d * {units} + j]" for name in first] + ["0"] * (2 - len(first))
    g = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
    steps = {
        "RNN": ["s[j] = tanhf(a[j] + b[j]);"],
        "LSTM": [
            f"const float i_ = sigmoid_(a[j] + b[j]), o_ = sigmoid_(a[{units} + j] + b[{units} + j]);",
            f"const float f_ = sigmoid_(a[{2 * units} + j] + b[{2 * units} + j]);",
            f"c[j] = f_ * c[j] + i_ * tanhf(a[{3 * units} + j] + b[{3 * units} + j]);",
            "s[j] = o_ * tanhf(c[j]);",
        ],
        "GRU": [
            f"const float z_ = sigmoid_(a[j] + b[j]), r_ = sigmoid_(a[{units} + j] + b[{units} + j]);",
            f"s[j] = (1 - z_) * tanhf(a[{2 * units} + j] + r_ * b[{2 * units} + j]) + z_ * h[j];",
        ],
    }[kind]
    return [
        f"for (int d = 0; d < {directions}; d++) {{",
        f"  float h[{units}], c[{units}], s[{units}], a[{g * units}], b[{g * units}];",
        f"  for (int j = 0; j < {units}; j++) h[j] = {begin[0]};",
        f"  for (int j = 0; j < {units}; j++) c[j] = {begin[1]};",
        f"  for (int k = 0; k < {time}; k++) {{",
        f"    const int t = {time - 1} - k;"
        if reverse
        else f"    const int t = d == 0 ? k : {time - 1} - k;",
        f"    for (int j = 0; j < {g * units}; j++) {{",
        f"      a[j] = {B}[d * {2 * g * units} + j]; b[j] = {B}[d * {2 * g * units} + {g * units} + j];",
        f"      for (int i = 0; i < {n}; i++) a[j] += {x}[t * {n} + i] * {W}[(d * {g * units} + j) * {n} + i];",
        f"      for (int i = 0; i < {units}; i++) b[j] += h[i] * {R}[(d * {g * units} + j) * {units} + i];",
        "    }",
        f"    for (int j = 0; j < {units}; j++) {{",
        *(f"      {line}" for line in steps),
        "    }",
        f"    for (int j = 0; j < {units}; j++) h[j] = {outs[0]}[(t * {directions} + d) * {units} + j] = s[j];",
        "  }",
        *(
            f"  for (int j = 0; j < {units}; j++) {out}[d * {units} + j] = {state}[j];"
            for out, state in zip(outs[1:], "hc", strict=False)
        ),
        "  (void)c;",
        "}",
        *(f"(void){out};" for out in outs),
    ]
