"""Figures from results. Each function draws one and returns it unsaved."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from experiments.compare.results import (
    Answers,
    confused_pairs,
    confusion_matrix,
    first_kernel,
)
from experiments.kit.figures import COLORS, new_figure, plain_numbers, whole_epochs
from experiments.kit.run import Row
from experiments.kit.statistics import wilson_interval
from jaxnets.data import DIGITS
from jaxnets.draw.samples import hardest, most
from jaxnets.models import MODELS
from jaxnets.types import Batch, Params

GALLERY_COLUMNS = 8
TILES = 30  # first-layer weight images shown of each model
COSTS = {"quadratic": "quadratic cost", "cross_entropy": "cross-entropy"}
EXAMPLES = 8  # images shown of each confusion
BIN_EDGES = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)  # of confidence


def curves(rows: Mapping[str, Sequence[Row]]) -> Figure:
    """Accuracy by epoch and by seconds, and a panel for each kind of cost."""
    costs = list(dict.fromkeys(MODELS[name].cost for name in rows))
    figure, grid = new_figure(2, 2, size=(11, 8))
    for axes in grid.flat[2 + len(costs) :]:
        axes.remove()
    by_epoch, by_seconds, *losses = grid.flat[: 2 + len(costs)]
    held_out = all(row["validation_seen"] for epochs in rows.values() for row in epochs)
    key, shown = ("validation",) * 2 if held_out else ("train", "training")
    for name, epochs in rows.items():
        numbers = [row["epoch"] for row in epochs]
        seconds = np.cumsum([row["seconds"] for row in epochs])
        loss_axes = losses[costs.index(MODELS[name].cost)]
        style = {"color": COLORS[name], "marker": ".", "label": name}
        dotted = {"color": COLORS[name], "linestyle": ":"}
        known = [row[f"{key}_accuracy"] for row in epochs]
        by_epoch.plot(numbers, known, **style)
        by_seconds.plot(seconds, known, **style)
        loss_axes.plot(numbers, [row[f"{key}_loss"] for row in epochs], **style)
        if held_out:
            by_epoch.plot(numbers, [row["train_accuracy"] for row in epochs], **dotted)
            loss_axes.plot(numbers, [row["train_loss"] for row in epochs], **dotted)
    for axes in (by_epoch, by_seconds):
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
        axes.set_ylabel(f"accuracy on the {shown} images")
    by_seconds.set(xlabel="seconds of training, compiling not counted", xscale="log")
    for axes, cost in zip(losses, costs, strict=True):
        axes.set(ylabel=COSTS[cost], yscale="log")
    for axis in (by_seconds.xaxis, *(axes.yaxis for axes in losses)):
        plain_numbers(axis)
    for axes in (by_epoch, *losses):
        whole_epochs(axes)
    for axes in (by_epoch, by_seconds, *losses):
        axes.grid(alpha=0.3)
    by_epoch.legend()
    return figure


def confusion(
    answers: Mapping[str, Answers],
    labels: np.ndarray,
    names: Sequence[str] = DIGITS,
) -> Figure:
    """Confusion matrices with one scale of colours, the diagonal left blank.

    `names` are those of all classes; drawn are the ones that `labels` has.
    """
    classes = np.unique(labels)
    cell = max(0.25, 0.45 - 0.005 * len(classes))  # inches; many classes crowd
    side = max(5.0, 1 + cell * len(classes))
    columns = min(2, len(answers))
    rows = -(-len(answers) // columns)
    size = ((side + 0.4) * columns, side * rows)
    figure, grid = new_figure(rows, columns, size=size)
    for axes in grid.flat[len(answers) :]:
        axes.remove()
    errors = {}
    for name, answer in answers.items():
        matrix = confusion_matrix(labels, answer.label, len(names))
        matrix = matrix[np.ix_(classes, classes)]
        errors[name] = np.where(np.eye(len(classes), dtype=bool), np.nan, matrix)
    largest = max(1.0, *(np.nanmax(matrix, initial=0) for matrix in errors.values()))
    for axes, (name, matrix) in zip(grid.flat, errors.items(), strict=False):
        axes.imshow(matrix, cmap="Oranges", vmin=0, vmax=largest)
        for row, column in zip(*np.nonzero(np.nan_to_num(matrix)), strict=True):
            count = matrix[row, column]
            color = "white" if count > 0.6 * largest else "black"
            style = {"ha": "center", "va": "center", "fontsize": 9, "color": color}
            axes.text(column, row, f"{count:.0f}", **style)
        ticks, shown = range(len(classes)), [names[label] for label in classes]
        axes.set(xticks=ticks, yticks=ticks, xticklabels=shown, yticklabels=shown)
        axes.set(xlabel="predicted", ylabel="label")
        axes.set_title(f"{name}: {int(np.nansum(matrix)):,} errors")
    return figure


def gallery(
    answers: Mapping[str, Answers], test: Batch, names: Sequence[str] = DIGITS
) -> Figure:
    """The images that most models miss most surely, then where answers differ most."""
    guesses = np.stack([answer.label for answer in answers.values()])
    sure = np.stack([answer.probability for answer in answers.values()])
    missed = (guesses != test.label).sum(axis=0)
    shown = np.concatenate(hardest(guesses, sure, test.label))
    rows = max(1, -(-len(shown) // GALLERY_COLUMNS))
    size = (12, 2.1 * rows)
    figure, axes, step = _sheet(rows, GALLERY_COLUMNS, test.image.shape[1:], size)
    for number, index in enumerate(shown):
        row, column = divmod(number, GALLERY_COLUMNS)
        at, label = step * (column, row), test.label[index]
        _draw_image(axes, test.image[index], at)
        axes.text(at[0], at[1], f"no. {index}: {names[label]}", fontsize=9, va="bottom")
        for place, name in enumerate(answers):
            answer, share = guesses[place, index], sure[place, index]
            x, y = at + step * (0.95 * place / len(answers), 0.6)
            weight = "normal" if answer == label else "bold"
            words = axes.text(
                x, y, f"{names[answer]}\n{100 * share:.0f}", color=COLORS[name]
            )
            words.set(fontsize=9, fontweight=weight, verticalalignment="top")
    _name_colors(axes, answers)
    axes.set_title(
        f"{int((missed > 0).sum()):,} of {len(test.label):,} test images are missed "
        f"by at least one model, {int((missed == len(answers)).sum()):,} by all\n"
    )
    return figure


def _sheet(
    rows: int, columns: int, shape: tuple[int, ...], size: tuple[float, float]
) -> tuple[Figure, Axes, np.ndarray]:
    """Axes for images of a shape, and the step (x, y) from one to the next."""
    height, width = shape
    step = np.array([1.4 * width, 1.7 * height])
    figure, [[axes]] = new_figure(size=size)
    axes.set(xlim=(0, columns * step[0]), ylim=(rows * step[1], -0.3 * height))
    axes.set_aspect("equal")
    axes.axis("off")
    return figure, axes, step


def _name_colors(axes: Axes, names: Iterable[str]) -> None:
    """A legend below, of the models' colours."""
    handles = [Line2D([], [], color=COLORS[name], label=name) for name in names]
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=5)


def _draw_image(axes: Axes, image: np.ndarray, at: np.ndarray) -> None:
    height, width = image.shape
    extent = (at[0], at[0] + width, at[1] + height, at[1])
    axes.imshow(image, cmap="gray_r", vmin=0, vmax=255, extent=extent)


def confused(
    answers: Mapping[str, Answers], test: Batch, names: Sequence[str] = DIGITS
) -> Figure:
    """The pairs of classes that are confused most, with the surest such images."""
    pairs = confused_pairs(answers, test.label)
    rows, columns = max(len(pairs), 1), EXAMPLES + 2
    size = (11, 1.15 * rows)
    figure, axes, step = _sheet(rows, columns, test.image.shape[1:], size)
    for row, (label, wrong, counts) in enumerate(pairs):
        y = step[1] * (row + 0.25)
        axes.text(0, y, f"{names[label]} taken for {names[wrong]}", fontsize=12)
        for place, (name, count) in enumerate(counts.items()):
            x = 0.4 * place * step[0]
            axes.text(
                x, y + 0.25 * step[1], f"{count}", color=COLORS[name], fontsize=12
            )
        sure = np.zeros(len(test.label))
        for answer in answers.values():
            sure += np.where(answer.label == wrong, answer.probability, 0)
        images = most(np.where(test.label == label, sure, 0), sure, EXAMPLES)
        for column, index in enumerate(images, start=2):
            _draw_image(axes, test.image[index], step * (column, row))
    _name_colors(axes, answers)
    return figure


def calibration(answers: Mapping[str, Answers], labels: np.ndarray) -> Figure:
    """How often answers of some confidence are right, by model."""
    figure, [[axes]] = new_figure(size=(7, 5))
    axes.axline((1, 1), slope=1, color="gray", linestyle="--")
    for name, answer in answers.items():
        right = answer.label == labels
        bins = np.digitize(answer.probability, BIN_EDGES[1:-1], right=True)
        points = []
        for number in np.unique(bins):
            within = bins == number
            correct, seen = int(right[within].sum()), int(within.sum())
            low, high = wilson_interval(correct, seen)
            points.append(
                (answer.probability[within].mean(), correct / seen, low, high)
            )
        confidence, share, low, high = np.array(points).T
        errors = np.abs([share - low, high - share])
        style = {"color": COLORS[name], "label": name, "capsize": 2}
        axes.errorbar(confidence, share, yerr=errors, fmt=".-", **style)
    axes.set(xlabel="mean confidence of the answers", ylabel="share that is right")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def first_layer(params: Mapping[str, Params], image_shape: tuple[int, ...]) -> Figure:
    """The first layer's weights as images: blue excites, red inhibits.

    A kernel without a weight a pixel, as row_rnn's, is drawn as a whole.
    """
    figure, grid = new_figure(len(params), 1, size=(12, 1.95 * len(params)))
    for axes, (name, weights) in zip(grid.flat, params.items(), strict=True):
        kernel = first_kernel(weights)
        count, width = kernel.shape[1], image_shape[1]
        limit = _full_colour(kernel)
        if len(kernel) == np.prod(image_shape):
            strongest = np.argsort(-np.linalg.norm(kernel, axis=0), kind="stable")
            tiles = kernel[:, strongest[:TILES]].T.reshape(-1, *image_shape)
            drawn = mosaic(tiles, columns=15)
            title = f"{len(tiles)} of {count:,} hidden neurons, largest weights first"
        else:
            gap = np.full((count, 3), np.nan)
            drawn = np.hstack([kernel[:width].T, gap, kernel[width:].T])
            title = (
                f"a line a neuron: its weights on the {width} pixels of a row, and on "
                f"the {len(kernel) - width} neurons one row earlier"
            )
        axes.imshow(drawn, cmap="RdBu", vmin=-limit, vmax=limit)
        axes.axis("off")
        axes.set_title(
            f"{name}: {title}; full colour at ±{limit:.2g}", fontsize="medium"
        )
    return figure


def first_layer_by_epoch(
    kernels: Mapping[str, Mapping[int, np.ndarray]], image_shape: tuple[int, ...]
) -> Figure:
    """Some neurons' first-layer weights, a row an epoch, a panel a model.

    Args:
      kernels: by model and epoch, float32 [pixels, neurons]; epoch 0 is the start.
      image_shape: height and width.
    """
    figure, grid = new_figure(1, len(kernels), size=(3.2 * len(kernels), 4.5))
    for axes, (name, by_epoch) in zip(grid.flat, kernels.items(), strict=True):
        images = np.concatenate([kernel.T for kernel in by_epoch.values()])
        columns = next(iter(by_epoch.values())).shape[1]
        limit = _full_colour(images)
        drawn = mosaic(images.reshape(-1, *image_shape), columns)
        axes.imshow(drawn, cmap="RdBu", vmin=-limit, vmax=limit)
        middles = (np.arange(len(by_epoch)) + 0.5) * len(drawn) / len(by_epoch)
        axes.set(xticks=[], yticks=middles, yticklabels=by_epoch, ylabel="epoch")
        axes.spines[:].set_visible(False)
        axes.set_title(f"{name}, full colour at ±{limit:.2g}", fontsize="medium")
    return figure


def _full_colour(weights: np.ndarray) -> float:
    """A size that few weights exceed: row_rnn's largest would hide the rest."""
    return max(float(np.percentile(np.abs(weights), 99.5)), 1e-9)


def mosaic(tiles: np.ndarray, columns: int) -> np.ndarray:
    """Tiles [count, height, width] side by side in one array, NaN between them."""
    missing = -len(tiles) % columns
    pads = ((0, missing), (0, 2), (0, 2))
    padded = np.pad(tiles, pads, constant_values=np.nan)
    _, height, width = padded.shape
    grid = padded.reshape(-1, columns, height, width).swapaxes(1, 2)
    return grid.reshape(-1, columns * width)
