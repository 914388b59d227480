"""The tables and pictures of a run, from the content of its results.json."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from experiments.kit.numbers import text
from experiments.kit.page import Picture, Table, table
from experiments.speed.contenders import REFERENCE
from experiments.speed.results import FACTORS, Content, of_family
from experiments.speed.worker import SCALING

SECONDS = (
    "Seconds per epoch at steady state, shuffling included, compiling not; the first "
    "epoch is left out."
)
POINT = (
    f"{SECONDS} Ratios are taken within each round. Start is the process with imports "
    "and data; the time to an accuracy runs from there, without testing, and the epoch "
    "that reached it is in brackets. Keras's compile time is what its first epoch took "
    "longer. Peak memory is of the process, libraries and data included. The floor is "
    "the processor's, the longer of two: a step's flops at the best rate of a matrix "
    "product, and Adam's state read and written at the best rate of an update in "
    "place. Below 1, the machine can do more than was measured of it. "
)
RATIOS = (
    "How many times as long an epoch takes: median, smallest and largest of the "
    "rounds' ratios. With one thread or one per core, whichever is faster."
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
Cell = Callable[[Any], str]  # of an entry


def sections(content: Content) -> Iterator[Table | Picture]:
    """Everything, in the order of the page."""
    # Matplotlib is loaded where figures are drawn, not at the start of the program.
    from experiments.speed import figures

    models, points = list(content["models"].values()), content["points"]
    if models:
        draw = partial(figures.bars, models)
        yield Picture("benchmark", "Seconds per epoch", BARS, draw)
        yield from _point_tables(models)
        yield from _ratios(models)
    if points:
        sweeps = {
            factor: [points[place] for place in places]
            for factor, places in content["sweeps"].items()
            if places
        }
        draw = partial(figures.speed, sweeps)
        yield Picture("scaling", "Seconds and images per second", LINES, draw)
        yield _families("Seconds per epoch", SECONDS, points, _median)
        yield from _ratios(points)
        columns: dict[str, str | Cell] = {
            "": "name",
            "measured": lambda point: point["measured"]["words"],
            "s at the floor": lambda point: f"{point['floor']['seconds']:.3g}",
            "fastest": lambda point: _labels(point, [point["fastest"]]),
            "ties with it": lambda point: _labels(point, point["ties"]),
        }
        yield table("Who is the fastest", FASTEST, points, columns)
        if costs := content["conclusion"]["step_costs"]:
            yield _steps(costs)
        caption = "Of each contender's process, fresh at every point."
        draw = partial(figures.memory, sweeps)
        yield Picture("scaling_memory", "Peak memory", caption, draw)
        yield from _point_tables(points)


def facts(content: Content) -> dict[str, str]:
    """What stands at the end of the page beside the run's own facts."""
    machine = content["machine"]
    rates = (machine.get(f"flops_per_second_{c}", 0) for c in ("one_core", "all_cores"))
    adam = machine["bytes_per_second_adam"].items()
    return {
        "processor": f"{content['device']}, {machine['num_cores']} cores",
        "device of JAX's contenders": content["jax_device"],
        "precision of JAX's products": content["precision"],
        "matrix product, GFLOP/s on one core and on all": ", ".join(
            f"{rate / 1e9:.0f}" for rate in rates
        ),
        "update of Adam's arrays' size, GB/s": ", ".join(
            f"{rate / 1e9:.0f} at width {width}" for width, rate in adam
        ),
        "left out": "; ".join(content["left_out"].values()) or "nobody",
        "failed": "; ".join(content["errors"]) or "nobody",
    }


def _point_tables(results: Sequence[Content]) -> Iterator[Table]:
    """A table a point: a row a contender, the fastest first, and the floor."""
    words = POINT  # of all tables, above the first
    for result in results:
        of_sweep = result["kind"] == SCALING
        columns: dict[str, str | Cell] = {
            "": lambda e: f"{e['label']}, {e['device']}".removesuffix(", cpu"),
            "s per epoch: median (min to max)": lambda e: _spread(
                e["epoch_seconds"], ".3g"
            ),
            f"times {REFERENCE[result['kind']]} (min to max)": _ratio,
            "times floor": "times_floor:.2f",
            "ms per step": lambda e: f"{1000 * e['step_seconds']:.3f}",
            "start, s": "start_seconds:.1f",
            "compile, s": lambda e: text(e["compile_seconds"] or None, ".1f"),
            "peak MiB": lambda e: text(e["peak_bytes"] and e["peak_bytes"] >> 20, ","),
        }
        if of_sweep:
            columns["images per second"] = "images_per_second:,.0f"
        if result["num_epochs"]:
            columns["s to 95 %"] = lambda e: _reached(e["to_accuracy"]["0.95"])
            columns["s to 97 %"] = lambda e: _reached(e["to_accuracy"]["0.97"])
        entries = result["contenders"].values()
        contenders = table(
            f"{result['name']}, {'-'.join(map(str, result['layer_sizes']))}",
            f"{words}Measured: {result['measured']['words']}.",
            sorted(entries, key=lambda e: e["epoch_seconds"]["median"]),
            columns,
            on_screen=not of_sweep,
        )
        seconds = result["floor"]["seconds"]
        floor = [f"floor, {result['floor']['cores']}", f"{seconds:.3g}", "-", "1"]
        floor.append(f"{1000 * seconds / result['steps']:.3f}")
        floor += ["-"] * (len(columns) - len(floor))
        yield contenders._replace(rows=[*contenders.rows, floor])
        words = ""


def _families(
    title: str, caption: str, results: Sequence[Content], cell: Cell, without: str = ""
) -> Table:
    """A row a point, a column a family; the family's best member counts."""
    families = dict.fromkeys(family for result in results for family in result["best"])
    families.pop(without, None)
    rows = [
        [result["name"], *(cell(of_family(result, family)) for family in families)]
        for result in results
    ]
    return Table(title, caption, ["", *families], rows)


def _ratios(results: Sequence[Content]) -> Iterator[Table]:
    """How many times as long as the reference family, where that was measured."""
    family = REFERENCE[results[0]["kind"]]
    if any(family in result["best"] for result in results):
        yield _families(f"Times {family}", RATIOS, results, _ratio, without=family)


def _steps(costs: Sequence[Content]) -> Table:
    columns: dict[str, str | Cell] = {
        "": lambda cost: "{} {:,} to {:,}, {}".format(
            FACTORS[cost["factor"]], *cost["values"], cost["family"]
        ),
        f"times {REFERENCE[SCALING]}": "ratios:.2f",
        "ms of a step above the floor": lambda cost: text(
            [1000 * seconds for seconds in cost["above_floor"]], ".2f"
        ),
        "constant ms of a step": lambda cost: text(
            cost["constant"] and 1000 * cost["constant"], ".2f"
        ),
    }
    return table("What grows, and what does not", STEPS, costs, columns)


def _labels(result: Content, names: Sequence[str]) -> str:
    return ", ".join(result["contenders"][name]["label"] for name in names) or "-"


def _spread(values: Content | None, form: str) -> str:
    if not values:
        return "-"
    low, middle, high = (format(values[k], form) for k in ("min", "median", "max"))
    return f"{middle} ({low} to {high})"


def _ratio(entry: Content | None) -> str:
    return _spread(entry and entry["ratio"], ".2f")


def _median(entry: Content | None) -> str:
    return text(entry and entry["epoch_seconds"]["median"], ".3g")


def _reached(reached: Content | None) -> str:
    return f"{reached['seconds']:.1f} ({reached['epoch']})" if reached else "-"
