"""From the rows of a run to the content of results.json. Nothing is measured here."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.kit.run import Row
from experiments.kit.statistics import compare_pairs


def results(rows: Sequence[Row]) -> dict[str, Any]:
    """By choice its arms, of the finished networks, and their pairs, by Holm."""
    content: dict[str, Any] = {}
    for row in rows:
        if "test_accuracy" in row:
            arms = content.setdefault(row["choice"], {"arms": {}})["arms"]
            arm = arms.setdefault(row["arm"], {"rate": row["rate"]})
            for key in ("seed", "test_accuracy", "chosen_epoch", "plateau"):
                arm.setdefault(key, []).append(row[key])
    for choice in content.values():
        for name, arm in choice["arms"].items():
            arm["mean"] = float(np.mean(arm["test_accuracy"]))
            arm["median_epoch"] = float(np.median(arm["chosen_epoch"]))
            arm["tried"] = tried([row for row in rows if row["arm"] == name])
        scores = {name: arm["test_accuracy"] for name, arm in choice["arms"].items()}
        choice["pairs"] = [
            {**pair._asdict(), "seeds": [*pair.seeds], "verdict": pair.verdict}
            for pair in compare_pairs(scores)
        ]
    return content


def tried(rows: Sequence[Row]) -> list[list[float]]:
    """Each rate that an arm's rows try, and its networks' mean validation accuracy."""
    shares: dict[float, list[float]] = {}
    for row in rows:
        if row["stage"] == "tune" and "chosen_epoch" in row:
            shares.setdefault(row["rate"], []).append(row["validation_accuracy"])
    return [[rate, float(np.mean(shares[rate]))] for rate in sorted(shares)]


def best_rate(rows: Sequence[Row]) -> float:
    """The rate that validates best."""
    return max(tried(rows), key=lambda entry: entry[1])[0]
