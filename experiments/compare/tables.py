"""The comparison as tables, for the terminal and the page alike."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from experiments.compare.results import Answers
from experiments.kit.numbers import text
from experiments.kit.page import Table
from jaxnets.models import MODELS

TIE_NOTE = (
    "Intervals are Wilson's, over images. Models tie where an exact McNemar test on "
    "the same images finds their difference within chance (p of 0.05 or more)."
)
SPEED_NOTE = (
    "Only flax_dense is the same network as keras_dense; the others are smaller. "
    "Compile time and training are apart; images/s and the last comparison are per "
    "epoch at steady state. Keras compiles within its first epoch, which is left out: "
    "its compile time is what that epoch took longer. JAX's is short where an earlier "
    "start left the compiled program in the cache."
)


def comparison(results: Mapping[str, Any], name: str, num_train: int) -> Table:
    """A row a measure, a column a model."""
    models = results["models"]
    baselines = results["zero_line"]
    columns = [_column(model, models, results["ties"], num_train) for model in models]
    baseline_note = (
        f"Always answering {baselines['most_frequent_class']} is right on "
        f"{baselines['most_frequent_accuracy']:.2%} of the test set, a ten-class "
        f"perceptron after {baselines['perceptron_epochs']} epochs on "
        f"{baselines['perceptron_accuracy']:.2%}."
    )
    return Table(
        f"Test set of {name}",
        f"{TIE_NOTE} {baseline_note} {SPEED_NOTE}",
        ("", *models),
        [(measure, *(column[measure] for column in columns)) for measure in columns[0]],
    )


def _column(
    name: str,
    models: Mapping[str, Any],
    ties: Mapping[str, list[str]],
    num_train: int,
) -> dict[str, str]:
    model = models[name]
    low, high = model["test_interval_95"]
    epoch_seconds = model["epoch_seconds_median"]
    per_second = num_train / epoch_seconds if epoch_seconds else None
    from_cache = ", cached" if model["compile_cached"] else ""
    return {
        "write-up reported": text(model["reported_accuracy"], ".4g"),
        "test correct / seen": f"{model['test_correct']:,} / {model['test_seen']:,}",
        "test accuracy": f"{model['test_accuracy']:.4f}",
        "95 % interval": f"{low:.4f} to {high:.4f}",
        "ties with": "\n".join(ties[name]) or "-",
        "validation accuracy": text(model["validation_accuracy"], ".4f"),
        "parameters": f"{model['num_params']:,}",
        "compile time": _seconds(model["compile_seconds"], 1) + from_cache,
        "training time": _seconds(model["train_seconds"], 1),
        "median epoch": _seconds(epoch_seconds, 2),
        "images per second": text(per_second, ",.0f"),
        "epoch vs tf.keras": _speed(epoch_seconds, models),
    }


def _seconds(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f} s"


def _speed(epoch_seconds: float | None, models: Mapping[str, Any]) -> str:
    theirs = [
        models[name]["epoch_seconds_median"]
        for name in models
        if MODELS[name].framework == "keras"
    ]
    if not (epoch_seconds and theirs and theirs[0]):
        return "-"
    ratio = theirs[0] / epoch_seconds
    if ratio == 1:
        return "1"
    return f"{ratio:.1f}x faster" if ratio > 1 else f"{1 / ratio:.1f}x slower"


def diagnosis(results: Mapping[str, Any]) -> Table:
    """Model and sentence of everything that looks wrong."""
    return Table(
        "What looks wrong",
        "Named by jaxnets.diagnose from figures, answers and weights of the run.",
        ("model", "finding"),
        [
            (name, finding["text"])
            for name, findings in results["diagnosis"].items()
            for finding in findings
        ],
    )


def confusion_matrix(labels: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Counts int [classes, classes]: a row a label, a column an answer."""
    size = 1 + max(labels.max(), answers.max())
    return np.bincount(labels * size + answers, minlength=size**2).reshape(size, size)


def per_class(answers: Mapping[str, Answers], labels: np.ndarray) -> Table:
    """Per class: its images, and each model's precision and recall; 0 for 0 / 0."""
    cells = {}
    for name, answer in answers.items():
        matrix = confusion_matrix(labels, answer.label)
        right = np.diag(matrix)
        precision = right / np.maximum(matrix.sum(axis=0), 1)
        recall = right / np.maximum(matrix.sum(axis=1), 1)
        cells[name] = [
            f"{a:.3f} / {b:.3f}" for a, b in zip(precision, recall, strict=True)
        ]
    return Table(
        "Precision / recall per class",
        "Of the images given a class, how many are of it; and of those of it, how "
        "many were given it.",
        ("class", "images", *answers),
        [
            (
                str(digit),
                f"{np.sum(labels == digit):,}",
                *(column[digit] for column in cells.values()),
            )
            for digit in np.unique(labels).tolist()
        ],
    )


def first_images(
    answers: Mapping[str, Answers], labels: np.ndarray, count: int
) -> Table:
    """The first test images: label, and each model's class, right or wrong."""
    rows = []
    for index, label in enumerate(labels[:count].tolist()):
        cells = []
        for answer in answers.values():
            mark = "right" if answer.label[index] == label else "WRONG"
            share = f"{answer.probability[index]:.0%}"
            cells.append(f"{answer.label[index]} {mark} {share}")
        rows.append((str(index), str(label), *cells))
    return Table(
        "The first test images",
        "Each model's class and the probability that it gives to it.",
        ("image", "label", *answers),
        rows,
    )
