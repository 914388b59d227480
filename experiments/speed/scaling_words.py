"""What the scaling's numbers say, in sentences computed from them."""

import math
from statistics import median
from typing import Any

from experiments.speed.scaling_causes import causes
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


def conclusion(results: dict[str, Any]) -> list[str]:
    """Who wins where, by how much and why; losses of the from-scratch network too."""
    return [
        *_claim(results),
        *(
            sentence
            for factor in results["sweeps"]
            for name in (KERAS, "keras_on_jax", "numpy")
            for sentence in _trend(results, factor, name)
        ),
        *_mirror(results),
        *_losses(results),
        *causes(results),
        *_memory(results),
    ]


def _claim(results: dict[str, Any]) -> list[str]:
    """The write-up's sentence, tested on all points."""
    ratios = [(p, found) for p in results["points"] if (found := ratio(p, KERAS))]
    if not ratios:
        return []
    faster = [where(point) for point, found in ratios if found < 1]
    values = [found for _, found in ratios]
    places = f" ({'; '.join(faster)})" if faster else ""
    return [
        f"tf.keras is faster than the from-scratch network at {len(faster)} of "
        f"{len(ratios)} points{places}; its epoch takes {min(values):.2f} to "
        f"{max(values):.2f} times as long."
    ]


def _trend(results: dict[str, Any], factor: str, name: str) -> list[str]:
    """How a contender's distance changes from a sweep's one end to the other."""
    ends = [
        (point, found)
        for point in sweep(results, factor)
        if (found := ratio(point, name)) is not None
    ]
    if len(ends) < 2:
        return []
    (low, first), (high, last) = ends[0], ends[-1]
    change = "narrows" if abs(math.log(last)) < abs(math.log(first)) else "widens"
    if (first - 1) * (last - 1) < 0:
        change = "changes sides"
    return [
        f"{FACTORS[factor].capitalize()} {low[factor]:,} to {high[factor]:,}: "
        f"{LABELS[name]} takes {first:.2f} times as long as from scratch at the low "
        f"end and {last:.2f} times at the high end; the gap {change}."
    ]


def _mirror(results: dict[str, Any]) -> list[str]:
    """What the framework Flax adds to the same steps in the same library.

    That both compile to the same operations is tested, in `tests/test_scaling.py`.
    """
    found = [
        (point, times)
        for point in results["points"]
        if (times := ratio(point, "flax")) is not None
    ]
    if not found:
        return []
    ratios = [times for _, times in found]
    apart = [
        f"{times:.2f} times at {where(point)}"
        for point, times in found
        if _is_slower(point, "flax", OURS) or _is_slower(point, OURS, "flax")
    ]
    said = (
        f"Flax takes {min(ratios):.2f} to {max(ratios):.2f} times as long as from "
        f"scratch, {median(ratios):.2f} times in the median of {len(ratios)} points. "
        "Their steps compile to the same operations, and "
    )
    if apart:
        return [f"{said}yet they differ by more than the spread: {'; '.join(apart)}."]
    return [f"{said}everywhere they differ by no more than the spread."]


def _is_slower(point: Point, name: str, other: str) -> bool:
    """Whether each of a contender's values is larger than each of another's."""
    slow, fast = (members(point)[who]["epoch_seconds"] for who in (name, other))
    return slow["min"] > fast["max"]


def _losses(results: dict[str, Any]) -> list[str]:
    """Where others are faster than the from-scratch network beyond the spread."""
    compared = [
        p for p in results["points"] if OURS in (m := members(p)) and len(m) > 1
    ]
    if not compared:
        return []
    sentences = [
        f"At {where(point)} from scratch is slower beyond spread: it takes "
        f"{', '.join(faster)}."
        for point in compared
        if (faster := _faster(point))
    ]
    return sentences or ["Nowhere is anybody faster than from scratch beyond spread."]


def _faster(point: Point) -> list[str]:
    """By how much each family beats from scratch beyond the spread, the most first."""
    ours = members(point)[OURS]["epoch_seconds"]["median"]
    times = {
        entry["label"]: ours / entry["epoch_seconds"]["median"]
        for name, entry in members(point).items()
        if _is_slower(point, OURS, name)
    }
    ordered = sorted(times, key=times.__getitem__, reverse=True)
    return [f"{times[label]:.2f} times as long as {label}" for label in ordered]


def _memory(results: dict[str, Any]) -> list[str]:
    """Peak memory where the data is largest."""
    points = sweep(results, "examples")
    if not points:
        return []
    peaks = [
        f"{entry['label']} {entry['peak_bytes'] / 2**20:,.0f} MiB"
        for entry in points[-1]["contenders"].values()
        if entry["peak_bytes"]
    ]
    if not peaks:
        return []
    return [f"Peak memory at {points[-1]['examples']:,} images: {', '.join(peaks)}."]
