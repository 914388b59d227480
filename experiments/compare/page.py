"""Tables and pictures of a comparison, for the terminal and the page alike."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from experiments.compare.results import Answers, first_layers, rows_of
from experiments.compare.settings import Settings
from experiments.kit.numbers import text
from experiments.kit.page import Link, Picture, Table, table
from experiments.kit.progress import console
from experiments.kit.run import Run
from jaxnets import draw
from jaxnets.data import DIGITS
from jaxnets.models import MODELS
from jaxnets.types import Params

NOTE = (
    "Intervals are Wilson's, over images. Told apart: McNemar's exact "
    "test on the same images, Holm-corrected over all pairs, finds p below 0.05. It "
    "compares two sets of weights; experiments.seeds compares ways to train. Always "
    "answering {most_frequent_class} is right on {most_frequent_accuracy:.2%}, a "
    "ten-class perceptron after {perceptron_epochs} epochs on "
    "{perceptron_accuracy:.2%}. Times are of this run's steady state, one after the "
    "other. Keras trains by fit with its defaults, a metric and a call an epoch; "
    "experiments.speed compares tuned programs, in turn. Keras compiles within its "
    "first epoch, whose excess is its compile time; a cached program of JAX compiles "
    "no more."
)


def lead(results: Mapping[str, Any], dataset: str) -> str:
    """The finding in a sentence."""
    models = results["models"]
    if not models:
        return "No network was trained to its end."
    ranking = sorted(models, key=lambda name: models[name]["test_accuracy"])
    worst, best = ranking[0], ranking[-1]
    return (
        f"Of the {models[best]['test_seen']:,} test images of {dataset}, opened once "
        f"after the last epoch, {best} gets {models[best]['test_accuracy']:.2%} right, "
        f"{worst} {models[worst]['test_accuracy']:.2%}."
    )


def links(run: Run[Settings]) -> list[Link]:
    """The page that has the networks themselves inside."""
    text = "Draw a digit, and see what each network answers"
    write = partial(draw.write, run.path, test=run.data.test)
    return [Link(draw.FILE, text, write)]


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
    yield comparison(results, run.data.name, run.data.labels)
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
        "Accuracy and cost",
        "Lines: the validation set after each epoch. Dotted: the training images, over "
        "the epoch, while the weights moved. Where the dotted line goes on rising and "
        "the other does not, the network learns its images by heart.",
        partial(figures.curves, {name: rows_of(run, name) for name in answers}),
    )
    yield Picture(
        "confused",
        "What is confused most",
        "Counts of test images by model, in the models' colours, and the images on "
        "which the models are surest of the wrong answer.",
        partial(figures.confused, answers, test, run.data.labels),
    )
    yield Picture(
        "gallery",
        "The hardest images",
        "First those that most models miss, the surest wrong answers first; then those "
        "on which answers differ most. Below each image the models' answers in their "
        "colours with the confidence in %, wrong ones bold. Numbers are places in the "
        "test set as tensorflow-datasets has it, not as in the original file.",
        partial(figures.gallery, answers, test, run.data.labels),
    )
    yield Picture(
        "calibration",
        "Is an answer as sure as it says?",
        "Answers grouped by the confidence that the model gives them; 95 % intervals "
        "are Wilson's. Below the dashed line a model is surer than it is right. "
        "Model 1's shares are of its outputs' sum, not probabilities it was trained to "
        "give.",
        partial(figures.calibration, answers, test.label),
    )
    yield Picture(
        "confusion",
        "Confusion matrices",
        "Wrong answers by label and prediction; one scale of colours for all models.",
        partial(figures.confusion, answers, test.label, run.data.labels),
    )
    yield Picture(
        "first_layer",
        "First-layer weights",
        "A hidden neuron's weights, pixel by pixel: blue excites it, red inhibits it. "
        "At pixels that are white in every image, weights stay as they were drawn.",
        partial(figures.first_layer, params, test.image.shape[1:]),
    )
    kernels = first_layers(run, answers)
    if kernels:
        yield Picture(
            "first_layer_by_epoch",
            "How first-layer weights change",
            "The first neurons of each network as they learn; epoch 0 is the random "
            "start, which Keras does not show.",
            partial(figures.first_layer_by_epoch, kernels, test.image.shape[1:]),
        )


def comparison(
    results: Mapping[str, Any], name: str, labels: Sequence[str] = DIGITS
) -> Table:
    """A row a measure, a column a model."""
    models = results["models"]
    keras = [model for n, model in models.items() if MODELS[n].framework == "keras"]

    def beside_keras(model: Mapping[str, Any]) -> str:
        """Only where both train the same network, in the same way."""
        same = ("layer_sizes", "optimizer", "batch_size")
        epoch = model["epoch_seconds_median"]
        for other in keras:
            theirs = other["epoch_seconds_median"]
            if epoch and theirs and all(model[key] == other[key] for key in same):
                return f"{epoch / theirs:.2f}"
        return "-"

    measures: dict[str, str | Callable[[Any], str]] = {
        "layers": lambda model: "-".join(map(str, model["layer_sizes"])),
        "parameters": "num_params:,",
        "write-up reported": "reported_accuracy:.2%",
        "test accuracy": "test_accuracy:.2%",
        "95 % interval": "test_interval_95:.2%",
        "not told apart from": lambda model: (
            "\n".join(results["ties"][model["name"]]) or "-"
        ),
        "validation accuracy": "validation_accuracy:.2%",
        "epochs": "epochs",
        "compile time, s": lambda model: (
            text(model["compile_seconds"], ".1f")
            + ", cached" * bool(model["compile_cached"])
        ),
        "training time, s": "train_seconds:.1f",
        "median epoch, s": "epoch_seconds_median:.2f",
        "times Keras's epoch (fit)": beside_keras,
    }
    frequent = labels[results["zero_line"]["most_frequent_class"]]
    zero_line = {**results["zero_line"], "most_frequent_class": frequent}
    title, note = f"Test set of {name}", NOTE.format(**zero_line)
    entries = [{"name": name, **model} for name, model in models.items()]
    columns = zip(*table(title, note, entries, measures).rows, strict=True)
    rows = [(name, *cells) for name, cells in zip(measures, columns, strict=True)]
    return Table(title, note, ("", *models), rows)
