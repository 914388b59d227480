"""From the rows of a run to the content of results.json. Nothing is measured here."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.kit.run import Row
from experiments.kit.statistics import compare_pairs
from experiments.ladder.steps import PUBLISHED


def results(rows: Sequence[Row], ensemble: int) -> dict[str, Any]:
    """The steps in their order, and each against the one before, by Holm."""
    scores: dict[str, list[float]] = {}
    for row in rows:
        scores.setdefault(row["step"], []).append(row["test_accuracy"])
    steps = {
        name: {
            "test_accuracy": values,
            "mean": float(np.mean(values)),
            "seconds": float(
                np.median([row["seconds"] for row in rows if row["step"] == name])
            ),
        }
        for name, values in scores.items()
    }
    pairs = compare_pairs(
        scores, [(new, old) for old, new in itertools.pairwise(scores)]
    )
    return {
        "steps": steps,
        "gains": [
            {**pair._asdict(), "seeds": [*pair.seeds], "verdict": pair.verdict}
            for pair in pairs
        ],
        "ensemble": ensemble,
        "published": [entry._asdict() for entry in PUBLISHED],
    }
