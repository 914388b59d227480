"""The numbers: per seed, per model, between models. Pure functions of the rows."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.kit import statistics
from experiments.kit.run import Row
from experiments.seeds.measure import Plan
from jaxnets.models import MODELS

NUMBERS = {  # of a network, and their names in tables
    "last": "last epoch",
    "chosen": "chosen on validation",
    "best": "best on test (optimism)",
    "optimism": "best minus chosen",
    "stopping": "chosen minus last",
    "second": "last epoch, second test set",
}
DIFFERENCES = ("optimism", "stopping")  # of two of a network's numbers
ENOUGH_MOVED = 0.5  # share of differences other than 0 that the mean's interval needs
RANKED = ("last", "chosen", "best", "second")  # each a family of comparisons
WAYS = ("at once", "processes of one thread", "one at a time")  # to train several
TEST_IMAGES = 10_000  # of MNIST; the write-up's, too
TWO_SIDED_95 = 1.959963984540054  # standard deviations of a normal distribution
MIRROR = {"keras_dense": "flax_dense"}  # what stands in where a model has no spread

Scores = dict[int, float]  # a test accuracy by seed
Networks = dict[str, dict[int, list[Row]]]  # rows by model and seed


def finished_networks(plans: Mapping[str, Plan], rows: Sequence[Row]) -> Networks:
    """Networks that have had all of their epochs; models without any are left out."""
    networks: Networks = {}
    for row in rows:
        networks.setdefault(row["model"], {}).setdefault(row["seed"], []).append(row)
    for name, by_seed in networks.items():
        last = plans[name].recipe.num_epochs
        networks[name] = {
            seed: run for seed, run in by_seed.items() if len(run) == last
        }
    return {name: by_seed for name, by_seed in networks.items() if by_seed}


def results(
    plans: dict[str, Plan], rows: Sequence[Row], clocks: dict[str, Row], dataset: str
) -> dict[str, Any]:
    """The content of results.json beside its head."""
    networks = finished_networks(plans, rows)
    by_model = {name: scores(by_seed) for name, by_seed in networks.items()}
    ranked: dict[str, dict[str, Scores]] = {}  # by number, model and seed
    for name, number in itertools.product(networks, RANKED):
        if number in by_model[name]:
            ranked.setdefault(number, {})[name] = by_model[name][number]
    pairs = {
        number: statistics.compare_pairs({n: s.values() for n, s in samples.items()})
        for number, samples in ranked.items()
    }
    speeds = {name: throughput(plans[name], rows, clocks[name]) for name in plans}
    has_claims = bool(networks) and dataset == "mnist"  # the write-up's are of no other
    models = {}
    for name, numbers in by_model.items():
        last = numbers["last"]
        is_stuck = statistics.far_out(list(last.values())).tolist()
        models[name] = {
            "layer_sizes": list(plans[name].recipe.layer_sizes),
            "epochs": plans[name].recipe.num_epochs,
            "seeds": list(last),
            "at_once": max(row["group_size"] for row in rows if row["model"] == name),
            "wall_seconds": clocks[name]["wall_seconds"],
            **{
                number: (change if number in DIFFERENCES else summary)(numbers[number])
                for number in NUMBERS
                if number in numbers
            },
            "far_out": {
                str(seed): last[seed]
                for seed, stuck in zip(last, is_stuck, strict=True)
                if stuck
            },
            "far_out_share_95": [*statistics.wilson_interval(sum(is_stuck), len(last))],
            "reported_accuracy": MODELS[name].reported if has_claims else None,
        }
    # The other difference is never below 0, so that its sign says nothing.
    tested = [entry["stopping"] for entry in models.values() if "stopping" in entry]
    signs = [statistics.sign_test_p_value(e["gain"], e["lose"]) for e in tested]
    for entry, p_value in zip(tested, statistics.holm(signs), strict=True):
        entry["sign_p_value"] = p_value
    return {
        "models": models,
        "pairs": {
            number: [pair.as_row() for pair in compared]
            for number, compared in pairs.items()
        },
        "ranks": {n: statistics.ranks(ranked[n], pairs[n]) for n in ranked},
        "throughput": {name: speed for name, speed in speeds.items() if speed},
        "write_up": write_up(ranked["last"], pairs["last"]) if has_claims else [],
    }


def column(by_seed: Mapping[int, Sequence[Row]], key: str) -> np.ndarray:
    """One value of a model's rows: [seeds, epochs]."""
    return np.array([[row[key] for row in network] for network in by_seed.values()])


def scores(by_seed: Mapping[int, Sequence[Row]]) -> dict[str, Scores]:
    """A model's `NUMBERS` and chosen epochs; without validation nothing is chosen."""
    tested = column(by_seed, "test_correct") / column(by_seed, "test_seen")
    values = {"last": tested[:, -1], "best": tested.max(axis=1)}
    if column(by_seed, "validation_seen").any():
        index = column(by_seed, "validation_correct").argmax(axis=1)  # the first best
        chosen = tested[np.arange(len(tested)), index]
        optimism = values["best"] - chosen
        values |= {"chosen_epoch": index + 1, "chosen": chosen, "optimism": optimism}
        values["stopping"] = chosen - values["last"]
    last = [network[-1] for network in by_seed.values()]
    if all("second_seen" in row for row in last):
        shares = [row["second_correct"] / row["second_seen"] for row in last]
        values["second"] = np.array(shares)
    return {
        number: dict(zip(by_seed, sample.tolist(), strict=True))
        for number, sample in values.items()
    }


def summary(sample: Scores) -> dict[str, Any]:
    """Moments and quantiles over seeds; `sd` is None for one seed.

    The interval is that of the median, which seeds that got stuck do not move.
    """
    values = np.array(list(sample.values()))
    return {
        "seeds": len(values),
        "mean": float(np.mean(values)),
        "sd": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        "median": float(np.median(values)),
        "median_interval_95": statistics.median_interval(values),
        "min": float(np.min(values)),
        "max": float(np.max(values)),
    }


def change(differences: Scores) -> dict[str, Any]:
    """A summary with the mean's interval, and how many seeds gain and lose.

    For most seeds little or nothing changes, so that a median would hide the others.
    Where more than half are 0, Student's interval of the mean does not hold: None.
    The share that gains has Wilson's.
    """
    values = np.array(list(differences.values()))
    gain = int((values > statistics.ROUNDING).sum())
    lose = int((values < -statistics.ROUNDING).sum())
    has_moved = gain + lose >= ENOUGH_MOVED * len(values)
    spread = statistics.paired(values) if has_moved else None
    return {
        **summary(differences),
        "mean_interval_95": spread and spread.interval,
        "gain": gain,
        "lose": lose,
        "gain_share_95": [*statistics.wilson_interval(gain, len(values))],
    }


def throughput(
    plan: Plan, rows: Sequence[Row], clock: Row
) -> dict[str, dict[str, Any]]:
    """Of each of `WAYS` networks per minute; empty where nothing was timed.

    From the seconds of a network's epoch: a part of those of an epoch in which several
    trained side by side. All ways have the same evaluations, and none compiles. The
    range holds the middle half of the epochs.
    """
    of_model = (row for row in rows if row["model"] == plan.model.name)
    groups = {(row["group"], row["epoch"]): row for row in of_model}.values()
    num_processes = clock.get("processes", 0)
    seconds = {
        "at once": [
            (row["group_seconds"] + row["group_evaluation_seconds"]) / row["group_size"]
            for row in groups
        ],
        "processes of one thread": [
            epoch / num_processes for epoch in clock.get("process_seconds", ())
        ],
        "one at a time": clock["alone_seconds"],
    }
    if not groups or not clock["alone_seconds"]:
        return {}
    sizes = max(row["group_size"] for row in groups), num_processes, 1
    speeds = {}
    for way, at_once in zip(WAYS, sizes, strict=True):
        if seconds[way]:
            quartiles = np.quantile(seconds[way], (0.75, 0.5, 0.25))
            low, middle, high = (60 / plan.recipe.num_epochs / quartiles).tolist()
            speeds[way] = {
                "networks": at_once,
                "per_minute": middle,
                "range": [low, high],
                "epochs_timed": len(seconds[way]),
            }
    return speeds


def write_up(
    by_model: Mapping[str, Scores], pairs: Sequence[statistics.Pair]
) -> list[dict[str, Any]]:
    """Each pair of the write-up's accuracies against what one run each can tell.

    Two single runs differ, around the difference of their means, by a standard
    deviation of sqrt(sd_a^2 + sd_b^2). Where the reported gap is within 1.96 of
    them, another pair of seeds may well turn it round.
    """
    samples = {name: list(sample.values()) for name, sample in by_model.items()}
    spread = {name: np.std(s, ddof=1) for name, s in samples.items() if len(s) > 1}
    reported = {
        name: model.reported for name, model in MODELS.items() if model.reported
    }
    trained = {
        name: name if name in spread else MIRROR.get(name, "") for name in reported
    }
    names = [name for name in reported if trained[name] in spread]
    names.sort(key=lambda name: -reported[name])
    claims = []
    for ahead, behind in itertools.combinations(names, 2):
        here = [trained[ahead], trained[behind]]
        (pair,) = (pair for pair in pairs if {pair.first, pair.second} == set(here))
        accuracy = [reported[ahead], reported[behind]]
        counts = [round(share * TEST_IMAGES) for share in accuracy]
        gap = accuracy[0] - accuracy[1]
        of_two_runs = TWO_SIDED_95 * math.hypot(*(spread[name] for name in here))
        claim = {
            "ahead": ahead,
            "behind": behind,
            "reported": accuracy,
            "reported_intervals_95": [
                list(statistics.wilson_interval(count, TEST_IMAGES)) for count in counts
            ],
            "gap": gap,
            "trained_here": here,
            "gap_here": pair.difference * (1 if pair.first == here[0] else -1),
            "spread_of_two_runs_95": of_two_runs,
            "runs_that_agree": statistics.win_share(*(samples[name] for name in here)),
            "p_value": pair.p_value,
            "verdict_here": pair.verdict,
            "beyond_one_run_each": gap > of_two_runs,
        }
        claims.append(claim)
    return claims
