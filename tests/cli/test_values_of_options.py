"""What the program prepares and how it ends, what options become, and where settings come from: a case a branch."""

import io
import signal
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from command_line import workplace  # noqa: F401

from xpnn import cli
from xpnn.cli import config, options, output, process_group
from xpnn.cli.state import State
from xpnn.errors import DataError, FileError, UsageError
from xpnn.system import STOPPING

pytestmark = pytest.mark.usefixtures("workplace")


# The program: its signals, errors and last words


def test_what_the_program_prepares(monkeypatch):
    calls, before = [], dict.fromkeys(STOPPING, signal.SIG_DFL) | {signal.SIGHUP: signal.SIG_IGN}
    monkeypatch.setattr(signal, "getsignal", before.get)
    monkeypatch.setattr(signal, "signal", lambda *args: calls.append(args))
    monkeypatch.setattr(cli, "open_closed_streams", lambda: calls.append("opened"))
    monkeypatch.setattr(cli, "run", lambda args: calls.append(args) or 3)
    with pytest.raises(SystemExit) as found:
        cli.main(["train"])
    assert found.value.code == 3
    opened, *handled, args = calls
    assert (opened, args) == ("opened", ["train"])
    assert [number for number, _ in handled] == [
        n for n in STOPPING if n not in (signal.SIGINT, signal.SIGHUP)
    ]
    with pytest.raises(cli.Stopped) as stop:
        handled[0][1](signal.SIGTERM, None)
    assert (stop.value.code, stop.value.word, stop.value.detail, stop.value.agreed) == (
        143,
        "terminated",
        "",
        False,
    )


@pytest.mark.parametrize(("error", "code", "said"), [
    (click.Abort(), 130, "xpnn: interrupted\n"), (KeyboardInterrupt(), 130, "xpnn: interrupted\n"),
    (cli.Stopped(143, "terminated"), 143, "xpnn: terminated\n"), (cli.Stopped(7), 7, ""),
    (DataError("no rows", why="none", fix="xpnn train"), 4, "xpnn: error: no rows\n  why: none\n  fix: xpnn train\n"),
    (DataError("no rows", fix="backend='numpy'"), 4, "xpnn: error: no rows\n  fix: --backend numpy\n"),
    (MemoryError("60 GiB"), 3,
     "xpnn: error: out of memory\n  why: 60 GiB\n  fix: less data, a smaller batch or network\n"),
    (UnicodeEncodeError("utf-8", "\udcff" + "a" * 90, 0, 1, "no"), 2,
     "xpnn: error: a name that is no text: '\\udcff" + "a" * 79 + "'\n  fix: rename it\n"),
    (OSError(28, "No space left", "f"), 7, "xpnn: error: f: No space left\n"),
    (OSError("odd"), 7, "xpnn: error: input or output: odd\n"),
    (click.UsageError("Wrong."), 2, "xpnn: error: Wrong\n  fix: xpnn --help\n"),
    (DataError("x" * 2000), 4, f"xpnn: error: {'x' * 2000}\n"),
    (DataError("x" * 2001), 4, f"xpnn: error: {'x' * 1999}…\n"),
    (None, 0, ""), (5, 5, ""), ("text", 0, ""),
], ids=lambda part: str(part)[:30])  # fmt: skip
def test_how_a_command_ends(monkeypatch, capsys, error, code, said):
    def main(**given):
        if isinstance(error, BaseException):
            raise error
        return error

    monkeypatch.setattr(cli.cli, "main", main)
    monkeypatch.setattr(cli, "drop_output", lambda: None)
    for name in ("shared", "preparing"):
        monkeypatch.setattr(process_group, name, True)
    monkeypatch.setattr(process_group, "group", None)
    assert cli.run(["train"]) == code
    assert capsys.readouterr() == ("", said)
    assert (process_group.group, process_group.shared, process_group.preparing) == (None, False, False)


def test_the_message_of_an_interrupted_command_ends_with_its_detail(capsys):
    stop = cli.Stopped(130, "interrupted")
    stop.detail = "saved in \x1b[1mruns"
    assert cli.stopped(stop) == 130
    assert capsys.readouterr().err == "xpnn: interrupted: saved in \\x1b[1mruns\n"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(("colour", "coloured"), [("1", False), ("", True)])
def test_an_error_is_red_on_a_terminal(monkeypatch, colour, coloured):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("NO_COLOR", colour)
    cli.report(DataError("no rows"))
    shown = "\x1b[31m\x1b[1mxpnn: error:\x1b[0m" if coloured else "xpnn: error:"
    assert sys.stderr.getvalue() == f"{shown} no rows\n"


@pytest.mark.parametrize(("args", "said", "fix"), [
    ("evaluate --run x", "unknown option --run", "the run needs no flag: xpnn evaluate RUN"),
    ("train --run x", "unknown option --run", None),
    ("train --epoch 3", "unknown option --epoch", "did you mean --epochs? xpnn train --help shows them all"),
    ("train --zzzz", "unknown option --zzzz", "xpnn train --help shows them all"),
    ("train --epochs x", "--epochs: 'x' is no whole number", "xpnn train --help"),
    ("gradcheck", "Missing argument", "xpnn gradcheck --help"),
    ("evalute", "unknown command 'evalute'", None), ("fit", "unknown command 'fit'", "xpnn train"),
])  # fmt: skip
def test_what_is_said_of_a_wrong_command_line(xp, args, said, fix):
    code, out, err = xp(*args.split())
    first, *rest = err.splitlines()
    assert (code, out) == (2, "")
    assert first.startswith(f"xpnn: error: {said}")
    assert fix is None or rest[-1] == f"  fix: {fix}"


def test_commands_are_imported_when_they_are_asked_for(monkeypatch):
    context = click.Context(cli.cli)
    for name in ("evaluate", "train", "runs"):
        monkeypatch.setattr(process_group, "shared", None)
        assert cli.cli.get_command(context, name).name == "command"
        assert process_group.shared is (name == "train")
    with pytest.raises(UsageError):
        cli.cli.get_command(context, "rain")
    completing = click.Context(cli.cli, resilient_parsing=True)
    assert cli.cli.get_command(completing, "rain") is None


# Options


def converted(kind, value):
    return kind.convert(value, None, None)


@pytest.mark.parametrize(("kind", "value", "found"), [
    (options.ThreadCount(), "1", 1), (options.ThreadCount(), "4096", 4096), (options.ThreadCount(), "adapt", "adapt"),
    (options.ThreadCount(), 2, 2), (options.ThreadCount(), "0", None), (options.ThreadCount(), "4097", None),
    (options.ThreadCount(), "1.5", None), (options.ThreadCount(), "-1", None),
    (options.Widths(), "none", ()), (options.Widths(), "8", (8,)), (options.Widths(), "8, 1", (8, 1)),
    (options.Widths(), (3, 4), (3, 4)), (options.Widths(), "8,0", None), (options.Widths(), "8,", None),
    (options.Widths(), "a", None), (options.Widths(), "", None),
    (options.FilePath(), "a/b", Path("a/b")), (options.FilePath(), "~", Path.home()), (options.FilePath(), "", None),
])  # fmt: skip
def test_values_of_options(kind, value, found):
    if found is None:
        with pytest.raises(click.BadParameter):
            converted(kind, value)
    else:
        assert converted(kind, value) == found
        assert type(converted(kind, value)) is type(found)


def test_names_and_their_hints():
    kind = options.Name("shell", ("bash", "zsh"), {"ksh": "there is none"})
    assert converted(kind, "bash") == "bash"
    assert options.Name("x", ("a",)).hints == {}
    for value, fix in (("ksh", "there is none"), ("bsh", "did you mean 'bash'? one of: bash, zsh")):
        with pytest.raises(UsageError, match=f"unknown shell '{value}'") as found:
            converted(kind, value)
        assert found.value.fix == fix


@pytest.mark.parametrize(("value", "error", "what"), [
    ("missing.csv", FileError, "no file or folder 'missing.csv'"), ("a/b", FileError, "no file or folder 'a/b'"),
    ("tabel", UsageError, "unknown dataset 'tabel'"), ("here", UsageError, "'here' is a path, not the name"),
])  # fmt: skip
def test_a_path_in_place_of_a_dataset(value, error, what):
    Path("here").mkdir()
    kind = options.DatasetName("dataset", ("table", "mnist"))
    Path("mnist").mkdir()  # of a folder that is called so
    assert converted(kind, "mnist") == "mnist"
    with pytest.raises(error) as found:
        converted(kind, value)
    assert found.value.what.startswith(what)


def opened(*args, source=None, **more):
    """open_backend inside a command whose --backend came from there."""
    with click.Context(click.Command("c"), info_name="c") as context:
        if source is not None:
            context.set_parameter_source("backend", source)
        return options.open_backend(*args, **more)


SOURCE = click.core.ParameterSource


@pytest.mark.parametrize(("source", "why"), [
    (SOURCE.COMMANDLINE, "--backend"), (SOURCE.ENVIRONMENT, "XPNN_BACKEND"), (SOURCE.DEFAULT_MAP, "as before"),
    (None, "--backend"),
])  # fmt: skip
def test_why_a_backend_was_chosen(monkeypatch, source, why):
    monkeypatch.setattr(options, "check", lambda be: pytest.fail("a processor is not tried out"))
    be, found = opened("numpy", None, "float64", source=source)
    assert (be.name, be.device_name, be.dtype_name, be.precision, found) == (
        "numpy",
        "cpu",
        "float64",
        "fp32",
        why,
    )


def test_a_backend_that_is_chosen(monkeypatch):
    asked = []
    monkeypatch.setattr(options, "choose", lambda device: asked.append(device) or ("numpy", "no GPU"))
    be, why = opened("auto", None, "float32")
    assert (be.name, be.precision, why, asked) == ("numpy", "fp32", "auto: no GPU", [None])
    monkeypatch.setattr(
        options, "get_backend", lambda *args: asked.append(args) or SimpleNamespace(device_name="cuda")
    )
    monkeypatch.setattr(options, "check", asked.append)
    be, why = opened("torch", "cuda:1", "float32", "tf32")
    assert asked[1:] == [("torch", "cuda:1", "float32", "tf32"), be]


@pytest.mark.parametrize(("name", "device", "refused"), [
    ("numpy", "cuda", True), ("strict", "cuda:1", True), ("numpy", "cpu", False), ("numpy", None, False),
])  # fmt: skip
def test_processors_are_no_gpu(name, device, refused):
    if not refused:
        assert opened(name, device, "float32")[0].name == name
        return
    with pytest.raises(UsageError) as found:
        opened(name, device, "float32")
    assert found.value.what == f"backend '{name}' has no device '{device}'"
    assert found.value.why == "it runs on the CPU alone"


@pytest.mark.parametrize(("name", "threads", "line"), [
    ("numpy", 2, "numpy 2.1 on cpu, numba, 2 threads (why)"), ("numpy", 1, "numpy 2.1 on cpu, numba, 1 thread (why)"),
    ("numpy", 0, "numpy 2.1 on cpu, numba (why)"), ("numpy", None, "numpy 2.1 on cpu, numba (why)"),
    ("torch", 2, "torch 2.1 on cuda:1 (why)"),
])  # fmt: skip
def test_a_backend_in_a_line(monkeypatch, name, threads, line):
    monkeypatch.setattr(options, "blas", lambda: SimpleNamespace(threads=threads))
    be = SimpleNamespace(
        name=name, version=lambda: "2.1", device_name="cuda:1", hardware=lambda: "cpu, numba"
    )
    assert options.backend_line(be, "why") == line


@pytest.mark.parametrize(("source", "data", "kind", "found"), [
    (SOURCE.DEFAULT, "a", "table", "table"), (SOURCE.DEFAULT, "a", "idx", "mnist"),
    (SOURCE.DEFAULT, "a", None, "mnist"),
    (SOURCE.COMMANDLINE, "a", "table", "mnist"), (SOURCE.DEFAULT, None, "table", "mnist"),
])  # fmt: skip
def test_a_dataset_that_is_not_named(monkeypatch, capsys, source, data, kind, found):
    monkeypatch.setattr(options, "kind_of", lambda path: kind)
    with click.Context(click.Command("c")) as context:
        context.set_parameter_source("dataset", source)
        assert options.dataset_of("mnist", data and Path(data)) == found
    said = "a is taken as table: the same as xpnn train table a\n" if found == "table" else ""
    assert capsys.readouterr().err == said


# Output


@pytest.mark.parametrize("quiet", [False, True])
def test_quiet_suppresses_all_but_results(monkeypatch, capsys, quiet):
    monkeypatch.setattr(output, "state", lambda: State(quiet=quiet, verbose=True))
    output.echo("a\x1b")
    output.status("b\x1b")
    output.detail("c\nd")
    output.write("e\x1b")
    output.emit({"f": Path("g")}, default=str)
    output.console().print("h")
    said = "" if quiet else "b\\x1b\nc\nd\n"
    out = ("", "") if quiet else ("a\\x1b\n", "h\n")
    assert capsys.readouterr() == (out[0] + 'e\\x1b\n{"f": "g"}\n' + out[1], said)
    monkeypatch.setattr(output, "state", State)
    output.detail("c")
    assert capsys.readouterr().err == ""
    with pytest.raises(ValueError, match="not JSON compliant"):
        output.emit({"a": float("nan")})


def test_a_line_for_a_terminal_is_folded_there(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    long = "train  one two three four"
    for name, say in (("stdout", output.echo), ("stderr", output.status)):
        for kind, lines in ((Terminal, 2), (io.StringIO, 1)):
            monkeypatch.setattr(sys, name, kind())
            say(long)
            assert len(getattr(sys, name).getvalue().splitlines()) == lines


# Settings


@pytest.mark.parametrize(("value", "text"), [
    (True, "true"), (3, "3"), (1e-7, "1e-07"), ((64, 32), "[64, 32]"), ([], "[]"), ("a b", '"a b"'),
    ('a"\\\n\x7fé~', '"a\\u0022\\u005c\\u000a\\u007fé~"'), ([True, "x"], '[true, "x"]'),
])  # fmt: skip
def test_a_value_in_toml(value, text):
    assert config.toml_value(value) == text
    assert config.toml_line("key", value) == f"key = {text}"


def test_a_row_of_settings():
    assert config.row("lr", 0.5, "--lr") == f"lr{'':16}0.5{'':20}--lr"
    assert config.row("a" * 20, None, "default") == f"{'a' * 20} -{'':22}default"


@pytest.mark.parametrize(("text", "lines"), [
    ("a = 1\r\nb = 2\r\n", {"a": 1, "b": 2}), ('\n[table]\nb.c = 3\n', {"table": 2, "b": 3}), ("", {}),
    ("a = 1\nd = {a = 2}\n", {"a": 1, "d": 2}), ("[e]\na = 1\n[f]\na = 2\n", {"e": 1, "a": 2, "f": 3}),
])  # fmt: skip
def test_lines_of_settings(text, lines):
    Path("s.toml").write_bytes(text.encode())
    assert config.read_toml(Path("s.toml"))[1] == lines


def test_a_setting_whose_line_is_not_found(xp):
    Path("s.toml").write_text('\n"a b" = 3\n')
    assert "s.toml, line 1: unknown setting 'a b'" in xp("train", "--config", "s.toml")[2]


@pytest.mark.parametrize(("more", "code"), [(0, 2), (1, 7)])
def test_as_much_standard_input_as_a_file_may_hold(xp, monkeypatch, more, code):
    text = b"zzz = 1\n" + b"#" * ((1 << 18) - 8 + more)
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(text)))
    found, _, err = xp("train", "spiral", "--config", "-")
    assert found == code, err


def test_settings_with_verbose_and_where_they_come_from(xp, monkeypatch):
    monkeypatch.setenv("XPNN_LR", "0.5")
    code, out, _ = xp("train", "moons", "--no-augment", "--show-config")
    lines = out.splitlines()
    assert code == 0
    assert lines[0] == f'dataset{"":11}"moons"{"":16}command line'
    for name, value, source in (
        ("augment", "false", "--no-augment"),
        ("lr", "0.5", "XPNN_LR"),
        ("threads", "-", "default"),
    ):
        assert name + " " * (18 - len(name)) + value + " " * (23 - len(value)) + source in lines
