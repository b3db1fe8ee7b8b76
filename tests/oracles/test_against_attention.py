"""Attention and positional encoding against PyTorch, in float64: values and all gradients."""

import math
from collections import Counter

import numpy as np
import pytest
from comparison import error
from harness import context, open_backend
from proof_table import used
from tolerances import label

import xpnn
from xpnn import MultiHeadAttention, PositionalEncoding, RotaryPositions
from xpnn.initializers import Sinusoidal
from xpnn.parameters import tree_map

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = [pytest.mark.oracle, pytest.mark.against("PyTorch")]

TOLERANCE = 1e-12
"""Norm-relative, float64: two correct implementations differ by rounding alone."""


def run(layer, p, x, dy):
    """(y, dx, gradients) on NumPy."""
    be = open_backend("numpy", "float64")
    with be.device_context():
        y, cache = layer.forward(context(be), p, x)
        return y, *layer.backward(context(be), p, cache, dy)


def leaf(a):
    return torch.from_numpy(np.array(a)).requires_grad_()


CASES = [
    (MultiHeadAttention(2), ((5, 6),)),
    (MultiHeadAttention(3, 4, causal=True), ((7, 5),)),
    (MultiHeadAttention(4, masked=True), ((6, 8), (6,))),
    (MultiHeadAttention(2, causal=True, masked=True), ((6, 4), (6,))),
    (MultiHeadAttention(2, cross=True), ((5, 6), (3, 4))),
    (MultiHeadAttention(1, 7, cross=True, masked=True), ((2, 6), (9, 1), (9,))),
    (MultiHeadAttention(2, masked=True), ((5, 6), (5, 5))),
    (MultiHeadAttention(2, cross=True, masked=True), ((5, 6), (3, 4), (5, 3))),
    (MultiHeadAttention(2, attention_mask=np.tri(5, k=1) > np.tri(5, k=-2)), ((5, 6),)),
    (MultiHeadAttention(2, 3, value_size=5), ((5, 6),)),
    (MultiHeadAttention(2, 4, value_size=1, cross=True), ((5, 6), (3, 4))),
    (MultiHeadAttention(6, 2, kv_heads=2, causal=True), ((7, 5),)),
    (MultiHeadAttention(4, 3, kv_heads=1, value_size=2, cross=True, masked=True), ((4, 6), (5, 3), (5,))),
    (MultiHeadAttention(2, bias=False), ((5, 6),)),
    (MultiHeadAttention(3, 4, kv_heads=3, rotary="half"), ((9, 5),)),
    (MultiHeadAttention(4, 6, kv_heads=2, causal=True, rotary="interleaved", rotary_base=500.0), ((40, 5),)),
]


def torch_turned(x, layout, base, size=None):
    """Rotary positions of x (..., time, n) by complex numbers: each pair times e^(i angle)."""
    size = x.shape[-1] if size is None else size
    part, rest = x[..., :size], x[..., size:]
    n = size // 2
    pairs = (
        torch.stack((part[..., :n], part[..., n:]), -1) if layout == "half" else part.unflatten(-1, (n, 2))
    )
    speed = 1 / base ** (torch.arange(n, dtype=torch.float64) / n)
    angle = torch.arange(x.shape[-2], dtype=torch.float64)[:, None] * speed
    z = torch.view_as_complex(pairs.contiguous()) * torch.polar(torch.ones_like(angle), angle)
    y = torch.view_as_real(z)
    y = torch.cat((y[..., 0], y[..., 1]), -1) if layout == "half" else y.flatten(-2)
    return torch.cat((y, rest), -1)


ROTARY = [
    (RotaryPositions(), (5, 6)),
    (RotaryPositions("half", 2, 100.0), (30, 8)),
    (RotaryPositions("interleaved"), (7, 4)),
    (RotaryPositions("interleaved", 3, size=2), (6, 12)),
]


@pytest.mark.parametrize(("layer", "shape"), ROTARY, ids=label)
def test_rotary_positions_equal_complex_numbers(layer, shape):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, 4, *shape))
    tx = leaf(x)
    heads = tx.reshape(4, shape[0], layer.heads, -1).transpose(1, 2)
    wanted = torch_turned(heads, layer.layout, layer.base, layer.size).transpose(1, 2).flatten(2)
    wanted.backward(torch.from_numpy(dy))
    y, dx, _ = run(layer, {}, x, dy)
    assert error(y, wanted.detach()) <= TOLERANCE
    assert error(dx, tx.grad) <= TOLERANCE


@pytest.mark.parametrize("scale", [0.3, 1.5])
@pytest.mark.parametrize(("layer", "shapes"), CASES, ids=label)
def test_attention_equals_torch(layer, shapes, scale):
    """Three linear layers, F.scaled_dot_product_attention, and one more."""
    rng = np.random.default_rng(0)
    x = [scale * rng.standard_normal((4, *shape)) for shape in shapes]
    if layer.masked:
        x[-1] = rng.integers(0, 2, x[-1].shape) * 1.0
        x[-1][..., 0] = 1  # nobody sees nothing: PyTorch's rows of that kind are NaN or 0 by its version
    specs, out = layer.plan(shapes if len(shapes) > 1 else shapes[0])
    # scores of a few units: beyond, the gradients are small differences of large numbers in both libraries
    p = tree_map(
        lambda _, spec: (
            rng.standard_normal(spec.shape) / math.sqrt(spec.shape[0])
            if spec.trainable
            else spec.init(rng, spec.shape)
        ),
        specs,
    )
    dy = rng.standard_normal((4, *out))
    tx, tp = [leaf(a) for a in x], {k: leaf(a) for k, a in p.items()}
    memory = tx[layer.cross]

    def projected(a, name, n):
        y = a @ tp[f"W{name}"]
        y = y + tp[f"b{name}"] if f"b{name}" in tp else y
        return y.reshape(*y.shape[:2], n, -1).transpose(1, 2)

    shared = layer.kv_heads or layer.heads
    q, k, v = (
        projected(tx[0], "q", layer.heads),
        projected(memory, "k", shared),
        projected(memory, "v", shared),
    )
    if layer.rotary:
        q, k = (torch_turned(a, layer.rotary, layer.rotary_base) for a in (q, k))
    seen = torch.ones(1, dtype=torch.bool)
    if layer.masked:
        mask = tx[-1].detach() > 0
        seen = mask[:, None] if mask.ndim == 3 else mask[:, None, None, :]
    if layer.causal:
        seen = seen & (torch.ones(q.shape[2], k.shape[2]).tril() > 0)
    if layer.attention_mask:
        seen = seen & torch.tensor([[digit == "1" for digit in row] for row in layer.attention_mask])
    o = F.scaled_dot_product_attention(q, k, v, seen.expand(*q.shape[:3], k.shape[2]), enable_gqa=True)
    wanted = o.transpose(1, 2).flatten(2) @ tp["Wo"]
    wanted = wanted + tp["bo"] if layer.bias else wanted
    wanted.backward(torch.from_numpy(dy))
    y, dx, grads = run(layer, p, tuple(x) if len(x) > 1 else x[0], dy)
    assert error(y, wanted.detach()) <= TOLERANCE
    for got, t in zip(dx if len(x) > 1 else [dx], tx, strict=True):
        assert error(got, t.grad) <= TOLERANCE if t.grad is not None else got is None
    assert set(grads) == set(p) - {"mask"}
    for name, got in grads.items():
        assert error(got, tp[name].grad) <= TOLERANCE, name


def against(heads, given, W, b, size, mask, wanted, dy):
    """Ours on q and (k | v), the memory, against PyTorch's `wanted`, a function of the leaves in `given`, W and b."""
    q, k, v = (a.detach().numpy() for a in given)
    wide = {name: a.detach().numpy().T for name, a in W.items()}
    wide["Wk"] = np.concatenate([wide["Wk"], 0 * wide["Wv"]])
    wide["Wv"] = np.concatenate([np.zeros((k.shape[-1], wide["Wv"].shape[1])), wide["Wv"]])
    p = wide | {name: a.detach().numpy() for name, a in b.items()}
    x = (q, np.concatenate([k, v], axis=-1), *(() if mask is None else (mask,)))
    y, dx, grads = run(MultiHeadAttention(heads, size, cross=True, masked=mask is not None), p, x, dy)
    assert error(y, wanted.detach()) <= TOLERANCE
    wanted.backward(torch.from_numpy(dy))
    for got, t in zip((dx[0], *np.split(dx[1], [k.shape[-1]], axis=-1)), given, strict=True):
        assert error(got, t.grad) <= TOLERANCE
    grads = grads | {"Wk": grads["Wk"][: k.shape[-1]], "Wv": grads["Wv"][k.shape[-1] :]}
    for name, t in (W | b).items():
        if t.grad is not None:
            assert error(grads[name].T, t.grad) <= TOLERANCE, name


# PyTorch's own samples

MODULES, OPS = 16, 6
"""How many have a counterpart."""
MORE_KEYS = "there are no keys beside those of the memory"
NUMBERS = "a mask hides scores, it adds no numbers to them"
DROPPED, SKEWED = "another library draws another mask", "the memory has no future"


def module_sample(given):
    """True when it ran; otherwise the reason why it has no counterpart."""
    settings, masks = given.constructor_input.kwargs, given.forward_input.kwargs
    if settings["add_bias_kv"] or settings["add_zero_attn"]:
        return MORE_KEYS
    module = torch.nn.MultiheadAttention(**settings).double()
    with torch.no_grad():
        for a in module.parameters():
            a.normal_(std=0.3)  # scores of a few units, as above
    mask = masks["key_padding_mask"]
    q, k, v = (a.detach()[None].requires_grad_() for a in given.forward_input.args)
    flip = (lambda a: a) if settings["batch_first"] else (lambda a: a.transpose(0, 1))
    hidden = None if mask is None else mask[None].bool()
    if hidden is not None and hidden.all():
        hidden[0, 0] = False
    scores = masks["attn_mask"]  # for each head, and the same for all
    wanted = flip(module(flip(q), flip(k), flip(v), key_padding_mask=hidden, attn_mask=scores)[0])
    biases = torch.zeros(9).double() if module.in_proj_bias is None else module.in_proj_bias
    out = torch.zeros(3).double() if module.out_proj.bias is None else module.out_proj.bias
    W = dict(zip(("Wq", "Wk", "Wv"), (a.detach() for a in module.in_proj_weight.chunk(3)), strict=True))
    b = {"bq": biases[:3].detach(), "bv": biases[6:].detach(), "bo": out}
    W["Wo"] = module.out_proj.weight
    dy = np.random.default_rng(0).standard_normal(tuple(wanted.shape))
    seen = None if hidden is None else 1.0 - hidden.numpy()
    if scores is not None:
        assert (scores == scores[0]).all()
        seen = (1.0 - scores[:1].numpy()) * (1.0 if seen is None else seen[:, None, :])
    against(3, (q, k, v), W, b, None, seen, wanted, dy)
    return True


def op_sample(info, sample):
    """The same for the function, whose leading axes are all samples of one head."""
    settings = sample.kwargs
    if "attn_mask" in settings or settings["dropout_p"] or settings["is_causal"]:
        reasons = (("attn_mask" in settings, NUMBERS), (settings["dropout_p"], DROPPED), (True, SKEWED))
        return next(reason for holds, reason in reasons if holds)
    lead = torch.broadcast_shapes(*(a.shape[:-2] for a in (sample.input, *sample.args)))
    q, k, v = (
        a.detach().expand(*lead, *a.shape[-2:]).flatten(0, -3).contiguous().requires_grad_()
        for a in (sample.input, *sample.args)
    )
    n, one = q.shape[-1], torch.eye(q.shape[-1]).double()
    W, zero = dict.fromkeys(("Wq", "Wk", "Wv", "Wo"), one), torch.zeros(n).double()
    wanted = info.op(q, k, v)
    dy = np.random.default_rng(0).standard_normal(tuple(wanted.shape))
    against(1, (q, k, v), W, dict.fromkeys(("bq", "bv", "bo"), zero), n, None, wanted, dy)
    return True


def test_the_corpus_equals_torch():
    """The modules hold a random bias of the keys: ours, which has none, gives the same."""
    ops = pytest.importorskip("torch.testing._internal.common_methods_invocations")
    modules = pytest.importorskip("torch.testing._internal.common_modules")
    found = Counter()
    torch.manual_seed(0)
    for info in modules.module_db:
        if info.name == "nn.MultiheadAttention":
            settings = {"device": "cpu", "dtype": torch.float64, "requires_grad": True, "training": True}
            for given in info.module_inputs_func(info, **settings):
                found["module", module_sample(given)] += 1
    for info in ops.op_db:
        if info.name == "nn.functional.scaled_dot_product_attention":
            for sample in info.sample_inputs("cpu", torch.float64):
                found["op", op_sample(info, sample)] += 1
    for (name, reason), count in found.items():
        print(f"  {name:8} {count:3}  {'ran' if reason is True else reason}")
    assert found["module", True] >= MODULES
    assert found["op", True] >= OPS


@pytest.mark.parametrize(("time", "features"), [(50, 16), (7, 5), (3, 1)])
def test_sinusoidal_equals_its_usual_writing_in_torch(time, features):
    """exp(-2i log(10000) / d), sines in the even columns, cosines in the odd."""
    t = torch.arange(time, dtype=torch.float64)[:, None]
    rate = torch.exp(torch.arange(0, features, 2, dtype=torch.float64) * (-math.log(10000.0) / features))
    wanted = torch.zeros(time, features, dtype=torch.float64)
    wanted[:, 0::2] = torch.sin(t * rate)
    wanted[:, 1::2] = torch.cos(t * rate)[:, : features // 2]
    assert error(Sinusoidal()(np.random.default_rng(0), (time, features)), wanted) <= TOLERANCE
    used((Sinusoidal(), PositionalEncoding()))
    model = xpnn.Model([PositionalEncoding()], (time, features), dtype="float64")
    x = np.ones((2, time, features))
    assert error(model.forward(x), 1 + np.broadcast_to(wanted, x.shape)) <= TOLERANCE
