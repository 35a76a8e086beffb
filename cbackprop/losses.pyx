"""Which loss goes with which output activation.

| loss | output activation | C, for one data point |
| --- | --- | --- |
| squared_error | any but softmax | 1/2 sum (p - y)^2 |
| log_loss | softmax | -sum y log(p) |
| binary_log_loss | sigmoid | -sum (y log(p) + (1 - y) log(1 - p)) |
| poisson | exp | sum (y log(y / p) - y + p) |

With identity and with the three lower pairs the output delta, dC/d preactivations, is p - y.
"""

from cbackprop._kernels.table cimport BINARY_LOG_LOSS, LOG_LOSS, POISSON, SQUARED_ERROR, Loss

from cbackprop.activations import OUTPUT

_CODES = {
    "squared_error": SQUARED_ERROR, "log_loss": LOG_LOSS, "binary_log_loss": BINARY_LOG_LOSS, "poisson": POISSON,
}
#: the output activations that go with a loss
OUTPUTS = {
    "squared_error": tuple(name for name in OUTPUT if name != "softmax"),
    "log_loss": ("softmax",),
    "binary_log_loss": ("sigmoid",),
    "poisson": ("exp",),
}


def check_pair(loss, output_activation):
    """Raises if a loss is unknown or does not go with an output activation (by its canonical name)."""
    if not isinstance(loss, str):
        raise TypeError(f"loss must be a name, got {loss!r}")
    if loss not in OUTPUTS:
        raise ValueError(f"loss is {loss!r}; known are {', '.join(OUTPUTS)}")
    if output_activation not in OUTPUTS[loss]:
        raise ValueError(
            f"loss {loss!r} goes with output_activation {' or '.join(OUTPUTS[loss])}, got {output_activation!r}")


cdef Loss code_of(name) except *:
    return _CODES[name]
