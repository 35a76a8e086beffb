"""What `solver` may be, a name or a trainer, and the trainer that a fit uses."""

import functools
from dataclasses import dataclass

from cbackprop.conjugate_gradient import ScaledConjugateGradient
from cbackprop.lbfgs import LBFGS
from cbackprop.levenberg_marquardt import BayesianRegularization, LevenbergMarquardt
from cbackprop.optimizers import SGD, Adam, AdamW, RMSprop, Rprop

SKLEARN_NAMES = ("lbfgs", "sgd", "adam")
# The first three take the estimator's parameters, as in scikit-learn; the others have defaults.
TRAINERS = {
    "lbfgs": LBFGS,
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "rprop": Rprop,
    "scaled_conjugate_gradient": ScaledConjugateGradient,
    "levenberg_marquardt": LevenbergMarquardt,
    "bayesian_regularization": BayesianRegularization,
}
KINDS = {kind.__name__: kind for kind in TRAINERS.values()}
OF_LEAST_SQUARES = (LevenbergMarquardt, BayesianRegularization)


@dataclass(frozen=True)
class Trainer:
    """An object for `Network.train`."""

    def accepts(self, value):
        return type(value) in KINDS.values()

    def __str__(self):
        return f"an object of {', '.join(KINDS)}"


def kind_of(solver):
    """The class of the trainer that a solver stands for."""
    return TRAINERS.get(solver) if isinstance(solver, str) else type(solver)


def takes_whole_sets(solver):
    """Whether its steps go together only if each is one of all rows."""
    if isinstance(solver, str):
        return kind_of(solver) in (LBFGS, ScaledConjugateGradient, *OF_LEAST_SQUARES)
    return getattr(solver, "whole_set", False)


def is_sklearns(solver):
    """Whether it is one of scikit-learn's, which takes the estimator's parameters."""
    return isinstance(solver, str) and solver in SKLEARN_NAMES


def is_for_whole_sets(trainer):
    """Whether it is meant for steps of all rows; not all such trainers insist."""
    return trainer.whole_set or isinstance(trainer, Rprop)


class of_stochastic_solvers:
    """A method that an estimator has while its solver can train on some rows and then on others."""

    def __init__(self, method):
        functools.update_wrapper(self, method)
        self.method = method

    def __get__(self, estimator, kind=None):
        if estimator is not None and takes_whole_sets(estimator.solver):
            raise AttributeError(
                f"{self.method.__name__} is only available for stochastic optimizers. "
                f"{estimator.solver} is not stochastic."
            )
        return self.method.__get__(estimator, kind)


def new_trainer(estimator):
    """An unused trainer for the estimator."""
    solver = estimator.solver
    if solver == "sgd":
        return SGD(
            float(estimator.learning_rate_init),
            momentum=float(estimator.momentum),
            nesterov=estimator.nesterovs_momentum,
        )
    if solver == "adam":
        return Adam(
            float(estimator.learning_rate_init),
            beta_1=float(estimator.beta_1),
            beta_2=float(estimator.beta_2),
            epsilon=float(estimator.epsilon),
        )
    return TRAINERS[solver]() if isinstance(solver, str) else renewed(solver)


def renewed(trainer):
    """A trainer of the same kind and parameters that has not trained."""
    return type(trainer)(*trainer._values())


def next_trainer(estimator, going_on, incremental):
    """A new trainer, or the last training's with its state.

    With scikit-learn's names it is the last one's in `partial_fit`, whatever the parameters have
    become since; with a trainer of ours also in warm starts, if it is still the same.
    """
    new = new_trainer(estimator)
    last = getattr(estimator, "_optimizer", None) if going_on else None
    if last is None:
        return new
    if is_sklearns(estimator.solver):
        return last if incremental and type(last) in (SGD, Adam) else new
    return last if renewed(last) == new else new


# ---- pickles ----


def as_plain(trainer):
    """A tuple of plain values for a trainer, state included."""
    kind, *values = trainer.__reduce__()
    return kind.__name__, *values


def from_plain(values):
    """The trainer that `as_plain` made a tuple of."""
    kind, arguments, state = values
    trainer = KINDS[kind](*arguments)
    trainer.__setstate__(state)
    return trainer
