"""Metrics: functions of scores and targets that are summed over batches."""

from xpnn.metrics.agreement import CohenKappa, MatthewsCorrelation
from xpnn.metrics.decisions import F1, Accuracy, ConfusionMatrix, Precision, Recall, TopK
from xpnn.metrics.metric import Metric
from xpnn.metrics.probability import CalibrationError, LogLoss, Perplexity
from xpnn.metrics.ranking import ROCAUC, AveragePrecision
from xpnn.metrics.regression import MAE, MSE, R2

__all__ = [
    "F1",
    "MAE",
    "MSE",
    "R2",
    "ROCAUC",
    "Accuracy",
    "AveragePrecision",
    "CalibrationError",
    "CohenKappa",
    "ConfusionMatrix",
    "LogLoss",
    "MatthewsCorrelation",
    "Metric",
    "Perplexity",
    "Precision",
    "Recall",
    "TopK",
]
