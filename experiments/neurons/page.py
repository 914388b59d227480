"""The page: statements, figures, and the tables of two digits and ten classes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from experiments.kit.figures import new_figure, whole_epochs
from experiments.kit.numbers import text
from experiments.kit.page import Picture, Table, table
from experiments.kit.run import Row, Run
from experiments.neurons.learning import INPUTS, LAYERS
from experiments.neurons.results import better, part
from jaxnets.data import NUM_CLASSES
from jaxnets.models import MODELS
from jaxnets.types import Dense

SIGMOID, PERCEPTRON, OTHER = "#0072B2", "#D55E00", "#009E73"  # Okabe and Ito's palette
SHADES = ("#9ecae1", "#4292c6", "#0072B2", "#08306b")
SHOWN_PASSES = 12  # of the learning rule on truth tables
CAPTIONS = {
    "Small changes": "Left: one weight moves. Middle: changes in random directions. "
    "Right: all weights times a factor.",
    "The learning rule": "On truth tables, and on every two digits.",
    "Cascades": "A line is a burst. The first neurons are stimulated at step 0 only. "
    "In the middle links lead to higher neurons; on the right some of them lead back.",
    "Weights and importance": "A dot is an input of a random perceptron: how probable "
    "it is that drawing it anew changes the output. Reversed: of two weights of one "
    "neuron, the larger has the smaller effect.",
    "Ten neurons, ten classes": "Bands run from the lowest to the highest seed.",
    "The ten neurons' weights": "Blue speaks for the digit, red against it; mean over "
    "all steps.",
}


def sections(run: Run, results: Mapping[str, Any]) -> Iterator[Table | Picture]:
    """Tables and pictures of the parts that are measured."""
    yield statement_table(results["statements"])
    shape = run.data.test.image.shape[1:]
    like = Dense(np.zeros((shape[0] * shape[1], NUM_CLASSES)), np.zeros(NUM_CLASSES))
    contents: dict[str, tuple[Callable[..., Figure], Any, *tuple[Any, ...]]] = {
        "Small changes": (small_changes, results.get("small_changes")),
        "The learning rule": (learning, results.get("gate_learning"), results["pairs"]),
        "Cascades": (cascades, part(run.rows, "cascades")),
        "Weights and importance": (importance, results.get("importance")),
        "Ten neurons, ten classes": (ten_classes, part(run.rows, "ten_classes")),
        "The ten neurons' weights": (
            ten_weights,
            run.read_weights("ten_average", (like,)),
            shape,
        ),
    }
    for title, (draw, *content) in contents.items():
        if content[0]:
            figure = partial(draw, *content)
            yield Picture(draw.__name__, title, CAPTIONS[title], figure)
    if ten := results["ten_classes"]:
        yield ten_table(ten, run.data.name)
    if pairs := results["pairs"]:
        yield pair_table(pairs)


def statement_table(statements: Sequence[Mapping[str, Any]]) -> Table:
    """A row a number; its statement stands at the first."""
    verdicts, rows = {True: "yes", False: "no", None: "open"}, []
    for row in statements:
        texts = (row["statement"], verdicts[row["holds"]])
        for name, value in row["numbers"].items():
            if isinstance(value, list):
                number = ", ".join(map(str, value))
            else:
                number = text(value, "," if isinstance(value, int) else ".4g")
            rows.append((*texts, name, number))
            texts = ("", "")
    caption = "Open: the numbers decide nothing, as where the cap stopped the rule."
    header = ("statement", "holds", "measured", "")
    return Table("What is said of neurons", caption, header, rows)


def ten_table(ten: Mapping[str, Any], dataset: str) -> Table:
    """The baseline, the perceptrons, and what the write-up reports of networks."""
    frequent = f"always {ten['most_frequent_class']}, the most frequent"
    rows = [(frequent, "", f"{ten['most_frequent_accuracy']:.2%}", "")]
    for name, runs in ten["runs"].items():
        for layer, words in LAYERS.items():
            tests, checked = runs[f"test_{layer}"], runs[f"validation_{layer}"]
            texts = (
                f"perceptron, {name} pixels, {words}",
                "-" if None in checked else f"{np.mean(checked):.2%}",
                f"{np.mean(tests):.2%}",
                f"{min(tests):.2%} to {max(tests):.2%}, {len(tests)} seeds",
            )
            rows.append(texts)
    for model in MODELS.values() if dataset == "mnist" else ():
        if model.reported is not None:
            rows.append((f"{model.name}, as reported", "", f"{model.reported:.2%}", ""))
    caption = (
        "Validation and test set: means over the seeds. No rate and no random start: a "
        "seed decides the order of the images alone."
    )
    header = ("", "validation set", "test set", "lowest to highest")
    return Table("Ten classes", caption, header, rows)


def pair_table(pairs: Sequence[Row]) -> Table:
    """Each pair of digits, the slowest first."""

    def passes(pair: Row) -> str:
        left = pair["last_mistakes"]
        return f"{pair['passes']}" + (f", still {left} mistakes" if left else "")

    def share(key: str, pair: Row) -> str:
        return f"{pair[key] / pair['test_seen']:.2%}" if pair["test_seen"] else "-"

    return table(
        "Two digits",
        "Test accuracy of one perceptron and one sigmoid neuron for two digits, on the "
        "same bits in the same order. Better: by an exact McNemar test, p below 0.05; "
        "else a tie.",
        sorted(pairs, key=lambda pair: (-pair["passes"], -pair["last_mistakes"])),
        {
            "digits": lambda pair: "-".join(map(str, pair["digits"])),
            "examples": "examples:,",
            "passes": passes,
            "perceptron": partial(share, "test_correct"),
            "sigmoid neuron": partial(share, "sigmoid_correct"),
            "better": better,
        },
        on_screen=False,
    )


def _title(axes: Axes, title: str, **labels: Any) -> None:
    """A title, and what `axes.set` takes."""
    axes.set(**labels)
    axes.set_title(title, fontsize="medium")


def small_changes(small: Row) -> Figure:
    """Both neurons as a weight moves; the linear prediction; the approach."""
    figure, [[left, middle, right]] = new_figure(1, 3, size=(13, 4))
    curves = small["curves"]
    weight, tangent = np.array(curves["weight"]), np.array(curves["tangent"])
    near = np.abs(weight - 1) <= 2
    left.plot(weight, curves["sigmoid"], color=SIGMOID, label="sigmoid neuron")
    line = {"color": "black", "ls": ":", "label": "linear prediction"}
    left.plot(weight[near], tangent[near], **line)
    left.plot(1, np.interp(1, weight, curves["sigmoid"]), "o", color="black", ms=5)
    _title(left, "one weight moves", xlabel="weight (input 1, bias 0)", ylabel="output")
    for key, color, style, label in (
        ("mean_change", SIGMOID, "o-", "sigmoid: change"),
        ("median_error", SIGMOID, ".:", "sigmoid: error of the prediction"),
        ("jumps", PERCEPTRON, "s-", "perceptron: share that jumps by 1"),
    ):
        points = [(row["size"], row[key]) for row in small["sizes"] if row[key]]
        if points:
            middle.loglog(*zip(*points, strict=True), style, color=color, label=label)
    _title(
        middle,
        f"{small['neurons']:,} random neurons; "
        f"the error's power of the size: {small['order_of_error']:.2f}",
        xlabel="size of the change of weights and bias",
        ylabel="change of the output, or share",
    )
    middle.legend(fontsize="small")
    approach = sorted(
        small["curves"]["approach"].items(), key=lambda item: int(item[0])
    )
    for shade, (factor, curve) in zip(SHADES, approach, strict=True):
        right.plot(weight, curve, color=shade, label=f"weights x {factor}")
    words = "the sigmoid's approach to the step"
    _title(right, words, xlabel="weighted sum + bias", ylabel="output")
    for axes in (left, right):
        axes.plot([-6, 0, 0, 6], [0, 0, 1, 1], color=PERCEPTRON, label="perceptron")
        axes.set_ylim(-0.08, 1.08)
        axes.legend(fontsize="small", loc="upper left")
    for axes in (left, middle, right):
        axes.grid(alpha=0.3)
    return figure


def importance(measured: Row) -> Figure:
    """A weight's size and the effect of its input, for two kinds of inputs."""
    influences = measured["influences"]
    figure, [row] = new_figure(1, len(influences), size=(10, 4))
    sizes = np.abs(measured["weights"])
    for axes, (name, effects) in zip(row, influences.items(), strict=True):
        axes.sharey(row[0])
        axes.scatter(sizes, effects, s=9, alpha=0.5, color=SIGMOID, linewidths=0)
        share = measured[name]["reversed"] / measured[name]["pairs"]
        _title(
            axes, f"inputs {name}: {share:.1%} reversed", xlabel="size of the weight"
        )
        axes.grid(alpha=0.3)
    row[0].set_ylabel("probability that the input decides")
    return figure


def cascades(nets: Sequence[Row]) -> Figure:
    """A line where and while a neuron fires."""
    figure, [row] = new_figure(1, len(nets), size=(13, 4.6))
    for axes, net in zip(row, nets, strict=True):
        neurons, begins, ends = np.array(net["raster"], int).reshape(-1, 3).T
        width = max(0.8, 160 / net["neurons"])
        axes.hlines(neurons, begins - 0.5, ends - 0.5, color=SIGMOID, linewidth=width)
        _title(axes, f"{net['net']}: {net['bursts']:,} bursts", xlabel="step")
        axes.set(xlim=(-1, net["steps"]), ylim=(-1, net["neurons"]))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    row[0].set_ylabel("neuron")
    return figure


def learning(gates: Row, pairs: Sequence[Row]) -> Figure:
    """Mistakes by pass on truth tables; passes to the end for each two digits."""
    figure, [[left, right]] = new_figure(1, 2, size=(12, 5))
    for name, style, color in (
        ("AND", "o-", SIGMOID),
        ("OR", "s--", OTHER),
        ("XOR", "o-", PERCEPTRON),
    ):
        mistakes = gates[name]["mistakes"][:SHOWN_PASSES]
        left.plot(range(1, len(mistakes) + 1), mistakes, style, color=color, label=name)
    _title(left, f"XOR goes on, here to {gates['XOR']['passes']} passes", xlabel="pass")
    left.set(ylabel="mistakes among 4 inputs", ylim=(-0.2, 4.4), yticks=range(5))
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.legend()
    left.grid(alpha=0.3)
    if not pairs:
        right.remove()
        return figure
    size = 1 + max(max(pair["digits"]) for pair in pairs)
    passes = np.full((size, size), np.nan)
    for pair in pairs:
        (low, high), words, color = pair["digits"], f"{pair['passes']}", "black"
        if pair["converged"]:
            passes[high, low] = np.log(pair["passes"])
        else:
            words, color = f"{pair['last_mistakes']}\nleft", PERCEPTRON
        right.text(low, high, words, color=color, fontsize=8, ha="center", va="center")
    most = max(pair["passes"] for pair in pairs)
    right.imshow(passes, cmap="Blues", vmin=0, vmax=1.6 * np.log(max(most, 2)))
    right.set(xticks=range(size - 1), yticks=range(1, size), xlim=(-0.5, size - 1.5))
    ended = sum(pair["converged"] for pair in pairs)
    _title(
        right,
        f"passes until no mistake: {ended} of {len(pairs)} pairs of digits\n"
        "orange: not within the cap, and the mistakes of its last pass",
        **{"ylim": (size - 0.5, 0.5), "xlabel": "digit", "ylabel": "digit"},
    )
    return figure


def ten_classes(epochs: Sequence[Row]) -> Figure:
    """Validation accuracy by epoch; bands from the lowest to the highest seed."""
    figure, [[axes]] = new_figure(size=(8, 4.2))
    for which, color in (("last", PERCEPTRON), ("average", SIGMOID)):
        key = f"validation_{which}"
        for name, style in zip(INPUTS, ("--", "-"), strict=True):
            own = [r for r in epochs if r["inputs"] == name and r[key] is not None]
            if not own:
                continue
            numbers = sorted({row["epoch"] for row in own})
            values = [[r[key] for r in own if r["epoch"] == n] for n in numbers]
            low, middle, high = (list(map(f, values)) for f in (min, np.mean, max))
            label = f"{name} pixels, {LAYERS[which]}"
            axes.plot(numbers, middle, style, color=color, marker=".", label=label)
            axes.fill_between(numbers, low, high, color=color, alpha=0.12, linewidth=0)
    whole_epochs(axes)
    axes.set_ylabel("accuracy on the validation set")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(fontsize="small")
    return figure


def ten_weights(layers: tuple[Dense], image_shape: tuple[int, int]) -> Figure:
    """The ten neurons' weights as images."""
    kernel = np.asarray(layers[0].kernel)
    figure, grid = new_figure(2, 5, size=(10, 4.4))
    largest = np.quantile(np.abs(kernel), 0.999) or 1  # few are much larger
    for digit, (axes, column) in enumerate(zip(grid.flat, kernel.T, strict=True)):
        image = column.reshape(image_shape)
        axes.imshow(image, cmap="RdBu", vmin=-largest, vmax=largest)
        axes.set_title(str(digit), fontsize="medium")
        axes.axis("off")
    return figure
