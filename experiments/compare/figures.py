"""Figures from results. Each function draws one and returns it unsaved."""

from collections.abc import Sequence

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from sklearn.metrics import confusion_matrix

from experiments.compare.results import ModelRun
from jaxnets.types import Batch

COLORS = {  # Okabe and Ito's palette, which colour-blind readers can tell apart
    "sigmoid_mse": "#0072B2",
    "relu_softmax": "#D55E00",
    "keras_dense": "#CC79A7",
    "flax_dense": "#009E73",
    "row_rnn": "#E69F00",
}
GALLERY_SIZE = 16  # images of each kind
GALLERY_COLUMNS = 8
TILES = 30  # first-layer weight images shown of each model


def curves(runs: Sequence[ModelRun]) -> Figure:
    """Accuracy and loss by epoch, all models on shared axes."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for run in runs:
        color = COLORS[run.name]
        numbers = [record.number for record in run.epochs]
        accuracy = [record.accuracy for record in run.epochs]
        left.plot(numbers, accuracy, color=color, marker=".", label=run.name)
        loss = [record.train_loss for record in run.epochs]
        right.plot(numbers, loss, color=color, marker=".", label=f"{run.name}, train")
        held_out = [record.validation_loss for record in run.epochs]
        if held_out[0] is not None:
            right.plot(numbers, held_out, color=color, linestyle=":")
    seen = runs[0].epochs[0].validation_seen
    left.set_ylabel(f"accuracy on {'the validation set' if seen else 'training'}")
    left.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    right.set_ylabel("mean loss (dotted: validation set)")
    right.set_yscale("log")
    for axes in (left, right):
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
        axes.legend()
        axes.xaxis.get_major_locator().set_params(integer=True)
    right.set_title("the quadratic cost and the cross-entropy have different scales")
    right.title.set_fontsize("medium")
    return figure


def confusion(runs: Sequence[ModelRun], labels: np.ndarray) -> Figure:
    """Confusion matrices, the diagonal left blank so that the errors show."""
    classes = np.unique(labels)
    columns = min(2, len(runs))
    rows = -(-len(runs) // columns)
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(5.4 * columns, 5 * rows),
        squeeze=False,
        layout="constrained",
    )
    for axes in grid.flat[len(runs) :]:
        axes.remove()
    for axes, run in zip(grid.flat, runs, strict=False):
        matrix = confusion_matrix(labels, run.prediction.label, labels=classes)
        _draw_matrix(axes, matrix, classes)
        axes.set_title(f"{run.name}: {len(labels) - np.trace(matrix):,} errors")
    return figure


def _draw_matrix(axes: Axes, matrix: np.ndarray, classes: np.ndarray) -> None:
    errors = matrix.astype(float)
    np.fill_diagonal(errors, np.nan)
    axes.imshow(errors, cmap="Oranges")
    for row, column in np.ndindex(matrix.shape):
        if count := matrix[row, column]:
            on_diagonal = row == column
            dark = not on_diagonal and count > 0.6 * np.nanmax(errors)
            axes.text(
                column,
                row,
                str(count),
                ha="center",
                va="center",
                fontsize=8,
                color="white" if dark else "gray" if on_diagonal else "black",
            )
    axes.set(xlabel="predicted", ylabel="label", xticks=range(len(classes)))
    axes.set(yticks=range(len(classes)), xticklabels=classes, yticklabels=classes)


def gallery(runs: Sequence[ModelRun], test: Batch) -> Figure:
    """The test images most models miss, then those with most different answers."""
    guesses = np.stack([run.prediction.label for run in runs])
    missed = (guesses != test.label).sum(axis=0)
    shown = _most(missed, GALLERY_SIZE)
    if len(runs) > 1:
        variety = np.array([len(set(column)) for column in guesses.T]) - 1
        variety[shown] = 0
        shown = np.concatenate([shown, _most(variety, GALLERY_SIZE)])
    height, width = test.image.shape[1:]
    text_height = 0.25 * height * (1 + len(runs))
    figure, axes = plt.subplots(layout="constrained")
    for place, index in enumerate(shown):
        row, column = divmod(place, GALLERY_COLUMNS)
        left, top = column * 1.7 * width, row * (height + text_height)
        _draw_image(axes, test.image[index], left, top)
        label = test.label[index]
        answers = _answers(runs, guesses[:, index], label)
        words = f"no. {index}, label {label}\n{answers}"
        axes.text(left, top + 1.05 * height, words, fontsize=7, va="top")
    rows = max(1, -(-len(shown) // GALLERY_COLUMNS))
    axes.set_xlim(-0.4 * width, (GALLERY_COLUMNS - 0.2) * 1.7 * width)
    axes.set_ylim(rows * (height + text_height), -0.25 * height)
    axes.set_aspect("equal")
    axes.axis("off")
    inches = 12 / (GALLERY_COLUMNS * 1.7 * width)
    figure.set_size_inches(12, rows * (height + text_height) * inches + 0.6)
    axes.set_title(
        f"{int((missed > 0).sum()):,} of {len(test.label):,} test images are missed "
        f"by at least one model, {int((missed == len(runs)).sum()):,} by all"
    )
    return figure


def _most(scores: np.ndarray, count: int) -> np.ndarray:
    """Indices of the largest scores above 0, the first ones where they are equal."""
    largest = np.argsort(-scores, kind="stable")[:count]
    return largest[scores[largest] > 0]


def _draw_image(axes: Axes, image: np.ndarray, left: float, top: float) -> None:
    height, width = image.shape
    extent = (left, left + width, top + height, top)
    axes.imshow(image, cmap="gray_r", vmin=0, vmax=255, extent=extent)


def _answers(runs: Sequence[ModelRun], guesses: np.ndarray, label: int) -> str:
    """A line a model: what it took the image for."""
    return "\n".join(
        f"{run.name}: {guess}{'' if guess == label else '  wrong'}"
        for run, guess in zip(runs, guesses, strict=True)
    )


def first_layer(runs: Sequence[ModelRun], image_shape: tuple[int, int]) -> Figure:
    """The first layer's weights as images: blue excites, red inhibits.

    A kernel without a weight a pixel, as row_rnn's, is drawn as a whole.
    """
    figure, column = plt.subplots(
        len(runs),
        1,
        figsize=(12, 1.95 * len(runs)),
        squeeze=False,
        layout="constrained",
    )
    for axes, run in zip(column.flat, runs, strict=True):
        kernel = np.asarray(run.params[0].kernel)
        if len(kernel) == np.prod(image_shape):
            title = _draw_tiles(axes, kernel, image_shape)
        else:
            title = _draw_kernel(axes, kernel, image_shape[1])
        axes.axis("off")
        axes.set_title(f"{run.name}: {title}", fontsize="medium")
    return figure


def _draw_tiles(axes: Axes, kernel: np.ndarray, image_shape: tuple[int, int]) -> str:
    """An image for each of the neurons with the largest weights; returns the title."""
    strongest = np.argsort(-np.linalg.norm(kernel, axis=0), kind="stable")[:TILES]
    tiles = kernel[:, strongest].T.reshape(-1, *image_shape)
    tiles = tiles / np.abs(tiles).max(axis=(1, 2), keepdims=True)
    axes.imshow(_mosaic(tiles, columns=15), cmap="RdBu", vmin=-1, vmax=1)
    return (
        f"{len(strongest)} of {kernel.shape[1]:,} hidden neurons, largest weights first"
    )


def _draw_kernel(axes: Axes, kernel: np.ndarray, width: int) -> str:
    """The whole kernel of row_rnn, a line a neuron; returns the title."""
    parts = []
    for part in (kernel[:width].T, kernel[width:].T):
        # The few weights of a neuron on itself are larger; they would hide the rest.
        parts.append(part / max(np.percentile(np.abs(part), 99), 1e-9))
    gap = np.full((kernel.shape[1], 3), np.nan)
    drawn = np.hstack([parts[0], gap, parts[1]])
    axes.imshow(drawn, cmap="RdBu", vmin=-1, vmax=1)
    return (
        f"a line for each of {kernel.shape[1]:,} neurons: its weights on the {width} "
        f"pixels of a row, and on the {len(kernel) - width} neurons one row earlier"
    )


def _mosaic(tiles: np.ndarray, columns: int) -> np.ndarray:
    """Tiles [count, height, width] side by side in one array, NaN between them."""
    padded = np.pad(tiles, ((0, 0), (0, 2), (0, 2)), constant_values=np.nan)
    missing = -len(tiles) % columns
    padded = np.pad(padded, ((0, missing), (0, 0), (0, 0)), constant_values=np.nan)
    _, height, width = padded.shape
    grid = padded.reshape(-1, columns, height, width).swapaxes(1, 2)
    return grid.reshape(-1, columns * width)
