"""Settings and their limits, text, trees, files and locks, parameters, and what is said of shapes."""

import errno
import itertools
import os
import signal
import socket
import stat
import sys
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import numpy as np
import pytest

import xpnn
from xpnn import (
    durable,
    html,
    nesting,
    parameters,
    printing,
    scoring,
    settings,
    system,
    temporary_files,
    trees,
    validation,
)
from xpnn.config import Config, short_repr, to_config
from xpnn.errors import (
    DataError,
    FileError,
    ShapeError,
    UsageError,
    XpnnError,
    did_you_mean,
    first_line,
    missing,
)
from xpnn.name_hints import ARGUMENTS, arguments_of, check_arguments, no_attribute
from xpnn.random import host_rng, word_of
from xpnn.reading import read_bounded

# Settings


LARGEST = sys.float_info.max


@pytest.mark.parametrize(("hint", "good", "bad"), [
    (settings.Count, [1, 7], [0, -1, 1.0, True]), (settings.Index, [0, 1], [-1, 0.5]),
    (settings.Positive, [5e-324, 1], [0, 0.0, -1]), (settings.AtLeastZero, [0, 0.5], [-5e-324]),
    (settings.Share, [0, 1, 0.5], [-0.001, 1.001]), (settings.BelowOne, [0, 0.999], [1, -0.001]),
    (settings.Factor, [1, 0.001], [0, 1.001]),
    (float, [LARGEST, -LARGEST, 0, 1], [float("inf"), float("nan"), True, "1"]),
    (int, [0, -5, 10**30], [True, 1.0, "1", None]), (bool, [True], [1, None]), (str, ["a"], [1, None]),
    (int | None, [None, 3], ["a", 0.5]), (int | str, ["a", 3], [0.5]), (tuple[int, ...], [(),
    (1, 2)], [(1, 0.5), 3, "ab"]),
    (tuple[int, float], [(1, 0.5)], [(1,), (1, 2, 3), (0.5, 1)]),
    (Annotated[float, settings.within(-2, 3)], [-2, 3, 0.5], [-2.001, 3.001]),
    (Annotated[str, settings.one_of("a", "b")], ["a", "b"], ["c", ""]),
], ids=itertools.count())  # fmt: skip
def test_limits_of_settings(hint, good, bad):
    for value in good:
        assert settings.fit(value, hint) == value
    for value in bad:
        with pytest.raises(settings.Unfit):
            settings.fit(value, hint)


def test_sequences_and_numbers_of_numpy_become_pythons():
    for value, hint, wanted in (
        (np.int64(3), int, 3), (np.float32(0.5), float, 0.5), ([1, 2], tuple[int, ...], (1, 2)),
        (np.array([1, 2]), tuple[int, ...], (1, 2)), (np.bool_(True), bool, True),
    ):  # fmt: skip
        found = settings.fit(value, hint)
        assert (found, type(found)) == (wanted, type(wanted))
    for value in (np.ones((1, 2), int), np.array(3)):
        with pytest.raises(settings.Unfit):
            settings.fit(value, tuple[int, ...])
    assert settings.fit("relu", object) == "relu"
    assert settings.fit({"a": 1}, dict) == {"a": 1}


@pytest.mark.parametrize(("hint", "words"), [
    (settings.Count, "a whole number of at least 1"), (settings.AtLeastZero, "a number of at least 0"),
    (settings.Share, "a number from 0 to 1"), (int | None, "a whole number or None"), (tuple, "a tuple"),
    (tuple[int, ...], "a sequence, each a whole number"), (bool, "True or False"), (xpnn.layers.Layer, "a Layer"),
    (xpnn.optimizers.Optimizer, "an Optimizer"), (Annotated[str, settings.one_of("a", "b")], "'a' or 'b'"),
], ids=itertools.count())  # fmt: skip
def test_limits_in_words(hint, words):
    assert settings.wording(hint) == words
    either = Annotated[str, settings.one_of("a", "b")]
    assert settings.choices_of(either | None) == settings.choices_of(either) == ("a", "b")
    assert settings.choices_of(int) == settings.choices_of(int | None) == ()


@pytest.mark.parametrize(("value", "text"), [
    (1 / 255, "1/255"), (1 / 3, "1/3"), (-1 / 3, "1/-3"), (0.5, "0.5"), (0.1234567890123, "0.1234567890123"),
    (3.0, "3.0"),
    ((1 / 3, (2,)), "[1/3, [2]]"), (np.add, "<ufunc 'add'>"), (len, "<built-in function len>"), (None, "None"),
    ("a", "'a'"),
    (xpnn.Dense(3), "Dense(units=3)"), (xpnn.Dropout(1 / 3), "Dropout(rate=1/3)"), (xpnn.ReLU(), "ReLU()"),
    (0.012345678, "0.012345678"), (1.0000000001, "1.0000000001"),
], ids=str)  # fmt: skip
def test_a_setting_as_it_was_typed(value, text):
    assert short_repr(value) == text


def test_objects_by_their_names():
    class Own:
        pass

    def own(x):
        return x

    assert short_repr(Own()) == "Own()"
    assert short_repr(own) == "own"


@pytest.mark.parametrize(("value", "plain"), [
    (np.float32(0.5), 0.5), (np.int64(3), 3), ((1, (2.5, None)), [1, [2.5, None]]), (True, True), ("a", "a"),
    ([], []),
])  # fmt: skip
def test_a_setting_as_json(value, plain):
    assert to_config(value) == plain
    for bad in (float("inf"), float("nan"), {1}, 1j, b"a"):
        with pytest.raises(UsageError, match="cannot save the setting"):
            to_config(bad)


def test_classes_that_are_no_frozen_dataclasses():
    class Bare(Config):
        units: int = 3

    class Made(Config):
        def __init__(self):
            pass

    @dataclass
    class Loose(Config):
        units: int = 3

    @dataclass(frozen=True)
    class Sound(Config):
        units: int = 3

    class Longer(Sound):
        def twice(self):
            return 2 * self.units

    class Empty(Config):
        def twice(self):
            return 2

    for cls, how, more in (
        (Bare, "is no dataclass", ""), (Made, "is no dataclass", ", its settings as fields and no __init__"),
        (Loose, "is a dataclass, but not a frozen one", ""),
    ):  # fmt: skip
        name = cls.__name__
        with pytest.raises(UsageError) as found:
            cls()
        assert found.value.what == f"{name} {how}"
        line = "from dataclasses import dataclass, and @dataclass(frozen=True) above class"
        assert found.value.fix == f"{line} {name}{more}"
    assert (Longer(4).twice(), Empty().twice(), Empty() == Empty()) == (8, 2, True)


# Errors, and advice about names


def test_parts_of_an_error():
    assert str(XpnnError("what")) == "what"
    assert str(XpnnError("what", fix="that")) == "what\n  fix: that"
    assert str(FileError("what", why="so", fix="\x1b")) == "what\n  why: so\n  fix: \\x1b"
    assert first_line(ValueError("  a\nb")) == "a"
    assert (first_line(ValueError()), len(first_line(ValueError("x" * 301)))) == ("ValueError", 300)
    lacks = missing(xpnn.ReLU(), "forward(self, x)", "y")
    assert (lacks.what, lacks.fix) == ("ReLU has no method forward", "def forward(self, x): ... return y")


def test_the_way_to_a_layer_is_cut_in_the_middle():
    for count, shown in ((12, list(range(12))), (13, [0, "...", *range(2, 13)])):
        error = ShapeError("no", path="3.1", layer="Dense", way=tuple(map(str, range(count))))
        assert error.fix == "shapes on the way: " + " -> ".join(map(str, shown))
        assert error.what == "layer 3.1 Dense no"
    assert (ShapeError("no", fix="that").what, ShapeError("no", fix="that").fix) == ("no", "that")


def test_the_closest_of_many_names():
    few = [f"name{i:02}" for i in range(60)]
    assert did_you_mean("zzz", few) == f"one of: {', '.join(few)}"
    assert did_you_mean("name7", ["a"]) == "one of: a"
    found = did_you_mean("name070", [*few, "name60"])
    assert found.startswith("did you mean 'name0")
    assert " of 61 names these are nearest: " in found
    assert len(found.partition("nearest: ")[2].split(", ")) == 8


def test_names_of_other_libraries():
    assert str(no_attribute("Model", "plot", {"plot": "that"})) == "Model has no attribute 'plot'; here: that"
    assert str(no_attribute("Model", "plot", {})) == "Model has no attribute 'plot'"
    check_arguments("fit", {"a": 1}, ["a"], {})
    for name, fix in (
        ("lr", "optimizer=xpnn.Adam(1e-3)"),
        ("epoch", "did you mean 'epochs'? one of: epochs"),
    ):
        with pytest.raises(TypeError, match=f"fit has no argument '{name}'") as found:
            check_arguments("fit", {"epochs": 1, name: 2}, ["epochs"], ARGUMENTS["fit"])
        assert found.value.fix == fix
    assert arguments_of(lambda self, a, *, b=1: None) == ["a", "b"]
    assert arguments_of(lambda self, **more: None) is None
    assert arguments_of(lambda self, *more: None) == ["more"]


# Text


def test_names_in_messages():
    nine = [f"n{i}" for i in range(9)]
    assert printing.listed(nine[:8]) == ", ".join(map(repr, nine[:8]))
    assert printing.listed(nine) == ", ".join(map(repr, nine[:8])) + " and 1 more"
    assert printing.joined(["a"] * 2008).endswith(" and 2,000 more")
    assert printing.listed(["x" * 41, 3]) == f"'{'x' * 40}', '3'"
    for names, noun, text in (
        (["a"], "class", "class"),
        ([], "class", "classes"),
        (["a"] * 2, "row", "rows"),
    ):
        assert printing.count_of(names, noun) == text
    assert [printing.counted(n, noun) for n, noun in ((1, "row"), (0, "row"), (2000, "class"))] == [
        "1 row", "0 rows", "2,000 classes",
    ]  # fmt: skip
    assert printing.as_flags("backend='numpy', or dtype='float64' and device='cuda:1'") == (
        "--backend numpy, or --dtype float64 and --device cuda:1"
    )
    assert printing.as_flags("mybackend='numpy'") == "mybackend='numpy'"
    assert printing.in_comment('a*/ "b" \\ é\n[c]=1') == "a?? ?b? ? é?[c]=1"
    assert [printing.name_of(one) for one in ([], np.ones(1), xpnn.ReLU())] == [
        "list",
        "ndarray",
        "xpnn.ReLU",
    ]


@pytest.mark.parametrize(("character", "shown"), [
    ("\x1b", "\\x1b"), ("\x9b", "\\x9b"), ("\u00ad", "\\xad"), ("\u0600", "\\u0600"), ("\u202e", "\\u202e"),
    ("\U000e0001", "\\U000e0001"), ("\n", "\n"), ("\t", "\t"), ("é", "é"), ("\ufffb", "\\ufffb"),
])  # fmt: skip
def test_characters_that_do_not_show(character, shown):
    assert printing.printable(character) == shown


def test_notes_reach_a_stream_or_nobody(monkeypatch, capsys):
    printing.to_stderr(["a\x1b", "b"])
    assert capsys.readouterr().err == "a\\x1b\nb\n"

    class Closed:
        def write(self, text):
            raise ValueError("I/O operation on closed file")

    for stream in (None, Closed()):
        monkeypatch.setattr(sys, "stderr", stream)
        printing.to_stderr(["a", "b"])


def test_tables_in_a_notebook():
    found = html.html_table(["a<", "b"], [["x&", -1.5], ["+", ".5"], ["7 %", "a1"]], "top>", "one\ntwo'")
    left, right = ('<td style="text-align: left">', '<td style="text-align: right">')
    assert found == (
        "<p><b>top&gt;</b></p><table><thead><tr><th>a&lt;</th><th>b</th></tr></thead><tbody>"
        f"<tr>{left}x&amp;</td>{right}-1.5</td></tr><tr>{right}+</td>{right}.5</td></tr>"
        f"<tr>{right}7 %</td>{left}a1</td></tr></tbody></table><p>one</p><p>two&#x27;</p>"
    )
    assert html.html_table([], []) == "<table><thead><tr></tr></thead><tbody></tbody></table>"
    assert html.preformatted('a "<b>"\x1b') == "<pre>a &quot;&lt;b&gt;&quot;\\x1b</pre>"


# Trees, nesting, draws


Pair = namedtuple("Pair", "first second")


def test_trees_and_their_leaves():
    tree = {"a": (1, [2, {}]), "b": Pair(3, ()), "c": 4}
    assert trees.flatten(tree) == {
        ("a", 0): 1, ("a", 1, 0): 2, ("a", 1, 1): {}, ("b", 0): 3, ("b", 1): (), ("c",): 4,
    }  # fmt: skip
    assert dict(trees.leaves(tree)) == {"a.0": 1, "a.1.0": 2, "b.0": 3, "c": 4}
    seen = []
    doubled = trees.tree_map(lambda name, leaf: seen.append(name) or 2 * leaf, tree)
    assert doubled == {"a": (2, [4, {}]), "b": Pair(6, ()), "c": 8}
    assert isinstance(doubled["b"], Pair)
    assert seen == ["a.0", "a.1.0", "b.0", "c"]
    assert trees.tree_map(lambda name, leaf: (name, leaf), 5) == ("", 5)
    assert trees.rebuild(tree, lambda path, leaf: path)["a"] == (("a", 0), [("a", 1, 0), ("a", 1, 1)])
    assert trees.flatten(()) == {(): ()}
    assert [trees.is_empty(one) for one in ((), {}, [], (1,), 0, "")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("now", "depth", "limit"), [(1000, 5, 1100), (1100, 5, 1100), (5000, 5, 5000), (1000, 0, 1000)]
)
def test_the_limit_of_recursion_is_only_raised(monkeypatch, now, depth, limit):
    found = []
    monkeypatch.setattr(sys, "getrecursionlimit", lambda: now)
    monkeypatch.setattr(sys, "setrecursionlimit", found.append)
    nesting.raise_limit(depth)
    nesting.allow_text("[" * depth + "]" * depth + "[]" * 9 + '"[[[[[[[[[["')
    assert found == [limit, max(limit, now, 1000 + 20 * max(depth, 1))]


def test_text_that_is_nested_too_deeply(monkeypatch):
    monkeypatch.setattr(sys, "setrecursionlimit", lambda limit: None)
    most = 2 * nesting.DEEPEST + 50
    nesting.allow_text("[" * most)
    with pytest.raises(RecursionError, match="nested 4,051 deep"):
        nesting.allow_text("[" * (most + 1))


def test_the_layers_among_the_settings_of_a_layer():
    inner = xpnn.Sequential([xpnn.Dense(2), xpnn.ReLU()])
    assert {id(one) for one in nesting.parts(xpnn.Sequential([inner, xpnn.Dense(3)]))} >= {id(inner)}
    graph = xpnn.Graph("x", [("d", xpnn.Dense(3), "x")], "d")
    assert any(isinstance(one, xpnn.Dense) for one in nesting.parts(graph))


def test_words_of_a_stream():
    assert [word_of(part) for part in (3, 0)] == [3, 0]
    assert word_of("init") != word_of("shuffle")
    assert 0 <= word_of("\udcff") < 2**32
    same = np.random.Generator(np.random.Philox(np.random.SeedSequence(5, spawn_key=(word_of("a"), 7))))
    assert host_rng(5, "a", 7).integers(2**62) == same.integers(2**62)


# Files, locks, processes


def test_pipes_folders_devices_and_sockets_are_not_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for name, words in (
            ("pipe", "it is a pipe"),
            (".", "it is a folder"),
            ("/dev/null", "it is a device"),
        ):
            with pytest.raises(OSError, match=f"{words}, not a regular file"):
                system.open_regular(name)
        with pytest.raises(OSError):  # noqa: PT011 - the system refuses it before it can be looked at
            system.open_regular("socket")
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    with system.open_regular(tmp_path / "link") as file:
        assert file.read() == b"abc"
    assert [words for test, words in system.KINDS if test(stat.S_IFSOCK)] == ["it is a socket"]
    assert [words for test, words in system.KINDS if test(stat.S_IFBLK)] == ["it is a device"]
    assert (system.is_link(tmp_path / "link"), system.is_link(tmp_path / "file")) == (True, False)


@pytest.mark.parametrize(("size", "fits"), [(9, True), (10, True), (11, False)])
def test_a_file_is_read_up_to_its_bound(tmp_path, size, fits):
    (tmp_path / "a").write_bytes(bytes(size))
    if fits:
        assert read_bounded(tmp_path / "a", 10) == bytes(size)
        return
    with pytest.raises(FileError, match="cannot read") as found:
        read_bounded(tmp_path / "a", 10)
    assert found.value.why == "it holds 11 bytes, at most 10 are read"


def test_a_folder_has_one_lock(tmp_path):
    first = system.lock_folder(tmp_path)
    with pytest.raises(BlockingIOError):
        system.lock_folder(tmp_path)
    system.unlock_folder(first)
    second = system.lock_folder(tmp_path)
    assert isinstance(second, int)
    system.unlock_folder(second)
    system.unlock_folder(None)


def test_a_file_system_without_locks_of_folders(tmp_path, monkeypatch):
    import fcntl

    def refuse(*args):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert system.lock_folder(tmp_path) is None


def test_which_processes_are_alive(monkeypatch):
    assert system.alive(os.getpid())
    assert not system.alive(2**70)
    for error, lives in ((ProcessLookupError, False), (PermissionError, True)):

        def kill(process, number, error=error):
            assert (process, number) == (7, 0)
            raise error

        monkeypatch.setattr(os, "kill", kill)
        assert system.alive(7) is lives


def test_processes_where_no_signal_can_be_sent(monkeypatch):
    """A list of them is looked through, if there is one."""
    monkeypatch.setattr(system.sys, "platform", "win32")
    monkeypatch.setattr(os, "kill", None)
    monkeypatch.setitem(sys.modules, "psutil", SimpleNamespace(pid_exists=lambda process: process == 7))
    assert [system.alive(process) for process in (7, 8)] == [True, False]
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert system.alive(8)


def test_how_long_cores_were_idle(tmp_path, monkeypatch):
    monkeypatch.setattr(system, "usable", lambda: {0, 2})
    (tmp_path / "stat").write_text(
        "cpu 1 1 1 999\ncpu0 1 2 3 40 5\ncpu1 1 2 3 500 5\ncpu2 1 2 3 60 5\nintr 1 2 3 4\n"
    )
    assert system.idle_seconds(str(tmp_path / "stat")) == 100 / os.sysconf("SC_CLK_TCK")
    (tmp_path / "stat").write_text("cpu0 1 2 3\n")
    assert system.idle_seconds(str(tmp_path / "stat")) is None
    assert system.idle_seconds(str(tmp_path / "missing")) is None


def test_a_pipe_of_another_process(tmp_path):
    (tmp_path / "file").touch()
    assert system.open_pipe(str(tmp_path / "file")) is None
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError):  # noqa: PT011 - nobody reads it
        system.open_pipe(str(tmp_path / "pipe"))
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    writer = system.open_pipe(str(tmp_path / "pipe"))
    os.write(writer, b"a")
    assert os.read(reader, 9) == b"a"
    for handle in (reader, writer):
        os.close(handle)


def test_paths_with_a_tilde_are_expanded():
    assert system.user_path("~/a") == Path.home() / "a"
    assert system.user_path("~nobody-of-that-name/a") == Path("~nobody-of-that-name/a")
    assert system.user_path("a") == Path("a")
    assert signal.SIGINT in system.STOPPING
    assert durable.previous(Path("a/b.safetensors")) == Path("a/b.1.safetensors")


def test_temporary_files_of_killed_writers_are_deleted(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "link").symlink_to("deep/deeper")
    own, other = os.getpid(), os.getppid()
    names = {
        f".xpnn-{own}-0123456789abcdef.tmp": True, f"sub/.xpnn-{own}-0123456789abcdef.tmp": True,
        f".xpnn-{2**22 + 7}-0123456789abcdef.tmp": True, f".xpnn-{other}-0123456789abcdef.tmp": False,
        f"deep/deeper/.xpnn-{own}-0123456789abcdef.tmp": False, f".xpnn-{own}-0123456789abcde.tmp": False,
    }  # fmt: skip
    for name in names:
        (tmp_path / name).touch()
    assert durable.sweep(tmp_path) == 3
    assert {name: not (tmp_path / name).exists() for name in names} == names


def test_arrays_on_the_disk(tmp_path):
    scratch = temporary_files.Scratch("float32", (2,))
    scratch.write(np.arange(4).reshape(2, 2))
    scratch.write(np.arange(4, 6).reshape(1, 2))
    found = scratch.array()
    assert (found.dtype, found.tolist(), scratch.rows) == (np.float32, [[0, 1], [2, 3], [4, 5]], 3)
    assert not found.flags.writeable
    assert temporary_files.in_use()
    temporary_files.release()
    assert found[2, 1] == 5
    assert [temporary_files.is_mapped(one) for one in (found, found[1:], memoryview(found), np.ones(2), 3)] == [
        True, True, True, False, False,
    ]  # fmt: skip
    for shape, rows in (((2,), 0), ((0,), 3)):
        empty = temporary_files.Scratch("int16", shape)
        empty.write(np.zeros((rows, *shape)))
        made = empty.array()
        assert (made.shape, made.dtype) == ((rows, *shape), np.int16)
    place, free = temporary_files.temporary_place()
    assert os.path.isdir(place)
    assert free > 0
    with temporary_files.temporary_folder() as folder:
        assert Path(folder).name.startswith("xpnn-")
        assert Path(folder).parent == Path(place)
    (tmp_path / "a").write_bytes(b"abc")
    temporary_files.link(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").resolve() == (tmp_path / "a").resolve()
    with (tmp_path / "a").open("rb") as file:
        temporary_files.keep(file, tmp_path / "c")
    assert (tmp_path / "c").read_bytes() == b"abc"
    with temporary_files.spool() as kept:
        kept.write(b"abc")
        kept.seek(1)
        assert kept.read() == b"bc"


def test_a_copy_where_there_are_no_links(tmp_path, monkeypatch):
    def refuse(self, target):
        raise OSError("no links")

    (tmp_path / "a").write_bytes(b"abc")
    monkeypatch.setattr(Path, "symlink_to", refuse)
    temporary_files.link(tmp_path / "a", tmp_path / "b")
    assert not (tmp_path / "b").is_symlink()
    assert (tmp_path / "b").read_bytes() == b"abc"


# Parameters and samples


def test_where_parameters_lie():
    made = xpnn.Model([xpnn.Dense(3), xpnn.BatchNorm(), xpnn.Dense(2)], (4,), seed=0)
    layout = made.layout
    assert {path: slot for path, slot in layout.slots.items() if path[0] in "02"} == {
        "0.W": ("theta", 0, 12), "0.b": ("theta", 12, 15), "2.W": ("theta", 21, 27), "2.b": ("theta", 27, 29),
    }  # fmt: skip
    assert layout.size["theta"] == 29
    weights = {
        one.path: (one.start, one.stop, one.shape, one.weight, one.decay, one.lr) for one in layout.params
    }
    assert weights["0.W"] == (0, 12, (4, 3), True, 1.0, 1.0)
    assert weights["0.b"] == (12, 15, (3,), False, 0.0, 1.0)
    be = made.backend
    news = {
        path: np.full(layout.named[path].shape, 7.0, np.float32) for path in layout.slots if "var" in path
    }
    phi = np.arange(layout.size["phi"], dtype=np.float32)
    ((vector, a, b),) = [layout.slots[path] for path in news]
    wanted = phi.copy()
    wanted[a:b] = 7
    tree = {0: {}, 1: {path.partition(".")[2]: value for path, value in news.items()}, 2: {}}
    assert (vector, layout.update_stats(be, phi, tree).tolist()) == ("phi", wanted.tolist())
    assert layout.update_stats(be, phi, {0: {}}) is phi
    assert layout.join(be, layout.split(be, made.theta, made.phi)).tolist() == made.theta.tolist()
    empty = xpnn.Model([xpnn.ReLU()], (4,), seed=0)
    assert empty.layout.join(be, ({},)).shape == (0,)


def test_rows_of_samples():
    be = xpnn.get_backend("numpy")
    a, b = np.arange(6).reshape(3, 2), np.arange(3)
    assert [parameters.count(a), parameters.count((b, a[:1]))] == [3, 3]
    assert [part.tolist() for part in parameters.rows_of((a, b), 1, 3)] == [[[2, 3], [4, 5]], [1, 2]]
    picked = parameters.gather(be, (a, None, (b,)), np.array([2, 0]))
    assert (picked[0].tolist(), picked[1], picked[2][0].tolist()) == ([[4, 5], [0, 1]], None, [2, 0])


@pytest.mark.parametrize(("got", "wanted", "hint"), [
    ((28, 28), (28, 28), "a single sample? x[None]"), ((5, 3), (None, 3), "a single sample? x[None]"),
    ((5, 4), (None, 3), "None stands for any size, the others are fixed"),
    ((2, 5, 4), (None, 3), "None stands for any size, the others are fixed"),
    ((6,), (1,), "samples are rows: x[:, None] gives each number a row, x[None] makes one row of them"),
    ((6, 3, 28, 30), (28, 30, 3), "channels come last: np.moveaxis(x, 1, -1)"),
    ((6, 784), (28, 28, 1), "x.reshape(-1, 28, 28, 1)"), ((6, 28, 28), (784,), "x.reshape(-1, 784)"),
    ((6, 5), (4,), "give (N, 4), or build the model with input_shape=(5,)"),
])  # fmt: skip
def test_what_to_do_about_a_shape(got, wanted, hint):
    assert validation.shape_hint(got, wanted, "x") == hint
    with pytest.raises(ShapeError) as found:
        validation.check_shape("x", np.empty(got), wanted)
    assert found.value.fix == hint
    assert found.value.what == f"x has shape {got}, the model takes (N, {', '.join(map(str, wanted))})"


def test_shapes_that_fit():
    validation.check_shape("x", np.empty((7, 5, 3)), (None, 3))
    validation.check_shape("x", np.empty((7,)), ())


@pytest.mark.parametrize(("shape", "found"), [
    (3, None), ((3, 0), None), ((3, -1), None), ((3, True), None), ("ab", None), ((3.0,), None), ((3, None),
    (3, None)),
    ([3, 4], (3, 4)), ((), ()), (np.array([3, 4]), (3, 4)), ((np.int64(3),), (3,)), (((3,), [4, None]), ((3,),
    (4, None))),
], ids=str)  # fmt: skip
def test_shapes_of_samples(shape, found):
    if found is None:
        with pytest.raises(UsageError, match="input_shape=") as refused:
            validation.check_input_shape(shape)
        assert refused.value.fix.startswith("input_shape=(3,)" if shape == 3 else "such as (784,)")
    else:
        assert validation.check_input_shape(shape) == found


@pytest.mark.parametrize(
    ("seed", "found"), [(0, 0), (np.int64(7), 7), (-1, None), (True, None), (1.0, None), ("1", None)]
)
def test_seeds(seed, found):
    if found is None:
        with pytest.raises(UsageError, match="seed="):
            validation.check_seed(seed)
    else:
        assert (validation.check_seed(seed), type(validation.check_seed(seed))) == (found, int)


def test_several_inputs_by_name():
    a, b = np.ones((2, 3)), np.ones((2, 4))
    assert [one is other for one, other in zip(validation.split("x", [a, b], 2), (a, b), strict=True)] == [
        True,
        True,
    ]
    for given, words in (
        (a, "x is a ndarray, the model has 2 of them"),
        ((a,), "x holds 1 arrays, the model has 2"),
    ):
        with pytest.raises(DataError, match=words):
            validation.split("x", given, 2)
    assert [(name, shape) for name, _, shape in validation.named("x", (a, b), ((3,), (4,)))] == [
        ("x[0]", (3,)), ("x[1]", (4,)),
    ]  # fmt: skip
    assert validation.named("x", a, (3,)) == [("x", a, (3,))]


@pytest.mark.parametrize(("values", "vocab", "what"), [
    ([0, 4], 5, None), ([0, 5], 5, r"x\[1\] is 5"), ([-1, 0], 5, r"x\[0\] is -1"), ([0.0, 4.0], 5, None),
    ([0.5, 1.0], 5, r"x\[0\] is 0\.5"), ([2**53 - 1], 0, None), ([2**53], 0, rf"x\[0\] is {2**53}"),
    ([np.nan], 5, r"x\[0\] is nan"),
], ids=str)  # fmt: skip
def test_ids_that_are_known(values, vocab, what):
    x = np.array(values)
    if what is None:
        found = validation.ids(x, vocab, "x")
        assert (found.dtype, found.tolist()) == (np.int64, [int(v) for v in values])
        return
    with pytest.raises(DataError, match=what) as refused:
        validation.ids(x, vocab, "x")
    assert refused.value.why.endswith(f"1 of {len(values)} are not among them")
    assert f"the ids 0 to {(vocab or 2**53) - 1};" in refused.value.why


def test_numbers_that_are_not_finite_are_found(monkeypatch):
    x = np.zeros((6, 2), np.float32)
    x[4, 1] = np.inf
    be = xpnn.get_backend("numpy")
    for bound in (1 << 26, 16, 1):  # bytes at a time
        monkeypatch.setattr(validation, "LOOKED_THROUGH", bound)
        with pytest.raises(DataError, match=r"^x\[4\] holds NaN or infinity"):
            validation.finite(be, x, "x")
        with pytest.raises(DataError, match=r"^x\[4\] holds NaN or infinity\n"):
            validation.finite_on_host(x, "x")
        assert validation.finite_on_host(x[:4], "x") is not None
        assert validation.finite_on_host(np.ones((3, 1), np.uint8), "x").dtype == np.uint8


@pytest.mark.parametrize(("weight", "what"), [
    ([1.0, 2.0, 0.0], None), (None, None), ([1.0, 2.0], "sample_weight has shape"),
    ([1.0, -1.0, 1.0], r"sample_weight\[1\] is -1"),
    ([1.0, np.nan, 1.0], r"sample_weight\[1\] is nan"), ([0.0, 0.0, 0.0], "every sample_weight is 0"),
    (np.ones((3, 4)), None), (np.ones((3, 5)), "sample_weight has shape"),
], ids=str)  # fmt: skip
def test_weights_of_samples(weight, what):
    be = xpnn.get_backend("numpy")
    if what is None:
        found = validation.check_sample_weight(be, weight, 3, (4,))
        assert weight is None if found is None else found.tolist() == np.asarray(weight).tolist()
        return
    with pytest.raises(DataError, match=what):
        validation.check_sample_weight(be, weight, 3, (4,))


@pytest.mark.parametrize(("values", "fits"), [
    ([0, 1], True), ([1.0, 1.0], True), ([0, 0], True), ([0, 2], False), ([2, 2], False), ([0.5, 1], False),
])  # fmt: skip
def test_a_mask_is_0_or_1(values, fits):
    be = xpnn.get_backend("numpy")
    for kind in ("float32", "float64"):
        x = np.array([values], kind)
        if fits:
            found = validation.one_input(be, (2,), x, "m", "mask", 0)
            assert (found.dtype, found.tolist()) == (np.float32, [values])
        else:
            with pytest.raises(DataError, match="m is a mask and holds other numbers than 0 and 1"):
                validation.one_input(be, (2,), x, "m", "mask", 0)


def test_numbers_too_large_for_a_type():
    be = xpnn.get_backend("numpy")
    assert validation.narrow(be, np.array([1.5]), "y").dtype == np.float32
    for value, why in ((1e300, "too large for float32"), (np.nan, "not finite")):
        with pytest.raises(DataError, match=rf"y\[1, 0\] is .*, {why}"):
            validation.narrow(be, np.array([[0.0], [value]]), "y")


# Scores


def test_what_a_model_is_scored_by():
    several = scoring.default_loss(((3,), (2,)))
    assert several == xpnn.losses.MultiOutputLoss((xpnn.losses.SoftmaxCrossEntropy(),) * 2)
    assert scoring.default_loss((3,)) == xpnn.losses.SoftmaxCrossEntropy()
    assert scoring.accuracies(several) == ["accuracy[0]", "accuracy[1]"]
    mixed = xpnn.losses.MultiOutputLoss(("mse", "softmax_cross_entropy"))
    assert scoring.accuracies(mixed) == ["accuracy[1]"]
    assert (scoring.accuracies(several.losses[0]), scoring.accuracies(mixed.losses[0])) == (["accuracy"], [])
    with pytest.raises(UsageError, match="the network gives one output"):
        scoring.check_meaning(several.losses[0], (1,))
    for loss, shape in ((several.losses[0], (2,)), (mixed.losses[0], (1,))):
        scoring.check_meaning(loss, shape)


def test_samples_are_compared_in_shuffled_batches(monkeypatch):
    """Each with its own, of 128 and the rest."""
    seen = []

    class Loss:
        def __call__(self, be, out, y):
            seen.append((out[:, 0].tolist(), y.tolist()))
            return (np.float64(len(y)), None)

        def over_batches(self, values, sizes):
            return values, sizes

    n = 300
    found = scoring.measure(xpnn.get_backend("numpy"), Loss(), np.arange(n)[:, None], np.arange(n), 5)
    order = host_rng(5, "evaluate").permutation(n).tolist()
    assert found == ([128.0, 128.0, 44.0], [128, 128, 44])
    assert [rows for rows, _ in seen] == [order[:128], order[128:256], order[256:]]
    assert all(rows == y for rows, y in seen)
