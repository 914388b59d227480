"""The tables of the page."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.kit.numbers import text
from experiments.kit.page import Table, table
from experiments.scale.results import BATCHES


def lead(content: Mapping[str, Any]) -> str:
    """How more devices compare with one, and images from disk with those in memory."""
    return " ".join([_of_devices(content), *_of_streams(content["streams"])])


def _of_devices(content: Mapping[str, Any]) -> str:
    steps = content["steps"]
    times = {
        (row["model"], row["batch_size"], row["devices"]): row["measured_seconds"]
        for row in steps
    }
    most = max((row["devices"] for row in steps), default=1)
    gains = [
        times[name, batch, 1] / seconds
        for (name, batch, count), seconds in times.items()
        if count == most > 1 and (name, batch, 1) in times
    ]
    if not gains:
        return "One device; nothing to compare it with."
    ratios = [row["model_ratio"] for row in steps]
    return (
        f"{most} devices of this machine are {min(gains):.2f} to {max(gains):.2f} "
        f"times as fast as one; the model's steps are {min(ratios):.2f} to "
        f"{max(ratios):.2f} of those measured."
    )


def _of_streams(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    shares = [
        share for row in rows if (share := _of_memory(row, rows)) and row["repeats"]
    ]
    if shares:
        yield (
            f"From disk come {min(shares):.2f} to {max(shares):.2f} times as many "
            "images a second as from memory."
        )
    more = [mib for row in rows if (mib := _more_than_once(row, rows)) is not None]
    if more:
        most = max(row["repeats"] for row in rows)
        yield (
            f"{most} times as many images took {max(more):,.0f} MiB of memory more at "
            "most."
        )


def _of_memory(
    row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> float | None:
    """Images a second, of those of the same network from memory."""
    memory = {r["model"]: r["images_per_second"] for r in rows if not r["repeats"]}
    rate = memory.get(row["model"])
    return row["images_per_second"] / rate if rate else None


def _more_than_once(
    row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> float | None:
    """MiB of memory beyond those that the images take once."""
    once = {r["model"]: r["peak_bytes"] for r in rows if r["repeats"] == 1}
    if row["repeats"] <= 1 or row["model"] not in once:
        return None
    return (row["peak_bytes"] - once[row["model"]]) / 2**20


def sections(content: Mapping[str, Any]) -> Iterator[Table]:
    """What was measured, how it was predicted, and what follows elsewhere."""
    yield table(
        "What a device of this machine reaches",
        "While all of them work. Products of 128 by 784 by 1,024; copies of 8 MB; sums "
        "over devices of 1 KB and 4 MB.",
        content["machines"],
        {
            "devices": "devices",
            "Gflop/s": lambda row: f"{row['flops'] / 1e9:.1f}",
            "memory, GB/s": lambda row: f"{row['memory'] / 1e9:.1f}",
            "step overhead, us": lambda row: f"{row['overhead'] * 1e6:.1f}",
            "hop, us": lambda row: _scaled(row["latency"], 1e6),
            "link, GB/s": lambda row: _scaled(row["bandwidth"], 1e-9),
        },
    )
    yield table(
        "A step, measured and predicted",
        "The model knows only the table above and the network's sizes. Parts: the step "
        "without the sum, measured, and the model's all-reduce. Collectives and their "
        "bytes are read from the compiled program, a step.",
        content["steps"],
        {
            "network": "model",
            "batch": "batch_size:,",
            "devices": "devices",
            "measured, ms": lambda row: f"{row['measured_seconds'] * 1e3:.3f}",
            "model / measured": "model_ratio:.2f",
            "parts / measured": "parts_ratio:.2f",
            "collectives": "num_collectives",
            "their bytes": "collective_bytes:,",
            "gradients' bytes": "gradient_bytes:,",
        },
    )
    if content["streams"]:
        yield streams(content["streams"])
    yield table(
        "On paper: times as fast as one device, by batch",
        "784-width-10 with Adam in float32, all devices on one network.",
        content["speedups"],
        {
            "machine": "machine",
            "width": "width:,",
            **{f"{b:,}": _of_batch(str(b)) for b in BATCHES},
        },
    )
    yield table(
        "On paper: the smallest batch that pays",
        "At all: all devices are as fast as one. By half: half as many times as fast "
        "as there are devices.",
        content["least_batches"],
        {
            "machine": "machine",
            "width": "width:,",
            "at all": lambda row: _or_none(row["pays"]),
            "by half": lambda row: _or_none(row["half"]),
        },
    )


def streams(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Training from disk beside training from memory."""
    return table(
        "Training from disk",
        "The fastest of three epochs, validation apart, each in a process of its own; "
        "the process's largest memory, TensorFlow and the validation set included.",
        rows,
        {
            "network": "model",
            "images from": "source",
            "images a second": "images_per_second:,.0f",
            "of memory's": lambda row: text(_of_memory(row, rows), ".2f"),
            "memory, MiB": lambda row: text(
                row["peak_bytes"] and row["peak_bytes"] / 2**20, ",.0f"
            ),
            "more than once, MiB": lambda row: text(
                _more_than_once(row, rows), "+,.0f"
            ),
        },
    )


def _of_batch(batch: str) -> Any:
    return lambda row: f"{row['by_batch'][batch]:.2f}"


def _scaled(value: float | None, factor: float) -> str:
    return text(None if value is None else value * factor, ".1f")


def _or_none(batch: int | None) -> str:
    return "none" if batch is None else f"{batch:,}"
