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
from experiments.neurons.learning import INPUTS, LAYERS, PERCEPTRONS
from experiments.neurons.results import part
from jaxnets.data import NUM_CLASSES
from jaxnets.types import Dense

SIGMOID, PERCEPTRON, OTHER = "#0072B2", "#D55E00", "#009E73"  # Okabe and Ito's palette
SHADES = ("#9ecae1", "#4292c6", "#0072B2", "#08306b")
SHOWN_PASSES = 12  # of the learning rule on truth tables
NO_DATA = ("small_changes", "cascades", "importance")  # random neurons and nets
CAPTIONS = {
    "Small changes": "Above: one weight moves, and all weights times a factor. Below: "
    "weights and bias of random neurons change in random directions.",
    "The learning rule": "On truth tables, with lines a little apart, and on every two "
    "digits.",
    "Cascades": "Demonstrations: nets built to show it. A line is a burst. The first "
    "neurons are stimulated at step 0 only. In the middle links lead to higher "
    "neurons; on the right some of them lead back.",
    "Weights and importance": "A dot is an input of a random perceptron: how probable "
    "it is that drawing it anew changes the output. Reversed: of two weights of one "
    "neuron, the larger has the smaller effect.",
    "Ten neurons, ten classes": "Bands run from the lowest to the highest seed.",
    "The ten neurons' weights": "Blue speaks for the digit, red against it; mean over "
    "all steps.",
}


def lead(results: Mapping[str, Any]) -> str:
    """What was found, of the parts that are measured."""
    pairs, ten = results["pair_summary"], results["ten_classes"]
    sentences = [
        "What one neuron does, can learn and cannot, and what many do in time."
    ]
    if pairs and pairs["test_seen"]:
        right = {name: p["correct"] for name, p in pairs["perceptrons"].items()}
        right["sigmoid"] = pairs["sigmoid_correct"]
        share = {name: f"{n / pairs['test_seen']:.1%}" for name, n in right.items()}
        sentences = [
            f"Of two digits a perceptron is right on {share['average']} of the test "
            f"images with the mean of its weights and on {share['last']} with the last "
            f"ones, a sigmoid neuron on {share['sigmoid']} ({pairs['pairs']} pairs)."
        ]
    if ten:
        means = [f"{np.mean(r['test_average']):.1%}" for r in ten["runs"].values()]
        kinds = " and ".join(ten["runs"])
        sentences.append(
            f"Of all ten digits, ten perceptrons are right on {' and '.join(means)} "
            f"({kinds} pixels)."
        )
    return " ".join(sentences)


def sections(run: Run, results: Mapping[str, Any]) -> Iterator[Table | Picture]:
    """Tables and pictures of the parts that are measured."""
    if pairs := results["pair_summary"]:
        yield pair_table(pairs, run.config)
    if ten := results["ten_classes"]:
        yield ten_table(ten)
    yield statement_table(results["statements"], results["demonstrations"])
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
            figure, name = partial(draw, *content), draw.__name__
            yield Picture(name, title, CAPTIONS[title], figure, name not in NO_DATA)


def pair_table(pairs: Mapping[str, Any], config: Any) -> Table:
    """Every way to tell two digits apart, over all pairs."""
    passes = {"end": f"to the end, at most {config.max_passes}"}
    ways = [
        {"": words, "passes": passes.get(name), **pairs["perceptrons"][name]}
        for name, words in PERCEPTRONS.items()
    ]
    ways.append({"": "sigmoid neuron", "correct": pairs["sigmoid_correct"]})
    unknown = {"better": None, "worse": None, "passes": None}
    seen = pairs["test_seen"]
    return table(
        "Two digits",
        f"{pairs['pairs']} pairs, {seen:,} answers, the same bits in the same order. "
        "Better, worse: pairs on which the sigmoid neuron is right more or less often "
        "beyond chance; exact McNemar tests, p below 0.05 by Holm over the pairs.",
        [{**unknown, **way} for way in ways],
        {
            "": "",
            "passes": lambda way: way["passes"] or f"{config.sigmoid_passes}",
            "right": lambda way: f"{way['correct'] / seen:.2%}" if seen else "-",
            "sigmoid better on": "better",
            "worse on": "worse",
        },
    )


def statement_table(statements: Sequence[Row], demonstrations: Sequence[Row]) -> Table:
    """A row a statement."""
    verdicts = {True: "yes", False: "no", None: "open"}
    rows = [
        (row["statement"], verdicts[row["holds"]], _in_words(row["numbers"]))
        for row in statements
    ]
    rows += [
        (row["shown"], "by construction", _in_words(row["numbers"]))
        for row in demonstrations
    ]
    caption = (
        "Open: the numbers decide nothing, as where the cap stopped the rule. By "
        "construction: a demonstration with nets that are built so, and no test."
    )
    header = ("statement", "holds", "measured")
    return Table("What is said of neurons", caption, header, rows, on_screen=False)


def _in_words(numbers: Row) -> str:
    """Numbers with their names."""
    return "; ".join(
        f"{name}: {text(number, ',' if isinstance(number, int) else '.4g')}"
        for name, number in numbers.items()
    )


def ten_table(ten: Mapping[str, Any]) -> Table:
    """The baseline and the perceptrons."""
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
    caption = (
        "Validation and test set: means over the seeds. No rate and no random start: a "
        "seed decides the order of the images alone."
    )
    header = ("", "validation set", "test set", "lowest to highest")
    return Table("Ten classes", caption, header, rows)


def _title(axes: Axes, title: str, **labels: Any) -> None:
    """A title, and what `axes.set` takes."""
    axes.set(**labels)
    axes.set_title(title, fontsize="medium")


def small_changes(small: Row) -> Figure:
    """Both neurons as a weight moves; the linear prediction; the approach."""
    figure, [[moved, approach], [change, jump]] = new_figure(2, 2, size=(11, 8))
    curves = small["curves"]
    weight, tangent = np.array(curves["weight"]), np.array(curves["tangent"])
    near = np.abs(weight - 1) <= 2
    moved.plot(weight, curves["sigmoid"], color=SIGMOID, label="sigmoid neuron")
    moved.plot(weight[near], tangent[near], "k:", label="linear prediction")
    moved.plot(1, np.interp(1, weight, curves["sigmoid"]), "o", color="black", ms=5)
    _title(moved, "one weight moves", xlabel="weight (input 1, bias 0)")
    factors = sorted(curves["approach"].items(), key=lambda item: int(item[0]))
    for shade, (factor, curve) in zip(SHADES, factors, strict=True):
        approach.plot(weight, curve, color=shade, label=f"weights x {factor}")
    words = "the sigmoid's approach to the step"
    _title(approach, words, xlabel="weighted sum + bias")
    for axes in (moved, approach):
        axes.plot([-6, 0, 0, 6], [0, 0, 1, 1], color=PERCEPTRON, label="perceptron")
        axes.set(ylabel="output", ylim=(-0.08, 1.08))
    for axes, key, color, style, label in (
        (change, "mean_change", SIGMOID, "o-", "mean change"),
        (change, "median_error", SIGMOID, ".:", "median error of its prediction"),
        (jump, "jumps", PERCEPTRON, "s-", "perceptrons"),
    ):
        points = [(row["size"], row[key]) for row in small["sizes"] if row[key]]
        if points:
            axes.loglog(*zip(*points, strict=True), style, color=color, label=label)
    words = f"{small['neurons']:,} sigmoid neurons: the error grows with the size "
    words += f"to the power {small['order_of_error']:.2f}"
    _title(change, words, ylabel="change of the output")
    words = f"{small['neurons']:,} perceptrons jump or stay"
    _title(jump, words, ylabel="share whose output jumps")
    jump.yaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    for axes in (change, jump):
        axes.set_xlabel("size of the change of weights and bias")
    for axes in figure.axes:
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small", loc="upper left")
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
    for name, style, color, apart in (
        ("AND", "o-", SIGMOID, 0.06),
        ("OR", "s--", OTHER, -0.06),
        ("XOR", "o-", PERCEPTRON, 0),
    ):
        mistakes = np.array(gates[name]["mistakes"][:SHOWN_PASSES])
        passes = np.arange(len(mistakes)) + 1
        left.plot(passes, mistakes + apart, style, color=color, label=name)
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
