"""The shipped data against the packages that they were taken from, and against their own labels."""

from importlib.resources import files

import numpy as np
import pytest

from cbackprop import datasets


def test_digits_have_the_documented_shapes_and_ranges():
    digits = datasets.load_digits()
    assert digits.X.shape == (1797, 64)
    assert digits.y.shape == (1797,)
    assert digits.X.dtype == np.float64
    assert digits.y.dtype == np.int64
    assert set(np.unique(digits.X)) == set(range(17))
    # The counts of the test set as the repository's own description lists them.
    assert np.bincount(digits.y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert digits.feature_names[0] == "pixel_0_0"
    assert digits.feature_names[8 * 2 + 5] == "pixel_2_5"
    assert len(digits.feature_names) == 64
    assert digits.target_name == "digit"


def test_a_zero_is_a_ring():
    """The pixels of a digit are in the order that reshape(8, 8) takes them for."""
    digits = datasets.load_digits()
    zero = digits.X[digits.y == 0].mean(axis=0).reshape(8, 8)
    hole, left, top = zero[3:5, 3:5], zero[3:5, 2], zero[1, 3:5]
    assert hole.max() < 2
    assert min(left.min(), top.min()) > 10


def test_auto_mpg_has_the_documented_shapes_and_ranges():
    cars = datasets.load_auto_mpg()
    assert cars.X.shape == (392, 7)
    assert cars.y.shape == (392,)
    assert cars.X.dtype == cars.y.dtype == np.float64
    assert np.isfinite(cars.X).all()
    column = dict(zip(cars.feature_names, cars.X.T, strict=True))
    assert set(column["cylinders"]) == {3, 4, 5, 6, 8}
    assert set(column["origin"]) == {1, 2, 3}
    assert set(column["model_year"]) == set(range(70, 83))
    assert 1600 < column["weight"].min() < column["weight"].max() < 5200
    assert cars.y.min() == 9
    assert cars.y.max() == 46.6
    assert cars.target_name == "mpg"
    # Heavy cars use more fuel: a target column in the wrong place would not know that.
    assert np.corrcoef(column["weight"], cars.y)[0, 1] < -0.8


@pytest.mark.parametrize("load", [datasets.load_digits, datasets.load_auto_mpg])
def test_arrays_are_contiguous_and_the_callers_own(load):
    first = load()
    assert first.X.flags.c_contiguous
    assert first.X.flags.owndata
    assert first.y.flags.owndata
    first.X[:] = -1
    assert (load().X >= 0).all()


@pytest.mark.parametrize("load", [datasets.load_digits, datasets.load_auto_mpg])
def test_the_source_names_repository_and_licence(load):
    source = load().source
    assert "UCI Machine Learning Repository" in source
    assert "https://doi.org/10.24432/" in source
    assert "CC BY 4.0" in source


def test_attribution_and_data_ship_with_the_package():
    folder = files(datasets)
    attribution = (folder / "README.md").read_text(encoding="utf-8")
    for load in (datasets.load_digits, datasets.load_auto_mpg):
        doi = load().source.partition("https://")[2].partition(",")[0]
        assert doi in attribution
    for name in ("digits.csv.gz", "auto_mpg.csv.gz"):
        assert f"`{name}`" in attribution
        assert len((folder / name).read_bytes()) < 100_000


def test_digits_are_those_of_scikit_learn():
    theirs = pytest.importorskip("sklearn.datasets").load_digits()
    ours = datasets.load_digits()
    np.testing.assert_array_equal(ours.X, theirs.data)
    np.testing.assert_array_equal(ours.y, theirs.target)
    assert list(ours.feature_names) == theirs.feature_names


def test_cars_are_those_of_mlxtend():
    X, y = pytest.importorskip("mlxtend.data").autompg_data()
    cars = datasets.load_auto_mpg()
    # Their last column, the name of the car, is no number and reads as NaN.
    np.testing.assert_array_equal(cars.X, X[:, :7])
    np.testing.assert_array_equal(cars.y, y)
