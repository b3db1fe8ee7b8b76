"""The settings common to all trials of `xpnn tune`, and those of a single trial."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xpnn.cli.output import percent

STUDY, BEST = "study.db", "best.toml"


@dataclass(frozen=True)
class Task:
    """The settings common to all trials of a study, and the folder it is kept in."""

    dataset: str
    model: str
    epochs: int
    seed: int
    data: str | None
    label: str | None
    backend: str
    device: str
    folder: str
    resize: tuple[int, int] | None = None
    storage: str = ""
    total: int = 0
    """With a storage that several hosts share: how many trials it is to have."""
    task: str | None = None

    @property
    def regression(self) -> bool:
        """Whether trials are judged by the error of numbers, the smaller the better, and not by accuracy."""
        return self.task == "regression"

    @property
    def measure(self) -> str:
        """What each trial's value is called in events."""
        return "valid_rmse" if self.regression else "valid_accuracy"

    def spelled(self, value: float) -> str:
        """A trial's value for people; of a regression in the units of its label."""
        return f"{value:.4g}" if self.regression else percent(value, 2)

    @property
    def place(self) -> str:
        """Where the trials are kept, in words."""
        from xpnn.cli.storage import named

        return named(self.storage) if self.storage else str(Path(self.folder) / STUDY)

    @property
    def fixed(self) -> dict[str, Any]:
        """Return the settings that must be equal in all trials, as their scores are compared."""
        names = ("dataset", "model", "epochs", "seed", "data", "label")
        fixed = {name: getattr(self, name) for name in names}
        more = {"resize": self.resize and list(self.resize), "task": self.task}
        return fixed | {name: value for name, value in more.items() if value is not None}


def settings_of(params: dict[str, Any]) -> dict[str, Any]:
    """Return a trial's parameters as settings of `xpnn train`: width and depth become the hidden layers."""
    rest = {name: value for name, value in params.items() if name not in ("width", "depth")}
    if "weight_decay" in rest:  # a study of an earlier version has none of the two
        rest["weight_decay"] = float(f"{rest['weight_decay']:.3g}")
    if "label_smoothing" in rest:  # nor has one of numbers
        rest["label_smoothing"] = round(rest["label_smoothing"], 2)
    rest |= {"lr": float(f"{params['lr']:.3g}"), "dropout": round(params["dropout"], 2)}
    return {"hidden": [params["width"]] * params["depth"], **rest}
