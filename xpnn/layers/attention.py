"""Attention: every position of a sequence looks at all others, or at those of another sequence."""

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Any

from xpnn.errors import ShapeError, UsageError
from xpnn.initializers import Initializer, glorot_uniform, zeros
from xpnn.kernels import Array
from xpnn.layers.attention_mask import as_rows, mask_spec
from xpnn.layers.base import Ctx, Layer, Shape, Spec, Tree
from xpnn.layers.dense import flat_rows
from xpnn.layers.dropout import Dropout
from xpnn.layers.recurrent import check_sequence
from xpnn.layers.rotary import Base, Layout, rotated
from xpnn.settings import Count, Share

QKV = ("Wq", "Wk", "Wv")


@dataclass(frozen=True)
class MultiHeadAttention(Layer):
    """y = o Wo + bo, with o = softmax(q k^T / sqrt(size)) v in each of the heads, side by side.

    q = x Wq + bq, k = m Wk, v = m Wv + bv, each cut into heads of `size` features (features / heads unless given), v
    into heads of value_size (size unless given). m is x, or with cross=True a second sequence, the memory. k has no
    bias: it would add the same number to all scores of a query, and softmax does not see that. bias=False: no other.
    kv_heads: so many heads of k and v, each shared by heads / kv_heads heads of q in a row.
    Takes x, or a tuple of arrays: (x, memory) with cross=True; (x, mask) with masked=True; (x, memory, mask) with
    both. Shapes: x and y (N, time, features), memory (N, steps, width), mask (N, steps) in the model's dtype, 1 for
    real tokens and 0 for padding, or (N, time, steps), 1 where a query may look at a key; Wq (features, heads size), Wk
    (width, kv_heads size), Wv (width, kv_heads value_size), Wo (heads value_size, features).
    causal: position t sees those up to t alone. attention_mask: (time, steps) of 0 and 1, or True and False, for all
    samples; kept as rows such as "110". A query that may see nothing gets o = 0, and gives no gradient.
    rotary: "half" or "interleaved" rotates q and k by their positions; see `RotaryPositions`, whose base it takes.
    dropout: the rate at which weights, of softmax's, are dropped while training.
    Backward, with a = softmax's weights: dWo = o^T dy, dbo = sum of dy, do = dy Wo^T; dv = a^T do, da = do v^T;
    dz = a (da - sum(a da)); dq = dz k / sqrt(size), dk = dz^T q / sqrt(size); then as for three Dense layers. dx is
    shaped as what came: a tuple for a tuple, None for the mask. Heads of k and v that are shared add up what each use
    sends back; rotated q and k are rotated back.
    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017; dividing by softmax's sum after the product with
    v: Dao, Fu, Ermon, Rudra, Re, "FlashAttention", NeurIPS 2022; shared heads: Ainslie et al., EMNLP 2023.
    """

    trained = True
    heads: Count
    size: Count | None = None
    causal: bool = False
    cross: bool = False
    masked: bool = False
    dropout: Share = 0.0
    init: Initializer = glorot_uniform
    bias_init: Initializer = zeros
    value_size: Count | None = None
    kv_heads: Count | None = None
    bias: bool = True
    rotary: Layout | None = None
    rotary_base: Base = 10000.0
    attention_mask: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "attention_mask", as_rows(self.attention_mask))
        super().__post_init__()
        for name in ("causal", "rotary"):
            if getattr(self, name) and self.cross:
                raise UsageError(
                    f"MultiHeadAttention({name}={getattr(self, name)!r}, cross=True): "
                    f"the memory has no {'future to hide' if name == 'causal' else 'place beside x'}",
                    why="its positions are not those of x",
                )
        if self.heads % self.shared_heads:
            raise UsageError(
                f"MultiHeadAttention(heads={self.heads}, kv_heads={self.kv_heads}): heads are shared in groups of one "
                "size",
                fix="kv_heads that divide heads",
            )

    @functools.cached_property
    def shared_heads(self) -> int:
        """How many heads k and v have."""
        return self.kv_heads or self.heads

    @functools.cached_property
    def multi_input(self) -> bool:
        return self.cross or self.masked

    @functools.cached_property
    def input_kind(self) -> Any:
        kinds = ("float",) * (1 + self.cross) + ("mask",) * self.masked
        return kinds if self.multi_input else "float"

    def plan(self, shape: Any) -> tuple[Tree, Shape]:
        """Four matrices, three biases, a mask for all. Raises ShapeError where sequences, masks or heads do not fit."""
        self._check(shape)
        x, memory, _ = self._inputs(shape)
        size = self.size or x[1] // self.heads
        if self.size is None and x[1] % self.heads:
            raise ShapeError(
                f"has {self.heads} heads, which do not divide {x[1]} features", fix="give a size of your own"
            )
        if self.rotary and size % 2:
            raise ShapeError(f"turns pairs of features, and its heads have {size}", fix="an even size")
        value = self.value_size or size
        q, k, v = self.heads * size, self.shared_heads * size, self.shared_heads * value
        each = zip(QKV, (x[1], memory[1], memory[1]), (q, k, v), strict=True)
        specs = {name: Spec((n, width), self.init) for name, n, width in each}
        specs["Wo"] = Spec((self.heads * value, x[1]), self.init)
        for name, n in (("bq", q), ("bv", v), ("bo", x[1])) if self.bias else ():
            specs[name] = Spec((n,), self.bias_init, decay=False)
        if self.attention_mask is not None:
            specs["mask"] = mask_spec(self.attention_mask, (x[0], memory[0]))
        return specs, x

    def forward(self, cx: Ctx, p: Tree, x: Any) -> tuple[Array, tuple[Any, ...]]:
        """Keeps the inputs, q / sqrt(size), k, v, e^(z - max z), the inverse of its sum, what was dropped, o, and the
        weights.
        """
        x, memory, mask = self._inputs(x)
        given = {"q": x, "kv": memory} if self.cross else {"qkv": x}
        W = {names: self._weights(cx, p, names) for names in (*given, "o")}
        q, k, v = [part for names, a in given.items() for part in self._project(cx, p, W[names], a, names)]
        if self.rotary:
            q, k = (rotated(cx, a, self.rotary, self.rotary_base) for a in (q, k))
        q = self._grouped(cx, q * (1 / math.sqrt(q.shape[3])))
        z = self._apart(cx, cx.be.matmul(q, cx.be.xp.matrix_transpose(k)))
        e, r = exponentials(cx, z, self._visible(cx, p, z, mask))
        dropped, kept = self._dropout().forward(cx, {}, e)
        o = beside(cx, self._apart(cx, cx.be.matmul(self._grouped(cx, dropped), v)) * r)
        y = cx.be.affine(o, W["o"], p["bo"]) if self.bias else cx.be.matmul(o, W["o"])
        return y, (x, memory, q, k, v, e, r, kept, o, W)

    def backward(self, cx: Ctx, p: Tree, cache: tuple[Any, ...], dy: Array) -> tuple[Any, Tree]:
        """Line by line as above, with a = e r and r taken into do. Hidden scores have e = 0, and so dz = 0."""
        x, memory, q, k, v, e, r, kept, o, W = cache
        xp, product, t = cx.be.xp, cx.be.matmul, cx.be.xp.matrix_transpose
        do, dWo, dbo = cx.be.affine_grads(flat_rows(cx.be, o), W["o"], flat_rows(cx.be, dy))
        do = self._grouped(cx, cut(cx, xp.reshape(do, o.shape), self.heads) * r)
        grads = {"Wo": dWo, "bo": dbo} if self.bias else {"Wo": dWo}
        dv = product(t(self._grouped(cx, self._dropout().backward(cx, {}, kept, e)[0])), do)
        da, _ = self._dropout().backward(cx, {}, kept, self._apart(cx, product(do, t(v))))
        dz = self._grouped(cx, e * (da - xp.sum(e * da, axis=-1, keepdims=True) * r))
        dq, dk = self._apart(cx, product(dz, k)) * (1 / math.sqrt(q.shape[3])), product(t(dz), q)
        if self.rotary:
            dq, dk = (rotated(cx, a, self.rotary, self.rotary_base, back=True) for a in (dq, dk))
        if not self.cross:
            dx, more = self._project_back(cx, W["qkv"], x, "qkv", (dq, dk, dv))
            return ((dx, None) if self.masked and cx.need_dx else dx), grads | more
        dx, more = self._project_back(cx, W["q"], x, "q", (dq,))
        dm, rest = self._project_back(cx, W["kv"], memory, "kv", (dk, dv))
        nones = (None,) if self.masked else ()
        return ((dx, dm, *nones) if cx.need_dx else None), grads | more | rest

    def _dropout(self) -> Dropout:
        return Dropout(self.dropout)

    def _inputs(self, given: Any) -> tuple[Any, Any, Any]:
        """(x, memory, mask or None), of arrays or of shapes."""
        parts = given if self.multi_input else (given,)
        return parts[0], parts[1 if self.cross else 0], parts[-1] if self.masked else None

    def _check(self, shape: Any) -> None:
        """Raise ShapeError unless these are the shapes of the inputs."""
        names = ("x",) + ("memory",) * self.cross + ("mask",) * self.masked
        inputs = tuple(shape) if len(names) > 1 else (shape,)
        flat = all(isinstance(part, tuple) and all(isinstance(n, int) for n in part) for part in inputs)
        if len(inputs) != len(names) or not flat:
            raise ShapeError(f"takes {' and '.join(names)}", why=f"got {shape}")
        for sequence in inputs[: 1 + self.cross]:
            check_sequence(sequence)
        (time, _), (steps, _), mask = self._inputs(shape)
        if mask is not None and mask not in ((steps,), (time, steps)):
            raise ShapeError(
                f"wants a mask for {steps} steps, or for {time} times and {steps} steps",
                why=f"got {mask}",
            )

    def _grouped(self, cx: Ctx, a: Array) -> Array:
        """(N, heads, time, n) -> (N, kv_heads, heads / kv_heads time, n): queries of one head of k and v in a row."""
        if self.shared_heads == self.heads:
            return a
        return cx.be.xp.reshape(a, (a.shape[0], self.shared_heads, -1, a.shape[3]))

    def _apart(self, cx: Ctx, a: Array) -> Array:
        """The inverse of `_grouped`."""
        if self.shared_heads == self.heads:
            return a
        return cx.be.xp.reshape(a, (a.shape[0], self.heads, -1, a.shape[3]))

    def _weights(self, cx: Ctx, p: Tree, names: str) -> Array:
        """W of the named projections, side by side."""
        return (
            cx.be.xp.concat([p[f"W{name}"] for name in names], axis=1) if len(names) > 1 else p[f"W{names}"]
        )

    def _project(self, cx: Ctx, p: Tree, W: Array, x: Array, names: str) -> list[Array]:
        """Project x to those of q, k and v that are named, split into heads."""
        widths = [p[f"W{name}"].shape[1] for name in names]
        if self.bias:
            none = cx.be.zeros((p["Wk"].shape[1],))
            y = cx.be.affine(
                x, W, cx.be.xp.concat([none if name == "k" else p[f"b{name}"] for name in names])
            )
        else:
            y = cx.be.matmul(x, W)
        heads = (self.heads if name == "q" else self.shared_heads for name in names)
        return [cut(cx, part, n) for part, n in zip(slices(y, widths), heads, strict=True)]

    def _project_back(self, cx: Ctx, W: Array, x: Array, names: str, heads: tuple[Array, ...]) -> Any:
        """dx and the gradients of the named projections."""
        each = [beside(cx, a) for a in heads]
        widths = [a.shape[2] for a in each]
        rows = flat_rows(cx.be, cx.be.xp.concat(each, axis=-1))
        dx, dW, db = cx.be.affine_grads(flat_rows(cx.be, x), W, rows, need_dx=cx.need_dx)
        grads = {f"W{name}": g for name, g in zip(names, slices(dW, widths), strict=True)}
        if self.bias:
            grads = grads | {
                f"b{name}": g for name, g in zip(names, slices(db, widths), strict=True) if name != "k"
            }
        return (dx if dx is None else cx.be.xp.reshape(dx, x.shape)), grads

    def _visible(self, cx: Ctx, p: Tree, z: Array, mask: Array | None) -> Array | None:
        """What a query may see, broadcast against z (N, heads, time, steps); None for everything."""
        seen = (
            None if mask is None else (mask[:, None, None, :] if mask.ndim == 2 else mask[:, None, :, :]) > 0
        )
        if self.causal:
            past = cx.be.arange(z.shape[2])[:, None] >= cx.be.arange(z.shape[3])[None, :]
            seen = past if seen is None else seen & past
        if self.attention_mask is not None:
            allowed = p["mask"] > 0
            seen = allowed if seen is None else seen & allowed
        return seen


def cut(cx: Ctx, x: Array, heads: int) -> Array:
    """(N, time, heads size) -> (N, heads, time, size)."""
    xp, (n, time, width) = cx.be.xp, x.shape
    return xp.permute_dims(xp.reshape(x, (n, time, heads, width // heads)), (0, 2, 1, 3))


def beside(cx: Ctx, heads: Array) -> Array:
    """(N, heads, time, size) -> (N, time, heads size)."""
    xp, (n, h, time, size) = cx.be.xp, heads.shape
    return xp.reshape(xp.permute_dims(heads, (0, 2, 1, 3)), (n, time, h * size))


def slices(a: Array, widths: list[int]) -> list[Array]:
    """The last axis cut into parts of those widths."""
    stops = itertools.accumulate(widths)
    return [a[..., stop - width : stop] for width, stop in zip(widths, stops, strict=True)]


def exponentials(cx: Ctx, z: Array, visible: Array | None) -> tuple[Array, Array]:
    """(e, r) with softmax(z) = e r on the last axis: e = e^(z - max z), r = 1 / sum of e.

    Where z is not visible, e is 0; where nothing is, r is 1.
    """
    xp = cx.be.xp
    if visible is None:
        e = xp.exp(z - xp.max(z, axis=-1, keepdims=True))
        return e, 1 / xp.sum(e, axis=-1, keepdims=True)
    z = xp.where(visible, z, xp.full((1,), -math.inf, dtype=z.dtype, device=cx.be.device))
    top = xp.max(z, axis=-1, keepdims=True)
    e = xp.exp(z - xp.where(top > -math.inf, top, xp.zeros_like(top)))
    total = xp.sum(e, axis=-1, keepdims=True)
    return e, 1 / xp.where(total > 0, total, xp.ones_like(total))
