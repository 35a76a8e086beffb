"""The command's main job as a user starts it, and the parts of which it is made."""

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points

import numpy as np
import pytest

import cbackprop
from cbackprop import cli
from cbackprop.cli import demo
from cbackprop.datasets import load_auto_mpg


def run_command(folder, *arguments, encoding="utf-8", path=None):
    """`python -m cbackprop ...` in another folder, with its output as a pipe."""
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    if path is not None:
        others = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join([str(path), *([others] if others else [])])
    return subprocess.run(
        [sys.executable, "-m", "cbackprop", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding=encoding,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The demo in UTF-8, with a plot where matplotlib is installed."""
    folder = tmp_path_factory.mktemp("plain")
    return run_command(folder, "demo", "--plot", "curves.png"), folder


@pytest.fixture(scope="module")
def poor(tmp_path_factory):
    """The demo in ASCII, with a plot asked for and matplotlib not installed."""
    folder = tmp_path_factory.mktemp("poor")
    (folder / "sitecustomize.py").write_text("import sys\nsys.modules['matplotlib'] = None\n")
    return run_command(
        folder, "demo", "--plot", "curves.png", encoding="ascii", path=folder
    ), folder


@pytest.fixture(params=["plain", "poor"])
def output(request):
    """What the demo prints, in both."""
    return request.getfixturevalue(request.param)[0].stdout


def test_demo_ends_well(plain):
    pytest.importorskip("matplotlib")
    result, _ = plain
    assert result.stderr == ""
    assert result.returncode == 0


def test_demo_fits_on_a_screen(output):
    lines = output.splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 80  # columns
    assert all(line == line.rstrip() for line in lines)


def test_demo_writes_no_control_characters_on_a_pipe(output):
    assert not [c for c in output if ord(c) < 32 and c != "\n"]


def test_demo_is_ascii_where_there_is_no_more(poor):
    result, _ = poor
    assert result.stdout.isascii()
    assert "dC/dw11" in result.stdout
    assert "*" in result.stdout


def test_gradient_of_the_engine_is_that_of_the_chain_rule(output):
    rows = re.findall(r"[∂d]C/[∂d](\w+) += .*? +(-?\d\.\d+) +(-?\d\.\d+) +(\S+)$", output, re.M)
    assert [row[0] for row in rows] == ["w11", "w12", "w21", "w22", "b1", "b2", "v1", "v2", "c"]
    for _, by_hand, engine, difference in rows:
        assert float(by_hand) == pytest.approx(float(engine), abs=2e-11)
        assert float(difference) < 1e-15


def test_xor_is_learnt(output):
    n_learnt, n_starts = map(int, re.search(r"(\d+) of (\d+) random starts", output).groups())
    assert 0 < n_learnt <= n_starts
    results = re.findall(r"([01]) xor ([01]) = (-?\d\.\d+)", output)
    assert len(results) == 4
    for a, b, value in results:
        assert float(value) == pytest.approx(int(a) ^ int(b), abs=0.1)


def test_network_predicts_fuel_better_than_mean_and_line(output):
    errors = re.findall(r"^ +(.*?) +(\d+\.\d\d) mpg", output, re.M)
    mean, linear, network = (float(error) for _, error in errors)
    assert network < linear < mean

    cars = load_auto_mpg()
    learn, held_out = demo.split(len(cars.y), seed=0)
    assert f"{len(held_out)} held-out cars, learnt from {len(learn)} others" in output
    deviations = cars.y[held_out] - cars.y[learn].mean()
    assert mean == pytest.approx(np.sqrt(np.mean(deviations**2)), abs=0.006)


def test_linear_fit_is_that_of_scikit_learn(output):
    linear_model = pytest.importorskip("sklearn.linear_model")
    cars = load_auto_mpg()
    learn, held_out = demo.split(len(cars.y), seed=0)
    model = linear_model.LinearRegression().fit(cars.X[learn], cars.y[learn])
    residuals = model.predict(cars.X[held_out]) - cars.y[held_out]
    printed = float(re.search(r"linear least squares +(\d+\.\d\d) mpg", output).group(1))
    assert printed == pytest.approx(np.sqrt(np.mean(residuals**2)), abs=0.006)


def test_digits_are_read(output):
    accuracy = float(re.search(r"(\d+\.\d+)% of 449 held-out ones", output).group(1))
    assert 97 <= accuracy <= 100
    # As many wrong ones as are shown are marked, and the marks are true.
    caption = next(line for line in output.splitlines() if re.fullmatch(r"[ \d,is!]{20,}", line))
    assert len(re.findall(r"\d(?!,|!)", caption)) >= 4
    for predicted, true in re.findall(r"(\d), is (\d)!", caption):
        assert predicted != true


def test_three_ways_are_timed(output):
    times = re.findall(
        r"^   (?:fuel|digits), .*? +([\d.,]+) +([\d.,]+) +[\d.,]+[×x] +([\d.,]+) +[\d.,]+[×x]$",
        output,
        re.M,
    )
    assert len(times) == 2
    assert all(float(value.replace(",", "")) > 0 for row in times for value in row)
    difference = float(re.search(r"the three differ by (\S+) at most", output).group(1))
    assert difference < 1e-9


def test_plot_is_written(plain):
    pytest.importorskip("matplotlib")
    result, folder = plain
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert result.stdout.endswith("\nThe loss curves are in curves.png\n")


def test_without_matplotlib_the_demo_says_how_to_get_it(poor):
    result, folder = poor
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "cbackprop demo: no plot: plotting needs matplotlib; install it with: "
        "pip install 'cbackprop[plot]'"
    ]
    assert not (folder / "curves.png").exists()
    assert "5  The same training three ways" in result.stdout


@pytest.mark.parametrize("name", ["missing/curves.png", "curves.nonsense"])
def test_a_plot_that_cannot_be_written_is_one_line(name, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    status = demo.write_plot(demo.Terminal(), {"loss": [1.0, 0.5]}, tmp_path / name)
    assert status == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("cbackprop demo: no plot: ")
    assert output.err.count("\n") == 1


def test_chain_rule_is_the_derivative():
    """Each of the nine against the complex step, which has no rounding to speak of."""
    rng = np.random.default_rng(0)
    parameters, x, y = rng.normal(size=9), rng.normal(size=2), rng.normal()

    def loss(parameters):
        w, b, v, c = parameters[:4].reshape(2, 2), parameters[4:6], parameters[6:8], parameters[8]
        hidden = 1 / (1 + np.exp(-(x @ w + b)))
        return (hidden @ v + c - y) ** 2 / 2

    expected = [loss(parameters + 1e-100j * step).imag / 1e-100 for step in np.eye(9)]
    derivatives = [value for *_, value in demo.chain_rule(parameters.tolist(), x, y)]
    np.testing.assert_allclose(derivatives, expected, rtol=1e-13)


def test_formulas_beside_the_derivatives_are_what_is_computed():
    parameters, (x1, x2), y = [0.1, -0.2, 0.3, 0.4, 0.5, -0.6, 0.7, -0.8, 0.9], (1.5, -2.5), 0.3
    w11, w12, w21, w22, b1, b2, v1, v2, c = parameters
    a1 = 1 / (1 + np.exp(-(x1 * w11 + x2 * w21 + b1)))
    a2 = 1 / (1 + np.exp(-(x1 * w12 + x2 * w22 + b2)))
    names = {"x1": x1, "x2": x2, "v1": v1, "v2": v2, "a1": a1, "a2": a2, "y": y}
    names["p"] = a1 * v1 + a2 * v2 + c
    for _, formula, value in demo.chain_rule(parameters, (x1, x2), y):
        product = re.sub(r"(?<=[\w)]) (?=[\w(])", " * ", formula)
        assert value == pytest.approx(eval(product, names), rel=1e-14), formula


def test_digits_are_shifted_each_way_and_lose_what_leaves_the_picture():
    X = np.arange(1.0, 129.0).reshape(2, 64)
    pictures = [part.reshape(2, 8, 8) for part in demo.shifted_by_a_pixel(X)]
    original = X.reshape(2, 8, 8)
    np.testing.assert_array_equal(pictures[0], original)
    moved = {
        (axis, by): np.roll(original, by, axis=axis).copy() for axis in (1, 2) for by in (-1, 1)
    }
    for (axis, by), picture in moved.items():
        edge = [slice(None)] * 3
        edge[axis] = 0 if by == 1 else -1
        picture[tuple(edge)] = 0
        assert any(np.array_equal(picture, other) for other in pictures[1:])


def test_trainings_that_end_at_different_weights_are_no_comparison(monkeypatch):
    class Wrong(demo.NumpyByHand):
        def train(self, n_steps):
            super().train(n_steps)
            self.parameters[-1] += 1e-6

    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(10, 3)), rng.normal(size=10)
    problem = demo.make_problem([3, 2, 1], X, y, batch_size=4, seed=0)
    times = demo.time_training(demo.Terminal(), problem, n_epochs=2)
    assert times.difference < 1e-14
    monkeypatch.setattr(demo, "NumpyByHand", Wrong)
    with pytest.raises(RuntimeError, match="weights that differ by 1e-06"):
        demo.time_training(demo.Terminal(), problem, n_epochs=2)


# ---- the command around it -----------------------------------------------------------------


def test_the_installed_command_is_this_one():
    (command,) = entry_points(group="console_scripts", name="cbackprop")
    assert command.load() is cli.main


def test_without_arguments_the_command_prints_its_help(capsys):
    assert cli.main([]) == 0
    assert re.search(r"usage: cbackprop .*\bdemo\b.*\bbench\b", capsys.readouterr().out, re.DOTALL)


def test_help_imports_no_subcommand(tmp_path):
    code = (
        "import sys\n"
        "from cbackprop.cli import main\n"
        "main([])\n"
        "assert not {'cbackprop.cli.demo', 'cbackprop.cli.bench'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)


def test_version(tmp_path):
    result = run_command(tmp_path, "--version")
    assert (result.returncode, result.stdout) == (0, f"cbackprop {cbackprop.__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demi"], "invalid choice: 'demi'"),
        (["demo", "--plto", "x.png"], "unrecognized arguments: --plto"),
        (["demo", "--plot"], "expected one argument"),
        (["demo", "--seed", "-1"], "invalid seed value: '-1'"),
        (["demo", "--seed", "one"], "invalid seed value: 'one'"),
        (["--plot"], "unrecognized arguments: --plot"),
    ],
)
def test_wrong_arguments_are_named(arguments, message, capsys):
    with pytest.raises(SystemExit) as error:
        cli.main(arguments)
    assert error.value.code == 2
    assert message in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "cbackprop", "demo"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=120) == 1


def test_ctrl_c_ends_the_command_without_a_traceback(monkeypatch, capsys):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run", interrupted)
    assert cli.main(["demo"]) == 130
    assert capsys.readouterr().err == "\ninterrupted\n"
