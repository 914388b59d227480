"""The numbers of results.json, as a pure function of the rows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.kit import statistics
from experiments.parity.comparison import Comparison
from experiments.parity.prices import AS_KERAS, CHOICES, Choice
from experiments.parity.task import Side

EQUAL = 1e-8  # relative difference below which two programs in float64 are one
Row = Mapping[str, Any]


def results(
    rows: Iterable[Row],
    pairs: Sequence[Comparison],
    installed: Sequence[str],
    num_epochs: int,
) -> dict[str, Any]:
    """The content of results.json beside its head.

    Args:
      rows: of `comparison.compare` and `prices.train`.
      pairs: everything that is to be compared.
      installed: the programs that could run.
      num_epochs: of each priced network.
    """
    rows = list(rows)
    compared = [row for row in rows if "step" in row]
    priced = [row for row in rows if "choice" in row]
    sides = {side.program for pair in pairs for side in (pair.one, pair.other)}
    last_of_choice = {row["choice"]: row["seconds"] for row in priced}
    return {
        "missing": sorted(sides - set(installed)),
        "comparisons": [
            _comparison_entry(pair, compared)
            for pair in pairs
            if pair.runs_with(installed)
        ],
        "prices": prices(accuracies(priced, num_epochs)),
        "parity_seconds": compared[-1]["seconds"] if compared else None,
        "price_seconds": sum(last_of_choice.values()) if priced else None,
    }


def _comparison_entry(pair: Comparison, rows: Iterable[Row]) -> dict[str, Any]:
    apart = {
        row["step"]: row["apart"][pair.name]
        for row in rows
        if pair.name in row["apart"]
    }
    is_whole = pair.num_steps in apart
    return {
        "name": pair.name,
        "cause": pair.cause,
        "one": _side_entry(pair.one),
        "other": _side_entry(pair.other),
        "steps": list(apart),
        "apart": list(apart.values()),
        "identical": not any(apart.values()) if is_whole else None,
        "equal": max(apart.values()) < EQUAL if is_whole else None,
    }


def _side_entry(side: Side) -> dict[str, Any]:
    return {**side._asdict(), "betas": list(side.betas)}


def accuracies(rows: Iterable[Row], num_epochs: int) -> dict[str, dict[int, float]]:
    """Test accuracies after the last epoch, by choice and seed."""
    by_choice: dict[str, dict[int, float]] = {}
    for row in rows:
        if row["epoch"] == num_epochs:
            values = dict(zip(row["seeds"], row["test_accuracy"], strict=True))
            by_choice.setdefault(row["choice"], {}).update(values)
    return by_choice


def prices(by_choice: Mapping[str, Mapping[int, float]]) -> list[dict[str, Any]]:
    """Each choice's accuracy, and its difference from `AS_KERAS`, seed by seed.

    The interval and the p-value are Student's for paired samples, which takes the
    differences for normal: five or six leave no better choice. The p-values are
    Holm-corrected together.

    Args:
      by_choice: test accuracies by choice and seed.
    """
    base = by_choice.get(AS_KERAS.name, {})
    entries = [
        _price_entry(choice, by_choice[choice.name], base)
        for choice in CHOICES
        if choice.name in by_choice
    ]
    tested = [entry for entry in entries if entry["p_value"] is not None]
    adjusted = statistics.holm([entry["p_value"] for entry in tested])
    for entry, p_value in zip(tested, adjusted, strict=True):
        entry["p_value"] = p_value
    return entries


def _price_entry(
    choice: Choice, by_seed: Mapping[int, float], base: Mapping[int, float]
) -> dict[str, Any]:
    values = list(by_seed.values())
    gaps = {}
    if choice.name != AS_KERAS.name:
        common = sorted(by_seed.keys() & base.keys())
        gaps = {str(seed): by_seed[seed] - base[seed] for seed in common}
    test = statistics.t_test(list(gaps.values()))
    return {
        "name": choice.name,
        "what": choice.what,
        "accuracy": {str(seed): value for seed, value in by_seed.items()},
        "mean": float(np.mean(values)),
        "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "gaps": gaps or None,
        "difference": float(np.mean(list(gaps.values()))) if gaps else None,
        "interval": list(test.interval) if test else None,
        "p_value": test.p_value if test else None,
    }
