"""ReduceOnPlateau: equal to PyTorch's, epoch by epoch, and heard by the trainer."""

import json
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import xpnn
from xpnn.errors import UsageError
from xpnn.optimizers import SGD
from xpnn.training import ReduceOnPlateau, Row, Trainer

X = np.sin(np.arange(60 * 4.0)).reshape(60, 4)
IDS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
NAN, INF = math.nan, math.inf


def rates(values, rate=0.1, rising=False, **how):
    callback, seen = ReduceOnPlateau(**how), []
    for value in values:
        rate = callback.observe(value, rate, rising=rising)
        assert json.loads(json.dumps(callback.state)) == callback.state or math.isnan(value)
        seen.append(rate)
    return seen


def theirs(values, rate=0.1, rising=False, *, relative=True, **how):
    torch = pytest.importorskip("torch")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=rate)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, "max" if rising else "min", threshold_mode="rel" if relative else "abs", eps=0, **how
    )
    seen = []
    for value in values:
        scheduler.step(value)
        seen.append(optimizer.param_groups[0]["lr"])
    return seen


LEVELS = [0.0, 0.5, 0.5 * (1 - 1e-2), 0.49, 0.51, 1.0, 1 - 1e-4, 2.0, -1.0, NAN, INF, -INF]
"""Values at, just beyond and just short of a threshold of 0.01 from each other, and some that are no losses."""


@pytest.mark.oracle
@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from(LEVELS) | st.floats(-3, 3), max_size=40),
    st.booleans(),
    st.fixed_dictionaries({
        "factor": st.sampled_from([0.1, 0.5, 1 / 3]),
        "patience": st.integers(0, 4),
        "threshold": st.sampled_from([0.0, 1e-4, 1e-2]),
        "relative": st.booleans(),
        "cooldown": st.integers(0, 3),
        "min_lr": st.sampled_from([0.0, 1e-3, 0.04, 0.1]),
    }),
)  # fmt: skip
@example([1.0] * 40, False, {"patience": 0, "cooldown": 1})
@example([NAN] * 20, True, {"patience": 2})
@example([1 / (k + 1) for k in range(30)], True, {"patience": 1, "factor": 0.5})
def test_rates_equal_torchs_exactly(values, rising, how):
    """Of relative thresholds beside losses below 0, those of the mirrored values: torch's make a worse loss better."""
    relative = how.get("relative", True)
    for sign in (1, -1) if relative else (1,):
        seen = [sign * abs(v) if relative else v for v in values]
        mirrored = theirs([sign * v for v in seen], rising=rising == (sign == 1), **how)
        assert rates(seen, rising=rising, **how) == mirrored


def test_by_hand():
    """Best 1; 0.9999 is no improvement by 1 %. Two bad epochs are borne, the third reduces, two are not counted."""
    how = {"factor": 0.5, "patience": 2, "threshold": 0.01, "cooldown": 2, "min_lr": 0.3}
    values = [1, 0.9999, 0.9999, 0.9999, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5]
    assert rates(values, 1.0, **how) == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3]
    assert rates([1, 0.98, 0.96, 0.94], 1.0, **how) == [1] * 4
    assert rates([5, 5, 5, 5], 0.1, **how) == [0.1] * 4  # below min_lr already: never raised


def fitted(callback, model=None, epochs=12, **more):
    model = model or xpnn.Model([xpnn.Dense(3)], (4,), dtype="float64", seed=0)
    trainer = Trainer(model, optimizer=SGD(0.5, l2=0.2), schedule=more.pop("schedule", None))
    trainer.fit(X, IDS, epochs=epochs, batch_size=16, callbacks=[callback], **more)
    return trainer


@pytest.mark.parametrize(
    ("monitor", "validation", "column"),
    [
        (None, 0.2, "valid_loss"),
        (None, None, "train_loss"),
        ("valid_accuracy", 0.2, "valid_accuracy"),
        ("train_loss", 0.2, "train_loss"),
    ],
)
def test_history_has_the_rates_that_were_used(monitor, validation, column):
    """The rate of an epoch follows from the rows before it."""
    how = {"factor": 0.5, "patience": 1, "threshold": 1e-2}
    trainer = fitted(ReduceOnPlateau(monitor=monitor, **how), validation=validation)
    wanted = rates(trainer.history[column], 0.5, rising=column == "valid_accuracy", **how)
    assert trainer.history["lr"] == [0.5, *wanted[:-1]]
    assert wanted[-2] < 0.5
    assert float(trainer.state["lr"]) == trainer.lr == wanted[-2]
    assert trainer.rate == wanted[-1]


def test_a_schedule_goes_on_multiplying():
    plateau = ReduceOnPlateau(0.5, 0, threshold=0.5)
    trainer = fitted(plateau, epochs=3, schedule=xpnn.schedules.Exponential(0.9))
    steps = [4 * epoch - 1 for epoch in (1, 2, 3)]
    assert trainer.history["lr"] == [
        rate * 0.9**step for rate, step in zip([0.5, 0.5, 0.25], steps, strict=True)
    ]


def test_a_run_that_goes_on_keeps_its_state():
    how = {"factor": 0.5, "patience": 2, "threshold": 0.05}
    whole = fitted(ReduceOnPlateau(**how), epochs=12)
    callback = ReduceOnPlateau(**how)
    parts = fitted(callback, epochs=5)
    kept = dict(callback.state)
    again = ReduceOnPlateau(**how)
    again.state = json.loads(json.dumps(kept))  # as from a file
    parts.fit(X, IDS, epochs=7, batch_size=16, callbacks=[again])
    assert parts.history["lr"] == whole.history["lr"]
    assert len(set(whole.history["lr"])) > 1
    fitted(again, epochs=1)
    assert again.state["best"] > kept["best"]  # another run: begun anew


BAD = [
    ({"factor": 1.0}, r"factor=1.0\): wanted"),
    ({"factor": 0.0}, r"factor=0.0\)"),
    ({"factor": NAN}, r"factor=nan\)"),
    ({"patience": -1}, r"patience=-1\)"),
    ({"threshold": -0.1}, r"threshold=-0.1\)"),
    ({"threshold": 1.0}, r"threshold=1.0\)"),
    ({"cooldown": -1}, r"cooldown=-1\)"),
    ({"min_lr": -1e-3}, r"min_lr=-0.001\)"),
    ({"monitor": "loss"}, r"monitor='loss'\): wanted one of valid_loss, train_loss, valid_accuracy, or None"),
]


@pytest.mark.parametrize(("how", "says"), BAD, ids=str)
def test_bad_settings_are_refused(how, says):
    with pytest.raises(UsageError, match=says):
        ReduceOnPlateau(**how)


def test_what_is_not_measured_cannot_be_watched():
    with pytest.raises(UsageError, match=r"monitor='valid_loss'.: this run does not measure it"):
        fitted(ReduceOnPlateau(monitor="valid_loss"))
    with pytest.raises(UsageError, match="ReduceOnPlateau with LBFGS"):
        xpnn.Trainer(xpnn.Model([xpnn.Dense(3)], (4,)), optimizer="lbfgs").fit(
            X, IDS, callbacks=[ReduceOnPlateau()]
        )
    row = Row(1, 0.5, 0.4, None, 0.1, 1.0, True)
    with pytest.raises(UsageError, match="valid_accuracy"):
        ReduceOnPlateau(monitor="valid_accuracy").epoch(None, row)
