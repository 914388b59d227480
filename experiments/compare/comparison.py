"""What `experiments/compare.py` leaves behind: screen, files, figures, page."""

import functools
from collections.abc import Sequence
from typing import Any

from experiments.compare import findings, table
from experiments.compare.results import ModelRun
from experiments.kit.folder import RunFolder
from experiments.kit.progress import console
from experiments.kit.run import Experiment
from experiments.kit.screen import print_table
from jaxnets.data import Dataset

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


def _zero_line(results: dict[str, Any]) -> str:
    """What needs no network, in a sentence."""
    found = results["zero_line"]
    return (
        f"The zero line: always answering {found['most_frequent_class']} is right on "
        f"{found['most_frequent_accuracy']:.2%} of the test set, a ten-class "
        f"perceptron after {found['perceptron_epochs']} epochs on "
        f"{found['perceptron_accuracy']:.2%}."
    )


def print_tables(
    results: dict[str, Any], runs: Sequence[ModelRun], dataset: Dataset
) -> None:
    """The tables on the screen."""
    labels = dataset.test.label
    names = [run.name for run in runs]
    rows = table.comparison_rows(results)
    print_table(f"Test set of {dataset.name}", ("", *names), rows)
    for note in (TIE_NOTE, _zero_line(results), SPEED_NOTE):
        console.print(note)
    print_table(
        "Precision / recall per class",
        ("class", "images", *names),
        table.per_class_rows(runs, labels),
    )
    print_table(
        "The first test images",
        ("image", "label", *names),
        table.first_rows(runs, labels),
    )
    if wrong := findings.lines(results["diagnosis"]):
        print_table(findings.TITLE, findings.HEADER, wrong)
        console.print(findings.NOTE)


def write_predictions(
    folder: RunFolder, runs: Sequence[ModelRun], dataset: Dataset
) -> None:
    """`predictions.csv`: a row an image, with each model's class and probability."""
    header = ["index", "label"]
    for run in runs:
        header += [run.name, f"{run.name}_probability"]
    predictions = [run.prediction for run in runs]

    def row(index: int, label: int) -> list[Any]:
        cells: list[Any] = [index, label]
        for classes, probabilities in predictions:
            guess = int(classes[index])
            cells += [guess, f"{probabilities[index, guess]:.6f}"]
        return [*cells, dataset.name]

    rows = (row(*pair) for pair in enumerate(dataset.test.label.tolist()))
    folder.write_csv("predictions.csv", [*header, "dataset"], rows)


def write_page(
    experiment: Experiment, results: dict[str, Any], runs: Sequence[ModelRun]
) -> None:
    """The figures as PNG files, and `report.html` with all of them inside."""
    from experiments.kit.page import Table

    labels = experiment.dataset.test.label
    names = [run.name for run in runs]
    sections = [
        Table(
            "Test set",
            f"{TIE_NOTE} {_zero_line(results)} {SPEED_NOTE}",
            ("", *names),
            table.comparison_rows(results),
        ),
        *_diagnosis(results),
        *_pictures(runs, experiment.dataset),
        Table(
            "Precision / recall per class",
            "Of the images given a class, how many are of it; and of those of it, how "
            "many were given it.",
            ("class", "images", *names),
            table.per_class_rows(runs, labels),
        ),
        Table(
            "The first test images",
            "Each model's class and the probability that it gives to it.",
            ("image", "label", *names),
            table.first_rows(runs, labels, count=20),
        ),
    ]
    experiment.write_page(
        results,
        sections,
        title="Neural networks on handwritten digits",
        lead=(
            f"{len(runs)} networks, the same {results['train_examples']:,} training "
            f"images of {results['dataset']}, the same {results['test_examples']:,} "
            "test images, opened once, after the last epoch."
        ),
    )


def _diagnosis(results: dict[str, Any]) -> list[Any]:
    """A table of what looks wrong; none where nothing does."""
    from experiments.kit.page import Table

    wrong = findings.lines(results["diagnosis"])
    if not wrong:
        return []
    return [Table(findings.TITLE, findings.NOTE, findings.HEADER, wrong)]


def _pictures(runs: Sequence[ModelRun], dataset: Dataset) -> list[Any]:
    from experiments.compare import figures
    from experiments.kit import page

    picture = functools.partial(page.picture, dataset=dataset.name)
    image_shape = dataset.test.image.shape[1:]
    return [
        picture(
            "curves",
            "Accuracy and loss",
            "After each epoch. The training loss is the mean over the epoch, while "
            "the weights moved.",
            figures.curves(runs),
        ),
        picture(
            "confusion",
            "Confusion matrices",
            "Test images by label and predicted class; colour shows the errors.",
            figures.confusion(runs, dataset.test.label),
        ),
        picture(
            "gallery",
            "The hardest images",
            "First the test images that most models miss, then those on which their "
            "answers differ most.",
            figures.gallery(runs, dataset.test),
        ),
        picture(
            "first_layer",
            "First-layer weights",
            "Each image shows one hidden neuron's weights, pixel by pixel: blue "
            "excites it, red inhibits it.",
            figures.first_layer(runs, image_shape),
        ),
    ]
