"""What every estimator has, whatever it learns: parameters, their repr, and the fitted state."""

import functools
import inspect


class NotFittedError(ValueError, AttributeError):
    """An estimator was asked for something that only `fit` can give it."""


class of_stochastic_solvers:
    """A method that an estimator has while its solver is not 'lbfgs'."""

    def __init__(self, method):
        functools.update_wrapper(self, method)
        self.method = method

    def __get__(self, estimator, kind=None):
        if estimator is not None and estimator.solver == "lbfgs":
            raise AttributeError(
                f"{self.method.__name__} is only available for stochastic optimizers. "
                f"{estimator.solver} is not stochastic."
            )
        return self.method.__get__(estimator, kind)


class Estimator:
    """Parameters as scikit-learn keeps them: each argument of `__init__` is an attribute."""

    @classmethod
    def _parameter_defaults(cls):
        """Default values by name, in the order of the constructor."""
        arguments = list(inspect.signature(cls.__init__).parameters.values())[1:]  # without self
        return {argument.name: argument.default for argument in arguments}

    def _store_parameters(self, arguments):
        """Keep the constructor's `locals()` as they came; `fit` is where they are checked."""
        for name, value in arguments.items():
            if name not in ("self", "__class__"):
                setattr(self, name, value)

    def get_params(self, deep=True):
        """Parameters by name.

        Parameters
        ----------
        deep : bool, default=True
            Part of scikit-learn's protocol for estimators that hold others; these hold none, so
            both values give the same.

        Returns
        -------
        params : dict
        """
        return {name: getattr(self, name) for name in sorted(self._parameter_defaults())}

    def set_params(self, **params):
        """Set parameters by name; an unknown name changes nothing and is a `ValueError`.

        Parameters
        ----------
        **params : dict
            New values. They are checked by the next `fit`.

        Returns
        -------
        self : object
        """
        known = sorted(self._parameter_defaults())
        for name in params:
            if name not in known:
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {self}. "
                    f"Valid parameters are: {known}."
                )
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def _is_fitted(self):
        return "n_features_in_" in vars(self)

    def _check_is_fitted(self):
        if not self._is_fitted():
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with "
                "appropriate arguments before using this estimator."
            )

    def __repr__(self):
        # Compared by repr, as the values may be arrays, whose == is not one truth value.
        changed = [
            f"{name}={getattr(self, name)!r}"
            for name, default in self._parameter_defaults().items()
            if repr(getattr(self, name)) != repr(default)
        ]
        return f"{type(self).__name__}({', '.join(changed)})"
