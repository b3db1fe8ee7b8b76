"""Callbacks that end a run by the clock or by a signal, after the current batch, with everything saved."""

import signal
import threading
import time
from typing import Any

from xpnn.errors import UsageError
from xpnn.system import STOPPING
from xpnn.training.history import Row
from xpnn.training.run import Callback, Run

AT_ONCE = (signal.SIGINT, signal.SIGTERM)
"""Signals that stop at once when a second one comes. The system itself repeats others: SIGXCPU every second."""


class TimeLimit(Callback):
    """Stop the run after the batch in which `minutes` have passed since the start of this fit.

    A resumed run has the same number of minutes again. Raises UsageError unless minutes > 0.
    """

    def __init__(self, minutes: float) -> None:
        if not minutes > 0:
            raise UsageError(f"TimeLimit({minutes!r}): wanted a number of minutes above 0")
        self.minutes = minutes

    def start(self, run: Run, epochs: int, samples: int, batch_size: int) -> None:
        self.began = time.monotonic()

    def step(self, run: Run) -> None:
        if time.monotonic() - self.began >= 60 * self.minutes:
            run.stopped = f"the time limit of {self.minutes:g} minutes"

    def epoch(self, run: Run, row: Row) -> None:
        """Stop the run if the time is over; with LBFGS an epoch has no steps."""
        self.step(run)


class StopOnSignal(Callback):
    """Ctrl-C or SIGTERM stops the run after the current batch, as if it were finished; a second one stops at once.

    So do SIGHUP (the terminal was closed), SIGXCPU (processor time is up), SIGUSR1 (Slurm's warning before the time is
    up) and on Windows Ctrl-Break; a signal that is ignored, as SIGHUP under nohup, stays ignored.
    `signum` is the signal that came, None without one. At once means what the signal meant before the fit, for Ctrl-C
    a KeyboardInterrupt. Outside the main thread, where Python allows no signal handlers, it does nothing. Beside a
    `Checkpoint`, the run can be resumed.
    """

    def __init__(self) -> None:
        self.signum: int | None = None

    def start(self, run: Run, epochs: int, samples: int, batch_size: int) -> None:
        self.signum, self.before = None, dict[int, Any]()
        if threading.current_thread() is threading.main_thread():
            for signum in STOPPING:
                if signal.getsignal(signum) is not signal.SIG_IGN:
                    self.before[signum] = signal.signal(signum, self._hear)

    def _hear(self, signum: int, frame: Any) -> None:
        if self.signum is None:
            self.signum = signum
            return
        if signum not in AT_ONCE:
            return
        self._let_go()
        signal.raise_signal(signum)

    def step(self, run: Run) -> None:
        """Stop the run after the current batch if a signal came."""
        if self.signum is not None:
            run.stopped = signal.Signals(self.signum).name

    def epoch(self, run: Run, row: Row) -> None:
        """Stop the run if a signal came during validation."""
        self.step(run)

    def end(self, run: Run) -> None:
        self._let_go()

    def _let_go(self) -> None:
        for signum, meaning in self.before.items():
            signal.signal(signum, signal.SIG_DFL if meaning is None else meaning)
