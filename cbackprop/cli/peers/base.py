"""The face that all who are timed have in common."""

import math


class CannotTakePart(Exception):
    """Why a peer does not compute this problem; the message goes into the results."""


class Entrant:
    """One that is timed on a problem.

    Parameters
    ----------
    problem : cbackprop.cli.workloads.Problem
        Everything that can be prepared is prepared here, outside the time.

    Attributes
    ----------
    name : str
        As in the results.
    version : str or None
        Of its library.

    Raises
    ------
    CannotTakePart
        If the problem is not one for it, or its library is not installed.
    """

    name = None
    version = None

    def __init__(self, problem):
        self.problem = problem


class Peer(Entrant):
    """One that trains the network of a problem by plain gradient descent.

    Attributes
    ----------
    whole_epochs : bool
        Whether `train` can only be asked for whole epochs.
    longest_step : float
        In seconds; one that takes longer for a step is left out.
    tolerance : float or None
        How far its change of the weights may be from cbackprop's, relative to that change; None
        where rounding alone may make a difference.
    """

    whole_epochs = True
    longest_step = math.inf
    tolerance = None

    def restart(self):
        """Go back to the initial weights; outside the time."""
        raise NotImplementedError

    def train(self, n_steps):
        """The first steps after a restart, batches in the order of `orders`: what is timed."""
        raise NotImplementedError

    @property
    def parameters(self):
        """The weights and biases now, in the order of `Network.parameters`."""
        raise NotImplementedError


class Predictor(Entrant):
    """One that computes the outputs of a problem's network, its initial weights, for all its rows.

    Where one function of the inputs does it, its constructor keeps that as `_predict`; others have
    a `predict` of their own.
    """

    def predict(self, n_calls):
        """The outputs for `problem.X`, computed so many times, the last ones returned."""
        for _ in range(n_calls):
            outputs = self._predict(self.problem.X)
        return outputs
