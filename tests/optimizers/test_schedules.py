"""Schedules: their values, what is refused, and what shares of a run mean."""

import math

import pytest

from xpnn.errors import UsageError
from xpnn.schedules import (
    SCHEDULES,
    ConstantRate,
    Cosine,
    CosineRestarts,
    Cyclic,
    Exponential,
    InverseTime,
    Joined,
    MultiStep,
    Noam,
    OneCycle,
    Polynomial,
    StepDecay,
    Warmup,
    get_schedule,
)
from xpnn.schedules.base import Schedule, steps_of

HIGH, LOW = (1 + math.sqrt(0.5)) / 2, (1 - math.sqrt(0.5)) / 2
"""Half a cosine after a quarter and after three quarters of its way."""
LATE = (1 + math.cos(0.8 * math.pi)) / 2
"""After four of five steps: a step beyond the end makes the last part of Joined longer."""
VALUES = [
    (ConstantRate(), 4, [1, 1, 1, 1, 1, 1]),
    (InverseTime(), 4, {0: 1, 250: 1 / 1.25, 1000: 1 / 2, 3000: 1 / 4}),
    (InverseTime(0.5), 4, [1, 1 / 1.5, 1 / 2, 1 / 2.5]),
    (StepDecay(3), 4, [1, 1, 1, 0.1, 0.1, 0.1, 0.01]),
    (StepDecay(2, 0.5), 4, [1, 1, 0.5, 0.5, 0.25]),
    (Exponential(), 4, {0: 1, 1: 0.999, 2: 0.998001}),
    (Exponential(0.5), 4, [1, 0.5, 0.25, 0.125]),
    (Cosine(), 4, [1, HIGH, 0.5, LOW, 0, 0, 0]),
    (Cosine(0.2), 4, [1, 0.2 + 0.8 * HIGH, 0.6, 0.2 + 0.8 * LOW, 0.2, 0.2]),
    (Cosine(), 1, [1, 0]),
    (Cosine(0.2), 0, [0.2, 0.2]),
    (Warmup(3), 6, [1 / 4, 2 / 4, 3 / 4, 1, 1, 1]),
    (Warmup(2, Cosine()), 6, [1 / 3, 2 / 3, 1, HIGH, 0.5, LOW, 0]),
    (Warmup(0.5, Polynomial()), 4, [1 / 3, 2 / 3, 1, 0.5, 0]),
    (OneCycle(), 10, {0: 1 / 25, 1: 0.52, 2: 1, 9: 1 / 25e4, 30: 1 / 25e4}),
    (OneCycle(0.6, 10.0, 100.0), 10, {0: 0.1, 5: 1, 6: 1e-3 + 0.999 * HIGH, 7: 0.5005, 8: 1e-3 + 0.999 * LOW, 9: 1e-3}),
    (OneCycle(0.5, 10.0, 100.0), 5, {1: 1 - 0.9 / 4, 2: 1e-3 + 0.999 * (1 + math.cos(0.2 * math.pi)) / 2}),
    (OneCycle(0.0, 10.0, 100.0), 4, [1e-3 + 0.999 * HIGH, 0.5005, 1e-3 + 0.999 * LOW, 1e-3, 1e-3]),
    (OneCycle(1.0, 10.0), 3, [0.1, 0.55, 1, 1e-5]),
    (OneCycle(1.0, 10.0), 1, [1, 1e-5]),
    (OneCycle(0.3, 10.0), 1, [1e-5, 1e-5]),
    (Polynomial(), 4, [1, 0.75, 0.5, 0.25, 0, 0]),
    (Polynomial(2.0), 4, [1, 0.5625, 0.25, 0.0625, 0, 0]),
    (Noam(4), 40, {0: 1 / 4, 2: 3 / 4, 3: 1, 4: math.sqrt(4 / 5), 15: 1 / 2, 63: 1 / 4}),
    (Noam(), 40, {0: 1 / 4, 3: 1, 15: 1 / 2}),
    (Noam(), 4, {0: 1, 3: 1 / 2}),
    (MultiStep((2, 5)), 9, [1, 1, 0.1, 0.1, 0.1, 0.01, 0.01]),
    (MultiStep((0.25, 1.0), 0.5), 8, [1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25]),
    (CosineRestarts(), 16, [1, HIGH, 0.5, LOW, 1, HIGH]),
    (CosineRestarts(), 1, [1, 1]),
    (CosineRestarts(2, 2, 0.1), 9, {0: 1, 1: 0.55, 2: 1, 3: 0.1 + 0.9 * HIGH, 4: 0.55, 6: 1, 10: 0.55, 14: 1}),
    (CosineRestarts(4), 9, {2: 0.5, 4: 1, 7: LOW, 8: 1, 402: 0.5}),
    (Cyclic(), 20, [0.1, 0.55, 1, 0.55, 0.1, 0.55, 1]),
    (Cyclic(), 4, [0.1, 1, 0.1, 1]),
    (Cyclic(2, 4, 0.2), 9, [0.2, 0.6, 1, 0.8, 0.6, 0.4, 0.2, 0.6, 1]),
    (Cyclic(0.1, 0.01, 0.2), 20, [0.2, 0.6, 1, 0.2, 0.6, 1]),
    (Cyclic(2, low=0.2, mode="triangular2"), 9, [0.2, 0.6, 1, 0.6, 0.2, 0.4, 0.6, 0.4, 0.2, 0.3, 0.4]),
    (Cyclic(1, low=0.2, mode="exp_range", gamma=0.5), 9, [0.2, 0.2 + 0.8 / 2, 0.2, 0.2 + 0.8 / 8]),
    (Cyclic(1, low=0.2, mode="exp_range"), 9, [0.2, 1, 0.2, 1]),
    (Joined((Polynomial(), ConstantRate(), Cosine()), (2, 3)), 7, [1, 0.5, 1, 1, HIGH, 0.5, LOW, LATE]),
    (Joined((ConstantRate(), Cosine()), (2,)), 3, [1, 1, 1, 0.5, 0.25]),
]  # fmt: skip

BAD = [
    (InverseTime, {"k": -0.1}),
    (StepDecay, {"every": 0}),
    (StepDecay, {"every": 3, "gamma": 0.0}),
    (Exponential, {"gamma": 0.0}),
    (Cosine, {"final": -0.1}),
    (Cosine, {"final": 1.1}),
    (OneCycle, {"up": 1.1}),
    (OneCycle, {"div": 0.0}),
    (OneCycle, {"final_div": 0.0}),
    (Warmup, {"steps": 3, "then": 3}),
    (Polynomial, {"power": 0.0}),
    (Polynomial, {"power": -1.0}),
    (MultiStep, {"milestones": (3, 3)}),
    (MultiStep, {"milestones": (5, 3)}),
    (MultiStep, {"milestones": (0,)}),
    (MultiStep, {"milestones": (0.5, 7)}),
    (MultiStep, {"milestones": (0.5, 1.5)}),
    (MultiStep, {"milestones": (3,), "gamma": 0.0}),
    (CosineRestarts, {"first": 0}),
    (CosineRestarts, {"first": 0.0}),
    (CosineRestarts, {"first": 1.5}),
    (CosineRestarts, {"factor": 0}),
    (CosineRestarts, {"final": 1.5}),
    (Cyclic, {"up": 0}),
    (Cyclic, {"down": 0}),
    (Cyclic, {"low": -0.1}),
    (Cyclic, {"mode": "triangle"}),
    (Cyclic, {"gamma": 0.0}),
    (Noam, {"warmup": 0}),
    (Noam, {"warmup": -0.5}),
    (Joined, {"schedules": (Cosine(),), "milestones": (3,)}),
    (Joined, {"schedules": (), "milestones": ()}),
    (Joined, {"schedules": (Cosine(), Cosine(), Cosine()), "milestones": (4, 2)}),
    (Joined, {"schedules": (Cosine(), 3), "milestones": (4,)}),
]


@pytest.mark.parametrize(("kind", "settings"), BAD, ids=str)
def test_bad_settings_are_refused_by_name(kind, settings):
    with pytest.raises(UsageError, match=kind.__name__):
        kind(**settings)


@pytest.mark.parametrize(("schedule", "total", "wanted"), VALUES, ids=str)
def test_every_value_is_that_of_the_formula(schedule, total, wanted):
    steps = wanted if isinstance(wanted, dict) else dict(enumerate(wanted))
    found = {step: schedule(step, total) for step in steps}
    assert found == pytest.approx(steps, rel=1e-12, abs=1e-15)
    assert {type(value) for value in found.values()} == {float}


def test_names():
    wanted = {
        "constant": ConstantRate(),
        "inverse-time": InverseTime(0.001),
        "step": StepDecay(1000, 0.1),
        "exponential": Exponential(0.999),
        "cosine": Cosine(0.0),
        "warmup": Warmup(0.1, ConstantRate()),
        "warmup-cosine": Warmup(0.1, Cosine(0.0)),
        "one-cycle": OneCycle(0.3, 25.0, 1e4),
        "polynomial": Polynomial(1.0),
        "multi-step": MultiStep((0.5, 0.75), 0.1),
        "cosine-restarts": CosineRestarts(0.25, 1, 0.0),
        "cyclic": Cyclic(0.1, None, 0.1, "triangular", 1.0),
        "noam": Noam(0.1),
    }
    assert wanted == SCHEDULES
    for name, schedule in wanted.items():
        assert get_schedule(name) == schedule
        assert Schedule.coerce(name) == schedule
    assert get_schedule(None) == ConstantRate()
    own = Cosine(0.5)
    assert get_schedule(own) is own
    assert Schedule.coerce(3) is None
    assert Warmup(2, "cosine") == Warmup(2, Cosine())


@pytest.mark.parametrize(("given", "fix"), [("cosin", "cosine"), ("one_cycle", "one-cycle"), (3, "")])
def test_unknown_names(given, fix):
    with pytest.raises(UsageError, match=f"unknown schedule {given!r}") as caught:
        get_schedule(given)
    assert fix in caught.value.fix


def test_numbers_and_shares_of_steps():
    assert [steps_of(value, 10) for value in (3, 12, 0.25, 0.26, 1.0)] == [3, 12, 2, 3, 10]
    assert MultiStep((1,)).milestones == (1,)
    assert MultiStep((1.0,)).milestones == (1.0,)


@pytest.mark.parametrize("milestones", [(3, 3), (5, 3), (0.5, 7), (0.5, 0.5)])
def test_milestones_that_do_not_rise(milestones):
    wanted = r"wanted rising numbers, all steps or all shares"
    with pytest.raises(UsageError, match=f"MultiStep.milestones=.*{wanted}"):
        MultiStep(milestones)
    with pytest.raises(UsageError, match=f"Joined.milestones=.*{wanted}"):
        Joined((Cosine(), Cosine(), Cosine()), milestones)


@pytest.mark.parametrize(
    ("share", "steps"),
    [
        (MultiStep((0.25, 0.5)), MultiStep((10, 20))),
        (CosineRestarts(0.2, 2), CosineRestarts(8, 2)),
        (Cyclic(0.1, 0.2), Cyclic(4, 8)),
        (Noam(0.25), Noam(10)),
        (Joined((Cosine(), ConstantRate()), (0.5,)), Joined((Cosine(), ConstantRate()), (20,))),
    ],
    ids=str,
)
def test_a_share_is_that_many_steps(share, steps):
    assert [share(t, 40) for t in range(45)] == [steps(t, 40) for t in range(45)]


def test_every_part_of_joined_gets_its_own_length():
    joined = Joined((Polynomial(), Polynomial()), (4,))
    assert [joined(t, 10) for t in (0, 3, 4, 7, 9)] == [1.0, 0.25, 1.0, 0.5, 1 - 5 / 6]


def test_restarts_far_from_the_start_are_found_at_once():
    assert CosineRestarts(1)(10**9, 10**9) == 1.0
    assert CosineRestarts(1, 2)(2**40 - 1, 10**9) == 1.0


@pytest.mark.parametrize("steps", [1.0, 1.5, -1, -0.1])
def test_a_warmup_that_would_be_the_whole_run(steps):
    with pytest.raises(UsageError, match="wanted a number of steps, or a share from 0"):
        Warmup(steps)


def test_the_ends_of_a_warmup():
    assert Warmup(1)(0, 10) == 0.5
    assert Warmup(0)(0, 10) == Warmup(0.0)(0, 10) == 1.0
    assert Warmup(0.9)(8, 10) == 0.9
    assert Warmup(0.9)(9, 10) == 1.0
