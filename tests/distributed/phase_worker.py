"""The command `xpnn`, of which one rank meets something: phase_worker.py PHASE RANK WHAT ARGUMENTS ...

WHAT: the number of a signal, which it sends itself, or "disk full".
"""

import errno
import os
import pkgutil
import sys

PHASES = {
    "start": "xpnn.cli.train.join",
    "loading": "xpnn.cli.train.load",
    "first step": "xpnn.training.trainer.Trainer.indexed_step",
    "validation": "xpnn.training.ranks.evaluate",
    "saving": "xpnn.training.trainer.save_state",
    "test": "xpnn.cli.train.score",
}


def meet(what):
    if what == "disk full":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "last.safetensors")
    os.kill(os.getpid(), int(what))


def patch(phase, what):
    """Let it meet that as it enters the phase for the first time."""
    owner, _, name = PHASES[phase].rpartition(".")
    owner = pkgutil.resolve_name(owner)
    original = getattr(owner, name)

    def patched(*args, **kwargs):
        setattr(owner, name, original)
        meet(what)
        return original(*args, **kwargs)

    setattr(owner, name, patched)


if __name__ == "__main__":
    phase, rank, what, *args = sys.argv[1:]
    if os.environ["PMI_RANK"] == rank:
        patch(phase, what)
    from xpnn.cli import main

    main(args)
