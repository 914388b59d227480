"""The numbers of `experiments/seeds.py`: per seed, per model, between models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from experiments.kit import statistics
from experiments.kit.numbers import finite
from jaxnets.ensemble import ManyEpoch
from jaxnets.models import REPORTED_ACCURACY, Recipe

NUMBERS = {  # which of a run's epochs is reported, and how to say it
    "last": "last epoch",
    "chosen": "chosen on validation",
    "best": "best on test (optimism)",
}
FAR_OUT = 3.0  # interquartile ranges below the lower quartile; Tukey (1977)
Scores = dict[int, float]  # a test accuracy by seed


class SeedEpoch(NamedTuple):
    """One network after one epoch, in host numbers."""

    number: int  # 1 for the first
    train_loss: float | None  # mean over the epoch; None where it is not finite
    train_accuracy: float  # while the weights moved
    validation_correct: int
    validation_seen: int  # 0 without a validation set
    test_correct: int
    test_seen: int

    @property
    def test_accuracy(self) -> float:
        """Share of the test images."""
        return self.test_correct / self.test_seen

    def as_json(self) -> dict[str, Any]:
        """Its part of a line of metrics.jsonl."""
        fields = self._asdict()
        return {"epoch": fields.pop("number"), **fields}


@dataclass
class ModelSeeds:
    """One model's networks as they grow."""

    name: str
    recipe: Recipe
    seeds: Sequence[int]  # to be trained
    at_once: int
    epochs: dict[int, list[SeedEpoch]] = field(default_factory=dict)
    together: list[float] = field(default_factory=list)  # seconds per network-epoch
    alone: list[float] = field(default_factory=list)  # likewise, one at a time
    wall_seconds: float = 0.0  # compilation and the networks alone included

    def add(self, seed: int, epoch: SeedEpoch) -> None:
        """Note a finished epoch of one network."""
        self.epochs.setdefault(seed, []).append(epoch)

    @property
    def finished(self) -> dict[int, list[SeedEpoch]]:
        """The epochs of those networks that have had all of theirs."""
        num_epochs = self.recipe.num_epochs
        return {s: run for s, run in self.epochs.items() if len(run) == num_epochs}


def seed_epoch(epoch: ManyEpoch, place: int) -> SeedEpoch:
    """One network of a `ManyEpoch` that was held out validation and test set."""
    validation, test = epoch.held_out
    return SeedEpoch(
        number=epoch.number,
        train_loss=finite(epoch.train.loss[place] / epoch.train.seen[place]),
        train_accuracy=float(epoch.train.correct[place] / epoch.train.seen[place]),
        validation_correct=int(validation.correct[place]),
        validation_seen=int(validation.seen[place]),
        test_correct=int(test.correct[place]),
        test_seen=int(test.seen[place]),
    )


def three_numbers(run: Sequence[SeedEpoch]) -> dict[str, float]:
    """Test accuracies of one network by `NUMBERS`; no "chosen" without validation.

    Where several epochs share the best validation count, the first is chosen.
    """
    tested = [epoch.test_accuracy for epoch in run]
    numbers = {"last": tested[-1], "best": max(tested)}
    if run[0].validation_seen:
        numbers["chosen"] = tested[chosen_epoch(run) - 1]
    return {name: numbers[name] for name in NUMBERS if name in numbers}


def chosen_epoch(run: Sequence[SeedEpoch]) -> int:
    """The number of the first epoch with the best validation count."""
    return int(np.argmax([epoch.validation_correct for epoch in run])) + 1


def scores(model: ModelSeeds) -> dict[str, Scores]:
    """The finished networks' test accuracies: by `NUMBERS`, then by seed."""
    found: dict[str, Scores] = {}
    for seed, run in sorted(model.finished.items()):
        for number, accuracy in three_numbers(run).items():
            found.setdefault(number, {})[seed] = accuracy
    return found


def summary(values: ArrayLike) -> dict[str, Any]:
    """What a sample over seeds says; `sd` is None for one seed."""
    values = np.asarray(values)
    interval = statistics.bootstrap_interval(values)
    return {
        "seeds": len(values),
        "mean": float(np.mean(values)),
        "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "interval_95": None if interval is None else list(interval),
        "median": float(np.median(values)),
        "min": float(np.min(values)),
        "max": float(np.max(values)),
    }


def far_out(by_seed: Scores) -> Scores:
    """Seeds far below the others (Tukey, 1977): those that got stuck."""
    low, high = np.quantile(list(by_seed.values()), (0.25, 0.75))
    # The smallest range that counts is one of rounding, where quartiles are equal.
    border = low - FAR_OUT * (high - low) - statistics.ROUNDING
    return {seed: value for seed, value in by_seed.items() if value < border}


def win_share(values_a: Sequence[float], values_b: Sequence[float]) -> float:
    """How often a run of a beats a run of b, over all pairs; equal counts half.

    Mann and Whitney's (1947) U over its largest value; Bouthillier et al. (2021)
    call it the probability of outperforming.
    """
    gaps = np.subtract.outer(np.asarray(values_a), np.asarray(values_b))
    gaps = np.where(np.abs(gaps) <= statistics.ROUNDING, 0, gaps)
    return float(np.mean((np.sign(gaps) + 1) / 2))


def model_result(model: ModelSeeds, dataset: str) -> dict[str, Any]:
    """A model's entry in results.json; there is a finished network."""
    found = scores(model)
    lists = {number: list(by_seed.values()) for number, by_seed in found.items()}
    reported = REPORTED_ACCURACY[model.name] if dataset == "mnist" else None
    result = {
        "layer_sizes": list(model.recipe.layer_sizes),
        "epochs": model.recipe.num_epochs,
        "seeds": list(found["last"]),
        "at_once": model.at_once,
        "wall_seconds": model.wall_seconds,
        **{number: summary(values) for number, values in lists.items()},
        "far_out": {str(seed): value for seed, value in far_out(found["last"]).items()},
        "reported_accuracy": reported,
    }
    if "chosen" in lists:
        gains = np.subtract(lists["best"], lists["chosen"])
        result["optimism"] = summary(gains)
    return result


def scores_by_model(models: Sequence[ModelSeeds], number: str) -> dict[str, Scores]:
    """One of `NUMBERS` of every model that has a finished network."""
    found = {model.name: scores(model).get(number) for model in models}
    return {name: by_seed for name, by_seed in found.items() if by_seed}


def pair_results(
    by_model: Mapping[str, Scores], pairs: Sequence[statistics.Pair]
) -> list[dict[str, Any]]:
    """The pairs for results.json."""
    return [
        {
            **pair._asdict(),
            "interval": None if pair.interval is None else list(pair.interval),
            "ahead": pair.ahead,
            "wins": win_share(
                list(by_model[pair.first].values()),
                list(by_model[pair.second].values()),
            ),
        }
        for pair in pairs
    ]


def results(models: Sequence[ModelSeeds], dataset: str) -> dict[str, Any]:
    """All of it, for results.json; models without a finished network are left out."""
    done = [model for model in models if model.finished]
    content: dict[str, Any] = {
        "models": {model.name: model_result(model, dataset) for model in done},
        "pairs": {},
        "ranks": {},
    }
    for number in NUMBERS:
        if by_model := scores_by_model(done, number):
            pairs = statistics.compare_pairs(by_model)
            ranks = statistics.ranks(by_model, pairs)
            content["pairs"][number] = pair_results(by_model, pairs)
            content["ranks"][number] = {
                name: list(rank) for name, rank in ranks.items()
            }
    return content
