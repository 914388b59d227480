"""The tables and figures of a run, for the screen and the page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from experiments.kit.page import Picture, Table
from experiments.speed import figures
from experiments.speed.contenders import REFERENCE, SCALING
from experiments.speed.points import FACTORS
from experiments.speed.summary import (
    Entry,
    PointResult,
    Reached,
    Spread,
    Sweeps,
    Timed,
    step_costs,
    swept,
)

FLOOR = (
    "The floor is the processor's, the longer of two: a step's flops at the best rate "
    "of a matrix product, and Adam's state read and written at the best rate of an "
    "update in place. A contender below 1 shows that the machine can do more than was "
    "measured of it."
)
SECONDS = (
    "Seconds per epoch at steady state, shuffling included, compiling not; the first "
    "epoch is left out."
)
RATIOS = (
    "How many times as long an epoch takes: median, smallest and largest of the "
    "rounds' ratios. Of a contender with one thread and with one per core the better "
    "counts."
)
POINT = (
    "Ratios are taken within each round. Start is the process with its imports and "
    "data; the time to an accuracy runs from there and leaves testing out, with the "
    "epoch that reached it in brackets. Keras's compile time is what its first epoch "
    "took longer. Peak memory is of the process, with libraries, data and training."
)
FASTEST = (
    "An epoch is measured whole, several times a turn where it is short, or in part, "
    "by its first steps. Contenders tie with the fastest where the smallest of their "
    "values is no larger than its largest."
)
STEPS = (
    "From the lowest to the highest value of a sweep: the ratio of epochs, what a step "
    "takes above the machine's floor, and how much of it does not grow with the factor "
    "(the line through a step at the two lowest values, at 0)."
)
BARS = (
    "Bars are medians, lines reach from the smallest to the largest value. The number "
    "is how many times as long as jaxnets. The dashed line is the floor."
)
LINES = (
    "One factor at a time; the others stay at those of the published Model 3. Lines "
    "are medians, bands reach from the smallest to the largest value, the dashed line "
    "is the floor. Of NumPy's threads the better count."
)
MEMORY = "Of each contender's process, fresh at every point."
Points = Sequence[PointResult]
Cell = Callable[[Entry], str]


def sections(timed: Timed, sweeps: Sweeps) -> Iterator[Table | Picture]:
    """Everything, in the order of the page."""
    models = [result for point, result in timed.items() if point.kind != SCALING]
    points = [result for point, result in timed.items() if point.kind == SCALING]
    if models:
        bars = partial(figures.bars, models)
        yield Picture("benchmark", "Seconds per epoch", BARS, bars)
        yield from _point_tables(models)
        if any("jaxnets" in model.best for model in models):
            yield _families("Times jaxnets", RATIOS, models, _ratio, without="jaxnets")
    if points:
        speed = partial(figures.speed, swept(timed, sweeps))
        memory = partial(figures.memory, swept(timed, sweeps))
        ours = REFERENCE[SCALING]
        yield Picture("scaling", "Seconds and images per second", LINES, speed)
        yield _families("Seconds per epoch", SECONDS, points, _median)
        if any(ours in point.best for point in points):
            yield _families(f"Times {ours}", RATIOS, points, _ratio, without=ours)
        yield _fastest(points)
        if any(len(sweep) > 1 for sweep in swept(timed, sweeps).values()):
            yield _steps(timed, sweeps)
        yield Picture("scaling_memory", "Peak memory", MEMORY, memory)
        for table in _point_tables(points):
            yield table._replace(on_screen=False)


def facts(results: Mapping[str, Any]) -> dict[str, str]:
    """What stands at the end of the page beside the run's own facts."""
    machine = results["machine"]
    one, every = (
        machine.get(f"flops_per_second_{cores}", 0) / 1e9
        for cores in ("one_core", "all_cores")
    )
    adam = machine["bytes_per_second_adam"].items()
    return {
        "processor": f"{results['device']}, {machine['num_cores']} cores",
        "device of JAX's contenders": results["jax_device"],
        "precision of JAX's products": results["precision"],
        "matrix product": f"{one:.0f} GFLOP/s on one core, {every:.0f} on all",
        "update of Adam's arrays' size, GB/s": ", ".join(
            f"{rate / 1e9:.0f} at width {width}" for width, rate in adam
        ),
        "left out": "; ".join(results["left_out"].values()) or "nobody",
        "failed": "; ".join(results["errors"]) or "nobody",
    }


def _point_tables(points: Points) -> Iterator[Table]:
    """A table a point; what is said of all of them stands above the first."""
    words = f"{SECONDS} {POINT} {FLOOR} "
    for result in points:
        yield _point_table(result, f"{words}Measured: {result.measured.words}.")
        words = ""


def _point_table(result: PointResult, caption: str) -> Table:
    """A row a contender, the fastest first, and the floor at the end."""
    columns: dict[str, Cell] = {
        "s per epoch: median (min to max)": lambda e: _spread(e.epoch_seconds),
        f"times {REFERENCE[result.point.kind]} (min to max)": _ratio,
        "times floor": lambda e: f"{e.times_floor:.2f}" if e.times_floor else "-",
        "ms per step": lambda e: f"{1000 * e.step_seconds:.3f}",
        "start": lambda e: f"{e.start_seconds:.1f} s",
        "compile": lambda e: f"{e.compile_seconds:.1f} s" if e.compile_seconds else "-",
        "peak memory": _memory,
    }
    if result.point.kind == SCALING:
        columns["images per second"] = lambda e: f"{e.images_per_second:,.0f}"
    if result.point.num_epochs:
        columns["to 95 %"] = lambda e: _reached(e.to_accuracy["0.95"])
        columns["to 97 %"] = lambda e: _reached(e.to_accuracy["0.97"])
    entries = sorted(result.contenders.values(), key=lambda e: e.epoch_seconds.median)
    rows = [
        [
            e.label if e.device == "cpu" else f"{e.label}, {e.device}",
            *(cell(e) for cell in columns.values()),
        ]
        for e in entries
    ]
    least = result.floor
    per_step = f"{1000 * least.seconds / result.point.steps:.3f}"
    floor = [f"floor, {least.cores}", _seconds(least.seconds), "-", "1", per_step]
    rows.append(floor + ["-"] * (len(columns) + 1 - len(floor)))
    sizes = "-".join(map(str, result.point.layer_sizes))
    return Table(f"{result.point.name}, {sizes}", caption, ["", *columns], rows)


def _families(
    title: str, caption: str, points: Points, cell: Cell, *, without: str = ""
) -> Table:
    """A row a point, a column a family; the family's best member counts."""
    families = dict.fromkeys(family for point in points for family in point.best)
    families.pop(without, None)
    rows = [
        [
            result.point.name,
            *(
                cell(entry) if (entry := result.of_family(family)) else "-"
                for family in families
            ),
        ]
        for result in points
    ]
    return Table(title, caption, ["", *families], rows)


def _fastest(points: Points) -> Table:
    rows = []
    for result in points:
        names = (result.fastest, *result.ties)
        first, *ties = (result.contenders[name].label for name in names)
        floor = _seconds(result.floor.seconds)
        words = result.measured.words
        rows.append([result.point.name, words, floor, first, ", ".join(ties) or "-"])
    header = ["", "measured", "s at the floor", "fastest", "ties with it"]
    return Table("Who is the fastest", FASTEST, header, rows)


def _steps(timed: Timed, sweeps: Sweeps) -> Table:
    rows = []
    for cost in step_costs(timed, sweeps):
        low, high = cost.values
        constant = cost.constant
        rows.append(
            [
                f"{FACTORS[cost.factor]} {low:,} to {high:,}, {cost.family}",
                " to ".join("-" if r is None else f"{r:.2f}" for r in cost.ratios),
                " to ".join(f"{1000 * seconds:.2f}" for seconds in cost.above_floor),
                "-" if constant is None else f"{1000 * constant:.2f}",
            ]
        )
    ratio = f"times {REFERENCE[SCALING]}"
    header = ["", ratio, "ms of a step above the floor", "constant ms of a step"]
    return Table("What grows, and what does not", STEPS, header, rows)


def _seconds(value: float) -> str:
    """Three figures or so: epochs go from milliseconds to minutes."""
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def _spread(seconds: Spread) -> str:
    low, middle, high = map(_seconds, (seconds.min, seconds.median, seconds.max))
    return f"{middle} ({low} to {high})"


def _median(entry: Entry) -> str:
    return _seconds(entry.epoch_seconds.median)


def _ratio(entry: Entry) -> str:
    r = entry.ratio
    return f"{r.median:.2f} ({r.min:.2f} to {r.max:.2f})" if r else "-"


def _reached(reached: Reached | None) -> str:
    return f"{reached.seconds:.1f} s ({reached.epoch})" if reached else "-"


def _memory(entry: Entry) -> str:
    return f"{entry.peak_bytes / 2**20:,.0f} MiB" if entry.peak_bytes else "-"
