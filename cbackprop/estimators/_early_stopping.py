"""Early stopping: rows held back, their scores, and the best parameters seen on them."""

import math

import numpy as np

from cbackprop.estimators._base import contract


def split_rows(n_samples, fraction, random_state, strata=None):
    """Row numbers to train with and to validate with, those of scikit-learn's `train_test_split`.

    `strata` are class numbers, whose shares are then the same in both parts.
    """
    n_validation = math.ceil(fraction * n_samples)
    n_train = n_samples - n_validation
    if n_validation == 0:
        raise contract.InvalidParameterError(
            f"early_stopping needs a 'validation_fraction' above 0. Got {fraction!r} instead."
        )
    if n_train == 0:
        raise ValueError(
            f"With n_samples={n_samples} and a validation_fraction of {fraction} no row is left to "
            "train with."
        )
    if strata is not None:
        _check_strata(strata, n_train, n_validation)
    if n_validation < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the size of your "
            "dataset."
        )
    if strata is None:
        rows = random_state.permutation(n_samples)
        return rows[n_validation:], rows[:n_validation]
    return _stratified_rows(strata, n_train, n_validation, random_state)


def _check_strata(strata, n_train, n_validation):
    numbers = np.bincount(strata)
    if numbers.min() < 2 or min(n_train, n_validation) < len(numbers):
        raise ValueError(
            f"early_stopping needs two rows of each class, and one of each in both parts: y has "
            f"{numbers.tolist()} rows of its classes, of which {n_validation} are for validation"
        )


def _stratified_rows(strata, n_train, n_validation, random_state):
    numbers = np.bincount(strata)
    of_train = _rows_of_each_class(numbers, n_train, random_state)
    of_validation = _rows_of_each_class(numbers - of_train, n_validation, random_state)
    train, validation = [], []
    for k, (middle, size) in enumerate(zip(of_train, of_validation, strict=True)):
        rows = np.flatnonzero(strata == k)[random_state.permutation(numbers[k])]
        train.append(rows[:middle])
        validation.append(rows[middle : middle + size])
    return tuple(random_state.permutation(np.concatenate(part)) for part in (train, validation))


def _rows_of_each_class(numbers, n_draws, random_state):
    """How many of `n_draws` rows each class gets: its share, and ties are broken at random."""
    shares = numbers / numbers.sum() * n_draws
    drawn = np.floor(shares)
    left = int(n_draws - drawn.sum())
    remainders = shares - drawn
    for remainder in np.unique(remainders)[::-1]:
        if left == 0:
            break
        (tied,) = np.nonzero(remainders == remainder)
        chosen = random_state.choice(tied, size=min(len(tied), left), replace=False)
        drawn[chosen] += 1
        left -= len(chosen)
    return drawn.astype(int)


class Validation:
    """What is known of the validation score as epochs finish.

    Parameters
    ----------
    score : callable
        The score of a network, on the rows that were held back.
    tol : float
        An epoch improves if it raises the best score by at least this much.
    scores : list of float
        Of earlier epochs; grows.
    best_score : float
    n_bad_epochs : int
        Epochs in a row, up to the last, that have not improved.
    """

    def __init__(self, score, tol, scores, best_score, n_bad_epochs):
        self.score = score
        self.tol = tol
        self.scores = scores
        self.best_score = best_score
        self.n_bad_epochs = n_bad_epochs
        self.best_parameters = None

    def finish_epoch(self, network):
        """Take the network's score, and return it."""
        score = self.score(network)
        self.scores.append(score)
        if score < self.best_score + self.tol:
            self.n_bad_epochs += 1
        else:
            self.n_bad_epochs = 0
        if score > self.best_score:
            self.best_score = score
            self.best_parameters = network.parameters.copy()
        return score
