"""Trains random networks and prints, as JSON, a hash of the bits of everything they computed.

Run under different instruction sets by test_bits.py. Which networks these are is drawn from NumPy's
generators and depends on nothing else.
"""

import copy
import hashlib
import json

import numpy as np

import cbackprop

N_NETWORKS = 90
N_SMALLEST = 20
HIDDEN = ("sigmoid", "tanh", "relu", "softsign", "identity")
BOUNDED = ("sigmoid", "tanh", "softsign")
PAIRS = (
    *(("squared_error", output) for output in (*HIDDEN, "exp")),
    ("log_loss", "softmax"),
    ("binary_log_loss", "sigmoid"),
    ("poisson", "exp"),
)
# Around the vectors of every instruction set, one panel, and (above 256) one block of a product.
SIZES = (1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 48, 65, 100, 130, 257, 520)
BATCH_SIZES = (1, 7, 256, 300, None)
N_SAMPLES = (1, 6, 255, 257, 300, 700)
OPTIMIZERS = {
    "descent": lambda: cbackprop.SGD(0.002),
    "momentum": lambda: cbackprop.SGD(0.002, momentum=0.9),
    "nesterov": lambda: cbackprop.SGD(0.002, momentum=0.9, nesterov=True),
    "adam": lambda: cbackprop.Adam(0.002),
    "adam_w": lambda: cbackprop.AdamW(0.002),
    "rmsprop": lambda: cbackprop.RMSprop(0.002, momentum=0.5, centered=True),
    "rprop": lambda: cbackprop.Rprop("plus", 0.002),
}
OF_WHOLE_SETS = (cbackprop.ScaledConjugateGradient, cbackprop.LBFGS)


def sha256(*arrays):
    """Of all but what is None."""
    digest = hashlib.sha256()
    for array in arrays:
        if array is not None:
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def random_case(number):
    """A network, data for it, the name of an optimizer, and further arguments of `train`."""
    rng = np.random.default_rng(number)
    loss, output_activation = PAIRS[number % len(PAIRS)]
    dtype = ("float32", "float64")[number // len(PAIRS) % 2]
    layer_sizes = [int(size) for size in rng.choice(SIZES, size=rng.integers(2, 6))]
    if rng.random() < 0.3 and loss != "log_loss":
        layer_sizes[-1] = int(rng.integers(1, 4))
    activation = [str(name) for name in rng.choice(HIDDEN, size=len(layer_sizes) - 2)]
    network = cbackprop.Network(
        *(layer_sizes, activation, output_activation, loss, dtype),
        random_state=number,
        shortcuts=number % 4 == 3,
    )
    n_samples, n_outputs = int(rng.choice(N_SAMPLES)), layer_sizes[-1]
    X = rng.normal(size=(n_samples, layer_sizes[0]))
    if output_activation == "exp":
        X /= np.sqrt(layer_sizes[0])
    elif activation and activation[0] in BOUNDED:
        X *= 20  # the far ends of the activations
    if loss == "log_loss":
        y = rng.integers(n_outputs, size=n_samples)
    elif loss == "squared_error":
        y = rng.normal(size=(n_samples, n_outputs))
    else:
        y = rng.random((n_samples, n_outputs))
    arguments = {
        "batch_size": BATCH_SIZES[number % len(BATCH_SIZES)],
        "reduction": "sum" if rng.random() < 0.2 and n_samples < 10 else "mean",
        "alpha": float(rng.choice([0, 0.1])),
        "sample_weight": rng.integers(1, 4, size=n_samples) / 2 if rng.random() < 0.3 else None,
        "shuffle": bool(rng.random() < 0.7),
    }
    return network, X, y, list(OPTIMIZERS)[number % len(OPTIMIZERS)], arguments


def smallest_case(number):
    """The same, for networks small enough to stay in registers."""
    rng = np.random.default_rng(number)
    layer_sizes = (int(rng.integers(1, 40)), int(rng.integers(2, 66)), 1)
    activation = HIDDEN[number % len(HIDDEN)]
    dtype = ("float32", "float64")[number // len(HIDDEN) % 2]
    network = cbackprop.Network(layer_sizes, activation, dtype=dtype, random_state=number)
    X = rng.normal(size=(int(rng.choice(N_SAMPLES)), layer_sizes[0]))
    return network, X, rng.normal(size=len(X)), "descent", {"batch_size": 1}


def main():
    cases = [random_case(number) for number in range(N_NETWORKS)]
    cases += [smallest_case(number) for number in range(N_SMALLEST)]
    found = {}
    for number, (network, X, y, name, arguments) in enumerate(cases):
        optimizer = OPTIMIZERS[name]()
        case = f"{number}: {network}, {len(X)} rows, {name}, batch_size={arguments['batch_size']}: "
        weight, reduction = arguments.get("sample_weight"), arguments.get("reduction", "mean")
        loss, gradient = network.loss_and_gradient(X, y, weight, reduction)
        found[case + "loss and gradient"] = sha256(loss, gradient)
        found[case + "deltas"] = sha256(*network.deltas(X, y), network.input_gradient(X, y))
        few = X[:5], y[:5]
        v = np.random.default_rng(number).normal(size=network.n_parameters)
        second = network.hessian_vector_product(X, y, v, weight, reduction)
        found[case + "derivatives"] = sha256(
            network.per_sample_gradients(*few),
            network.input_jacobian(few[0]),
            second,
            *(network.jacobian(few[0]) if network.n_parameters < 10_000 else ()),
        )
        if network.loss == "squared_error" and network.n_parameters < 2000:
            found[case + "square"] = sha256(*network.gauss_newton(X, y, weight))
            if network.dtype == "float64":
                twin, bayesian = copy.deepcopy(network), cbackprop.BayesianRegularization()
                twin.train(X, y, optimizer=bayesian, n_epochs=3, sample_weight=weight)
                numbers = bayesian.n_effective, bayesian.alpha, bayesian.beta
                found[case + "Bayesian"] = sha256(twin.parameters, *numbers)
        for trainer in OF_WHOLE_SETS if network.n_parameters < 10_000 else ():
            twin = copy.deepcopy(network)
            losses = twin.train(X, y, optimizer=trainer(), n_epochs=3, sample_weight=weight)
            found[case + trainer.__name__] = sha256(losses, twin.parameters)
        losses = network.train(
            X, y, optimizer=optimizer, n_epochs=3, random_state=number, **arguments
        )
        state = ("velocity", "mean_gradients", "mean_squares")
        found[case + "training"] = sha256(
            losses, network.parameters, *(getattr(optimizer, name, None) for name in state)
        )
        found[case + "activations"] = sha256(*network.activations(X))
        found[case + "predictions"] = sha256(network.predict(X))
        found[case + "loss"] = sha256(network.loss_value(X, y))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
