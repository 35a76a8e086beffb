"""Time of a step of training against width, depth and batch size, all points in turn.

python benchmarks/scaling.py [--json FILE] [--rounds N] [--dtype float64]

Width is that of both hidden layers of 8-w-w-1 with batches of 32 rows; depth is the number of
hidden layers of 64 units between 8 and 1, with the same batches; batches are those of 8-64-64-1.
Powers of two, their neighbours and other sizes are mixed.

The line of a point's neighbours is the straight one, in the logarithms of size and of time,
through the next smaller and the next larger size measured; the smallest and the largest size have
none. A point whose time is more than 1.3 times off that line, above or below, is printed.
"""

import math

import common
from cbackprop._kernels.testing import Bench

from cbackprop._kernels import dispatch
from cbackprop.cli.measuring import trainer
from cbackprop.cli.peers import Cbackprop
from cbackprop.cli.terminal import in_microseconds
from cbackprop.cli.workloads import Workload

OFF = 1.3

WIDTHS = [
    *(1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 20, 24, 31, 32, 33, 40, 48, 63, 64, 65, 80, 96, 100),
    *(127, 128, 129, 160, 200, 255, 256, 257, 320, 384, 500, 511, 512, 513, 700, 768, 1000),
    *(1023, 1024, 1025, 1500, 2000, 2047, 2048, 2049, 3000, 4095, 4096),
]
DEPTHS = [*range(1, 33)]
BATCHES = [
    *(1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 96, 100, 127),
    *(128, 129, 192, 200, 255, 256, 257, 258, 300, 384, 500, 511, 512, 513, 700, 768, 1000, 1023),
    *(1024, 1025, 1500, 2000, 2047, 2048, 2049, 3000, 4095, 4096),
]


def workloads():
    """By axis, a workload for each size."""
    return {
        "width": {size: workload((8, size, size, 1), 32) for size in WIDTHS},
        "depth": {size: workload((8, *[64] * size, 1), 32) for size in DEPTHS},
        "batch": {size: workload((8, 64, 64, 1), size) for size in BATCHES},
    }


def workload(layer_sizes, batch_size):
    """Whole batches only; many where they are small, so that a call's own time does not count."""
    one = Workload("", layer_sizes, batch_size, batch_size, 1)
    n_steps = min(4096, max(16, int(1e9 / one.operations_per_step)))
    return Workload("", layer_sizes, batch_size, batch_size * n_steps, 1)


def measure(rounds, dtype):
    """The points that are off; the result has a list of points for each axis."""
    axes, peaks = {}, []
    kernels = Bench(dispatch.IN_USE, dtype)
    for axis, chosen in workloads().items():
        contestants = []
        for size, one in chosen.items():
            contestant = trainer(Cbackprop(one.problem(dtype)), one, 0.01)
            contestant.name = size
            contestants.append(contestant)
        results = common.in_turn(contestants, rounds, seconds=2)
        peaks.append(kernels.fma_peak(0.1) / 1e9)
        axes[axis] = [
            {"size": size, "operations": chosen[size].operations_per_step, **result}
            for size, result in results.items()
        ]
        points = [(point["size"], point["seconds_min"]) for point in axes[axis]]
        yield f"{axis}: {len(points)} sizes, {in_microseconds(points[0][1])} to " + (
            f"{in_microseconds(points[-1][1])} µs a step"
        )
        for (size, seconds), ratio in off_the_line(points):
            yield (
                f"  {axis} {size}: {in_microseconds(seconds)} µs, {ratio:.2f} times the line of "
                "its neighbours"
            )
    yield {"axes": axes, "peaks_gflops": peaks}


def off_the_line(points):
    """((size, seconds), ratio to the line of its neighbours) of those further off than `OFF`."""
    for below, point, above in zip(points, points[1:], points[2:], strict=False):
        (x0, y0), (x, y), (x1, y1) = (
            [math.log(value) for value in p] for p in (below, point, above)
        )
        ratio = math.exp(y - (y0 + (y1 - y0) * (x - x0) / (x1 - x0)))
        if not 1 / OFF <= ratio <= OFF:
            yield point, ratio


if __name__ == "__main__":
    common.run(__doc__, measure, rounds=25)
