"""The bars of the models and the lines of the sweeps; returned unsaved."""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from experiments.kit.figures import new_figure
from experiments.speed.contenders import CONTENDERS
from experiments.speed.results import FACTORS, Content, of_family

Sweeps = Mapping[str, Sequence[Content]]  # by factor, the results of its points
Value = Callable[[Content], Sequence[float]]  # of an entry: smallest, middle, largest
FAMILIES = {contender.family: contender for contender in CONTENDERS.values()}


def bars(models: Sequence[Content]) -> Figure:
    """Seconds per epoch on a log axis, one panel per model."""
    heights = [len(model["contenders"]) + 1.5 for model in models]
    figure, panels = new_figure(len(models), 1, (9, 0.42 * sum(heights) + 0.6))
    panels[0, 0].get_gridspec().set_height_ratios(heights)
    for axes, model in zip(panels.flat, models, strict=True):
        contenders = model["contenders"]
        names = sorted(contenders, key=lambda name: -_spread(contenders[name])[1])
        entries = [contenders[name] for name in names]
        low, middle, high = np.transpose([_spread(entry) for entry in entries])
        drawn = axes.barh(
            range(len(names)),
            middle,
            color=[CONTENDERS[name].color for name in names],
            xerr=[middle - low, high - middle],
            error_kw={"lw": 1},
            tick_label=[entry["label"] for entry in entries],
        )
        labels = [
            f"{seconds:.3g} s"
            + (f", {e['ratio']['median']:.3g}x" if e["ratio"] else "")
            for seconds, e in zip(middle, entries, strict=True)
        ]
        axes.bar_label(drawn, labels, padding=5, fontsize=8)
        floor = model["floor"]["seconds"]
        axes.axvline(floor, color="black", linestyle="--", label=f"floor {floor:.3g} s")
        # A bar on a log axis needs a beginning; half the floor leaves its line in
        # sight, and on the right there is room for the numbers.
        axes.set(xscale="log", xlim=(min(floor, *low) / 2, 4 * max(high)))
        _number(axes.xaxis, "{x:g}")
        axes.grid(axis="x", alpha=0.3)
        axes.legend(loc="upper right", fontsize=8)
        sizes = "-".join(map(str, model["layer_sizes"]))
        axes.set_title(f"{model['name']}, {sizes}", loc="left")
    panels[-1, 0].set_xlabel("seconds per epoch")
    return figure


def speed(sweeps: Sweeps) -> Figure:
    """Seconds per epoch above, images per second below, a column a sweep."""
    return _lines(
        sweeps,
        ("seconds per epoch", _spread, "seconds"),
        (
            "images per second",
            lambda e: 3 * [e["images_per_second"]],
            "images_per_second",
        ),
    )


def memory(sweeps: Sweeps) -> Figure:
    """Peak memory of the processes, a column a sweep."""
    name = "peak memory in MiB"
    figure = _lines(
        sweeps, (name, lambda e: 3 * [(e["peak_bytes"] or math.nan) / 2**20], None)
    )
    for axes in figure.axes:
        _number(axes.yaxis, "{x:,.0f}")
    return figure


def _lines(sweeps: Sweeps, *rows: tuple[str, Value, str | None]) -> Figure:
    """A column a sweep, a line a family, on log axes.

    A row's name comes with what it shows of an entry, and with the floor's key.
    """
    size = (3.7 * len(sweeps) + 0.6, 2.8 * len(rows) + 1)
    figure, panels = new_figure(len(rows), len(sweeps), size)
    for line, (name, value, floor) in zip(panels, rows, strict=True):
        line[0].set_ylabel(name)
        for axes, (factor, results) in zip(line, sweeps.items(), strict=True):
            values = [result[factor] for result in results]
            # Before the lines: a scale that is set later ends the search for limits.
            axes.set(xscale="log", yscale="log", xlabel=FACTORS[factor])
            axes.set_xticks(values, [f"{number:,}" for number in values])
            axes.xaxis.set_minor_locator(NullLocator())
            axes.grid(alpha=0.3)
            for family, style in FAMILIES.items():
                entries = [of_family(result, family) for result in results]
                if not any(entries):
                    continue
                spreads = [value(e) if e else 3 * [math.nan] for e in entries]
                low, middle, high = np.transpose(spreads)
                color = style.color
                axes.plot(values, middle, style.marker, color=color, ms=4, label=family)
                axes.fill_between(values, low, high, color=color, alpha=0.2, lw=0)
            if floor:
                heights = [result["floor"][floor] for result in results]
                axes.plot(values, heights, "k--", lw=1, label="machine's floor")
        for axes in line[1:]:  # now that the limits of all are known
            axes.sharey(line[0])
            axes.tick_params(which="both", labelleft=False)
    for axes, (factor, (first, *_)) in zip(panels[0], sweeps.items(), strict=True):
        words = {
            "width": f"width {first['width']:,}",
            "examples": f"{first['examples']:,} images",
            "batch_size": f"batch {first['batch_size']:,}",
        }
        del words[factor]  # what varies
        axes.set_title(", ".join(words.values()), fontsize=9)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    ncols = min(len(labels), 2 * len(sweeps))
    figure.legend(handles, labels, loc="outside upper center", ncols=ncols, fontsize=9)
    return figure


def _spread(entry: Content) -> Sequence[float]:
    return [entry["epoch_seconds"][end] for end in ("min", "median", "max")]


def _number(axis: Axis, form: str) -> None:
    """Numbers at 2 and 5 too, and none as powers of ten."""
    axis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.set_major_formatter(form)
    axis.set_minor_formatter(form)
