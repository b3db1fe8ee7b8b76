"""A callback that keeps the weights of every epoch, for animations."""

from pathlib import Path
from typing import Any

from xpnn.errors import UsageError
from xpnn.network import Network
from xpnn.system import user_path
from xpnn.training.checkpoint import load_model, save_model
from xpnn.training.history import Row
from xpnn.training.run import Callback, Run


class Film(Callback):
    """Keeps theta and phi before the first epoch and after every one, or after every second, third, ... of a long run.

    frames: at most so many epochs are kept. folder: where each is also saved as a model file, epoch-0007.safetensors.
    After a resume the folder holds all of them, `film.frames` those since.
    `film.frames` is a list of (epoch, {"theta": ..., "phi": ...}), as `plots.animate_boundary` takes it.
    """

    everywhere = False

    def __init__(self, folder: str | Path | None = None, frames: int = 60) -> None:
        if isinstance(frames, bool) or not isinstance(frames, int) or frames < 1:
            raise UsageError(f"Film(frames={frames!r}): wanted a whole number of at least 1")
        self.folder, self.most, self.every = None if folder is None else user_path(folder), frames, 1
        self.frames: list[tuple[int, dict[str, Any]]] = []

    def start(self, run: Run, epochs: int, samples: int, batch_size: int) -> None:
        """Keep the initial weights, and forget those of an earlier run unless this run resumes it."""
        self.every = -(-(len(run.history) + epochs) // self.most)
        if not len(run.history) and not run.losses:
            self.frames = []
            self._keep(run, 0)

    def epoch(self, run: Run, row: Row) -> None:
        if row.epoch % self.every == 0:
            self._keep(run, row.epoch)

    def _keep(self, run: Run, epoch: int) -> None:
        self.frames.append((epoch, run.model.snapshot()))
        if self.folder is not None:
            save_model(run.model, self.folder / f"epoch-{epoch:04d}.safetensors")


def load_film(folder: str | Path) -> list[tuple[int, dict[str, Any]]]:
    """Return the frames that a `Film` saved, in order; an empty list if the folder does not exist.

    Raises CheckpointError for a damaged file.
    """
    files = sorted(user_path(folder).glob("epoch-*.safetensors"))
    return [(int(file.stem.partition("-")[2]), load_model(Network, file).snapshot()) for file in files]
