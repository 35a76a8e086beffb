"""Arguments, checked: each function returns what the engine takes, or raises a named error."""

import numbers
import operator
import sys
import zlib
from typing import NamedTuple

import numpy as np

# Numbers that are searched at a time for what is not finite.
_ELEMENTS_AT_ONCE = 1 << 20


def as_array(name, value, dtype):
    """A C-contiguous, aligned array of native numbers in dtype; the array itself if it is one."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not an array: {error}") from error
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {array.dtype}")
    if array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned:
        return array  # what follows takes longer than a step
    with np.errstate(over="ignore", invalid="ignore"):
        # a number too large for dtype becomes infinite, and is found with the others
        return np.require(array, dtype, ["C_CONTIGUOUS", "ALIGNED"])


def as_matrix(name, value, dtype, n_columns, columns):
    """An array of shape (n_samples, n_columns), n_samples >= 1."""
    if hasattr(value, "tocsr"):
        raise TypeError(f"{name} must be dense here, got a sparse {type(value).__name__}")
    array = as_array(name, value, dtype)
    if array.ndim != 2:
        raise ValueError(
            f"{name} must have two dimensions, (n_samples, {columns}), got shape {array.shape}"
        )
    if array.shape[1] != n_columns:
        raise ValueError(
            f"{name} must have {n_columns} columns, as many as the network's {columns}, "
            f"got shape {array.shape}"
        )
    if array.shape[0] == 0:
        raise ValueError(f"{name} is empty: its shape is {array.shape}")
    return array


class SparseRows(NamedTuple):
    """A CSR matrix's arrays as the engine takes them: columns ascend in a row, none comes twice."""

    shape: tuple
    indptr: np.ndarray  # (n_rows + 1,), intp, of our own
    indices: np.ndarray  # (n_numbers,), int32
    data: np.ndarray  # (n_numbers,)

    @property
    def dtype(self):
        return self.data.dtype


def as_rows(name, value, dtype, n_columns, columns):
    """What `as_matrix` gives or, for a sparse matrix or array (or SparseRows), SparseRows."""
    if isinstance(value, SparseRows):
        return value
    if not hasattr(value, "tocsr"):
        return as_matrix(name, value, dtype, n_columns, columns)
    if value.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {value.dtype}")
    if len(value.shape) != 2 or value.shape[1] != n_columns:
        raise ValueError(
            f"{name} must have {n_columns} columns, as many as the network's {columns}, "
            f"got shape {value.shape}"
        )
    if value.shape[0] == 0:
        raise ValueError(f"{name} is empty: its shape is {value.shape}")
    if n_columns > np.iinfo(np.int32).max:
        raise ValueError(f"{name} is sparse and has too many columns: {n_columns}")
    if value.format == "csc":  # converted by what looks at nothing
        _check_compressed(name, value, value.shape[::-1])
    if value.dtype == np.float16 or not value.dtype.isnative:  # which SciPy does not convert
        value = value.astype(dtype)
    rows = value.tocsr()
    _check_compressed(name, rows, rows.shape)
    if not rows.has_canonical_format:
        rows = rows.copy()
        rows.sum_duplicates()
    n_numbers = rows.indptr[-1]
    return SparseRows(
        rows.shape,
        np.array(rows.indptr, np.intp),
        np.require(rows.indices[:n_numbers], np.int32, ["C_CONTIGUOUS", "ALIGNED"]),
        as_array(name, rows.data[:n_numbers], dtype),
    )


def _check_compressed(name, matrix, shape):
    """Whether its arrays say where each number belongs; `shape` as if it were CSR."""
    n_rows, n_columns = shape
    indptr, indices, n_numbers = matrix.indptr, matrix.indices, len(matrix.data)
    if indptr.dtype.kind not in "iu" or indices.dtype.kind not in "iu":
        raise TypeError(
            f"{name} must have integers for indptr and indices, got {indptr.dtype} and "
            f"{indices.dtype}"
        )
    if indptr.shape != (n_rows + 1,) or indices.ndim != 1 or matrix.data.ndim != 1:
        raise ValueError(
            f"{name} must have indptr of shape ({n_rows + 1},), and indices and data of one "
            f"dimension, got {indptr.shape}, {indices.shape} and {matrix.data.shape}"
        )
    if indptr[0] != 0 or (indptr[1:] < indptr[:-1]).any():
        raise ValueError(f"{name} must have an indptr that begins with 0 and does not fall")
    if indptr[-1] > min(len(indices), n_numbers):
        raise ValueError(
            f"{name} must have as many indices and data as its indptr says, {indptr[-1]}, "
            f"got {len(indices)} and {n_numbers}"
        )
    indices = indices[: indptr[-1]]
    if len(indices) and (indices.min() < 0 or indices.max() >= n_columns):
        raise ValueError(
            f"{name} must have indices from 0 to {n_columns - 1}, got from {indices.min()} to "
            f"{indices.max()}"
        )


def as_targets(y, dtype, n_samples, n_outputs, loss):
    """(targets, None) or, for log_loss with a vector of class numbers, (None, classes)."""
    array = as_array("y", y, None)
    if loss == "log_loss" and array.ndim == 1:
        return None, _as_classes(array, n_samples, n_outputs)
    if array.ndim == 1 and n_outputs == 1:
        array = array.reshape(-1, 1)
    array = as_matrix("y", array, dtype, n_outputs, "outputs")
    _same_length("y", array, n_samples)
    if loss == "squared_error":
        return array, None
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise not_finite("y", array)
    if low < 0 or (loss != "poisson" and high > 1):
        limits = ">= 0" if loss == "poisson" else "in [0, 1]"
        raise ValueError(f"y must be {limits} for {loss}, got values from {low} to {high}")
    if loss == "log_loss":
        sums = array.sum(axis=1)
        worst = np.abs(sums - 1).argmax()
        if abs(sums[worst] - 1) > 1e-4:
            raise ValueError(
                "y must be probabilities for log_loss, each row of sum 1; "
                f"row {worst} sums to {sums[worst]}"
            )
    return array, None


def _as_classes(array, n_samples, n_outputs):
    _same_length("y", array, n_samples)
    classes = array.astype(np.intp, copy=False) if array.dtype.kind in "biu" else None
    if classes is None:
        if not np.isfinite(array).all():
            raise not_finite("y", array)
        with np.errstate(invalid="ignore"):
            classes = array.astype(np.intp)
        if (classes != array).any():
            raise ValueError(
                f"y must hold class numbers for log_loss, got {array[classes != array][0]}"
            )
    low, high = array.min(), array.max()
    if low < 0 or high >= n_outputs:
        raise ValueError(
            f"y must hold class numbers from 0 to {n_outputs - 1}, got {low if low < 0 else high}"
        )
    return np.ascontiguousarray(classes)


def as_weights(sample_weight, dtype, n_samples, any_sign=False):
    """None, or a finite array of shape (n_samples,), not all zero; negative only if any_sign."""
    if sample_weight is None:
        return None
    array = as_array("sample_weight", sample_weight, dtype)
    if array.ndim != 1:
        raise ValueError(f"sample_weight must have shape ({n_samples},), got {array.shape}")
    _same_length("sample_weight", array, n_samples)
    if not np.isfinite(array).all():
        raise not_finite("sample_weight", array)
    if not any_sign and array.min() < 0:
        raise ValueError(f"sample_weight must not be negative, got {array.min()}")
    if not array.any():
        raise ValueError("sample_weight is zero for every sample")
    with np.errstate(over="ignore"):
        total = array.sum(dtype=np.float64)
    limits = np.finfo(dtype)
    if not (any_sign or limits.tiny <= total) or abs(total) > limits.max:
        raise ValueError(f"sample_weight has a sum beyond {np.dtype(dtype)}: {total}")
    return array


def as_out(out, X, n_outputs):
    """The array that predictions go into: the given one if it can hold them."""
    shape = (X.shape[0], n_outputs)
    if out is None:
        return np.empty(shape, X.dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out must be a NumPy array, got {type(out).__name__}")
    if out.dtype != X.dtype or not out.dtype.isnative:
        raise TypeError(f"out must have dtype {X.dtype}, got {out.dtype}")
    if out.shape != shape:
        raise ValueError(f"out must have shape {shape}, got {out.shape}")
    if not (out.flags.c_contiguous and out.flags.aligned and out.flags.writeable):
        raise ValueError("out must be C-contiguous, aligned and writable")
    return out


def as_layer_sizes(layer_sizes):
    try:
        sizes = tuple(layer_sizes)
        if any(isinstance(size, (bool, np.bool_)) for size in sizes):
            raise TypeError
        sizes = tuple(operator.index(size) for size in sizes)
    except TypeError:
        raise TypeError(
            f"layer_sizes must be a sequence of integers, got {layer_sizes!r}"
        ) from None
    if len(sizes) < 2:
        raise ValueError(f"layer_sizes must name inputs and outputs at least, got {layer_sizes!r}")
    if min(sizes) < 1:
        raise ValueError(f"layer_sizes must be 1 or more, got {layer_sizes!r}")
    return sizes


def as_dtype(dtype):
    try:
        # to NumPy None is float64
        found = None if dtype is None else np.dtype(dtype)
    except (TypeError, ValueError, SyntaxError):
        found = None
    if found is None:
        raise TypeError(f"dtype must be float32 or float64, got {dtype!r}")
    if found not in (np.dtype("float32"), np.dtype("float64")):
        raise ValueError(f"dtype must be float32 or float64, got {found}")
    return found


def empty_parameters(sizes, shapes, dtype):
    """An array for weights of these shapes and their biases."""
    count = sum((n_in + 1) * n_out for n_in, n_out in shapes)
    try:
        return np.empty(count, dtype)
    except (MemoryError, OverflowError, ValueError):  # ValueError: beyond what an index can be
        raise MemoryError(
            f"layer_sizes {sizes} make {count} parameters, too many for memory"
        ) from None


def empty(shape, dtype):
    """An array of that shape; a MemoryError that names it where there is no memory."""
    try:
        return np.empty(shape, dtype)
    except (MemoryError, OverflowError, ValueError):  # ValueError: beyond what an index can be
        raise MemoryError(
            f"an array of shape {shape} in {np.dtype(dtype)} is too large for memory"
        ) from None


def as_random_state(random_state):
    if random_state is None:
        return np.random.RandomState()
    if isinstance(random_state, np.random.RandomState):
        return random_state
    if isinstance(random_state, numbers.Integral) and not isinstance(random_state, bool):
        try:
            return np.random.RandomState(random_state)
        except ValueError as error:
            raise ValueError(f"random_state is {random_state}: {error}") from None
    raise TypeError(
        f"random_state must be None, an integer or a numpy.random.RandomState, got {random_state!r}"
    )


def as_order(order, n_samples):
    """An array of row numbers that can be shuffled in place."""
    if not isinstance(order, np.ndarray) or order.dtype != np.intp:
        raise TypeError(f"order must be an array of {np.dtype(np.intp)}, got {order!r}")
    if order.shape != (n_samples,) or not (order.flags.c_contiguous and order.flags.writeable):
        raise ValueError(f"order must be contiguous, writable and of shape ({n_samples},)")
    if order.min() < 0 or order.max() >= n_samples:
        raise ValueError(f"order must hold row numbers from 0 to {n_samples - 1}")
    return order


def as_count(name, value, minimum=1):
    """An integer of at least minimum."""
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if count < minimum:
        raise ValueError(f"{name} must be {minimum} or more, got {value}")
    return min(count, sys.maxsize)


def as_number(name, value, limits="[0, inf)"):
    """A float within limits, which are written as intervals are: "(0, 1]" has 1 but not 0."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r}")
    low, high = map(float, limits[1:-1].split(","))
    above = low <= value if limits[0] == "[" else low < value
    below = value <= high if limits[-1] == "]" else value < high
    try:
        if above and below:
            return float(value)
    except OverflowError:  # an integer beyond the largest float
        pass
    raise ValueError(f"{name} must be in {limits}, got {value!r}")


def as_bool(name, value):
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be a bool, got {value!r}")
    return bool(value)


def as_reduction(reduction):
    """Whether it is the mean, else the sum."""
    if not isinstance(reduction, str) or reduction not in ("mean", "sum"):
        raise ValueError(f"reduction is {reduction!r}; known are mean, sum")
    return reduction == "mean"


def not_finite(name, array):
    """The error that says where an array, or SparseRows, holds NaN or infinity."""
    if isinstance(array, SparseRows):
        for k in np.flatnonzero(~np.isfinite(array.data))[:1]:
            at = [int(np.searchsorted(array.indptr, k, "right")) - 1, int(array.indices[k])]
            found = array.data[k]
            return ValueError(f"{name} must be finite in {array.dtype}, got {found} at {at}")
        return ValueError(f"{name} must be finite; it changed while it was read")
    rows_at_once = max(1, _ELEMENTS_AT_ONCE // max(1, array[:1].size))
    for first in range(0, len(array), rows_at_once):
        bad = np.argwhere(~np.isfinite(array[first : first + rows_at_once]))
        if len(bad):
            at = (int(bad[0][0]) + first, *(int(index) for index in bad[0][1:]))
            found = "NaN" if np.isnan(array[at]) else array[at]
            return ValueError(f"{name} must be finite in {array.dtype}, got {found} at {list(at)}")
    return ValueError(f"{name} must be finite; it changed while it was read")


def _same_length(name, array, n_samples):
    if array.shape[0] != n_samples:
        raise ValueError(
            f"{name} must have as many rows as X, {n_samples}, got shape {array.shape}"
        )


def checksum(parts):
    """CRC-32 of arrays of numbers, and of what else is printed alike everywhere."""
    found = 0
    for part in parts:
        if isinstance(part, np.ndarray) and not part.dtype.hasobject:
            found = zlib.crc32(np.ascontiguousarray(part), found)
            part = part.shape, part.dtype.name
        found = zlib.crc32(repr(part).encode(), found)
    return found


def check_checksum(what, parts, expected):
    """`expected`: None in pickles from before there were any."""
    if expected is not None and checksum(parts) != expected:
        raise ValueError(f"the pickle of {what} is damaged: its checksum does not fit")
