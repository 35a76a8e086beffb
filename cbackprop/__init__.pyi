from cbackprop._config import get_include, show_config
from cbackprop.conjugate_gradient import ScaledConjugateGradient
from cbackprop.estimators import MLPClassifier, MLPRegressor
from cbackprop.interop.scikit_learn import from_sklearn, patch_sklearn, unpatch_sklearn
from cbackprop.lbfgs import LBFGS
from cbackprop.levenberg_marquardt import BayesianRegularization, LevenbergMarquardt
from cbackprop.network import Network
from cbackprop.optimizers import SGD, Adam, AdamW, RMSprop, Rprop
from cbackprop.training import TrainingState

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

__version__: str
