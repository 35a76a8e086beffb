"""Adam's steps against those of plain gradient descent, in turn.

python benchmarks/adam.py [--json FILE] [--rounds N] [--dtype float64]
"""

import common

from cbackprop import Adam
from cbackprop.cli.measuring import trainer
from cbackprop.cli.peers import Cbackprop
from cbackprop.cli.terminal import in_microseconds, in_times
from cbackprop.cli.workloads import WORKLOADS

NAMES = "tabular", "digits", "mnist", "deep", "wide"


class WithAdam(Cbackprop):
    """The same training with Adam."""

    name = "Adam"

    def make_optimizer(self):
        return Adam()


def measure(rounds, dtype):
    """A line for each workload; the result has the rounds of both."""
    rows = []
    for name in NAMES:
        workload = WORKLOADS[name]
        problem = workload.problem(dtype)
        contestants = [trainer(peer(problem), workload, 0.1) for peer in (Cbackprop, WithAdam)]
        peers = common.in_turn(contestants, rounds, seconds=5)
        sgd, adam = (peer["seconds_min"] for peer in peers.values())
        rows.append({"name": name, "layers": list(workload.layer_sizes), "peers": peers})
        yield (
            f"{name:8} {workload.layers:17} SGD {in_microseconds(sgd):>8} µs, "
            f"Adam {in_microseconds(adam):>8} µs, {in_times(adam / sgd)}"
        )
    yield {"workloads": rows}


if __name__ == "__main__":
    common.run(__doc__, measure, rounds=20)
