"""The tables and pictures of a run, from the content of its results.json."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from experiments.kit.numbers import text
from experiments.kit.page import Picture, Table, table
from experiments.speed.contenders import REFERENCE
from experiments.speed.machine import ADAM, FLOPS
from experiments.speed.results import ACCURACIES, FACTORS, Content, of_family
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
    "An epoch is measured whole, several times a turn where it is short, or by its "
    "first steps. Contenders tie where the smallest of their values is no larger than "
    "the largest of the fastest."
)
STEPS = (
    "From the lowest to the highest value of a sweep: the ratio of epochs, what a step "
    "takes above the machine's floor, and how much of it does not grow with the factor "
    "(the line through a step at the two lowest values, at 0)."
)
BARS = (
    "Medians, with lines from the smallest to the largest value, and how many times as "
    "long as jaxnets. The dashed line is the floor."
)
LINES = (
    "One factor at a time; the others stay at those of the published Model 3. Medians, "
    "with bands from the smallest to the largest value; the dashed line is the floor. "
    "Of NumPy's threads the better count."
)
Columns = dict[str, str | Callable[[Any], str]]  # as those of `table`


def sections(content: Content) -> Iterator[Table | Picture]:
    """Everything, in the order of the page."""
    # Matplotlib is loaded where figures are drawn, not at the start of the program.
    from experiments.speed import figures

    models, points = list(content["models"].values()), content["points"]
    if models:
        draw = partial(figures.bars, models)
        yield Picture("benchmark", "Seconds per epoch", BARS, draw)
        yield from _point_tables(models)
        yield from _families(models)
    if points:
        sweeps = {
            factor: [points[place] for place in places]
            for factor, places in content["sweeps"].items()
            if places
        }
        draw = partial(figures.speed, sweeps)
        yield Picture("scaling", "Seconds and images per second", LINES, draw)
        yield from _families(points)
        columns: Columns = {
            "": "name",
            "measured": lambda point: point["measured"]["words"],
            "s at the floor": lambda point: f"{point['floor']['seconds']:.3g}",
            "fastest": lambda point: _labels(point, [point["fastest"]]),
            "ties with it": lambda point: _labels(point, point["ties"]),
        }
        yield table("Who is the fastest", FASTEST, points, columns)
        if costs := content["conclusion"]["step_costs"]:
            yield table("What grows, and what does not", STEPS, costs, COST_COLUMNS)
        draw = partial(figures.memory, sweeps)
        caption = "Of each contender's process, fresh at every point."
        yield Picture("scaling_memory", "Peak memory", caption, draw)
        yield from _point_tables(points)


def facts(content: Content) -> dict[str, str]:
    """What stands at the end of the page beside the run's own facts."""
    machine = content["machine"]
    one, every = (f"{machine.get(name, 0) / 1e9:.0f}" for name in FLOPS)
    adam = (f"{rate / 1e9:.0f} at width {w}" for w, rate in machine[ADAM].items())
    return {
        "processor": f"{content['device']}, {machine['num_cores']} cores",
        "device of JAX's contenders": content["jax_device"],
        "precision of JAX's products": content["precision"],
        "matrix product": f"{one} GFLOP/s on one core, {every} on all",
        "update of Adam's arrays' size, GB/s": ", ".join(adam),
        "left out": "; ".join(content["left_out"].values()) or "nobody",
        "failed": "; ".join(content["errors"]) or "nobody",
    }


def _point_tables(results: Sequence[Content]) -> Iterator[Table]:
    """A table a point: a row a contender, the fastest first, and the floor."""
    words = POINT  # of all tables, above the first
    for result in results:
        columns: Columns = {
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
        if result["kind"] == SCALING:
            columns["images per second"] = "images_per_second:,.0f"
        for accuracy in ACCURACIES if result["num_epochs"] else ():
            columns[f"s to {accuracy:.0%}"] = partial(_reached, str(accuracy))
        entries = result["contenders"].values()
        contenders = table(
            f"{result['name']}, {'-'.join(map(str, result['layer_sizes']))}",
            f"{words}Measured: {result['measured']['words']}.",
            sorted(entries, key=lambda e: e["epoch_seconds"]["median"]),
            columns,
            on_screen=result["kind"] != SCALING,
        )
        seconds = result["floor"]["seconds"]
        floor = [f"floor, {result['floor']['cores']}", f"{seconds:.3g}", "-", "1"]
        floor.append(f"{1000 * seconds / result['steps']:.3f}")
        floor += ["-"] * (len(columns) - len(floor))
        yield contenders._replace(rows=[*contenders.rows, floor])
        words = ""


def _families(results: Sequence[Content]) -> Iterator[Table]:
    """A row a point, a column a family, whose best member counts."""
    ours = REFERENCE[results[0]["kind"]]
    families = list(dict.fromkeys(family for r in results for family in r["best"]))
    tables = []
    if results[0]["kind"] == SCALING:
        tables.append(("Seconds per epoch", SECONDS, _median, families))
    if ours in families:
        others = [family for family in families if family != ours]
        tables.append((f"Times {ours}", RATIOS, _ratio, others))
    for title, caption, cell, header in tables:
        rows = [[r["name"], *(cell(of_family(r, f)) for f in header)] for r in results]
        yield Table(title, caption, ["", *header], rows)


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


def _reached(accuracy: str, entry: Content) -> str:
    reached = entry["to_accuracy"][accuracy]
    return f"{reached['seconds']:.1f} ({reached['epoch']})" if reached else "-"


COST_COLUMNS: Columns = {
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
