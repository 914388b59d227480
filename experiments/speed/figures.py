"""Ratios, accuracy by the clock, and the lines of the sweeps; returned unsaved."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from experiments.kit.figures import new_figure, plain_numbers
from experiments.speed.contenders import CONTENDERS, REFERENCE
from experiments.speed.results import FACTORS, Content, spread

Sweeps = Mapping[str, Sequence[Content]]  # by factor, the results of its points
Value = Callable[[Content], Content | None]  # of an entry; as `spread` gives it


def dots(models: Sequence[Content]) -> Figure:
    """Ratios to the reference on one log axis, a panel a model, a dot a contender."""
    heights = [len(model["contenders"]) + 1 for model in models]
    figure, panels = new_figure(len(models), 1, (7.5, 0.27 * sum(heights) + 0.7))
    panels[0, 0].get_gridspec().set_height_ratios(heights)
    for axes, model in zip(panels.flat, models, strict=True):
        names = list(model["contenders"])[::-1]  # the fastest above
        entries = [model["contenders"][name] for name in names]
        for height, (name, entry) in enumerate(zip(names, entries, strict=True)):
            ratio, style = entry["ratio"], CONTENDERS[name]
            low, high = ratio["interval"] or (ratio["min"], ratio["max"])
            axes.plot([low, high], [height, height], color=style.color, lw=2)
            axes.plot(ratio["median"], height, "o", color=style.color, ms=6)
            seconds = entry["epoch_seconds"]["median"]
            words = f"  {ratio['median']:.2f}x, {seconds:.3g} s"
            axes.text(high, height, words, va="center", fontsize=8)
        axes.axvline(1, color="black", lw=0.8)
        reference = model["contenders"][model["reference"]]["epoch_seconds"]["median"]
        floor = model["floor"]["seconds"] / reference
        axes.axvline(floor, color="black", linestyle="--", lw=0.8)
        axes.set_yticks(range(len(names)), [entry["label"] for entry in entries])
        axes.set(xscale="log", ylim=(-0.7, len(names) - 0.3))
        axes.grid(axis="x", alpha=0.3)
        sizes = "-".join(map(str, model["layer_sizes"]))
        axes.set_title(f"{model['name']}, {sizes}", loc="left", fontsize=10)
    low, high = np.array([axes.get_xlim() for axes in panels.flat]).T
    for axes in panels.flat:  # one axis for all, with room for the words
        axes.set_xlim(min(low), 8 * max(high))
        plain_numbers(axes.xaxis)
    reference = CONTENDERS[models[-1]["reference"]].label
    panels[-1, 0].set_xlabel(f"seconds per epoch, times {reference}")
    return figure


def accuracy_by_seconds(models: Sequence[Content]) -> Figure:
    """Test accuracy by the seconds since a process began, a line a contender."""
    figure, panels = new_figure(1, len(models), (max(8, 4 * len(models)), 5))
    handles = {}
    for axes, model in zip(panels[0], models, strict=True):
        least = 0.9
        for name, entry in model["contenders"].items():
            style, curve = CONTENDERS[name], entry["curve"]
            percent = [100 * accuracy for accuracy in curve["test_accuracy"]]
            (handles[entry["label"]],) = axes.plot(
                curve["seconds"], percent, color=style.color, lw=1.5
            )
            first = curve["seconds"][0], percent[0]
            axes.plot(*first, style.marker, color=style.color, ms=4)
            least = min(least, np.median(curve["test_accuracy"]))
        axes.set(xscale="log", xlabel="seconds from the process's start")
        axes.set(ylim=(100 * least, 100), title=model["name"])
        plain_numbers(axes.xaxis)
        axes.grid(alpha=0.3)
    panels[0, 0].set_ylabel("test accuracy in %")
    names = list(handles)
    figure.legend(
        [handles[name] for name in names],
        names,
        loc="outside lower center",
        ncols=3,
        fontsize=9,
    )
    return figure


def speed(sweeps: Sweeps) -> Figure:
    """Seconds per epoch above, times the reference below, a column a sweep."""
    return _lines(
        sweeps,
        ("seconds per epoch", lambda entry: entry["epoch_seconds"]),
        (f"times {REFERENCE}", lambda entry: entry["ratio"]),
    )


def memory(sweeps: Sweeps) -> Figure:
    """Peak memory of the processes, a column a sweep."""
    return _lines(
        sweeps,
        (
            "peak memory in MiB",
            lambda e: spread([e["peak_bytes"] / 2**20]) if e["peak_bytes"] else None,
        ),
    )


def _lines(sweeps: Sweeps, *rows: tuple[str, Value]) -> Figure:
    """A column a sweep, a line a contender, on log axes.

    A row's name comes with what it shows of an entry.
    """
    size = (3.7 * len(sweeps) + 0.6, 2.8 * len(rows) + 1.2)
    figure, panels = new_figure(len(rows), len(sweeps), size)
    for number, (line, (name, value)) in enumerate(zip(panels, rows, strict=True)):
        line[0].set_ylabel(name)
        for axes, (factor, results) in zip(line, sweeps.items(), strict=True):
            values = [result[factor] for result in results]
            # Before the lines: a scale that is set later ends the search for limits.
            axes.set(xscale="log", yscale="log", xlabel=FACTORS[factor])
            axes.set_xticks(values, [f"{number:,}" for number in values])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.grid(alpha=0.3)
            for contender, style in CONTENDERS.items():
                entries = [result["contenders"].get(contender) for result in results]
                spreads = [entry and value(entry) for entry in entries]
                if not any(spreads):
                    continue
                low, middle, high = (
                    [s[end] if s else math.nan for s in spreads]
                    for end in ("min", "median", "max")
                )
                how = {"color": style.color, "label": style.label}
                axes.plot(values, middle, f"{style.marker}-", ms=4, **how)
                axes.fill_between(values, low, high, color=style.color, alpha=0.2, lw=0)
            if number == 0 and len(rows) > 1:
                heights = [result["floor"]["seconds"] for result in results]
                axes.plot(values, heights, "k--", lw=1, label="machine's floor")
            elif number:
                axes.axhline(1, color="black", lw=0.8)
        for axes in line[1:]:  # now that the limits of all are known
            axes.sharey(line[0])
            axes.tick_params(which="both", labelleft=False)
        if number or len(rows) == 1:
            for axes in line:
                plain_numbers(axes.yaxis, "{x:,g}")
    for axes, (factor, (first, *_)) in zip(panels[0], sweeps.items(), strict=True):
        words = {
            "width": f"width {first['width']:,}",
            "examples": f"{first['examples']:,} images",
            "batch_size": f"batch {first['batch_size']:,}",
        }
        del words[factor]  # what varies
        axes.set_title(", ".join(words.values()), fontsize=9)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=9)
    return figure
