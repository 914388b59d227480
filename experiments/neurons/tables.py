"""The tables of `experiments/neurons.py`: two digits, ten classes."""

from typing import Any

import numpy as np

from experiments.kit.statistics import SIGNIFICANCE
from experiments.neurons import ten_class_runs
from jaxnets.models import REPORTED_ACCURACY

Rows = list[tuple[str, ...]]
TEN_HEADER = ("", "validation set", "test set", "lowest to highest")
PAIR_HEADER = ("digits", "examples", "passes", "perceptron", "sigmoid neuron", "better")


def summarise(pairs: list[dict[str, Any]]) -> dict[str, Any] | None:
    """All pairs together; None without one."""
    if not pairs:
        return None
    total = {
        key: sum(pair[key] for pair in pairs)
        for key in (
            *("test_seen", "test_correct", "sigmoid_correct"),
            *("unsure", "unsure_wrong"),
        )
    }
    ended = [pair for pair in pairs if pair["converged"]]
    return {
        "pairs": len(pairs),
        "converged": len(ended),
        "most_passes": max(pair["passes"] for pair in pairs),
        "of_converged": {
            key: sum(pair[key] for pair in ended)
            for key in ("test_seen", "test_correct", "sigmoid_correct")
        },
        "sigmoid_better": sum(_better(pair) == "sigmoid" for pair in pairs),
        "perceptron_better": sum(_better(pair) == "perceptron" for pair in pairs),
        **total,
    }


def _better(pair: dict[str, Any]) -> str:
    """Which neuron is right more often beyond chance, or "tie"."""
    if pair["p_value"] >= SIGNIFICANCE:
        return "tie"
    more = pair["sigmoid_correct"] > pair["test_correct"]
    return "sigmoid" if more else "perceptron"


def ten_rows(results: dict[str, Any]) -> Rows:
    """The zero line, the perceptrons, and what the write-up reports of networks."""
    ten = results["ten_classes"]
    rows: Rows = [
        (
            f"always {ten['most_frequent_class']}, the most frequent",
            "",
            f"{ten['most_frequent_accuracy']:.2%}",
            "",
        )
    ]
    for name, run in ten["runs"].items():
        for which in ten_class_runs.LAYERS:
            tests, checked = run[f"test_{which}"], run[f"validation_{which}"]
            words = "last step" if which == "last" else "mean over all steps"
            rows.append(
                (
                    f"perceptron, {name} pixels, {words}",
                    "-" if None in checked else f"{np.mean(checked):.2%}",
                    f"{np.mean(tests):.2%}",
                    f"{min(tests):.2%} to {max(tests):.2%}, {len(tests)} seeds",
                )
            )
    if results["dataset"] == "mnist":
        for name, accuracy in REPORTED_ACCURACY.items():
            if accuracy is not None:
                rows.append((f"{name}, as reported", "", f"{accuracy:.2%}", ""))
    return rows


def pair_rows(pairs: list[dict[str, Any]]) -> Rows:
    """Each pair of digits, the slowest first."""
    order = sorted(pairs, key=lambda pair: (-pair["passes"], -pair["last_mistakes"]))
    return [
        (
            cell(pair["digits"]),
            f"{pair['examples']:,}",
            str(pair["passes"])
            if pair["converged"]
            else f"{pair['passes']}, still {pair['last_mistakes']} mistakes",
            *(
                f"{pair[key] / pair['test_seen']:.2%}" if pair["test_seen"] else "-"
                for key in ("test_correct", "sigmoid_correct")
            ),
            _better(pair),
        )
        for pair in order
    ]


def cell(value: Any) -> Any:
    """A value as it stands in a file's column."""
    return "-".join(map(str, value)) if isinstance(value, list) else value
