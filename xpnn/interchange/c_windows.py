"""Loops of C for convolutions, pooling, padding, enlarging and recurrent layers."""

import math
from collections.abc import Sequence
from typing import Any

Shape = tuple[int, ...]


def three(values: Sequence[int], one: int) -> Sequence[int]:
    """A setting for depth, height and width: images are volumes of one layer, sequences of one row."""
    return (*(one,) * (3 - len(values)), *values)


def volume(shape: Shape) -> Sequence[int]:
    """Channels, depth, height and width of (1, C, positions...)."""
    return (shape[1], *three(shape[2:], 1))


def geometry(a: dict[str, Any]) -> list[tuple[int, int, int, int]]:
    """(taps, stride, pads before, dilation) of each of three axes."""
    k, s, d = a["kernel_shape"], a["strides"], a.get("dilations", [1] * len(a["kernel_shape"]))
    return list(zip(three(k, 1), three(s, 1), three(a["pads"][: len(k)], 0), three(d, 1), strict=True))


def convolution(out: str, names: Sequence[str], shapes: tuple[Shape, Shape], a: dict[str, Any]) -> list[str]:
    """Conv: for each tap, a row of the output at a time."""
    x, W, b = names
    (c, d, h, w), (f, od, oh, ow) = volume(shapes[0]), volume(shapes[1])
    (kd, sd, pd, dd), (kh, sh, ph, dh), (kw, sw, pw, dw) = geometry(a)
    cg, fg, size = c // a["group"], f // a["group"], od * oh * ow
    at = f"(((first + c) * {d} + q) * {h} + y) * {w} + z"
    return [
        f"for (int f = 0; f < {f}; f++) {{",
        f"  const int to = f * {size}, first = div_(f, {fg}) * {cg};",
        f"  for (int i = 0; i < {size}; i++) {out}[to + i] = {b}[f];",
        f"  for (int c = 0; c < {cg}; c++) for (int t = 0; t < {kd}; t++)",
        f"  for (int u = 0; u < {kh}; u++) for (int v = 0; v < {kw}; v++) {{",
        f"    const float k = {W}[(((f * {cg} + c) * {kd} + t) * {kh} + u) * {kw} + v];",
        f"    for (int o = 0; o < {od}; o++) for (int i = 0; i < {oh}; i++) {{",
        f"      const int q = o * {sd} + t * {dd} - {pd}, y = i * {sh} + u * {dh} - {ph};",
        f"      if (q < 0 || q >= {d} || y < 0 || y >= {h}) continue;",
        f"      for (int j = 0; j < {ow}; j++) {{",
        f"        const int z = j * {sw} + v * {dw} - {pw};",
        f"        if (z >= 0 && z < {w}) {out}[to + (o * {oh} + i) * {ow} + j] += k * {x}[{at}];",
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
    (c, d, h, w), (f, od, oh, ow) = volume(shapes[0]), volume(shapes[1])
    (kd, sd, pd, dd), (kh, sh, ph, dh), (kw, sw, pw, dw) = geometry(a)
    cg, fg, size = c // a["group"], f // a["group"], od * oh * ow
    return [
        f"for (int f = 0; f < {f}; f++) for (int i = 0; i < {size}; i++) {out}[f * {size} + i] = {b}[f];",
        f"for (int c = 0; c < {c}; c++) for (int f = 0; f < {fg}; f++) for (int t = 0; t < {kd}; t++)",
        f"for (int u = 0; u < {kh}; u++) for (int v = 0; v < {kw}; v++) {{",
        f"  const float k = {W}[(((c * {fg} + f) * {kd} + t) * {kh} + u) * {kw} + v];",
        f"  const int to = (div_(c, {cg}) * {fg} + f) * {size};",
        f"  for (int o = 0; o < {d}; o++) for (int i = 0; i < {h}; i++) for (int j = 0; j < {w}; j++) {{",
        f"    const int q = o * {sd} + t * {dd} - {pd};",
        f"    const int y = i * {sh} + u * {dh} - {ph}, z = j * {sw} + v * {dw} - {pw};",
        f"    if (q >= 0 && q < {od} && y >= 0 && y < {oh} && z >= 0 && z < {ow})",
        f"      {out}[to + (q * {oh} + y) * {ow} + z] += k * {x}[((c * {d} + o) * {h} + i) * {w} + j];",
        "  }",
        "}",
    ]


def pool(out: str, x: str, shapes: tuple[Shape, Shape], a: dict[str, Any], *, largest: bool) -> list[str]:
    """MaxPool, or AveragePool with its pads left out or counted as zeros."""
    (c, d, h, w), (_, od, oh, ow) = volume(shapes[0]), volume(shapes[1])
    (kd, sd, pd, dd), (kh, sh, ph, dh), (kw, sw, pw, dw) = geometry(a)
    counted = bool(a.get("count_include_pad"))
    back, bottom, right = three(a["pads"][len(a["kernel_shape"]) :], 0)
    count = [f"    if (q < {d + back} && y < {h + bottom} && z < {w + right}) n++;"] if counted else []
    step = "if (e > best) best = e;" if largest else "best += e;" if counted else "best += e; n++;"
    end = "best" if largest else "best / n"
    return [
        f"for (int c = 0; c < {c}; c++) for (int o = 0; o < {od}; o++)",
        f"for (int i = 0; i < {oh}; i++) for (int j = 0; j < {ow}; j++) {{",
        f"  float best = {'-INFINITY' if largest else '0'}; {'' if largest else 'int n = 0;'}",
        f"  for (int t = 0; t < {kd}; t++) for (int u = 0; u < {kh}; u++) for (int v = 0; v < {kw}; v++) {{",
        f"    const int q = o * {sd} + t * {dd} - {pd};",
        f"    const int y = i * {sh} + u * {dh} - {ph}, z = j * {sw} + v * {dw} - {pw};",
        *count,
        f"    if (q < 0 || q >= {d} || y < 0 || y >= {h} || z < 0 || z >= {w}) continue;",
        f"    const float e = {x}[((c * {d} + q) * {h} + y) * {w} + z];",
        f"    {step}",
        "  }",
        f"  {out}[((c * {od} + o) * {oh} + i) * {ow} + j] = {end};",
        "}",
    ]


def shown(i: int, n: int, before: int, mode: str) -> str:
    """Which of n values place i of a padded axis shows."""
    if mode == "edge":
        at = f"i{i} - {before}"
        return f"const int a{i} = {at} < 0 ? 0 : {at} < {n} ? {at} : {n - 1};"
    period = n if mode == "wrap" else max(2 * n - 2, 1)
    at = f"(i{i} + {-before % period}) % {period}"
    return f"const int a{i} = {at} < {n} ? {at} : {period} - {at};"


def response(out: str, x: str, shape: Shape, a: dict[str, Any]) -> list[str]:
    """LRN: each value over a power of the sum of its neighbours' squares, from channel to channel."""
    c, n, size = shape[1], math.prod(shape[2:]), a["size"]
    scale, before, after = a["alpha"] / size, (size - 1) // 2, size // 2
    return [
        f"for (int c = 0; c < {c}; c++) for (int i = 0; i < {n}; i++) {{",
        "  float s = 0;",
        f"  for (int d = c - {before}; d <= c + {after}; d++)",
        f"    if (d >= 0 && d < {c}) s += {x}[d * {n} + i] * {x}[d * {n} + i];",
        f"  {out}[c * {n} + i] = {x}[c * {n} + i] * expf(-{a['beta']!r}f * logf({a['bias']!r}f + {scale!r}f * s));",
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
