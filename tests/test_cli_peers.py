"""Other libraries in the benchmark: those installed agree, those missing say so.

They are imported in processes of their own: they start threads, and take seconds.
"""

import json
import sys
import tempfile
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest
from processes import run_python

from cbackprop.cli import measuring, peers
from cbackprop.cli.peers import CannotTakePart, Cbackprop
from cbackprop.cli.workloads import WORKLOADS

LIBRARIES = {
    "scikit-learn": "sklearn",
    "PyTorch": "torch",
    "torch.compile": "torch",
    "JAX": "jax",
    "ONNX Runtime": "onnxruntime",
}

MEASURE = """
import json
from cbackprop.cli import measuring, peers
from cbackprop.cli.workloads import WORKLOADS
predictors = [*peers.PREDICTORS, *peers.load(peers.OTHER_PREDICTORS)]
trainers = [peers.Cbackprop, *peers.load(peers.OTHER_PEERS)]
compiled = next(peer for peer in trainers if peer.name == "torch.compile")
trainers.remove(compiled)  # compiling takes too long for a test
differences = []
for dtype in ("float32", "float64"):
    for name in ("xor", "tabular", "digits"):
        problem = WORKLOADS[name].problem(dtype, 7)
        differences.append(measuring.compare_training(WORKLOADS[name], dtype, trainers))
        differences.append(measuring.compare_predicting(name, problem, predictors))
*_, training = measuring.measure_training(WORKLOADS["xor"], "float32", 1, 0.001, trainers)
*_, predicting = measuring.measure_predicting(WORKLOADS["xor"], 3, "float32", 1, 0.001, predictors)

import torch
def no_compiler(*args):
    raise RuntimeError("there is no compiler")
torch._dynamo.reset = lambda: None
torch.compile = lambda function, dynamic: no_compiler
compiling = measuring.compare_training(WORKLOADS["xor"], "float32", [peers.Cbackprop, compiled])[1]
print(json.dumps([differences, training, predicting, compiling]))
"""


def run(code, **environment):
    """What it prints."""
    # not in the source tree, whose package would hide the installed one
    finished = run_python("-c", code, cwd=tempfile.gettempdir(), **environment)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def measured():
    for library in {*LIBRARIES.values()}:
        if find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    return json.loads(run(MEASURE))


def test_others_compute_the_same(measured):
    differences, *_ = measured
    for k, (found, skipped) in enumerate(differences):
        others = {*peers.OTHER_PREDICTORS} if k % 2 else {*peers.OTHER_PEERS} - {"torch.compile"}
        assert {*found, *skipped} >= others
        assert {*skipped} <= {"FANN"}
        tolerance = measuring.TOLERANCE["float32" if k < len(differences) / 2 else "float64"]
        assert all(found[name] < tolerance for name in others - {"FANN"})


def test_others_are_timed(measured):
    _, training, predicting, _ = measured
    assert {*training["peers"]} >= {"scikit-learn", "PyTorch", "JAX"}
    assert {*predicting["peers"]} >= {"scikit-learn", "PyTorch", "ONNX Runtime"}
    for row in (training, predicting):
        assert all(peer["seconds_min"] > 0 for peer in row["peers"].values())


def test_torch_compile_says_why_it_does_not_work(measured):
    *_, compiling = measured
    assert compiling == {"torch.compile": "does not compile: there is no compiler"}


# ---- libraries that are missing ----


def test_missing_libraries_are_skipped(monkeypatch):
    for library in LIBRARIES.values():
        monkeypatch.setitem(sys.modules, library, None)
    trainers = [Cbackprop, *peers.load(peers.OTHER_PEERS)]
    predictors = [*peers.PREDICTORS, *peers.load(peers.OTHER_PREDICTORS)]
    xor = WORKLOADS["xor"]
    *_, training = measuring.measure_training(xor, "float32", 1, 0.001, trainers)
    *_, predicting = measuring.measure_predicting(xor, 1, "float32", 1, 0.001, predictors)
    assert {*training["skipped"]} >= {*peers.OTHER_PEERS} - {"FANN"}
    assert {*predicting["skipped"]} == {*peers.OTHER_PREDICTORS}
    for name, reason in (training["skipped"] | predicting["skipped"]).items():
        # ONNX Runtime's peer needs onnx, too, and may miss that first
        assert name == "FANN" or LIBRARIES[name].removesuffix("runtime") in reason


def test_they_are_imported_only_when_asked_for():
    printed = run("import sys, cbackprop.cli.bench; print(*sys.modules)")
    assert not {*LIBRARIES.values(), "cbackprop.cli.peers.fann"} & {*printed.split()}


# ---- FANN ----


@pytest.fixture(scope="module")
def fann():
    from cbackprop.cli.peers.fann import Fann

    try:
        Fann(WORKLOADS["xor"].problem("float32"))
    except CannotTakePart as reason:
        pytest.skip(str(reason))
    return Fann


@pytest.mark.parametrize("dtype", measuring.TOLERANCE)
@pytest.mark.parametrize("name", ["xor", "online"])
def test_fann_with_its_exact_sigmoid_takes_the_same_steps(name, dtype, fann):
    class Exact(fann):
        name = "exact"
        table = False
        tolerance = 1e-5  # its learning rate is a float

    measuring.compare_training(WORKLOADS[name], dtype, [Cbackprop, Exact])  # no error


def test_fann_starts_anew_each_time(fann):
    problem = WORKLOADS["online"].problem("float64", n_samples=10)
    peer, changes = fann(problem), []
    for n_steps in (10, 25, 10):
        peer.restart()
        peer.train(n_steps)
        changes.append(peer.parameters - problem.parameters)
    np.testing.assert_array_equal(changes[0], changes[2])
    assert np.linalg.norm(changes[1]) > 1.5 * np.linalg.norm(changes[0])


def test_fann_takes_online_steps_only(fann):
    with pytest.raises(CannotTakePart, match="online steps only"):
        fann(WORKLOADS["tabular"].problem("float32", n_samples=70))


@pytest.mark.parametrize(("compiler", "message"), [("/no/cc", "needs a C"), ("false", "not comp")])
def test_fann_without_a_compiler_says_so(compiler, message, monkeypatch):
    from cbackprop.cli.peers import fann

    monkeypatch.setenv("CC", compiler)
    fann._library.cache_clear()
    with pytest.raises(CannotTakePart, match=message):
        fann.Fann(WORKLOADS["xor"].problem("float32"))


# ---- the parts of a result ----


def test_rows_are_predicted_to_the_reference():
    for name in ("online", "mnist"):
        problem = WORKLOADS[name].problem("float64", n_samples=2500)
        activations, start = problem.X, 0
        for n_in, n_out in pairwise(problem.layer_sizes):
            weights = problem.parameters[start : start + n_in * n_out].reshape(n_in, n_out)
            start += (n_in + 1) * n_out
            z = activations @ weights + problem.parameters[start - n_out : start]
            activations = 1 / (1 + np.exp(-z))
        expected = z
        if name == "mnist":
            expected = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        for peer in peers.PREDICTORS:
            outputs = peer(problem).predict(2).reshape(len(z), -1)
            np.testing.assert_allclose(outputs, expected, rtol=1e-11, atol=1e-13)


def test_a_predictor_that_computes_something_else_is_an_error():
    class Wrong(peers.PREDICTORS[0]):
        name = "wrong"

        def predict(self, n_calls):
            return super().predict(n_calls) * (1 + 1e-3)

    rows = measuring.measure_predicting(
        WORKLOADS["online"], 5, "float32", 1, 0.001, [peers.PREDICTORS[0], Wrong]
    )
    with pytest.raises(measuring.BenchError, match="wrong and cbackprop do not compute the same"):
        list(rows)


def test_operations_to_predict_are_those_of_the_products():
    *_, row = measuring.measure_predicting(
        WORKLOADS["tabular"], 3, "float32", 2, 0.002, peers.PREDICTORS
    )
    assert row["operations_per_step"] == 3 * 2 * (8 * 64 + 64 * 64 + 64)
    assert list(row["peers"]) == [peer.name for peer in peers.PREDICTORS]
    assert (row["rows"], row["task"], len(row["peaks_gflops"])) == (3, "predicting", 2)
