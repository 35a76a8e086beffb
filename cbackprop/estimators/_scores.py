"""What the estimators score themselves by."""

import numpy as np


def share_of_hits(decided, right, sample_weight):
    """The (weighted) share of rows that are as they should be."""
    hits = decided == right
    hits = hits.all(axis=1) if hits.ndim == 2 else hits
    return float(np.average(hits, weights=sample_weight))


def r2(outputs, y, sample_weight):
    """Coefficient of determination, the mean over the outputs; NaN where one is not finite."""
    predictions = outputs.astype(np.float64, copy=False)
    y = y.astype(np.float64, copy=False).reshape(len(y), -1)
    if not np.isfinite(predictions).all():
        return float("nan")
    weights = 1.0 if sample_weight is None else sample_weight[:, None]
    mean = np.average(y, axis=0, weights=sample_weight)
    # in scikit-learn's order of operations, for the same bits
    residual = (weights * (y - predictions) ** 2).sum(axis=0)
    total = (weights * (y - mean) ** 2).sum(axis=0)
    # An output that never varies: 1 if it is met exactly, 0 if not.
    constant = total == 0
    scores = np.where(constant, residual == 0, 1 - residual / np.where(constant, 1, total))
    return float(scores.mean())
