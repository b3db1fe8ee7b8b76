"""Pictures, by matplotlib (the extra `plot`), which is imported when the first plot is made.

Every function returns the matplotlib figure, which a notebook shows; with a `path` it writes one file, and makes its
folder. The ending of `path` chooses the format: .png, .svg (whose words stay text); .gif for animations. Classes and
curves differ in lightness, marker, hatching or line style, never in hue alone, so that the pictures survive a grey
printer. Raises BackendError where matplotlib is missing, UsageError for another kind of file, and FileError where
`path` cannot be written.
"""

from typing import TYPE_CHECKING, Any

from xpnn.name_hints import PLOTS, no_attribute
from xpnn.plots.boundary import animate_boundary, decision_boundary
from xpnn.plots.confusion import confusion_matrix
from xpnn.plots.curves import loss_curve, lr_finder, training_curves
from xpnn.plots.descent import animate_descent
from xpnn.plots.histograms import activation_histograms, gradient_histograms
from xpnn.plots.images import digit_grid, worst_mistakes
from xpnn.plots.weights import first_weights

__all__ = [
    "activation_histograms",
    "animate_boundary",
    "animate_descent",
    "confusion_matrix",
    "decision_boundary",
    "digit_grid",
    "first_weights",
    "gradient_histograms",
    "loss_curve",
    "lr_finder",
    "training_curves",
    "worst_mistakes",
]

for _module in ("boundary", "confusion", "curves", "descent", "histograms", "images", "style", "weights"):
    globals().pop(
        _module, None
    )  # plots.curves is what `xpnn plot` calls a picture; as a module it would confuse


if not TYPE_CHECKING:  # which would take every name for one that exists

    def __getattr__(name: str) -> Any:
        raise no_attribute("xpnn.plots", name, PLOTS)


def __dir__() -> list[str]:
    return list(__all__)
