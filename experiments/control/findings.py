"""What `experiments/control.py` found, in sentences with its numbers."""

from statistics import median
from typing import Any

from experiments.control.tables import WAYS


def findings(content: dict[str, Any]) -> dict[str, list[str]]:
    """What was found in each part, a sentence each."""
    found = content["control"]
    return {
        "ease": _ease_findings(content["ease"]),
        "gradients": _planted_findings(found) + _extrapolated(found),
        "descent": _descent_findings(found),
        "rates": _rates_findings(found),
    }


def _planted_findings(found: dict[str, Any]) -> list[str]:
    planted = found.get("planted")
    if planted is None:
        return []
    count = planted["planted"]
    return [
        f"Of {count:,} labels made wrong on purpose, "
        f"{planted['found_by_norm'] / count:.0%} are among the {count:,} largest "
        f"gradient norms and {planted['found_by_loss'] / count:.0%} among the "
        f"{count:,} largest losses, which need no gradient; chance would find "
        f"{planted['found_by_chance'] / count:.0%}."
    ]


def _rates_findings(found: dict[str, Any]) -> list[str]:
    if "planted" not in found:
        return []
    many = median(epoch["seconds"] for epoch in found["rates"]["epochs"])
    alone = found["planted"]["epoch_seconds"]
    return [
        f"An epoch of {len(found['rates']['rates'])} networks at once takes "
        f"{many / alone:.1f} times one network's ({many:.2f} s, validation included, "
        f"against {alone:.2f} s)."
    ]


def _ease_findings(ease: dict[str, Any]) -> list[str]:
    programs = ease["programs"]
    keras = programs.get("keras_fit")
    if keras is None:
        return []
    return [
        f"{entry['label']}: {entry['lines']} lines against Keras's {keras['lines']}"
        + (
            f", and {entry['seconds_median']:.1f} s to the result against "
            f"{keras['seconds_median']:.1f} s."
            if entry["seconds"] and keras["seconds"]
            else "."
        )
        for name, entry in programs.items()
        if name != "keras_fit"
    ]


def _descent_findings(found: dict[str, Any]) -> list[str]:
    descent = found.get("descent", {"learning_rates": []})
    said = []
    for place, rate in enumerate(descent["learning_rates"]):
        values = [
            record["sharpness"][place]["eigenvalue"] for record in descent["records"]
        ]
        values = [value for value in values if value is not None]
        if values:
            said.append(
                f"Full-batch descent at {rate:g}: the sharpness reaches "
                f"{max(values):.1f} and ends at {values[-1]:.1f}; 2 / learning rate "
                f"is {2 / rate:.1f}."
            )
    return said


def _extrapolated(found: dict[str, Any]) -> list[str]:
    if "beside_keras" not in found:
        return []
    gradients, part = found["gradients"], found["beside_keras"]["gradients"]
    ways = {name: way for name, way in part["ways"].items() if name != "jax"}
    if not ways:
        return []
    factor = gradients["images"] / part["images"]
    times = ", ".join(
        f"{way['seconds'] * factor:.1f} s ({WAYS[name]})" for name, way in ways.items()
    )
    return [
        f"Gradient norms of all {gradients['images']:,} images: JAX "
        f"{gradients['seconds']:.1f} s, measured; Keras, from "
        f"{part['images']:,} images: {times}."
    ]
