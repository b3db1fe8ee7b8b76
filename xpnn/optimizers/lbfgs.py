"""L-BFGS: a quasi-Newton method for the whole data at once."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

from xpnn.backends.base import Backend
from xpnn.errors import UsageError
from xpnn.kernels import Array
from xpnn.optimizers.base import Optimizer, State, spread
from xpnn.optimizers.lbfgs_search import Descent, Report
from xpnn.settings import AtLeastZero, Count


@dataclass(frozen=True)
class LBFGS(Optimizer):
    """theta <- theta + a d, d = -H g, with a step length a that satisfies the strong Wolfe conditions for c1 and c2.

    H stands for the inverse Hessian: an estimate from the last `history` pairs of steps s and gradient changes y,
    by the two-loop recursion, from H = s.y / y.y I. It needs the loss and its gradient at several points of the same
    function, so it takes the whole data: `Trainer.fit` makes one iteration per epoch, `Trainer.step` raises UsageError.

    The first step is 1 / sum |g| long, every later trial begins at a = 1. The value falls with every iteration. A line
    search that finds no lower value empties the memory and tries once along -g; then the descent stops. Reasons to
    stop: "gradient" (max |g| <= tolerance_gradient), "change" (the value fell by less than tolerance_change times the
    larger of itself and 1), "line search", and "iterations" (max_iterations, of `minimize`).
    max_evaluations: of one line search. l2: adds l2 / 2 |theta|^2 to the loss, biases left out.
    l1 is not offered: its kink at 0 breaks the line search.
    Sources: Liu and Nocedal, Math. Programming 45 (1989); Nocedal and Wright (2006), algorithms 7.4 and 7.5.
    """

    full_batch = True
    history: Count = 10
    max_iterations: Count = 100
    tolerance_gradient: AtLeastZero = 1e-7
    tolerance_change: AtLeastZero = 1e-9
    _: KW_ONLY
    c1: float = 1e-4
    c2: float = 0.9
    max_evaluations: Count = 25
    l2: AtLeastZero = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.c1 < self.c2 < 1:
            raise UsageError(f"LBFGS(c1={self.c1}, c2={self.c2}): wanted 0 < c1 < c2 < 1")

    @property
    def lr(self) -> float:
        """The step length tried first."""
        return 1.0

    @property
    def penalised(self) -> bool:
        """Whether a penalty pulls theta towards 0."""
        return bool(self.l2)

    def init(self, be: Backend, theta: Array) -> State:
        """t = 0 and an empty memory: S and Y of shape (history, size), and rho = 1 / s.y, 0 for a free place."""
        rows = be.zeros((self.history, *theta.shape))
        state: State = {"t": be.scalar(0, be.xp.int64), "lr": be.scalar(1.0), "S": rows, "Y": rows}
        state["rho"], state["gamma"] = be.zeros((self.history,)), be.scalar(1.0)
        if self.penalised:
            state["decay"] = spread(be, theta, self.params, tuple(param.decay for param in self.params))
        return state

    def minimize(
        self,
        be: Backend,
        value_and_gradient: Callable[[Array], tuple[Any, ...]],
        theta: Array,
    ) -> tuple[Array, Report]:
        """The lowest point found from theta, and how it was found; theta itself is left as it is.

        value_and_gradient(theta) -> 0-d value, gradient of theta's shape. l2 pulls at all of theta, or as `bind` says.
        Raises DivergedError where the value or the gradient at theta is not finite.
        """
        with be.device_context():
            descent = Descent(self, be, value_and_gradient, theta, self.init(be, theta))
            return descent.run(self.max_iterations)

    def penalise(
        self, be: Backend, theta: Array, value: Array, g: Array, state: State
    ) -> tuple[Array, Array]:
        """value + l2 / 2 sum decay theta^2, g + l2 decay theta."""
        if not self.l2:
            return value, g
        pull = self.l2 * state["decay"] * theta
        return value + 0.5 * be.xp.sum(pull * theta), g + pull

    def direction(self, be: Backend, g: Array, state: State) -> Array:
        """-H g. A free place of the memory has rho 0 and changes nothing."""
        S, Y, rho = state["S"], state["Y"], state["rho"]
        q, alphas = g, []
        for i in reversed(range(self.history)):
            alphas.append(rho[i] * (S[i, :] @ q))
            q = q - alphas[-1] * Y[i, :]
        r = state["gamma"] * q
        for i, alpha in enumerate(reversed(alphas)):
            r = r + (alpha - rho[i] * (Y[i, :] @ r)) * S[i, :]
        return -r

    def remember(self, be: Backend, s: Array, y: Array, state: State) -> State:
        """The pair in place of the oldest, unless s.y is 0 to rounding or below: H would not be positive definite."""
        xp = be.xp
        sy, yy = s @ y, y @ y
        fits = sy > xp.finfo(be.dtype).eps * xp.sqrt((s @ s) * yy)
        sy, yy = (xp.where(fits, a, xp.ones_like(a)) for a in (sy, yy))
        new = {"gamma": sy / yy} | {
            name: xp.concat([state[name][1:, ...], xp.expand_dims(value, axis=0)])
            for name, value in (("S", s), ("Y", y), ("rho", 1 / sy))
        }
        return {**state, "t": state["t"] + 1, **{k: xp.where(fits, new[k], state[k]) for k in new}}

    def update(self, be: Backend, theta: Array, grad: Array, state: State) -> tuple[Array, State]:
        """Raises UsageError: one gradient is not enough."""
        raise UsageError(
            "LBFGS cannot make a step from one gradient",
            why="its line search needs the loss and its gradient at several points, on the same samples",
            fix="trainer.fit(x, y), one iteration per epoch on the whole data; or SGD, Adam, ... for steps",
        )
