"""Pictures with matplotlib, which is imported when one is asked for."""

from collections.abc import Mapping, Sequence
from os import PathLike

import numpy as np
from numpy.typing import NDArray


def plot_loss_curves(
    curves: Mapping[str, Sequence[float] | NDArray[np.float64]], path: str | PathLike[str]
) -> None:
    """Draw how losses fell during training, one panel a curve, into a picture file.

    Parameters
    ----------
    curves : dict of str to sequence of float
        The loss of every epoch, as `Network.train` returns it, under the title of its panel.
    path : str or path-like
        The file to write; its ending says the format, as in ``loss.png``.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise ImportError(
            "plotting needs matplotlib; install it with: pip install 'cbackprop[plot]'"
        ) from error
    # A Figure of its own, not pyplot's: nothing global is touched and no display is needed.
    figure = Figure(figsize=(3.6 * len(curves), 3.2), dpi=150, layout="constrained")
    panels = figure.subplots(1, len(curves), squeeze=False)[0]
    for panel, (title, losses) in zip(panels, curves.items(), strict=True):
        panel.semilogy(range(1, len(losses) + 1), losses)
        panel.set(title=title, xlabel="epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("loss")
    figure.savefig(path)
