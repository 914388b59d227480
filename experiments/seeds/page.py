"""The tables and pictures of the page, from results.json and the networks."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.kit.page import Picture, Table
from experiments.kit.statistics import rank_text
from experiments.seeds.measure import Clock
from experiments.seeds.results import NUMBERS, Networks

Content = Mapping[str, Any]  # of results.json


def sections(content: Content, networks: Networks) -> list[Table | Picture]:
    """Tables and pictures that there is something to show in, in their order."""
    if not networks:
        return []
    # Matplotlib is loaded where figures are drawn, not at the start of the program.
    from experiments.seeds import figures

    tables = [spreads, ranks, pairs, write_up, throughput]
    return [
        Picture(
            "seeds",
            "Every network",
            "A dot is a network. The black bar is the 95 % interval of the mean, the "
            "white diamond the median. The error's scale is logarithmic.",
            functools.partial(figures.strips, networks, content),
        ),
        *(table for table in (make(content) for make in tables) if table.rows),
        Picture(
            "epochs",
            "Accuracy by epoch",
            "Thin lines are networks, the thick one is their median, the band holds "
            "the middle half.",
            functools.partial(figures.by_epoch, networks),
        ),
    ]


def spreads(content: Content) -> Table:
    """A row per model and number."""
    rows = []
    for name, entry in content["models"].items():
        for number, label in {**NUMBERS, "optimism": "best minus chosen"}.items():
            if number in entry:
                sample = entry[number]
                cells = [percent(sample[key]) for key in ("mean", "sd")]
                cells.append(interval_text(sample["interval_95"]))
                cells += [percent(sample[key]) for key in ("median", "min", "max")]
                model = name if number == "last" else ""
                rows.append((model, label, str(sample["seeds"]), *cells))
    return Table(
        "Accuracy over seeds",
        "Test accuracies in %, of the networks that finished. Interval: of the mean, "
        "BCa bootstrap over seeds. Best on test: the epoch was picked by the very "
        "images it is scored on, so the figure is too high; the row shows by how much.",
        (
            *("model", "number", "seeds", "mean", "sd"),
            *("95 % interval", "median", "lowest", "highest"),
        ),
        rows,
    )


def ranks(content: Content) -> Table:
    """A row per model: its ranks, seeds far below the others, what was reported."""
    rows = []
    for name, entry in content["models"].items():
        places = [
            rank_text(content["ranks"][number][name])
            if number in content["ranks"]
            else "-"
            for number in ("last", "chosen")
        ]
        stuck = [f"seed {s}: {percent(value)}" for s, value in entry["far_out"].items()]
        reported = percent(entry["reported_accuracy"])
        rows.append((name, *places, ", ".join(stuck) or "none", reported))
    fewest = min(entry["last"]["seeds"] for entry in content["models"].values())
    return Table(
        "Ranks",
        "A model's rank is the range of places that the pairwise tests leave it. Got "
        "stuck: accuracy after the last epoch more than three interquartile ranges "
        "below the lower quartile. Over n common seeds a pair's p, before correction, "
        f"is at least 2 / 2^n; the fewest seeds here are {fewest}: "
        f"{2.0 ** (1 - fewest):.2g}.",
        ("model", "last epoch", "chosen", "got stuck", "write-up"),
        rows,
    )


def pairs(content: Content) -> Table:
    """A row per pair of models, after the last epoch."""
    rows = [
        (
            pair["first"],
            pair["second"],
            str(pair["seeds"]),
            f"{100 * pair['difference']:+.2f}",
            interval_text(pair["interval"], sign="+"),
            f"{pair['p_value']:.2g}",
            f"{pair['wins']:.0%}",
            pair["ahead"] or "tie",
        )
        for pair in content["pairs"]["last"]
    ]
    return Table(
        "Pairs of models",
        "After the last epoch. Difference in points, first minus second, over the "
        "seeds that both have; p of Wilcoxon's signed-rank test on those seeds, "
        "Holm-corrected over all pairs; tie where it is 0.05 or more. Wins: how often "
        "a run of the first beats a run of the second.",
        (
            *("first", "second", "seeds", "difference", "95 % interval"),
            *("p", "wins", "ahead"),
        ),
        rows,
    )


def write_up(content: Content) -> Table:
    """A row per pair of the write-up's accuracies."""
    rows = [
        (
            f"{claim['ahead']}, {claim['behind']}",
            ", ".join(claim["trained_here"]),
            f"{100 * claim['gap']:+.2f}",
            f"±{percent(claim['spread_of_two_runs_95'])}",
            f"{claim['runs_that_agree']:.0%}",
            f"{100 * claim['gap_here']:+.2f}",
            f"{claim['p_value']:.2g}",
            claim["ahead_here"] or "tie",
        )
        for claim in content["write_up"]
    ]
    return Table(
        "The write-up's ranking",
        "Its accuracies are of one run each. Gap in points, first minus second. Two "
        "runs: 95 % of the differences of two single runs lie so near to that of the "
        "means here; a smaller gap ranks nothing. Wins: how often a run of the first "
        "beats one of the second here. The mirror stands in for a model that was not "
        "trained from several seeds.",
        (
            *("first and second", "here", "gap", "two runs", "wins"),
            *("gap here", "p", "ahead here"),
        ),
        rows,
    )


def throughput(content: Content) -> Table:
    """A row per model that was timed both ways."""
    rows = [
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
    return Table(
        "Throughput",
        "Networks per minute with an evaluation on validation and test set after each "
        "epoch, without compilation; both ways measured in turn in this run.",
        ("model", "at once", "networks/min", "one at a time", "ratio", "verdict"),
        rows,
    )


def percent(share: float | None) -> str:
    """A share in %, with two decimals and without the sign."""
    return "-" if share is None else f"{100 * share:.2f}"


def interval_text(interval: Sequence[float] | None, sign: str = "") -> str:
    """An interval of shares, in %."""
    if interval is None:
        return "-"
    low, high = (f"{100 * end:{sign}.2f}" for end in interval)
    return f"{low} to {high}"


def seconds_text(clocks: Mapping[str, Clock]) -> str:
    """How long each model took, of those that began."""
    times = {name: clock.wall_seconds for name, clock in clocks.items()}
    return ", ".join(f"{name} {time:.0f}" for name, time in times.items() if time)
