"""Normalizations against torch.nn: values, gradients, running statistics, whole runs, and PyTorch's own samples."""

import numpy as np
import pytest
from comparison import assert_equals_torch, error, parameters, run_layer
from tolerances import label

import xpnn
from xpnn import layers
from xpnn.backends import get_backend
from xpnn.errors import ShapeError
from xpnn.layers import Ctx

torch = pytest.importorskip("torch")
ops = pytest.importorskip("torch.testing._internal.common_methods_invocations")
modules = pytest.importorskip("torch.testing._internal.common_modules")
F = torch.nn.functional
pytestmark = [pytest.mark.oracle, pytest.mark.against("PyTorch")]

TOLERANCE = 1e-12
"""Norm-relative, float64."""
BACKENDS = ["numpy", "strict", "torch", "jax"]


def channels_first(f):
    """PyTorch's channels are the second axis, ours the last."""
    return lambda x, p: f(x.movedim(-1, 1), p).movedim(1, -1)


def batch(eps=1e-5):
    return channels_first(lambda x, p: F.batch_norm(x, None, None, p["gain"], p.get("bias"), True, 0.1, eps))


def layer(x, p):
    return F.layer_norm(x, x.shape[-1:], p["gain"], p.get("bias"), 1e-5)


def rms(x, p):
    return F.rms_norm(x, x.shape[-1:], p["gain"], 1e-6)


def group(groups):
    return channels_first(lambda x, p: F.group_norm(x, groups, p["gain"], p.get("bias"), 1e-5))


instance = channels_first(
    lambda x, p: F.instance_norm(x, None, None, p["gain"], p.get("bias"), True, 0.1, 1e-5)
)

# (layer, shape of one sample, the same in PyTorch)
LAYERS = [
    (layers.BatchNorm(), (5,), batch()),
    (layers.BatchNorm(0.3, 1e-2), (3, 4, 5), batch(1e-2)),
    (layers.LayerNorm(), (5,), layer),
    (layers.LayerNorm(), (3, 7), layer),
    (layers.RMSNorm(), (5,), rms),
    (layers.RMSNorm(), (3, 7), rms),
    (layers.GroupNorm(2), (3, 4, 6), group(2)),
    (layers.GroupNorm(3), (9,), group(3)),
    (layers.InstanceNorm(), (3, 4, 5), instance),
    (layers.InstanceNorm(), (7, 1), instance),
    (layers.BatchNorm(bias=False), (3, 5), batch()),
    (layers.LayerNorm(bias=False), (5,), layer),
    (layers.GroupNorm(2, bias=False), (3, 6), group(2)),
    (layers.InstanceNorm(bias=False), (3, 5), instance),
]


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (30.0, -5.0), (1e-3, 1.0)])
@pytest.mark.parametrize(("layer", "shape", "oracle"), LAYERS, ids=label)
def test_normalization_equals_torch(layer, shape, oracle, scale, shift):
    rng = np.random.default_rng(0)
    loss = max(1.0, abs(shift) / scale)  # both subtract a mean that is this much larger than what is left
    assert_equals_torch(
        layer, shift + scale * rng.standard_normal((6, *shape)), oracle, rng, loss * TOLERANCE
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("momentum", [0.1, 0.0, 1.0, 0.37])
@pytest.mark.parametrize("shape", [(4,), (3, 2, 4)], ids=str)
def test_running_statistics_and_evaluation_equal_torchs(backend, momentum, shape):
    """Five batches of uneven size; then, with the statistics fixed, values and gradients of evaluation."""
    rng = np.random.default_rng(1)
    net, theirs = layers.BatchNorm(momentum, 1e-3), torch.nn.BatchNorm1d(4, 1e-3, momentum).double()
    be = get_backend(backend, None, "float64")
    host = parameters(net, shape, rng)
    theirs.load_state_dict(
        {
            "weight": torch.from_numpy(host["gain"]),
            "bias": torch.from_numpy(host["bias"]),
            "running_mean": torch.zeros(4),
            "running_var": torch.ones(4),
            "num_batches_tracked": torch.tensor(0),
        }
    )

    def rows(x):
        return torch.from_numpy(x.reshape(-1, 4))

    with be.device_context(), torch.enable_grad():
        p = {k: be.asarray(a) for k, a in host.items()}
        for n in (5, 3, 8, 2, 7):
            x = 3 + 2 * rng.standard_normal((n, *shape))
            cx = Ctx(be, train=True)
            y, cache = net.forward(cx, p, be.asarray(x))
            assert error(be.to_numpy(y).reshape(-1, 4), theirs(rows(x)).detach()) <= TOLERANCE
            p = {**p, **net.update_stats(cx, p, cache)}
            assert error(be.to_numpy(p["mean"]), theirs.running_mean) <= TOLERANCE
            assert error(be.to_numpy(p["var"]), theirs.running_var) <= TOLERANCE
        theirs.eval()
        x, dy = rng.standard_normal((1, *shape)), rng.standard_normal((1, *shape))
        tx = rows(x).requires_grad_()
        theirs.zero_grad()
        wanted = theirs(tx)
        wanted.backward(rows(dy))
        y, cache = net.forward(Ctx(be), p, be.asarray(x))
        dx, grads = net.backward(Ctx(be), p, cache, be.asarray(dy))
        for got, want in (
            (y, wanted.detach()),
            (dx, tx.grad),
            (grads["gain"], theirs.weight.grad),
            (grads["bias"], theirs.bias.grad),
        ):
            got = be.to_numpy(got)
            assert error(got.reshape(-1, 4) if got.ndim > 1 else got, want) <= TOLERANCE


def network():
    return [xpnn.Dense(6), xpnn.BatchNorm(0.2), xpnn.ReLU(), xpnn.Dense(4), xpnn.BatchNorm(), xpnn.Dense(3)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_training_a_network_equals_torch(backend, tmp_path):
    """Twenty steps of the compiled training step; then evaluation, and the same from the saved file elsewhere."""
    rng = np.random.default_rng(2)
    model = xpnn.Model(network(), (5,), backend=backend, dtype="float64", seed=1)
    be, p = (
        model.backend,
        {k: torch.from_numpy(np.array(model.backend.to_numpy(v))) for k, v in model.parameters().items()},
    )
    theirs = torch.nn.Sequential(
        torch.nn.Linear(5, 6), torch.nn.BatchNorm1d(6, momentum=0.2), torch.nn.ReLU(),
        torch.nn.Linear(6, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 3),
    ).double()  # fmt: skip
    with torch.no_grad():
        for i in (0, 3, 5):
            theirs[i].weight.copy_(p[f"{i}.W"].T)
            theirs[i].bias.copy_(p[f"{i}.b"])
    descent = torch.optim.SGD(theirs.parameters(), 0.1, momentum=0.9)
    trainer = xpnn.Trainer(model, optimizer=xpnn.SGD(0.1, momentum=0.9))
    for _ in range(20):
        x, y = 2 + rng.standard_normal((7, 5)), rng.integers(0, 3, 7)
        descent.zero_grad()
        wanted = F.cross_entropy(theirs(torch.from_numpy(x)), torch.from_numpy(y))
        wanted.backward()
        descent.step()
        got = trainer.step(be.asarray(x), be.asarray(y))
        assert error(be.to_numpy(got), wanted.detach()) <= 1e3 * TOLERANCE  # rounding, amplified step by step
    phi = torch.cat(
        [theirs[1].running_mean, theirs[1].running_var, theirs[4].running_mean, theirs[4].running_var]
    )
    assert error(model.snapshot()["phi"], phi) <= 1e3 * TOLERANCE
    theirs.eval()
    before = model.snapshot()
    outputs = model.forward(x)
    assert error(outputs, theirs(torch.from_numpy(x)).detach()) <= 1e3 * TOLERANCE
    scores = model.evaluate(x, y)
    assert (
        abs(scores["loss"] - F.cross_entropy(theirs(torch.from_numpy(x)), torch.from_numpy(y)).item()) <= 1e-9
    )
    assert all(np.array_equal(before[k], a) for k, a in model.snapshot().items()), (
        "evaluation changes nothing"
    )
    model.save(tmp_path / "m.safetensors")
    for other in BACKENDS:
        loaded = xpnn.load(tmp_path / "m.safetensors", backend=other)
        assert all(np.array_equal(before[k], a) for k, a in loaded.snapshot().items())
        assert error(loaded.forward(x), outputs) <= TOLERANCE


def test_a_step_that_is_refused_leaves_the_statistics():
    """A batch with an infinite loss must not reach the running mean."""
    model = xpnn.Model(network(), (5,), seed=1)
    trainer, before = xpnn.Trainer(model), model.snapshot()["phi"].copy()
    x = np.ones((4, 5), np.float32)
    x[0, 0] = np.inf
    assert np.isnan(trainer.step(x, np.zeros(4, np.int64)))
    assert np.array_equal(model.snapshot()["phi"], before)


def test_statistics_that_overflow_stop_the_step():
    """Deviations of 1e20 normalize to a finite loss, while their square, the variance, is infinite."""
    model = xpnn.Model([xpnn.BatchNorm(), xpnn.Dense(2)], (3,), seed=1)
    trainer, before = xpnn.Trainer(model), model.snapshot()["phi"].copy()
    x = np.asarray([[1e20, 0, 0], [-1e20, 1, 1]], np.float32)
    assert np.isnan(trainer.step(x, np.zeros(2, np.int64)))
    assert np.array_equal(model.snapshot()["phi"], before)


@pytest.mark.parametrize(("samples", "batch_size"), [(17, 8), (4, 1), (1, 8)])
def test_a_last_batch_of_one_is_refused_before_anything_is_trained(samples, batch_size):
    inner = xpnn.Residual(xpnn.Sequential((xpnn.Dense(3), xpnn.BatchNorm())))
    model = xpnn.Model([xpnn.Dense(3), inner, xpnn.Dense(2)], (5,), seed=0)
    before = model.snapshot()["theta"]
    with pytest.raises(ShapeError, match=r"layer 1\.0\.1 BatchNorm.* batch of one sample"):
        model.fit(np.ones((samples, 5)), np.zeros(samples, int), batch_size=batch_size, verbose=0)
    assert np.array_equal(before, model.snapshot()["theta"])
    images = xpnn.Model([xpnn.BatchNorm(), xpnn.Flatten(), xpnn.Dense(2)], (2, 2, 1), seed=0)
    images.fit(np.ones((9, 2, 2, 1)), np.zeros(9, int), epochs=1, batch_size=8, verbose=0)  # four values each


def test_one_value_per_feature_is_refused_while_training():
    model = xpnn.Model([xpnn.Dense(4), xpnn.Sequential([xpnn.BatchNorm()]), xpnn.Dense(2)], (3,), seed=0)
    x, y = np.zeros((1, 3), np.float32), np.zeros(1, np.int64)
    with pytest.raises(ShapeError, match=r"layer 1\.0 BatchNorm cannot train on one value per feature"):
        xpnn.Trainer(model).step(x, y)
    model.evaluate(x, y)


OPS, MODULES = 35, 94
"""How many of torch 2.13.0's samples have a counterpart."""
AFFINE = "gain and bias come together"
WHOLE = "LayerNorm and RMSNorm look at the last axis alone"
NOTHING = "an empty array"
BATCH_OF_ONE = "PyTorch normalizes groups of one value if there are two samples: they all become 0"
RUNNING = "InstanceNorm keeps no running statistics"
NO_EPS = "eps is above 0"
CUMULATIVE = "momentum None is a cumulative mean"
SHARE = "momentum is a share"
SINGLE = "a single value has no variance"


def ones_and_zeros(x, axis, gain, bias):
    """What PyTorch leaves out where there is no gain or bias."""
    n = x.shape[axis]
    return torch.ones(n).double() if gain is None else gain, torch.zeros(n).double() if bias is None else bias


def translate(name, x, s):
    """(layer, parameters, axes of PyTorch to ours, train), or the reason why there is none."""
    move = (lambda a: a.movedim(1, -1)) if name in ("batch", "group", "instance") else (lambda a: a)
    gain, bias, eps = s.get("weight"), s.get("bias"), s.get("eps")
    if x.numel() == 0:
        return NOTHING
    if name in ("layer", "rms") and len(s["shape"]) != 1:
        return WHOLE
    eps = {"rms": 2.220446049250313e-16}.get(name, 1e-5) if eps is None else eps
    if not eps > 0:
        return NO_EPS
    gain, bias = ones_and_zeros(x, -1 if name in ("layer", "rms") else 1, gain, bias)
    p = {"gain": gain, "bias": bias}
    if name == "layer":
        return layers.LayerNorm(eps), p, move, True
    if name == "rms":
        return layers.RMSNorm(eps), {"gain": gain}, move, True
    if name == "group":
        made = layers.GroupNorm(s["groups"], eps)
    elif name == "instance":
        if not s.get("batch_statistics", True):
            return RUNNING
        made = layers.InstanceNorm(eps)
    else:
        momentum = s.get("momentum", 0.1)
        if momentum is None:
            return CUMULATIVE
        if not 0 <= momentum <= 1:
            return SHARE
        made = layers.BatchNorm(momentum, eps)
        train = s.get("train", False) or s.get("mean") is None
        p |= {"mean": s.get("mean"), "var": s.get("var")}
        if train and x.numel() // x.shape[1] < 2:
            return SINGLE
        p = {k: torch.zeros(x.shape[1]).double() if a is None else a for k, a in p.items()}
        return made, p, move, train
    try:
        made.plan(tuple(move(x).shape[1:]))
    except ShapeError:
        return BATCH_OF_ONE
    return made, p, move, True


SIGNATURES = {
    "batch_norm": ("batch", ("mean", "var", "weight", "bias", "train", "momentum", "eps")),
    "layer_norm": ("layer", ("shape", "weight", "bias", "eps")),
    "rms_norm": ("rms", ("shape", "weight", "eps")),
    "group_norm": ("group", ("groups", "weight", "bias", "eps")),
    "instance_norm": ("instance", ("mean", "var", "weight", "bias", "batch_statistics", "momentum", "eps")),
}
WORDS = {
    "running_mean": "mean", "running_var": "var", "training": "train", "use_input_stats": "batch_statistics",
    "normalized_shape": "shape", "num_groups": "groups",
}  # fmt: skip


def op_samples():
    """(name, function of x, x, settings)."""
    for info in ops.op_db:
        name = info.name.removeprefix("nn.functional.")
        if name in SIGNATURES and not info.variant_test_name:
            kind, words = SIGNATURES[name]
            torch.manual_seed(0)
            for sample in info.sample_inputs("cpu", torch.float64, requires_grad=True):
                settings = dict(zip(words, sample.args, strict=False))
                settings |= {WORDS.get(k, k): v for k, v in sample.kwargs.items()}
                settings = {k: v.detach().clone() if torch.is_tensor(v) else v for k, v in settings.items()}

                def run(x, op=info.op, args=sample.args, kwargs=sample.kwargs):
                    return op(x, *args, **kwargs)

                yield kind, run, sample.input, settings


def module_samples():
    """The same for modules, training and evaluating."""
    for info in modules.module_db:
        name = info.module_cls.__name__.rstrip("123d")
        kind = {
            "BatchNorm": "batch",
            "LayerNorm": "layer",
            "RMSNorm": "rms",
            "GroupNorm": "group",
            "InstanceNorm": "instance",
        }.get(name)
        if kind is None or "Lazy" in name:
            continue
        for train in (True, False):
            given = {"device": "cpu", "dtype": torch.float64, "requires_grad": True, "training": train}
            torch.manual_seed(0)
            for sample in info.module_inputs_func(info, **given):
                made = sample.constructor_input
                module = info.module_cls(*made.args, **made.kwargs).double().train(train)
                (x,) = (*sample.forward_input.args, *sample.forward_input.kwargs.values())
                running = getattr(module, "running_mean", None) is not None
                single = kind == "instance" and x.ndim == int(info.module_cls.__name__[-2]) + 1
                settings = {
                    "weight": module.weight, "bias": getattr(module, "bias", None), "eps": module.eps, "train": train,
                    "batch_statistics": train or not running, "momentum": getattr(module, "momentum", 0.1),
                    "groups": getattr(module, "num_groups", None), "shape": getattr(module, "normalized_shape", None),
                }  # fmt: skip
                if kind == "batch" and running:
                    settings |= {"mean": module.running_mean.clone(), "var": module.running_var.clone()}
                settings = {k: v.detach().clone() if torch.is_tensor(v) else v for k, v in settings.items()}
                if single:  # one image without an axis of samples
                    yield kind, lambda x, m=module: m(x[0])[None], x[None], settings
                else:
                    yield kind, module, x, settings


def check(run, x, made, p, move, train):
    x = x.detach().clone().requires_grad_()
    wanted = run(x)
    # In PyTorch's own order: from axes that are moved, its InstanceNorm of one image makes a wrong gradient.
    given = torch.from_numpy(np.random.default_rng(0).standard_normal(tuple(wanted.shape)))
    wanted.backward(given)
    wanted, dy = move(wanted), move(given).numpy()
    p = {k: a.detach().numpy() for k, a in p.items()}
    y, dx, _ = run_layer(made, move(x).detach().numpy(), dy, p, train=train)
    assert error(y, wanted.detach()) <= TOLERANCE
    size = np.linalg.norm(dy) * np.linalg.norm(p["gain"])  # dx may cancel to nothing, as for two values
    assert error(dx, move(x.grad)) <= TOLERANCE or np.abs(dx - move(x.grad).numpy()).max() <= TOLERANCE * size


@pytest.mark.parametrize(("samples", "floor"), [(op_samples, OPS), (module_samples, MODULES)])
def test_corpus_equals_torch(samples, floor):
    ran, names = 0, set()
    for kind, run, x, settings in samples():
        case = translate(kind, x, settings)
        if isinstance(case, str):
            print(f"  {kind:10} {tuple(x.shape)!s:20} {case}")
            continue
        check(run, x, *case)
        ran, names = ran + 1, names | {kind}
    print(f"{ran} samples ran")
    assert names == {"batch", "layer", "rms", "group", "instance"}
    assert ran >= floor
