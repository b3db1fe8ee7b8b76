"""What a model promises: its calls, its results, its names, its seeds."""

import concurrent.futures
import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from installed_backends import INSTALLED

import xpnn
from xpnn.errors import DataError, ShapeError, UsageError
from xpnn.losses import BinaryCrossEntropy, MeanAbsoluteError, MeanSquaredError, SoftmaxCrossEntropy

X = np.sin(np.arange(60 * 4.0)).reshape(60, 4)
IDS = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
NET = [xpnn.Dense(8), xpnn.Tanh(), xpnn.Sequential([xpnn.Dense(5), xpnn.ReLU()]), xpnn.Dense(3)]


def model(*layers, **settings):
    return xpnn.Model(list(layers) or NET, (4,), **{"seed": 0} | settings)


def fitted(**settings):
    made = model(**settings)
    made.fit(X, IDS, epochs=3, batch_size=16, verbose=0)
    return made


@pytest.mark.parametrize("backend", INSTALLED)
def test_the_results_of_a_classifier(backend):
    made = fitted(backend=backend)
    logits, p, ids = made.forward(X), made.predict_proba(X), made.predict(X)
    for result, shape, kind in ((logits, (60, 3), "f"), (p, (60, 3), "f"), (ids, (60,), "i")):
        assert type(result) is np.ndarray
        assert result.shape == shape
        assert result.dtype.kind == kind
    np.testing.assert_array_equal(ids, logits.argmax(axis=1))
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(p, e / e.sum(axis=1, keepdims=True), rtol=1.3e-6, atol=1e-5)
    scores = made.evaluate(X, IDS)
    assert scores.keys() == {"loss", "accuracy"}
    assert scores["accuracy"] == pytest.approx((ids == IDS).mean(), abs=1e-12)
    assert scores["loss"] == pytest.approx(-np.log(p[np.arange(60), IDS]).mean(), rel=1e-5)


@pytest.mark.parametrize("backend", INSTALLED)
def test_one_output_and_two_classes(backend):
    y = (X[:, 0] > 0).astype(int)
    made = model(xpnn.Dense(1), backend=backend)
    made.loss = BinaryCrossEntropy()
    z = np.linspace(-0.4, 0.4, 60)[:, None] * np.ones(4)  # logits of every size around the threshold
    np.testing.assert_array_equal(made.predict(z), made.predict_proba(z)[:, 0] > 0.5)
    made.fit(X, y, loss="binary_cross_entropy", optimizer=xpnn.Adam(0.1), epochs=30, batch_size=20, verbose=0)
    p, ids = made.predict_proba(X), made.predict(X)
    assert p.shape == (60, 1)
    assert ids.shape == (60,)
    np.testing.assert_array_equal(ids, p[:, 0] > 0.5)
    np.testing.assert_allclose(p, 1 / (1 + np.exp(-made.forward(X))), rtol=1e-5)
    scores = made.evaluate(X, y)
    assert scores["accuracy"] == pytest.approx((ids == y).mean(), abs=1e-12)
    assert scores["accuracy"] > 0.95
    assert scores == made.evaluate(X, y[:, None])


@pytest.mark.parametrize("loss", [MeanSquaredError(), MeanAbsoluteError()])
@pytest.mark.parametrize("backend", INSTALLED)
def test_a_regression(backend, loss):
    y = X @ [1.0, -2.0, 0.5, 0.0] + 3
    made = model(xpnn.Dense(1), backend=backend)
    schedule = xpnn.schedules.Cosine()
    made.fit(
        X, y, loss=loss, optimizer=xpnn.Adam(0.1), schedule=schedule, epochs=120, batch_size=20, verbose=0
    )
    np.testing.assert_array_equal(made.predict(X), made.forward(X)[:, 0])
    np.testing.assert_allclose(made.predict(X), y, atol=0.05)
    scores = made.evaluate(X, y)
    assert scores.keys() == {"loss"}
    error = made.predict(X) - y
    expected = (error**2).mean() if isinstance(loss, MeanSquaredError) else abs(error).mean()
    assert scores["loss"] == pytest.approx(expected, rel=1e-3)
    with pytest.raises(UsageError, match=r"trained with Mean.*Error\(\) has no probabilities"):
        made.predict_proba(X)


def test_evaluate_may_take_another_loss():
    made = fitted()
    smooth = made.evaluate(X, IDS, loss=SoftmaxCrossEntropy(label_smoothing=0.2))
    assert smooth["loss"] != made.evaluate(X, IDS)["loss"]
    assert smooth["accuracy"] == made.evaluate(X, IDS)["accuracy"]
    assert made.loss == SoftmaxCrossEntropy()


def test_a_network_that_ends_in_softmax_predicts_its_outputs():
    made = model(xpnn.Dense(3), xpnn.Softmax())
    made.fit(X, np.eye(3)[IDS], loss="mean_squared_error", epochs=1, verbose=0)
    np.testing.assert_array_equal(made.predict_proba(X), made.forward(X))


@pytest.mark.parametrize("n", [1, 2, 1023, 1024, 1025, 3000])
def test_prediction_in_batches_is_seamless(n):
    x = np.cos(np.arange(n * 4.0)).reshape(n, 4)
    made, w = model(xpnn.Dense(2), dtype="float64"), None
    w, b = made.parameters().values()
    np.testing.assert_allclose(made.forward(x), x @ w + b, rtol=1e-12)
    assert len(made.predict(x)) == n


def test_dropout_is_off_outside_training():
    made = model(xpnn.Dropout(0.9), xpnn.Dense(2))
    np.testing.assert_array_equal(made.forward(X), model(xpnn.Dropout(0), xpnn.Dense(2)).forward(X))


@pytest.mark.parametrize("backend", INSTALLED)
def test_names_in_definition_order(backend):
    made = model(backend=backend)
    named = made.parameters()
    assert list(named) == ["0.W", "0.b", "2.0.W", "2.0.b", "3.W", "3.b"]
    flat = np.concatenate([made.backend.to_numpy(a).reshape(-1) for a in named.values()])
    np.testing.assert_array_equal(flat, made.snapshot()["theta"])
    assert tuple(named["2.0.W"].shape) == (8, 5)
    statistics = model(xpnn.Standardize(1, 2), xpnn.Dense(2), backend=backend).parameters()
    assert list(statistics) == ["0.mean", "0.gain", "1.W", "1.b"]


@pytest.mark.parametrize(
    "backend", [name for name in INSTALLED if name in ("numpy", "torch", "cupy", "strict")]
)
def test_parameters_are_live_views(backend):
    made = model(xpnn.Dense(2), backend=backend)
    before = made.forward(X)
    made.parameters()["0.b"][0] += 1
    np.testing.assert_allclose(made.forward(X) - before, np.tile([1, 0], (60, 1)), atol=1e-6)
    assert made.snapshot()["theta"][8] == 1
    held = made.parameters()["0.W"]
    made.parameters()["0.W"][...] = 0
    assert not np.any(made.backend.to_numpy(held))


@pytest.mark.parametrize("backend", INSTALLED)
def test_snapshot_and_restore(backend):
    made = fitted(backend=backend)
    kept = made.snapshot()
    logits = made.forward(X)
    made.fit(X, IDS, epochs=1, verbose=0)
    assert not np.array_equal(made.forward(X), logits)
    made.restore(kept)
    np.testing.assert_array_equal(made.forward(X), logits)
    kept["theta"][:] = 0  # neither shares memory with the other
    np.testing.assert_array_equal(made.forward(X), logits)


def test_summary_and_repr():
    made = model(xpnn.Standardize(0, 1), *NET, seed=5)
    lines = made.summary().splitlines()
    assert lines[0].split() == ["path", "layer", "output", "parameters", "bytes", "FLOPs"]
    assert [line.split()[0] for line in lines[2:-2]] == ["0", "1", "2", "3.0", "3.1", "4"]
    assert "Dense(units=5)" in lines[5]
    assert lines[5].split()[-3:] == ["45", "180", "80"]
    assert lines[-2] == "103 parameters + 8 fixed, 444 bytes, 191 FLOPs per sample"
    assert lines[-1] == "float32 on numpy/cpu, seed 5"
    assert repr(made) == "<Model (4,) -> (3,), 103 parameters, <numpy backend on cpu, float32>>"


def test_a_single_layer_is_a_network():
    assert model().net == xpnn.Sequential(NET)
    assert xpnn.Model(xpnn.Dense(2), [4]).net == xpnn.Sequential([xpnn.Dense(2)])
    chain = xpnn.Sequential(NET)
    assert xpnn.Model(chain, (4,)).net is chain


def test_a_layer_may_be_used_twice():
    """It is a description: two uses are two sets of parameters."""
    same = xpnn.Dense(4)
    made = model(same, xpnn.ReLU(), same)
    first, _, second, _ = made.parameters().values()
    assert not np.array_equal(first, second)
    made.fit(X, IDS, epochs=1, verbose=0)


def test_a_model_without_layers_passes_data_on():
    np.testing.assert_array_equal(xpnn.Model([], (4,)).forward(X), X.astype(np.float32))


def test_two_models_of_two_backends_side_by_side():
    models = [model(backend=name) for name in INSTALLED]
    for _ in range(2):
        for made in models:
            made.fit(X, IDS, epochs=1, verbose=0)
    alone = model()
    for _ in range(2):
        alone.fit(X, IDS, epochs=1, verbose=0)
    assert models[0].theta.tobytes() == alone.theta.tobytes()


class TestSeeds:
    CODE = """if True:
        import hashlib, json, sys
        import numpy as np, xpnn
        x = np.sin(np.arange(240.0)).reshape(60, 4)
        y = (x[:, 0] > 0).astype(int)
        layers = [xpnn.Dense(8), xpnn.Dropout(0.3), xpnn.ReLU(), xpnn.Dense(2)]
        model = xpnn.Model(layers, (4,), backend=sys.argv[1], seed=int(sys.argv[2]))
        history = model.fit(x, y, epochs=3, batch_size=16, validation=0.2, verbose=0)
        theta = hashlib.sha256(model.snapshot()["theta"]).hexdigest()
        print(json.dumps([theta, history["train_loss"], history["valid_loss"], model.predict(x).tolist()]))
    """

    def run(self, backend, seed, hashseed):
        environment = os.environ | {"PYTHONHASHSEED": str(hashseed)}
        argv = [sys.executable, "-c", self.CODE, backend, str(seed)]
        return json.loads(subprocess.run(argv, capture_output=True, check=True, env=environment).stdout)

    @pytest.mark.parametrize("backend", INSTALLED)
    def test_equal_seeds_give_equal_runs_in_other_processes(self, backend):
        first = self.run(backend, 3, hashseed=1)
        assert self.run(backend, 3, hashseed=2) == first
        if backend == "numpy":
            assert self.run(backend, 4, hashseed=1)[0] != first[0]

    def test_the_seed_is_kept_and_decides(self):
        assert model(seed=5).theta.tobytes() == model(seed=5).theta.tobytes()
        assert model(seed=5).theta.tobytes() != model(seed=6).theta.tobytes()
        drawn = model(seed=None)
        assert drawn.theta.tobytes() == model(seed=drawn.seed).theta.tobytes()
        assert len({model(seed=None).seed for _ in range(5)}) == 5

    def test_huge_seeds(self):
        assert model(seed=2**100).theta.tobytes() != model(seed=2**100 + 1).theta.tobytes()
        model(xpnn.Dropout(0.5), xpnn.Dense(3), seed=2**100).fit(X, IDS, epochs=1, verbose=0)

    @pytest.mark.parametrize("backend", INSTALLED)
    def test_equal_initial_parameters_on_every_backend(self, backend):
        assert model(backend=backend).snapshot()["theta"].tobytes() == model().theta.tobytes()

    def test_the_global_generators_are_left_alone(self):
        np.random.seed(0)
        state = hashlib.sha256(np.random.get_state()[1]).hexdigest()
        fitted()
        assert hashlib.sha256(np.random.get_state()[1]).hexdigest() == state


@pytest.mark.parametrize("backend", INSTALLED)
def test_eight_threads_predict_as_one(backend):
    made = fitted(backend=backend)
    inputs = [X + i for i in range(8)]
    expected = [made.forward(x).tobytes() for x in inputs]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            found = list(pool.map(made.forward, inputs))
            assert [result.tobytes() for result in found] == expected


class TestLoadParameters:
    def test_named_arrays_take_their_places(self):
        model = xpnn.Model([xpnn.Dense(2), xpnn.Tanh(), xpnn.Dense(1)], (3,), seed=0)
        before = {name: np.array(a) for name, a in model.parameters().items()}
        model.load_parameters({"2.W": [[1], [2]], "0.b": np.array([3.0, 4.0])}, strict=False)
        after = model.parameters()
        assert after["2.W"].tolist() == [[1], [2]]
        assert after["0.b"].tolist() == [3, 4]
        assert all((after[name] == before[name]).all() for name in ("0.W", "2.b"))

    @pytest.mark.parametrize(
        ("named", "wrong", "words"),
        [
            ({"0.w": [[1.0]]}, UsageError, "no parameter '0.w'"),
            ({"0.W": [[1.0]]}, ShapeError, r"0\.W has shape \(3, 2\), got \(1, 1\)"),
            ({"0.W": np.ones((2, 3))}, ShapeError, "its transpose has that shape"),
            (
                {"0.W": np.ones((3, 2)), "0.b": [1.0, float("nan")]},
                DataError,
                r"0\.b\[1\] is nan, not finite",
            ),
            ({}, UsageError, "no values for 1 of 2 parameters: 0.W"),
        ],
    )
    def test_what_does_not_fit_changes_nothing(self, named, wrong, words):
        model = xpnn.Model([xpnn.Dense(2)], (3,), seed=0)
        before = model.snapshot()["theta"]
        with pytest.raises(wrong, match=words):
            model.load_parameters({"0.b": [5.0, 6.0]} | named)
        assert (model.snapshot()["theta"] == before).all()


def test_a_backend_in_place_of_its_name(tmp_path):
    """The very object, a subclass too, for a new model, a copy and a file; its dtype, not the file's."""
    from xpnn.backends.numpy import NumpyBackend

    class Mine(NumpyBackend):
        """Another one of that name."""

    be = Mine("cpu", "float64")
    made = model(backend=be, loss="focal")
    assert made.backend is be
    assert made.theta.dtype == np.float64
    twin = made.copy()
    assert twin.backend is be
    assert twin.loss == made.loss
    assert twin.theta is not made.theta
    np.testing.assert_array_equal(twin.forward(X), made.forward(X))
    twin.fit(X, IDS, epochs=1, verbose=0)
    assert not np.array_equal(twin.theta, made.theta)
    other = made.copy("numpy")
    assert other.theta.dtype == np.float32
    other.save(tmp_path / "a.safetensors")
    assert xpnn.load(tmp_path / "a.safetensors", backend=be).backend is be
    assert xpnn.get_backend(be, dtype="float64", device="cpu") is be


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"dtype": "float64"}, "dtype='float64' beside <numpy backend on cpu, float32>"),
        ({"device": "cuda"}, "device='cuda' beside <numpy backend on cpu, float32>"),
        ({"precision": "bf16"}, "precision='bf16' beside <numpy backend on cpu, float32>"),
    ],
)
def test_a_backend_and_something_else_contradict_each_other(more, says):
    with pytest.raises(UsageError) as caught:
        model(backend=xpnn.get_backend(), **more)
    assert says in str(caught.value)
    assert "leave" in caught.value.fix
