"""Tables and pictures of a comparison, for the terminal and the page alike."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from experiments.compare.results import Answers, rows_of
from experiments.compare.settings import Settings
from experiments.kit.numbers import text
from experiments.kit.page import Picture, Table, table
from experiments.kit.progress import console
from experiments.kit.run import Run
from jaxnets.models import MODELS
from jaxnets.types import Params

FIRST_IMAGES = 20  # of the test set
NOTE = (
    "Intervals are Wilson's, over images. Models tie where an exact McNemar test on "
    "the same images finds their difference within chance (p of 0.05 or more). Always "
    "answering {most_frequent_class} is right on {most_frequent_accuracy:.2%} of the "
    "test set, a ten-class perceptron after {perceptron_epochs} epochs on "
    "{perceptron_accuracy:.2%}. Only flax_dense is the same network as keras_dense; "
    "the others are smaller. Compile time and training are apart; images/s and the "
    "last comparison are per epoch at steady state. Keras compiles within its first "
    "epoch, which is left out: its compile time is what that epoch took longer. JAX's "
    "is short where an earlier start left the compiled program in the cache."
)


def sections(
    run: Run[Settings],
    results: Mapping[str, Any],
    answers: Mapping[str, Answers],
    params: Mapping[str, Params],
) -> Iterator[Table | Picture]:
    """Tables and pictures; none where no model was tested."""
    for name, rest in results["unfinished"].items():
        console().print(
            f"{name} stopped after {rest['epochs_done']} of {rest['epochs']} epochs "
            "and is not in the table."
        )
    if not answers:
        return
    test = run.data.test
    yield comparison(results, run.data.name, len(run.data.train.label))
    wrong = [
        {"model": name, **finding}
        for name, findings in results["diagnosis"].items()
        for finding in findings
    ]
    if wrong:
        yield table(
            "What looks wrong",
            "Named by jaxnets.diagnose from figures, answers and weights of the run.",
            wrong,
            {"model": "model", "finding": "text"},
        )
    from experiments.compare import figures  # loads Matplotlib

    yield Picture(
        "curves",
        "Accuracy and loss",
        "After each epoch. The training loss is the mean over the epoch, while the "
        "weights moved.",
        partial(figures.curves, {name: rows_of(run, name) for name in answers}),
    )
    yield Picture(
        "confusion",
        "Confusion matrices",
        "Test images by label and predicted class; colour shows the errors.",
        partial(figures.confusion, answers, test.label),
    )
    yield Picture(
        "gallery",
        "The hardest images",
        "First the test images that most models miss, then those on which their "
        "answers differ most.",
        partial(figures.gallery, answers, test),
    )
    yield Picture(
        "first_layer",
        "First-layer weights",
        "Each image shows one hidden neuron's weights, pixel by pixel: blue excites "
        "it, red inhibits it.",
        partial(figures.first_layer, params, test.image.shape[1:]),
    )
    yield per_class(answers, test.label)
    yield first_images(answers, test.label, FIRST_IMAGES)


def comparison(results: Mapping[str, Any], name: str, num_train: int) -> Table:
    """A row a measure, a column a model."""
    models = results["models"]
    theirs = next(
        (m["epoch_seconds_median"] for n, m in models.items() if _is_keras(n)), None
    )

    def seconds(key: str, digits: int):
        return lambda name, model: (
            "-" if model[key] is None else f"{model[key]:.{digits}f} s"
        )

    def compiling(name: str, model: Mapping[str, Any]) -> str:
        cached = ", cached" if model["compile_cached"] else ""
        return seconds("compile_seconds", 1)(name, model) + cached

    def images_per_second(name: str, model: Mapping[str, Any]) -> str:
        epoch = model["epoch_seconds_median"]
        return text(num_train / epoch if epoch else None, ",.0f")

    def beside_keras(name: str, model: Mapping[str, Any]) -> str:
        epoch = model["epoch_seconds_median"]
        if not (epoch and theirs):
            return "-"
        ratio = theirs / epoch
        if ratio == 1:
            return "1"
        return f"{ratio:.1f}x faster" if ratio > 1 else f"{1 / ratio:.1f}x slower"

    measures = {
        "write-up reported": lambda _, m: text(m["reported_accuracy"], ".4g"),
        "test correct / seen": lambda _, m: (
            f"{m['test_correct']:,} / {m['test_seen']:,}"
        ),
        "test accuracy": lambda _, m: text(m["test_accuracy"], ".4f"),
        "95 % interval": lambda _, m: text(m["test_interval_95"], ".4f"),
        "ties with": lambda name, _: "\n".join(results["ties"][name]) or "-",
        "validation accuracy": lambda _, m: text(m["validation_accuracy"], ".4f"),
        "parameters": lambda _, m: f"{m['num_params']:,}",
        "compile time": compiling,
        "training time": seconds("train_seconds", 1),
        "median epoch": seconds("epoch_seconds_median", 2),
        "images per second": images_per_second,
        "epoch vs tf.keras": beside_keras,
    }
    return Table(
        f"Test set of {name}",
        NOTE.format(**results["zero_line"]),
        ("", *models),
        [
            (measure, *(cell(name, model) for name, model in models.items()))
            for measure, cell in measures.items()
        ],
    )


def _is_keras(name: str) -> bool:
    return MODELS[name].framework == "keras"


def confusion_matrix(labels: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Counts int [classes, classes]: a row a label, a column an answer."""
    size = 1 + max(labels.max(), answers.max())
    return np.bincount(labels * size + answers, minlength=size**2).reshape(size, size)


def per_class(answers: Mapping[str, Answers], labels: np.ndarray) -> Table:
    """Per class: its images, and each model's precision and recall; 0 for 0 / 0."""
    matrices = {n: confusion_matrix(labels, a.label) for n, a in answers.items()}

    def cell(matrix: np.ndarray, digit: int) -> str:
        right = matrix[digit, digit]
        precision = right / max(matrix[:, digit].sum(), 1)
        return f"{precision:.3f} / {right / matrix[digit].sum():.3f}"

    return table(
        "Precision / recall per class",
        "Of the images given a class, how many are of it; and of those of it, how "
        "many were given it.",
        np.unique(labels).tolist(),
        {
            "class": str,
            "images": lambda digit: f"{np.sum(labels == digit):,}",
            **{name: partial(cell, matrix) for name, matrix in matrices.items()},
        },
    )


def first_images(
    answers: Mapping[str, Answers], labels: np.ndarray, count: int
) -> Table:
    """The first test images: label, and each model's class, right or wrong."""

    def cell(answer: Answers, index: int) -> str:
        mark = "right" if answer.label[index] == labels[index] else "WRONG"
        return f"{answer.label[index]} {mark} {answer.probability[index]:.0%}"

    return table(
        "The first test images",
        "Each model's class and the probability that it gives to it.",
        range(min(count, len(labels))),
        {
            "image": str,
            "label": lambda index: str(labels[index]),
            **{name: partial(cell, answer) for name, answer in answers.items()},
        },
    )
