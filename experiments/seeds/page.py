"""The tables and figures of the page, from results.json and the networks.

Accuracies stand on a logarithmic scale of the error, so that a tenth of a point is
seen at 98 % and a network that got stuck at 86 % is on the same figure.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from experiments.kit.figures import COLORS, new_figure, whole_epochs
from experiments.kit.page import Picture, Table, table
from experiments.kit.run import Row
from experiments.kit.statistics import rank_text
from experiments.seeds.results import NUMBERS, Networks, column, scores

ROUND = (1, 5, 2, 3, 9, 7, 1.5, 4, 2.5, 8, 6)  # first digits of a tick, best first
FINER = (*ROUND, *np.arange(1.1, 10, 0.1))  # for a narrow scale
MOST_TICKS, ENOUGH_TICKS = 10, 4
MARGIN = 1.15  # how far beyond the data the error's axis goes, as a factor
OFF_THE_SCALE = 0.5  # a reported error above it is written, not drawn


def sections(content: Row, networks: Networks) -> Iterator[Table | Picture]:
    """Tables and pictures that there is something to show in, in their order."""
    if not networks:
        return
    yield Picture(
        "seeds",
        "Every network",
        "A dot is a network. The black bar is the 95 % interval of the mean, the white "
        "diamond the median. The error's scale is logarithmic.",
        partial(strips, networks, content),
    )
    tables = (make(content) for make in (spreads, ranks, pairs, write_up, throughput))
    yield from (table for table in tables if table.rows)
    yield Picture(
        "epochs",
        "Accuracy by epoch",
        "Thin lines: networks; the thick one: their median; the band: the middle half.",
        partial(by_epoch, networks),
    )


def spreads(content: Row) -> Table:
    """A row per model and number."""
    entries = [
        {"model": name if number == "last" else "", "number": label, **entry[number]}
        for name, entry in content["models"].items()
        for number, label in NUMBERS.items()
        if number in entry
    ]
    return table(
        "Accuracy over seeds",
        "Test accuracies of the networks that finished. Interval: of the mean, BCa "
        "bootstrap over seeds. Best on test: the epoch was picked by the very images "
        "it is scored on, so the figure is too high; the last row shows by how much.",
        entries,
        {
            **{heading: heading for heading in ("model", "number", "seeds")},
            **{"mean": "mean:.2%", "sd": "sd:.2%", "95 % interval": "interval_95:.2%"},
            **{"median": "median:.2%", "lowest": "min:.2%", "highest": "max:.2%"},
        },
    )


def ranks(content: Row) -> Table:
    """A row per model: its ranks, seeds far below the others, what was reported."""
    entries = []
    for name, entry in content["models"].items():
        stuck = [
            f"seed {seed}: {share:.2%}" for seed, share in entry["far_out"].items()
        ]
        places = {n: rank_text(place[name]) for n, place in content["ranks"].items()}
        cells = {"model": name, "chosen": "-", "stuck": ", ".join(stuck) or "none"}
        entries.append({**cells, **places, "reported": entry["reported_accuracy"]})
    fewest = min(entry["last"]["seeds"] for entry in content["models"].values())
    return table(
        "Ranks",
        "The range of places that the pairwise tests leave a model. Got stuck: in the "
        "end more than three interquartile ranges below the lower quartile. A pair's p "
        f"is at least 2 / 2^seeds before correction: {2.0 ** (1 - fewest):.2g} for the "
        f"fewest seeds here, {fewest}.",
        entries,
        {
            "model": "model",
            "last epoch": "last",
            "chosen": "chosen",
            "got stuck": "stuck",
            "write-up": "reported:.2%",
        },
    )


def pairs(content: Row) -> Table:
    """A row per pair of models, after the last epoch."""
    return table(
        "Pairs of models",
        "After the last epoch, over common seeds: first minus second; p of Wilcoxon's "
        "signed-rank test, Holm-corrected over all pairs; a tie where p is 0.05 or "
        "more. Wins: how often a run of the first beats one of the second.",
        content["pairs"]["last"],
        {
            **{heading: heading for heading in ("first", "second", "seeds")},
            "difference": "difference:+.2%",
            "95 % interval": "interval:+.2%",
            "p": "p_value:.2g",
            "wins": "wins:.0%",
            "ahead": lambda pair: pair["ahead"] or "tie",
        },
    )


def write_up(content: Row) -> Table:
    """A row per pair of the write-up's accuracies."""
    return table(
        "The write-up's ranking",
        "Its accuracies are of one run each. Gaps: first minus second. Two runs: 95 % "
        "of the differences of two single runs lie so near to that of the means here; "
        "a smaller gap ranks nothing. The mirror stands in where there is no spread.",
        content["write_up"],
        {
            "first and second": lambda claim: f"{claim['ahead']}, {claim['behind']}",
            "here": lambda claim: ", ".join(claim["trained_here"]),
            "gap": "gap:+.2%",
            "two runs": lambda claim: f"±{claim['spread_of_two_runs_95']:.2%}",
            "wins": "runs_that_agree:.0%",
            "gap here": "gap_here:+.2%",
            "p": "p_value:.2g",
            "ahead here": lambda claim: claim["ahead_here"] or "tie",
        },
    )


def throughput(content: Row) -> Table:
    """A row per model that was timed both ways."""
    return table(
        "Throughput",
        "Networks per minute with an evaluation on validation and test set after each "
        "epoch, without compilation; both ways measured in turn in this run.",
        [{"model": name, **speed} for name, speed in content["throughput"].items()],
        {
            "model": "model",
            "at once": "at_once",
            "networks/min": "networks_per_minute:.1f",
            "one at a time": "networks_per_minute_alone:.1f",
            "ratio": "ratio:.2f",
            "verdict": "verdict",
        },
    )


def strips(networks: Networks, content: Row) -> Figure:
    """A strip of dots per model and number, with intervals and the write-up's value."""
    figure, ((axes,),) = new_figure(size=(10.5, 1.0 + 1.2 * len(networks)))
    labels: dict[int, str] = {}  # of the strips, by their height
    drawn: list[float] = []
    height = 0
    for name, by_seed in networks.items():
        entry, top, color = content["models"][name], height - 0.45, COLORS[name]
        write = partial(axes.text, y=top, transform=axes.get_yaxis_transform())
        write(x=0.006, s=name, color=color, weight="bold")
        sample = scores(by_seed)
        for number in (n for n in ("last", "chosen", "best") if n in sample):
            values = errors(list(sample[number].values()), by_seed)
            # Below or above each other, evenly, so that no dot hides another.
            offsets = 0.44 * (np.arange(len(values)) * 0.618 % 1) - 0.22
            style: dict[str, Any] = {"color": color, "linewidths": 0}
            if number == "best":
                style = {"facecolors": "none", "edgecolors": color}
            axes.scatter(values, height + offsets, s=22, alpha=0.75, **style)
            if entry[number]["interval_95"]:
                ends = errors(entry[number]["interval_95"], by_seed)
                axes.plot(ends, [height, height], color="black", linewidth=2.2)
            median = errors([entry[number]["median"]], by_seed)
            axes.plot(median, height, "wD", markeredgecolor="black", markersize=5)
            drawn.extend(values)
            labels[height] = NUMBERS[number]
            height += 1
        if entry["reported_accuracy"]:
            error = 1 - entry["reported_accuracy"]
            text = f"write-up: {100 - 100 * error:.4g} %"
            if error > OFF_THE_SCALE:
                write(x=0.14, s=f"← {text}, off the scale", fontsize=8)
            else:
                axes.vlines(error, top + 0.1, height - 0.65, "black", "--", linewidth=1)
                axes.text(error, top + 0.1, text, ha="center", va="bottom", fontsize=8)
                drawn.append(error)
        height += 1
    axes.set_yticks(list(labels), list(labels.values()))
    axes.set(ylim=(height - 1.4, -1), xlabel="test accuracy")
    _set_error_scale(axes, "x", drawn)
    axes.grid(axis="x", alpha=0.3)
    return figure


def errors(accuracies: Any, by_seed: dict[int, list[Row]]) -> np.ndarray:
    """1 - accuracy, at least half an image, which a logarithmic scale can show."""
    half_an_image = 0.5 / column(by_seed, "test_seen")[0, 0]
    return np.maximum(1 - np.asarray(accuracies), half_an_image)


def _set_error_scale(axes: Axes, which: str, drawn: Sequence[float]) -> None:
    """Logarithmic in the error, better to the right or top, labelled as accuracy."""
    low, high = min(drawn) / MARGIN, min(1.0, max(drawn) * MARGIN)
    axes.set(**{f"{which}scale": "log", f"{which}lim": (high, low)})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set(major_locator=FixedLocator(_ticks(low, high)), minor_locator=NullLocator())
    axis.set_major_formatter(lambda error, _: f"{100 * (1 - error):.4g} %")


def _ticks(low: float, high: float) -> list[float]:
    """Round errors between the ends, the roundest first, with room for their labels."""
    room = np.log(high / low) / MOST_TICKS
    for digits in (ROUND, FINER):
        ticks: list[float] = []
        for tick in np.outer(digits, (1e-4, 1e-3, 1e-2, 1e-1)).ravel().tolist():
            apart = np.abs(np.log(np.array(ticks) / tick))
            if low <= tick <= high and np.all(apart > room):
                ticks.append(tick)
        if len(ticks) >= ENOUGH_TICKS:
            break
    return sorted(ticks)


def by_epoch(networks: Networks) -> Figure:
    """Test accuracy after each epoch: every network, their median and middle half."""
    columns = min(2, len(networks))
    rows = -(-len(networks) // columns)
    figure, grid = new_figure(rows, columns, size=(5.3 * columns, 3.3 * rows))
    for axes in grid.flat[len(networks) :]:
        axes.remove()
    for axes, (name, by_seed) in zip(grid.flat, networks.items(), strict=False):
        tested = column(by_seed, "test_correct") / column(by_seed, "test_seen")
        values, color = errors(tested, by_seed), COLORS[name]
        numbers = np.arange(1, values.shape[1] + 1)
        axes.plot(numbers, values.T, color=color, alpha=0.3, linewidth=0.7)
        low, median, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0)
        axes.fill_between(numbers, low, high, color=color, alpha=0.3, linewidth=0)
        axes.plot(numbers, median, color=color, linewidth=2, marker=".")
        _set_error_scale(axes, "y", values.ravel().tolist())
        whole_epochs(axes)
        axes.set_ylabel("test accuracy")
        axes.set_title(f"{name}, {len(values)} seeds", fontsize="medium")
        axes.grid(alpha=0.3)
    return figure
