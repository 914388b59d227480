"""Figures from results. Each function draws one and returns it unsaved."""

from collections.abc import Mapping, Sequence

import jax
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from experiments.compare.page import confusion_matrix
from experiments.compare.results import Answers, accuracy
from experiments.kit.figures import COLORS, new_figure, whole_epochs
from experiments.kit.run import Row
from jaxnets.types import Batch, Params

GALLERY_SIZE = 16  # images of each kind
GALLERY_COLUMNS = 8
TILES = 30  # first-layer weight images shown of each model


def curves(rows: Mapping[str, Sequence[Row]]) -> Figure:
    """Accuracy and loss by epoch, all models on shared axes."""
    figure, [[left, right]] = new_figure(1, 2)
    for name, epochs in rows.items():
        color = COLORS[name]
        numbers = [row["epoch"] for row in epochs]
        left.plot(numbers, [accuracy(r) for r in epochs], ".-", color=color, label=name)
        loss = [row["train_loss"] for row in epochs]
        right.plot(numbers, loss, ".-", color=color, label=f"{name}, train")
        held_out = [row["validation_loss"] for row in epochs]
        if held_out[0] is not None:
            right.plot(numbers, held_out, color=color, linestyle=":")
    seen = any(epochs[0]["validation_seen"] for epochs in rows.values())
    left.set_ylabel(f"accuracy on {'the validation set' if seen else 'training'}")
    left.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    right.set_ylabel("mean loss (dotted: validation set)")
    right.set_yscale("log")
    for axes in (left, right):
        whole_epochs(axes)
        axes.grid(alpha=0.3)
        axes.legend()
    right.set_title(
        "the quadratic cost and the cross-entropy have different scales",
        fontsize="medium",
    )
    return figure


def confusion(answers: Mapping[str, Answers], labels: np.ndarray) -> Figure:
    """Confusion matrices, the diagonal left blank so that the errors show."""
    classes = np.unique(labels)
    columns = min(2, len(answers))
    rows = -(-len(answers) // columns)
    figure, grid = new_figure(rows, columns, size=(5.4 * columns, 5 * rows))
    for axes in grid.flat[len(answers) :]:
        axes.remove()
    for axes, (name, answer) in zip(grid.flat, answers.items(), strict=False):
        matrix = confusion_matrix(labels, answer.label)[np.ix_(classes, classes)]
        _draw_matrix(axes, matrix, classes)
        errors = int(np.sum(answer.label != labels))
        axes.set_title(f"{name}: {errors:,} errors")
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


def gallery(answers: Mapping[str, Answers], test: Batch) -> Figure:
    """The test images most models miss, then those with most different answers."""
    guesses = np.stack([answer.label for answer in answers.values()])
    missed = (guesses != test.label).sum(axis=0)
    shown = _most(missed, GALLERY_SIZE)
    if len(answers) > 1:
        variety = np.array([len(set(column)) for column in guesses.T]) - 1
        variety[shown] = 0
        shown = np.concatenate([shown, _most(variety, GALLERY_SIZE)])
    height, width = test.image.shape[1:]
    text_height = 0.25 * height * (1 + len(answers))
    rows = max(1, -(-len(shown) // GALLERY_COLUMNS))
    inches = 12 / (GALLERY_COLUMNS * 1.7 * width)
    size = (12, rows * (height + text_height) * inches + 0.6)
    figure, [[axes]] = new_figure(size=size)
    for number, index in enumerate(shown):
        row, column = divmod(number, GALLERY_COLUMNS)
        left, top = column * 1.7 * width, row * (height + text_height)
        _draw_image(axes, test.image[index], left, top)
        label = test.label[index]
        lines = [f"no. {index}, label {label}"]
        for name, guess in zip(answers, guesses[:, index], strict=True):
            lines.append(f"{name}: {guess}{'' if guess == label else '  wrong'}")
        text = "\n".join(lines)
        axes.text(left, top + 1.05 * height, text, fontsize=7, va="top")
    axes.set_xlim(-0.4 * width, (GALLERY_COLUMNS - 0.2) * 1.7 * width)
    axes.set_ylim(rows * (height + text_height), -0.25 * height)
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title(
        f"{int((missed > 0).sum()):,} of {len(test.label):,} test images are missed "
        f"by at least one model, {int((missed == len(answers)).sum()):,} by all"
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


def first_layer(params: Mapping[str, Params], image_shape: tuple[int, ...]) -> Figure:
    """The first layer's weights as images: blue excites, red inhibits.

    A kernel without a weight a pixel, as row_rnn's, is drawn as a whole.
    """
    figure, grid = new_figure(len(params), 1, size=(12, 1.95 * len(params)))
    for axes, (name, weights) in zip(grid.flat, params.items(), strict=True):
        matrices = (leaf for leaf in jax.tree.leaves(weights) if np.ndim(leaf) == 2)
        kernel = np.asarray(next(matrices))
        if len(kernel) == np.prod(image_shape):
            title = _draw_tiles(axes, kernel, image_shape)
        else:
            title = _draw_kernel(axes, kernel, image_shape[1])
        axes.axis("off")
        axes.set_title(f"{name}: {title}", fontsize="medium")
    return figure


def _draw_tiles(axes: Axes, kernel: np.ndarray, image_shape: tuple[int, ...]) -> str:
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
    gap = np.full((kernel.shape[1], 3), np.nan)
    parts = []
    for part in (kernel[:width].T, kernel[width:].T):
        if part.size:  # without a hidden layer there are no weights on states
            # The few weights of a neuron on itself are larger and would hide the rest.
            largest = np.percentile(np.abs(part), 99)
            parts += [part / max(largest, 1e-9), gap]
    axes.imshow(np.hstack(parts[:-1]), cmap="RdBu", vmin=-1, vmax=1)
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
