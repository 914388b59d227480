"""Figures from rows. Each function draws one and returns it unsaved."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from experiments.bugs.programs import HEALTHY, MISTAKES, PROGRAMS
from experiments.bugs.results import Networks
from experiments.kit.figures import COLORS, new_figure, whole_epochs

EPOCHS, FINAL, LINE = "#B8C4D0", COLORS["sigmoid_mse"], COLORS["relu_softmax"]
COLUMNS = 4  # of the loss curves
SHOWN = 5  # seeds of each program whose answers are drawn
NEARBY = 0.04  # accuracy on both sides of what was reported


def accuracies(networks: Mapping[str, Networks], reported: float | None) -> Figure:
    """Every network of every program; beside it what lies near the reported value."""
    columns = 1 if reported is None else 2
    figure, [[left, *right]] = new_figure(1, columns, (11, 1.3 + 0.34 * len(networks)))
    labels = [f"{name}\n{PROGRAMS[name].mistake}" for name in networks]
    _strips(left, networks, labels, reported)
    left.set(xlim=(0, 1), xlabel="test accuracy")
    if reported is not None:
        _strips(right[0], networks, [""] * len(networks), reported)
        limits = (reported - NEARBY, reported + NEARBY)
        right[0].set(xlim=limits, xlabel=f"test accuracy near {reported:.2%}")
    return figure


def model_3(networks: Mapping[str, Networks], reported: float | None) -> Figure:
    """Model 3's networks, a line a model and kind of pixels."""
    figure, [[axes]] = new_figure(size=(8, 0.9 + 0.45 * len(networks)))
    _strips(axes, networks, list(networks), reported)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.set_xlabel("test accuracy")
    return figure


def _strips(
    axes: Axes,
    networks: Mapping[str, Networks],
    labels: list[str],
    reported: float | None,
) -> None:
    """A line of dots a program, seeds a little apart so that equal ones are seen."""
    for place, (name, program) in enumerate(networks.items()):
        num_seeds = len(program.ends)
        apart = np.linspace(-0.22, 0.22, num_seeds) if num_seeds > 1 else np.zeros(1)
        heights = np.broadcast_to(place + apart, program.accuracy.shape)
        ends, color = program.accuracy[-1], COLORS.get(name.split(",")[0], FINAL)
        axes.scatter(program.accuracy, heights, 7, EPOCHS, linewidths=0, zorder=2)
        axes.scatter(ends, heights[-1], 17, color, linewidths=0, zorder=3)
    if reported is not None:
        axes.axvline(reported, color=LINE, linewidth=1.2, zorder=1)
    axes.set_yticks(range(len(labels)), labels, fontsize=7.5)
    axes.set(ylim=(len(labels) - 0.5, -0.5), axisbelow=True)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(axis="x", color="#E6EAEE", linewidth=0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)


def answers(networks: Mapping[str, Networks]) -> Figure:
    """How often each class is answered, as one map with a line a seed."""
    counts = [
        np.array([end["answers"][:10] for end in program.ends[:SHOWN]], float)
        for program in networks.values()
    ]
    lines = np.concatenate(counts)
    figure, [[axes]] = new_figure(size=(7, 1.2 + 0.085 * len(lines)))
    shares = lines / lines.sum(axis=1, keepdims=True)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    sizes = np.array([len(part) for part in counts])
    ends = np.cumsum(sizes)
    for end in ends[:-1]:
        axes.axhline(end - 0.5, color="#5D6B7C", linewidth=0.6)
    axes.set_yticks(ends - sizes / 2 - 0.5, list(networks))
    axes.set(xticks=range(10), xlabel="answer")
    axes.tick_params(length=0, labelsize=8)
    bar = figure.colorbar(image, ax=axes, format=PercentFormatter(1), shrink=0.6)
    bar.set_label("share of the test images")
    return figure


def losses(networks: Mapping[str, Networks]) -> Figure:
    """Training loss by epoch, a panel a program that trains in its own way."""
    trained = {
        name: program.train_loss
        for name, program in networks.items()
        if program.ends[0]["epoch"]
        and (name == "healthy" or not MISTAKES[name].learns_as(HEALTHY))
    }
    rows = max(1, -(-len(trained) // COLUMNS))
    figure, grid = new_figure(rows, COLUMNS, (11, 0.5 + 2.0 * rows))
    for axes in grid.flat[len(trained) :]:
        axes.set_visible(False)
    for axes, name in zip(grid.flat, trained, strict=False):
        axes.sharex(grid[0, 0])
        axes.sharey(grid[0, 0])
        for line, color in (("healthy", EPOCHS), (name, FINAL)):
            if line in trained and (line, color) != ("healthy", FINAL):
                numbers = range(1, len(trained[line]) + 1)
                marker = "." if len(numbers) == 1 else None
                style = {"color": color, "linewidth": 0.9, "marker": marker}
                axes.plot(numbers, trained[line], **style)
        axes.set_yscale("log")
        axes.set_title(name, fontsize="medium")
        whole_epochs(axes)
    figure.supylabel("training loss", fontsize="medium")
    return figure
