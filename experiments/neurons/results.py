"""From the rows of a run to the content of results.json. Nothing is measured here."""

from collections.abc import Sequence
from typing import Any

from experiments.kit.run import Row
from experiments.kit.statistics import SIGNIFICANCE
from experiments.neurons.statements import statements
from experiments.neurons.ten_classes import INPUTS, LAYERS
from jaxnets.data import Dataset
from jaxnets.neurons.ten_class import most_frequent

ONE_ROW = ("logic", "gate_learning", "small_changes", "importance", "consistency")
COUNTS = ("test_seen", "test_correct", "sigmoid_correct")


def results(rows: Sequence[Row], dataset: Dataset) -> dict[str, Any]:
    """What is measured so far."""
    parts = {name: part(rows, name)[0] for name in ONE_ROW if part(rows, name)}
    nets = part(rows, "cascades")
    for net in nets:
        del net["raster"]
    pairs = part(rows, "pairs")
    content = {
        **parts,
        **({"cascades": {net.pop("net"): net for net in nets}} if nets else {}),
        "pairs": pairs,
        "pair_summary": pair_summary(pairs),
        "ten_classes": ten_classes(part(rows, "ten_classes"), dataset),
    }
    return {**content, "statements": [s._asdict() for s in statements(content)]}


def part(rows: Sequence[Row], name: str) -> list[dict[str, Any]]:
    """The rows of one part, without its name."""
    own = (dict(row) for row in rows if row["part"] == name)
    return [row for row in own if row.pop("part")]


def pair_summary(pairs: Sequence[Row]) -> dict[str, Any] | None:
    """All pairs of digits together; None without one."""
    if not pairs:
        return None
    ended = [pair for pair in pairs if pair["converged"]]
    totals = (*COUNTS, "unsure", "unsure_wrong")
    return {
        "pairs": len(pairs),
        "converged": len(ended),
        "most_passes": max(pair["passes"] for pair in pairs),
        "of_converged": {key: sum(pair[key] for pair in ended) for key in COUNTS},
        "sigmoid_better": sum(better(pair) == "sigmoid" for pair in pairs),
        "perceptron_better": sum(better(pair) == "perceptron" for pair in pairs),
        **{key: sum(pair[key] for pair in pairs) for key in totals},
    }


def better(pair: Row) -> str:
    """Which neuron is right more often beyond chance, or "tie"."""
    if pair["p_value"] >= SIGNIFICANCE:
        return "tie"
    more = pair["sigmoid_correct"] > pair["test_correct"]
    return "sigmoid" if more else "perceptron"


def ten_classes(epochs: Sequence[Row], dataset: Dataset) -> dict[str, Any] | None:
    """Accuracies of the finished seeds by inputs and layer; None without one.

    With them stands what needs no learning: always to answer the class that is most
    frequent in training.
    """
    runs: dict[str, dict[str, Any]] = {}
    keys = [f"{data}_{layer}" for data in ("validation", "test") for layer in LAYERS]
    for name in INPUTS:
        last = [row for row in epochs if row["inputs"] == name and "test_last" in row]
        if last:
            accuracies = {key: [row[key] for row in last] for key in keys}
            runs[name] = {"seeds": [row["seed"] for row in last], **accuracies}
    if not runs:
        return None
    frequent, accuracy = most_frequent(dataset)
    return {
        "most_frequent_class": frequent,
        "most_frequent_accuracy": accuracy,
        "runs": runs,
    }
