"""Multi-layer perceptrons trained by backpropagation at the speed of C."""

__version__ = "0.1.0"

try:
    from cbackprop.conjugate_gradient import ScaledConjugateGradient
    from cbackprop.lbfgs import LBFGS
    from cbackprop.levenberg_marquardt import BayesianRegularization, LevenbergMarquardt
    from cbackprop.network import Network
    from cbackprop.optimizers import SGD, Adam, AdamW, RMSprop, Rprop
    from cbackprop.training import TrainingState
except ModuleNotFoundError as error:
    if error.name is None or not error.name.startswith("cbackprop."):
        raise
    raise ImportError(
        "cbackprop's extension modules are not built. From a source tree install it first "
        "(pip install . or pip install -e .), and do not run Python in the tree's own folder "
        "unless the installation is editable."
    ) from error

from cbackprop._config import get_include, show_config

__all__ = [
    "LBFGS",
    "SGD",
    "Adam",
    "AdamW",
    "BayesianRegularization",
    "LevenbergMarquardt",
    "MLPClassifier",
    "MLPRegressor",
    "Network",
    "RMSprop",
    "Rprop",
    "ScaledConjugateGradient",
    "TrainingState",
    "__version__",
    "from_sklearn",
    "get_include",
    "patch_sklearn",
    "show_config",
    "unpatch_sklearn",
]


def __getattr__(name):
    # What not everybody needs is loaded when it is first asked for.
    if name in ("MLPClassifier", "MLPRegressor"):
        from cbackprop import estimators

        return getattr(estimators, name)
    if name in ("from_sklearn", "patch_sklearn", "unpatch_sklearn"):
        from cbackprop.interop import scikit_learn

        return getattr(scikit_learn, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted(set(globals()) | set(__all__))
