"""Reading the scaling's results: sweeps, points and their contenders."""

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


def sweep(results: dict[str, Any], factor: str) -> list[Point]:
    """The points of a sweep that were measured."""
    return [results["points"][place] for place in results["sweeps"][factor]]


def member(point: Point, name: str) -> dict[str, Any] | None:
    """A contender's entry at a point; "numpy" is the faster of its two."""
    if name == "numpy":
        found = [n for n in point["best"].values() if n.startswith("numpy")]
        name = found[0] if found else name
    return point["contenders"].get(name)


def members(point: Point) -> dict[str, dict[str, Any]]:
    """The entries of all that were measured at a point, by the names of `LABELS`."""
    found = {name: member(point, name) for name in LABELS}
    return {name: entry for name, entry in found.items() if entry is not None}


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
