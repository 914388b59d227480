"""What the scaling's numbers say, in sentences computed from them."""

import math
from statistics import median
from typing import Any

OURS, KERAS = "from_scratch", "tf_keras"
FACTORS = {
    "width": "hidden width",
    "examples": "training images",
    "batch_size": "batch size",
}
LABELS = {
    OURS: "from scratch",
    "flax": "Flax",
    KERAS: "tf.keras",
    "keras_on_jax": "Keras on JAX",
    "numpy": "NumPy",
}
Point = dict[str, Any]


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
        *(
            sentence
            for factor in results["sweeps"]
            for sentence in _why(results, factor)
        ),
        *_memory(results),
    ]


def sweep(results: dict[str, Any], factor: str) -> list[Point]:
    """The points of a sweep that were measured."""
    return [results["points"][place] for place in results["sweeps"][factor]]


def member(point: Point, name: str) -> dict[str, Any] | None:
    """A contender's entry at a point; "numpy" is the faster of its two."""
    if name == "numpy":
        found = [n for n in point["best"].values() if n.startswith("numpy")]
        name = found[0] if found else name
    return point["contenders"].get(name)


def where(point: Point) -> str:
    """A point in words."""
    return (
        f"width {point['width']:,}, {point['examples']:,} images, "
        f"batch {point['batch_size']:,}"
    )


def ratio(point: Point, name: str) -> float | None:
    """How many times as long as the from-scratch network's an epoch is."""
    ours, theirs = member(point, OURS), member(point, name)
    if ours is None or theirs is None:
        return None
    return theirs["epoch_seconds"]["median"] / ours["epoch_seconds"]["median"]


def _claim(results: dict[str, Any]) -> list[str]:
    """The write-up's sentence, tested on all points."""
    ratios = [found for p in results["points"] if (found := ratio(p, KERAS))]
    if not ratios:
        return []
    faster = sum(found < 1 for found in ratios)
    return [
        f"tf.keras is faster than the from-scratch network at {faster} of "
        f"{len(ratios)} points; its epoch takes {min(ratios):.2f} to "
        f"{max(ratios):.1f} times as long."
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
    """What the framework Flax adds to the same steps in the same library."""
    ratios = [found for p in results["points"] if (found := ratio(p, "flax"))]
    if not ratios:
        return []
    return [
        f"Flax takes {min(ratios):.2f} to {max(ratios):.2f} times as long as from "
        f"scratch, {median(ratios):.2f} times in the median of {len(ratios)} points. "
        "Their steps compile to the same operations, so this is noise."
    ]


def _losses(results: dict[str, Any]) -> list[str]:
    """Where others are faster than the from-scratch network beyond the spread."""
    sentences = []
    for point in results["points"]:
        ours, fastest = member(point, OURS), point["fastest"]
        if ours is None or fastest in (None, OURS) or OURS in point["ties"]:
            continue
        best = point["contenders"][fastest]
        by = ours["epoch_seconds"]["median"] / best["epoch_seconds"]["median"]
        sentences.append(
            f"{best['label']} is the fastest at {where(point)}: from scratch takes "
            f"{by:.2f} times as long."
        )
    return sentences or ["Nowhere is anybody faster than from scratch beyond spread."]


def _why(results: dict[str, Any], factor: str) -> list[str]:
    """What a step takes above the floor of arithmetic and memory, at a sweep's ends."""
    points = sweep(results, factor)
    if factor == "examples" or len(points) < 2:
        return []
    sentences = []
    for point in (points[0], points[-1]):
        floor = point["floor"]["seconds"] / point["steps"]
        above = [
            f"{LABELS[name]} {1000 * (entry['step_seconds'] - floor):.2f} ms"
            for name in LABELS
            if (entry := member(point, name))
        ]
        sentences.append(
            f"At {FACTORS[factor]} {point[factor]:,} the machine's floor of a step is "
            f"{1000 * floor:.2f} ms. What is added to it: {', '.join(above)}."
        )
    return sentences


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
