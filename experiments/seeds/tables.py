"""The tables of `experiments/seeds.py`, as the screen and the page both take them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from experiments.kit.statistics import rank_text
from experiments.seeds.claims import p_text
from experiments.seeds.results import NUMBERS

SPREAD_NOTE = (
    "Test accuracies in %. Interval: of the mean over seeds, BCa bootstrap. Best on "
    "test: the epoch was picked by the very images it is scored on, so the figure is "
    "too high; the row exists to show by how much."
)
PAIR_NOTE = (
    "After the last epoch. Difference in points, first minus second, over the seeds "
    "that both have; p of Wilcoxon's signed-rank test on those seeds, Holm-corrected "
    "over all pairs; tie where it is 0.05 or more. Wins: how often a run of the first "
    "beats a run of the second."
)
SPEED_NOTE = (
    "Networks per minute with an evaluation on validation and test set after each "
    "epoch, without compilation; both ways measured in turn in this run."
)
NONE = "-"


class Text(NamedTuple):
    """A table as the screen and the page both take it."""

    title: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(content: dict[str, Any]) -> list[Text]:
    """All tables that there is something to say in."""
    found = [
        Text("Accuracy over seeds", SPREAD_NOTE, SPREAD_HEADER, spread_rows(content)),
        Text("Ranks", _rank_note(content), RANK_HEADER, rank_rows(content)),
        Text("Pairs of models", PAIR_NOTE, PAIR_HEADER, pair_rows(content)),
        Text("Throughput", SPEED_NOTE, SPEED_HEADER, speed_rows(content)),
    ]
    return [table for table in found if table.rows]


SPREAD_HEADER = (
    *("model", "number", "seeds", "mean", "sd", "95 % interval", "median"),
    *("lowest", "highest"),
)


def spread_rows(content: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row per model and number."""
    rows = []
    for name, entry in content["models"].items():
        said = name  # once, in its first row
        for number, words in {**NUMBERS, "optimism": "best minus chosen"}.items():
            if number in entry:
                found = entry[number]
                cells = (percent(found[key]) for key in ("mean", "sd"))
                interval = interval_text(found["interval_95"])
                ends = (percent(found[key]) for key in ("median", "min", "max"))
                count = str(found["seeds"])
                rows.append((said, words, count, *cells, interval, *ends))
                said = ""
    return rows


RANK_HEADER = ("model", "rank, last epoch", "rank, chosen", "got stuck", "write-up")


def rank_rows(content: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row per model: its places, seeds far below the others, what was reported."""
    rows = []
    for name, entry in content["models"].items():
        places = [
            rank_text(tuple(content["ranks"][number][name]))
            if number in content["ranks"]
            else NONE
            for number in ("last", "chosen")
        ]
        stuck = ", ".join(
            f"seed {seed}: {percent(value)}" for seed, value in entry["far_out"].items()
        )
        reported = entry["reported_accuracy"]
        told = NONE if reported is None else percent(reported)
        rows.append((name, *places, stuck or "none", told))
    return rows


def _rank_note(content: dict[str, Any]) -> str:
    fewest = min(entry["last"]["seeds"] for entry in content["models"].values())
    return (
        "A model's rank is the range of places that the pairwise tests leave it. Got "
        "stuck: accuracy after the last epoch more than three interquartile ranges "
        f"below the lower quartile. With {fewest} common seeds no pair's p, before "
        f"correction, can be below {2.0 ** (1 - fewest):.2g}."
    )


PAIR_HEADER = (
    *("first", "second", "seeds", "difference", "95 % interval"),
    *("after Holm", "wins", "ahead"),
)


def pair_rows(content: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row per pair of models, after the last epoch."""
    return [
        (
            pair["first"],
            pair["second"],
            str(pair["seeds"]),
            f"{100 * pair['difference']:+.2f}",
            interval_text(pair["interval"], sign="+"),
            p_text(pair["p_value"]),
            f"{pair['wins']:.0%}",
            pair["ahead"] or "tie",
        )
        for pair in content["pairs"].get("last", ())
    ]


SPEED_HEADER = ("model", "at once", "networks/min", "one at a time", "ratio", "verdict")


def speed_rows(content: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row per model that was timed both ways."""
    return [
        (
            name,
            str(speed["at_once"]),
            f"{speed['networks_per_minute']:.1f}",
            f"{speed['networks_per_minute_alone']:.1f}",
            f"{speed['ratio']:.2f}",
            speed["verdict"],
        )
        for name, speed in content["throughput"].items()
    ]


def percent(share: float | None) -> str:
    """A share in %, with two decimals and without the sign."""
    return NONE if share is None else f"{100 * share:.2f}"


def interval_text(interval: Sequence[float] | None, sign: str = "") -> str:
    """An interval of shares, in %."""
    if interval is None:
        return NONE
    low, high = (f"{100 * end:{sign}.2f}" for end in interval)
    return f"{low} to {high}"
