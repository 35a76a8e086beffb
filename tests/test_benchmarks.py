"""The scripts of benchmarks/: what they say is what their results hold."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cbackprop.cli import machine, measuring
from cbackprop.cli.peers import Cbackprop, CbackpropPredictor, NumpyByHand
from cbackprop.cli.peers.numpy_by_hand import NumpyPredictor
from cbackprop.cli.terminal import in_microseconds
from cbackprop.cli.workloads import WORKLOADS

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = (
    *("adam", "fits", "sklearn_fits", "scaling", "threads", "memory"),
    *("proben1", "report"),
)

if not FOLDER.is_dir():
    pytest.skip("the benchmarks do not lie beside the tests", allow_module_level=True)


@pytest.fixture
def script(monkeypatch):
    """A function that imports a script by name, for this test only."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if name in ("common", "charts", "goals", *SCRIPTS):
            del sys.modules[name]


def run_script(name, *args):
    return subprocess.run(
        [sys.executable, FOLDER / f"{name}.py", *args],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_says_what_it_does(name):
    if name == "report":
        pytest.importorskip("matplotlib")
    finished = run_script(name, "--help")
    assert finished.returncode == 0, finished.stderr
    first_line = (FOLDER / f"{name}.py").read_text("utf-8").splitlines()[0].strip('"')
    assert first_line[:60] in " ".join(finished.stdout.split())


# ---- what they compute ----


@pytest.fixture
def proben1_folder(tmp_path):
    """One problem with five inputs and three classes: 30, 20 and 10 examples."""
    rng = np.random.default_rng(0)
    X = rng.random((60, 5)).round(3)
    classes = np.eye(3)[X[:, :3].argmax(axis=1)]
    counts = ("bool_in=2", "real_in=3", "bool_out=3", "real_out=0")
    counts += ("training_examples=30", "validation_examples=20", "test_examples=10")
    rows = [" ".join(map(str, row)) for row in np.column_stack([X, classes]).tolist()]
    (tmp_path / "tiny1.dt").write_text("\n".join([*counts, *rows]) + "\n")
    (tmp_path / "published_no_shortcut.csv").write_text(
        "problem,hidden1,hidden2,output,train_mse_pct,valid_mse_pct,test_mse_pct,test_sd,"
        "class_err_pct,class_sd,epochs\ntiny1,4,2,softsign,1,2,99,0.5,30,2,100\n"
    )
    return tmp_path


def test_proben1_measures_what_the_report_does(script, proben1_folder, monkeypatch):
    proben1 = script("proben1")
    with (proben1_folder / "published_no_shortcut.csv").open() as file:
        (published,) = proben1.csv.DictReader(file)
    problem = proben1.read_problem(proben1_folder, published)
    assert [X.shape for X, _ in problem[:3]] == [(30, 5), (20, 5), (10, 5)]
    networks = []

    class Network(proben1.Network):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)
            networks.append(self)

    monkeypatch.setattr(proben1, "Network", Network)
    run = proben1.train(problem, 0)
    (network,) = networks
    assert network.layer_sizes == (5, 4, 2, 3)
    assert network.activation == ("softsign", "softsign")
    assert network.output_activation == "softsign"
    for part, figure in ((problem.test, "test_mse_pct"), (problem.validation, "valid_mse_pct")):
        X, y = part
        expected = 100 * ((network.predict(X) - y) ** 2).mean()
        assert run[figure] == pytest.approx(expected, rel=1e-12)
    X, y = problem.test
    wrong = [k for k in range(10) if network.predict(X)[k].argmax() != y[k].argmax()]
    assert run["class_err_pct"] == 10 * len(wrong)
    assert 5 <= run["epochs"] <= 3000
    assert run["epochs"] % 5 == 0


def test_proben1_counts_standard_errors(script, proben1_folder):
    finished = run_script(
        *("proben1", str(proben1_folder), "--runs", "3", "--processes", "1"),
        *("--json", str(proben1_folder / "result.json")),
    )
    assert finished.returncode == 0, finished.stderr
    assert "1 of 1 within the published mean + 3 standard errors" in finished.stdout
    result = json.loads((proben1_folder / "result.json").read_text("utf-8"))
    (row,) = result["problems"]
    ours = row["test_mse_pct"]
    error = np.sqrt(ours["sd"] ** 2 / 3 + 0.5**2 / 60)
    assert ours["standard_errors"] == pytest.approx((ours["mean"] - 99) / error)
    assert run_script("proben1", str(proben1_folder / "nowhere")).returncode == 1


def test_a_cliff_is_off_the_line(script):
    off_the_line = script("scaling").off_the_line
    smooth = [(size, 1e-9 * size**1.7) for size in (1, 3, 4, 5, 64, 65, 1000)]
    assert list(off_the_line(smooth)) == []
    for k in range(1, len(smooth) - 1):
        for factor in (1.35, 1 / 1.35):
            bent = smooth.copy()
            bent[k] = smooth[k][0], factor * smooth[k][1]
            found = dict(off_the_line(bent))
            assert found[bent[k]] == pytest.approx(factor)
        bent[k] = smooth[k][0], 1.25 * smooth[k][1]
        assert bent[k] not in dict(off_the_line(bent))


def test_workloads_of_the_axes_are_whole_batches(script):
    for axis, chosen in script("scaling").workloads().items():
        for size, one in chosen.items():
            assert one.n_samples % one.batch_size == 0
            assert one.steps_per_epoch >= 16
            assert (
                size
                == {
                    "width": one.layer_sizes[1],
                    "depth": len(one.layer_sizes) - 2,
                    "batch": one.batch_size,
                }[axis]
            )


def test_turns_are_taken_until_the_time_is_spent(script):
    turns = []

    class Stub:
        def __init__(self, name, seconds):
            self.name, self.seconds, self.spent = name, seconds, 0.0

        def take_turn(self):
            turns.append(self.name)
            self.spent += self.seconds

        def result(self):
            return self.spent

    results = script("common").in_turn([Stub("short", 0.25), Stub("long", 1.0)], 3, seconds=1.5)
    assert "".join(name[0] for name in turns) == "slsls"
    assert results == {"short": 0.75, "long": 2.0}


def test_memory_that_is_allowed(script):
    # 8-64-64-1 has 4801 parameters
    expected = 2**21 + 4 * (4 * 4801 + 32 * (8 + 2 * (64 + 64 + 1)))
    assert script("memory").allowance(WORKLOADS["tabular"], 4) == expected


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["weights", "inputs"])
def test_steps_with_denormals_are_such(kind, dtype, script, monkeypatch):
    memory, trained = script("memory"), []

    class Recording(memory.Network):
        def train(self, X, y, **settings):
            losses = super().train(X, y, **settings)
            trained.append((X, self))
            return losses

    monkeypatch.setattr(memory, "Network", Recording)
    memory.stepper(kind, dtype)
    X, network = trained[-1]
    tiny = np.finfo(dtype).tiny
    # the parameters are denormal or zero before training, the activations after it
    activations = network.activations(X[:5])[1:]
    assert all(np.abs(layer).max() < tiny for layer in activations)


def test_fits_and_trainings_are_timed_in_turn(script):
    peers = script("fits").time_both(WORKLOADS["xor"], "float32", 1, 2)
    assert list(peers) == ["fit", "train"]
    assert all(len(peer["rounds"]) == 2 for peer in peers.values())


def test_the_jobs_of_both_have_goals_and_do_the_same(script):
    pytest.importorskip("sklearn")
    goals, fits = script("goals"), script("sklearn_fits")
    assert [job.name for job in fits.JOBS] == list(goals.FIT_FACTORS)
    both = fits.sides()
    (job,) = (job for job in fits.JOBS if job.prepare is fits.one_row_of_regressor)
    row = fits.measure_job(job, both, 2)
    assert set(row["peers"]) == {"cbackprop", "scikit-learn"}
    assert all(len(peer["rounds"]) == 2 for peer in row["peers"].values())
    assert fits.line_of(row).startswith(job.name)
    other = job._replace(prepare=lambda side: lambda: [1.0 + (side.name == "cbackprop")])
    with pytest.raises(machine.BenchError, match="do not compute the same"):
        fits.measure_job(other, both, 2)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the peak")
def test_the_peak_of_memory_is_found(script):
    common = script("common")

    def work():
        kept.append(np.ones(1 << 20))
        np.ones(1 << 21)

    kept = []
    peak, left = common.rise_of_memory(work)
    # Linux counts in portions
    assert peak == pytest.approx(24 * 1024, abs=1024)
    assert left == pytest.approx(8 * 1024, abs=1024)


def test_threads_start_together(script):
    import threading

    together = threading.Barrier(2, timeout=10)
    seconds = script("threads").seconds_of_threads([together.wait, together.wait])
    assert 0 < seconds < 10


# ---- goals ----


def a_row(name, own, peer, **more):
    peers = {"cbackprop": {"seconds_min": own}, "A": {"seconds_min": peer}, "B": {"seconds_min": 1}}
    row = {"task": "training", "name": name, "operations_per_step": 70, "peaks_gflops": [1e-7]}
    return row | {"rows": 1, "layers": [1, 1], "peers": peers} | more


@pytest.mark.parametrize(
    ("dtype", "name", "own", "peer", "cells"),
    [
        ("float32", "xor", 41e-9, 130e-9, ["≤ 42 ns", "41.0 ns", "≥ 3×", "3.17×", "A"]),
        ("float32", "xor", 43e-9, 43e-9, ["≤ 42 ns", "**43.0 ns**", "≥ 3×", "**1.00×**", "A"]),
        ("float64", "xor", 43e-9, 430e-9, ["–", "43.0 ns", "≥ 3×", "10.0×", "A"]),
        ("float32", "tabular", 1, 3, ["≥ 66% of peak", "70.0%", "≥ 2.6×", "**1.00×**", "B"]),
        ("float32", "mnist", 1, 3, ["≥ 80% of peak", "**70.0%**", "≥ 1.3×", "**1.00×**", "B"]),
        ("float64", "mnist", 0.9, 3, ["≥ 75% of peak", "77.8%", "≥ 1.3×", "**1.11×**", "B"]),
        ("float32", "other", 1, 3, ["–", "–", "–", "1.00×", "B"]),
    ],
)
def test_goals_of_training(dtype, name, own, peer, cells, script):
    pytest.importorskip("matplotlib")
    result = {"machine": {"instruction_set": "x86-64-v3"}, "dtype": dtype}
    result["workloads"] = [a_row(name, own, peer), a_row(name, 1, 1, task="predicting")]
    _, *lines = script("goals").training_goals(result)
    assert lines == [[name, *cells]]


def test_goals_of_predicting(script):
    pytest.importorskip("matplotlib")
    row = a_row("mnist", 1, 1, task="predicting", rows=20)
    row["peers"] |= {"ONNX Runtime": {"seconds_min": 0.5}}
    one = a_row("online", 0.8e-6, 1, task="predicting")
    one["peers"] |= {"estimator": {"seconds_min": 6e-6}, "without out=": {"seconds_min": 0.9e-6}}
    result = {"dtype": "float32", "workloads": [row, one]}
    _, *lines = script("goals").predicting_goals(result)
    assert lines == [
        ["mnist, 20 rows", "≥ 90% of peak", "**70.0%**"],
        ["mnist, 20 rows, against ONNX Runtime", "≥ 1×", "**0.500×**"],
        ["online, 1 row", "≤ 1 µs", "0.90 µs"],
        ["online, 1 row, estimator", "≤ 5 µs", "**6.00 µs**"],
    ]


def fits_result():
    """What `sklearn_fits.py --json` has, but for the head."""
    reached, missed, absent = list(importlib.import_module("goals").FIT_FACTORS)[:3]
    peers = [{"seconds_min": 0.5, "peak_kilobytes": 1234}, {"seconds_min": 0.1}]
    peers[1]["peak_kilobytes"] = 1000
    rows = [
        {"name": reached, "peers": dict(zip(("scikit-learn", "cbackprop"), peers, strict=True))}
    ]
    rows.append(
        {"name": missed, "peers": dict(zip(("cbackprop", "scikit-learn"), peers, strict=True))}
    )
    rows.append({"name": absent, "peers": {}, "skipped": {"cbackprop": "not yet"}})
    return {"workloads": [{"skipped": {}} | row for row in rows]}


def test_goals_of_fits(script):
    goals = script("goals")
    (reached, goal), (missed, other), (absent, third) = list(goals.FIT_FACTORS.items())[:3]
    _, *lines = goals.fit_goals(fits_result())
    assert lines == [
        [reached, "500", "100", f"≥ {goal}×", "5.00×", "1,234", "1,000"],
        [missed, "100", "500", f"≥ {other}×", "**0.200×**", "1,000", "**1,234**"],
        [absent, "–", "–", f"≥ {third}×", "–", "–", "–"],
    ]


# ---- the page ----


def bench_result():
    """What `cbackprop bench --task both --json` writes."""
    result = machine.describe() | {"dtype": "float32", "rounds": 2, "seconds": 0.002}
    trainers, predictors = [Cbackprop, NumpyByHand], [CbackpropPredictor, NumpyPredictor]
    rows = [
        measuring.measure_training(WORKLOADS["xor"], "float32", 2, 0.002, trainers),
        measuring.measure_predicting(WORKLOADS["xor"], 1, "float32", 2, 0.002, predictors),
        measuring.measure_predicting(WORKLOADS["xor"], 20, "float32", 2, 0.002, predictors),
    ]
    return result | {"workloads": [list(row)[-1] for row in rows]}


def rounds(*seconds):
    return {"seconds_min": min(seconds), "seconds_median": np.median(seconds), "rounds": seconds}


@pytest.fixture
def results(script):
    """Of every script, by the name of the file."""
    bench = bench_result()
    head = {key: value for key, value in bench.items() if key != "workloads"}
    xor = {"name": "xor", "layers": [2, 2, 1]}
    points = [{"size": 2**k, "operations": 2**k, **rounds(1e-6 * 2**k)} for k in range(4)]
    points[2]["seconds_min"] *= 1.5
    large = {"name": "tabular", "overhead": 0.071}
    gains = {"name": "wide", "batch": 256, "kind": "inside a batch", "gains": [[1.9, 2], [1, 2]]}
    default = {"name": "xor", "batch": 1, "kind": "default", "seconds": [[2.0, 2.5], [3.0, 2.1]]}
    denormals = {"ordinary": rounds(1.0), "weights": rounds(1.2), "inputs": rounds(1.3)}
    memory = {"memory": {"xor": {"kilobytes": 36, "allowed": 2048}}, "growth_kilobytes": 4}
    memory |= {"import_seconds": [0.02, 0.01], "installed_megabytes": 2.3, "denormals": denormals}
    adam = xor | {"peers": {"cbackprop": rounds(2e-6), "Adam": rounds(3e-6)}}
    return {
        "bench-first": bench,
        "bench-second": bench,
        "adam": head | {"workloads": [adam]},
        "fits": head | {"workloads": [large, xor | {"seconds_per_epoch": 2e-6}]},
        "sklearn_fits": head | fits_result(),
        "scaling": head | {"axes": {"width": points, "batch": points}, "peaks_gflops": [100.0]},
        "threads": head | {"rows": [gains, default]},
        "memory": head | memory,
    }


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.md"
    begin, end = "<!-- made by benchmarks/report.py -->", "<!-- until here -->"
    path.write_text(f"# By hand\n\n{begin}\nold\n{end}\n\nBy hand, too ×\n", encoding="utf-8")
    return path


def report(results, page):
    folder = page.parent / "results"
    folder.mkdir()
    for name, result in results.items():
        (folder / f"{name}.json").write_text(json.dumps(result), encoding="utf-8")
    return run_script("report", "--results", str(folder), "--page", str(page))


def test_the_page_is_made_of_the_results(results, page):
    pytest.importorskip("matplotlib")
    finished = report(results, page)
    assert finished.returncode == 0, finished.stderr
    text = page.read_text("utf-8")
    assert text.startswith("# By hand\n\n<!--")
    assert text.endswith("-->\n\nBy hand, too ×\n")
    assert "\nold\n" not in text
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    # training of both files, then predicting of both
    rows = [row for row in cells if row[:2] == ["xor", "2-2-1"]]
    assert len(rows) == 2 * 3 + 1
    training, one, twenty = results["bench-first"]["workloads"]
    for row, result, n_units in zip(rows[1:], (training, one, twenty), (1, 1, 20), strict=False):
        own, numpy = (result["peers"][name] for name in ("cbackprop", "NumPy"))
        fastest, median = (
            in_microseconds(own[f"seconds_{k}"] / n_units) for k in ("min", "median")
        )
        assert row[3] == f"{fastest} ({median})"
        assert row[5].startswith(in_microseconds(numpy["seconds_min"] / n_units) + ", ")
        ratio = float(row[5].split(", ")[-1].rstrip("×").replace(",", ""))
        assert ratio == pytest.approx(numpy["seconds_min"] / own["seconds_min"], rel=6e-3)
    assert rows[-1] == ["xor", "2-2-1", "2.00", "3.00", "1.50×"]
    for words in (
        "tabular +7.1%",
        "2.00 µs an epoch",
        "width 4 (1.50×), batch 4 (1.50×)",
        "xor 1.050.",
        "## Whole fits against scikit-learn",
        "| **0.200×** | 1,000 | **1,234** |",
        "(cbackprop: not yet).",
        "10.0 ms",
        "| `fit` over `Network.train`, at most | < 10% | +7.1% (tabular) |",
        "| points off the line by 1.3 | 0 | **2** |",
        "| two threads, inside a batch, wide, batch 256 | ≥ 0.92 of the control's gain | 0.950 |",
        "| `n_threads=None` against one thread | ≤ 1.03 × its time | **1.050 (xor)** |",
        "| memory beyond the data, at most | what is allowed | 2% of it (xor) |",
        "| a step with denormal numbers | ≤ 1.5× the ordinary | 1.30× |",
    ):
        assert words in text
    assert "| wide | 256 | inside a batch | 1.90 | 2.00 | 0.950 |" in text
    assert "denormal weights takes 1.20× the ordinary one, with denormal inputs 1.30×" in text
    charts = {path.name for path in (page.parent / "charts").iterdir()}
    assert charts == {"shares.svg", "scaling.svg"} | {
        f"bench-{which}-{task}.svg"
        for which in ("first", "second")
        for task in ("training", "predicting")
    }
    assert all(f"(charts/{name})" in text for name in charts)
    # again: the same bits
    before = {path: path.read_bytes() for path in page.parent.rglob("*.*") if path.is_file()}
    run_script("report", "--results", str(page.parent / "results"), "--page", str(page))
    assert before == {path: path.read_bytes() for path in before}


def test_a_faster_peer_is_named(results, page):
    pytest.importorskip("matplotlib")
    training = results["bench-first"]["workloads"][0]
    training["peers"]["NumPy"]["seconds_min"] = training["peers"]["cbackprop"]["seconds_min"] / 2
    report({"bench-one": results["bench-first"]}, page)
    isa = results["bench-first"]["machine"]["instruction_set"]
    text = page.read_text("utf-8")
    assert f"- training xor ({isa}, float32): NumPy 0.500×\n" in text
    assert "## Adam" not in text


@pytest.mark.parametrize(
    ("text", "n_results", "message"), [("no marks", 1, "lacks the marks"), (None, 0, "no results")]
)
def test_what_is_missing_is_said(text, n_results, message, results, page):
    pytest.importorskip("matplotlib")
    if text:
        page.write_text(text, encoding="utf-8")
    before = page.read_bytes()
    finished = report(dict(list(results.items())[:n_results]), page)
    assert finished.returncode == 1
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr
    assert page.read_bytes() == before
