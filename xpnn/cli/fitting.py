"""The training of `xpnn train`: the trainer and its callbacks."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpnn.cli.log import METRICS, Log
from xpnn.cli.output import percent
from xpnn.cli.resume import obey
from xpnn.cli.runs import FILM, Run
from xpnn.data import Dataset
from xpnn.errors import TargetMissedError, UsageError
from xpnn.recipes import Recipe
from xpnn.temporary_files import in_use, release
from xpnn.training.callbacks import Callback, KeepBest
from xpnn.training.film import Film
from xpnn.web.recorder import Recorder

if TYPE_CHECKING:
    from xpnn.distributed import Communicator
    from xpnn.losses import Loss
    from xpnn.model import Model
    from xpnn.training.run import Run as FitRun
    from xpnn.training.trainer import Trainer


def train(
    net: "Model",
    data: Dataset,
    recipe: Recipe,
    loss: "Loss",
    optimizer: Any,
    run: Run,
    more: list[Callback],
    resume: Path | None = None,
    group: "Communicator | None" = None,
) -> "Trainer":
    """Train; afterwards the model holds the weights of the best epoch, which are saved too.

    Raises Stopped where a signal came; what was done so far is saved.
    """
    from xpnn.training.stopping import StopOnSignal
    from xpnn.training.trainer import Trainer

    signals = StopOnSignal()
    watchers = [signals, *([Release()] if in_use() else []), KeepBest(run.weights), Log(run.folder / METRICS)]
    if data.input_shape == (2,):
        watchers.append(Film(run.folder / FILM))  # small, and what `xpnn plot` makes a moving picture of
    watchers.append(Recorder(run.folder))
    trainer = Trainer(net, loss, optimizer, schedule=recipe.schedule, communicator=group)
    trainer.fit(
        data.x,
        data.y,
        epochs=recipe.epochs,
        batch_size=recipe.batch_size,
        validation=data.validation or recipe.validation,
        callbacks=[*watchers, *more],
        resume=resume,
    )
    obey(signals, trainer.communicator)
    if (
        trainer.communicator.rank == 0 and not run.weights.exists()
    ):  # the time limit came before the first epoch's end
        net.save(run.weights)
    return trainer


class Release(Callback):
    """A callback that releases the memory of data that was read from the disk."""

    def step(self, run: "FitRun") -> None:
        """Release it after each batch, since a row that is read brings in the pages around it."""
        release()


def count_samples(data: Dataset, recipe: Recipe) -> dict[str, int]:
    """Return the numbers of samples for training, validation and test."""
    if data.validation is not None:
        return {"train": len(data.y), "valid": len(data.validation[1]), "test": len(data.y_test)}
    held = recipe.validation if isinstance(recipe.validation, int) else round(recipe.validation * len(data.y))
    return {"train": len(data.y) - held, "valid": held, "test": len(data.y_test)}


def check_wanted(data: Dataset, wanted: float | None) -> None:
    """Raise UsageError if an accuracy is required of a regression."""
    if wanted is not None and not data.classes:
        raise UsageError(
            f"--require-accuracy {wanted} with a regression", why="it has no accuracy", fix="leave it out"
        )


def check_target(result: dict[str, Any], wanted: float | None) -> None:
    """Raise TargetMissedError below the accuracy that was required."""
    accuracy = result.get("test_accuracy")
    if wanted is not None and accuracy is not None and accuracy < wanted:
        raise TargetMissedError(
            f"test accuracy {percent(accuracy, 2)} is below the required {percent(wanted, 2)}",
            fix="more --epochs, a wider --hidden, or another --seed; the model is saved all the same",
        )
