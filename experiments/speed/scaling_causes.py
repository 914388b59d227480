"""Why the scaling's contenders take what they take: the floor, and what is added."""

import math
from typing import Any

from experiments.speed import benchmark_floor as floor
from experiments.speed.scaling_points import (
    FACTORS,
    KERAS,
    LABELS,
    OURS,
    Point,
    members,
    ratio,
    sweep,
    where,
)

CONSTANTS = {  # what a step takes however small the factor is
    "width": ("narrow the network", "dispatch and the handling of images"),
    "batch_size": ("few its images", "dispatch and Adam's update of all weights"),
}


def causes(results: dict[str, Any]) -> list[str]:
    """What a step costs above the floor, and how much of it does not grow."""
    return [
        *(
            line
            for factor in CONSTANTS
            for line in (*_above(results, factor), *_constants(results, factor))
        ),
        *(
            line
            for point in results["points"]
            for line in floor.below(where(point), point["contenders"].values())
        ),
    ]


def _floor(point: Point) -> float:
    """Seconds of a step."""
    return point["floor"]["seconds"] / point["steps"]


def _above(results: dict[str, Any], factor: str) -> list[str]:
    """What a step takes above the floor of arithmetic and memory, at a sweep's ends."""
    points = sweep(results, factor)
    if len(points) < 2:
        return []
    sentences = []
    for point in (points[0], points[-1]):
        added = [
            f"{LABELS[name]} {_added(entry['step_seconds'] - _floor(point))}"
            for name, entry in members(point).items()
        ]
        sentences.append(
            f"At {FACTORS[factor]} {point[factor]:,} the machine's floor of a step is "
            f"{1000 * _floor(point):.2f} ms. What is added to it: {', '.join(added)}."
        )
    return sentences


def _added(seconds: float) -> str:
    return f"{1000 * seconds:.2f} ms" if seconds >= 0 else "nothing"


def constant_part(low: Point, high: Point, factor: str, name: str) -> float | None:
    """Seconds of a step that do not grow with a factor: the line through two, at 0.

    Between 0 and the smaller point's step; None where one of them is not measured.
    Larger points would hide it: there caches overflow, and products get efficient.
    """
    if name not in members(low) or name not in members(high):
        return None
    first, second = (members(point)[name]["step_seconds"] for point in (low, high))
    slope = max(0.0, second - first) / (high[factor] - low[factor])
    return max(0.0, first - low[factor] * slope)


def _constants(results: dict[str, Any], factor: str) -> list[str]:
    """The contenders' constant parts, and whether they explain a gap that narrows."""
    points = sweep(results, factor)
    if len(points) < 2:
        return []
    low, high = points[:2]
    found = {name: constant_part(low, high, factor, name) for name in LABELS}
    parts = {name: seconds for name, seconds in found.items() if seconds is not None}
    if not parts:
        return []
    listed = ", ".join(f"{LABELS[n]} {1000 * s:.2f} ms" for n, s in parts.items())
    small, what = CONSTANTS[factor]
    return [
        f"However {small}, a step needs time for {what}: {listed} (the line through "
        f"the steps at {FACTORS[factor]} {low[factor]:,} and {high[factor]:,})."
        + _narrowing(points, factor, parts)
    ]


def _narrowing(points: list[Point], factor: str, parts: dict[str, float]) -> str:
    """Where tf.keras's constant part is the larger and counts for less at the end."""
    first, last = points[0], points[-1]
    at_first, at_last = ratio(first, KERAS), ratio(last, KERAS)
    if at_first is None or at_last is None or not at_first > at_last > 1:
        return ""
    if not parts.get(KERAS, 0.0) > parts.get(OURS, math.inf):
        return ""
    shares = [parts[KERAS] / members(p)[KERAS]["step_seconds"] for p in (first, last)]
    if shares[1] >= shares[0]:
        return ""
    return (
        f" Of tf.keras's step that is {shares[0]:.0%} at {first[factor]:,} and "
        f"{shares[1]:.0%} at {last[factor]:,}: so its distance shrinks."
    )
