"""The engine as C calls it: the same bits as `Network`, a code for every error, one table."""

import copy
import ctypes
import re
import threading

import numpy as np
import pytest
from engine import CODES, ENGINE, ERRORS, HEADER, POINTER, Lent, Table, at
from hypothesis import given, reject, settings
from hypothesis import strategies as st
from processes import run_python

import cbackprop
from cbackprop import SGD, Adam, LevenbergMarquardt, Network, RMSprop, Rprop, capi

ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "softsign")
PAIRS = (
    *(("squared_error", name) for name in (*ACTIVATIONS, "exp")),
    *(("log_loss", "softmax"), ("binary_log_loss", "sigmoid"), ("poisson", "exp")),
)


def data_for(network, n_rows, seed=0):
    """X, y, sample_weight that suit the network."""
    rng = np.random.RandomState(seed)
    X = 0.2 * rng.normal(size=(n_rows, network.layer_sizes[0]))
    y = rng.uniform(size=(n_rows, network.layer_sizes[-1]))
    if network.loss == "log_loss":
        y /= y.sum(axis=1, keepdims=True)
    arrays = X, y, rng.uniform(0.5, 2, size=n_rows)
    return tuple(array.astype(network.dtype) for array in arrays)


def same(a, b):
    """To the last bit."""
    return np.asarray(a).tobytes() == np.asarray(b).tobytes()


@st.composite
def networks(draw):
    loss, output = draw(st.sampled_from(PAIRS))
    sizes = draw(st.lists(st.integers(1, 40), min_size=2, max_size=4))
    activation = [draw(st.sampled_from(ACTIVATIONS)) for _ in sizes[1:-1]]
    dtype = draw(st.sampled_from(["float32", "float64"]))
    seed, shortcuts = draw(st.integers(0, 9)), draw(st.booleans())
    return Network(sizes, activation, output, loss, dtype, seed, shortcuts=shortcuts)


# the kernel for the smallest networks, of one to four panels, and what is just not for it
SMALLEST = [
    Network((n_in, n_hidden, n_out), activation, dtype=dtype, random_state=1)
    for n_in, n_hidden, n_out in ((2, 2, 1), (8, 32, 1), (17, 40, 1), (3, 65, 1), (3, 20, 2))
    for activation in ACTIVATIONS
    for dtype in ("float32", "float64")
]
SMALLEST.append(Network((8, 32, 1), random_state=1, shortcuts=True))


# ---- the same bits as Network ----


@settings(max_examples=60, deadline=None)
@given(networks(), st.integers(1, 600), st.integers(1, 300))
def test_predictions_are_those_of_network(network, n_rows, max_rows):
    X, _, _ = data_for(network, n_rows)
    expected, alone = network.predict(X), network.predict(X[:1])
    with Lent(network, SGD(0.1), max_rows) as lent:
        assert same(lent.predict(X), expected)
        assert same(lent.predict(X[:1]), alone)


@settings(max_examples=60, deadline=None)
@given(networks(), st.integers(1, 600), st.booleans())
def test_losses_and_gradients_are_those_of_network(network, n_rows, weighted):
    X, y, weights = data_for(network, n_rows)
    weights = weights if weighted else None
    loss, gradient = network.loss_and_gradient(X, y, weights, n_threads=1)
    with Lent(network, SGD(0.1), n_rows) as lent:
        found, found_gradient = lent.loss_and_gradient(X, y, weights)
        only = ctypes.c_double()
        ENGINE.loss_and_gradient(lent.handle, at(X), at(y), at(weights), n_rows, only, None)
    assert found == loss == only.value
    assert same(found_gradient, gradient)


OPTIMIZERS = (SGD(0.01), SGD(0.01, 0.9, True), Adam(0.01), RMSprop(0.01, momentum=0.5), Rprop())


def copy_of(optimizer):
    return type(optimizer)(*(getattr(optimizer, name) for name in optimizer._parameter_names))


@settings(max_examples=60, deadline=None)
@given(
    networks(),
    st.sampled_from(OPTIMIZERS),
    st.integers(1, 300),
    st.integers(1, 300),
    st.booleans(),
)
def test_epochs_and_steps_are_those_of_train(network, optimizer, n_rows, batch_size, weighted):
    X, y, weights = data_for(network, n_rows)
    weights = weights if weighted else None
    batch_size = min(batch_size, n_rows)
    ours, theirs, one_by_one = (copy_of(optimizer) for _ in range(3))
    stepped, trained = network.__reduce__()[0](*network.__reduce__()[1]), network
    reference = network.__reduce__()[0](*network.__reduce__()[1])
    order = np.random.RandomState(0).permutation(n_rows).astype(np.intp)
    shuffled = [array if array is None else array[order] for array in (X, y, weights)]
    try:
        losses = reference.train(
            *shuffled[:2],
            sample_weight=shuffled[2],
            optimizer=theirs,
            batch_size=batch_size,
            n_epochs=2,
            shuffle=False,
        )
    except ValueError:  # it diverged
        reject()
    with Lent(trained, ours, batch_size) as lent:
        assert [lent.train(X, y, weights, order, batch_size) for _ in range(2)] == losses.tolist()
        assert same(lent.parameters(), reference.parameters)
    assert same(trained.parameters, reference.parameters)
    assert ours == theirs
    with Lent(stepped, one_by_one, batch_size) as lent:
        for _ in range(2):
            for first in range(0, n_rows, batch_size):
                rows = slice(first, first + batch_size)
                lent.step(*(array if array is None else array[rows] for array in shuffled))
    assert same(stepped.parameters, reference.parameters)
    assert one_by_one == theirs


@pytest.mark.parametrize("network", SMALLEST, ids=str)
def test_online_steps_are_those_of_train(network):
    """Whatever comes between them: the last step is finished before anybody sees it."""
    X, y, _ = data_for(network, 30)
    reference = copy.deepcopy(network)

    def train(first, last, rate=0.05):
        (loss,) = reference.train(
            X[first:last], y[first:last], optimizer=SGD(rate), batch_size=1, shuffle=False
        )
        return loss

    def step(first, last):
        losses = [lent.step(X[k : k + 1], y[k : k + 1]) for k in range(first, last)]
        return np.mean(losses)

    with Lent(network, SGD(0.05), 30) as lent:
        assert step(0, 7) == pytest.approx(train(0, 7), rel=1e-12)
        assert same(lent.predict(X[:1]), reference.predict(X[:1]))
        assert same(lent.predict(X[:9]), reference.predict(X[:9]))
        step(7, 9), train(7, 9)
        assert same(lent.parameters(), reference.parameters)
        step(9, 12), train(9, 12)
        assert lent.loss_and_gradient(X, y)[0] == reference.loss_value(X, y)
        step(12, 14), train(12, 14)
        assert lent.train(X[14:20], y[14:20]) == train(14, 20)
        step(20, 22), train(20, 22)
        assert ENGINE.set_learning_rate(lent.handle, 0.5) == 0
        step(22, 24), train(22, 24, 0.5)
        lent.step(X[24:26], y[24:26])
        reference.train(X[24:26], y[24:26], optimizer=SGD(0.5), shuffle=False)
        step(26, 28), train(26, 28, 0.5)
    assert same(network.parameters, reference.parameters)


@pytest.mark.parametrize("network", SMALLEST, ids=str)
def test_nothing_of_the_callers_is_kept(network):
    """One buffer may hold row after row, as in a loop of C."""
    X, y, _ = data_for(network, 6)
    reference = copy.deepcopy(network)
    reference.train(X, y, optimizer=SGD(0.05), batch_size=1, shuffle=False)
    row, target = X[:1].copy(), y[:1].copy()
    with Lent(network, SGD(0.05)) as lent:
        for k in range(len(X)):
            row[0], target[0] = X[k], y[k]
            lent.step(row, target)
            row[:] = target[:] = np.nan
    assert same(network.parameters, reference.parameters)


def test_parameters_that_are_set_count(dtype):
    network = Network((5, 20, 1), dtype=dtype, random_state=0)
    other = Network((5, 20, 1), dtype=dtype, random_state=1)
    X, y, _ = data_for(network, 3)
    with Lent(network, SGD(0.1)) as lent:
        lent.step(X[:1], y[:1])
        assert lent.set_parameters(other.parameters) == "OK"
        assert same(lent.parameters(), other.parameters)
        assert same(lent.predict(X), other.predict(X))
    assert same(network.parameters, other.parameters)


# ---- networks that C makes ----


def create(sizes=(3, 4, 1), activations=(1, 0), loss=0, precision=8, rate=0.1, seed=0, max_rows=1):
    """(the handle, the name of the code)"""
    handle = POINTER(1)
    sizes = None if sizes is None else np.array(sizes, np.intp)
    activations = None if activations is None else np.array(activations, np.intc)
    n_layers = 0 if activations is None else len(activations)
    code = ENGINE.create(
        *(at(sizes), n_layers, at(activations), loss, precision, rate, seed, max_rows),
        ctypes.addressof(handle),
    )
    return handle, ERRORS[code]


@pytest.mark.parametrize("code", range(len(ACTIVATIONS)))
@pytest.mark.parametrize("pair", PAIRS, ids=" ".join)
def test_created_networks_are_those_of_python(code, pair, dtype):
    loss, output = pair
    network = Network((3, 7, 4, 2), (ACTIVATIONS[code], "tanh"), output, loss, dtype, 11)
    handle, name = create(
        network.layer_sizes,
        [code, CODES["TANH"], CODES[output.upper()]],
        CODES[loss.upper()],
        *(CODES[dtype.upper()], 0.1, 11, 5),
    )
    assert name == "OK"
    sizes = [ctypes.c_ssize_t() for _ in range(3)]
    precision = ctypes.c_int()
    assert ENGINE.describe(handle, *map(ctypes.addressof, (*sizes, precision))) == 0
    assert [size.value for size in sizes] == [3, 2, network.n_parameters]
    assert precision.value == network.dtype.itemsize
    assert ENGINE.describe(handle, None, None, None, None) == 0
    X, y, _ = data_for(network, 5)
    out = np.empty((5, 2), dtype)
    for _ in range(2):
        assert ENGINE.predict(handle, at(X), 5, at(out)) == 0
        assert same(out, network.predict(X))
        network.train(X, y, optimizer=SGD(0.1), shuffle=False)
        assert ENGINE.step(handle, at(X), at(y), None, 5, None) == 0
    assert ENGINE.release(handle) == 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"sizes": None}, "NULL_POINTER"),
        ({"activations": None}, "NULL_POINTER"),
        ({"activations": ()}, "BAD_SIZE"),
        ({"sizes": (3, 0, 1)}, "BAD_SIZE"),
        ({"sizes": (-3, 4, 1)}, "BAD_SIZE"),
        ({"max_rows": 0}, "BAD_SIZE"),
        ({"activations": (5, 0)}, "BAD_NAME"),  # exp in a hidden layer
        ({"activations": (-1, 0)}, "BAD_NAME"),
        ({"activations": (1, 7)}, "BAD_NAME"),
        ({"activations": (1, 6)}, "BAD_NAME"),  # squared error with softmax
        ({"loss": 4}, "BAD_NAME"),
        ({"loss": -1}, "BAD_NAME"),
        ({"loss": 1}, "BAD_NAME"),
        ({"precision": 2}, "BAD_NAME"),
        ({"rate": 0}, "BAD_NUMBER"),
        ({"rate": np.nan}, "BAD_NUMBER"),
        ({"rate": np.inf}, "BAD_NUMBER"),
        ({"sizes": (2**40, 2**40, 1)}, "NO_MEMORY"),
    ],
)
def test_what_cannot_be_created_has_a_code(changes, expected):
    handle, name = create(**changes)
    assert name == expected
    assert not handle
    assert ENGINE.create(None, 1, None, 0, 8, 0.1, 0, 1, None) == CODES["NULL_POINTER"]


# ---- whose it is ----


def test_python_waits_until_it_is_released(dtype):
    network, optimizer = Network((3, 4, 2), dtype=dtype), Adam()
    X, y, _ = data_for(network, 4)
    network.train(X, y, optimizer=optimizer)
    with Lent(network, optimizer):
        for touch in (
            lambda: network.predict(X),
            lambda: network.predict(X[:1]),
            lambda: network.parameters,
            lambda: network.loss_value(X, y),
            lambda: network.train(X, y, optimizer=SGD(0.1)),
            lambda: Network((3, 4, 2), dtype=dtype).train(X, y, optimizer=optimizer),
            lambda: optimizer.mean_squares,
        ):
            with pytest.raises(RuntimeError, match="another thread"):
                touch()
        handle = POINTER(1)
        for pair in ((network, SGD(0.1)), (Network((3, 4, 2)), optimizer)):
            assert ENGINE.lend(*pair, 1, ctypes.addressof(handle)) == CODES["BUSY"]
            assert not handle
    network.train(X, y, optimizer=optimizer)
    assert optimizer.n_steps == 2


def test_a_network_in_training_is_not_lent():
    network, optimizer = Network((3, 4, 2)), SGD(0.1)
    X, y, _ = data_for(network, 4)
    codes = []

    def callback(state):
        handle = POINTER()
        codes.append(ENGINE.lend(network, SGD(0.1), 1, ctypes.addressof(handle)))
        codes.append(ENGINE.lend(Network((3, 4, 2)), optimizer, 1, ctypes.addressof(handle)))

    network.train(X, y, optimizer=optimizer, callback=callback)
    assert codes == [CODES["BUSY"]] * 2


@pytest.mark.parametrize(
    ("network", "optimizer", "max_rows", "expected"),
    [
        (None, SGD(0.1), 1, "BAD_OBJECT"),
        (Network((2, 1)), None, 1, "BAD_OBJECT"),
        (Network.__new__(Network), SGD(0.1), 1, "BAD_OBJECT"),
        (Network((2, 1)), LevenbergMarquardt(), 1, "BAD_OBJECT"),
        (Network((2, 1)), SGD(0.1), 0, "BAD_SIZE"),
    ],
)
def test_what_cannot_be_lent_has_a_code(network, optimizer, max_rows, expected):
    handle = POINTER(1)
    code = ENGINE.lend(network, optimizer, max_rows, ctypes.addressof(handle))
    assert ERRORS[code] == expected
    assert not handle
    assert ENGINE.lend(network, optimizer, max_rows, None) == CODES["NULL_POINTER"]


def test_an_optimizer_of_another_network_is_not_lent():
    network, optimizer = Network((2, 3, 1)), Adam()
    network.train([[0.0, 1.0]], [1.0], optimizer=optimizer)
    other, handle = Network((2, 4, 1)), POINTER(1)
    assert ENGINE.lend(other, optimizer, 1, ctypes.addressof(handle)) == CODES["BAD_OBJECT"]
    other.train([[0.0, 1.0]], [1.0], optimizer=SGD(0.1))  # both are free again
    network.train([[0.0, 1.0]], [1.0], optimizer=optimizer)


def test_networks_live_as_long_as_they_are_lent():
    network = Network((2, 3, 1), random_state=0)
    expected = network.predict([[1.0, 2.0]])
    lent = Lent(network, Adam())
    del network
    for _ in range(3):
        Network((2, 3, 1))
    assert same(lent.predict([[1.0, 2.0]]), expected)
    assert lent.release() == "OK"


def test_each_thread_has_a_handle_of_its_own():
    """Threads that Python never saw are made in the examples."""
    results = {}

    def work(seed):
        network = Network((8, 32, 1), random_state=seed)
        X, y, _ = data_for(network, 200, seed)
        with Lent(network, SGD(0.05)) as lent:
            for _ in range(50):
                lent.train(X, y)
            results[seed] = lent.parameters()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = dict(results)
    for seed in range(4):
        work(seed)
        assert same(results[seed], expected[seed])


# ---- errors ----


def bad(array, value):
    array = array.copy()
    array.flat[-1] = value
    return array


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("sizes", [(8, 32, 1), (5, 9, 3)], ids=str)
@pytest.mark.parametrize("optimizer", [SGD(0.1), Adam()], ids=repr)
def test_numbers_that_are_not_finite_change_nothing(value, sizes, optimizer, dtype):
    network, optimizer = Network(sizes, dtype=dtype), copy_of(optimizer)
    for n_rows in (1, 6):
        X, y, weights = data_for(network, n_rows)
        with Lent(network, optimizer) as lent:
            lent.step(X, y)
            before = lent.parameters()
            assert lent.predict(bad(X, value)) == "BAD_X"
            for given in (lent.step, lent.train, lent.loss_and_gradient):
                assert given(bad(X, value), y) == "BAD_X"
                assert given(X, bad(y, value)) == "BAD_Y"
                assert given(X, y, bad(weights, value)) == "BAD_SAMPLE_WEIGHT"
            assert lent.set_parameters(bad(before, value)) == "BAD_PARAMETERS"
            assert same(lent.parameters(), before)
            assert isinstance(lent.step(X, y), float)


def test_sizes_and_pointers_are_looked_at():
    network = Network((3, 4, 2))
    X, y, weights = data_for(network, 5)
    order = np.arange(5, dtype=np.intp)
    null, size = CODES["NULL_POINTER"], CODES["BAD_SIZE"]
    with Lent(network, SGD(0.1), 4) as lent:
        handle, out, before = lent.handle, np.empty((5, 2)), lent.parameters()
        for n_rows in (0, -1):
            assert ENGINE.predict(handle, at(X), n_rows, at(out)) == size
        for n_rows in (0, -1, 5):
            assert ENGINE.step(handle, at(X), at(y), None, n_rows, None) == size
            assert ENGINE.loss_and_gradient(handle, at(X), at(y), None, n_rows, None, None) == size
            assert ENGINE.train(handle, at(X), at(y), None, 5, None, n_rows, None) == size
        assert ENGINE.train(handle, at(X), at(y), None, 0, None, 1, None) == size
        for place, row in ((0, -1), (4, 5)):
            wrong = order.copy()
            wrong[place] = row
            assert lent.train(X, y, order=wrong) == "BAD_ORDER"
        for arguments in (
            (None, at(X), 5, at(out)),
            (handle, None, 5, at(out)),
            (handle, at(X), 5, None),
        ):
            assert ENGINE.predict(*arguments) == null
        for pointers in ((None, at(X), at(y)), (handle, None, at(y)), (handle, at(X), None)):
            assert ENGINE.step(*pointers, None, 1, None) == null
            assert ENGINE.train(*pointers, None, 1, None, 1, None) == null
            assert ENGINE.loss_and_gradient(*pointers, None, 1, None, None) == null
        assert ENGINE.get_parameters(handle, None) == ENGINE.get_parameters(None, at(out)) == null
        assert ENGINE.set_parameters(handle, None) == ENGINE.set_parameters(None, at(out)) == null
        assert ENGINE.set_learning_rate(None, 0.1) == null
        assert ENGINE.describe(None, None, None, None, None) == null
        for rate in (0.0, -1.0, np.nan, np.inf):
            assert ENGINE.set_learning_rate(handle, rate) == CODES["BAD_NUMBER"]
        assert same(lent.parameters(), before)
        # what may be NULL
        assert ENGINE.train(handle, at(X), at(y), None, 5, None, 4, None) == 0
        assert ENGINE.loss_and_gradient(handle, at(X), at(y), at(weights), 4, None, None) == 0
    assert ENGINE.release(None) == 0


def test_weights_that_are_all_zero(dtype):
    """A batch of them changes nothing, as in `Network.train`; they have no mean."""
    network = Network((5, 9, 3), dtype=dtype)
    X, y, weights = data_for(network, 6)
    with Lent(network, Adam()) as lent:
        before = lent.parameters()
        assert lent.step(X, y, 0 * weights) == lent.train(X, y, 0 * weights) == 0
        assert lent.loss_and_gradient(X, y, 0 * weights) == "BAD_SAMPLE_WEIGHT"
        assert same(lent.parameters(), before)


@pytest.mark.parametrize("sizes", [(8, 32, 1), (5, 9, 3)], ids=str)
def test_what_diverges_is_not_handed_on(sizes, dtype):
    network = Network(sizes, "relu", dtype=dtype, random_state=0)
    X, y, _ = data_for(network, 20)
    y *= 1e10
    at_first = network.parameters.copy()
    too_much = SGD(float(np.finfo(dtype).max) / 10)
    lent = Lent(network, too_much, 20)
    assert lent.train(X, y) == "DIVERGED"
    assert same(lent.parameters(), at_first)
    assert isinstance(lent.step(X[:1], y[:1]), float)
    ruined = lent.parameters()
    assert not np.isfinite(ruined).all()
    for _ in range(2):
        assert lent.step(X[:1], y[:1]) == "DIVERGED"
        assert same(lent.parameters(), ruined)
    assert lent.release() == "DIVERGED"
    assert same(network.parameters, at_first)
    assert too_much.n_steps == 0
    # and may go on from parameters that are set
    with Lent(network, too_much, 20) as lent:
        lent.step(X[:1], y[:1])
        assert lent.set_parameters(at_first) == "OK"
        assert ENGINE.set_learning_rate(lent.handle, 0.01) == 0
        assert isinstance(lent.step(X[:1], y[:1] / 1e10), float)
    assert np.isfinite(network.parameters).all()


def test_every_code_has_a_sentence():
    sentences = [ENGINE.message(code).decode() for code in ERRORS]
    assert list(ERRORS) == list(range(15))
    assert len(set(sentences)) == 15
    assert ENGINE.message(-1) == ENGINE.message(15) == b"no code of cbackprop's"


# ---- the table and the declarations ----


def declarations(text):
    return dict(re.findall(r"(CBACKPROP_\w+) = (\d+)", text))


def test_cython_and_c_have_the_same_codes():
    in_c = declarations(HEADER.read_text("utf-8"))
    package = HEADER.parent.parent
    assert declarations((package / "capi.pxd").read_text("utf-8")) == in_c
    shown = re.findall(r"CBACKPROP_\w+", (package / "__init__.pxd").read_text("utf-8"))
    assert sorted(shown) == sorted(in_c)
    # and those of the engine
    from cbackprop import activations, losses

    names = {name.removeprefix("CBACKPROP_").lower(): int(code) for name, code in in_c.items()}
    assert {name: names[name] for name in activations._CODES} == activations._CODES
    assert {name: names[name] for name in losses._CODES} == losses._CODES


def test_cython_sees_functions_on_an_opaque_pointer_only():
    """No classes, memoryviews or layouts, and no exceptions."""
    package = HEADER.parent.parent
    text = (package / "capi.pxd").read_text("utf-8")
    text = re.sub(r"#[^\n]*", "", re.sub(r'""".*?"""', "", text, flags=re.DOTALL))
    declared = re.findall(r"^cdef (\w[^(\n:]*\(.*?\)[^()\n]*)$", text, re.MULTILINE | re.DOTALL)
    functions = {re.search(r"(\w+)\(", one)[1]: one for one in declared}
    assert sorted(functions) == sorted(capi.__pyx_capi__)
    assert "class" not in text
    for name, declaration in functions.items():
        assert "[" not in declaration
        ending = {"lend": "noexcept", "create": "noexcept with gil", "release": "noexcept with gil"}
        assert declaration.rstrip().endswith(ending.get(name, "noexcept nogil"))
    shown = (package / "__init__.pxd").read_text("utf-8")
    assert re.findall(r"^(?:from|import|cimport) (\S+)", shown, re.MULTILINE) == ["cbackprop.capi"]


def test_the_exported_signatures_stay_what_they_are(request):
    """A changed line breaks programs that were compiled before; new ones are added at the end."""
    expected = (request.path.parent / "capi_signatures.txt").read_text("utf-8").splitlines()
    name_of = ctypes.pythonapi.PyCapsule_GetName
    name_of.restype, name_of.argtypes = ctypes.c_char_p, [ctypes.py_object]
    found = {name: name_of(capsule).decode() for name, capsule in capi.__pyx_capi__.items()}
    assert sorted(f"{name}: {signature}" for name, signature in found.items()) == sorted(expected)
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text("utf-8"), flags=re.DOTALL)
    entries = re.findall(r"\(\*(\w+)\)\(", text)
    assert entries == [line.split(":")[0] for line in expected]
    assert [name for name, _ in Table._fields_] == ["size", "abi_version", *entries]
    assert ENGINE.size == ctypes.sizeof(Table)
    assert ENGINE.abi_version == int(re.search(r"ABI_VERSION (\d+)", text)[1])


def test_it_is_loaded_by_those_who_ask_for_it(tmp_path):
    code = "import sys, cbackprop; print('cbackprop.capi' in sys.modules)"
    result = run_python("-c", code, cwd=tmp_path)
    assert result.stdout == "False\n"


def test_the_floating_point_mode_is_the_callers():
    """Denormal numbers are zeros in the engine, as in `Network`, and numbers outside."""
    network = Network((1, 1), random_state=0)
    network.parameters = [1.0, 0.0]
    tiny = np.array([[2.0**-1060]])
    assert network.predict(tiny) == 0
    with Lent(network, SGD(0.1)) as lent:
        assert lent.predict(tiny) == 0
        assert tiny[0, 0] * 2.0**100 == 2.0**-960
        lent.step(tiny, tiny)
        lent.train(tiny, tiny)
        lent.loss_and_gradient(tiny, tiny)
        assert tiny[0, 0] * 2.0**100 == 2.0**-960
    assert cbackprop.Network is Network
