"""The figures of a set of trials, for results.json."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from experiments.bugs.pixels import PixelEpoch
from experiments.bugs.trials import Signature, Trials, signature
from experiments.bugs.zoo import HEALTHY
from experiments.kit import statistics
from experiments.kit.numbers import finite, finites
from jaxnets.data import Dataset
from jaxnets.diagnose import Finding, diagnose
from jaxnets.models import REPORTED_ACCURACY
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
        """Whether what is said first of each seed is its mistake, or is true.

        Of a healthy seed nothing is to be said, unless it has a digit that it in fact
        never answers, or its loss is not finite.
        """
        sign = self.trials.program.sign
        if sign is not None:
            return [bool(found) and found[0].kind == sign for found in self.findings]
        return [
            not found or _is_true(found, each)
            for found, each in zip(self.findings, self.signatures, strict=True)
        ]

    def flagged(self) -> list[dict[str, Any]]:
        """The seeds of which something is said, with what it is and their accuracy."""
        seeds = zip(
            self.trials.seeds,
            self.trials.final,
            self.findings,
            self.diagnosed(),
            strict=True,
        )
        return [
            {
                "seed": seed,
                "test_accuracy": float(accuracy),
                "said": [each.text for each in found],
                "is_true": is_true,
            }
            for seed, accuracy, found, is_true in seeds
            if found
        ]


def _is_true(found: Sequence[Finding], signature: Signature) -> bool:
    """Whether a network without a mistake shows what is said of it."""
    if finite(signature.train_loss) is None:
        return found[0].kind == "diverging"
    is_missing = 0 in signature.answers
    return is_missing and all(each.kind == "never_answered" for each in found)


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


def against(values: np.ndarray, reported: float | None) -> dict[str, Any]:
    """How the values, whatever their shape, lie to what was reported, if it was."""
    found = {
        "lowest": float(np.min(values)),
        "highest": float(np.max(values)),
        "of": int(np.size(values)),
    }
    if reported is None:
        return {**found, "can_give_it": None, "near_share": None, "exactly": None}
    apart = np.abs(values - reported)
    return {
        **found,
        "can_give_it": found["lowest"] <= reported <= found["highest"],
        "near_share": float(np.mean(apart <= NEAR)),
        "exactly": int(np.sum(apart < ROUNDED)),
    }


def reported_on(dataset: str) -> tuple[float | None, float | None]:
    """What the write-up has of Models 1 and 3; it is of MNIST alone."""
    return (REPORTED, REPORTED_PIXELS) if dataset == "mnist" else (None, None)


def results(
    examined: Sequence[Examined],
    untrained: np.ndarray | None,
    pixel_trials: Sequence[PixelTrials],
    dataset: Dataset,
) -> dict[str, Any]:
    """The content of results.json below the head."""
    reported, reported_pixels = reported_on(dataset.name)
    programs = {
        each.trials.program.name: program_result(each, reported) for each in examined
    }
    pixels: dict[str, dict[str, Any]] = {}
    for trials in pixel_trials:
        pixels.setdefault(trials.model, {})[trials.pixels] = pixel_result(
            trials, reported_pixels
        )
    start = None
    if untrained is not None:
        start = against(untrained / len(dataset.test.label), reported)
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
        "reported_accuracy": reported,
        "can_give_it": able,
        "class_shares": class_shares(dataset),
        "programs": programs,
        "untrained": start,
        "reported_accuracy_model_3": reported_pixels,
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


def program_result(examined: Examined, reported: float | None) -> dict[str, Any]:
    """A program's entry in `results.json`."""
    trials, signatures = examined.trials, examined.signatures
    losses = [each.train_loss for each in signatures]
    return {
        "mistake": trials.program.mistake,
        "seeds": list(trials.seeds),
        "epochs": len(trials.train_loss),
        **spread(trials.final),
        "reported_at_the_end": against(trials.final, reported),
        "reported_after_any_epoch": against(np.array(trials.accuracy), reported),
        "flat_hidden": _mean([each.flat_hidden for each in signatures]),
        "flat_hidden_by_seed": finites([each.flat_hidden for each in signatures]),
        "error_slope": _mean([each.error_slope for each in signatures]),
        "error_slope_by_seed": finites([each.error_slope for each in signatures]),
        "parameter_change": _mean([each.change for each in signatures]),
        "train_loss": None if None in losses else _mean(losses),
        "answers_by_seed": [list(each.answers) for each in signatures],
        "expected_finding": trials.program.sign,
        "diagnosed": sum(examined.diagnosed()),
        "flagged": examined.flagged(),
        "diagnosis": tally(examined.findings),
        "diagnosis_by_seed": [
            [each._asdict() for each in found] for found in examined.findings
        ],
    }


def pixel_result(trials: PixelTrials, reported: float | None) -> dict[str, Any]:
    """The entry of Model 3 with one kind of pixels."""
    findings = [diagnose(run) for run in trials.runs]
    return {
        **spread(trials.final),
        "reported_at_the_end": against(trials.final, reported),
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
    return finite(np.mean(np.array(values, float)))
