"""What the commands share: --quiet, -v and --debug."""

from dataclasses import dataclass

import click


@dataclass
class State:
    """What the commands share."""

    debug: bool = False
    quiet: bool = False
    verbose: bool = False


def state() -> State:
    """That of the command that runs; outside of one, a fresh one."""
    ctx = click.get_current_context(silent=True)
    return State() if ctx is None else ctx.find_root().ensure_object(State)
