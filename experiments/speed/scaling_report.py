"""What `experiments/scaling.py` leaves behind: tables, figures, page."""

from typing import Any

from experiments.kit.progress import console
from experiments.kit.run import Experiment
from experiments.kit.screen import print_table
from experiments.speed import benchmark_floor as floor
from experiments.speed.scaling_points import FACTORS, ratio, sweep, where
from experiments.speed.scaling_words import conclusion

__all__ = ["conclusion", "print_tables", "write_page"]

HEADER = (
    "",
    "s per epoch: median (min to max)",
    "images per second",
    "times from scratch",
    "times floor",
    "ms per step",
    "compile",
    "peak memory",
)
NOTE = (
    "Shuffling is part of an epoch, compiling is not: Keras's is what its first epoch "
    f"took longer. {floor.NOTE} Peak memory is a fresh process's, with libraries, data "
    "and training. Of NumPy's threads the better count."
)
OVERVIEW_HEADER = ("", "measured", "fastest", "no slower within the spread")
OVERVIEW_NOTE = (
    "An epoch is measured whole, several times a turn where it is short, or in part, "
    "by its first steps. Contenders tie with the fastest where the smallest of their "
    "values is no larger than its largest."
)
Rows = list[tuple[str, ...]]


def point_rows(point: dict[str, Any]) -> Rows:
    """A row a contender, the fastest first, and the floor at the end."""
    items = sorted(
        point["contenders"].items(),
        key=lambda item: item[1]["epoch_seconds"]["median"],
    )
    least = point["floor"]
    last = (
        "floor",
        _seconds(least["seconds"]),
        f"{least['images_per_second']:,.0f}",
        "-",
        "1",
        f"{1000 * least['seconds'] / point['steps']:.3f}",
        "-",
        "-",
    )
    return [*(_row(point, *item) for item in items), last]


def _row(point: dict[str, Any], name: str, entry: dict[str, Any]) -> tuple[str, ...]:
    low, middle, high = (
        _seconds(entry["epoch_seconds"][key]) for key in ("min", "median", "max")
    )
    times, peak = ratio(point, name), entry["peak_bytes"]
    return (
        entry["label"],
        f"{middle} ({low} to {high})",
        f"{entry['images_per_second']:,.0f}",
        "-" if times is None else f"{times:.2f}",
        f"{entry['times_floor']:.2f}",
        f"{1000 * entry['step_seconds']:.3f}",
        f"{entry['compile_seconds']:.1f} s" if entry["compile_seconds"] else "-",
        f"{peak / 2**20:,.0f} MiB" if peak else "-",
    )


def _seconds(value: float) -> str:
    """Three figures or so: epochs go from milliseconds to minutes."""
    return f"{value:.3f}" if value < 1 else f"{value:.1f}"


def overview_rows(results: dict[str, Any]) -> Rows:
    """A row a point: how it was measured and who is the fastest."""
    rows: Rows = []
    for point in results["points"]:
        entries = point["contenders"]
        ties = "\n".join(entries[name]["label"] for name in point["ties"]) or "-"
        fastest = entries[point["fastest"]]["label"]
        rows.append((where(point), point["measured"]["words"], fastest, ties))
    return rows


def seconds_table(results: dict[str, Any]) -> tuple[tuple[str, ...], Rows]:
    """Header and rows of the medians: a row a point, a column a contender."""
    labels = {
        name: entry["label"]
        for point in results["points"]
        for name, entry in point["contenders"].items()
    }
    rows = [
        (
            where(point),
            *(_median(point, name) for name in labels),
            _seconds(point["floor"]["seconds"]),
        )
        for point in results["points"]
    ]
    return ("", *labels.values(), "floor"), rows


def _median(point: dict[str, Any], name: str) -> str:
    if name not in point["contenders"]:
        return "-"
    return _seconds(point["contenders"][name]["epoch_seconds"]["median"])


def print_tables(results: dict[str, Any]) -> None:
    """The tables on the screen, and what they say."""
    header, rows = seconds_table(results)
    print_table("Seconds per epoch", header, rows)
    console.print(NOTE)
    print_table("Who is the fastest", OVERVIEW_HEADER, overview_rows(results))
    console.print(OVERVIEW_NOTE + "\n")
    for sentence in results["conclusion"]:
        console.print(f"- {sentence}", markup=False)


def write_page(experiment: Experiment, results: dict[str, Any]) -> None:
    """The figures as PNG files, and `report.html` with tables and conclusion."""
    from experiments.kit import page
    from experiments.speed import scaling_chart as scaling_chart

    drawn = [factor for factor in FACTORS if sweep(results, factor)]
    speed = page.picture(
        "scaling",
        "Seconds per epoch and images per second",
        "One factor at a time; the others stay at those of the published Model 3. "
        "Lines are medians, bands reach from the smallest to the largest value, the "
        "dashed line is the machine's floor. Of NumPy's threads the better count.",
        scaling_chart.speed(results, drawn),
        dataset=results["dataset"],
    )
    memory = page.picture(
        "scaling_memory",
        "Peak memory",
        "Of each contender's process, fresh at every point.",
        scaling_chart.memory(results, drawn),
        dataset=results["dataset"],
    )
    sentences = [(sentence,) for sentence in results["conclusion"]]
    sections: list[Any] = [
        speed,
        page.Table("What it says", "Computed from the figures.", ("",), sentences),
        page.Table("Seconds per epoch", NOTE, *seconds_table(results)),
        page.Table(
            "Who is the fastest",
            OVERVIEW_NOTE,
            OVERVIEW_HEADER,
            overview_rows(results),
        ),
        memory,
        *(
            page.Table(where(point), "", HEADER, point_rows(point))
            for point in results["points"]
        ),
    ]
    experiment.write_page(
        results,
        sections,
        title="Keras and a network from scratch, as they grow",
        lead=(
            f"784-width-10 with Adam, {results['rounds']} interleaved turns a point, "
            "each contender in a process of its own, one at work at a time."
        ),
        facts=_facts(results),
    )


def _facts(results: dict[str, Any]) -> dict[str, str]:
    rates = results["machine"]
    adam = ", ".join(
        f"{rate / 1e9:.0f} at width {width}"
        for width, rate in rates["bytes_per_second_adam"].items()
    )
    return {
        "matrix product": f"{rates['flops_per_second_all_cores'] / 1e9:.0f} GFLOP/s",
        "update of Adam's arrays' size, GB/s": adam,
        "left out": "; ".join(results["left_out"].values()) or "nobody",
        "failed": "; ".join(results["errors"]) or "nobody",
    }
