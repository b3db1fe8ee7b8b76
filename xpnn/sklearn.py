"""scikit-learn estimators: networks that clone, search, pipe, calibrate and pickle as scikit-learn's own do.

    from xpnn.sklearn import Classifier

    Classifier(hidden=(128, 64), random_state=0).fit(X, y).score(X_test, y_test)

Needs the extra `sklearn`. `estimator.model_` is the trained `xpnn.Model`.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xpnn.errors import BackendError, UsageError
from xpnn.interchange.sklearn_base import Host, NetworkEstimator, weighted_scale

try:
    from sklearn.base import ClassifierMixin, RegressorMixin
    from sklearn.utils.class_weight import compute_sample_weight
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import column_or_1d, validate_data
except ImportError as error:
    raise BackendError(
        "the package scikit-learn is not installed", fix="pip install 'xpnn[sklearn]'"
    ) from error

__all__ = ["Classifier", "Regressor"]


@dataclass(eq=False, repr=False)
class Classifier(ClassifierMixin, NetworkEstimator):  # type: ignore[misc]
    """A network for classification: softmax cross-entropy over as many outputs as there are classes.

    The settings are those of `NetworkEstimator`, and class_weight: None, "balanced" (n / (classes n_c)), or
    {label: weight}. Labels may be numbers, words, or a categorical column of pandas; `classes_` holds them in order.
    Predictions are arrays, as all of scikit-learn's classifiers give them. Source of the interface:
    Buitinck et al., "API design for machine learning software", ECML PKDD 2013.
    """

    class_weight: Any = field(default=None, kw_only=True)
    classes_: Host = field(init=False)

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, eval_set: Any = None) -> "Classifier":
        """Train on X (samples, features) and labels y (samples,).

        eval_set: (X, y) to watch instead of a held-out share, with early_stopping=True. Raises ValueError as
        scikit-learn's estimators do, and for fewer than two classes.
        """
        again = self.warm_start and hasattr(self, "model_")
        X, y = self._checked(X, y, reset=not again)
        labels = np.unique(y)
        if again and not np.isin(labels, self.classes_).all():
            raise UsageError(
                f"warm_start=True with the labels {labels.tolist()}",
                why=f"the network was made for {self.classes_.tolist()}",
                fix="warm_start=False, or the same labels",
            )
        if not again:
            self.classes_ = labels
        return self._train(X, y, sample_weight, eval_set, again)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> "Classifier":
        """One epoch on these samples. classes: all labels there will be, needed in the first call.

        The scale of the features is that of the first call's samples.
        """
        again = hasattr(self, "model_")
        X, y = self._checked(X, y, reset=not again)
        if not again:
            if classes is None:
                raise ValueError("partial_fit needs classes in its first call: all labels there will be")
            self.classes_ = np.unique(classes)
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"classes={np.unique(classes)} differ from those of the first call, {self.classes_}"
            )
        unknown = np.setdiff1d(y, self.classes_)
        if unknown.size:
            raise ValueError(f"y holds the label {unknown.tolist()[0]!r}, which is not in classes")
        return self._train(X, y, sample_weight, None, again, epochs=1)

    def predict_proba(self, X: Any) -> Host:
        """Probabilities (samples, classes), in the order of `classes_`."""
        return np.asarray(self.model_of().predict_proba(self._given(X)))

    def predict(self, X: Any) -> Host:
        """The likeliest label of each sample."""
        ids = self.model_of().predict(self._given(X))
        return np.asarray(self.classes_[ids])

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Host, Host]:
        X, y = validate_data(self, X, y, dtype=(np.float64, np.float32), reset=reset)
        check_classification_targets(y)
        return X, column_or_1d(y, warn=True)

    def _train(
        self, X: Host, y: Host, weight: Any, eval_set: Any, again: bool, epochs: int | None = None
    ) -> "Classifier":
        X, ids, weight = self._weighed(X, np.searchsorted(self.classes_, y), weight)
        present = np.unique(ids)
        if len(self.classes_) < 2 or (len(present) < 2 and epochs is None):
            raise ValueError(
                "Classifier needs samples of at least 2 classes, with a weight above 0; got 1 class"
            )
        if self.class_weight is not None:
            each = compute_sample_weight(self.class_weight, self.classes_[ids])
            weight = each if weight is None else weight * each
        watched = None
        if eval_set is not None:
            X_valid, y_valid = self._checked(eval_set[0], eval_set[1], reset=False)
            watched = X_valid, np.searchsorted(self.classes_, y_valid)
        outputs = len(self.classes_)
        return self._run(X, ids, weight, watched, outputs, "softmax_cross_entropy", [], again, epochs)


class Regressor(RegressorMixin, NetworkEstimator):  # type: ignore[misc]
    """A network that predicts numbers: mean squared error, one output for each target.

    The settings are those of `NetworkEstimator`. With standardize=True a last layer brings the outputs to the mean and
    the spread of y, so that targets of any size train in the same way.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, eval_set: Any = None) -> "Regressor":
        """Train on X (samples, features) and y (samples,) or (samples, targets). eval_set: as for Classifier."""
        again = self.warm_start and hasattr(self, "model_")
        return self._train(X, y, sample_weight, eval_set, again)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "Regressor":
        """One epoch on these samples. The scales are those of the first call's samples."""
        return self._train(X, y, sample_weight, None, hasattr(self, "model_"), epochs=1)

    def predict(self, X: Any) -> Host:
        """Numbers (samples,), or (samples, targets) where y had that shape."""
        y = np.asarray(self.model_of().forward(self._given(X)))
        return y[:, 0] if self.flat_ else y

    def _checked(self, X: Any, y: Any, reset: bool) -> tuple[Host, Host]:
        return validate_data(  # type: ignore[no-any-return]
            self, X, y, dtype=(np.float64, np.float32), multi_output=True, y_numeric=True, reset=reset
        )

    def _train(
        self, X: Any, y: Any, weight: Any, eval_set: Any, again: bool, epochs: int | None = None
    ) -> "Regressor":
        X, y = self._checked(X, y, reset=not again)
        flat, y = y.ndim == 1, np.asarray(y, np.float64)
        X, y, weight = self._weighed(X, y[:, None] if flat else y, weight)
        if not again:
            self.flat_ = flat
        last = []
        if self.standardize and not again:
            from xpnn.layers import Standardize

            mean, std = weighted_scale(y, weight)
            last = [Standardize(tuple((-mean / std).tolist()), tuple((1 / std).tolist()))]
        watched = None
        if eval_set is not None:
            X_valid, y_valid = self._checked(eval_set[0], eval_set[1], reset=False)
            watched = X_valid, np.asarray(y_valid, np.float64).reshape(len(X_valid), -1)
        return self._run(X, y, weight, watched, y.shape[1], "mean_squared_error", last, again, epochs)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
