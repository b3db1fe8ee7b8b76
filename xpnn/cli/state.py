"""What the commands share: --quiet, -v and --debug."""

from dataclasses import dataclass

import click


@dataclass
class State:
    """The shared flags."""

    debug: bool = False
    quiet: bool = False
    verbose: bool = False


def state() -> State:
    """Return the state of the running command; outside a command, the defaults."""
    ctx = click.get_current_context(silent=True)
    return State() if ctx is None else ctx.find_root().ensure_object(State)
