"""What the rows say, and what the model says of larger machines."""

from collections.abc import Iterable
from typing import Any

from experiments.kit.run import Row
from experiments.scale import model

WIDTHS = tuple(2**power for power in range(6, 17, 2))  # 64 to 65,536
BATCHES = tuple(10**power for power in range(1, 7))  # 10 to a million
FINE = tuple(range(1, 10))  # batches between the powers of ten
OPTIMIZER = "adam"  # of the networks on paper


def layer_sizes(width: int) -> tuple[int, ...]:
    """The networks on paper: Model 3 with another width."""
    return 784, width, 10


def results(rows: Iterable[Row]) -> dict[str, Any]:
    """The content of results.json."""
    rows = list(rows)
    return {
        "machines": [row for row in rows if row["kind"] == "machine"],
        "steps": [
            {
                **row,
                "model_ratio": row["model_seconds"] / row["measured_seconds"],
                "parts_ratio": row["parts_seconds"] / row["measured_seconds"],
            }
            for row in rows
            if row["kind"] == "step"
        ],
        "streams": [row for row in rows if row["kind"] == "stream"],
        "speedups": speedups(),
        "least_batches": least_batches(),
    }


def speedups() -> list[dict[str, Any]]:
    """Of each larger machine over one of its devices: a row a machine and width."""
    return [
        {
            "machine": machine.name,
            "devices": machine.num_devices,
            "width": width,
            "by_batch": {
                str(batch): model.speedup(machine, layer_sizes(width), batch, OPTIMIZER)
                for batch in BATCHES
            },
        }
        for machine in model.MACHINES
        for width in WIDTHS
    ]


def least_batches() -> list[dict[str, Any]]:
    """From which batch on it pays at all, and from which on half of it pays."""
    sizes = [digit * batch for batch in (1, *BATCHES) for digit in FINE]
    return [
        {
            "machine": machine.name,
            "devices": machine.num_devices,
            "width": width,
            **{
                name: model.least_batch(
                    machine, layer_sizes(width), OPTIMIZER, sizes, least
                )
                for name, least in {
                    "pays": 1.0,
                    "half": machine.num_devices / 2,
                }.items()
            },
        }
        for machine in model.MACHINES
        for width in WIDTHS
    ]
