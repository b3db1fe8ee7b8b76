"""Schedules: what is refused, and what shares of a run mean."""

import pytest

from xpnn.errors import UsageError
from xpnn.schedules import (
    SCHEDULES,
    ConstantRate,
    Cosine,
    CosineRestarts,
    Cyclic,
    Joined,
    MultiStep,
    Noam,
    Polynomial,
    Warmup,
    get_schedule,
)

BAD = [
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


@pytest.mark.parametrize("name", SCHEDULES)
def test_names(name):
    assert get_schedule(name) is SCHEDULES[name]


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
