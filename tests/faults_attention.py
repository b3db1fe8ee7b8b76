"""The faults that are planted in transposed convolution, attention and positional encoding."""

from dataclasses import replace

import numpy as np
from cases import Case

from xpnn.initializers import Normal
from xpnn.layers import ConvTranspose2D, MultiHeadAttention, PositionalEncoding
from xpnn.window import place


def gradients(**wrong):
    """Some gradients replaced: f(layer, be, p, x, dy, the right one)."""

    def backward(layer, cx, p, cache, dy, right):
        dx, grads = right(layer, cx, p, cache, dy)
        found = {"x": dx, **grads}
        found |= {
            name: f(layer, cx.be, p, cache[0] if cache else None, dy, found[name])
            for name, f in wrong.items()
        }
        return found.pop("x"), found

    return backward


def window(layer, dy, **changes):
    """Of the convolution that goes back, with something wrong."""
    right = place(dy.shape[1:], layer.kernel, layer.stride, layer.padding)
    return replace(right, **{name: f(getattr(right, name)) for name, f in changes.items()})


def other_side(pads):
    return tuple(pad[::-1] for pad in pads)


def memoized(names, **changes):
    """The right backward pass of something else kept: f(the layer, **what was kept) in place of each that is named."""

    def backward(layer, cx, p, cache, dy, right):
        kept = dict(zip(names, cache, strict=True))
        new = kept | {name: f(layer, **kept) for name, f in changes.items()}
        return right(layer, cx, p, tuple(new.values()), dy)

    return backward


def attention(**changes):
    return memoized(("x", "memory", "q", "k", "v", "e", "r", "kept", "o", "W"), **changes)


def scored(f):
    """dWq and dWk of a wrong slope of the scores: f(a, da) -> dz, of softmax's weights."""

    def backward(layer, cx, p, cache, dy, right):
        dx, grads = right(layer, cx, p, cache, dy)
        x, _, q, k, v, e, r, kept, *_ = cache
        do = layer._heads(cx, dy @ p["Wo"].T)
        da = (do @ np.swapaxes(v, 2, 3)) * kept[0] / (1 - layer.dropout)
        dz = f(e * r, da)
        dq, dk = dz @ k / np.sqrt(q.shape[3]), np.swapaxes(dz, 2, 3) @ q
        rows = (np.swapaxes(a, 1, 2).reshape(-1, x.shape[2]) for a in (dq, dk))
        flat = x.reshape(-1, x.shape[2])
        return dx, grads | {name: flat.T @ a for name, a in zip(("Wq", "Wk"), rows, strict=True)}

    return backward


def weighed(f):
    """The right backward pass with other weights: f(all, by name) -> those that are wrong."""

    def wrong(layer, W, **_):
        own = dict(zip("qkv", np.split(W["qkv"], 3, axis=1), strict=True)) | {"o": W["o"]}
        own |= f(own)
        return {"qkv": np.concatenate([own[name] for name in "qkv"], axis=1), "o": own["o"]}

    return attention(W=wrong)


def turned(heads):
    """The heads in another order, of an array (N, heads, time, size)."""
    return np.flip(heads, axis=1)


CASES = {
    ConvTranspose2D: Case(
        ConvTranspose2D(3, (2, 3), (1, 2), ((1, 0), (0, 2)), bias_init=Normal(0.5)), (4, 3, 2), batch=4
    ),
    MultiHeadAttention: Case(MultiHeadAttention(2, causal=True, dropout=0.3), (4, 4), batch=4),
    PositionalEncoding: Case(PositionalEncoding("learned"), (3, 3), batch=4),
}
OWN = {
    ConvTranspose2D: {
        "kernel flipped": gradients(
            x=lambda layer, be, p, x, dy, _: be.conv2d(dy, p["W"][::-1, ::-1], None, window(layer, dy))
        ),
        "cropped on the other side": gradients(
            x=lambda layer, be, p, x, dy, _: be.conv2d(dy, p["W"], None, window(layer, dy, pads=other_side))
        ),
        "dW cropped on the other side": gradients(
            W=lambda layer, be, p, x, dy, _: be.conv2d_dw(dy, x, window(layer, dy, pads=other_side))
        ),
        "dW flipped": gradients(W=lambda layer, be, p, x, dy, dW: dW[::-1, ::-1]),
        "dW without the last sample": gradients(
            W=lambda layer, be, p, x, dy, _: be.conv2d_dw(dy[:-1], x[:-1], window(layer, dy))
        ),
        "dx with the bias": gradients(x=lambda layer, be, p, x, dy, dx: dx + p["b"][:2]),
        "db is a mean": gradients(b=lambda layer, be, p, x, dy, _: dy.mean(axis=(0, 1, 2))),
        "db of the first row": gradients(b=lambda layer, be, p, x, dy, _: dy[:, 0].sum(axis=(0, 1))),
    },
    MultiHeadAttention: {
        "of another input": attention(x=lambda layer, x, **_: np.flip(x, 0)),
        "scale forgotten for dk": attention(q=lambda layer, q, **_: q * np.sqrt(2)),
        "scale taken twice": attention(q=lambda layer, q, **_: q / np.sqrt(2)),
        "k for q": attention(q=lambda layer, k, **_: k),
        "v for k": attention(k=lambda layer, v, **_: v),
        "heads exchanged": attention(v=lambda layer, v, **_: turned(v)),
        "weights of another head": attention(e=lambda layer, e, **_: turned(e)),
        "weights not transposed": attention(e=lambda layer, e, **_: np.swapaxes(e, 2, 3)),
        "not normalised": attention(r=lambda layer, r, **_: np.ones_like(r)),
        "normalised twice": attention(r=lambda layer, r, **_: r * r),
        "o forgotten": attention(o=lambda layer, o, **_: 0 * o),
        "sum(a da) forgotten": scored(lambda a, da: a * da),
        "sum over the queries": scored(lambda a, da: a * (da - (a * da).sum(axis=2, keepdims=True))),
        "mean for sum": scored(lambda a, da: a * (da - (a * da).mean(axis=3, keepdims=True))),
        "diagonal of softmax only": scored(lambda a, da: a * (1 - a) * da),
        "o of another head": attention(o=lambda layer, o, **_: np.roll(o, 2, axis=-1)),
        "mask of the future forgotten": attention(e=lambda layer, e, **_: np.where(e == 0, 1, e)),
        "dropout forgotten": attention(kept=lambda layer, **_: ()),
        "other weights dropped": attention(kept=lambda layer, kept, **_: (np.roll(kept[0], 1),)),
        "Wo not transposed": weighed(lambda W: {"o": W["o"].T}),
        "Wq and Wk exchanged": weighed(lambda W: {"q": W["k"], "k": W["q"]}),
        "Wv not transposed": weighed(lambda W: {"v": W["v"].T}),
        "dWq transposed": gradients(Wq=lambda layer, be, p, x, dy, dW: dW.T),
        "dbq a mean": gradients(bq=lambda layer, be, p, x, dy, db: db / x.shape[1]),
    },
    PositionalEncoding: {
        "dP a mean": gradients(P=lambda layer, be, p, x, dy, _: dy.mean(axis=0)),
        "dP of the last sample": gradients(P=lambda layer, be, p, x, dy, _: dy[-1]),
        "dP for all positions alike": gradients(
            P=lambda layer, be, p, x, dy, dP: np.broadcast_to(dP.mean(axis=0), dP.shape)
        ),
        "dP times P": gradients(P=lambda layer, be, p, x, dy, dP: dP * p["P"]),
        "dx times P": gradients(x=lambda layer, be, p, x, dy, dx: dx * p["P"]),
        "P added": gradients(x=lambda layer, be, p, x, dy, dx: dx + p["P"]),
    },
}
