"""The page: statements, figures, and the tables of two digits and ten classes."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from experiments.kit.page import Picture, Table
from experiments.kit.run import Row, Run
from experiments.neurons import figures
from experiments.neurons.results import better, part
from experiments.neurons.ten_classes import LAYERS
from jaxnets.data import NUM_CLASSES
from jaxnets.models import MODELS
from jaxnets.types import Dense

HOLDS = {True: "yes", False: "no", None: "open"}
CAPTIONS = {
    "small_changes": "Left: one weight moves. Middle: changes in random directions. "
    "Right: all weights times a factor.",
    "learning": "The learning rule on truth tables, and on every two digits.",
    "cascades": "A line is a burst. The first neurons are stimulated at step 0, and "
    "none later. In the middle links lead to higher neurons only; on the right some "
    "of the same links lead back.",
    "importance": "A dot is an input of a random perceptron: how probable it is that "
    "drawing it anew changes the output. Reversed: of two weights of one neuron, the "
    "larger has the smaller effect.",
    "ten_classes": "Bands run from the lowest to the highest seed.",
    "ten_weights": "Blue speaks for the digit, red against it; mean over all steps.",
}


def of(run: Run, results: Mapping[str, Any]) -> Iterator[Table | Picture]:
    """Of the parts that are measured."""
    yield statement_table(results["statements"])
    yield from _pictures(run, results)
    if ten := results["ten_classes"]:
        yield ten_table(ten, run.data.name)
    if pairs := results["pairs"]:
        yield pair_table(pairs)


def _pictures(run: Run, results: Mapping[str, Any]) -> Iterator[Picture]:
    def picture(name: str, title: str, *content: Any) -> Picture:
        figure = partial(getattr(figures, name), *content)
        return Picture(name, title, CAPTIONS[name], figure)

    if small := results.get("small_changes"):
        yield picture("small_changes", "Small changes", small)
    if gates := results.get("gate_learning"):
        yield picture("learning", "The learning rule", gates, results["pairs"])
    if nets := part(run.rows, "cascades"):
        yield picture("cascades", "Cascades", nets)
    if measured := results.get("importance"):
        yield picture("importance", "Weights and importance", measured)
    if epochs := part(run.rows, "ten_classes"):
        yield picture("ten_classes", "Ten neurons, ten classes", epochs)
    shape = run.data.test.image.shape[1:]
    like = Dense(np.zeros((shape[0] * shape[1], NUM_CLASSES)), np.zeros(NUM_CLASSES))
    if layers := run.read_weights("ten_average", (like,)):
        yield picture("ten_weights", "The ten neurons' weights", layers[0], shape)


def statement_table(statements: Sequence[Mapping[str, Any]]) -> Table:
    """A row a number; its statement stands at the first."""
    rows = []
    for statement, holds, numbers in (entry.values() for entry in statements):
        texts = (statement, HOLDS[holds])
        for name, value in numbers.items():
            rows.append((*texts, name, _text(value)))
            texts = ("", "")
    caption = "Open: the numbers decide nothing, as where the cap stopped the rule."
    header = ("statement", "holds", "measured", "")
    return Table("What is said of neurons", caption, header, rows)


def _text(value: Any) -> str:
    """A number, a list of them, or nothing."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def ten_table(ten: Mapping[str, Any], dataset: str) -> Table:
    """The baseline, the perceptrons, and what the write-up reports of networks."""
    frequent, accuracy = ten["most_frequent_class"], ten["most_frequent_accuracy"]
    rows = [(f"always {frequent}, the most frequent", "", f"{accuracy:.2%}", "")]
    words = dict(zip(LAYERS, ("last step", "mean over all steps"), strict=True))
    for name, runs in ten["runs"].items():
        for layer in LAYERS:
            tests, checked = runs[f"test_{layer}"], runs[f"validation_{layer}"]
            texts = (
                f"perceptron, {name} pixels, {words[layer]}",
                "-" if None in checked else f"{np.mean(checked):.2%}",
                f"{np.mean(tests):.2%}",
                f"{min(tests):.2%} to {max(tests):.2%}, {len(tests)} seeds",
            )
            rows.append(texts)
    for model in MODELS.values() if dataset == "mnist" else ():
        if model.reported is not None:
            rows.append((f"{model.name}, as reported", "", f"{model.reported:.2%}", ""))
    caption = (
        "Validation and test set: means over the seeds. No rate and no random start: a "
        "seed decides the order of the images alone."
    )
    header = ("", "validation set", "test set", "lowest to highest")
    return Table("Ten classes", caption, header, rows)


def pair_table(pairs: Sequence[Row]) -> Table:
    """Each pair of digits, the slowest first."""
    rows = []
    for pair in sorted(pairs, key=lambda p: (-p["passes"], -p["last_mistakes"])):
        passes, left, seen = pair["passes"], pair["last_mistakes"], pair["test_seen"]
        correct = (pair["test_correct"], pair["sigmoid_correct"])
        texts = (
            "-".join(map(str, pair["digits"])),
            f"{pair['examples']:,}",
            f"{passes}, still {left} mistakes" if left else f"{passes}",
            *(f"{number / seen:.2%}" if seen else "-" for number in correct),
            better(pair),
        )
        rows.append(texts)
    caption = (
        "Test accuracy of one perceptron and one sigmoid neuron for two digits, on the "
        "same bits in the same order. Better: by an exact McNemar test, p below 0.05; "
        "else a tie."
    )
    header = ("digits", "examples", "passes", "perceptron", "sigmoid neuron", "better")
    return Table("Two digits", caption, header, rows, on_screen=False)
