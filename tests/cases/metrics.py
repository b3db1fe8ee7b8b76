"""The metrics: each with its defaults and with every other way to average."""

from xpnn import metrics

ROWS = [
    metrics.Accuracy(),
    metrics.TopK(1),
    metrics.TopK(2),
    metrics.TopK(9),
    metrics.ConfusionMatrix(),
    *(
        kind(average)
        for kind in (metrics.Precision, metrics.Recall, metrics.F1)
        for average in ("macro", "micro", "weighted", None)
    ),
    metrics.CohenKappa(),
    metrics.MatthewsCorrelation(),
    metrics.ROCAUC(),
    metrics.ROCAUC(None),
    metrics.AveragePrecision(),
    metrics.AveragePrecision(None),
    metrics.LogLoss(),
    metrics.Perplexity(),
    metrics.CalibrationError(),
    metrics.CalibrationError(4),
    metrics.MAE(),
    metrics.MSE(),
    metrics.R2(),
]
