"""The comparison as rows of text, for the terminal and the page alike."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.compare.results import KERAS, ModelRun


def comparison_rows(results: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row a measure, a column a model; the first column names the measure."""
    models = results["models"]
    columns = [_column(name, results) for name in models]
    return [
        (measure, *(column[measure] for column in columns)) for measure in columns[0]
    ]


def _column(name: str, results: dict[str, Any]) -> dict[str, str]:
    model = results["models"][name]
    low, high = model["test_interval_95"]
    epoch_seconds = model["epoch_seconds_median"]
    per_second = epoch_seconds and results["train_examples"] / epoch_seconds
    from_cache = ", cached" if model["compile_cached"] else ""
    return {
        "write-up reported": _or_dash(model["reported_accuracy"], "{:.4g}"),
        "test correct / seen": f"{model['test_correct']:,} / {model['test_seen']:,}",
        "test accuracy": f"{model['test_accuracy']:.4f}",
        "95 % interval": f"{low:.4f} to {high:.4f}",
        "ties with": "\n".join(results["ties"][name]) or "-",
        "validation accuracy": _or_dash(model["validation_accuracy"], "{:.4f}"),
        "parameters": f"{model['num_params']:,}",
        "compile time": _or_dash(model["compile_seconds"], "{:.1f} s") + from_cache,
        "training time": f"{model['train_seconds']:.1f} s",
        "median epoch": _or_dash(epoch_seconds, "{:.2f} s"),
        "images per second": _or_dash(per_second, "{:,.0f}"),
        "epoch vs tf.keras": _speed(epoch_seconds, results["models"].get(KERAS)),
    }


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _speed(epoch_seconds: float | None, reference: dict[str, Any] | None) -> str:
    theirs = reference and reference["epoch_seconds_median"]
    if not (epoch_seconds and theirs):
        return "-"
    ratio = theirs / epoch_seconds
    if ratio == 1:
        return "1"
    return f"{ratio:.1f}x faster" if ratio > 1 else f"{1 / ratio:.1f}x slower"


def per_class_rows(
    runs: Sequence[ModelRun], labels: np.ndarray
) -> list[tuple[str, ...]]:
    """Per digit: its images, and each model's precision and recall (scikit-learn)."""
    from sklearn.metrics import precision_recall_fscore_support  # slow to load

    classes = np.unique(labels)
    scores = [
        precision_recall_fscore_support(
            labels, run.prediction.label, labels=classes, zero_division=0.0
        )
        for run in runs
    ]
    return [
        (
            str(digit),
            f"{np.sum(labels == digit):,}",
            *(f"{s[0][place]:.3f} / {s[1][place]:.3f}" for s in scores),
        )
        for place, digit in enumerate(classes)
    ]


def first_rows(
    runs: Sequence[ModelRun], labels: np.ndarray, count: int = 10
) -> list[tuple[str, ...]]:
    """The first test images: label, and each model's class, right or wrong."""
    rows = []
    for index, label in enumerate(labels[:count]):
        guesses = []
        for run in runs:
            label_guess = int(run.prediction.label[index])
            probability = float(run.prediction.probability[index, label_guess])
            mark = "right" if label_guess == label else "WRONG"
            guesses.append(f"{label_guess} {mark} {probability:.0%}")
        rows.append((str(index), str(label), *guesses))
    return rows
