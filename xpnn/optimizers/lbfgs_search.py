"""The host's side of L-BFGS: it reads a few numbers per evaluation and decides; vectors stay on the device."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from xpnn.backends.base import Backend
from xpnn.errors import DivergedError
from xpnn.kernels import Array
from xpnn.optimizers.base import State
from xpnn.optimizers.wolfe import Trial, Wolfe


class Rule(Protocol):
    """What a descent asks of `LBFGS`: its formulas on the device, and its settings."""

    @property
    def tolerance_gradient(self) -> float:
        """The descent ends where max |g| is at most this."""

    @property
    def tolerance_change(self) -> float:
        """The descent ends where the value falls by less than this share of itself."""

    @property
    def c1(self) -> float:
        """The constant of the first Wolfe condition, sufficient decrease."""

    @property
    def c2(self) -> float:
        """The constant of the second Wolfe condition, curvature."""

    @property
    def max_evaluations(self) -> int:
        """The most evaluations of one line search."""

    def init(self, be: Backend, theta: Array) -> State:
        """The state before the first step."""

    def direction(self, be: Backend, g: Array, state: State) -> Any:
        """The descent direction."""

    def remember(self, be: Backend, s: Array, y: Array, state: State) -> Any:
        """Return the state after a step s that changed the gradient by y."""

    def penalise(self, be: Backend, *given: Any) -> Any:
        """Return value and gradient with the penalty."""


@dataclass(frozen=True)
class Report:
    """The result of a descent. value: at its end, with the penalty; reason: why it stopped (see LBFGS)."""

    value: float
    reason: str
    iterations: int
    evaluations: int


@dataclass(frozen=True)
class Point:
    """Where the descent has been. value and gradient with the penalty, loss without; rest: what else f returned."""

    theta: Array
    gradient: Array
    value: float
    loss: float
    steepest: float
    rest: tuple[Any, ...]


class Descent:
    """L-BFGS on f(theta) -> value, gradient, ..., an iteration at a time: `point` is the lowest so far.

    Raises DivergedError where f is not finite at the start. Works inside the backend's scope.
    """

    def __init__(
        self, rule: Rule, be: Backend, f: Callable[[Array], tuple[Any, ...]], theta: Array, state: State
    ) -> None:
        self.rule, self.be, self.f, self.state = rule, be, f, state
        self.iterations, self.evaluations, self.reason, self.step = 0, 0, "", 0.0
        self._direction = be.compile(lambda g, state: rule.direction(be, g, state))
        self._remember = be.compile(lambda s, y, state: rule.remember(be, s, y, state))
        self._penalise = be.compile(lambda *given: rule.penalise(be, *given))
        start = self._at(theta, be.zeros(theta.shape), 0.0)
        if not math.isfinite(start.value):
            raise DivergedError(
                f"loss or gradient is not finite before the first step (loss {start.place.loss})",
                why="L-BFGS can only go down from a finite value",
                fix="check the samples and targets, or draw smaller initial weights",
            )
        self.point: Point = start.place

    def run(self, iterations: int) -> tuple[Array, Report]:
        """Iterate until there is a reason to stop."""
        while not self.reason and self.iterations < iterations:
            self.advance()
        reason = self.reason or "iterations"
        return self.point.theta, Report(self.point.value, reason, self.iterations, self.evaluations)

    def advance(self) -> None:
        """Make one iteration; `reason` says whether it was the last, `step` its length in units of the direction."""
        if self.point.steepest <= self.rule.tolerance_gradient:
            self.reason, self.step = "gradient", 0.0
            return
        old = self.point
        d, found = self._search()
        if found is None and self._read(self.be.xp.max(self.state["rho"]))[0] > 0:
            self.state = self.rule.init(self.be, old.theta) | {"t": self.state["t"]}
            d, found = self._search()
        if found is None:
            self.reason, self.step = "line search", 0.0
            return
        self.point, self.step = found.place, found.step
        self.iterations += 1
        moved = self.be.scalar(found.step) * d
        self.state = self._remember(moved, self.point.gradient - old.gradient, self.state)
        if self.point.steepest <= self.rule.tolerance_gradient:
            self.reason = "gradient"
        elif old.value - self.point.value < self.rule.tolerance_change * max(abs(old.value), 1.0):
            self.reason = "change"

    def _search(self) -> tuple[Array, Trial | None]:
        """Return a direction, and a step along it that descends."""
        xp, old = self.be.xp, self.point
        d = self._direction(old.gradient, self.state)
        slope, size, longest, largest, memory = self._read(
            old.gradient @ d, xp.sum(xp.abs(old.gradient)), xp.max(xp.abs(d)),
            xp.max(xp.abs(old.theta)), xp.max(self.state["rho"]),
        )  # fmt: skip
        if not -math.inf < slope < 0:
            return d, None
        least = float(xp.finfo(self.be.dtype).eps) * largest / longest
        wolfe = Wolfe(self.rule.c1, self.rule.c2, self.rule.max_evaluations, least)
        first = 1.0 if memory > 0 else min(1.0, 1 / size)
        start = Trial(0.0, old.value, slope, old)
        return d, wolfe.search(lambda step: self._at(old.theta, d, step), start, first)

    def _at(self, theta: Array, d: Array, step: float) -> Trial:
        """Return f at theta + step d; infinity where value or gradient is not finite."""
        be, xp = self.be, self.be.xp
        theta = theta + be.scalar(step) * d if step else theta
        loss, gradient, *rest = self.f(theta)
        total, gradient = self._penalise(theta, loss, gradient, self.state)
        value, slope, steepest, shown = self._read(total, gradient @ d, xp.max(xp.abs(gradient)), loss)
        self.evaluations += 1
        finite = math.isfinite(value) and math.isfinite(steepest)
        place = Point(theta, gradient, value, shown, steepest, tuple(rest))
        return Trial(step, value if finite else math.inf, slope, place)

    def _read(self, *scalars: Array) -> list[float]:
        """Return 0-d arrays as numbers, in one transfer."""
        xp = self.be.xp
        wide = [xp.astype(xp.asarray(a), xp.float64) for a in scalars]
        numbers: list[float] = self.be.to_numpy(xp.stack(wide)).tolist()
        return numbers
