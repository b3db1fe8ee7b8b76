"""Names out of a model file, of nodes, inputs and classes, stay text in the programs that are written from it."""

import importlib.util
import re

import numpy as np
import pytest

import xpnn
from xpnn.interchange import save_c, save_html, save_python

EVIL = (
    '*/ int evil; /* """ </script><script>evil()</script>',
    '"""\nopen("evil", "w")\n"""',
    "a\nopen('evil', 'w')\n#",
    '"]; open("evil", "w"); W["',
    "\\",
    "{{MODEL}}",
    "-->",
)


def model(name):
    net = xpnn.Graph("x", [(name, xpnn.Dense(3), "x"), ("y", xpnn.ReLU(), name)], "y")
    return xpnn.Model([net], (4,), seed=0)


def outside(text, strings_and_comments):
    return re.sub(strings_and_comments, "", text, flags=re.DOTALL)


@pytest.mark.parametrize("name", EVIL)
class TestNames:
    def test_in_python(self, tmp_path, monkeypatch, name):
        monkeypatch.chdir(tmp_path)
        save_python(model(name), "m.py", classes=(name, name, name))
        spec = importlib.util.spec_from_file_location("m", "m.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        x = np.ones((2, 4), np.float32)
        np.testing.assert_allclose(module.predict(x).sum(axis=1), 1, rtol=1e-5)
        assert set(module.CLASSES) == {name}
        assert not (tmp_path / "evil").exists()

    def test_in_c(self, tmp_path, name):
        save_c(model(name), tmp_path / "m.h", classes=(name, name, name))
        text = (tmp_path / "m.h").read_text()
        assert "evil" not in outside(text, r'/\*.*?\*/|"(?:\\.|[^"\\])*"')
        assert text.count("/*") == text.count("*/")

    def test_in_a_page(self, tmp_path, name):
        for path, classes in (("plain.html", ("a", "b", "c")), ("evil.html", (name, name, name))):
            save_html(model("a" if path == "plain.html" else name), tmp_path / path, classes=classes)
        plain, evil = ((tmp_path / path).read_text() for path in ("plain.html", "evil.html"))
        assert evil.count("</script>") == plain.count("</script>")
        assert "evil()" not in outside(evil, r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"')


def test_in_the_name_of_the_file(tmp_path):
    """The default name of the program is that of the model."""
    name = '""" + open("evil") + """'
    save_python(model("a"), tmp_path / f"{name}.py")
    compile((tmp_path / f"{name}.py").read_text(), "m.py", "exec")
    assert "open(" not in outside((tmp_path / f"{name}.py").read_text(), r'""".*?"""')
