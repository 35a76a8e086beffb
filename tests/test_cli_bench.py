"""The benchmark: everyone computes the same, and what is printed and written has its form."""

import json
import os
import re
import shutil
import subprocess
import sys
from copy import deepcopy
from itertools import pairwise

import numpy as np
import pytest

import cbackprop
from cbackprop import cli
from cbackprop.cli import bench, machine, measuring
from cbackprop.cli.peers import PEERS, CannotTakePart, Cbackprop, NumpyByHand, PurePython
from cbackprop.cli.terminal import in_microseconds
from cbackprop.cli.workloads import LEARNING_RATE, SHUFFLE_SEED, WORKLOADS, orders

NAMES = ["xor", "tabular", "digits"]
SOME_ROWS = {"xor": 4, "online": 9, "tabular": 70, "digits": 250, "mnist": 70, "deep": 90}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What the command prints and writes for three workloads, in next to no time."""
    folder = tmp_path_factory.mktemp("bench")
    command = [sys.executable, "-m", "cbackprop", "bench", *NAMES, "--json", "result.json"]
    finished = subprocess.run(
        [*command, "--rounds", "2", "--seconds", "0.02"],
        cwd=folder,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout, json.loads((folder / "result.json").read_text(encoding="utf-8"))


def blocks_of(output):
    """The peers' lines, by the line above them."""
    blocks = {}
    for line in output.splitlines():
        if line.partition(" ")[0] in WORKLOADS:
            lines = blocks[line] = []
        elif line.startswith("  "):
            lines.append(line)
    return blocks


# ---- what is printed and written -----------------------------------------------------------


def test_output_fits_a_terminal(outcome):
    output, _ = outcome
    lines = output.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line == line.rstrip() for line in lines)
    assert not [c for c in output if ord(c) < 32 and c != "\n"]


def test_head_says_where_and_with_what(outcome):
    output, result = outcome
    head = output.partition("\n\n")[0].replace("\n", " ")
    machine, versions = result["machine"], result["versions"]
    assert versions["cbackprop"] == cbackprop.__version__
    assert versions["NumPy"] == np.__version__
    assert machine["instruction_set"] in machine["instruction_sets_found"]
    for words in (machine["cpu"], machine["instruction_set"], machine["compiler"], result["date"]):
        assert words in head
    for name in ("cbackprop", "Python", "NumPy"):
        assert f"{name} {versions[name]}" in head


def numbers_of(line):
    return [float(word.replace(",", "").rstrip("×%")) for word in line.split() if word[0].isdigit()]


def test_table_shows_the_results(outcome):
    output, result = outcome
    blocks = blocks_of(output)
    assert list(blocks) == [
        "xor 2-2-1, a step of 1 row",
        "tabular 8-64-64-1, a step of 32 rows",
        "digits 64-100-10, a step of 200 rows",
    ]
    for lines, workload in zip(blocks.values(), result["workloads"], strict=True):
        assert [line[2:28].strip() for line in lines] == list(workload["peers"])
        own = workload["peers"]["cbackprop"]["seconds_min"]
        for line, peer in zip(lines, workload["peers"].values(), strict=True):
            fastest, median, spread, last = numbers_of(line[28:])
            assert fastest == pytest.approx(1e6 * peer["seconds_min"], rel=6e-3)
            assert median == pytest.approx(1e6 * peer["seconds_median"], rel=6e-3)
            assert spread == pytest.approx(max(peer["rounds"]) / min(peer["rounds"]), abs=6e-3)
            if peer["seconds_min"] == own:
                share = workload["operations_per_step"] / max(workload["peaks_gflops"]) / 1e9 / own
                assert last == pytest.approx(100 * share, abs=0.06)
            else:
                assert last == pytest.approx(peer["seconds_min"] / own, rel=6e-3)


def test_json_keeps_every_round(outcome):
    _, result = outcome
    assert result["dtype"] == "float32"
    peaks = [peak for workload in result["workloads"] for peak in workload["peaks_gflops"]]
    assert len(peaks) == 2 * len(NAMES)
    assert result["peak_gflops"] == max(peaks) > 0
    for workload in result["workloads"]:
        assert list(workload["peers"]) == [peer.name for peer in PEERS]
        assert workload["skipped"] == {}
        assert 0 < workload["share_of_core"] < 1.1  # two clocks
        for peer in workload["peers"].values():
            assert 1 <= len(peer["rounds"]) <= 2
            assert all(seconds > 0 for seconds in peer["rounds"])
            assert peer["seconds_min"] == min(peer["rounds"])
            assert peer["seconds_median"] == pytest.approx(np.median(peer["rounds"]))
            assert peer["steps_per_round"] >= 1
            assert 0 <= peer["difference"] < measuring.TOLERANCE["float32"]
        for name in ("cbackprop", "NumPy"):
            assert workload["peers"][name]["steps_per_round"] % workload["steps_per_epoch"] == 0


def test_a_peer_that_is_left_out_says_why(capsys):
    times = {"seconds_min": 0.5, "seconds_median": 0.6, "rounds": [0.5, 0.6, 0.7]}
    workload = {"task": "training", "name": "wide", "layers": [784, 1024, 1024, 10], "batch": 256}
    workload |= {"operations_per_step": 1e9, "peaks_gflops": [1.0, 4.0]}
    workload |= {"peers": {"cbackprop": times, "NumPy": times}}
    workload["skipped"] = {"PyTorch": "No module named 'torch'", "Other": "because " * 30}
    bench.print_workload(bench.Terminal(), workload)
    _, head, own, numpy, missing, long = capsys.readouterr().out.splitlines()
    assert head == "wide 784-1024-1024-10, a step of 256 rows"
    assert own.split()[1:] == ["500,000", "600,000", "1.40", "50.0%", "of", "peak"]
    assert numpy.split()[1:] == ["500,000", "600,000", "1.40", "1.00×"]
    assert missing.split(maxsplit=1) == ["PyTorch", "No module named 'torch'"]
    assert max(map(len, (head, own, numpy, missing, long))) <= 80


def test_times_of_predicting_are_those_of_a_row(capsys):
    times = {"seconds_min": 0.5, "seconds_median": 0.5, "rounds": [0.5]}
    workload = {"task": "predicting", "name": "online", "layers": [8, 32, 1], "rows": 20000}
    workload |= {"operations_per_step": 1e9, "peaks_gflops": [4.0], "skipped": {}}
    bench.print_workload(bench.Terminal(), workload | {"peers": {"cbackprop": times}})
    _, head, own = capsys.readouterr().out.splitlines()
    assert head == "online 8-32-1, a row predicted of 20,000"
    assert own.split()[1:] == ["25.0", "25.0", "1.00", "50.0%", "of", "peak"]


@pytest.mark.parametrize(("share", "said"), [(0.5, True), (0.99, False)])
def test_other_processes_are_mentioned(share, said, outcome, capsys):
    result = deepcopy(outcome[1])
    result["workloads"][1]["share_of_core"] = share
    for other in (0, 2):
        result["workloads"][other]["share_of_core"] = 1.0
    bench.print_foot(bench.Terminal(), result, 1.0)
    assert ("had the core for 50% of" in capsys.readouterr().out) == said


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (1.28e-7, "0.128"),
        (9.71e-8, "0.0971"),
        (1.31e-6, "1.31"),
        (2.52e-4, "252"),
        (0.5, "500,000"),
    ],
)
def test_microseconds_have_three_digits(seconds, text):
    assert in_microseconds(seconds) == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nor"], "no workload is called 'nor'; known are xor, online, tabular"),
        (["xor", "--rounds", "0"], "invalid positive int value: '0'"),
        (["xor", "--seconds", "inf"], "invalid positive float value: 'inf'"),
        (["xor", "--dtype", "float16"], "invalid choice: 'float16'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message, capsys):
    with pytest.raises(SystemExit) as error:
        cli.main(["bench", *arguments])
    assert error.value.code == 2
    assert message in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_one_line(tmp_path, capsys):
    # Where there is no folder, that is said before a minute of measuring.
    assert cli.main(["bench", "xor", "--json", str(tmp_path / "missing" / "x.json")]) == 1
    output = capsys.readouterr()
    assert (output.out, output.err.count("\n")) == ("", 1)
    assert "no folder" in output.err
    with pytest.raises(bench.BenchError, match="the results were not written"):
        bench.write_json(tmp_path, {})


# ---- everyone computes the same ------------------------------------------------------------


def reference(problem, n_epochs):
    """The weights after these epochs: slow, obvious, in float64."""
    sizes = problem.layer_sizes
    parameters = problem.parameters.astype(np.float64)
    layers, start = [], 0
    for n_in, n_out in pairwise(sizes):
        weights = parameters[start : start + n_in * n_out].reshape(n_in, n_out)
        biases = parameters[start + n_in * n_out : start + (n_in + 1) * n_out]
        layers.append((weights, biases))
        start += (n_in + 1) * n_out
    random = np.random.RandomState(SHUFFLE_SEED)
    n_samples = len(problem.X)
    y = problem.y[:, None] if sizes[-1] == 1 else np.eye(sizes[-1])[problem.y]
    for _ in range(n_epochs):
        order = np.arange(n_samples)
        random.shuffle(order)
        for first in range(0, n_samples, problem.batch_size):
            batch = order[first : first + problem.batch_size]
            activations = [problem.X[batch].astype(np.float64)]
            for weights, biases in layers[:-1]:
                activations.append(1 / (1 + np.exp(-(activations[-1] @ weights + biases))))
            outputs = activations[-1] @ layers[-1][0] + layers[-1][1]
            if sizes[-1] > 1:
                outputs = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)
            deltas = (outputs - y[batch]) / len(batch)
            for (weights, biases), below in zip(layers[::-1], activations[::-1], strict=True):
                deltas_below = (deltas @ weights.T) * below * (1 - below)
                weights -= LEARNING_RATE * below.T @ deltas
                biases -= LEARNING_RATE * deltas.sum(axis=0)
                deltas = deltas_below
    return parameters


@pytest.mark.parametrize("dtype", measuring.TOLERANCE)
@pytest.mark.parametrize(
    ("name", "peer_class"),
    [
        pytest.param(name, peer_class, id=f"{name}-{peer_class.name}")
        for name in SOME_ROWS
        for peer_class in PEERS
        if peer_class is not PurePython or name not in ("mnist", "deep")  # too slow for a test
    ],
)
def test_peers_take_the_steps_of_the_reference(name, peer_class, dtype):
    problem = WORKLOADS[name].problem(dtype, n_samples=SOME_ROWS[name])
    expected = reference(problem, n_epochs=2) - problem.parameters
    peer = peer_class(problem)
    for _ in range(2):  # the second time after a restart
        peer.restart()
        peer.train(2 * problem.steps_per_epoch)
        change = peer.parameters - problem.parameters.astype(np.float64)
        difference = np.linalg.norm(change - expected) / np.linalg.norm(expected)
        assert difference < measuring.TOLERANCE[dtype]


def test_pure_python_may_stop_within_an_epoch():
    problem = WORKLOADS["tabular"].problem("float64", n_samples=70)
    first_batch = next(orders(70))[:32]
    network = cbackprop.Network(problem.layer_sizes)
    network.parameters = problem.parameters
    _, gradient = network.loss_and_gradient(problem.X[first_batch], problem.y[first_batch])
    peer = PurePython(problem)
    peer.restart()
    peer.train(1)
    expected = problem.parameters - LEARNING_RATE * gradient
    np.testing.assert_allclose(peer.parameters, expected, rtol=1e-9, atol=1e-12)


def test_pure_python_leaves_out_what_takes_more_than_a_second():
    with pytest.raises(CannotTakePart, match="more than 1 s"):
        PurePython(WORKLOADS["wide"].problem("float32", n_samples=8 * 256))


class WithoutShuffling(Cbackprop):
    name = "wrong"

    def train(self, n_steps):
        self._network.train(
            self.problem.X,
            self.problem.y,
            optimizer=cbackprop.SGD(LEARNING_RATE),
            batch_size=self.problem.batch_size,
            n_epochs=n_steps // self.problem.steps_per_epoch,
            shuffle=False,
        )


class WithoutBiases(NumpyByHand):
    name = "wrong"

    @property
    def parameters(self):
        parameters = super().parameters.copy()
        n_outputs = self.problem.layer_sizes[-1]
        parameters[-n_outputs:] = self.problem.parameters[-n_outputs:]
        return parameters


class OneStepLess(PurePython):
    name = "wrong"

    def train(self, n_steps):
        super().train(n_steps - 1)


class Diverged(NumpyByHand):
    name = "wrong"

    @property
    def parameters(self):
        return np.full_like(super().parameters, np.nan)


@pytest.mark.parametrize("name", ["xor", "tabular", "digits"])
@pytest.mark.parametrize("dtype", measuring.TOLERANCE)
@pytest.mark.parametrize("wrong", [WithoutShuffling, WithoutBiases, OneStepLess, Diverged])
def test_a_peer_that_computes_something_else_is_an_error(wrong, dtype, name):
    workload = WORKLOADS[name]
    right = wrong.__base__
    measuring.compare_training(workload, dtype, [Cbackprop, right])  # no error
    with pytest.raises(bench.BenchError, match=f"{name}: wrong and cbackprop do not compute"):
        list(measuring.measure_training(workload, dtype, 1, 0.01, [Cbackprop, wrong]))


def test_peers_that_cannot_take_part_are_named():
    class Absent(NumpyByHand):
        name = "absent"

        def __init__(self, problem):
            raise CannotTakePart("is not installed")

    class Slow(NumpyByHand):
        name = "slow"
        longest_step = 0.0

    peers = [Cbackprop, Absent, Slow]
    *_, result = measuring.measure_training(WORKLOADS["xor"], "float32", 1, 0.01, peers)
    assert list(result["peers"]) == ["cbackprop"]
    assert result["skipped"]["absent"] == "is not installed"
    assert re.match(r"a step takes .* s$", result["skipped"]["slow"])


# ---- workloads -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "operations"),
    [
        ("xor", 28),  # 3 products of 2 * 6 operations, less the 8 for deltas of the inputs
        ("tabular", 27_008),
        ("mnist", 409_088),
        ("wide", 9_564_160),
    ],
)
def test_operations_are_those_of_the_products(name, operations):
    sizes = WORKLOADS[name].layer_sizes
    counted = sum(
        2 * n_in * n_out * (3 if k else 2) for k, (n_in, n_out) in enumerate(pairwise(sizes))
    )
    assert WORKLOADS[name].operations_per_row == counted == operations


def test_operations_of_a_step_are_those_of_all_rows():
    mnist = WORKLOADS["mnist"]
    assert mnist.steps_per_epoch == 313
    total = mnist.operations_per_step * mnist.steps_per_epoch
    assert total == pytest.approx(10_000 * mnist.operations_per_row)


# ---- the process that measures -------------------------------------------------------------


def test_its_own_process_hands_over_what_is_yielded():
    assert list(bench.in_own_process(range, 3)) == [0, 1, 2]


def test_a_process_that_dies_is_an_error():
    with pytest.raises(bench.BenchError, match="ended with code 3"):
        list(bench.in_own_process(os._exit, 3))


def test_disagreement_in_the_process_is_one_line(monkeypatch, capsys):
    def disagree(*args):
        raise bench.BenchError("they differ")
        yield

    monkeypatch.setattr(bench, "in_own_process", disagree)
    assert cli.main(["bench", "xor"]) == 1
    assert capsys.readouterr().err == "cbackprop bench: they differ\n"


def test_one_core_is_for_the_process_only(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    held = hasattr(os, "sched_getaffinity")
    before = os.sched_getaffinity(0) if held else None
    with machine.one_core():
        assert os.environ["OMP_NUM_THREADS"] == os.environ["OPENBLAS_NUM_THREADS"] == "1"
        assert not held or os.sched_getaffinity(0) == {min(before)}
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "OPENBLAS_NUM_THREADS" not in os.environ
    assert not held or os.sched_getaffinity(0) == before


@pytest.mark.parametrize(("isa", "setting"), [("x86-64-v3", "Haswell"), ("x86-64-v4", None)])
def test_the_others_are_held_to_avx2_where_cbackprop_is(isa, setting, monkeypatch):
    monkeypatch.setenv("CBACKPROP_ISA", isa)
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    with machine.one_core():
        assert os.environ.get("OPENBLAS_CORETYPE") == setting
        assert "intra_op_parallelism_threads=1" in os.environ["XLA_FLAGS"]
    assert "OPENBLAS_CORETYPE" not in os.environ


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity here")
def test_the_process_is_held_to_one_core(outcome):
    _, result = outcome
    assert result["machine"]["core"] == min(os.sched_getaffinity(0))


@pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
def test_commit_is_that_of_a_checkout_of_cbackprop(tmp_path, monkeypatch):
    package = tmp_path / ".venv" / "cbackprop"
    package.mkdir(parents=True)
    monkeypatch.setattr(cbackprop, "__file__", str(package / "__init__.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert machine.commit() is None
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    machine.git("-C", str(tmp_path), "init")
    machine.git("-C", str(tmp_path), *identity, "commit", "--allow-empty", "-m", "first")
    assert machine.commit() is None  # of something else
    (tmp_path / "cbackprop" / "_kernels").mkdir(parents=True)
    assert machine.commit() == machine.git("-C", str(tmp_path), "rev-parse", "--short", "HEAD")
