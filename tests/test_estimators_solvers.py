"""Trainers as `solver`: the weights are those of `Network.train`, the parameter stays as it is."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from cbackprop import (
    LBFGS,
    SGD,
    Adam,
    AdamW,
    BayesianRegularization,
    LevenbergMarquardt,
    Network,
    RMSprop,
    Rprop,
    ScaledConjugateGradient,
)
from cbackprop.estimators import ConvergenceWarning, MLPClassifier, MLPRegressor

RNG = np.random.default_rng(5)
X = RNG.normal(size=(50, 3))
LABELS = np.digitize(X[:, 0] + X[:, 1] ** 2, [0, 1])
TARGETS = {
    MLPRegressor: np.column_stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]]),
    MLPClassifier: LABELS,
}
OWN = {  # of each the output activation and the loss
    MLPRegressor: ("identity", "squared_error", 2),
    MLPClassifier: ("softmax", "log_loss", 3),
}
NAMES = {
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "rprop": Rprop,
    "scaled_conjugate_gradient": ScaledConjugateGradient,
    "levenberg_marquardt": LevenbergMarquardt,
    "bayesian_regularization": BayesianRegularization,
}
TRAINERS = {
    "SGD momentum": SGD(0.1, momentum=0.8, nesterov=True),
    "SGD": SGD(0.1),
    "Adam": Adam(0.01, beta_1=0.8, epsilon=1e-6),
    "AdamW": AdamW(0.01, weight_decay=0.1),
    "RMSprop": RMSprop(0.02, momentum=0.5, centered=True),
    "Rprop": Rprop("plus", initial_step=0.01),
    "Rprop iplus": Rprop("iplus", initial_step=np.linspace(0.01, 0.02, 26)),
    "SCG": ScaledConjugateGradient(sigma=1e-5),
    "LBFGS": LBFGS(memory=5),
    "LM": LevenbergMarquardt(mu=0.1, damping="nielsen"),
    "BR": BayesianRegularization(mu_inc=5.0),
}
OF_LEAST_SQUARES = ("LM", "BR")
OF_WHOLE_SETS = ("Rprop iplus", "SCG", "LBFGS", *OF_LEAST_SQUARES)
SMALL = {
    "hidden_layer_sizes": (4,), "activation": "tanh", "max_iter": 6, "tol": 0,
    "n_iter_no_change": np.inf, "random_state": 0,
}  # fmt: skip
CASES = [
    (kind, name)
    for kind in TARGETS
    for name in TRAINERS
    if not (kind is MLPClassifier and name in OF_LEAST_SQUARES)
]
every_case = pytest.mark.parametrize(("kind", "name"), CASES)


def make(kind, name, **parameters):
    solver = TRAINERS.get(name, name) if isinstance(name, str) else name
    if isinstance(solver, Rprop) and kind is MLPClassifier and np.ndim(solver.initial_step):
        solver = Rprop("iplus", initial_step=np.linspace(0.01, 0.02, 31))
    return kind(**SMALL | {"solver": solver} | parameters)


def quietly(model, *data, method="fit", **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return getattr(model, method)(*(data or (X, TARGETS[type(model)])), **more)


def network_for(kind, dtype="float64"):
    """What `fit` begins with, and the stream after it."""
    output_activation, loss, n_outputs = OWN[kind]
    stream = np.random.RandomState(0)
    sizes = (3, 4, n_outputs)
    return Network(sizes, "tanh", output_activation, loss, dtype, random_state=stream)


def parameters_of(model):
    """In the order of `Network.parameters`."""
    pairs = zip(model.coefs_, model.intercepts_, strict=True)
    return np.concatenate([array.ravel() for pair in pairs for array in pair])


def fresh(trainer):
    return copy.deepcopy(trainer)


# ---- the judge: Network.train ----


@pytest.mark.parametrize("weighted", [False, True])
@every_case
def test_the_weights_are_those_of_network_train(kind, name, weighted):
    sample_weight = RNG.uniform(0.5, 2, len(X)) if weighted else None
    model = make(kind, name, shuffle=False, alpha=0 if name == "BR" else 0.1)
    trainer = fresh(model.solver)
    quietly(model, X, TARGETS[kind], sample_weight)
    network = network_for(kind)
    losses = network.train(
        X, TARGETS[kind], optimizer=trainer, n_epochs=6, shuffle=False, sample_weight=sample_weight,
        alpha=model.alpha,
    )  # fmt: skip
    assert_array_equal(parameters_of(model), network.parameters)
    assert (network.parameters != network_for(kind).parameters).all()
    # of several outputs' squared errors scikit-learn, and so the other trainers, reports the mean
    if name in (*OF_WHOLE_SETS, "Rprop") or kind is MLPClassifier:
        assert model.loss_curve_ == losses.tolist()
    assert (model.n_iter_, model.t_) == (6, 6 * len(X))


@pytest.mark.parametrize("name", ["Rprop iplus", "SCG"])
def test_losses_that_trainers_compare_are_not_clipped(name):
    """scikit-learn keeps probabilities an epsilon away from 0, so that a loss is 36 at most."""
    solver = Rprop("iplus") if name == "Rprop iplus" else fresh(TRAINERS[name])
    model = quietly(make(MLPClassifier, solver, hidden_layer_sizes=()), 1000 * X, LABELS)
    network = Network((3, 3), "tanh", "softmax", "log_loss", random_state=0)
    losses = network.train(1000 * X, LABELS, optimizer=solver, n_epochs=6, alpha=1e-4)
    assert losses.max() > 100
    assert model.loss_curve_ == losses.tolist()
    assert_array_equal(parameters_of(model), network.parameters)


@every_case
def test_mini_batches_where_they_can_be(kind, name):
    model = make(kind, name, shuffle=False, batch_size=20)
    trainer = fresh(model.solver)
    if name in OF_WHOLE_SETS:
        before = vars(model).copy()
        message = f"'batch_size' parameter of {kind.__name__} must be 'auto', for all rows at once"
        with pytest.raises(ValueError, match=message):
            model.fit(X, TARGETS[kind])
        assert vars(model) == before
        quietly(model.set_params(batch_size=len(X)))
        expected = quietly(make(kind, name))
        assert_array_equal(parameters_of(model), parameters_of(expected))
        return
    quietly(model)
    network = network_for(kind)
    network.train(
        X, TARGETS[kind], optimizer=trainer, batch_size=20, n_epochs=6, shuffle=False, alpha=1e-4
    )
    assert_array_equal(parameters_of(model), network.parameters)


def test_by_default_rprop_takes_all_rows_and_others_200():
    rng = np.random.default_rng(0)
    rows, y = rng.normal(size=(250, 2)), rng.normal(size=250)
    for solver, size in [(Rprop(), 250), ("rprop", 250), (AdamW(), 200), ("adamw", 200)]:
        model, same = (
            quietly(make(MLPRegressor, solver, batch_size=batch), rows, y)
            for batch in ("auto", size)
        )
        assert_array_equal(parameters_of(model), parameters_of(same))


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", TARGETS)
def test_sgd_and_adam_are_those_of_the_names(kind, early_stopping):
    rules = {
        "sgd": (SGD(0.05, momentum=0.7, nesterov=True), {"momentum": 0.7}),
        "adam": (Adam(0.05, beta_1=0.8, beta_2=0.99, epsilon=1e-7),
                 {"beta_1": 0.8, "beta_2": 0.99, "epsilon": 1e-7}),
    }  # fmt: skip
    for name, (trainer, values) in rules.items():
        more = {"batch_size": 16, "early_stopping": early_stopping}
        one = quietly(make(kind, trainer, **more))
        other = quietly(make(kind, name, learning_rate_init=0.05, **values, **more))
        assert_array_equal(parameters_of(one), parameters_of(other))
        assert one.loss_curve_ == other.loss_curve_
        assert one.validation_scores_ == other.validation_scores_


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_trainer_with_its_defaults(name):
    ignored = {
        "learning_rate_init": 5.0, "learning_rate": "invscaling", "power_t": 3.0, "momentum": 0.1,
        "nesterovs_momentum": False, "beta_1": 0.1, "beta_2": 0.1, "epsilon": 1.0, "max_fun": 1,
    }  # fmt: skip
    model = quietly(make(MLPRegressor, name, **ignored))
    assert_array_equal(
        parameters_of(model), parameters_of(quietly(make(MLPRegressor, NAMES[name]())))
    )


# ---- the parameter ----


@every_case
def test_the_parameter_is_never_changed(kind, name):
    model = make(kind, name, warm_start=True)
    solver, before = model.solver, fresh(model.solver)
    first = parameters_of(quietly(model))
    quietly(model)
    assert model.solver is model.get_params()["solver"] is solver
    assert solver == before and solver.n_steps == 0
    model.set_params(warm_start=False)
    assert_array_equal(parameters_of(quietly(model)), first)


def test_a_trainer_that_has_trained_begins_anew():
    trainer = Adam(0.01)
    network_for(MLPRegressor).train(X, TARGETS[MLPRegressor], optimizer=trainer, n_epochs=3)
    model = quietly(make(MLPRegressor, trainer))
    assert trainer.n_steps == 3
    assert_array_equal(parameters_of(model), parameters_of(quietly(make(MLPRegressor, Adam(0.01)))))


@every_case
def test_clones_are_alike_and_share_nothing(kind, name):
    clone = pytest.importorskip("sklearn.base").clone
    model = make(kind, name)
    again = clone(quietly(model))
    assert again.solver is not model.solver and again.solver == model.solver
    assert_array_equal(parameters_of(quietly(again)), parameters_of(model))
    assert repr(model.solver).split("(")[0] in repr(model).replace("\n", "")
    assert repr(model.solver).split("(")[0] in model._repr_html_()


def test_a_search_over_trainers():
    search = pytest.importorskip("sklearn.model_selection").GridSearchCV
    solvers = [Rprop(), "adam", SGD(1e-9), LevenbergMarquardt(mu=0.01)]
    found = quietly(
        search(make(MLPRegressor, "adam", max_iter=30), {"solver": solvers}, cv=2),
        X, TARGETS[MLPRegressor],
    )  # fmt: skip
    assert found.best_params_ == {"solver": solvers[3]}
    again = quietly(make(MLPRegressor, solvers[3], max_iter=30))
    assert_array_equal(parameters_of(found.best_estimator_), parameters_of(again))


# ---- going on ----

KEEPING = [(kind, name) for kind, name in CASES if name != "LBFGS"]  # whose memory ends with a fit


@pytest.mark.parametrize("way", ["warm start", "pickle", "deepcopy"])
@pytest.mark.parametrize(("kind", "name"), KEEPING)
def test_a_warm_start_goes_on_with_the_state(kind, name, way):
    once = quietly(make(kind, name, shuffle=False))
    twice = quietly(make(kind, name, shuffle=False, warm_start=True, max_iter=4))
    if way == "pickle":
        twice = pickle.loads(pickle.dumps(twice))
    elif way == "deepcopy":
        twice = copy.deepcopy(twice)
    quietly(twice.set_params(max_iter=2))
    assert_array_equal(parameters_of(twice), parameters_of(once))
    assert twice.loss_curve_ == once.loss_curve_
    assert twice._optimizer == once._optimizer


def test_a_warm_start_of_lbfgs_goes_on_with_the_weights():
    one, two = (make(MLPRegressor, "LBFGS", warm_start=True, max_iter=4) for _ in range(2))
    quietly(quietly(one))
    network = network_for(MLPRegressor)
    for _ in range(2):
        network.train(X, TARGETS[MLPRegressor], optimizer=LBFGS(5), n_epochs=4, alpha=1e-4)
    assert_array_equal(parameters_of(one), network.parameters)
    assert len(one.loss_curve_) == 8 and one.t_ == 8 * len(X)
    assert quietly(two).n_iter_ == 4


@pytest.mark.parametrize(
    "other", [AdamW(0.03, weight_decay=0.1), Adam(0.01), "adam", "sgd", "rprop", "adamw"]
)
def test_a_warm_start_with_another_trainer_begins_anew(other):
    model = quietly(make(MLPRegressor, "AdamW", warm_start=True, shuffle=False))
    begin = make(MLPRegressor, other, warm_start=True, shuffle=False)
    quietly(begin)  # to have a network
    begin._network.parameters = model._network.parameters
    vars(begin).pop("_optimizer")
    for one in (begin, model.set_params(solver=fresh(other))):
        quietly(one)
    assert_array_equal(parameters_of(model), parameters_of(begin))


@pytest.mark.parametrize("through_pickle", [False, True])
@every_case
def test_partial_fit_goes_on_with_the_state(kind, name, through_pickle):
    model = make(kind, name, shuffle=False)
    if name in OF_WHOLE_SETS:
        assert not hasattr(model, "partial_fit")
        with pytest.raises(AttributeError, match="partial_fit is only available for stochastic"):
            model.partial_fit(X, TARGETS[kind])
        return
    classes = {"classes": [0, 1, 2]} if kind is MLPClassifier else {}
    network, trainer = network_for(kind), fresh(model.solver)
    for rows in (slice(0, 20), slice(20, 35), slice(35, 50)):
        model.partial_fit(X[rows], TARGETS[kind][rows], **classes)
        if through_pickle:
            model = pickle.loads(pickle.dumps(model))
        network.train(
            X[rows], TARGETS[kind][rows], optimizer=trainer, shuffle=False, alpha=model.alpha
        )
    assert_array_equal(parameters_of(model), network.parameters)
    assert model.t_ == 50


@pytest.mark.parametrize("name", ["adamw", "rmsprop", "rprop"])
def test_partial_fit_with_names_goes_on_too(name):
    named, own = make(MLPRegressor, name), make(MLPRegressor, NAMES[name]())
    named.set_params(solver=name)
    for _ in range(3):
        named.partial_fit(X, TARGETS[MLPRegressor])
        own.partial_fit(X, TARGETS[MLPRegressor])
    assert_array_equal(parameters_of(named), parameters_of(own))


@pytest.mark.parametrize("name", [*NAMES, "lbfgs"])
def test_which_names_have_partial_fit(name):
    assert hasattr(MLPRegressor(solver=name), "partial_fit") == (
        name in ("adamw", "rmsprop", "rprop")
    )


def test_only_what_goes_on_is_pickled_with_its_state():
    wide = {"hidden_layer_sizes": (300,), "solver": AdamW(), "activation": "tanh"}
    model = quietly(MLPRegressor(max_iter=2, random_state=0, **wide))
    size = model._network.parameters.nbytes
    assert len(pickle.dumps(model)) < 1.1 * size + 4000
    assert len(pickle.dumps(quietly(model.set_params(warm_start=True)))) > 3 * size
    # another solver has no state
    model.set_params(solver="adam", warm_start=False).partial_fit(X, TARGETS[MLPRegressor])
    quietly(model.set_params(solver="lbfgs"))
    assert not hasattr(pickle.loads(pickle.dumps(model)), "_optimizer")


@every_case
def test_pickles_hold_the_parameter(kind, name):
    for model in (make(kind, name), quietly(make(kind, name))):
        again = pickle.loads(pickle.dumps(model))
        assert again.solver == model.solver and again.solver is not model.solver
        assert_array_equal(parameters_of(quietly(again)), parameters_of(quietly(model)))


def test_skops():
    skops = pytest.importorskip("skops.io")
    model = quietly(make(MLPRegressor, "Rprop", warm_start=True))
    data = skops.dumps(model)
    again = skops.loads(data, trusted=skops.get_untrusted_types(data=data))
    assert_array_equal(parameters_of(quietly(again)), parameters_of(quietly(model)))


# ---- what a trainer cannot do ----


@pytest.mark.parametrize(
    ("kind", "parameters"), [(MLPClassifier, {}), (MLPRegressor, {"loss": "poisson"})]
)
@pytest.mark.parametrize("name", [*OF_LEAST_SQUARES, "levenberg_marquardt"])
def test_least_squares_are_for_squared_errors(kind, parameters, name):
    model = make(kind, name, **parameters)
    message = f"'solver' parameter of {kind.__name__} must not be one for squared errors only"
    with pytest.raises(ValueError, match=message):
        model.fit(X, LABELS)
    assert vars(model).keys() == model.get_params().keys()


@pytest.mark.parametrize("name", [*OF_LEAST_SQUARES, "bayesian_regularization"])
def test_least_squares_are_in_float64(name):
    data = X.astype(np.float32), X[:, 0].astype(np.float32)
    model = quietly(make(MLPRegressor, name), *data)
    assert model.coefs_[0].dtype == np.float64
    again = quietly(make(MLPRegressor, name), *(array.astype(float) for array in data))
    assert_array_equal(parameters_of(model), parameters_of(again))
    with pytest.raises(ValueError, match="is for networks in float64, this one is in float32"):
        make(MLPRegressor, name, dtype="float32").fit(*data)


def test_least_squares_take_no_sparse_rows():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="X must be dense with LevenbergMarquardt, got a sparse"):
        make(MLPRegressor, "LM").fit(sparse.csr_array(X), X[:, 0])
    pytest.importorskip("sklearn", minversion="1.6")
    from sklearn.utils import get_tags

    assert not get_tags(make(MLPRegressor, "LM")).input_tags.sparse
    assert get_tags(make(MLPRegressor, "SCG")).input_tags.sparse


@pytest.mark.parametrize("name", ["Rprop iplus", "SCG", "LM"])
def test_whole_sets_have_no_negative_weights(name):
    weights = np.where(X[:, 0] > 1, -0.1, 1.0)
    with pytest.raises(ValueError, match="sample_weight must not be negative"):
        make(MLPRegressor, name).fit(X, TARGETS[MLPRegressor], weights)
    quietly(make(MLPRegressor, "adamw"), X, TARGETS[MLPRegressor], weights)


def test_bayesian_regularization_finds_its_own_alpha():
    one, other = (quietly(make(MLPRegressor, "BR", alpha=alpha)) for alpha in (0, 100.0))
    assert_array_equal(parameters_of(one), parameters_of(other))


class Special(Adam):
    pass


@pytest.mark.parametrize("solver", [Special(), Adam, "Adam", "levenberg-marquardt", 3, None])
def test_other_solvers_are_refused(solver):
    known = "'lbfgs', 'sgd', 'adam', 'adamw', .* or an object of LBFGS, SGD, Adam, AdamW"
    with pytest.raises(ValueError, match=f"'solver' parameter of MLPRegressor must be .*{known}"):
        MLPRegressor(solver=solver).fit(X, X[:, 0])


@pytest.mark.parametrize(("name", "who"), [("LM", "LevenbergMarquardt"), ("AdamW", "AdamW")])
def test_the_warning_at_max_iter_names_the_trainer(name, who):
    with pytest.warns(ConvergenceWarning, match=rf"{who}: Maximum iterations \(2\) reached"):
        make(MLPRegressor, name, max_iter=2).fit(X, TARGETS[MLPRegressor])


def test_training_ends_by_the_trainers_own_criteria():
    model = make(MLPRegressor, "levenberg_marquardt", hidden_layer_sizes=(), activation="relu")
    model.set_params(max_iter=1000, alpha=0).fit(X, X @ [1.0, 2.0, 3.0] - 1)
    assert model.n_iter_ < 20
    np.testing.assert_allclose(model.coefs_[0].ravel(), [1, 2, 3], rtol=1e-6)


@every_case
def test_early_stopping_keeps_the_epoch_that_scored_best(kind, name):
    seen = []
    model = make(
        kind, name, early_stopping=True, max_iter=12,
        callback=lambda state: seen.append(state.network.parameters.copy()),
    )  # fmt: skip
    if name == "BR":
        model.set_params(alpha=0)
    model = quietly(model, X[:40], TARGETS[kind][:40], validation_data=(X[40:], TARGETS[kind][40:]))
    best = int(np.argmax(model.validation_scores_))
    assert_array_equal(parameters_of(model), seen[best])
    assert model.score(X[40:], TARGETS[kind][40:]) == pytest.approx(model.validation_scores_[best])
