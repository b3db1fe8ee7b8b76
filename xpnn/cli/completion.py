"""`xpnn completion`: a script by which a shell completes commands, flags and names."""

import click
from click.shell_completion import get_completion_class

from xpnn.cli.command import Command
from xpnn.cli.options import Name, json_option
from xpnn.cli.output import emit, write

SHELLS = ("bash", "zsh", "fish")


@click.command(cls=Command, examples=["xpnn completion bash > xpnn-completion.bash"])
@click.argument(
    "shell",
    type=Name(
        "shell",
        SHELLS,
        dict.fromkeys(("powershell", "pwsh"), f"there is none for PowerShell; one of: {', '.join(SHELLS)}"),
    ),
)
@json_option
def command(shell: str, as_json: bool) -> None:
    """Print a script that completes commands in your shell.

    \b
    bash  . <(xpnn completion bash)                                   in ~/.bashrc
    zsh   . <(xpnn completion zsh)           after compinit, in ~/.zshrc
    fish  xpnn completion fish > ~/.config/fish/completions/xpnn.fish
    """
    from xpnn.cli import cli

    maker = get_completion_class(shell)
    assert maker is not None  # click has all three
    script = maker(cli, {}, "xpnn", "_XPNN_COMPLETE").source()
    if as_json:
        emit({"shell": shell, "script": script})
    else:
        write(script.rstrip())
