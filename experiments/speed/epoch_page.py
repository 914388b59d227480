"""The tables and the picture of `experiments.speed.epoch`, from results.json."""

from collections.abc import Iterator
from functools import partial

from matplotlib.figure import Figure

from experiments.kit.figures import new_figure
from experiments.kit.page import Picture, Table, table
from experiments.kit.run import Row

SHOWN = 16  # operations in a table and in the picture
COLORS = {"forward": "#0072B2", "backward": "#D55E00", "rest": "#7F7F7F"}


def lead(content: Row, as_fit: str) -> str:
    """How long an epoch takes, `as_fit`, and what its longest operation is."""
    sentences = []
    for name, model in content["models"].items():
        for way in model["ways"]:
            if way["way"] == as_fit:
                sentences.append(f"{name}: {way['seconds']:.3f} s an epoch.")
        for longest in model["operations"][:1]:
            sentences.append(
                f"Its longest operation, {in_words(longest)}, takes "
                f"{longest['microseconds']:.1f} µs an update."
            )
    return " ".join(sentences) or "No epoch was timed."


def in_words(operation: Row) -> str:
    """Such as "f32[30,784] dot_general (backward)"."""
    return f"{operation['result']} {operation['function']} ({operation['phase']})"


def sections(content: Row) -> Iterator[Table | Picture]:
    """For each model its ways and its operations; then all operations as a picture."""
    for name, model in content["models"].items():
        yield table(
            f"{name}: ways",
            "Medians over the rounds. Each way has what is above it. Ratio: to the "
            "last, in the same round, with its order-statistic interval.",
            model["ways"],
            {
                "way": "way",
                "seconds": "seconds:.4f",
                "ratio": "ratio:.2f",
                "interval": "interval:.2f",
            },
        )
        if operations := model["operations"]:
            total = sum(row["microseconds"] for row in operations)
            yield table(
                f"{name}: operations",
                f"Of {model['updates']:,} updates an epoch, while it was profiled and "
                f"took {model['profiled_seconds']:.3f} s; {total:.1f} µs an update in "
                f"all, the {SHOWN} longest here. All are in metrics.jsonl.",
                operations[:SHOWN],
                {
                    "result": "result",
                    "function": "function",
                    "phase": "phase",
                    "µs an update": "microseconds:.2f",
                    "times an update": "times:.2f",
                    "name": "name",
                },
            )
    profiled = {n: m for n, m in content["models"].items() if m["operations"]}
    if profiled:
        yield Picture(
            "operations",
            "Operations",
            "Microseconds an update: blue forward, red backward, grey the rest, such "
            "as the optimizer, gathering and totals.",
            partial(bars, profiled),
        )


def bars(profiled: dict[str, Row]) -> Figure:
    """The longest operations of each model."""
    size = (5 * len(profiled), 5.5)
    figure, [row] = new_figure(columns=len(profiled), size=size)
    for axes, (name, model) in zip(row, profiled.items(), strict=True):
        shown = model["operations"][:SHOWN]
        places = range(len(shown))
        colors = [COLORS[operation["phase"]] for operation in shown]
        lengths = [operation["microseconds"] for operation in shown]
        axes.barh(places, lengths, color=colors)
        labels = [f"{o['result'][:24]} {o['function'][:18]}" for o in shown]
        axes.set_yticks(places, labels, fontsize=7)
        axes.invert_yaxis()
        axes.set(title=name, xlabel="µs an update")
    return figure
