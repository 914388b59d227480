"""The tables and figures of the page, from results.json and the rows."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from experiments.kit.figures import new_figure, whole_epochs
from experiments.kit.numbers import percent
from experiments.kit.page import Picture, Table, table
from experiments.kit.run import Row

TITLES = {"rate": "Learning rate", "scale": "Scale of the input", "start": "Start"}
CAPTION = "A line is a network, a dot the epoch that validation chose for it."
COLORS = ("#000000", "#56B4E9", "#999999", "#882255")  # none is a model's
BELOW = 0.04  # so much accuracy below the lowest epoch chosen is drawn


def lead(content: Row) -> str:
    """The mean test accuracy of every arm."""
    sentences = []
    for choice, part in content.items():
        means = [f"{arm['mean']:.2%} ({name})" for name, arm in part["arms"].items()]
        sentences.append(f"{TITLES[choice]}: {', '.join(means)}.")
    return " ".join(sentences) or "No network has finished."


def sections(content: Row, rows: Sequence[Row]) -> Iterator[Table | Picture]:
    """All arms, all pairs of them, and a picture for each choice."""
    if content:
        yield arm_table(content)
        yield pair_table(content)
    for choice, part in content.items():
        own = [r for r in rows if r["choice"] == choice and r["stage"] == "compare"]
        figure = partial(curves, own)
        yield Picture(choice, f"{TITLES[choice]}, by epoch", CAPTION, figure)
        if choice == "scale":
            words = "Means of the networks that tune; an arm has the best of its rates."
            figure = partial(tuning, part["arms"])
            yield Picture("tuning", "Rates tried on each scale", words, figure)


def arm_table(content: Row) -> Table:
    """A row an arm."""

    def ends(values: Sequence[float | None], form: str) -> str:
        finite = [value for value in values if value is not None]
        return f"{min(finite):{form}} to {max(finite):{form}}" if finite else "-"

    return table(
        "Arms",
        "Test accuracy of Model 2, of Model 1 for the start. Validation chooses a "
        "network's epoch, and on the scales the rate; the test set is opened once, "
        "with that epoch's weights. Lowest, highest: over seeds. Loss: of these "
        "weights on the training images, the median over seeds and its ends. Plateau: "
        "networks that ended there, before the last epoch allowed.",
        [
            {"choice": TITLES[choice], "arm": name, **arm}
            for choice, part in content.items()
            for name, arm in part["arms"].items()
        ],
        {
            **{"choice": "choice", "arm": "arm", "rate": "rate:g"},
            "seeds": lambda arm: str(len(arm["seed"])),
            "mean": "mean:.2%",
            "median": "median:.2%",
            "95 % of the median": "median_interval_95:.2%",
            "lowest to highest": lambda arm: ends(arm["test_accuracy"], ".2%"),
            "epoch, median": "median_epoch:g",
            "first to last": lambda arm: ends(arm["chosen_epoch"], "d"),
            "loss": "median_loss:.2g",
            "its ends": lambda arm: ends(arm["fitted_loss"], ".2g"),
            "plateau": lambda arm: str(sum(arm["plateau"])),
        },
    )


def pair_table(content: Row) -> Table:
    """A row a pair of arms of one choice."""

    return table(
        "Compared",
        "Points of test accuracy, first minus second, with Welch's interval, 95 % each "
        "by itself, where no seed got stuck; p of Mann and Whitney's test, by Holm "
        "over a choice's pairs. Detectable: the true difference that so many seeds of "
        "these spreads find in 80 % of cases. No two arms share a seed.",
        [
            {"choice": TITLES[choice], **pair}
            for choice, part in content.items()
            for pair in part["pairs"]
        ],
        {
            "choice": "choice",
            "first, second": lambda pair: f"{pair['first']}; {pair['second']}",
            "difference": lambda pair: percent(pair["difference"], "+"),
            "95 % interval": lambda pair: percent(pair["interval"], "+"),
            "p": "p_value:.2g",
            "detectable": lambda pair: percent(pair["detectable"]),
            "verdict": "verdict",
        },
    )


def curves(rows: Sequence[Row]) -> Figure:
    """Validation accuracy of every network by epoch, and the epoch chosen."""
    figure, [[axes]] = new_figure(size=(9, 4.6))
    ends = [row for row in rows if "chosen_epoch" in row]
    for color, name in zip(COLORS, dict.fromkeys(r["arm"] for r in ends), strict=False):
        of_arm = [row for row in ends if row["arm"] == name]
        for end in of_arm:
            is_own = {"arm": name, "seed": end["seed"]}.items()
            line = [r for r in rows if "epoch" in r and is_own <= r.items()]
            values = [(row["epoch"], row["validation_accuracy"]) for row in line]
            axes.plot(*zip(*values, strict=True), color=color, lw=0.8, alpha=0.6)
        dots = [(row["chosen_epoch"], row["validation_accuracy"]) for row in of_arm]
        axes.plot(*zip(*dots, strict=True), "o", color=color, ms=4, label=name)
    lowest = min(row["validation_accuracy"] for row in ends)
    axes.set(ylim=(max(0, lowest - BELOW), None), ylabel="validation accuracy")
    whole_epochs(axes)
    _finish(figure)
    return figure


def tuning(arms: Mapping[str, Row]) -> Figure:
    """Validation accuracy by the rates tried."""
    figure, [[axes]] = new_figure(size=(9, 4.6))
    for color, (name, arm) in zip(COLORS, arms.items(), strict=False):
        axes.plot(*zip(*arm["tried"], strict=True), "o-", color=color, label=name)
    axes.set(xscale="log", xlabel="learning rate", ylabel="validation accuracy")
    _finish(figure)
    return figure


def _finish(figure: Figure) -> None:
    """Percent, a grid and a legend."""
    [axes] = figure.axes
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)
    axes.legend()
