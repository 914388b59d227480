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
from experiments.kit.numbers import percent, text
from experiments.kit.page import Picture, Table, table
from experiments.kit.run import Row
from experiments.kit.statistics import MARGIN as EQUAL
from experiments.kit.statistics import POWER, SIGNIFICANCE, rank_text
from experiments.seeds.results import (
    DIFFERENCES,
    NUMBERS,
    WAYS,
    Networks,
    column,
    scores,
)

ROUND = (1, 5, 2, 3, 9, 7, 1.5, 4, 2.5, 8, 6)  # first digits of a tick, best first
FINER = (*ROUND, *np.arange(1.1, 10, 0.1))  # for a narrow scale
MOST_TICKS, ENOUGH_TICKS = 10, 4
MARGIN = 1.15  # how far beyond the data the error's axis goes, as a factor
FAR = 2.0  # a reported error that is further from the data is written, not drawn


def lead(content: Row) -> str:
    """The finding: means and ranges, and what the pairs say."""
    means = [
        f"{name} {entry['last']['mean']:.2%} ({entry['last']['min']:.2%} to "
        f"{entry['last']['max']:.2%}, {entry['last']['seeds']} seeds)"
        for name, entry in content["models"].items()
    ]
    compared = content["pairs"].get("last", [])
    others = [pair for pair in compared if not pair["ahead"]]
    verdicts = [f"{p['first']} and {p['second']}, {p['verdict']}" for p in others]
    return (
        f"Mean test accuracy after the last epoch, and its range over seeds: "
        f"{'; '.join(means) or 'no network has finished'}. One is ahead in "
        f"{len(compared) - len(others)} of {len(compared)} pairs; the others: "
        f"{'; '.join(verdicts) or 'none'}."
    )


def sections(content: Row, networks: Networks) -> Iterator[Table | Picture]:
    """Tables and pictures that there is something to show in, in their order."""
    if not networks:
        return
    yield Picture(
        "seeds",
        "Every network",
        "A dot is a network after its last epoch; the white diamond is the median, the "
        "black bar its 95 % interval. The error's scale is logarithmic: a tenth of a "
        "point at 98 % shows beside a network that got stuck.",
        partial(strips, networks, content),
    )
    makers = (spreads, choosing, ranks, pairs, write_up, throughput)
    tables = (make(content) for make in makers)
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
        if number in entry and number not in DIFFERENCES
    ]
    return table(
        "Accuracy over seeds",
        "Test accuracies of the networks that finished. The interval is that of the "
        "median, by order statistics. Best on test: the epoch was picked by the very "
        "images it is scored on, so the figure is too high.",
        entries,
        {
            **{heading: heading for heading in ("model", "number", "seeds")},
            **{"mean": "mean:.2%", "lowest": "min:.2%", "highest": "max:.2%"},
            **{"sd": "sd:.2%", "median": "median:.2%"},
            "95 % of the median": "median_interval_95:.2%",
        },
    )


def choosing(content: Row) -> Table:
    """A row per model and difference: what it is to choose an epoch."""
    entries = [
        {"model": name, "number": NUMBERS[number], **entry[number]}
        for name, entry in content["models"].items()
        for number in DIFFERENCES
        if number in entry
    ]
    return table(
        "What choosing an epoch changes",
        "Within each seed, in points of test accuracy. Chosen minus last: what "
        "stopping early gains. Best minus chosen: by how much choosing on the test set "
        "flatters. The mean's interval is Student's; none where more than half of the "
        "seeds do not change. Share: of seeds that gain, with Wilson's interval. p: "
        "exact sign test of gain against lose, Holm-corrected over the models; none "
        "where nothing can be lost.",
        entries,
        {
            **{heading: heading for heading in ("model", "number", "seeds")},
            "mean": lambda e: percent(e["mean"], "+"),
            "95 % of the mean": lambda e: percent(e["mean_interval_95"], "+"),
            "gain": "gain",
            "lose": "lose",
            "95 % of the share that gains": "gain_share_95:.1%",
            "p (sign)": lambda e: text(e.get("sign_p_value"), ".2g"),
        },
    )


def ranks(content: Row) -> Table:
    """A row per model: its ranks, seeds far below the others, what was reported."""
    entries = []
    for name, entry in content["models"].items():
        far_out, seeds = entry["far_out"], entry["last"]["seeds"]
        stuck = [f"seed {seed}: {share:.2%}" for seed, share in far_out.items()]
        cells = {
            "model": name,
            "chosen": "-",
            "stuck": f"{len(far_out)} of {seeds}",
            "share": entry["far_out_share_95"],
            "which": ", ".join(stuck) or "-",
            "reported": entry["reported_accuracy"],
        }
        places = {  # not all models need have been tested on a second set
            n: rank_text(place[name])
            for n, place in content["ranks"].items()
            if name in place
        }
        entries.append({**cells, **places})
    return table(
        "Ranks and stuck seeds",
        "The places that the pairwise tests leave a model. Got stuck: in the end more "
        "than three interquartile ranges below the lower quartile; the share of such "
        "seeds with Wilson's 95 % interval.",
        entries,
        {
            "model": "model",
            "last epoch": "last",
            "chosen": "chosen",
            "got stuck": "stuck",
            "95 % of the share": "share:.1%",
            "which": "which",
            "write-up": "reported:.2%",
        },
    )


def pairs(content: Row) -> Table:
    """A row per pair of models, after the last epoch."""
    return table(
        "Pairs of models",
        "After the last epoch, all seeds of one against all of the other. Difference: "
        "of the means, first minus second, with Welch's interval, 95 % each by "
        "itself, of seeds and not of images: the test set is the same. None where a "
        "seed got stuck, which makes of the mean no summary. p: exact Mann-Whitney. "
        "p (equal): two one-sided Welch tests of a difference below "
        f"{100 * EQUAL:g} points. Both are Holm-corrected over all pairs; a verdict "
        f"needs p below {SIGNIFICANCE:g}. Detectable: the true difference that so many "
        f"seeds of these spreads find in {POWER:.0%} of cases. Wins: how often a run "
        "of the first beats one of the second.",
        content["pairs"]["last"],
        {
            "first / second": lambda pair: f"{pair['first']} / {pair['second']}",
            "seeds": lambda pair: "{} / {}".format(*pair["seeds"]),
            "difference": "difference:+.2%",
            "95 % interval": "interval:+.2%",
            "p": "p_value:.2g",
            "p (equal)": "equal_p_value:.2g",
            "detectable": "detectable:.2%",
            "wins": "wins:.0%",
            "verdict": "verdict",
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
            "verdict here": "verdict_here",
        },
    )


def throughput(content: Row) -> Table:
    """A row per model and way to train several."""
    entries = [
        {
            "model": name if way == WAYS[0] else "",
            "way": way,
            "times": speed["per_minute"] / speeds[WAYS[-1]]["per_minute"],
            **speed,
        }
        for name, speeds in content["throughput"].items()
        for way, speed in speeds.items()
    ]
    return table(
        "Throughput",
        "Networks per minute with an evaluation on validation and test set after each "
        "epoch, without compilation and start; the median and the middle half of the "
        "epochs. The ways were timed in turn in this run.",
        entries,
        {
            **{"model": "model", "way": "way", "side by side": "networks"},
            **{"networks/min": "per_minute:.1f", "middle half": "range:.1f"},
            **{"epochs": "epochs_timed", "times one at a time": "times:.2f"},
        },
    )


def strips(networks: Networks, content: Row) -> Figure:
    """A strip of dots per model, the median's interval and what was reported."""
    figure, ((axes,),) = new_figure(size=(10.5, 1.2 + 0.9 * len(networks)))
    accuracies = {n: list(scores(of)["last"].values()) for n, of in networks.items()}
    drawn = np.concatenate([errors(accuracies[n], of) for n, of in networks.items()])
    low, high = drawn.min() / FAR, drawn.max() * FAR
    for height, (name, by_seed) in enumerate(networks.items()):
        entry, color = content["models"][name], COLORS[name]
        values = errors(accuracies[name], by_seed)
        # Below or above each other, evenly, so that no dot hides another.
        offsets = 0.44 * (np.arange(len(values)) * 0.618 % 1) - 0.22
        axes.scatter(
            values, height + offsets, s=26, alpha=0.75, color=color, linewidths=0
        )
        if entry["last"]["median_interval_95"]:
            ends = errors(entry["last"]["median_interval_95"], by_seed)
            axes.plot(ends, [height, height], color="black", linewidth=2.2)
        median = errors([entry["last"]["median"]], by_seed)
        axes.plot(median, height, "wD", markeredgecolor="black", markersize=5)
        if entry["reported_accuracy"]:
            error = 1 - entry["reported_accuracy"]
            text = f"write-up: {100 - 100 * error:.4g} %"
            if low <= error <= high:
                axes.vlines(error, height - 0.3, height + 0.3, "black", "--")
                axes.text(error, height + 0.34, text, ha="center", va="top", fontsize=9)
                drawn = np.append(drawn, error)
            else:
                side, x = ("← ", 0.01) if error > high else ("→ ", 0.8)
                place = {"transform": axes.get_yaxis_transform(), "fontsize": 9}
                axes.text(x, height + 0.34, f"{side}{text}, off the scale", **place)
    axes.set_yticks(range(len(networks)), list(networks))
    for label in axes.get_yticklabels():
        label.set(color=COLORS[label.get_text()], weight="bold")
    xlabel = "test accuracy after the last epoch (error, logarithmic)"
    axes.set(ylim=(len(networks) - 0.3, -0.5), xlabel=xlabel)
    _set_error_scale(axes, "x", drawn.tolist())
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
