"""Figures of `experiments/bugs.py`. Each function draws one and returns it unsaved."""

import functools
from collections.abc import Sequence

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from experiments.bugs.report import PIXELS
from experiments.bugs.summary import NEAR, Examined, PixelTrials, reported_on
from experiments.bugs.zoo import HEALTHY
from experiments.compare.figures import COLORS
from experiments.kit import page
from jaxnets.data import Dataset

FINAL, EPOCHS, LINE = COLORS["sigmoid_mse"], "#B8C4D0", COLORS["relu_softmax"]
COLUMNS = 4  # of the loss curves
SHOWN = 5  # seeds of each program whose answers are drawn


def pictures(
    examined: Sequence[Examined], pixel_trials: Sequence[PixelTrials], dataset: Dataset
) -> list[page.Picture]:
    """All of the page's pictures, the most telling first."""
    picture = functools.partial(page.picture, dataset=dataset.name)
    reported, reported_pixels = reported_on(dataset.name)
    line = beside = ""
    if reported is not None:
        line = f" The line is the reported {reported:.2%}; right, what lies near it."
        beside = f" The line is the reported {reported_pixels:.1%}."
    drawn = [
        picture(
            "accuracies",
            "What each mistake scores",
            "Test accuracy of every seed: grey after each epoch, blue after the last "
            f"one.{line}",
            accuracies(examined, reported),
        ),
        picture(
            "answers",
            "What each mistake answers",
            f"Which classes are answered how often, a line a seed, of {SHOWN} seeds at "
            "most. With arg-max along the images the answers are places in a "
            "mini-batch.",
            answers(examined),
        ),
        picture(
            "losses",
            "Training loss",
            "As each program reports it, a line a seed; grey is the healthy program. "
            "Those that train as it does, or not at all, are left out.",
            losses(examined),
        ),
    ]
    if pixel_trials:
        drawn.append(
            picture(
                "model_3",
                "Model 3, pixels scaled and as bytes",
                "Test accuracy of every seed: grey after each epoch, in colour after "
                f"the last one.{beside}",
                pixels(pixel_trials, reported_pixels),
            )
        )
    return drawn


def accuracies(examined: Sequence[Examined], reported: float | None) -> Figure:
    """Every seed of every program; beside it what lies near the reported value."""
    ratios = [1] if reported is None else [1, 1.4]
    figure, grid = plt.subplots(
        1,
        len(ratios),
        figsize=(11, 1.3 + 0.34 * len(examined)),
        layout="constrained",
        sharey=True,
        squeeze=False,
        width_ratios=ratios,
    )
    left, right = grid[0, 0], grid[0, -1]
    for axes in grid[0]:
        for place, each in enumerate(examined):
            _strip(axes, place, each)
        if reported is not None:
            axes.axvline(reported, color=LINE, linewidth=1.2, zorder=1)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.grid(axis="x", color="#E6EAEE", linewidth=0.6)
        axes.set_axisbelow(True)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.tick_params(axis="y", length=0)
    left.set_xlim(0, 1)
    left.set_xlabel("test accuracy")
    if reported is not None:
        right.set_xlim(reported - 8 * NEAR, reported + 8 * NEAR)
        right.set_xlabel(f"test accuracy near {reported:.2%}")
    words = [
        f"{each.trials.program.name}\n{each.trials.program.mistake}"
        if each.trials.program.sign
        else "healthy\nno mistake"
        for each in examined
    ]
    left.set_yticks(range(len(examined)), words, fontsize=7.5)
    left.set_ylim(len(examined) - 0.5, -0.5)
    return figure


def _strip(axes: Axes, place: int, examined: Examined) -> None:
    """A program's accuracies, spread a little so that equal ones are seen."""
    values = np.array(examined.trials.accuracy)
    jitter = np.linspace(-0.22, 0.22, values.shape[1]) if values.shape[1] > 1 else [0.0]
    heights = np.broadcast_to(place + np.asarray(jitter)[None, :], values.shape)
    axes.scatter(values, heights, s=7, color=EPOCHS, linewidths=0, zorder=2)
    axes.scatter(values[-1], heights[-1], s=17, color=FINAL, linewidths=0, zorder=3)


def answers(examined: Sequence[Examined]) -> Figure:
    """The predicted-class histograms as one map, a line a seed."""
    counts = [[s.answers[:10] for s in each.signatures][:SHOWN] for each in examined]
    rows = np.concatenate([np.asarray(part, float) for part in counts])
    rows /= rows.sum(axis=1, keepdims=True)
    figure, axes = plt.subplots(
        figsize=(7, 1.2 + 0.085 * len(rows)), layout="constrained"
    )
    image = axes.imshow(rows, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    ends = np.cumsum([len(part) for part in counts])
    for end in ends[:-1]:
        axes.axhline(end - 0.5, color="#5D6B7C", linewidth=0.6)
    middles = ends - np.array([len(part) for part in counts]) / 2 - 0.5
    axes.set_yticks(middles, [each.trials.program.name for each in examined])
    axes.set_xticks(range(10))
    axes.set_xlabel("answer")
    axes.tick_params(length=0, labelsize=8)
    bar = figure.colorbar(image, ax=axes, format=PercentFormatter(1), shrink=0.6)
    bar.set_label("share of the test images")
    return figure


def losses(examined: Sequence[Examined]) -> Figure:
    """Training loss by epoch, a panel a program."""
    trained = [each for each in examined if _learns_its_own_way(each)]
    count = -(-len(trained) // COLUMNS)
    figure, grid = plt.subplots(
        count,
        COLUMNS,
        figsize=(11, 0.5 + 2.0 * count),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for axes in grid.flat[len(trained) :]:
        axes.set_visible(False)
    for axes, each in zip(grid.flat, trained, strict=False):
        _loss_lines(axes, trained[0], color=EPOCHS)
        if each is not trained[0]:
            _loss_lines(axes, each, color=FINAL)
        axes.set_yscale("log")
        axes.set_title(each.trials.program.name, fontsize="medium")
    figure.supxlabel("epoch", fontsize="medium")
    figure.supylabel("training loss", fontsize="medium")
    return figure


def _learns_its_own_way(examined: Examined) -> bool:
    program = examined.trials.program
    if program.sign is not None and program.learns_as(HEALTHY):
        return False  # its mistake is in the evaluation
    return bool(examined.trials.train_loss)


def _loss_lines(axes: Axes, examined: Examined, color: str) -> None:
    values = np.array(examined.trials.train_loss)
    numbers = np.arange(1, len(values) + 1)
    marker = "." if len(values) == 1 else None
    axes.plot(numbers, values, color=color, linewidth=0.9, marker=marker)


def pixels(trials: Sequence[PixelTrials], reported: float | None) -> Figure:
    """Model 3's accuracies, a line a model and kind of pixels."""
    figure, axes = plt.subplots(
        figsize=(8, 0.9 + 0.45 * len(trials)), layout="constrained"
    )
    for place, trial in enumerate(trials):
        every = np.concatenate(trial.by_epoch())
        axes.scatter(every, np.full(len(every), place), s=12, color=EPOCHS)
        axes.scatter(
            trial.final,
            np.full(len(trial.final), place),
            color=COLORS[trial.model],
            s=28,
            alpha=0.8,
        )
    if reported is not None:
        axes.axvline(reported, color=LINE, linewidth=1.2, zorder=1)
    words = [f"{trial.model}, {PIXELS[trial.pixels]}" for trial in trials]
    axes.set_yticks(range(len(trials)), words)
    axes.set_ylim(len(trials) - 0.5, -0.5)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.grid(axis="x", color="#E6EAEE", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("test accuracy")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return figure
