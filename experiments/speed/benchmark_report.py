"""What `experiments/benchmark.py` leaves behind: tables, bar chart, page."""

from typing import Any

from experiments.kit.folder import RunFolder
from experiments.kit.progress import console
from experiments.kit.screen import print_table
from experiments.speed import benchmark_floor as floor

HEADER = (
    "",
    "s per epoch: median (min to max)",
    "times jaxnets (min to max)",
    "times floor",
    "start",
    "compile",
    "to 95 %",
    "to 97 %",
    "peak memory",
)
NOTE = (
    "Seconds per epoch at steady state, shuffling included; the first epoch is left "
    "out. Ratios are taken within each round. Start is the process with its imports "
    "and data; the time to an accuracy runs from the process's start and leaves "
    "testing out, with the epoch that reached it in brackets. Keras's compile time is "
    f"what its first epoch took longer. {floor.NOTE}"
)
RATIO_NOTE = (
    "How many times as long an epoch takes as with jaxnets: median of the rounds. Of "
    "a contender with one thread and with one per core the better counts, of jaxnets "
    "too."
)
Rows = list[tuple[str, ...]]


def model_rows(model: dict[str, Any]) -> Rows:
    """A row a contender, the fastest first, and the floor at the end."""
    entries = model["contenders"].values()
    ordered = sorted(entries, key=lambda entry: entry["epoch_seconds"]["median"])
    rows = [_row(entry) for entry in ordered]
    seconds = f"{model['floor']['seconds']:.3f}"
    dashes = ("-",) * (len(HEADER) - 2)
    return [*rows, (f"floor, {model['floor']['cores']}", seconds, *dashes)]


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    peak = entry["peak_bytes"]
    return (
        entry["label"],
        _spread(entry["epoch_seconds"], ".3f"),
        _spread(entry["ratio"], ".2f"),
        f"{entry['times_floor']:.2f}",
        f"{entry['start_seconds']:.1f} s",
        f"{entry['compile_seconds']:.1f} s" if entry["compile_seconds"] else "-",
        *(_reached(reached) for reached in entry["to_accuracy"].values()),
        f"{peak / 2**20:,.0f} MiB" if peak else "-",
    )


def _spread(values: dict[str, float] | None, form: str) -> str:
    if values is None:
        return "-"
    low, middle, high = (format(values[key], form) for key in ("min", "median", "max"))
    return f"{middle} ({low} to {high})"


def _reached(reached: dict[str, Any] | None) -> str:
    return f"{reached['seconds']:.1f} s ({reached['epoch']})" if reached else "-"


def ratio_rows(results: dict[str, Any]) -> Rows:
    """A row a family, a column a model; the family's best member counts."""
    models = results["models"].values()
    families = dict.fromkeys(family for model in models for family in model["best"])
    return [
        (family, *(_ratio(family, model) for model in models)) for family in families
    ]


def _ratio(family: str, model: dict[str, Any]) -> str:
    if family not in model["best"]:
        return "-"
    ratio = model["contenders"][model["best"][family]]["ratio"]
    return _spread(ratio, ".2f")


def titles(results: dict[str, Any]) -> dict[str, str]:
    """Each model's heading."""
    return {
        name: f"{name}, {'-'.join(map(str, model['layer_sizes']))}"
        for name, model in results["models"].items()
    }


def below_floor(name: str, results: dict[str, Any]) -> list[str]:
    """Whether contenders are faster than a model's floor, which refutes it."""
    return floor.below(name, results["models"][name]["contenders"].values())


def print_tables(results: dict[str, Any]) -> None:
    """The tables on the screen."""
    for name, title in titles(results).items():
        print_table(title, HEADER, model_rows(results["models"][name]))
        for sentence in below_floor(name, results):
            console.print(sentence, style="bold red", markup=False)
    console.print(NOTE)
    header = ("times jaxnets", *results["models"])
    print_table("Ratios", header, ratio_rows(results))
    console.print(RATIO_NOTE)


def write_page(folder: RunFolder, results: dict[str, Any]) -> None:
    """`benchmark.png`, and `report.html` with chart and tables."""
    from experiments.kit import page
    from experiments.speed import benchmark_chart as benchmark_chart

    chart = page.picture(
        "benchmark",
        "Seconds per epoch",
        "Bars are medians, lines reach from the smallest to the largest value. The "
        "number is how many times as long as jaxnets. The dashed line is the floor.",
        benchmark_chart.bars(results, titles(results)),
        dataset=results["dataset"],
    )
    folder.write_bytes(f"{chart.name}.png", chart.png)
    header = ("times jaxnets", *results["models"])
    sections: list[Any] = [
        chart,
        page.Table("Ratios", RATIO_NOTE, header, ratio_rows(results)),
    ]
    for name, title in titles(results).items():
        rows = model_rows(results["models"][name])
        note = " ".join([NOTE, *below_floor(name, results)])
        sections.append(page.Table(title, note, HEADER, rows))
    html = page.render(
        title="Ways to train the same networks",
        lead=(
            f"{results['train_examples']:,} training images of {results['dataset']}, "
            f"{results['rounds']} interleaved rounds, each contender in a process of "
            "its own, one at work at a time."
        ),
        notice=results["notice"],
        facts=_facts(results),
        sections=sections,
    )
    folder.write_text("report.html", html)


def _facts(results: dict[str, Any]) -> dict[str, Any]:
    rates = results["machine"]
    one, every = (
        rates[f"flops_per_second_{cores}"] / 1e9 for cores in ("one_core", "all_cores")
    )
    adam = rates["bytes_per_second_adam"] / 1e9
    found = results["versions"]
    return {
        "device": f"{results['device']}, {rates['num_cores']} cores",
        "matrix product": f"{one:.0f} GFLOP/s on one core, {every:.0f} on all",
        "update of Adam's arrays' size": f"{adam:.0f} GB/s",
        "versions": ", ".join(f"{name} {number}" for name, number in found.items()),
        "left out": "; ".join(results["left_out"].values()) or "nobody",
        "seed": results["seed"],
        "status": results["status"],
    }
