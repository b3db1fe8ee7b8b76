"""Processes on any number of hosts that share the trials of one study: exactly as many as asked for are finished.

Each worker shows that it lives by a count that it raises in the study. Where the count of another stands still, that
worker is taken for dead, by this host's own clock, and the trial it had begun is failed and made up.
"""

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import optuna
from optuna.trial import TrialState

BEAT = 10.0
"""Seconds between two signs of life. After GRACE of them without one, a worker is dead."""
GRACE = 4
ALIVE, WORKER = "alive:", "worker"
COUNTING = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING)


class Worker:
    """One process that makes trials.

    total: how many the study is to have, of all workers together. beat: seconds between two signs of life, by default
    BEAT.
    """

    def __init__(self, study: optuna.Study, total: int, beat: float | None = None) -> None:
        self.study, self.total, self.beat = study, total, BEAT if beat is None else beat
        self.name, self.count, self.over = uuid.uuid4().hex, 0, threading.Event()
        self.seen: dict[str, tuple[Any, float]] = {}

    def work(
        self, make: Callable[[optuna.Trial], float], report: Callable[..., None], deadline: float
    ) -> None:
        """Make trials until the study has all, or the time is over."""
        with self.living():
            while time.time() < deadline:
                self.bury()
                trials = self.study.get_trials(deepcopy=False)
                if sum(t.state in (TrialState.COMPLETE, TrialState.PRUNED) for t in trials) >= self.total:
                    return
                if sum(t.state in COUNTING for t in trials) >= self.total:
                    self.over.wait(self.beat)  # for trials of others, one of which may have to be made up
                    continue
                trial = self.study.ask()
                report(self.study, self.tell(trial, self.made(make, trial)))

    def made(self, make: Callable[[optuna.Trial], float], trial: optuna.Trial) -> dict[str, Any]:
        """The outcome of a trial. It fails where those with lower numbers are enough: two workers began the last."""
        trial.set_user_attr(WORKER, self.name)
        trials = self.study.get_trials(deepcopy=False)
        if sum(t.number < trial.number and t.state in COUNTING for t in trials) >= self.total:
            return {"state": TrialState.FAIL}
        try:
            return {"values": make(trial)}
        except optuna.TrialPruned:
            return {"state": TrialState.PRUNED}
        except BaseException:
            self.tell(trial, {"state": TrialState.FAIL})
            raise

    def tell(self, trial: optuna.Trial, outcome: dict[str, Any]) -> Any:
        """Put it into the study, unless the others have taken this worker for dead."""
        return self.study.tell(trial, **outcome, skip_if_finished=True)

    @contextlib.contextmanager
    def living(self) -> Iterator[None]:
        """Signs of life while the block runs."""

        def show() -> None:
            while not self.over.wait(self.beat):
                self.show()

        self.show()
        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.over.set()
            thread.join()

    def show(self) -> None:
        """One sign of life."""
        self.count += 1
        self.study.set_user_attr(ALIVE + self.name, self.count)

    def bury(self) -> None:
        """Fail the trials of workers that have shown no life for long."""
        now, signs = time.monotonic(), self.study.user_attrs
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            name = str(trial.user_attrs.get(WORKER, ""))
            sign = signs.get(ALIVE + name)
            if self.seen.get(name, (None, now))[0] != sign or name not in self.seen:
                self.seen[name] = sign, now
            elif now - self.seen[name][1] > GRACE * self.beat and name != self.name:
                with contextlib.suppress(
                    ValueError, optuna.exceptions.UpdateFinishedTrialError
                ):  # it has ended since
                    self.study.tell(trial.number, state=TrialState.FAIL)
