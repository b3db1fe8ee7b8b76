"""Every option and argument of every command: its type, bounds, default, and how click is to treat it.

TABLE is what README and guide say of them; an option that changes is changed here, too.
"""

import click
import pytest

from xpnn import __version__
from xpnn.cli import COMMANDS, cli
from xpnn.cli.command import LONG, Command, plain, shared_options
from xpnn.cli.config import Configured
from xpnn.cli.options import Name, resize_option, table_options
from xpnn.cli.ranks import distributed_options
from xpnn.cli.resume import ending_options
from xpnn.cli.transfer import transfer_options


def bounds(kind):
    """`[0, 1)`, with nothing where there is no end."""
    low, high = ("" if end is None else f"{end:g}" for end in (kind.min, kind.max))
    return f" {'(' if kind.min_open else '['}{low}, {high}{')' if kind.max_open else ']'}"


def described(param):
    """`--dropout FloatRange [0, 1)`: names, type, default, and what else is set."""
    kind, default = param.type, param.default
    text = f"{'/'.join([*param.opts, *param.secondary_opts])} {type(kind).__name__}"
    if isinstance(kind, click.IntRange | click.FloatRange):
        text += bounds(kind)
    if isinstance(kind, click.Choice):
        text += f" {getattr(kind, 'what', 'choice')} such as {kind.choices[0]}"
        hints = getattr(kind, "hints", {})
        text += f", hints for {' '.join(hints)}" if hints else ""
    if isinstance(default, str | int | float | tuple):
        text += f" = {default!r}"
    if param.nargs != 1:
        text += f" x{param.nargs}"
    said = {
        "required": param.required, "repeated": getattr(param, "multiple", False),
        "flag": getattr(param, "is_flag", False), "shown": getattr(param, "show_default", False),
        "early": param.is_eager, "kept back": not param.expose_value,
    }  # fmt: skip
    return " ".join([text, *(word for word, holds in said.items() if holds)])


def listed(params):
    return "\n".join(map(described, params))


TABLE = {
    "train": """
dataset DatasetName dataset such as mnist = 'mnist'
path StringParamType early kept back
--model Name model such as mlp = 'mlp'
--hidden Widths
--activation Name activation such as relu
--dropout FloatRange [0, 1)
--input-dropout FloatRange [0, 1)
--label-smoothing FloatRange [0, 1]
--augment/--no-augment BoolParamType = False flag
--epochs IntRange [1, ]
--batch-size IntRange [1, ]
--optimizer Name optimizer such as adadelta
--lr FloatRange (0, ]
--schedule Name schedule such as constant
--weight-decay FloatRange [0, ]
--backend BackendName backend such as auto, hints for cuda gpu = 'auto' shown
--device StringParamType
--dtype Name dtype such as float32 = 'float32' shown
--precision Name precision such as fp32 = 'fp32' shown
--seed IntRange [0, ] = 42 shown
--threads ThreadCount
--data FilePath
--label StringParamType
--task Name task such as classification
--class-weight Name class weight such as balanced
--resize Size
--out FilePath
--from FilePath
--freeze StringParamType repeated
--replace-head BoolParamType = False flag
--require-accuracy FloatRange [0, 1]
--early-stopping IntRange [1, ]
--checkpoint-every IntRange [1, ]
--time-limit FloatRange (0, ]
--resume FilePath early
--force-lock BoolParamType flag
--distributed Name engine such as auto = 'auto' shown
--batch-norm Name batch norm such as global = 'global' shown
--gradient-compression Name compression such as bf16
--watch BoolParamType flag
--json BoolParamType flag
--config FilePath early kept back
--show-config BoolParamType flag
""",
    "evaluate": """
run FilePath
--data FilePath
--backend BackendName backend such as auto, hints for cuda gpu = 'auto' shown
""",
    "predict": """
files FilePath x-1 required
--run FilePath
--out FilePath
--columns StringParamType = ''
--show BoolParamType flag
""",
    "export": """
run Path
--to Name kind of file such as onnx required
--out Path
--logits BoolParamType flag
--channels Choice choice such as last = 'last' shown
--no-preprocessing BoolParamType flag
--opset IntParamType
--weights-beside BoolParamType flag
""",
    "import": """
file Path required
--out Path
--classes FilePath
--mean Numbers
--std Numbers
--unbatched BoolParamType flag
""",
    "plot": """
run FilePath
--what Choices
--out FilePath
--format Name format such as png = 'png' shown
--data FilePath
""",
    "runs": """
runs FilePath x-1
--sort Name order such as newest = 'newest' shown
""",
    "serve": """
run FilePath
--host StringParamType = '127.0.0.1' shown
--port IntRange [0, 65535] = 8000 shown
--allow-host StringParamType repeated
--backend BackendName backend such as auto, hints for cuda gpu = 'auto' shown
--device StringParamType
""",
    "playground": """
--out FilePath = 'playground.html' shown
""",
    "tune": """
dataset DatasetName dataset such as mnist = 'mnist'
--model Name model such as mlp = 'mlp'
--trials IntRange [1, ] = 20 shown
--time-limit FloatRange (0, ]
--jobs IntRange [1, ] = 1 shown
--storage StringParamType = ''
--worker BoolParamType flag
--epochs IntRange [1, ]
--seed IntRange [0, ] = 42 shown
--data FilePath
--label StringParamType
--task Choice choice such as classification
--resize Size
--out FilePath
--backend BackendName backend such as auto, hints for cuda gpu = 'auto' shown
--device StringParamType
""",
    "init": """
dataset Name dataset such as mnist = 'mnist'
--model Name model such as mlp = 'mlp'
""",
    "backends": """
--kernels StringParamType
""",
    "gradcheck": """
model Name model such as mlp required
--hidden Widths = (256, 128)
--activation Name activation such as relu = 'relu' shown
""",
    "completion": """
shell Name shell such as bash, hints for powershell pwsh required
""",
}
"""Without --json, --quiet, -v and --debug, which every command has at its end."""
SHARED = """
--json BoolParamType flag
-q/--quiet BoolParamType flag early kept back
-v/--verbose BoolParamType flag early kept back
--debug BoolParamType flag early kept back
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command(name):
    found = listed(cli.get_command(click.Context(cli), name).params)
    assert name in TABLE
    if name == "train":  # --json stands before the two that say where settings come from
        assert f"\n{found}\n" == TABLE[name] + SHARED.partition("flag")[2].removeprefix("\n")
    else:
        assert f"\n{found}\n" == TABLE[name] + SHARED.removeprefix("\n")


def test_options_of_the_program_without_a_command():
    assert listed(cli.params) == "\n".join(
        ["--version BoolParamType flag early kept back", *SHARED.split("\n")[2:5]]
    )
    assert cli.invoke_without_command is True
    assert cli.context_settings == {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@pytest.mark.parametrize(("add", "first", "last"), [
    (table_options, "--label", "--class-weight"), (distributed_options, "--distributed", "--gradient-compression"),
    (ending_options, "--early-stopping", "--force-lock"), (transfer_options, "--from", "--replace-head"),
    (resize_option, "--resize", "--resize"),
])  # fmt: skip
def test_shared_options_keep_their_order(add, first, last):
    """Each adds its options to a command, in the order in which its help shows them."""
    made = add(lambda: None).__click_params__[::-1]
    lines = TABLE["train"].splitlines()
    start, stop = (
        next(i for i, line in enumerate(lines) if line.startswith(f"{one} ")) for one in (first, last)
    )
    assert listed(made).splitlines() == lines[start : stop + 1]
    assert all(option.help for option in made)


def named(*names):
    return click.Option(["--way"], type=Name("way", names), help="Which.")


def test_long_lists_of_choices_are_in_the_help_text():
    """In the help of the option or the command; short ones beside the flag."""
    for more, short in ((0, True), (1, False)):
        names = ("a" * 24, "b" * (LONG - 25 + more))
        assert (len("|".join(names)) <= LONG) is short
        argument = click.Argument(["place"], type=Name("place", names))
        made = Command("c", params=[named(*names), argument], help="Do it.\n\n    So.")
        assert made.help == "Do it.\n\nSo." + ("" if short else f"\n\nPLACE is one of {', '.join(names)}.")
        assert made.params[0].help == ("Which." if short else f"Which. One of {', '.join(names)}.")
        beside = [param.type.get_metavar(param, click.Context(made)) for param in made.params[:2]]
        assert beside == (
            ["[" + "|".join(names) + "]", "{" + "|".join(names) + "}"] if short else ["WAY", "[PLACE]"]
        )
        assert listed(made.params[2:]) == listed(shared_options())
    assert Command("c").help == ""
    assert Command("c").examples == ()


def test_options_have_environment_variables_and_a_configuration_file():
    """Each setting gets a variable, but for --data and those that have one; --config and --show-config come last."""
    given = [click.Option(["--batch-size"]), click.Option(["--data"]), click.Option(["--lr"], envvar="RATE")]
    made = Configured("c", params=given)
    assert [(param.name, param.envvar) for param in made.params] == [
        ("batch_size", "XPNN_BATCH_SIZE"), ("data", None), ("lr", "RATE"), ("config", "XPNN_CONFIG"),
        ("show_config", None), ("quiet", None), ("verbose", None), ("debug", "XPNN_DEBUG"),
    ]  # fmt: skip
    assert listed(made.params[3:5]) == "\n".join(TABLE["train"].splitlines()[-2:])


def test_versions_and_the_seconds_are_printed_with_verbose(capsys):
    @click.command(cls=Command)
    @click.argument("text")
    def command(text):
        click.echo(text)
        return 3

    assert command.main(["hello", "-v"], standalone_mode=False, prog_name="greet") == 3
    out, err = capsys.readouterr()
    first, last = err.splitlines()
    assert out == "hello\n"
    assert first.startswith(f"xpnn {__version__} · Python 3.")
    assert last.startswith("greet took 0.")
    assert last.endswith(" s")
    command.main(["hello"], standalone_mode=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("message", "text"), [
    ("'a' is not a valid integer", "'a' is no whole number"),
    ("'a' is not a valid integer range", "'a' is no whole number"),
    ("'a' is not a valid float range", "'a' is no number"), ("'a' is not a valid float", "'a' is no number"),
    ("is not a valid integer. So", "is not a valid integer. So"),
    ("Choose from:\n\ta,\n\tb", "Choose from: a, b"), ("One\n  two\n  three", "One: two\n  three"),
])  # fmt: skip
def test_messages_of_click_on_one_line(message, text):
    assert plain(message) == text
