"""What every estimator stands on: scikit-learn where it is installed, else what stands in for it.

scikit-learn before 1.6 counts as missing. One that is there but cannot be imported is an error,
which says so itself: estimators that silently are not what they were would be found out late.
"""

try:
    import sklearn
except ModuleNotFoundError as error:
    if error.name != "sklearn":
        raise
    BESIDE_SKLEARN = False
else:
    BESIDE_SKLEARN = tuple(map(int, sklearn.__version__.split(".")[:2])) >= (1, 6)

if BESIDE_SKLEARN:
    from cbackprop.estimators import _sklearn as contract
else:
    from cbackprop.estimators import _own as contract

__all__ = ["BESIDE_SKLEARN", "contract"]
