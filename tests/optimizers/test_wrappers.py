"""Optimizers around an optimizer: against their formulas, PyTorch's averages, and what they promise a run."""

import numpy as np
import pytest
from comparison import NAMES, error
from proof_table import used

import xpnn
from xpnn.backends import get_backend
from xpnn.errors import UsageError
from xpnn.optimizers import EMA, SGD, SWA, Accumulate, Adam, AdamW, Lookahead, NAdam
from xpnn.training import UseAverage

F64 = 1e-12
STEPS, SIZE = 1000, 12
RNG = np.random.default_rng(0)
GRADS, START = RNG.standard_normal((STEPS, SIZE)), RNG.standard_normal(SIZE)


def path_of(optimizer, name="numpy", steps=STEPS, grads=GRADS):
    """theta and the state after every step, copied to the host."""
    used(optimizer)
    be = get_backend(name, None, "float64")
    with be.device_context():
        theta = be.asarray(START.copy())
        state = optimizer.init(be, theta)
        update = be.compile(lambda theta, grad, state: optimizer.update(be, theta, grad, state))
        path = []
        for grad in grads[:steps]:
            theta, state = update(theta, be.asarray(grad.copy()), state)
            path.append({k: np.array(be.to_numpy(a)) for k, a in (state | {"theta": theta}).items()})
    return path


@pytest.mark.parametrize("inner", [SGD(0.1, 0.9), Adam(0.05), NAdam(0.05, clip_norm=1.0)], ids=str)
def test_an_average_changes_nothing_of_the_training(inner):
    plain = path_of(inner)
    for wrapped in (EMA(inner, 0.9), SWA(inner, 10, 3)):
        path = path_of(wrapped)
        assert all(np.array_equal(a["theta"], b["theta"]) for a, b in zip(path, plain, strict=True))


@pytest.mark.against("formula")
@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_ema_follows_its_formula(decay):
    path = path_of(EMA(SGD(0.1, 0.9), decay))
    average = path[0]["theta"]
    for now in path:
        average = decay * average + (1 - decay) * now["theta"]
        assert error(now["average"], average) <= F64


@pytest.mark.against("formula")
@pytest.mark.parametrize(("start", "every"), [(0, 1), (10, 1), (0, 7), (13, 5), (5000, 1)])
def test_swa_is_the_mean_of_the_chosen_steps(start, every):
    path = path_of(SWA(SGD(0.1, 0.9), start, every))
    for t in (1, 2, 3, start + every - 1, start + every, start + 2 * every, 500, 998, 1000):
        chosen = [now["theta"] for i, now in enumerate(path[:t], 1) if i > start and (i - start) % every == 0]
        if 1 <= t <= STEPS:
            wanted = np.mean(chosen, axis=0) if chosen else path[t - 1]["theta"]
            assert error(path[t - 1]["average"], wanted) <= F64, t


@pytest.mark.oracle
@pytest.mark.against("PyTorch")
@pytest.mark.parametrize("wrapped", [EMA(SGD(0.1, 0.9), 0.9), SWA(SGD(0.1, 0.9))], ids=str)
def test_averages_equal_torchs(wrapped):
    torch = pytest.importorskip("torch")
    from torch.optim import swa_utils

    net = torch.nn.Linear(SIZE, 1, bias=False, dtype=torch.float64)
    net.weight.data[0] = torch.from_numpy(START)
    average = swa_utils.AveragedModel(
        net, avg_fn=swa_utils.get_ema_avg_fn(wrapped.decay) if isinstance(wrapped, EMA) else None
    )
    theirs = torch.optim.SGD(net.parameters(), 0.1, 0.9)
    for now, grad in zip(path_of(wrapped), GRADS, strict=True):
        net.weight.grad = torch.from_numpy(grad[None].copy())
        theirs.step()
        average.update_parameters(net)
        assert error(now["average"], average.module.weight.detach()[0]) <= F64


@pytest.mark.against("formula")
@pytest.mark.parametrize(("k", "alpha"), [(1, 0.5), (5, 0.5), (7, 1.0), (3, 0.2)])
def test_lookahead_follows_its_formula(k, alpha):
    """Plain SGD inside, so that the steps forward can be written out."""
    fast = slow = START
    for i, now in enumerate(path_of(Lookahead(SGD(0.1), k, alpha)), 1):
        fast = fast - 0.1 * GRADS[i - 1]
        if i % k == 0:
            fast = slow = slow + alpha * (fast - slow)
        assert error(now["theta"], fast) <= F64
        assert error(now["slow"], slow) <= F64


@pytest.mark.against("formula")
@pytest.mark.parametrize("inner", [SGD(0.1, 0.9), AdamW(0.05, clip_norm=1.0), NAdam(0.05)], ids=str)
@pytest.mark.parametrize("steps", [1, 4, 7])
def test_accumulation_is_the_step_of_the_mean_gradient(inner, steps):
    count = STEPS // steps
    means = GRADS[: count * steps].reshape(count, steps, SIZE).mean(axis=1)
    wanted, path = path_of(inner, grads=means), path_of(Accumulate(inner, steps))
    before = START
    for i, now in enumerate(path):
        done = (i + 1) // steps
        assert error(now["theta"], wanted[done - 1]["theta"] if done else START) <= F64
        assert int(now["t"]) == i + 1
        rests = (i + 1) % steps != 0
        assert np.array_equal(now["theta"], before) == rests
        before = now["theta"]


@pytest.mark.parametrize("name", NAMES)
def test_a_stack_of_wrappers_is_the_same_on_every_backend(name):
    stack = EMA(Lookahead(Accumulate(Adam(0.05), 3), 6), 0.9)
    got, wanted = path_of(stack, name, 40)[-1], path_of(stack, "numpy", 40)[-1]
    group = {"sum", "total", "waiting", "updates", "divisor", "last"}
    assert got.keys() == wanted.keys() == {"t", "lr", "m", "v", "slow", "average", "theta"} | group
    for key, value in wanted.items():
        assert error(got[key] * 1.0, value * 1.0) <= F64, key


def model_and_data():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 64)
    return xpnn.Model([xpnn.Dense(2)], (3,), seed=0), rng.standard_normal((64, 3)) + y[:, None], y


def test_a_run_may_end_with_the_average():
    model, x, y = model_and_data()
    trainer = xpnn.Trainer(model, optimizer=EMA(SGD(0.5), 0.9))
    trainer.fit(x, y, epochs=3, batch_size=16)
    own = model.backend.to_numpy(model.theta).copy()
    trainer.fit(x, y, epochs=1, batch_size=16, callbacks=[UseAverage()])
    average = model.backend.to_numpy(trainer.state["average"]).copy()
    assert np.array_equal(model.backend.to_numpy(model.theta), average)
    assert not np.array_equal(average, own)
    trainer.step(x.astype(np.float32), y)  # goes on from there, in memory of its own
    theta = model.backend.to_numpy(model.theta)
    assert not np.array_equal(theta, average)
    assert np.allclose(trainer.state["average"] - average, 0.1 * (theta - average), rtol=1e-4, atol=1e-7)


def test_without_an_average_there_is_none_to_use():
    model, x, y = model_and_data()
    with pytest.raises(UsageError, match="SGD keeps no average"):
        xpnn.Trainer(model, optimizer=SGD(0.5)).fit(x, y, epochs=1, callbacks=[UseAverage()])


def test_a_schedule_reaches_the_optimizer_inside():
    model, x, y = model_and_data()
    trainer = xpnn.Trainer(model, optimizer=Lookahead(SGD(0.5)), schedule=xpnn.schedules.Exponential(0.5))
    trainer.fit(x, y, epochs=1, batch_size=16)
    assert float(trainer.state["lr"]) == trainer.lr == 0.5 * 0.5**3


BAD = [
    (EMA, {"decay": 1.0}),
    (EMA, {"decay": -0.1}),
    (SWA, {"start": -1}),
    (SWA, {"every": 0}),
    (Lookahead, {"k": 0}),
    (Lookahead, {"alpha": 0.0}),
    (Lookahead, {"alpha": 1.5}),
    (Accumulate, {"steps": 0}),
]


@pytest.mark.parametrize(("kind", "settings"), BAD, ids=str)
def test_bad_settings_are_refused_by_name_and_value(kind, settings):
    ((name, value),) = settings.items()
    with pytest.raises(UsageError) as caught:
        kind(SGD(), **settings)
    assert f"{kind.__name__}({name}={value})" in str(caught.value)


def test_what_cannot_be_nested():
    with pytest.raises(UsageError, match="Lookahead inside Lookahead"):
        Lookahead(Accumulate(Lookahead(SGD())))
    with pytest.raises(UsageError, match="one average at a time"):
        EMA(Lookahead(SWA(SGD())))
    with pytest.raises(UsageError, match="wanted"):
        EMA(0.9)
