"""From the rows of a run to the content of results.json. Nothing is measured here."""

from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from experiments.kit.run import Row


def results(rows: Sequence[Row]) -> dict[str, Any]:
    """Single networks, many networks, and programs that were compiled only."""
    return {
        "one": [
            {**row, "epoch_seconds": median(row["seconds"])} for row in _of(rows, "one")
        ],
        "many": [
            {
                **{name: row[name] for name in row if name != "test_accuracy"},
                "networks_a_minute": 60 * row["networks"] / row["wall_seconds"],
                "test_accuracy": float(np.median(row["test_accuracy"])),
            }
            for row in _of(rows, "many")
        ],
        "programs": _of(rows, "program"),
    }


def _of(rows: Sequence[Row], kind: str) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in row.items() if name != "row"}
        for row in rows
        if row["row"] == kind
    ]
