"""Weights in forms that are seldom met: files within files, arrays without a library, layers without biases, names."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

import xpnn  # noqa: E402
from xpnn.errors import CheckpointError, FileError, UsageError  # noqa: E402
from xpnn.interchange import load_torch, to_torch  # noqa: E402
from xpnn.interchange.torch import read_state  # noqa: E402

pytestmark = pytest.mark.oracle
RNG = np.random.default_rng(0)


def dense():
    return xpnn.Model([xpnn.Dense(2)], (3,), seed=0)


class TestSources:
    def weights(self):
        return {
            "weight": RNG.standard_normal((2, 3)).astype("f4"),
            "bias": RNG.standard_normal(2).astype("f4"),
        }

    def test_arrays_of_numpy_are_taken_as_they_are(self):
        found, model = self.weights(), dense()
        load_torch(model, found)
        np.testing.assert_array_equal(model.parameters()["0.W"], found["weight"].T)

    def test_a_checkpoint_that_keeps_its_weights_under_a_name(self, tmp_path):
        found, model = self.weights(), dense()
        held = {key: torch.from_numpy(a) for key, a in found.items()}
        torch.save({"epoch": 3, "state_dict": held}, tmp_path / "w.pt")
        load_torch(model, tmp_path / "w.pt")
        np.testing.assert_array_equal(model.parameters()["0.b"], found["bias"])

    def test_halves_in_a_safe_file(self, tmp_path):
        from safetensors.torch import save_file

        held = {key: torch.from_numpy(a).bfloat16() for key, a in self.weights().items()}
        save_file(held, str(tmp_path / "w.safetensors"))
        model = dense()
        load_torch(model, tmp_path / "w.safetensors")
        np.testing.assert_array_equal(model.parameters()["0.W"], held["weight"].float().numpy().T)

    @pytest.mark.parametrize("source", [3, [1], {1: 2}, None])
    def test_what_holds_no_weights(self, source):
        with pytest.raises(UsageError, match="holds no weights of PyTorch's"):
            read_state(source)

    def test_files_that_hold_none(self, tmp_path):
        for name in ("w.pt", "w.safetensors"):
            with pytest.raises(FileError, match="no such file"):
                read_state(tmp_path / name)
            (tmp_path / name).write_bytes(b"no weights")
            with pytest.raises(CheckpointError, match="holds no weights that can be read"):
                read_state(tmp_path / name)
        torch.save([1, 2], tmp_path / "list.pt")
        with pytest.raises(UsageError, match="a list holds no weights"):
            read_state(tmp_path / "list.pt")


class TestNames:
    @pytest.mark.parametrize(("names", "message"), [
        ({"1": "a"}, "names: '1' is no layer with weights here"), ({"0": "c"},
            "names: 'c' is no layer with weights there"),
    ])  # fmt: skip
    def test_a_name_that_is_not_there(self, names, message):
        there = nn.ModuleDict({"a": nn.Linear(3, 2)})
        with pytest.raises(UsageError, match=message):
            load_torch(dense(), there, names=names)
        load_torch(dense(), there, names={"0": "a"})

    @pytest.mark.parametrize("there", [
        nn.Sequential(nn.Linear(3, 5)), nn.Sequential(nn.Linear(4, 2)), nn.Sequential(nn.ReLU()),
        nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2)), nn.Sequential(nn.Conv1d(3, 2, 1)),
    ])  # fmt: skip
    def test_other_layers_do_not_fit_and_change_nothing(self, there):
        model = dense()
        before = model.parameters()["0.W"].copy()
        with pytest.raises(xpnn.errors.XpnnError):
            load_torch(model, there)
        np.testing.assert_array_equal(model.parameters()["0.W"], before)


class TestWithoutBiases:
    def test_a_bias_that_has_no_place_there_is_refused_unless_it_is_0(self):
        model, there = dense(), nn.Sequential(nn.Linear(3, 2, bias=False))
        to_torch(model, there)
        np.testing.assert_array_equal(there[0].weight.detach().numpy().T, model.parameters()["0.W"])
        model.load_parameters({**model.parameters(), "0.b": np.ones(2)})
        with pytest.raises(UsageError, match="bias"):
            to_torch(model, there)


class TestEstimators:
    def test_what_the_settings_do(self, capsys):
        pytest.importorskip("sklearn")
        from xpnn.sklearn import Classifier

        x = RNG.standard_normal((60, 3)) * [1, 10, 100]
        y = (x[:, 0] > 0).astype(int)

        def fitted(**settings):
            return Classifier(**{"epochs": 2, "random_state": 0, "hidden": (4,)} | settings).fit(x, y)

        plain = fitted()
        names = [type(layer).__name__ for layer in plain.model_.net.layers]
        assert names[0] == "Standardize"
        assert "Standardize" not in [
            type(layer).__name__ for layer in fitted(standardize=False).model_.net.layers
        ]
        assert capsys.readouterr().err == capsys.readouterr().out == ""
        fitted(verbose=1)
        shown = capsys.readouterr()
        assert "2" in shown.out + shown.err
        assert "Dropout" in [type(layer).__name__ for layer in fitted(dropout=0.5).model_.net.layers]
        assert len(fitted(hidden=()).model_.net.layers) == 2
        assert fitted(dtype="float32").model_.backend.dtype_name == "float32"
        assert plain.model_.backend.dtype_name == "float64"
        assert len(plain.loss_curve_) == plain.n_iter_ == 2
        assert plain.validation_curve_ == []
        assert len(fitted(early_stopping=True).validation_curve_) == 2
        assert fitted(epochs=50, n_iter_no_change=2, tol=1e9).n_iter_ < 10
        for wrong in ((0,), ("a",), (1.5,)):
            with pytest.raises((UsageError, ValueError), match="hidden"):
                fitted(hidden=wrong)

    def test_samples_of_weight_0_are_as_if_they_were_not_there(self):
        pytest.importorskip("sklearn")
        from xpnn.sklearn import Regressor

        x, y = RNG.standard_normal((40, 2)), RNG.standard_normal(40)
        weight = np.where(np.arange(40) < 30, 1.0, 0.0)
        whole = Regressor(epochs=2, random_state=0).fit(x, y, sample_weight=weight)
        part = Regressor(epochs=2, random_state=0).fit(x[:30], y[:30], sample_weight=weight[:30])
        np.testing.assert_array_equal(whole.predict(x), part.predict(x))
