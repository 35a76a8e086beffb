"""The charts of docs/benchmarks.md and docs/trainers.md."""

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from cbackprop.cli.bench import share_of_peak, units_of
from cbackprop.cli.terminal import in_microseconds, in_times

OWN, OTHERS = "#c2410c", "#94a3b8"
OURS = {"cbackprop": OWN, "without out=": "#fdba74", "estimator": "#fdba74"}
SETS = "#c2410c", "#f59e0b", "#475569", "#94a3b8", "#15803d", "#86efac"  # one a set of results
TRAINERS = {
    "SGD": "#94a3b8",
    "Adam": "#475569",
    "Rprop": "#15803d",
    "ScaledConjugateGradient": "#86c5da",
    "LBFGS": "#f59e0b",
    "LevenbergMarquardt": OWN,
}
STYLE = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",  # a fifth of the size of drawn letters
    "svg.hashsalt": "cbackprop",  # the same file for the same results
}


def save(figure, path):
    """Without the date: it would change the file each time."""
    figure.savefig(path, metadata={"Date": None})


@mpl.rc_context(STYLE)
def draw_bars(rows, title, path):
    """A panel for each row of results: everybody's time, the fastest above."""
    n_lines = -(-len(rows) // 2)
    n_bars = max(len(row["peers"]) for row in rows)
    figure = Figure(figsize=(10, 0.6 + n_lines * (0.6 + 0.22 * n_bars)), layout="constrained")
    figure.suptitle(f"{title}: microseconds, logarithmic where they are far apart", fontsize=12)
    panels = figure.subplots(n_lines, 2, squeeze=False).ravel()
    for panel in panels[len(rows) :]:
        panel.remove()
    for panel, row in zip(panels, rows, strict=False):
        draw_panel(panel, row)
    save(figure, path)


def draw_panel(panel, row):
    """Bars of one row of results."""
    n_units = units_of(row)
    peers = sorted(row["peers"].items(), key=lambda item: item[1]["seconds_min"])
    names = [name for name, _ in peers]
    times = np.array([peer["seconds_min"] for _, peer in peers])
    own = row["peers"]["cbackprop"]["seconds_min"]
    microseconds = 1e6 * times / n_units
    colours = [OURS.get(name, OTHERS) for name in names]
    panel.barh(names, microseconds, color=colours, height=0.7)
    panel.invert_yaxis()
    # to the right, room for the words behind the longest bar
    shortest, longest = microseconds.min(), microseconds.max()
    if longest > 10 * shortest:
        panel.set_xscale("log")
        panel.set_xlim(shortest / 3, longest * (3 * longest / shortest) ** 0.5)
    else:
        panel.set_xlim(0, 1.4 * longest)
    for place, (name, seconds) in enumerate(zip(names, times, strict=True)):
        text = in_microseconds(seconds / n_units)
        if name != "cbackprop":
            text += f"  ({in_times(seconds / own)})"
        panel.annotate(
            text,
            (1e6 * seconds / n_units, place),
            (4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    layers = "-".join(map(str, row["layers"]))
    unit = f"a step of {row['batch']}" if row["task"] == "training" else f"a row of {row['rows']:,}"
    panel.set_title(f"{row['name']} {layers}, {unit}", loc="left")
    panel.tick_params(axis="y", length=0)


@mpl.rc_context(STYLE)
def draw_shares(results, path):
    """Share of the FMA peak of each workload; a colour for each set of results."""
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    axes = figure.subplots()
    names = list(dict.fromkeys(row["name"] for rows in results.values() for row in rows))
    width = 0.8 / len(results)
    for k, (label, rows) in enumerate(results.items()):
        places = [names.index(row["name"]) + (k - (len(results) - 1) / 2) * width for row in rows]
        shares = [100 * share_of_peak(row) for row in rows]
        bars = axes.bar(places, shares, width=0.9 * width, color=SETS[k % len(SETS)], label=label)
        axes.bar_label(bars, fmt="%.0f", fontsize=7, padding=1)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylim(0, 100)
    axes.set_ylabel("% of the FMA peak")
    axes.set_title("Share of peak, training", loc="left")
    figure.legend(frameon=False, loc="outside lower center", ncols=2)
    axes.tick_params(axis="x", length=0)
    save(figure, path)


@mpl.rc_context(STYLE)
def draw_scaling(result, path):
    """Time of a step against each size, and the time its arithmetic takes at the FMA peak."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    peak = 1e9 * max(result["peaks_gflops"])
    titles = {
        "width": "width of two hidden layers",
        "depth": "hidden layers of 64 units",
        "batch": "rows in a batch",
    }
    panels = figure.subplots(1, len(result["axes"]))
    for panel, (axis, points) in zip(panels, result["axes"].items(), strict=True):
        sizes = [point["size"] for point in points]
        panel.loglog(
            sizes,
            [1e6 * point["operations"] / peak for point in points],
            color=OTHERS,
            label="at the FMA peak",
        )
        panel.loglog(
            sizes,
            [1e6 * point["seconds_min"] for point in points],
            color=OWN,
            marker=".",
            markersize=4,
            linewidth=1,
            label="cbackprop",
        )
        panel.set_xlabel(titles[axis])
        panel.grid(alpha=0.2)
    panels[0].set_ylabel("microseconds a step")
    panels[0].legend(frameon=False)
    save(figure, path)


@mpl.rc_context(STYLE)
def draw_trainers(rows, path):
    """Loss against time, a panel for each problem."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    for panel, row in zip(figure.subplots(2, 2).ravel(), rows, strict=False):
        for name, colour in TRAINERS.items():
            if name in row["trainers"]:
                one = row["trainers"][name]
                milliseconds = [1e3 * second for second in one["seconds"]]
                panel.loglog(milliseconds, one["losses"], color=colour, linewidth=1.5, label=name)
        panel.axhline(row["target"], color=OTHERS, linewidth=0.7, linestyle=":")
        # what is beyond is an exercise in rounding, or a first step that was too large
        bottom, top = panel.get_ylim()
        panel.set_ylim(max(bottom, 1e-6 * row["target"]), min(top, 3))
        panel.set_title(
            f"{row['name']}, {'-'.join(map(str, row['layers']))}, {row['rows']:,} rows", loc="left"
        )
        panel.set_xlabel("milliseconds")
        panel.set_ylabel("training loss")
        panel.grid(alpha=0.2)
    lines, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(lines, names, frameon=False, loc="outside lower center", ncols=len(names))
    save(figure, path)
