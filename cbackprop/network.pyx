"""`Network`, the engine's face: layer sizes, one flat block of parameters, and what can be computed from them.

Every argument is checked here, then the GIL is dropped.
"""

from cpython.exc cimport PyErr_CheckSignals
from cpython.pycapsule cimport PyCapsule_New

from cbackprop._call cimport Call
from cbackprop._float_mode cimport flush_denormals, set_float_mode
from cbackprop._guard cimport (
    ENTERED, REFUSED, Entry, Guard, enter_reader, enter_writer, is_writer, leave_reader, leave_writer,
)
from cbackprop._memory cimport Block, Pointer, matrix_of
from cbackprop._threads cimport enter_callers, leave_callers
from cbackprop._typedefs cimport lanes_t
from cbackprop.backprop cimport BLOCK_ROWS, Plan, n_sums
from cbackprop.derivatives cimport (
    INPUTS, PARAMETERS, PREACTIVATIONS, HessianProduct, NormalEquations, Variables, derive_blocks,
)
from cbackprop.predicting cimport Memory, predict_blocks, predict_directly
from cbackprop.team cimport Team

from collections import deque

import numpy as np

from cbackprop import _checks as checks
from cbackprop._cpus import as_n_threads, work_of_a_row
from cbackprop._train import train
from cbackprop.activations import HIDDEN, OUTPUT, canonical
from cbackprop.losses import check_pair

cdef enum:
    # Numbers that are drawn, or divided, at a time.
    NUMBERS_AT_ONCE = 1 << 22
    # Rows of X for which packing the parameters is not worth it, and rows of parameters that are read for them
    # without a look at the clock.
    DIRECT_ROWS = 8
    DIRECT_PARAMETERS = 1 << 20
    # Rows of lanes: the activations of two layers that wait there.
    ON_THE_STACK = 64


cdef class Network:
    """A fully connected feed-forward network (multi-layer perceptron).

    Parameters
    ----------
    layer_sizes : sequence of int
        ``(n_features, *hidden_layer_sizes, n_outputs)``, two numbers at least; without a hidden layer the network is
        a linear or logistic model.
    activation : str or sequence of str, default "sigmoid"
        Of the hidden layers, one name or one a layer: identity, sigmoid (or logistic), tanh, relu, softsign.
    output_activation : str, default "identity"
        One of these, or exp or softmax.
    loss : str, default "squared_error"
        squared_error goes with any output activation but softmax, log_loss with softmax, binary_log_loss with
        sigmoid, poisson with exp.
    dtype : "float64" (default) or "float32"
        The precision of the parameters and of everything computed.
    random_state : int, numpy.random.RandomState or None
        Draws the initial weights and biases: uniform in +-sqrt(f / (n_in + n_out)), f = 2 where the activation is
        sigmoid, else 6 (Glorot & Bengio 2010, as scikit-learn draws them and from the same stream). The first name in
        `activation` decides, even without hidden layers.
    shortcuts : bool, default False
        Whether the inputs go to every layer, not only to the first: a layer's own inputs are then those of the network
        followed by the layer below, n_in = n_features + its units, in `weights` and in the rule for the initial ones.
        X must be dense.

    Attributes
    ----------
    layer_sizes, activation : tuple
    output_activation, loss : str
    dtype : numpy.dtype
    shortcuts : bool
    n_parameters : int

    Raises
    ------
    ValueError, TypeError
        For a bad argument; the message names it.
    MemoryError
        If the parameters do not fit in memory.

    Notes
    -----
    Any number of threads may compute with a network at once. While one trains it, another that touches it gets a
    RuntimeError. Denormal numbers (below 2.2e-308 in float64, 1.2e-38 in float32) count as zeros.

    Where `n_threads` is None, a second thread computes where there is work enough for it in a block of 256 rows, and a
    processor: those that the process may run on, within its control groups' quota and ``OMP_NUM_THREADS``, shared
    with the other Python threads that compute; one in a worker of `multiprocessing`. The environment variable
    ``CBACKPROP_NUM_THREADS`` says instead how many processors to use. The results are the same bits for any number.

    Examples
    --------
    >>> import numpy as np
    >>> from cbackprop import SGD, Network
    >>> X, y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])
    >>> network = Network((2, 4, 1), random_state=0)
    >>> losses = network.train(X, y, optimizer=SGD(0.5, momentum=0.9), n_epochs=2000)
    >>> network.predict(X).round(2).ravel() + 0.0
    array([0., 1., 1., 0.])
    """

    cdef readonly tuple layer_sizes
    cdef readonly tuple activation
    cdef readonly str output_activation
    cdef readonly str loss
    cdef readonly object dtype
    cdef readonly bint shortcuts
    cdef object _parameters
    cdef list _weights, _biases
    cdef object _idle  # a deque: Memory of predictions into arrays, one for each that there was at a time
    cdef Plan _plan
    cdef Guard _guard
    cdef object __weakref__

    def __init__(self, layer_sizes, activation="sigmoid", output_activation="identity", loss="squared_error",
                 dtype="float64", random_state=None, *, shortcuts=False):
        self._build(layer_sizes, activation, output_activation, loss, dtype, shortcuts)
        random_state = checks.as_random_state(random_state)
        decisive = activation if isinstance(activation, str) else [*self.activation, self.output_activation][0]
        for weights, biases in zip(self._weights, self._biases):
            bound = np.sqrt((2 if decisive in ("sigmoid", "logistic") else 6) / sum(weights.shape))
            # rows by rows, for the numbers are drawn in double precision
            rows = max(1, NUMBERS_AT_ONCE // weights.shape[1])
            for first in range(0, weights.shape[0], rows):
                part = weights[first:first + rows]
                part[...] = random_state.uniform(-bound, bound, part.shape)
            biases[...] = random_state.uniform(-bound, bound, biases.shape)

    def _build(self, layer_sizes, activation, output_activation, loss, dtype, shortcuts):
        """Everything but the values of the parameters."""
        if self._plan is not None:
            raise RuntimeError("a Network is built once")
        self.layer_sizes = checks.as_layer_sizes(layer_sizes)
        n_hidden = len(self.layer_sizes) - 2
        names = [activation] * n_hidden if isinstance(activation, str) else activation
        if not isinstance(names, (list, tuple)):
            raise TypeError(f"activation must be a name or a sequence of names, got {activation!r}")
        if len(names) != n_hidden:
            raise ValueError(f"activation must have one name for each of {n_hidden} hidden layers, got {activation!r}")
        # without hidden layers a single name is of no use, but must be one
        for name in [activation] if isinstance(activation, str) else names:
            canonical(name, HIDDEN, "activation")
        self.activation = tuple(canonical(name, HIDDEN, "activation") for name in names)
        self.output_activation = canonical(output_activation, OUTPUT, "output_activation")
        check_pair(loss, self.output_activation)
        self.loss = loss
        self.dtype = checks.as_dtype(dtype)
        self.shortcuts = checks.as_bool("shortcuts", shortcuts)
        n_shortcuts = self.layer_sizes[0] if self.shortcuts else 0
        shapes = [(n_below + (n_shortcuts if k > 0 else 0), n_out)
                  for k, (n_below, n_out) in enumerate(zip(self.layer_sizes[:-1], self.layer_sizes[1:]))]
        self._parameters = checks.empty_parameters(self.layer_sizes, shapes, self.dtype)
        self._plan = Plan(
            self.layer_sizes, (*self.activation, self.output_activation), self.loss, self.dtype, self.shortcuts)
        self._weights, self._biases = [], []
        self._idle = deque()  # for threads, as a list is, and without a reallocation
        start = 0
        for n_in, n_out in shapes:
            self._weights.append(self._parameters[start:start + n_in * n_out].reshape(n_in, n_out))
            start += n_in * n_out
            self._biases.append(self._parameters[start:start + n_out])
            start += n_out

    # ---- the parameters ----

    @property
    def n_parameters(self):
        return self._parameters.size

    @property
    def parameters(self):
        """Every weight and bias, of shape (n_parameters,): each layer's weights, row by row, then its biases.

        The array is the network's own memory. Assigning copies values into it.
        """
        self._not_in_training()
        return self._parameters

    @parameters.setter
    def parameters(self, values):
        values = checks.as_array("parameters", values, self.dtype)
        if values.shape != self._parameters.shape:
            raise ValueError(f"parameters must have shape {self._parameters.shape}, got {values.shape}")
        if not np.isfinite(values).all():
            raise checks.not_finite("parameters", values)
        self._enter_writer()
        try:
            self._parameters[...] = values
        finally:
            leave_writer(&self._guard)

    @property
    def weights(self):
        """A list of writable views of `parameters`, of shapes (n_in, n_out).

        With shortcuts the first n_features rows of each are for the inputs, the others for the layer below.
        """
        self._not_in_training()
        return list(self._weights)

    @property
    def biases(self):
        """A list of writable views of `parameters`, of shapes (n_out,)."""
        self._not_in_training()
        return list(self._biases)

    # ---- who may come in ----

    def _not_in_training(self):
        if self._enter_reader():
            leave_reader(&self._guard)

    cdef bint _enter_reader(self) except -1:
        """Whether there is a reader to leave: not in a callback, where the trainer itself reads."""
        cdef Entry entry = enter_reader(&self._guard)
        if entry == REFUSED:
            raise RuntimeError("the network is being trained or changed by another thread")
        return entry == ENTERED

    cdef int _enter_writer(self) except -1:
        if not enter_writer(&self._guard):
            raise RuntimeError(
                "the network cannot be changed by a callback of its own training" if is_writer(&self._guard)
                else "the network is being trained, changed or read by another thread")
        return 0

    # ---- computing ----

    def predict(self, X, out=None, *, n_threads=None):
        """The outputs.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        out : array of shape (n_samples, n_outputs), optional
            C-contiguous, in the network's dtype; overwritten and returned. What memory a call with it takes, the
            network keeps for the next one.
        n_threads : int or None
            As in `train`.

        Returns
        -------
        array of shape (n_samples, n_outputs)
        """
        cdef Pointer rows = matrix_of(X, self.dtype, self._plan.layers[0].n_in)
        if (
            n_threads is None and rows is not None and rows.n_rows() <= DIRECT_ROWS and not self._plan.shortcuts
            and rows.n_rows() * self._plan.parameter_rows <= DIRECT_PARAMETERS
        ):
            found = self._predict_directly(X, rows, out)
            if found is not None:
                return found
        X = self._rows(X)
        given = out
        out = checks.as_out(out, X, self.layer_sizes[-1])
        if given is not None and isinstance(X, np.ndarray) and np.may_share_memory(X, out):
            X = X.copy()
        n_threads, n_cpus = as_n_threads(n_threads, self._work(X, X.shape[0], 1))
        keep = given is not None and isinstance(X, np.ndarray)
        memory = self._take_memory(X.shape[0]) if keep else None
        self._layer_by_layer(X, [out], len(self.layer_sizes) - 1, n_threads, n_cpus, memory)
        if keep:
            self._idle.append(memory)
        return out

    cdef _predict_directly(self, X, Pointer rows, out):
        """`predict` for a few rows, of which nothing is packed; None if `out` is not as it must be"""
        cdef Py_ssize_t n_rows = rows.n_rows(), n_outputs = self._plan.layers[self._plan.n_layers - 1].n_out
        cdef lanes_t[2 * ON_THE_STACK] on_the_stack
        cdef lanes_t* panels = on_the_stack
        cdef Memory memory = None
        cdef Block block
        cdef bint given = out is not None
        if not given:
            out = np.empty((n_rows, n_outputs), self.dtype)
        cdef Pointer target = matrix_of(out, self.dtype, n_outputs, True)
        if target is None or target.n_rows() != n_rows or target.shares_memory(rows):
            return None
        if self._plan.widest > ON_THE_STACK:
            if given:
                memory = self._take_memory(1)
                block = memory.rows
            else:
                block = Block(2 * self._plan.widest)
            panels = block.rows
        cdef bint leave = self._enter_reader(), good
        try:
            parameters = Pointer(self._parameters)
            with nogil:
                good = predict_directly(
                    self._plan, parameters.at, rows.at, n_rows, panels, panels + self._plan.widest, target.at)
        finally:
            if leave:
                leave_reader(&self._guard)
        if memory is not None:
            self._idle.append(memory)
        if not good:
            raise checks.not_finite("X", X)
        return out

    cdef Memory _take_memory(self, Py_ssize_t n_rows):
        """For a prediction of so many dense rows: what an earlier one left, if it is enough"""
        cdef Memory memory = None
        try:
            memory = self._idle.pop()
        except IndexError:  # the first one, or others are under way
            pass
        if memory is None or memory.workspace.stride < min(n_rows, <Py_ssize_t>BLOCK_ROWS):
            memory = Memory(self._plan, n_rows)
        return memory

    def activations(self, X):
        """The activations of every layer.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        list of arrays of shape (n_samples, n_out)
            X first (a copy; a CSR one of a sparse X), the outputs last.
        """
        rows = self._rows(X)
        sparse = isinstance(rows, checks.SparseRows)
        outs = [np.empty((rows.shape[0], size), self.dtype) for size in self.layer_sizes[sparse:]]
        self._layer_by_layer(rows, outs, int(sparse), 1, 0)
        return [X.astype(self.dtype).tocsr(), *outs] if sparse else outs

    cdef _layer_by_layer(
        self, X, list outs, Py_ssize_t first_layer, Py_ssize_t n_threads, Py_ssize_t n_cpus, Memory memory=None
    ):
        """outs[k] := activations of layer first_layer + k"""
        cdef bint leave = self._enter_reader()
        cdef Py_ssize_t k, n_rows = X.shape[0]
        cdef Call call
        cdef Team team
        try:
            if memory is None:
                memory = Memory(self._plan, n_rows, isinstance(X, checks.SparseRows))
            call = Call(self._plan, self._parameters, n_rows, X, workspace=memory.workspace, packed=memory.rows)
            team = Team(self._plan, call.workspace, n_threads, n_cpus,
                        n_rows=call.workspace.stride, helpers=memory.helpers)
            pointers = [Pointer(out, True) for out in outs]
            for k in range(len(outs)):
                memory.outs[k] = (<Pointer>pointers[k]).at
            with nogil:
                predict_blocks(team, call.parameters.rows, &call.data, n_rows, first_layer, memory.outs)
            call.check(X, None, None)
        finally:
            if leave:
                leave_reader(&self._guard)

    def loss_value(self, X, y, sample_weight=None, reduction="mean", *, n_threads=None):
        """The loss.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples, n_outputs), or (n_samples,) for one output
            For log_loss the rows are probabilities, or y is a vector of class numbers.
        sample_weight : array-like of shape (n_samples,), optional
        reduction : "mean" or "sum"
            The sum over the data points, or divided by their number (or by the sum of their weights).
        n_threads : int or None
            As in `train`.

        Returns
        -------
        float
        """
        return self._gradients(X, y, sample_weight, reduction, n_threads, False)[0]

    def loss_and_gradient(self, X, y, sample_weight=None, reduction="mean", *, n_threads=None):
        """The loss and its gradient.

        Parameters
        ----------
        X, y, sample_weight, reduction, n_threads
            As in `loss_value`.

        Returns
        -------
        loss : float
        gradient : array of shape (n_parameters,)
            dC/d parameters, in the order of `parameters`.
        """
        return self._gradients(X, y, sample_weight, reduction, n_threads, True)

    cdef tuple _gradients(self, X, y, sample_weight, reduction, n_threads, bint with_gradient):
        X, targets, classes, sample_weight = self._checked(X, y, sample_weight)
        cdef bint mean = checks.as_reduction(reduction)
        cdef Py_ssize_t n_rows = X.shape[0]
        cdef double loss, weight
        n_threads, n_cpus = as_n_threads(n_threads, self._work(X, min(n_rows, BLOCK_ROWS), 3 if with_gradient else 1))
        cdef bint leave = self._enter_reader()
        cdef Call call
        cdef Team team
        cdef Pointer pointer
        gradient = np.empty_like(self._parameters) if with_gradient else None
        try:
            call = Call(self._plan, self._parameters, n_rows, X, targets, classes, sample_weight,
                        n_sums=n_sums(n_rows) if with_gradient else 0, keep_deltas=with_gradient and n_threads > 1)
            team = Team(self._plan, call.workspace, n_threads, n_cpus)
            with nogil:
                enter_callers()
                flush_denormals()
                if with_gradient:
                    team.sum_gradients(call.parameters.rows, &call.data, NULL, n_rows, &loss, &weight)
                else:
                    team.sum_losses(call.parameters.rows, &call.data, n_rows, &loss, &weight)
                set_float_mode(call.float_mode)
                leave_callers()
            call.check(X, targets, sample_weight)
            if with_gradient:
                pointer = Pointer(gradient, True)
                with nogil:
                    self._plan.unpack(call.workspace.sums[0], pointer.at, &call.workspace.watch)
                call.check(X, targets, sample_weight)
        finally:
            if leave:
                leave_reader(&self._guard)
        if mean:
            loss /= weight
            if with_gradient:
                self._divide(gradient, weight)
        return loss, gradient

    def deltas(self, X, y):
        """The deltas, dC/d preactivations, of every layer but the inputs, for each data point by itself.

        Parameters
        ----------
        X, y
            As in `loss_value`.

        Returns
        -------
        list of arrays of shape (n_samples, n_out)
        """
        X, targets, classes, _ = self._checked(X, y, None)
        outs = [np.empty((X.shape[0], size), self.dtype) for size in self.layer_sizes[1:]]
        return self._derive(X, targets, classes, PREACTIVATIONS, outs)

    def input_gradient(self, X, y):
        """dC/dX, for each data point by itself.

        Parameters
        ----------
        X, y
            As in `loss_value`.

        Returns
        -------
        array of shape (n_samples, n_features)
        """
        X, targets, classes, _ = self._checked(X, y, None)
        return self._derive(X, targets, classes, INPUTS, [np.empty(X.shape, self.dtype)])[0]

    def per_sample_gradients(self, X, y, sample_weight=None):
        """dC/d parameters, for each data point by itself.

        Parameters
        ----------
        X, y, sample_weight
            As in `loss_value`; X is not sparse. Each row is multiplied by its weight.

        Returns
        -------
        array of shape (n_samples, n_parameters)
            In the order of `parameters`. Its sum over the data points is the gradient of `loss_and_gradient` under
            "sum", but for rounding.

        Raises
        ------
        MemoryError
            If the array does not fit in memory.
        """
        X, targets, classes, sample_weight = self._checked(X, y, sample_weight, dense=True)
        out = checks.empty((X.shape[0], self._parameters.size), self.dtype)
        return self._derive(X, targets, classes, PARAMETERS, [out], sample_weight)[0]

    def jacobian(self, X):
        """The derivatives of the outputs by the parameters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_outputs, n_parameters)
            Of the activated outputs, as `predict` gives them; parameters in the order of `parameters`.

        Raises
        ------
        MemoryError
            If the array does not fit in memory.
        """
        X = self._rows(X, dense=True)
        out = checks.empty((X.shape[0], self.layer_sizes[-1], self._parameters.size), self.dtype)
        return self._derive(X, None, None, PARAMETERS, [out])[0]

    def input_jacobian(self, X):
        """The derivatives of the outputs by the inputs.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_outputs, n_features)
            Of the activated outputs, as `predict` gives them.

        Raises
        ------
        MemoryError
            If the array does not fit in memory.
        """
        X = self._rows(X)
        out = checks.empty((X.shape[0], self.layer_sizes[-1], self.layer_sizes[0]), self.dtype)
        return self._derive(X, None, None, INPUTS, [out])[0]

    cdef list _derive(self, X, targets, classes, Variables by, list outs, sample_weight=None):
        """outs := the derivatives of the loss for each data point, or without targets those of each output"""
        cdef bint leave = self._enter_reader(), of_outputs = targets is None and classes is None
        cdef Py_ssize_t k, n_rows = X.shape[0]
        cdef Call call
        cdef Block addresses = Block(len(outs))
        cdef char** pointers = <char**>addresses.rows
        try:
            call = Call(self._plan, self._parameters, n_rows, X, targets, classes, sample_weight, keep_deltas=True,
                        input_deltas=by == INPUTS)
            exported = [Pointer(out, True) for out in outs]
            for k in range(len(outs)):
                pointers[k] = (<Pointer>exported[k]).at
            with nogil:
                flush_denormals()
                derive_blocks(call.workspace, call.parameters.rows, &call.data, n_rows, by, of_outputs, pointers)
                set_float_mode(call.float_mode)
            call.check(X, targets, sample_weight)
        finally:
            if leave:
                leave_reader(&self._guard)
        return outs

    def gauss_newton(self, X, y, sample_weight=None):
        """J^T J and J^T r of a least-squares problem: what Gauss-Newton's and Levenberg's steps are solved from.

        r are the residuals, outputs - y, one for each data point and output; J are their derivatives by the
        parameters, the rows of `jacobian`. J is never there as a whole: rows are added up 64 at a time.

        Parameters
        ----------
        X, y, sample_weight
            As in `loss_value`; X is not sparse, and the loss must be squared_error. Weights make it J^T W J and
            J^T W r.

        Returns
        -------
        square : array of shape (n_parameters, n_parameters)
            J^T J, symmetric to the last bit.
        gradient : array of shape (n_parameters,)
            J^T r: that of `loss_and_gradient` under "sum", but for rounding.

        Raises
        ------
        ValueError
            If the loss is another.
        MemoryError
            If two matrices of that size do not fit in memory.
        """
        if self.loss != "squared_error":
            raise ValueError(f"gauss_newton is of squared_error, the network's loss is {self.loss}")
        X, targets, _, sample_weight = self._checked(X, y, sample_weight, dense=True)
        cdef Py_ssize_t n = self._parameters.size, n_rows = X.shape[0]
        cdef bint leave = self._enter_reader()
        cdef Call call
        cdef NormalEquations equations
        cdef Pointer at, last_at
        try:
            call = Call(self._plan, self._parameters, n_rows, X, targets, None,
                        None if sample_weight is None else np.sqrt(sample_weight), keep_deltas=True)
            square = checks.empty((n, n), self.dtype)
            last_columns = np.empty((n, self._plan.kernels.lanes), self.dtype)
            equations = NormalEquations(call.workspace)
            at, last_at = Pointer(square, True), Pointer(last_columns, True)
            with nogil:
                flush_denormals()
                if not equations.add_up(call.parameters.rows, &call.data, n_rows):
                    equations.write_square(at.at, last_at.at)
                set_float_mode(call.float_mode)
            call.check(X, targets, sample_weight)
        finally:
            if leave:
                leave_reader(&self._guard)
        return square, last_columns[:, n % self._plan.kernels.lanes].copy()

    def hessian_vector_product(self, X, y, v, sample_weight=None, reduction="mean"):
        """The product of the loss's second derivatives by the parameters with a vector, exact (Pearlmutter 1994).

        Parameters
        ----------
        X, y, sample_weight, reduction
            As in `loss_value`; X is not sparse.
        v : array-like of shape (n_parameters,)

        Returns
        -------
        array of shape (n_parameters,)
            H v, the derivative along v of the gradient of `loss_and_gradient`, for about three times its work. Where
            a relu has its kink, its second derivative is taken for 0.
        """
        X, targets, classes, sample_weight = self._checked(X, y, sample_weight, dense=True)
        v = checks.as_array("v", v, self.dtype)
        if v.shape != self._parameters.shape:
            raise ValueError(f"v must have shape {self._parameters.shape}, got {v.shape}")
        if not np.isfinite(v).all():
            raise checks.not_finite("v", v)
        cdef bint mean = checks.as_reduction(reduction)
        cdef Py_ssize_t n_rows = X.shape[0]
        cdef double weight
        cdef bint leave = self._enter_reader()
        cdef Call call
        cdef HessianProduct product
        out = np.empty_like(self._parameters)
        cdef Pointer at = Pointer(out, True), direction = Pointer(v)
        try:
            call = Call(self._plan, self._parameters, n_rows, X, targets, classes, sample_weight,
                        n_sums=n_sums(n_rows), keep_deltas=True)
            product = HessianProduct(Team(self._plan, call.workspace, 1), n_rows)
            with nogil:
                flush_denormals()
                if not (
                    self._plan.pack(direction.at, product.direction, &call.workspace.watch)
                    or product.sum_blocks(call.parameters.rows, &call.data, n_rows, &weight)
                ):
                    self._plan.unpack(call.workspace.sums[0], at.at, &call.workspace.watch)
                set_float_mode(call.float_mode)
            call.check(X, targets, sample_weight)
        finally:
            if leave:
                leave_reader(&self._guard)
        if mean:
            self._divide(out, weight)
        return out

    def _divide(self, gradient, double weight):
        for first in range(0, gradient.size, NUMBERS_AT_ONCE):
            gradient[first:first + NUMBERS_AT_ONCE] /= self.dtype.type(weight)
            PyErr_CheckSignals()

    def _rows(self, X, dense=False):
        """X as the engine takes it."""
        check = checks.as_matrix if dense or self.shortcuts else checks.as_rows
        return check("X", X, self.dtype, self.layer_sizes[0], "features")

    def _checked(self, X, y, sample_weight, any_sign=False, dense=False):
        """(X, targets, classes, sample_weight) as the engine takes them."""
        X = self._rows(X, dense)
        targets, classes = checks.as_targets(y, self.dtype, X.shape[0], self.layer_sizes[-1], self.loss)
        return X, targets, classes, checks.as_weights(sample_weight, self.dtype, X.shape[0], any_sign)

    cdef object _work(self, X, Py_ssize_t n_rows, Py_ssize_t n_products):
        """Multiply-adds of so many rows, with so many products a layer."""
        return n_products * n_rows * work_of_a_row(X, self._parameters.size, self.layer_sizes[1])

    # ---- training ----

    def train(self, X, y, *, optimizer, batch_size=None, n_epochs=1, shuffle=True, random_state=None,
              sample_weight=None, reduction="mean", alpha=0.0, validation_data=None, tol=None, n_iter_no_change=10,
              target_loss=None, max_time=None, callback=None, n_threads=None):
        """Trains by mini-batches.

        Parameters
        ----------
        X, y, sample_weight
            As in `loss_value`. Contiguous arrays in the network's dtype are not copied.
        optimizer : SGD, Adam, AdamW, RMSprop, Rprop, ScaledConjugateGradient, LBFGS, LevenbergMarquardt or
            BayesianRegularization
            Its state lives in it: two calls with one optimizer (and one RandomState) equal one call, but with LBFGS.
        batch_size : int or None
            Rows in a batch; None, or more than there are, for the whole set. The last batch may be smaller.
        n_epochs : int, default 1
        shuffle : bool, default True
            Whether each epoch takes the rows in a fresh order.
        random_state : int, numpy.random.RandomState or None
            Draws the orders, as ``RandomState.permutation`` does.
        reduction : "mean" or "sum"
            Of the gradients in a batch: divided by its number of rows (or by the sum of their weights), or the
            textbook's sum.
        alpha : float >= 0, default 0
            The strength of the L2 term: a batch's loss gets alpha / 2 * (the sum of the squared weights), under "mean"
            divided as the rest is (scikit-learn's definition). Biases are left out.
        validation_data : (X, y) or (X, y, sample_weight), optional
            Data that are not trained on, but whose loss is taken after each epoch: as `loss_value` gives it, without
            the L2 term. It takes the place of the training loss in the three rules that follow, and in the end the
            network has the parameters of the epoch in which it was the least.
        tol : float >= 0 or None
            Training stops when the loss has failed to fall by at least tol in more than n_iter_no_change epochs in a
            row. None: it goes on.
        n_iter_no_change : int or inf, default 10
        target_loss : float >= 0, optional
            Training stops when the loss is as low as that.
        max_time : float > 0, optional
            Seconds, after which training stops: at the end of an epoch or, within 100 ms, inside a long one, which
            then does not count.
        callback : callable, optional
            ``callback(state)`` after each epoch, with ``state.epoch``, ``.loss``, ``.validation_loss`` and
            ``.network``; a true result ends training. An exception in it ends training and is passed on.
        n_threads : int or None
            How many compute together; None for what is worth it, see the notes of the class. The results do not
            depend on it, not in a bit.

        Returns
        -------
        losses : array of shape (n_epochs_done,), float64
            The loss of every epoch. Each batch's is taken before its update, with the L2 term; under "mean" an epoch's
            is their average by numbers of rows, under "sum" their sum.
        validation_losses : the same
            With validation_data only: then the result is the pair. That of an epoch is taken after its last update.

        Raises
        ------
        ValueError
            If a loss or a parameter is not finite any more, with the number of the epoch.

        Notes
        -----
        After an error, Ctrl-C (seen within 100 ms) or a loss that is not finite, the network and the optimizer are as
        the last finished epoch left them. With validation_data the network is as its best epoch left it, whatever ends
        training, while the optimizer is as the last one left it; the callback sees the parameters of each epoch.
        """
        return train_with_order(
            self, X, y, optimizer=optimizer, batch_size=batch_size, n_epochs=n_epochs, shuffle=shuffle,
            random_state=random_state, sample_weight=sample_weight, reduction=reduction, alpha=alpha,
            validation_data=validation_data, tol=tol, n_iter_no_change=n_iter_no_change, target_loss=target_loss,
            max_time=max_time, callback=callback, n_threads=n_threads)

    # ---- the object itself ----

    def __repr__(self):
        return (
            f"Network({self.layer_sizes}, activation={self.activation}, "
            f"output_activation={self.output_activation!r}, loss={self.loss!r}, dtype='{self.dtype}'"
            f"{', shortcuts=True' if self.shortcuts else ''})")

    def __eq__(self, other):
        if not isinstance(other, Network):
            return NotImplemented
        *mine, my_parameters, my_shortcuts = self._parts()
        *theirs, their_parameters, their_shortcuts = other._parts()
        return mine == theirs and my_shortcuts == their_shortcuts and np.array_equal(my_parameters, their_parameters)

    __hash__ = None

    def _parts(self):
        """What makes it, as plain values"""
        cdef bint leave = self._enter_reader()
        try:
            values = self._parameters.copy()
        finally:
            if leave:
                leave_reader(&self._guard)
        return (
            self.layer_sizes, self.activation, self.output_activation, self.loss, self.dtype.name, values,
            self.shortcuts)

    def __reduce__(self):
        parts = self._parts()
        return restore, (type(self), *parts, checks.checksum(parts)), getattr(self, "__dict__", None)


def restore(kind, layer_sizes, activation, output_activation, loss, dtype, parameters, shortcuts=False, checksum=None):
    """A network out of its pickle."""
    cdef Network network = kind.__new__(kind)
    parts = layer_sizes, activation, output_activation, loss, dtype, parameters, shortcuts
    checks.check_checksum("a network", parts, checksum)
    network._build(layer_sizes, activation, output_activation, loss, dtype, shortcuts)
    if parameters.shape != network._parameters.shape or parameters.dtype != network._parameters.dtype:
        raise ValueError(f"the pickle of a network holds parameters of shape {parameters.shape}")
    network._parameters[...] = parameters
    return network


def parts_of(Network network not None):
    """(plan, parameters, capsule of the guard) of a network, for `capi`."""
    if network._plan is None:
        raise TypeError("the Network was never built")
    return network._plan, network._parameters, PyCapsule_New(&network._guard, "cbackprop._guard", NULL)


def train_with_order(
    Network network, X, y, *, sample_weight=None, any_sign=False, validation_data=None, **options
):
    """`Network.train`, with what the estimators need beyond it: `options` as `_train.train` has them.

    With `any_sign` weights of samples may be negative, as scikit-learn takes them.
    """
    data = network._checked(X, y, sample_weight, any_sign)
    validation = None if validation_data is None else checked_validation(network, validation_data, any_sign)
    if validation and isinstance(data[0], checks.SparseRows) != isinstance(validation[0], checks.SparseRows):
        raise TypeError("validation_data: X must be sparse where X is, and dense where X is")
    network._enter_writer()
    try:
        return train(network, network._plan, network._parameters, data, validation=validation, **options)
    finally:
        leave_writer(&network._guard)


def checked_validation(Network network, validation_data, any_sign):
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
        raise TypeError(
            f"validation_data must be (X, y) or (X, y, sample_weight), got {type(validation_data).__name__}")
    X, y, *sample_weight = validation_data
    try:
        return network._checked(X, y, *sample_weight or [None], any_sign)
    except (TypeError, ValueError) as error:
        raise type(error)(f"validation_data: {error}") from None
