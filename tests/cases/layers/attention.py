"""Attention, and the positions that it cannot see by itself."""

import dataclasses

import numpy as np

import xpnn
from cases.planting import Planted, gradients_from
from cases.row import Case
from xpnn.initializers import Normal
from xpnn.layers.attention import cut

ROWS = [
    Case(xpnn.MultiHeadAttention(2), (3, 4)),  # the plain one
    Case(xpnn.MultiHeadAttention(3, 2, causal=True, bias_init=Normal(0.5)), (4, 5), batch=2),
    # above: heads whose sizes do not make up the features; no look into the future; biases that are not 0
    Case(xpnn.MultiHeadAttention(1, dropout=0.4, init=Normal(0.5)), (3, 2)),  # weights dropped
    Case(xpnn.MultiHeadAttention(1), (1, 1), batch=1),  # one number
    Case(xpnn.MultiHeadAttention(2, cross=True), ((2, 4), (3, 5)), batch=2),  # to another sequence
    Case(
        xpnn.MultiHeadAttention(1, causal=True, masked=True), ((3, 2), (3,)), blank=True
    ),  # a sample without any step
    Case(xpnn.MultiHeadAttention(2, 1, cross=True, masked=True), ((3, 2), (2, 3), (2,)), blank=True),  # both
    Case(
        xpnn.MultiHeadAttention(2, masked=True), ((3, 2), (3, 3)), blank=True
    ),  # who looks at whom, by sample
    Case(
        xpnn.MultiHeadAttention(1, cross=True, attention_mask=("10", "00", "11")), ((3, 2), (2, 3))
    ),  # for all samples alike; the second query sees nothing
    Case(
        xpnn.MultiHeadAttention(2, 2, causal=True, masked=True, attention_mask=("111", "011", "111")),
        ((3, 2), (3,)),
        blank=True,
    ),  # all three
    Case(xpnn.MultiHeadAttention(2, 1, value_size=3), (3, 4)),  # values of another size
    Case(xpnn.MultiHeadAttention(4, 2, kv_heads=2, dropout=0.3), (3, 4), batch=2),  # shared heads
    Case(
        xpnn.MultiHeadAttention(3, 1, kv_heads=1, value_size=2, cross=True, masked=True),
        ((2, 3), (3, 2), (2, 3)),
    ),
    Case(xpnn.MultiHeadAttention(2, bias=False), (3, 4)),  # products alone
    Case(xpnn.MultiHeadAttention(2, bias=False, cross=True), ((2, 4), (3, 5)), batch=2),
    Case(xpnn.MultiHeadAttention(2, rotary="half"), (3, 8), batch=2),  # turned by position
    Case(
        xpnn.MultiHeadAttention(2, 2, kv_heads=1, causal=True, rotary="interleaved", rotary_base=50.0), (4, 3)
    ),
    Case(xpnn.RotaryPositions(), (3, 4)),  # one head
    Case(xpnn.RotaryPositions("interleaved", 2, 100.0), (4, 8), batch=1),  # of each head alike
    Case(xpnn.RotaryPositions("interleaved", 2, size=2), (3, 8)),  # the first pair of each head
    Case(xpnn.RotaryPositions("half", size=4), (2, 5)),  # the last feature stays
    Case(xpnn.RotaryPositions(), (1, 2), batch=1),  # no turn at all
    Case(xpnn.PositionalEncoding(), (3, 5)),  # an odd number of features
    Case(xpnn.PositionalEncoding("sinusoidal"), (1, 1), batch=1),  # one number
    Case(xpnn.PositionalEncoding("learned"), (3, 2)),  # trained
    Case(xpnn.PositionalEncoding("learned", Normal(0.5)), (1, 3), batch=1),  # of one position
]


def cache_changed(names, **changes):
    """The right backward pass of another cache: f(the layer, **the cache by name) in place of each that is named."""

    def backward(layer, cx, p, cache, dy, right):
        kept = dict(zip(names, cache, strict=True))
        new = kept | {name: f(layer, **kept) for name, f in changes.items()}
        return right(layer, cx, p, tuple(new.values()), dy)

    return backward


def attention(**changes):
    return cache_changed(("x", "memory", "q", "k", "v", "e", "r", "kept", "o", "W"), **changes)


def scores_from(f):
    """dWq and dWk of a wrong slope of the scores: f(a, da) -> dz, of softmax's weights."""

    def backward(layer, cx, p, cache, dy, right):
        dx, grads = right(layer, cx, p, cache, dy)
        x, _, q, k, v, e, r, kept, *_ = cache
        do = cut(cx, dy @ p["Wo"].T, layer.heads)
        da = (do @ np.swapaxes(v, 2, 3)) * kept[0] / (1 - layer.dropout)
        dz = f(e * r, da)
        dq, dk = dz @ k / np.sqrt(q.shape[3]), np.swapaxes(dz, 2, 3) @ q
        rows = (np.swapaxes(a, 1, 2).reshape(-1, x.shape[2]) for a in (dq, dk))
        flat = x.reshape(-1, x.shape[2])
        return dx, grads | {name: flat.T @ a for name, a in zip(("Wq", "Wk"), rows, strict=True)}

    return backward


def weights_changed(f):
    """The right backward pass with other weights: f(all, by name) -> those that are wrong."""

    def wrong(layer, W, **_):
        own = dict(zip("qkv", np.split(W["qkv"], 3, axis=1), strict=True)) | {"o": W["o"]}
        own |= f(own)
        return {"qkv": np.concatenate([own[name] for name in "qkv"], axis=1), "o": own["o"]}

    return attention(W=wrong)


def heads_flipped(heads):
    """The heads in another order, of an array (N, heads, time, size)."""
    return np.flip(heads, axis=1)


def gradients_added(names, f):
    """Gradients of heads put in another order: f(gradient) for each of the names."""

    def backward(layer, cx, p, cache, dy, right):
        dx, grads = right(layer, cx, p, cache, dy)
        return dx, grads | {name: f(grads[name]) for name in names}

    return backward


def other_layout(layer):
    """The same turns of other pairs."""
    return dataclasses.replace(layer, layout="half" if layer.layout == "interleaved" else "interleaved")


def another(f):
    """The right backward pass of another layer: f(layer)."""
    return lambda layer, cx, p, cache, dy, right: right(f(layer), cx, p, cache, dy)


SHARED = Case(xpnn.MultiHeadAttention(4, 2, kv_heads=2), (3, 4), batch=4)
TURNED = Case(xpnn.MultiHeadAttention(2, 4, rotary="half"), (4, 3), batch=4)
PLANTED = {
    xpnn.RotaryPositions: Planted(
        Case(xpnn.RotaryPositions("half", 2), (3, 8), batch=4),
        {
            "turned on": lambda layer, cx, p, c, dy, right: (layer.forward(cx, p, dy)[0], {}),
            "not turned": lambda layer, cx, p, c, dy, right: (dy, {}),
            "turned twice": lambda layer, cx, p, c, dy, right: (
                right(layer, cx, p, c, right(layer, cx, p, c, dy)[0])[0],
                {},
            ),
            "pairs of the other layout": another(other_layout),
            "another base": another(lambda layer: dataclasses.replace(layer, base=100.0)),
            "heads taken for one": another(lambda layer: dataclasses.replace(layer, heads=1)),
            "time reversed": lambda layer, cx, p, c, dy, right: (
                np.flip(right(layer, cx, p, c, np.flip(dy, 1))[0], 1),
                {},
            ),
        },
    ),
    xpnn.MultiHeadAttention: Planted(
        Case(xpnn.MultiHeadAttention(2, causal=True, dropout=0.3), (4, 4), batch=4),
        {
            "cache of another input": attention(x=lambda layer, x, **_: np.flip(x, 0)),
            "scale forgotten for dk": attention(q=lambda layer, q, **_: q * np.sqrt(2)),
            "scale taken twice": attention(q=lambda layer, q, **_: q / np.sqrt(2)),
            "k for q": attention(q=lambda layer, k, **_: k),
            "v for k": attention(k=lambda layer, v, **_: v),
            "heads exchanged": attention(v=lambda layer, v, **_: heads_flipped(v)),
            "weights of another head": attention(e=lambda layer, e, **_: heads_flipped(e)),
            "weights not transposed": attention(e=lambda layer, e, **_: np.swapaxes(e, 2, 3)),
            "not normalised": attention(r=lambda layer, r, **_: np.ones_like(r)),
            "normalised twice": attention(r=lambda layer, r, **_: r * r),
            "o forgotten": attention(o=lambda layer, o, **_: 0 * o),
            "sum(a da) forgotten": scores_from(lambda a, da: a * da),
            "sum over the queries": scores_from(lambda a, da: a * (da - (a * da).sum(axis=2, keepdims=True))),
            "mean for sum": scores_from(lambda a, da: a * (da - (a * da).mean(axis=3, keepdims=True))),
            "diagonal of softmax only": scores_from(lambda a, da: a * (1 - a) * da),
            "o of another head": attention(o=lambda layer, o, **_: np.roll(o, 2, axis=-1)),
            "mask of the future forgotten": attention(e=lambda layer, e, **_: np.where(e == 0, 1, e)),
            "dropout forgotten": attention(kept=lambda layer, **_: ()),
            "other weights dropped": attention(kept=lambda layer, kept, **_: (np.roll(kept[0], 1),)),
            "Wo not transposed": weights_changed(lambda W: {"o": W["o"].T}),
            "Wq and Wk exchanged": weights_changed(lambda W: {"q": W["k"], "k": W["q"]}),
            "Wv not transposed": weights_changed(lambda W: {"v": W["v"].T}),
            "dWq transposed": gradients_from(Wq=lambda layer, be, p, c, dy, dW: dW.T),
            "dbq a mean": gradients_from(bq=lambda layer, be, p, c, dy, db: db / c[0].shape[1]),
            "only the first of the shared heads": attention(
                q=lambda layer, q, **_: q * (np.arange(q.shape[2]) < 3)[:, None]
            ),
            "shared heads averaged": gradients_added(("Wk", "Wv"), lambda g: g / 2),
            "heads shared in another order": attention(
                e=lambda layer, e, **_: e.reshape(4, 2, 2, 3, 3).swapaxes(1, 2).reshape(e.shape)
            ),
            "not turned back": another(lambda layer: dataclasses.replace(layer, rotary=None)),
            "pairs of the other layout": another(
                lambda layer: dataclasses.replace(layer, rotary="interleaved")
            ),
            "another base": another(lambda layer: dataclasses.replace(layer, rotary_base=100.0)),
        },
        dict.fromkeys(
            ("only the first of the shared heads", "shared heads averaged", "heads shared in another order"),
            SHARED,
        )
        | dict.fromkeys(("not turned back", "pairs of the other layout", "another base"), TURNED),
    ),
    xpnn.PositionalEncoding: Planted(
        Case(xpnn.PositionalEncoding("learned"), (3, 3), batch=4),
        {
            "dP a mean": gradients_from(P=lambda layer, be, p, c, dy, _: dy.mean(axis=0)),
            "dP of the last sample": gradients_from(P=lambda layer, be, p, c, dy, _: dy[-1]),
            "dP for all positions alike": gradients_from(
                P=lambda layer, be, p, c, dy, dP: np.broadcast_to(dP.mean(axis=0), dP.shape)
            ),
            "dP times P": gradients_from(P=lambda layer, be, p, c, dy, dP: dP * p["P"]),
            "dx times P": gradients_from(x=lambda layer, be, p, c, dy, dx: dx * p["P"]),
            "P added": gradients_from(x=lambda layer, be, p, c, dy, dx: dx + p["P"]),
        },
    ),
}
