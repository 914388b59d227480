"""What a comparison shows, in the order of its page."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from experiments.compare import tables
from experiments.compare.results import read_params, read_predictions, rows_by_model
from experiments.compare.settings import Settings
from experiments.kit.page import Picture, Table
from experiments.kit.progress import console
from experiments.kit.run import Run
from jaxnets.types import Recipe

FIRST_IMAGES = 20  # of the test set


def of(
    run: Run[Settings], recipes: Mapping[str, Recipe], results: Mapping[str, Any]
) -> Iterator[Table | Picture]:
    """Tables and pictures; none where no model was tested."""
    for name, rest in results["unfinished"].items():
        console().print(
            f"{name} stopped after {rest['epochs_done']} of {rest['epochs']} epochs "
            "and is not in the table."
        )
    if not results["models"]:
        return
    labels = run.data.test.label
    answers = read_predictions(run)
    yield tables.comparison(results, run.data.name, len(run.data.train.label))
    wrong = tables.diagnosis(results)
    if wrong.rows:
        yield wrong
    yield from _pictures(run, {name: recipes[name] for name in answers})
    yield tables.per_class(answers, labels)
    yield tables.first_images(answers, labels, FIRST_IMAGES)


def _pictures(run: Run[Settings], recipes: Mapping[str, Recipe]) -> list[Picture]:
    from experiments.compare import figures  # loads Matplotlib

    answers = read_predictions(run)
    params = {name: read_params(run, name, recipe) for name, recipe in recipes.items()}
    test = run.data.test
    return [
        Picture(
            "curves",
            "Accuracy and loss",
            "After each epoch. The training loss is the mean over the epoch, while "
            "the weights moved.",
            partial(figures.curves, rows_by_model(run, recipes)),
        ),
        Picture(
            "confusion",
            "Confusion matrices",
            "Test images by label and predicted class; colour shows the errors.",
            partial(figures.confusion, answers, test.label),
        ),
        Picture(
            "gallery",
            "The hardest images",
            "First the test images that most models miss, then those on which their "
            "answers differ most.",
            partial(figures.gallery, answers, test),
        ),
        Picture(
            "first_layer",
            "First-layer weights",
            "Each image shows one hidden neuron's weights, pixel by pixel: blue "
            "excites it, red inhibits it.",
            partial(figures.first_layer, params, test.image.shape[1:]),
        ),
    ]
