"""JAX."""

import functools

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

from cbackprop.cli.peers.base import Peer
from cbackprop.cli.peers.own import network_of
from cbackprop.cli.workloads import LEARNING_RATE, orders

jax.config.update("jax_enable_x64", True)  # arrays of float32 stay what they are


class Jax(Peer):
    """A whole epoch in one jitted function, a `lax.scan` over the batches."""

    name = "JAX"
    version = jax.__version__

    def __init__(self, problem):
        super().__init__(problem)
        self._X, self._targets = jnp.asarray(problem.X), jnp.asarray(problem.targets())
        log_loss = problem.output["loss"] == "log_loss"
        epoch = functools.partial(_epoch, batch_size=problem.batch_size, log_loss=log_loss)
        self._epoch = jax.jit(epoch, donate_argnums=0)

    def restart(self):
        network = network_of(self.problem)
        self._layers = [
            (jnp.array(weights), jnp.array(biases))
            for weights, biases in zip(network.weights, network.biases, strict=True)
        ]

    def train(self, n_steps):
        n_epochs = n_steps // self.problem.steps_per_epoch
        for _, order in zip(range(n_epochs), orders(len(self._X)), strict=False):
            # a copy: the epoch runs behind the back of the next shuffle
            order = jnp.array(order, jnp.int32)
            self._layers = self._epoch(self._layers, self._X, self._targets, order)
        jax.block_until_ready(self._layers)

    @property
    def parameters(self):
        return np.concatenate([np.ravel(array) for layer in self._layers for array in layer])


def _epoch(layers, X, targets, order, batch_size, log_loss):
    def step(layers, rows):
        gradients = jax.grad(_loss)(layers, X[rows], targets[rows], log_loss)
        return jax.tree.map(lambda p, g: p - LEARNING_RATE * g, layers, gradients), None

    n_batches = len(order) // batch_size
    whole = order[: n_batches * batch_size].reshape(n_batches, batch_size)
    layers, _ = lax.scan(step, layers, whole)
    if n_batches * batch_size < len(order):
        layers, _ = step(layers, order[n_batches * batch_size :])
    return layers


def _loss(layers, activations, targets, log_loss):
    for weights, biases in layers[:-1]:
        activations = jax.nn.sigmoid(activations @ weights + biases)
    weights, biases = layers[-1]
    outputs = activations @ weights + biases
    if log_loss:
        return -(targets * jax.nn.log_softmax(outputs)).sum(axis=1).mean()
    return 0.5 * ((outputs - targets) ** 2).sum(axis=1).mean()
