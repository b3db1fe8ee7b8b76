"""Networks nested a thousand deep: made, trained, shown, saved and read like any other."""

import json
import sys

import numpy as np
import pytest

import xpnn
import xpnn.nesting
from xpnn.errors import CheckpointError, UsageError
from xpnn.layers import Dense, Parallel, Residual, Sequential

KINDS = {
    "chains": lambda net: Sequential((net,)),
    "skips": Residual,
    "branches": lambda net: Parallel((net,), "add"),
}
X, IDS = np.eye(4, 3), [0, 1, 0, 1]


def nested(kind, depth):
    net = Dense(3)
    for _ in range(depth):
        net = KINDS[kind](net)
    return net


@pytest.fixture(autouse=True)
def limit():
    """What this process had, put back."""
    before = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_levels_are_saved_and_read(kind, tmp_path):
    sys.setrecursionlimit(1000)
    model = xpnn.Model([nested(kind, 1000)], (3,), seed=0)
    model.fit(X, IDS, epochs=2, batch_size=2, verbose=0)
    model.save(tmp_path / "deep.safetensors")
    sys.setrecursionlimit(1000)  # a file is read by another process
    other = xpnn.load(tmp_path / "deep.safetensors")
    assert np.array_equal(other.forward(X), model.forward(X))
    assert other.net == model.net
    assert repr(other.net).count("Dense") == 1
    assert np.array_equal(other.copy().forward(X), model.forward(X))
    (path,) = {name.rsplit(".", 1)[0] for name in other.parameters()}
    assert path.count(".") >= 1000


def test_more_is_refused_by_name(tmp_path):
    with pytest.raises(UsageError, match="more than 2,000 levels deep"):
        xpnn.Model([nested("chains", 2100)], (3,))
    model = xpnn.Model([Dense(3)], (3,), seed=0)
    model.save(tmp_path / "one.safetensors")
    raw = (tmp_path / "one.safetensors").read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    text = json.dumps(header).replace("Dense", "[" * 50_000, 1)
    bad = text.encode() + b"[" * 50_000
    (tmp_path / "bad.safetensors").write_bytes(len(bad).to_bytes(8, "little") + bad + raw[8 + size :])
    with pytest.raises(CheckpointError):
        xpnn.load(tmp_path / "bad.safetensors")


def test_a_layer_in_many_places_is_looked_through_once():
    """Each level has the one below twice: 2^25 places."""
    net = Dense(3)
    for _ in range(25):
        net = Parallel((net, net), "add")
    xpnn.nesting.allow_nesting(net)


@pytest.mark.parametrize("kind", KINDS)
def test_the_deepest_that_is_allowed(kind, monkeypatch):
    """The network itself is level 0, the initializers in its innermost layer the deepest."""
    monkeypatch.setattr("xpnn.nesting.DEEPEST", 6)
    xpnn.nesting.allow_nesting(nested(kind, 5))
    with pytest.raises(UsageError, match="more than 6 levels deep"):
        xpnn.nesting.allow_nesting(nested(kind, 6))


def test_the_deepest_text_that_is_allowed(monkeypatch):
    """A list and an object for each level, and 50 around them; brackets in words do not count."""
    monkeypatch.setattr("xpnn.nesting.DEEPEST", 3)
    text = '["[[[" , ' + "[{" * 27 + '"\\"{": "]"' + "}]" * 27 + "]"
    xpnn.nesting.allow_text(f"[{text}]")
    with pytest.raises(RecursionError, match="nested 57 deep"):
        xpnn.nesting.allow_text(f"[[{text}]]")


def test_frames_for_each_level():
    sys.setrecursionlimit(1000)
    xpnn.nesting.raise_limit(50)
    assert sys.getrecursionlimit() == 1000 + 20 * 50
    xpnn.nesting.raise_limit(49)
    assert sys.getrecursionlimit() == 1000 + 20 * 50
