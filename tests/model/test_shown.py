"""What a shell and a notebook show of models, runs and diagnostics."""

import inspect
import io
import re
import sys
import types

import numpy as np
import pytest

import xpnn
from xpnn.html import escaped, html_table, preformatted
from xpnn.training import History, Row, notebook

X, Y = np.random.default_rng(0).standard_normal((30, 4)), np.arange(30) % 3
EVIL = '<script>alert("a")</script>\x1b[31m'


class Evil:
    """Its name and its repr come from someone else."""

    def forward(self, x):
        return x

    def backward(self, dy):
        return dy

    def __repr__(self):
        return EVIL


def net():
    return xpnn.Model([xpnn.Dense(8), Evil(), xpnn.Dense(3)], (4,), seed=0)


def test_every_cell_is_escaped():
    for text in (escaped(EVIL), html_table([EVIL], [[EVIL]], EVIL, EVIL), preformatted(EVIL)):
        assert "<script" not in text
        assert "\x1b" not in text
        assert "&lt;script&gt;" in text
    assert "&quot;" in escaped('"')


def test_each_of_them_is_html_without_what_others_named():
    model = net()
    shown = {
        "model": model,
        "summary": model.summary(),
        "history": model.fit(X, Y, epochs=2, validation=0.5, verbose=0),
        "explanation": model.explain(X, Y),
        "comparison": xpnn.compare_backends(net(), X, Y, backends=["strict"]),
        "sweep": xpnn.find_lr(model, X, Y, steps=8, batch_size=10),
        "gradcheck": xpnn.gradcheck([xpnn.Dense(3)], (4,), loss="softmax_cross_entropy"),
    }
    for name, thing in shown.items():
        page = thing._repr_html_()
        assert page.startswith(("<table", "<pre")), name
        assert "<script" not in page, name
    assert "&lt;script&gt;" in shown["model"]._repr_html_()
    assert "Dense" in shown["gradcheck"]._repr_html_()
    assert str(shown["gradcheck"]).count("ok") == len(shown["gradcheck"])


def test_a_shell_shows_the_summary_as_it_is():
    summary = net().summary()
    assert repr(summary) == str(summary) == "".join(summary)
    assert summary.splitlines()[0].split() == ["path", "layer", "output", "parameters", "bytes", "FLOPs"]


def test_a_wrong_gradient_is_seen_in_the_table():
    class Wrong(Evil):
        def backward(self, dy):
            return 2 * dy

    rows = xpnn.gradcheck([Wrong()], (3,))
    assert not rows.ok
    assert "WRONG" in str(rows)


def test_help_explains_every_argument_of_fit():
    text = inspect.getdoc(xpnn.Model.fit)
    for name in list(inspect.signature(xpnn.Model.fit).parameters)[1:]:
        assert re.search(rf"\b{name}: ", text), name


def test_tab_completion_shows_what_a_person_calls():
    names = set(dir(net()))
    assert {"fit", "evaluate", "predict", "summary", "parameters", "save", "loss", "backend"} <= names
    assert (
        not {
            "theta",
            "phi",
            "check_xy",
            "inputs",
            "targets",
            "score",
            "layout",
            "outputs",
            "given_away",
            "score_outputs",
        }
        & names
    )
    assert net().theta.size  # still there for those who know


class Display:
    """IPython.display as far as it is used."""

    def __init__(self):
        self.pages = []

    def display(self, page, display_id):
        assert display_id
        self.pages.append(page)
        return types.SimpleNamespace(update=self.pages.append)


@pytest.fixture
def kernel(monkeypatch):
    fake, display = types.ModuleType("IPython"), Display()
    fake.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    part = types.ModuleType("IPython.display")
    part.HTML, part.display = str, display.display
    monkeypatch.setitem(sys.modules, "IPython", fake)
    monkeypatch.setitem(sys.modules, "IPython.display", part)
    return fake, display


def test_a_notebook_gets_one_table_with_a_bar(kernel, monkeypatch):
    monkeypatch.setattr(notebook, "BETWEEN", -1.0)
    err = io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    xpnn.Model([xpnn.Dense(3)], (4,), seed=0).fit(X, Y, epochs=2, batch_size=10, validation=0.5)
    pages = kernel[1].pages
    assert err.getvalue() == ""
    assert any("<progress" in page and "to go" in page for page in pages)
    assert "<progress" not in pages[-1]
    assert pages[-1].count("<tr>") == 3
    assert "train_accuracy" in pages[-1]


def test_a_shell_of_ipython_gets_lines(kernel):
    kernel[0].get_ipython = lambda: types.SimpleNamespace(kernel=None)
    assert type(notebook.progress()).__name__ == "Progress"
    kernel[0].get_ipython = lambda: None
    assert not notebook.in_notebook()


def test_columns_that_are_empty_are_left_out_of_the_table():
    page = History([Row(1, 0.5, None, None, 0.1, 1.0, True)])._repr_html_()
    assert "valid_loss" not in page
    assert "train_loss" in page
    assert "<b>" not in History()._repr_html_()
