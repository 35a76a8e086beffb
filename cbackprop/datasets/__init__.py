"""Two small real data sets that ship with the package.

`load_digits` has 1797 handwritten digits to classify, `load_auto_mpg` the fuel consumption of 392
cars to predict. Both come from the UCI Machine Learning Repository and stand under CC BY 4.0; the
attribution is in ``README.md`` beside this file and in each data set's `source`.
"""

import gzip
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Dataset", "load_auto_mpg", "load_digits"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Inputs, targets, and what they mean.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_features), float64
        The inputs, one data point a row.
    y : ndarray of shape (n_samples,)
        The targets.
    feature_names : tuple of str
        One name a column of `X`.
    target_name : str
        What `y` is.
    description : str
        What the data are, in a sentence or two.
    source : str
        Whom to thank: the attribution that the licence asks for.
    """

    X: NDArray[np.float64] = field(repr=False)
    y: NDArray[Any] = field(repr=False)
    feature_names: tuple[str, ...] = field(repr=False)
    target_name: str
    description: str
    source: str = field(repr=False)


def load_digits() -> Dataset:
    """1797 handwritten digits, to be classified from their 8x8 pixels.

    A pixel counts the dark points of a 4x4 block of the scanned digit: 0 is white, 16 is black.
    Row and column of a pixel are in its name, ``pixel_<row>_<column>``; ``X[i].reshape(8, 8)`` is
    the picture. The rows are those of scikit-learn's ``load_digits``, in the same order.

    Returns
    -------
    Dataset
        `X` of shape (1797, 64), `y` of shape (1797,) with the integers 0 to 9.
    """
    feature_names, target_name, X, y = _read_csv("digits.csv.gz")
    return Dataset(
        X=X,
        y=y.astype(np.int64),
        feature_names=feature_names,
        target_name=target_name,
        description="1797 handwritten digits of 13 people, 8x8 pixels in 17 shades of grey",
        source=(
            "Alpaydin, E. & Kaynak, C. (1998). Optical Recognition of Handwritten Digits "
            "(its test set). UCI Machine Learning Repository, "
            "https://doi.org/10.24432/C50P49, CC BY 4.0."
        ),
    )


def load_auto_mpg() -> Dataset:
    """Fuel consumption of 392 cars of 1970 to 1982, to be predicted from seven features.

    ============  ======================================================
    cylinders     number of cylinders, 3 to 8
    displacement  cubic inches
    horsepower
    weight        pounds
    acceleration  seconds from 0 to 60 miles per hour
    model_year    modulo 100
    origin        1 United States of America, 2 Europe, 3 Japan
    mpg           the target: miles per gallon in the city
    ============  ======================================================

    Returns
    -------
    Dataset
        `X` of shape (392, 7), `y` of shape (392,).
    """
    feature_names, target_name, X, y = _read_csv("auto_mpg.csv.gz")
    return Dataset(
        X=X,
        y=y,
        feature_names=feature_names,
        target_name=target_name,
        description="City-cycle fuel consumption, in miles per gallon, of 392 cars of 1970 to 1982",
        source=(
            "Quinlan, R. (1993). Auto MPG (the cars whose horsepower is known). UCI Machine "
            "Learning Repository, https://doi.org/10.24432/C5859H, CC BY 4.0."
        ),
    )


def _read_csv(name):
    """Names of the features, name of the target, features and target of a file of this folder."""
    with gzip.open(Path(__file__).with_name(name), "rt", encoding="ascii") as file:
        *feature_names, target_name = file.readline().rstrip("\n").split(",")
        table = np.loadtxt(file, delimiter=",")
    # Copies, so that neither holds on to the memory of the other.
    X, y = table[:, :-1].copy(), table[:, -1].copy()
    return tuple(feature_names), target_name, X, y
