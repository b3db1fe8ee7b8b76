"""L-BFGS against torch.optim.LBFGS, SciPy's L-BFGS-B and scikit-learn's logistic regression, in float64."""

import numpy as np
import pytest
from comparison import error
from proof_table import used

import xpnn
from xpnn.backends import get_backend
from xpnn.optimizers import LBFGS
from xpnn.optimizers.lbfgs_search import Descent

pytestmark = [pytest.mark.oracle, pytest.mark.against("PyTorch, SciPy, scikit-learn")]

BE = get_backend("numpy", None, "float64")


@pytest.fixture(scope="module")
def digits():
    """300 real digits as 7 x 7 averages from 0 to 1, and their ids."""
    x, y, _, _ = xpnn.data.mnist()
    return x[:300].reshape(300, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(300, 49) / 255, y[:300].astype(np.int64)


def softmax_regression(x, y, l2):
    """(f, size): mean cross-entropy of a linear model plus l2 / 2 |W|^2, by plain NumPy."""
    classes, rows = 10, np.arange(len(y))

    def f(theta):
        W, b = theta[: x.shape[1] * classes].reshape(-1, classes), theta[-classes:]
        z = x @ W + b
        z = z - z.max(axis=1, keepdims=True)
        p = np.exp(z)
        total = p.sum(axis=1)
        value = np.mean(np.log(total) - z[rows, y]) + l2 / 2 * np.sum(W * W)
        p = p / total[:, None]
        p[rows, y] -= 1
        p /= len(y)
        return np.asarray(value), np.concatenate([(x.T @ p + l2 * W).reshape(-1), p.sum(axis=0)])

    return f, (x.shape[1] + 1) * classes


def rosenbrock(x):
    u, v = x[1:] - x[:-1] ** 2, 1 - x[:-1]
    g = np.append(-400 * x[:-1] * u - 2 * v, 0.0)
    g[1:] += 200 * u
    return np.sum(100 * u**2 + v**2), g


def torchs_path(f, start, history, iterations):
    """theta after every iteration of torch.optim.LBFGS, and its evaluations in all."""
    torch = pytest.importorskip("torch")
    p = torch.from_numpy(start.copy()).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [p], max_iter=1, max_eval=100, history_size=history,
        tolerance_grad=0, tolerance_change=0, line_search_fn="strong_wolfe",
    )  # fmt: skip
    asked = []

    def closure():
        value, g = f(p.detach().numpy().copy())
        asked.append(1)
        p.grad = torch.from_numpy(g)
        return torch.tensor(float(value), dtype=torch.float64)

    path = []
    for _ in range(iterations):
        optimizer.step(closure)
        path.append(p.detach().numpy().copy())
    return path, len(asked) - iterations + 1  # it asks again where each step begins


def our_path(f, start, history, iterations):
    rule = LBFGS(history, tolerance_gradient=0.0, tolerance_change=0.0)
    used(rule)
    descent, path = Descent(rule, BE, f, start, rule.init(BE, start)), []
    for _ in range(iterations):
        descent.advance()
        path.append(descent.point.theta)
    return path, descent.evaluations


@pytest.mark.parametrize("history", [1, 5, 20])
def test_path_and_evaluations_equal_torchs(digits, history):
    """The same recursion, the same interpolation: the same points, until rounding has grown."""
    f, size = softmax_regression(*digits, 1e-3)
    start = 0.1 * np.random.default_rng(0).standard_normal(size)
    (ours, asked), (theirs, wanted) = (path(f, start, history, 25) for path in (our_path, torchs_path))
    assert asked == wanted
    assert max(error(a, b) for a, b in zip(ours, theirs, strict=True)) <= 1e-10


@pytest.mark.parametrize("size", [2, 10, 50])
def test_minimum_equals_scipys(size):
    optimize = pytest.importorskip("scipy.optimize")
    start = np.where(np.arange(size) % 2 == 0, -1.2, 1.0)
    theirs = optimize.minimize(
        rosenbrock, start, jac=True, method="L-BFGS-B",
        options={"maxcor": 10, "gtol": 1e-10, "ftol": 0, "maxiter": 2000, "maxfun": 5000},
    )  # fmt: skip
    rule = LBFGS(max_iterations=2000, tolerance_gradient=1e-10, tolerance_change=0.0)
    used(rule)
    theta, report = rule.minimize(BE, rosenbrock, start)
    assert error(theta, theirs.x) <= 1e-8
    assert report.evaluations <= 1.3 * theirs.nfev


def test_minimum_of_a_regression_equals_scipys(digits):
    """Values known to 1e-16 place a minimum to about sqrt(1e-16 / curvature), here 1e-7, in both programs."""
    optimize = pytest.importorskip("scipy.optimize")
    f, size = softmax_regression(*digits, 1e-2)
    start = np.zeros(size)
    theirs = optimize.minimize(
        f, start, jac=True, method="L-BFGS-B", options={"gtol": 1e-12, "ftol": 0, "maxiter": 5000}
    )
    rule = LBFGS(max_iterations=5000, tolerance_gradient=1e-12, tolerance_change=0.0)
    used(rule)
    theta, report = rule.minimize(BE, f, start)
    assert error(theta, theirs.x) <= 1e-7
    assert abs(report.value - theirs.fun) <= 1e-14


def test_model_equals_scikit_learns_logistic_regression(digits):
    """C sum of losses + |W|^2 / 2 is N C times mean loss + l2 / 2 |W|^2 for l2 = 1 / (N C); biases are free in both."""
    linear = pytest.importorskip("sklearn.linear_model")
    x, y = digits
    theirs = linear.LogisticRegression(C=1.0, solver="lbfgs", tol=1e-12, max_iter=10_000).fit(x, y)
    model = xpnn.Model([xpnn.Dense(10)], (49,), dtype="float64", seed=0)
    rule = LBFGS(l2=1 / len(x), tolerance_gradient=1e-8, tolerance_change=0.0)
    used(rule)
    trainer = xpnn.Trainer(model, optimizer=rule)
    history = trainer.fit(x, y, epochs=1000, batch_size=64)
    assert trainer.stopped == "gradient"
    assert len(history) < 300
    assert error(model.parameters()["0.W"], theirs.coef_.T) <= 1e-6
    assert error(model.predict_proba(x), theirs.predict_proba(x)) <= 1e-6
