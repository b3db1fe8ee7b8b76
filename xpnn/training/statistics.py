"""A callback that records the size of weights and gradients after each epoch."""

from pathlib import Path
from typing import Any

import numpy as np

from xpnn.durable import append_durably, write_durably
from xpnn.system import user_path
from xpnn.training.history import Row
from xpnn.training.json_lines import line_of, read_lines
from xpnn.training.run import Callback, Run


class Statistics(Callback):
    """After each epoch, of every trainable parameter: mean, std, |largest| and norm of its weights and its gradient.

    The gradient is that of the epoch's last batch at the new weights, with the masks of the step to come; it is
    computed for this alone, a pass per epoch. LBFGS has no batches, and no gradient here. `rows`: for each epoch
    {"epoch": 1, "parameters": {"0.W": {"weight": {"mean": ...}, "gradient": {...}}}}. path: where each is also a line
    of JSON; what a resumed run finds there is kept up to its epoch.
    """

    everywhere = False

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = None if path is None else user_path(path)
        self.rows: list[dict[str, Any]] = []

    def start(self, run: Run, epochs: int, samples: int, batch_size: int) -> None:
        """Compile the gradient; a resumed run keeps its rows."""
        self.gradient = run.model.backend.compile(run.trainer.objective.gradient(fuse=True))
        done = len(run.history)
        if done and not self.rows and self.path is not None and self.path.exists():
            self.rows = read_lines(self.path, {"epoch": int, "parameters": {}})[0]
        self.rows = [row for row in self.rows if row["epoch"] <= done]
        if self.path is not None:
            write_durably(self.path, "".join(map(line_of, self.rows)).encode())

    def epoch(self, run: Run, row: Row) -> None:
        model, be = run.model, run.model.backend
        vectors = {"weight": be.to_numpy(model.theta)}
        with be.device_context():
            if batch := run.batch():
                _, grad, _ = self.gradient(model.theta, model.phi, run.state["t"], *batch)
                vectors["gradient"] = be.to_numpy(grad)
        parameters = {
            place.path: {name: measure(vector[place.start : place.stop]) for name, vector in vectors.items()}
            for place in model.layout.params
        }
        self.rows.append({"epoch": row.epoch, "parameters": parameters})
        if self.path is not None:
            append_durably(self.path, line_of(self.rows[-1]).encode())


def measure(a: np.ndarray[Any, Any]) -> dict[str, float]:
    """Return mean, std, largest magnitude and norm, computed in float64."""
    a = a.astype(np.float64)
    largest = np.max(np.abs(a), initial=0.0)
    numbers = {"mean": np.mean(a), "std": np.std(a), "largest": largest, "norm": np.linalg.norm(a)}
    return {name: float(number) for name, number in numbers.items()}
