"""Memory at the edge of a forbidden page, and the kernels of every variant to be called on it."""

import ctypes
import importlib
import math
import mmap
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from cbackprop._kernels import dispatch, testing

PROT_NONE = 0
UNTOUCHED = 0xFF  # in every byte: NaN as a floating-point number, -1 as an integer


def pytest_configure(config):
    # A shell may start its background jobs with Ctrl-C ignored; tests that wait for it would not
    # end.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def forbid(address, n_bytes):
    """From now on the process dies when it reads or writes there."""
    mprotect = ctypes.CDLL(None, use_errno=True).mprotect
    mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if mprotect(address, n_bytes, PROT_NONE):
        raise OSError(ctypes.get_errno(), "mprotect failed")


class Guarded:
    """Makes arrays that end right before a forbidden page, or begin right behind one.

    What lies on the other side of an array is watched: `check` finds what was written there, and
    who reads there reads NaN. (On Windows nothing is forbidden, only watched.)
    """

    def __init__(self, forbidden):
        self.forbidden = forbidden  # "behind" or "before" the array
        self.watched = []

    def __call__(self, shape, dtype):
        dtype = np.dtype(dtype)
        n_bytes = math.prod(shape) * dtype.itemsize
        size = max(1, math.ceil(n_bytes / mmap.PAGESIZE)) * mmap.PAGESIZE
        pages = mmap.mmap(-1, size + mmap.PAGESIZE)
        every_byte = np.frombuffer(pages, np.uint8)
        every_byte[:] = UNTOUCHED
        if self.forbidden == "behind":
            start, page = size - n_bytes, size
            self.watch(every_byte[:start])
        else:
            start, page = mmap.PAGESIZE, 0
            self.watch(every_byte[start + n_bytes :])
        if sys.platform != "win32":
            forbid(every_byte.ctypes.data + page, mmap.PAGESIZE)
        return np.frombuffer(pages, dtype, math.prod(shape), start).reshape(shape)

    def watch(self, array):
        """`check` will look whether anything was written to this array."""
        self.watched.append(array.view(np.uint8))

    def check(self):
        for array in self.watched:
            assert (array == UNTOUCHED).all(), "a kernel wrote beside an array"


class Panels:
    """A matrix in the layout [panel][row][lane], NaN at first.

    From panel to panel it is `stride` rows, of which the matrix has the first. The memory ends with
    the last row of the last panel.
    """

    def __init__(self, guarded, dtype, lanes, n_rows, n_columns, stride=None):
        self.stride = stride or n_rows
        self.n_columns = n_columns
        n_panels = -(-n_columns // lanes)
        self.memory = guarded(((n_panels - 1) * self.stride + n_rows, lanes), dtype)
        for gap in range(n_rows, (n_panels - 1) * self.stride, self.stride):
            guarded.watch(self.memory[gap : gap + self.stride - n_rows])
        # (n_rows, n_panels, lanes), a view
        self.rows = np.lib.stride_tricks.as_strided(
            self.memory,
            (n_rows, n_panels, lanes),
            (self.memory.strides[0], self.stride * self.memory.strides[0], self.memory.strides[1]),
        )

    @property
    def n_panels(self):
        return self.rows.shape[1]

    @property
    def padded(self):
        """(n_rows, n_panels * lanes)"""
        return self.rows.reshape(len(self.rows), -1)

    @property
    def matrix(self):
        return self.padded[:, : self.n_columns]

    @property
    def pads(self):
        return self.padded[:, self.n_columns :]


class Kernels:
    """The kernels of one instruction set and precision, on guarded memory.

    `run` has them as they are. The methods of the same names take matrices in panels and return
    their output; it is NaN where the kernel did not write. `assert_near` judges it.
    """

    def __init__(self, isa, dtype, guarded):
        self.isa = isa
        self.dtype = np.dtype(dtype)
        self.guarded = guarded
        self.run = testing.Bench(isa, dtype)
        self.lanes = self.run.lanes
        self.epsilon = float(np.finfo(dtype).eps)

    # ---- arguments ----

    @property
    def widths(self):
        """Numbers of columns around the lengths of a panel and of half a panel"""
        lanes, half = self.lanes, self.lanes // 2
        return [1, 2, half, half + 1, lanes - 1, lanes, lanes + 1, 2 * lanes, 2 * lanes + half]

    def random(self, *shape, seed=0):
        """Normally distributed; the same for each instruction set."""
        return np.random.default_rng((seed, *shape)).normal(size=shape).astype(self.dtype)

    def numbers(self, values, dtype=None):
        """A plain array"""
        values = np.asarray(values)
        array = self.guarded(values.shape, dtype or self.dtype)
        array[...] = values
        return array

    def empty(self, n_rows, n_columns, stride=None):
        return Panels(self.guarded, self.dtype, self.lanes, n_rows, n_columns, stride)

    def panels(self, matrix, stride=None, pad=0.0):
        panels = self.empty(*matrix.shape, stride)
        padded = np.full((len(matrix), panels.n_panels * self.lanes), pad, self.dtype)
        padded[:, : matrix.shape[1]] = matrix
        panels.rows[:] = padded.reshape(panels.rows.shape)
        return panels

    # ---- calls ----

    def forward(self, inputs, weights, biases=None, activation="identity", stride=None):
        n_rows, n_in = len(inputs.rows), inputs.n_columns
        out = self.empty(n_rows, weights.n_columns, stride)
        self.run.forward(
            *(inputs.memory, inputs.stride, weights.memory, biases and biases.memory),
            *(n_in, out.n_columns, n_rows, activation, out.memory, out.stride),
        )
        return out

    def few_forward(self, inputs, weights, biases):
        """`weights`: a plain matrix"""
        (n_in, n_out), n_rows = weights.shape, len(inputs.rows)
        out = self.empty(n_rows, n_out)
        packed = self.guarded((inputs.n_panels, n_out, self.lanes), self.dtype)
        self.run.pack_few(self.numbers(weights), n_in, n_out, packed)
        self.run.few_forward(
            *(inputs.memory, inputs.stride, packed, biases.memory),
            *(inputs.n_panels, n_out, n_rows, out.memory),
        )
        return out

    def direct_forward(self, row, weights, biases, pad=0.0):
        """`row`, `weights` and `biases`: plain arrays, the weights ending where they end"""
        n_in, n_out = weights.shape
        out = self.empty(1, n_out)
        self.run.direct_forward(
            *(self.panels(row, pad=pad).memory, self.numbers(weights), self.numbers(biases)),
            *(n_in, n_out, n_out <= 3 and n_out < n_in, out.memory),
        )
        return out

    def deltas_below(self, deltas, weights, activations, activation="identity", panels=None):
        n_rows, n_in, n_out = len(deltas.rows), activations.n_columns, deltas.n_columns
        out = self.empty(n_rows, n_in, activations.stride)
        scratch_rows = min(self.run.scratch_rows, 2 * self.lanes * deltas.n_panels)
        scratch = self.guarded((scratch_rows, self.lanes), self.dtype)
        self.run.deltas_below(
            *(deltas.memory, deltas.stride, weights.memory, n_in, n_out),
            *(panels or (0, out.n_panels)),
            *(n_rows, activation, activations.memory, activations.stride),
            *(scratch, out.memory, out.stride),
        )
        return out

    def gradients(self, activations, deltas, panels=None, step=None, weights=None):
        """With a step, `weights` is updated and returned."""
        n_rows, n_in = len(deltas.rows), activations.n_columns
        out = weights or self.empty(n_in, deltas.n_columns)
        self.run.gradients(
            *(activations.memory, activations.stride, deltas.memory, deltas.stride, n_in),
            *(panels or (0, activations.n_panels)),
            *(deltas.n_columns, n_rows, step, out.memory),
        )
        return out

    def bias_gradients(self, deltas, step=None, biases=None):
        """With a step, `biases` is updated and returned."""
        out = biases or self.empty(1, deltas.n_columns)
        self.run.bias_gradients(
            deltas.memory, deltas.stride, deltas.n_panels, len(deltas.rows), step, out.memory
        )
        return out

    def softmax(self, rows):
        self.run.softmax(rows.memory, rows.stride, rows.n_columns, len(rows.rows))
        return rows

    def loss(self, name, z, y, weights=None, stride=None, limit=np.inf):
        """(the loss, the outputs, the deltas) for plain matrices"""
        outputs, deltas = self.panels(z, stride), self.panels(y, stride)
        total = self.run.loss(
            *(name, outputs.memory),
            *(None if weights is None else self.numbers(weights), outputs.stride),
            *(z.shape[1], len(z), deltas.memory, limit),
        )
        return total, outputs, deltas

    def update(self, rule, gradients, step, parameters, *state):
        self.run.update(rule, gradients, len(gradients), step, state, parameters)

    # ---- results ----

    @staticmethod
    def assert_near(got, expected, bound, *where):
        """|got - expected| <= bound, element by element; `where` is shown if not."""
        got = np.asarray(got, np.float64)
        assert got.shape == np.shape(expected), where
        least = np.finfo(np.float64).tiny
        worst = np.max(np.abs(got - expected) / np.maximum(bound, least), initial=0)
        assert worst <= 1, (*where, worst)


@pytest.fixture
def import_from(monkeypatch):
    """A function that imports a module by name from a folder, for this test only."""
    before = set(sys.modules)
    folders = []

    def import_module(folder, name):
        folders.append(folder)
        monkeypatch.syspath_prepend(str(folder))
        return importlib.import_module(name)

    yield import_module
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).parent in folders:
            del sys.modules[name]


@pytest.fixture(params=["behind", "before"])
def guarded(request):
    memory = Guarded(request.param)
    yield memory
    memory.check()


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture(params=dispatch.FOUND)
def kernels(request, dtype, guarded):
    return Kernels(request.param, dtype, guarded)


@pytest.fixture
def fused_kernels(dtype, guarded):
    """The kernels of every variant that has fused multiply-adds."""
    return [Kernels(isa, dtype, guarded) for isa in dispatch.FOUND if isa != "baseline"]
