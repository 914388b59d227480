"""The figures of a set of trials, for results.json."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jaxnets.bugs.pixels import PixelEpoch
from jaxnets.bugs.trials import Signature, Trials, signature
from jaxnets.bugs.zoo import HEALTHY
from jaxnets.data import Dataset
from jaxnets.diagnose import Finding, diagnose
from jaxnets.recipes import REPORTED_ACCURACY
from jaxnets.report import statistics
from jaxnets.signs import Run

REPORTED: float = REPORTED_ACCURACY["sigmoid_mse"] or 0.0  # Model 1's 10.41 %
REPORTED_PIXELS: float = REPORTED_ACCURACY["keras_dense"] or 0.0  # Model 3's 0.972
NEAR = 0.005  # half a point: 991 to 1,091 of 10,000 for Model 1
ROUNDED = 0.00005  # what prints as the reported figure, in per cent with two digits


@dataclass
class Examined:
    """A program's trials with a signature and a diagnosis a seed."""

    trials: Trials
    signatures: list[Signature]
    findings: list[list[Finding]]

    @classmethod
    def of(cls, trials: Trials) -> "Examined":
        runs = trials.runs()
        return cls(trials, [signature(run) for run in runs], list(map(diagnose, runs)))

    def diagnosed(self) -> list[bool]:
        """Whether each seed's first finding is the mistake.

        A healthy run is right with none, or with a digit that it in fact never answers.
        """
        sign = self.trials.program.sign
        if sign is not None:
            return [bool(found) and found[0].kind == sign for found in self.findings]
        return [
            all(each.kind == "never_answered" for each in found)
            for found in self.findings
        ]


@dataclass
class PixelTrials:
    """Model 3 with one kind of pixels, from several seeds, as it grows."""

    model: str
    pixels: str
    epochs: list[PixelEpoch] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    @property
    def final(self) -> np.ndarray:
        """Test accuracies float [S] of the seeds that are done."""
        return np.array([run.accuracy for run in self.runs])

    def by_epoch(self) -> list[list[float]]:
        """Test accuracies after each epoch, of the seeds that had it."""
        numbers = sorted({epoch.number for epoch in self.epochs})
        return [
            [
                float(accuracy)
                for epoch in self.epochs
                if epoch.number == number
                for accuracy in epoch.accuracy
            ]
            for number in numbers
        ]


def spread(values: np.ndarray) -> dict[str, Any]:
    """Mean over seeds, its interval, and the extremes."""
    interval = statistics.bootstrap_interval(values)
    return {
        "test_accuracy": float(np.mean(values)),
        "interval_95": None if interval is None else list(interval),
        "lowest": float(np.min(values)),
        "highest": float(np.max(values)),
        "by_seed": np.asarray(values, float).tolist(),
    }


def against(values: np.ndarray, reported: float) -> dict[str, Any]:
    """How the values, whatever their shape, lie to what was reported."""
    apart = np.abs(values - reported)
    return {
        "lowest": float(np.min(values)),
        "highest": float(np.max(values)),
        "can_give_it": bool(np.min(values) <= reported <= np.max(values)),
        "near_share": float(np.mean(apart <= NEAR)),
        "exactly": int(np.sum(apart < ROUNDED)),
        "of": int(np.size(values)),
    }


def results(
    examined: Sequence[Examined],
    untrained: np.ndarray | None,
    pixel_trials: Sequence[PixelTrials],
    dataset: Dataset,
) -> dict[str, Any]:
    """The content of results.json below the head."""
    programs = {each.trials.program.name: program_result(each) for each in examined}
    pixels: dict[str, dict[str, Any]] = {}
    for trials in pixel_trials:
        pixels.setdefault(trials.model, {})[trials.pixels] = pixel_result(trials)
    start = None
    if untrained is not None:
        start = against(untrained / len(dataset.test.label), REPORTED)
        for each in examined:
            if stays_as_it_starts(each):
                name = each.trials.program.name
                programs[name]["reported_after_any_epoch"] = start
    able = [
        name
        for name, entry in programs.items()
        if entry["reported_after_any_epoch"]["can_give_it"] and name != "healthy"
    ]
    return {
        "reported_accuracy": REPORTED,
        "can_give_it": able,
        "class_shares": class_shares(dataset),
        "programs": programs,
        "untrained": start,
        "reported_accuracy_model_3": REPORTED_PIXELS,
        "model_3": pixels,
    }


def stays_as_it_starts(examined: Examined) -> bool:
    """Whether its networks are untrained ones, of which many more were tested."""
    is_moved = any(each.change > 0 for each in examined.signatures)
    return not is_moved and examined.trials.program.init is HEALTHY.init


def class_shares(dataset: Dataset) -> list[float]:
    """The share of test images of each class: what a collapsed network scores."""
    counts = np.bincount(dataset.test.label)
    return (counts / counts.sum()).tolist()


def program_result(examined: Examined) -> dict[str, Any]:
    """A program's entry in `results.json`."""
    trials, signatures = examined.trials, examined.signatures
    losses = [each.train_loss for each in signatures]
    return {
        "mistake": trials.program.mistake,
        "seeds": list(trials.seeds),
        "epochs": len(trials.train_loss),
        **spread(trials.final),
        "reported_at_the_end": against(trials.final, REPORTED),
        "reported_after_any_epoch": against(np.array(trials.accuracy), REPORTED),
        "flat_hidden": _mean([each.flat_hidden for each in signatures]),
        "flat_hidden_by_seed": [each.flat_hidden for each in signatures],
        "error_slope": _mean([each.error_slope for each in signatures]),
        "error_slope_by_seed": [each.error_slope for each in signatures],
        "parameter_change": _mean([each.change for each in signatures]),
        "train_loss": None if None in losses else _mean(losses),
        "answers_by_seed": [list(each.answers) for each in signatures],
        "expected_finding": trials.program.sign,
        "diagnosed": sum(examined.diagnosed()),
        "diagnosis": tally(examined.findings),
        "diagnosis_by_seed": [
            [each._asdict() for each in found] for found in examined.findings
        ],
    }


def pixel_result(trials: PixelTrials) -> dict[str, Any]:
    """The entry of Model 3 with one kind of pixels."""
    findings = [diagnose(run) for run in trials.runs]
    return {
        **spread(trials.final),
        "reported_at_the_end": against(trials.final, REPORTED_PIXELS),
        "mean_by_epoch": [float(np.mean(scores)) for scores in trials.by_epoch()],
        "train_loss": _mean([run.train_loss[-1] for run in trials.runs]),
        "first_epoch_train_loss": _mean([run.train_loss[0] for run in trials.runs]),
        "diagnosis": tally(findings),
        "diagnosis_by_seed": [[e._asdict() for e in found] for found in findings],
    }


def tally(findings: Sequence[Sequence[Finding]]) -> dict[str, int]:
    """Of how many seeds each first finding is; "nothing" where there is none."""
    firsts = [found[0].kind if found else "nothing" for found in findings]
    return dict(Counter(firsts).most_common())


def _mean(values: Sequence[float | None]) -> float | None:
    mean = float(np.mean(np.array(values, float)))
    return mean if np.isfinite(mean) else None
