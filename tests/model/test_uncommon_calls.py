"""What is seldom done with a model, a class or its reports: the answer, or the reason why there is none."""

import dataclasses
import json
from importlib import import_module

import numpy as np
import pytest

import xpnn
from xpnn import names
from xpnn.config import Config, short_repr
from xpnn.diagnostics.report import finite
from xpnn.errors import did_you_mean, first_line
from xpnn.layers import Layer
from xpnn.losses import Loss
from xpnn.metrics import Metric
from xpnn.optimizers import Optimizer
from xpnn.schedules import Schedule

explain, gradcheck = (import_module(f"xpnn.diagnostics.{name}") for name in ("explain", "gradcheck"))
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("base", [Layer, Loss, Optimizer, Schedule, Metric])
def test_a_base_class_takes_no_other_keyword(base):
    with pytest.raises(TypeError):
        type("Another", (base,), {}, abstrct=True)


@pytest.mark.parametrize("base", [Layer, Loss, Optimizer, Schedule])
def test_what_several_classes_share_is_marked_and_others_are_not(base):
    """Of all classes of xpnn: those that begin nothing by themselves are abstract, those in a file are not."""
    found = names.classes_in(
        {Layer: "layers", Loss: "losses", Optimizer: "optimizers", Schedule: "schedules"}[base]
    )
    below = [cls for cls in every(base) if cls.__module__.startswith("xpnn.")]
    assert base.abstract
    for cls in below:
        public = cls.__name__ in found
        assert cls.abstract != public or cls.__subclasses__() or cls.__name__.startswith("_"), cls


def every(base):
    for cls in base.__subclasses__():
        yield cls
        yield from every(cls)


def test_names_are_written_in_small_letters_with_underscores():
    for name, wanted in (
        ("SoftmaxCrossEntropy", "softmax_cross_entropy"), ("KLDivergence", "kl_divergence"), ("CTC", "ctc"),
        ("SmoothL1", "smooth_l1"), ("R2", "r2"),
    ):  # fmt: skip
        assert names.snake_case(name) == wanted


def test_what_needs_an_argument_has_no_short_name():
    @dataclasses.dataclass
    class One:
        a: int
        b: int = 1
        c: list = dataclasses.field(default_factory=list)

    assert [names.has_default(field) for field in dataclasses.fields(One)] == [False, True, True]
    found = names.usable_by_name("losses", Loss)
    assert {"mean_squared_error", "ctc"} <= found.keys()
    assert all(dataclasses.is_dataclass(cls()) for cls in found.values())
    assert "gaussian_noise" not in names.usable_by_name("layers", Layer)


def test_a_short_repr_shows_what_was_changed():
    assert short_repr(xpnn.ReLU()) == "ReLU()"
    assert short_repr(xpnn.Dropout(0.25)) == "Dropout(rate=0.25)"
    assert short_repr(np.mean) == "mean"
    assert short_repr([1, 2]) == "[1, 2]"
    assert isinstance(xpnn.ReLU(), Config)


class TestReports:
    def model(self):
        return xpnn.Model([xpnn.Dense(4), xpnn.ReLU(), xpnn.Dense(3)], (5,), seed=0)

    def test_numbers_that_are_not_finite_are_null(self):
        report = explain_step(self.model())
        broken = dataclasses.replace(report, gradient_norm=float("nan"))
        assert json.loads(broken.to_json())["gradient_norm"] is None
        assert json.loads(report.to_json())["gradient_norm"] == report.gradient_norm
        assert finite({"a": (1.0, float("inf"), [float("nan"), "x", 3])}) == {
            "a": [1.0, None, [None, "x", 3]]
        }

    def test_a_norm_does_not_overflow(self):
        assert explain.norm(np.array([3e200, -4e200])) == pytest.approx(5e200)
        assert explain.norm(np.zeros(3)) == 0
        assert explain.norm(np.zeros(0)) == 0
        assert explain.norm(np.array([1.0, np.inf])) == np.inf
        assert explain.norm(np.array([3e-200, 4e-200])) == pytest.approx(5e-200)

    def test_all_entries_become_one_vector(self):
        found = explain.joined((np.ones((2, 3), np.float32), np.zeros(2)))
        assert (found.dtype, found.tolist()) == (np.float64, [1.0] * 6 + [0.0] * 2)


def explain_step(model):
    x = RNG.standard_normal((6, 5)).astype(np.float32)
    return model.explain(x, np.arange(6) % 3)


class TestGradientCheck:
    def compared(self, given, f=lambda a: float((a * a).sum())):
        return gradcheck.compare(f, np.array([1.0, -2.0]), given, np.random.default_rng(0))

    def test_a_gradient_is_compared_in_every_direction(self):
        error, directions, note = self.compared(np.array([2.0, -4.0]))
        assert error < 1e-9
        assert (directions, note) == (2, "")
        assert self.compared(np.array([2.0, -4.4]))[0] > 0.05
        assert self.compared(np.zeros(2), lambda a: 1.0) == (0.0, 2, "")

    @pytest.mark.parametrize(("given", "note"), [
        (None, "gradient has shape none, wanted (2,)"), (np.zeros(3), "gradient has shape (3,), wanted (2,)"),
    ])  # fmt: skip
    def test_a_gradient_of_another_shape_is_said(self, given, note):
        assert self.compared(given) == (float("inf"), 0, note)

    def test_what_is_not_finite_is_said(self):
        assert self.compared(np.array([np.nan, 0.0])) == (float("inf"), 2, "not finite")


@pytest.mark.parametrize(
    ("size", "count"), [(gradcheck.ENTRIES, gradcheck.ENTRIES), (gradcheck.ENTRIES + 1, gradcheck.ENTRIES)]
)
def test_the_directions_of_a_check(size, count):
    """All of a small space; else half as many different entries, and as many directions of about unit length."""
    found = list(gradcheck.choose_directions((size,), np.random.default_rng(0)))
    assert len(found) == count
    units = [one for one in found if np.count_nonzero(one) == 1]
    assert len(units) == (count if size == count else count // 2)
    assert len({int(np.argmax(one)) for one in units}) == len(units)
    assert all(one.sum() == 1 for one in units)
    others = [np.linalg.norm(one) for one in found if np.count_nonzero(one) > 1]
    assert all(0.7 < length < 1.3 for length in others)


def test_the_first_line_of_an_error():
    assert first_line(ValueError("a\nb")) == "a"
    assert first_line(ValueError("  a  ")) == "a"
    assert first_line(ValueError("")) == "ValueError"
    assert len(first_line(ValueError("x" * 500))) == 300


def test_the_closest_name_is_suggested():
    assert "adam" in did_you_mean("adem", ("adam", "sgd"))
    assert "sgd" in did_you_mean("zzz", ("adam", "sgd"))


@pytest.mark.oracle
class TestSklearn:
    def data(self):
        x = RNG.standard_normal((40, 3))
        return x, (x[:, 0] > 0).astype(int)

    def test_an_evaluation_set_is_watched(self):
        sklearn = pytest.importorskip("xpnn.sklearn")
        x, y = self.data()
        made = sklearn.Classifier(epochs=2)
        made.fit(x, y, eval_set=(x[:10], y[:10]))
        assert made.predict(x).shape == (40,)

    def test_partial_fits_need_all_labels_at_first(self):
        sklearn = pytest.importorskip("xpnn.sklearn")
        x, y = self.data()
        with pytest.raises(ValueError, match="needs classes in its first call"):
            sklearn.Classifier().partial_fit(x, y)
        made = sklearn.Classifier().partial_fit(x, y, classes=[0, 1])
        with pytest.raises(ValueError, match="differ from those of the first call"):
            made.partial_fit(x, y, classes=[0, 1, 2])
        with pytest.raises(ValueError, match="holds the label 5, which is not in classes"):
            made.partial_fit(x, y + 5)
        before = made.predict_proba(x)
        assert made.partial_fit(x, y).predict_proba(x).shape == before.shape
        assert np.any(made.predict_proba(x) != before)

    def test_weights_of_0_leave_nothing(self):
        sklearn = pytest.importorskip("xpnn.sklearn")
        x, y = self.data()
        for made in (sklearn.Classifier(epochs=1), sklearn.Regressor(epochs=1)):
            with pytest.raises(ValueError, match=r"(?i)weight"):
                made.fit(x, y, sample_weight=np.zeros(40))

    def test_numbers_are_learned_a_part_at_a_time(self):
        sklearn = pytest.importorskip("xpnn.sklearn")
        x, y = self.data()
        made = sklearn.Regressor(epochs=1).partial_fit(x, y)
        before = made.predict(x)
        assert made.partial_fit(x, y).predict(x).shape == before.shape == (40,)
        assert sklearn.Regressor(epochs=1).fit(x, np.stack([y, y], 1)).predict(x).shape == (40, 2)
