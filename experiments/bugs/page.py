"""The page: tables and figures, in their order."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from experiments.bugs import judge
from experiments.bugs.judge import amount
from experiments.bugs.programs import HEALTHY, MISTAKES, PROGRAMS
from experiments.bugs.results import Networks, finished_networks
from experiments.bugs.train import SLOPES, UNTRAINED
from experiments.kit.figures import COLORS, new_figure, whole_epochs
from experiments.kit.numbers import percent, text
from experiments.kit.page import Picture, Table, table
from experiments.kit.run import Row

Results = Mapping[str, Any]

PIXELS = {"scaled": "0 to 1", "bytes": "0 to 255"}
EPOCHS, FINAL, LINE = "#B8C4D0", COLORS["sigmoid_mse"], COLORS["relu_softmax"]
COLUMNS = 4  # of the loss curves
NEAREST = 3  # mistakes that the first sentence names
SHOWN = 5  # seeds of each program whose answers are drawn
NEARBY = 0.04  # accuracy on both sides of what was reported


def lead(results: Results) -> str:
    """What was found, in numbers."""
    reported, judgement = results["reported_accuracy"], results["judgement"]
    programs = results["programs"]
    entries = [programs[name] for name in MISTAKES if name in programs]
    sentences = [f"{len(entries)} likely mistakes in Model 1, made one at a time."]
    if reported is not None and entries:
        nearest = [name for name in _nearest_first(results) if name in MISTAKES]
        medians = [
            f"{PROGRAMS[name].mistake} {percent(programs[name]['median'])} "
            f"({percent((programs[name]['lowest'], programs[name]['highest']))})"
            for name in nearest[:NEAREST]
        ]
        sentences = [
            f"Of {len(entries)} likely mistakes in Model 1 these have the medians over "
            f"seeds nearest to the reported {reported:.2%}, with the extremes: "
            f"{'; '.join(medians)}."
        ]
    if judgement:
        sentences.append(
            "Of networks that set none of its limits, jaxnets.diagnose misses "
            f"{amount(judgement['missed'])} with a mistake and accuses "
            f"{amount(judgement['false_alarms'])} without one."
        )
    return " ".join(sentences)


def sections(results: Results, rows: Sequence[Row]) -> list[Table | Picture]:
    """Tables and pictures; none where no network is finished."""
    if not results["programs"]:
        return []
    networks = finished_networks(rows)
    networks.pop(UNTRAINED, None)
    model_1 = {name: networks.pop(name) for name in results["programs"]}
    reported, reported_3 = (
        results[name] for name in ("reported_accuracy", "reported_accuracy_model_3")
    )
    dots = "Test accuracy of every seed: grey after each epoch, colour after the last"
    line = line_3 = "."
    if reported is not None:
        band = "; the line is the reported {}, the band what is within chance of it."
        line = f"{band.format(f'{reported:.2%}')} Nearest medians first."
        line_3 = band.format(f"{reported_3:.1%}")
    parts: list[Table | Picture] = [
        Picture(
            "accuracies",
            "What each mistake scores",
            dots + line,
            partial(draw_accuracies, model_1, results),
        ),
        accuracies(results),
        signatures(results),
    ]
    compared = {n: model_1[n].ends for n in ("healthy", "bytes") if n in model_1}
    if all("slopes" in end for ends in compared.values() for end in ends):
        parts.append(
            Picture(
                "activations",
                "Hidden activations, healthy and with bytes",
                "Of all seeds, neurons and test images. Most sigmoids stand near 0 or "
                "1 either way. What counts is the slope a (1 - a) there, on a "
                "logarithmic axis with all smaller ones at its left end: every "
                "gradient is multiplied by it.",
                partial(draw_activations, compared),
            )
        )
    parts += [
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
            "As each program reports it, a line a seed, and in epoch 0 that of the "
            "untrained network on the test images; grey is the healthy program. "
            "Those that train as it does, or not at all, are left out.",
            partial(draw_losses, model_1),
        ),
    ]
    if results["judgement"]:
        parts += judge.tables(results["judgement"])
    if results["model_3"]:
        parts += [
            pixels(results),
            Picture(
                "model_3",
                "Model 3, pixels scaled and as bytes",
                dots + line_3,
                partial(draw_model_3, networks, results),
            ),
        ]
    return parts


def _diagnoses(entry: Results) -> str:
    num_seeds = len(entry["seeds"])
    return ", ".join(
        f"{k} in {n} of {num_seeds}" for k, n in entry["diagnosis"].items()
    )


def _nearest_first(results: Results) -> list[str]:
    """Programs by the distance of their median to what was reported, if it was."""
    programs, reported = results["programs"], results["reported_accuracy"]
    if reported is None:
        return list(programs)
    return sorted(programs, key=lambda name: abs(programs[name]["median"] - reported))


def _median(entry: Results) -> str:
    ends = entry["median_interval_95"]
    return percent(entry["median"]) + (f" ({percent(ends)})" if ends else "")


SEEDS = {"seeds": lambda entry: str(len(entry["by_seed"]))}  # columns
SPREAD = {
    "test, median, %": _median,
    "extremes": lambda entry: percent((entry["lowest"], entry["highest"])),
}
SPREAD_CAPTION = (
    "Median over seeds after the last epoch, from six seeds on with its 95 % interval "
    "by order statistics, and the extremes."
)


def _against(reported: float | None, form: str) -> dict[str, Any]:
    """Columns that hold seeds against what was reported, if it was."""
    if reported is None:
        return {}
    return {
        f"ends within chance of {reported:{form}}": (
            lambda entry: amount(entry["ends_within_chance"])
        ),
        "is there on its way": lambda entry: amount(entry["passes_within_chance"]),
    }


def _chance_caption(results: Results, suffix: str, form: str) -> str:
    reported = results[f"reported_accuracy{suffix}"]
    if reported is None:
        return ""
    low, high = results[f"within_chance{suffix}"]
    return (
        f" Within chance are {low:,} to {high:,} right answers: the 95 % binomial "
        f"range of an accuracy of {reported:{form}} on as many other images. The "
        "write-up's are these, so that a program of small spread counts which never "
        "gives that figure: see the extremes. In brackets: Wilson's 95 % interval of "
        "the share of seeds. On its way: after any epoch but the last."
    )


def accuracies(results: Results) -> Table:
    """What each program scores, and whether it can be what was reported."""
    entries = [results["programs"][name] for name in _nearest_first(results)]
    if results["untrained"]:
        words = {"program": UNTRAINED, "mistake": "tested as it starts"}
        entries.append(words | results["untrained"])
    columns = {
        "program": "program",
        "mistake": "mistake",
        **SPREAD,
        **_against(results["reported_accuracy"], ".2%"),
    }
    return table(
        f"Model 1 on the test set of {results['dataset']}",
        f"{SPREAD_CAPTION}{_chance_caption(results, '', '.2%')} What never trains, as "
        "used_up and thrown_away, scores as the untrained do, of which there are more.",
        entries,
        columns,
    )


def signatures(results: Results) -> Table:
    """What each program looks like from outside."""
    return table(
        "Signatures",
        "Means over seeds after the last epoch: the training loss as the program "
        "reports it; hidden activations with a slope below a millionth; the outputs' "
        "mean slope a (1 - a), 0.25 at most, weighted by their errors; the weights' "
        "root mean square change. The diagnosis is the first finding of "
        "jaxnets.diagnose, whose limits were set on seeds 0 to 19 of these programs: "
        "it is judged apart, on other networks.",
        results["programs"].values(),
        {
            "program": "program",
            **SEEDS,
            "training loss": "train_loss:.4g",
            "hidden at 0 or 1, %": (
                lambda entry: text(
                    entry["flat_hidden"] and 100 * entry["flat_hidden"], ".1f"
                )
            ),
            "slope where wrong": "error_slope:.4f",
            "weights moved": "parameter_change:.3g",
            "diagnosis": _diagnoses,
        },
    )


def pixels(results: Results) -> Table:
    """What bytes in place of pixels in [0, 1] do to Model 3."""
    entries = [
        {"model": model, "pixels": PIXELS[kind], **entry}
        for model, kinds in results["model_3"].items()
        for kind, entry in kinds.items()
    ]
    columns: dict[str, Any] = {
        **{"model": "model", "pixels": "pixels", **SEEDS, **SPREAD},
        **_against(results["reported_accuracy_model_3"], ".1%"),
        **{"training loss": "train_loss:.3f", "diagnosis": _diagnoses},
    }
    caption = SPREAD_CAPTION + _chance_caption(results, "_model_3", ".1%")
    return table("Model 3", caption, entries, columns)


def draw_accuracies(networks: Mapping[str, Networks], results: Results) -> Figure:
    """Every network of every program; beside it what lies near the reported value."""
    reported = results["reported_accuracy"]
    columns = 1 if reported is None else 2
    figure, [[left, *right]] = new_figure(1, columns, (12, 1.3 + 0.5 * len(networks)))
    ordered = {name: networks[name] for name in _nearest_first(results)}
    labels = [f"{PROGRAMS[name].mistake}\n{name}" for name in ordered]
    _strips(left, ordered, labels, results)
    left.set(xlim=(0, 1), xlabel="test accuracy")
    if reported is not None:
        _strips(right[0], ordered, [""] * len(labels), results)
        limits = (reported - NEARBY, reported + NEARBY)
        right[0].set(xlim=limits, xlabel=f"test accuracy near {reported:.2%}")
    return figure


def draw_model_3(networks: Mapping[str, Networks], results: Results) -> Figure:
    """Model 3's networks, a line a model and kind of pixels."""
    figure, [[axes]] = new_figure(size=(9, 0.9 + 0.5 * len(networks)))
    _strips(axes, networks, list(networks), results, "_model_3")
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.set_xlabel("test accuracy")
    return figure


def _strips(
    axes: Axes,
    networks: Mapping[str, Networks],
    labels: list[str],
    results: Results,
    suffix: str = "",
) -> None:
    """A line of dots a program, seeds a little apart so that equal ones are seen."""
    for place, (name, program) in enumerate(networks.items()):
        num_seeds = len(program.ends)
        apart = np.linspace(-0.22, 0.22, num_seeds) if num_seeds > 1 else np.zeros(1)
        heights = np.broadcast_to(place + apart, program.accuracy.shape)
        ends, color = program.accuracy[-1], COLORS.get(name.split(",")[0], FINAL)
        axes.scatter(program.accuracy, heights, 7, EPOCHS, linewidths=0, zorder=2)
        axes.scatter(ends, heights[-1], 17, color, linewidths=0, zorder=3)
    if (reported := results[f"reported_accuracy{suffix}"]) is not None:
        counts = np.array(results[f"within_chance{suffix}"])
        axes.axvspan(*(counts / results["test_examples"]), color=LINE, alpha=0.15, lw=0)
        axes.axvline(reported, color=LINE, linewidth=1.2, zorder=1)
    axes.set_yticks(range(len(labels)), labels, fontsize=11)
    axes.set(ylim=(len(labels) - 0.5, -0.5), axisbelow=True)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(axis="x", color="#E6EAEE", linewidth=0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)


def draw_activations(programs: Mapping[str, Sequence[Row]]) -> Figure:
    """Hidden activations and their slopes, a row of histograms a program."""
    figure, grid = new_figure(len(programs), 2, (11, 0.6 + 2.6 * len(programs)))
    columns = (("activations", (0, 1)), ("slopes", SLOPES))
    for row, (name, ends) in zip(grid, programs.items(), strict=True):
        flat = np.mean([end["flat_hidden"] for end in ends])
        row[0].set_title(f"{name}: activations")
        row[1].set_title(f"{name}: slopes, {flat:.0%} below a millionth when trained")
        row[1].xaxis.set_major_formatter("$10^{{{x:.0f}}}$")
        for axes, (kind, (low, high)) in zip(row, columns, strict=True):
            counts, first = (
                np.sum([end[prefix + kind] for end in ends], axis=0)
                for prefix in ("", "first_")
            )
            edges = np.linspace(low, high, len(counts) + 1)
            shares, before = counts / counts.sum(), first / first.sum()
            axes.stairs(shares, edges, fill=True, color=FINAL, label="trained")
            axes.stairs(before, edges, color="black", linewidth=1.2, label="untrained")
            axes.set(xlim=(low, high), ylim=(0, 1), axisbelow=True)
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            axes.grid(axis="y", color="#E6EAEE", linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
    grid[0, 0].legend(frameon=False, loc="upper center")
    figure.supylabel("share of the hidden activations", fontsize="medium")
    return figure


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
    trained = [
        name
        for name, program in networks.items()
        if program.ends[0]["epoch"]
        and (name == "healthy" or not MISTAKES[name].learns_as(HEALTHY))
    ]
    rows = max(1, -(-len(trained) // COLUMNS))
    figure, grid = new_figure(rows, COLUMNS, (11, 0.5 + 2.0 * rows))
    for axes in grid.flat[len(trained) :]:
        axes.set_visible(False)
    for axes, name in zip(grid.flat, trained, strict=False):
        axes.sharex(grid[0, 0])
        axes.sharey(grid[0, 0])
        for line, color in (("healthy", EPOCHS), (name, FINAL)):
            if line in trained and (line, color) != ("healthy", FINAL):
                axes.plot(*_curves(networks[line]), color=color, linewidth=0.9)
        axes.set_yscale("log")
        axes.set_title(name, fontsize="medium")
        whole_epochs(axes)
    figure.supylabel("training loss", fontsize="medium")
    return figure


def _curves(program: Networks) -> tuple[np.ndarray, np.ndarray]:
    """Epochs [E + 1] and losses [E + 1, S]; before training NaN where it is unknown."""
    first = np.array([end.get("first_loss") for end in program.ends], float)
    losses = np.vstack([first, program.train_loss])
    return np.arange(len(losses)), losses
