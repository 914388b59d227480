"""What `experiments/seeds.py` says of speed, and of the write-up's ranking."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.kit.statistics import compare_pairs, wilson_interval
from experiments.seeds.results import ModelSeeds, Scores, win_share
from jaxnets.models import REPORTED_ACCURACY

TEST_IMAGES = 10_000  # of MNIST; the write-up's, too
TWO_SIDED_95 = 1.959963984540054  # standard deviations of a normal distribution
MIRROR = {"keras_dense": "flax_dense"}  # who speaks for it where it has no spread


def throughput(model: ModelSeeds) -> dict[str, Any] | None:
    """Networks per minute, several at once against one at a time; None if unmeasured.

    From the median seconds of a network's epoch, with the same evaluations on both
    sides and without compilation. One side is called faster where the quartiles of
    its epochs lie beyond the other's.
    """
    if not model.together or not model.alone:
        return None
    low, middle, high = np.quantile(model.together, (0.25, 0.5, 0.75))
    alone_low, alone_middle, alone_high = np.quantile(model.alone, (0.25, 0.5, 0.75))
    verdict = "no clear difference"
    if high < alone_low:
        verdict = "at once is faster"
    elif low > alone_high:
        verdict = "one at a time is faster"
    per_minute = 60 / model.recipe.num_epochs
    return {
        "at_once": model.at_once,
        "networks_per_minute": per_minute / float(middle),
        "networks_per_minute_alone": per_minute / float(alone_middle),
        "ratio": float(alone_middle / middle),
        "epochs_timed": len(model.together),
        "epochs_timed_alone": len(model.alone),
        "verdict": verdict,
    }


def write_up(by_model: Mapping[str, Scores]) -> list[dict[str, Any]]:
    """Each pair of the write-up's accuracies against what one run each can tell.

    Two single runs differ, around the difference of their means, by a standard
    deviation of sqrt(sd_a^2 + sd_b^2). Where the reported gap is within 1.96 of
    them, another pair of seeds may well turn it round.

    Args:
      by_model: test accuracies by seed, after the last epoch.
    """
    reported = {
        name: accuracy for name, accuracy in REPORTED_ACCURACY.items() if accuracy
    }
    has_spread = {name for name, scores in by_model.items() if len(scores) > 1}
    trained = {
        name: name if name in has_spread else MIRROR.get(name, "") for name in reported
    }
    names = [name for name in reported if trained[name] in has_spread]
    names.sort(key=lambda name: -reported[name])
    return [
        _claim(
            (winner, loser),
            (reported[winner], reported[loser]),
            (trained[winner], trained[loser]),
            by_model,
        )
        for place, winner in enumerate(names)
        for loser in names[place + 1 :]
    ]


def _claim(
    names: tuple[str, str],
    reported: tuple[float, float],
    trained: tuple[str, str],
    by_model: Mapping[str, Scores],
) -> dict[str, Any]:
    values = [list(by_model[name].values()) for name in trained]
    spread = TWO_SIDED_95 * math.hypot(*(np.std(sample, ddof=1) for sample in values))
    pairs = compare_pairs(by_model)  # Holm over all, as in the table
    (pair,) = (pair for pair in pairs if {pair.first, pair.second} == set(trained))
    sign = 1 if pair.first == trained[0] else -1
    gap = reported[0] - reported[1]
    correct = [round(accuracy * TEST_IMAGES) for accuracy in reported]
    return {
        "ahead": names[0],
        "behind": names[1],
        "reported": list(reported),
        "reported_intervals_95": [
            list(wilson_interval(right, TEST_IMAGES)) for right in correct
        ],
        "gap": gap,
        "trained_here": list(trained),
        "gap_here": sign * pair.difference,  # over the seeds that both have
        "spread_of_two_runs_95": spread,
        "runs_that_agree": win_share(*values),
        "p_value": pair.p_value,
        "ahead_here": pair.ahead,
        "beyond_one_run_each": gap > spread,
    }


def in_words(claim: Mapping[str, Any]) -> str:
    """A claim's verdict as a paragraph."""
    gap, spread = 100 * claim["gap"], 100 * claim["spread_of_two_runs_95"]
    (high, low), (first, second) = claim["reported"], claim["trained_here"]
    stands_in = "" if first == claim["ahead"] else f"; here {first} stands in for it"
    text = (
        f"The write-up puts {claim['ahead']} ({high:g}{stands_in}) above "
        f"{claim['behind']} ({low:g}): {gap:.2f} points, from one run each. Over the "
        f"seeds here, the difference of two single runs spreads by ±{spread:.2f} "
        f"points (95 %), and {first} wins {claim['runs_that_agree']:.0%} of the pairs "
        "of runs. "
    )
    if claim["beyond_one_run_each"]:
        return f"{text}A gap of that size is not the seeds' doing."
    here = {
        None: "tie",
        first: f"put {first} ahead",
        second: f"put {second} ahead",
    }[claim["ahead_here"]]
    return (
        f"{text}The reported gap is within what another pair of seeds gives, so as a "
        f"ranking it means nothing. The means over seeds {here}: {first} is at "
        f"{claim['gap_here'] * 100:+.2f} points ({p_text(claim['p_value'])})."
    )


def p_text(p_value: float) -> str:
    """A p-value with two digits that count."""
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.2g}"
