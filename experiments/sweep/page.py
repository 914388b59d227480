"""The tables and figures of the page, from results.json and the rows."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from experiments.kit.figures import COLORS, new_figure, whole_epochs
from experiments.kit.numbers import percent, text
from experiments.kit.page import Picture, Table, table
from experiments.kit.run import Row
from experiments.sweep.measure import LAST_EPOCHS

# Rates that others name, beside the recipe's: Nielsen, chapter 1, on Model 1.
NAMED = {"sigmoid_mse": {100.0: "Nielsen: too high"}}


def lead(content: Row) -> str:
    """The best rate of each batch size, and the edge."""
    sentences = []
    for batch_size, part in content["batch_sizes"].items():
        best = next(r for r in part["rates"] if r["rate"] == part["best_rate"])
        kind = "test" if best["test_accuracy"] else "validation"
        accuracy = best[f"{kind}_accuracy"]
        edge = part["edge"]
        where = f"between {edge[0]:g} and {edge[1]:g}" if edge else "not reached"
        sentences.append(
            f"Batch size {batch_size}: rate {best['rate']:g} validates best "
            f"({kind} accuracy {accuracy['median']:.2%}, {accuracy['low']:.2%} to "
            f"{accuracy['high']:.2%}); the edge of divergence is {where}."
        )
    return f"{content['model']}. {' '.join(sentences) or 'No epoch has ended.'}"


def sections(content: Row, rows: Sequence[Row]) -> Iterator[Table | Picture]:
    """For each batch size accuracy by rate, by epoch, and a table."""
    for batch_size, part in content["batch_sizes"].items():
        own = [row for row in rows if row["batch_size"] == int(batch_size)]
        yield Picture(
            f"rates-{batch_size}",
            f"Accuracy by learning rate, batch size {batch_size}",
            "After the last epoch: median over seeds, and the band from lowest to "
            "highest. Grey: beyond the edge, where most networks' training loss is not "
            "below that of a constant answer; drawn midway between the two rates.",
            partial(by_rate, content, part),
        )
        yield Picture(
            f"epochs-{batch_size}",
            f"Accuracy by epoch, batch size {batch_size}",
            "Validation error, median over seeds, on a logarithmic scale. Rates below "
            "the edge.",
            partial(by_epoch, part, own),
        )
        yield rate_table(batch_size, part)


def rate_table(batch_size: str, part: Row) -> Table:
    """A row a rate."""
    return table(
        f"Rates, batch size {batch_size}",
        "Accuracies are medians over seeds after the last epoch. Restless: mean change "
        "of a network's validation accuracy from epoch to epoch, up or down, in the "
        f"last {LAST_EPOCHS}, in points. Failed: networks whose training loss is not "
        "finite, or not below that of the best constant answer: diverged, or too slow.",
        part["rates"],
        {
            "rate": "rate:g",
            "seeds": "seeds:d",
            "validation": lambda e: f"{e['validation_accuracy']['median']:.2%}",
            "lowest to highest": lambda e: "{low:.2%} to {high:.2%}".format(
                **e["validation_accuracy"]
            ),
            "test": lambda e: text(
                e["test_accuracy"] and e["test_accuracy"]["median"], ".2%"
            ),
            "restless": lambda e: percent(e["restlessness"]),
            "failed": "failed:d",
        },
    )


def by_rate(content: Row, part: Row) -> Figure:
    """Accuracy against rate, its spread, the published rates, and the edge."""
    figure, [[axes]] = new_figure(size=(9, 4.6))
    rates = [entry["rate"] for entry in part["rates"]]
    color = COLORS[content["model"]]
    is_tested = all(entry["test_accuracy"] for entry in part["rates"])
    which = "test_accuracy" if is_tested else "validation_accuracy"
    values = [entry[which] for entry in part["rates"]]
    low, median, high = ([v[key] for v in values] for key in ("low", "median", "high"))
    axes.fill_between(rates, low, high, color=color, alpha=0.25, lw=0)
    axes.plot(rates, median, "o-", color=color, ms=4, label="median over seeds")
    axes.set(xscale="log", xlabel="learning rate", ylabel=which.replace("_", " "))
    published = {content["published_rate"]: "the recipe's"}
    for rate, words in (published | NAMED.get(content["model"], {})).items():
        if rates[0] <= rate <= rates[-1]:
            axes.axvline(rate, color="black", ls=":", lw=1)
            axes.text(
                rate,
                0.02,
                f" {words}, {rate:g}",
                rotation=90,
                ha="right",
                va="bottom",
                fontsize=8,
                transform=axes.get_xaxis_transform(),
            )
    if part["edge"]:
        middle = float(np.sqrt(np.prod(part["edge"])))
        axes.axvspan(middle, rates[-1], color="#999999", alpha=0.25, lw=0)
        axes.axvline(
            middle,
            color="#D55E00",
            lw=1.5,
            label="edge, {:g} to {:g}".format(*part["edge"]),
        )
    _finish(axes)
    return figure


def by_epoch(part: Row, rows: Sequence[Row]) -> Figure:
    """Median validation error of each rate below the edge, by epoch."""
    figure, [[axes]] = new_figure(size=(9, 4.8))
    highest = part["edge"][0] if part["edge"] else np.inf
    entries = [entry for entry in part["rates"] if entry["rate"] <= highest]
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.92, len(entries)))
    for shade, entry in zip(shades, entries, strict=True):
        curves = _curves([row for row in rows if row["rate"] == entry["rate"]])
        epochs = np.arange(1, curves.shape[1] + 1)
        median, name = np.median(1 - curves, axis=0), f"{entry['rate']:g}"
        axes.plot(epochs, median, color=shade, lw=1.4, label=name)
    axes.set(yscale="log", ylabel="validation error")
    whole_epochs(axes)
    axes.yaxis.set_minor_formatter(PercentFormatter(1, decimals=0))
    _finish(axes)
    axes.legend(title="rate", fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _curves(rows: Sequence[Row]) -> Any:
    """Validation accuracies, float [seeds, epochs] that all have reached."""
    by_seed: dict[int, list[float]] = {}
    for row in rows:
        by_seed.setdefault(row["seed"], []).append(row["validation_accuracy"])
    shortest = min(map(len, by_seed.values()))
    return np.array([values[:shortest] for values in by_seed.values()])


def _finish(axes: Axes) -> None:
    """Percent, a grid and a legend."""
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
