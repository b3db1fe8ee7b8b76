"""Loss, accuracy and learning rate against the epoch."""

from pathlib import Path
from typing import Any

from xpnn.diagnostics import RateSweep
from xpnn.plots.style import new_figure, plain
from xpnn.training import History


def loss_curve(history: History, path: str | Path | None = None, title: str = "") -> Any:
    """Loss against epoch: a solid line for training, a dashed one for validation."""
    with new_figure(path, (6.4, 4)) as figure:
        _loss(figure.add_subplot(title=plain(title), xlabel="epoch"), history)
    return figure


def training_curves(history: History, path: str | Path | None = None, title: str = "") -> Any:
    """Loss, validation accuracy (where there is one) and learning rate, one below the other.

    A dotted line stands at the best epoch, whose weights are kept.
    """
    scored = len(history) > 0 and history["valid_accuracy"][0] is not None
    panels = [_loss, _accuracy, _rate] if scored else [_loss, _rate]
    with new_figure(path, (6.4, 2.6 * len(panels))) as figure:
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, panel in zip(grid, panels, strict=True):
            panel(axes, history)
            if history.best is not None:
                label = f"best epoch, {history.best.epoch}" if axes is grid[0] else None
                axes.axvline(history.best.epoch, color="black", linestyle=":", label=label, zorder=0)
            axes.legend(frameon=False)
        grid[0].set_title(plain(title))
        grid[-1].set_xlabel("epoch")
    return figure


def lr_finder(sweep: RateSweep, path: str | Path | None = None, title: str = "") -> Any:
    """Loss against learning rate on a log axis: grey dots, their smoothed curve black, the suggestion a dashed line.

    The axis of the loss shows the fall and the turn; what rises far above the first loss leaves the frame.
    """
    with new_figure(path, (6.4, 4)) as figure:
        axes = figure.add_subplot()
        axes.plot(sweep.rates, sweep.losses, ".", color="0.65", label="loss after the step")
        axes.plot(sweep.rates, sweep.smoothed, "-", color="black", label="smoothed")
        if sweep.suggestion is not None:
            label = f"suggestion {sweep.suggestion:.2g}"
            axes.axvline(sweep.suggestion, color="tab:orange", linestyle="--", label=label)
        axes.set(xscale="log", xlabel="learning rate", ylabel="mean loss of a batch", title=plain(title))
        fall = sweep.smoothed[0] - min(sweep.smoothed) if sweep.smoothed else 0.0
        if fall > 0:
            axes.set_ylim(min(sweep.losses) - 0.1 * fall, sweep.smoothed[0] + 0.4 * fall)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, loc="lower left")
    return figure


def _loss(axes: Any, history: History) -> None:
    epochs = history["epoch"]
    axes.plot(epochs, history["train_loss"], "o-", color="black", markersize=4, label="training")
    if len(epochs) and history["valid_loss"][0] is not None:
        axes.plot(epochs, history["valid_loss"], "s--", color="tab:orange", markersize=4, label="validation")
    axes.set(ylabel="loss")
    _finish(axes)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)


def _accuracy(axes: Any, history: History) -> None:
    shares = [100 * share for share in history["valid_accuracy"]]
    axes.plot(history["epoch"], shares, "s--", color="tab:orange", markersize=4, label="validation")
    axes.set(ylabel="accuracy in %")
    _finish(axes)


def _rate(axes: Any, history: History) -> None:
    axes.plot(
        history["epoch"], history["lr"], "^-", color="black", markersize=4, label="at the end of the epoch"
    )
    axes.set(ylabel="learning rate")
    _finish(axes)
    axes.set_ylim(bottom=0)


def _finish(axes: Any) -> None:
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
