"""The numbers: per seed, per model, between models. Pure functions of the rows."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from experiments.kit.statistics import (
    ROUNDING,
    Pair,
    bootstrap_interval,
    compare_pairs,
    ranks,
    wilson_interval,
)
from experiments.seeds.measure import Clock, Plan, SeedEpoch
from jaxnets.models import MODELS

NUMBERS = {  # which of a network's epochs is reported, and its name in tables
    "last": "last epoch",
    "chosen": "chosen on validation",
    "best": "best on test (optimism)",
}
FAR_OUT = 3.0  # interquartile ranges below the lower quartile; Tukey (1977)
TEST_IMAGES = 10_000  # of MNIST; the write-up's, too
TWO_SIDED_95 = 1.959963984540054  # standard deviations of a normal distribution
MIRROR = {"keras_dense": "flax_dense"}  # what stands in where a model has no spread

CSV_HEADER = ("model", "seed", "last", "chosen_epoch", "chosen", "best", "dataset")

Scores = dict[int, float]  # a test accuracy by seed
Networks = dict[str, dict[int, list[SeedEpoch]]]  # rows by model and seed


def finished_networks(plans: Mapping[str, Plan], rows: Iterable[SeedEpoch]) -> Networks:
    """Networks that have had all of their epochs; models without any are left out."""
    networks: Networks = {name: {} for name in plans}
    for row in rows:
        networks[row.model].setdefault(row.seed, []).append(row)
    for name, by_seed in networks.items():
        num_epochs = plans[name].recipe.num_epochs
        whole = {s: run for s, run in by_seed.items() if len(run) == num_epochs}
        networks[name] = dict(sorted(whole.items()))
    return {name: by_seed for name, by_seed in networks.items() if by_seed}


def results(
    plans: Mapping[str, Plan],
    rows: Sequence[SeedEpoch],
    clocks: Mapping[str, Clock],
    dataset: str,
) -> dict[str, Any]:
    """The content of results.json beside its head."""
    networks = finished_networks(plans, rows)
    by_number: dict[str, dict[str, Scores]] = {number: {} for number in NUMBERS}
    for name, by_seed in networks.items():
        for number, sample in scores(by_seed).items():
            by_number[number][name] = sample
    pairs = {number: compare_pairs(by_number[number]) for number in NUMBERS}
    speeds = {name: throughput(name, plans[name], rows, clocks[name]) for name in plans}
    is_mnist = dataset == "mnist"  # the write-up's accuracies are of no other
    return {
        "models": {
            name: {
                "layer_sizes": list(plans[name].recipe.layer_sizes),
                "epochs": plans[name].recipe.num_epochs,
                "seeds": list(by_seed),
                "at_once": max(row.group_size for row in rows if row.model == name),
                "wall_seconds": clocks[name].wall_seconds,
                **accuracies(by_seed),
                "reported_accuracy": MODELS[name].reported if is_mnist else None,
            }
            for name, by_seed in networks.items()
        },
        "pairs": {
            number: [_pair_entry(pair, by_number[number]) for pair in pairs[number]]
            for number in NUMBERS
            if by_number[number]
        },
        "ranks": {
            number: {name: list(r) for name, r in ranks(sample, pairs[number]).items()}
            for number, sample in by_number.items()
            if sample
        },
        "throughput": {name: speed for name, speed in speeds.items() if speed},
        "write_up": write_up(by_number["last"], pairs["last"]) if is_mnist else [],
    }


def three_numbers(network: Sequence[SeedEpoch]) -> dict[str, float]:
    """Test accuracies of one network by `NUMBERS`; no "chosen" without validation."""
    tested = [row.test_accuracy for row in network]
    if not network[0].validation_seen:
        return {"last": tested[-1], "best": max(tested)}
    chosen = tested[chosen_epoch(network) - 1]
    return {"last": tested[-1], "chosen": chosen, "best": max(tested)}


def chosen_epoch(network: Sequence[SeedEpoch]) -> int:
    """The number of the first epoch with the best validation count."""
    return int(np.argmax([row.validation_correct for row in network])) + 1


def scores(by_seed: Mapping[int, Sequence[SeedEpoch]]) -> dict[str, Scores]:
    """A model's test accuracies: by `NUMBERS`, then by seed."""
    numbers = {seed: three_numbers(network) for seed, network in by_seed.items()}
    return {
        number: {seed: three[number] for seed, three in numbers.items()}
        for number in next(iter(numbers.values()))
    }


def summary(values: ArrayLike) -> dict[str, Any]:
    """Moments and quantiles of a sample over seeds; `sd` is None for one seed."""
    values = np.asarray(values)
    interval = bootstrap_interval(values)
    return {
        "seeds": len(values),
        "mean": float(np.mean(values)),
        "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "interval_95": None if interval is None else list(interval),
        "median": float(np.median(values)),
        "min": float(np.min(values)),
        "max": float(np.max(values)),
    }


def accuracies(by_seed: Mapping[int, Sequence[SeedEpoch]]) -> dict[str, Any]:
    """The summaries of a model's networks, of which there is at least one."""
    by_number = scores(by_seed)
    samples = {number: list(sample.values()) for number, sample in by_number.items()}
    if "chosen" in samples:
        samples["optimism"] = np.subtract(samples["best"], samples["chosen"]).tolist()
    stuck = far_out(by_number["last"])
    return {
        **{number: summary(sample) for number, sample in samples.items()},
        "far_out": {str(seed): accuracy for seed, accuracy in stuck.items()},
    }


def far_out(sample: Scores) -> Scores:
    """Seeds far below the others (Tukey, 1977): those that got stuck."""
    low, high = np.quantile(list(sample.values()), (0.25, 0.75))
    # The smallest range that counts is one of rounding, where quartiles are equal.
    border = low - FAR_OUT * (high - low) - ROUNDING
    return {seed: value for seed, value in sample.items() if value < border}


def win_share(sample_a: Scores, sample_b: Scores) -> float:
    """How often a network of a beats one of b, over all pairs; equal counts half.

    Mann and Whitney's (1947) U over its largest value; Bouthillier et al. (2021)
    call it the probability of outperforming.
    """
    gaps = np.subtract.outer(list(sample_a.values()), list(sample_b.values()))
    gaps = np.where(np.abs(gaps) <= ROUNDING, 0, gaps)
    return float(np.mean((np.sign(gaps) + 1) / 2))


def _pair_entry(pair: Pair, by_model: Mapping[str, Scores]) -> dict[str, Any]:
    return {
        **pair._asdict(),
        "interval": None if pair.interval is None else list(pair.interval),
        "ahead": pair.ahead,
        "wins": win_share(by_model[pair.first], by_model[pair.second]),
    }


def throughput(
    name: str, plan: Plan, rows: Iterable[SeedEpoch], clock: Clock
) -> dict[str, Any] | None:
    """Networks per minute, several at once against one at a time; None if unmeasured.

    From the median seconds of a network's epoch, with the same evaluations on both
    sides and without compilation. One side is called faster where the quartiles of
    its epochs lie beyond the other's.
    """
    groups = {(row.group, row.epoch): row for row in rows if row.model == name}
    together = [
        (row.group_seconds + row.group_evaluation_seconds) / row.group_size
        for row in groups.values()
    ]
    if not together or not clock.alone_seconds:
        return None
    low, middle, high = np.quantile(together, (0.25, 0.5, 0.75)).tolist()
    alone = np.quantile(clock.alone_seconds, (0.25, 0.5, 0.75)).tolist()
    verdict = "no clear difference"
    if high < alone[0]:
        verdict = "at once is faster"
    elif low > alone[2]:
        verdict = "one at a time is faster"
    return {
        "at_once": max(row.group_size for row in groups.values()),
        "networks_per_minute": 60 / plan.recipe.num_epochs / middle,
        "networks_per_minute_alone": 60 / plan.recipe.num_epochs / alone[1],
        "ratio": alone[1] / middle,
        "epochs_timed": len(together),
        "epochs_timed_alone": len(clock.alone_seconds),
        "verdict": verdict,
    }


def write_up(
    by_model: Mapping[str, Scores], pairs: Sequence[Pair]
) -> list[dict[str, Any]]:
    """Each pair of the write-up's accuracies against what one run each can tell.

    Two single runs differ, around the difference of their means, by a standard
    deviation of sqrt(sd_a^2 + sd_b^2). Where the reported gap is within 1.96 of
    them, another pair of seeds may well turn it round.

    Args:
      by_model: test accuracies by seed, after the last epoch.
      pairs: `compare_pairs` of them.
    """
    has_spread = {name for name, sample in by_model.items() if len(sample) > 1}
    reported = {
        name: model.reported for name, model in MODELS.items() if model.reported
    }
    trained = {
        name: name if name in has_spread else MIRROR.get(name, "") for name in reported
    }
    names = [name for name in reported if trained[name] in has_spread]
    names.sort(key=lambda name: -reported[name])
    claims = []
    for ahead, behind in itertools.combinations(names, 2):
        here = [trained[ahead], trained[behind]]
        (pair,) = (pair for pair in pairs if {pair.first, pair.second} == set(here))
        accuracy = [reported[ahead], reported[behind]]
        samples = [by_model[name] for name in here]
        deviations = [np.std(list(sample.values()), ddof=1) for sample in samples]
        spread = TWO_SIDED_95 * math.hypot(*deviations)
        claim = {
            "ahead": ahead,
            "behind": behind,
            "reported": accuracy,
            "reported_intervals_95": [
                list(wilson_interval(round(share * TEST_IMAGES), TEST_IMAGES))
                for share in accuracy
            ],
            "gap": accuracy[0] - accuracy[1],
            "trained_here": here,
            # Over the seeds that both have.
            "gap_here": pair.difference * (1 if pair.first == here[0] else -1),
            "spread_of_two_runs_95": spread,
            "runs_that_agree": win_share(*samples),
            "p_value": pair.p_value,
            "ahead_here": pair.ahead,
            "beyond_one_run_each": accuracy[0] - accuracy[1] > spread,
        }
        claims.append(claim)
    return claims


def csv_rows(networks: Networks) -> Iterator[tuple[object, ...]]:
    """A row of `seeds.csv` per network; without validation nothing is chosen."""
    for name, by_seed in networks.items():
        for seed, network in by_seed.items():
            numbers = three_numbers(network)
            chosen = numbers.get("chosen")
            number = None if chosen is None else chosen_epoch(network)
            cells = (numbers["last"], number, chosen, numbers["best"])
            yield (name, seed, *cells, network[0].dataset)
