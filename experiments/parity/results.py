"""The numbers of `experiments/parity.py`, as they stand in results.json."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy

from experiments.kit import statistics
from experiments.parity.comparison import Comparison
from experiments.parity.prices import AS_KERAS, Choice
from experiments.parity.task import Side

EQUAL = 1e-8  # relative difference below which two programs in float64 are one


@dataclass
class Watched:
    """A comparison with what was found so far."""

    comparison: Comparison
    steps: list[int] = field(default_factory=list)
    apart: list[float] = field(default_factory=list)  # relative, after these steps

    def result(self) -> dict[str, Any]:
        """Its entry in results.json."""
        pair = self.comparison
        done = bool(self.steps) and self.steps[-1] == pair.num_steps
        return {
            "name": pair.name,
            "cause": pair.cause,
            "one": _entry(pair.one),
            "other": _entry(pair.other),
            "steps": self.steps,
            "apart": self.apart,
            "identical": not any(self.apart) if done else None,
            "equal": max(self.apart) < EQUAL if done else None,
        }


def _entry(side: Side) -> dict[str, Any]:
    """As JSON has it, which knows no tuples."""
    return {**side._asdict(), "betas": list(side.betas)}


@dataclass
class Priced:
    """A choice with the networks that were trained to their last epoch."""

    choice: Choice
    accuracy: dict[int, float] = field(default_factory=dict)  # test set, by seed


@dataclass
class ParityRun:
    """One run of the experiment as it grows."""

    watched: list[Watched]
    priced: list[Priced]
    missing: list[str]  # programs that are not installed
    seed: int
    parity_seconds: float | None = None
    price_seconds: float | None = None

    def results(self) -> dict[str, Any]:
        """What results.json holds besides its head."""
        return {
            "seed": self.seed,
            "missing": self.missing,
            "comparisons": [watched.result() for watched in self.watched],
            "prices": prices(self.priced),
            "parity_seconds": self.parity_seconds,
            "price_seconds": self.price_seconds,
        }


def prices(priced: Sequence[Priced]) -> list[dict[str, Any]]:
    """Each choice's accuracy, and its difference from `AS_KERAS`, seed by seed.

    The interval and the p-value are Student's for paired samples, which takes the
    differences for normal: five or six leave no better choice. The p-values are
    Holm-corrected together.
    """
    base = next((p.accuracy for p in priced if p.choice.name == AS_KERAS.name), {})
    entries = [_price(one, base) for one in priced if one.accuracy]
    tested = [entry for entry in entries if entry["p_value"] is not None]
    adjusted = statistics.holm([entry["p_value"] for entry in tested])
    for entry, p_value in zip(tested, adjusted, strict=True):
        entry["p_value"] = p_value
    return entries


def _price(priced: Priced, base: Mapping[int, float]) -> dict[str, Any]:
    values = list(priced.accuracy.values())
    entry: dict[str, Any] = {
        "name": priced.choice.name,
        "what": priced.choice.what,
        "accuracy": {str(seed): value for seed, value in priced.accuracy.items()},
        "mean": float(np.mean(values)),
        "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "gaps": None,
        "difference": None,
        "interval": None,
        "p_value": None,
    }
    common = sorted(priced.accuracy.keys() & base.keys())
    if priced.choice.name == AS_KERAS.name or not common:
        return entry
    gaps = [priced.accuracy[seed] - base[seed] for seed in common]
    entry["gaps"] = dict(zip(map(str, common), gaps, strict=True))
    entry["difference"] = float(np.mean(gaps))
    if len(gaps) > 1 and np.ptp(gaps) > statistics.ROUNDING:
        test = scipy.stats.ttest_1samp(gaps, 0.0)
        interval = test.confidence_interval(statistics.CONFIDENCE)
        entry["interval"] = [float(interval.low), float(interval.high)]
        entry["p_value"] = float(test.pvalue)
    return entry
