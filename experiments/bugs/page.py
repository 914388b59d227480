"""The page: tables and figures, in their order."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from experiments.bugs.programs import HEALTHY, MISTAKES, PROGRAMS
from experiments.bugs.results import Networks, finished_networks
from experiments.bugs.train import UNTRAINED
from experiments.kit.figures import COLORS, new_figure, whole_epochs
from experiments.kit.numbers import text
from experiments.kit.page import Picture, Table, table
from experiments.kit.run import Row

Results = Mapping[str, Any]

PIXELS = {"scaled": "0 to 1", "bytes": "0 to 255"}
EPOCHS, FINAL, LINE = "#B8C4D0", COLORS["sigmoid_mse"], COLORS["relu_softmax"]
COLUMNS = 4  # of the loss curves
SHOWN = 5  # seeds of each program whose answers are drawn
NEARBY = 0.04  # accuracy on both sides of what was reported


def lead(results: Results) -> str:
    """What was asked, and the answer in numbers."""
    reported = results["reported_accuracy"]
    tried = f"{len(results['programs'].keys() - {'healthy'})} likely mistakes"
    if reported is None:
        return f"{tried} in Model 1, made one at a time."
    return (
        f"{reported:.2%} is what the write-up reports of Model 1. Of {tried}, made one "
        f"at a time, {len(results['can_give_it'])} can give it."
    )


def sections(results: Results, rows: Sequence[Row]) -> list[Table | Picture]:
    """Tables and pictures; none where no network is finished."""
    if not results["programs"]:
        return []
    networks = finished_networks(rows)
    networks.pop(UNTRAINED, None)
    model_1 = {name: networks.pop(name) for name in results["programs"]}
    reported = results["reported_accuracy"]
    reported_3 = results["reported_accuracy_model_3"]
    dots = "Test accuracy of every seed: grey after each epoch, colour after the last"
    line = "." if reported is None else f"; the line is the reported {reported:.2%}."
    line_3 = "." if reported is None else f"; the line is {reported_3:.1%}."
    parts: list[Table | Picture] = [
        Picture(
            "accuracies",
            "What each mistake scores",
            dots + line,
            partial(draw_accuracies, model_1, reported),
        ),
        accuracies(results),
        signatures(results),
        healthy(results["programs"]["healthy"]),
        Picture(
            "answers",
            "What each mistake answers",
            f"The share of each answer, a line a seed, of {SHOWN} seeds at "
            "most. Arg-max along the images gives places in a mini-batch.",
            partial(draw_answers, model_1),
        ),
        Picture(
            "losses",
            "Training loss",
            "As each program reports it, a line a seed; grey is the healthy program. "
            "Those that train as it does, or not at all, are left out.",
            partial(draw_losses, model_1),
        ),
        pixels(results),
        Picture(
            "model_3",
            "Model 3, pixels scaled and as bytes",
            dots + line_3,
            partial(draw_model_3, networks, reported_3),
        ),
    ]
    return parts if results["model_3"] else parts[:-2]


def _percent(value: Any) -> str:
    """An accuracy in per cent, or a pair of them, or none."""
    if isinstance(value, list | tuple):
        return " to ".join(map(_percent, value))
    return text(value and 100 * value, ".2f")


def _tally(entry: Results) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in entry["diagnosis"].items())


def _yes(value: bool) -> str:
    return "yes" if value else "no"


SPREAD = {  # columns
    "test, %": lambda entry: _percent(entry["test_accuracy"]),
    "interval": lambda entry: _percent(entry["interval_95"]),
    "extremes": lambda entry: _percent((entry["lowest"], entry["highest"])),
}
SEEDS = {"seeds": lambda entry: str(len(entry["by_seed"]))}


def accuracies(results: Results) -> Table:
    """What each program scores, and whether it can be what was reported."""
    reported, start = results["reported_accuracy"], results["untrained"]
    entries = list(results["programs"].values())
    if start:
        words = {"program": UNTRAINED, "mistake": "tested as it starts"}
        entries.append({**words, **start, "reported_after_any_epoch": start})
    columns: dict[str, Any] = {"program": "program", "mistake": "mistake", **SPREAD}
    caption = (
        "Mean over seeds after the last epoch, a 95 % bootstrap interval of that mean "
        "(too narrow with so few seeds), and the extremes."
    )
    if reported is not None:

        def gives(entry: Results) -> str:
            reached = entry["reported_after_any_epoch"]
            return f"{_yes(reached['can_give_it'])}, {reached['near_share']:.0%}"

        columns[f"gives {reported:.2%}"] = gives
        caption += (
            " The last column is of every seed after every epoch, or of all untrained "
            "networks where nothing is learned: whether the extremes enclose what was "
            "reported, and how many come within half a point of it."
        )
    title = f"Model 1 on the test set of {results['dataset']}"
    return table(title, caption, entries, columns)


def signatures(results: Results) -> Table:
    """What each program looks like from outside."""
    return table(
        "Signatures",
        "Means over seeds after the last epoch. Loss: in training, as the program "
        "reports it. Flat: the share of hidden activations at 0 or 1. Error slope: the "
        "mean slope of the outputs, weighted by their errors. Change: root mean "
        "square, of the parameters. Diagnosis: the first finding of jaxnets.diagnose, "
        "and of how many seeds it is.",
        results["programs"].values(),
        {
            "program": "program",
            **SEEDS,
            "loss": "train_loss:.4g",
            "flat": "flat_hidden:.3f",
            "error slope": "error_slope:.4f",
            "change": "parameter_change:.3g",
            "diagnosis": _tally,
        },
    )


def healthy(entry: Results) -> Table:
    """The networks without a mistake of which something is found."""
    flagged = {network["seed"]: network for network in entry["flagged"]}
    rows = [
        (
            f"seed {seed}",
            _percent(network["test_accuracy"]),
            "; ".join(network["said"]),
            _yes(network["is_true"]),
        )
        for seed, network in flagged.items()
    ]
    pairs = zip(entry["seeds"], entry["by_seed"], strict=True)
    if others := [accuracy for seed, accuracy in pairs if seed not in flagged]:
        extremes = _percent((min(others), max(others)))
        rows.append((f"{len(others)} others", extremes, "nothing", "yes"))
    return Table(
        "Networks without a mistake",
        f"What jaxnets.diagnose finds wrong with {len(flagged)} of "
        f"{len(entry['seeds'])}, and whether it is so.",
        ("network", "test, %", "finding", "true"),
        rows,
    )


def pixels(results: Results) -> Table:
    """What bytes in place of pixels in [0, 1] do to Model 3."""
    entries = [
        {"model": model, "pixels": PIXELS[kind], **entry}
        for model, kinds in results["model_3"].items()
        for kind, entry in kinds.items()
    ]
    columns: dict[str, Any] = {"model": "model", "pixels": "pixels", **SEEDS, **SPREAD}
    columns |= {"training loss": "train_loss:.3f", "diagnosis": _tally}
    reported = results["reported_accuracy_model_3"]
    if reported is not None:
        columns[f"encloses {reported:.1%}"] = lambda entry: _yes(
            entry["reported_at_the_end"]["can_give_it"]
        )
    return table("Model 3", "As the tables of Model 1.", entries, columns)


def draw_accuracies(networks: Mapping[str, Networks], reported: float | None) -> Figure:
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


def draw_model_3(networks: Mapping[str, Networks], reported: float | None) -> Figure:
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


def draw_answers(networks: Mapping[str, Networks]) -> Figure:
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


def draw_losses(networks: Mapping[str, Networks]) -> Figure:
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
