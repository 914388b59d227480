"""The table and the figure of the page."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.durability.results import MOMENTS
from experiments.kit.figures import COLORS, new_figure
from experiments.kit.page import Picture, Table, table
from experiments.kit.run import Row

NETWORKS = {"jax": "the JAX networks", "keras": "the Keras network"}


def lead(content: Row) -> str:
    """How many kills were survived, at what cost."""
    return (
        f"{content['kills_survived']:,} of {content['kills']:,} kills survived: "
        f"{content['runs_identical']} of {content['runs']} runs ended bit for bit as "
        f"one that nobody killed, {content['bytes_compared']:,} bytes compared. A kill "
        f"cost at most {content['epochs_lost_most']} epoch that had its row, beside "
        "the one under way."
    )


def sections(content: Row, rows: Sequence[Row]) -> Iterator[Table | Picture]:
    """The counts, and where the kills fell."""
    kinds = content["networks"]
    yield table(
        "Kills by SIGKILL",
        "Lost: epochs whose row was written and whose checkpoint was not yet, at most "
        "by one kill and by all. Left: processes of a killed program that went on.",
        [
            *({"name": NETWORKS[name], **kind} for name, kind in kinds.items()),
            *([{"name": "all", **content}] if len(kinds) > 1 else []),
        ],
        {
            "runs of": "name",
            "kills": "kills:,",
            "survived": "kills_survived:,",
            "runs": "runs",
            "identical": "runs_identical",
            "bytes compared": "bytes_compared:,",
            "lost, most": "epochs_lost_most",
            "lost": "epochs_lost",
            "epochs kept": "epochs_kept:,",
            "left": "processes_left",
        },
    )
    yield table(
        "Where they hit",
        "What the program was doing. A checkpoint is written under another name first, "
        "so that a kill leaves the one before it.",
        [
            {"words": words, **{name: kinds[name]["moments"][moment] for name in kinds}}
            for moment, words in MOMENTS.items()
        ],
        {
            "while it was": "words",
            **{NETWORKS[name]: f"{name}:," for name in kinds},
        },
    )
    kills = [row for row in rows if row["kind"] == "kill"]
    if kills:
        caption = "Rows of metrics.jsonl that a killed run had, and whose was the last."
        title = "How far the runs were"
        yield Picture("moments", title, caption, partial(histogram, kills), False)


def histogram(kills: Sequence[Row]) -> Figure:
    """Kills by the number of rows that there were, by the model of the last row."""
    kinds = list(dict.fromkeys(kill["networks"] for kill in kills))
    figure, grid = new_figure(len(kinds), 1, size=(11, 2.6 * len(kinds)))
    for axes, kind in zip(grid[:, 0], kinds, strict=True):
        own = [kill for kill in kills if kill["networks"] == kind]
        for model in dict.fromkeys(kill["model"] for kill in own):
            counts = Counter(kill["rows"] for kill in own if kill["model"] == model)
            color, label = COLORS.get(model, "gray"), model or "none yet"
            axes.bar(*zip(*counts.items(), strict=True), color=color, label=label)
        axes.set(xlabel="epochs of the run that were over", ylabel="kills")
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        beside = {"loc": "upper left", "bbox_to_anchor": (1, 1)}  # of the bars
        axes.legend(title=NETWORKS[kind], **beside)
    return figure
