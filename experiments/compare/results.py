"""The numbers of a comparison: rows of epochs, predictions, and what follows."""

import csv
import functools
import itertools
from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.compare import diagnosis
from experiments.compare.settings import Settings
from experiments.kit import statistics
from experiments.kit.numbers import finite
from experiments.kit.run import Row, Run
from jaxnets.errors import InputError
from jaxnets.models import MODELS, Model
from jaxnets.training import Epoch
from jaxnets.types import Params, Prediction, Recipe, num_params

PREDICTIONS = "predictions.csv"
FIRST_LAYER = "first_layer_{name}_{number}"  # a file among the weights
NEURONS = 4  # of the first layer, whose weights are kept
CONFUSIONS = 10  # pairs of classes that are shown


class Answers(NamedTuple):
    """What a model says of every test image, as `predictions.csv` has it."""

    label: np.ndarray  # int [images], the class
    probability: np.ndarray  # float [images], that of the class


def epoch_row(name: str, epoch: Epoch, dataset: str) -> Row:
    """A line of `metrics.jsonl`."""
    (validation,) = epoch.held_out
    seen = int(validation.seen)
    return {
        "dataset": dataset,
        "model": name,
        "epoch": epoch.number,
        "train_loss": float(epoch.train.mean_loss),
        "train_accuracy": float(epoch.train.accuracy),
        "validation_loss": float(validation.mean_loss) if seen else None,
        "validation_correct": int(validation.correct) if seen else None,
        "validation_seen": seen,
        "validation_accuracy": float(validation.accuracy) if seen else None,
        "seconds": epoch.seconds,
        "evaluation_seconds": epoch.evaluation_seconds,
        "compile_seconds": epoch.compile_seconds,
        "compile_cached": epoch.compile_cached,
    }


def accuracy(row: Row) -> float:
    """On the validation set, or without one on the training examples."""
    known = row["validation_accuracy"]
    return row["train_accuracy"] if known is None else known


def in_words(row: Row) -> str:
    """One finished epoch, for the screen."""
    which = "validation" if row["validation_seen"] else "training"
    return (
        f"epoch {row['epoch']:>2}  {which} accuracy {accuracy(row):.2%}  "
        f"loss {row['train_loss']:.4f}  {row['seconds']:.2f} s"
    )


def rows_of(run: Run[Settings], name: str) -> list[Row]:
    """A model's rows, epoch after epoch."""
    return [row for row in run.rows if row["model"] == name]


def first_kernel(params: Params) -> np.ndarray:
    """The first layer's weights: the first matrix among the parameters."""
    return next(np.asarray(leaf) for leaf in jax.tree.leaves(params) if leaf.ndim == 2)


def keep_first_layer(
    run: Run[Settings], name: str, number: int, params: Params
) -> None:
    """Some first-layer neurons' weights in a file of epoch `number`, 0 at the start."""
    some = first_kernel(params)[:, :NEURONS]
    if len(some) == run.data.train.image[0].size:
        file = FIRST_LAYER.format(name=name, number=number)
        run.write_weights(file, {"kernel": some})


def first_layers(run: Run[Settings], names: Iterable[str]) -> dict[str, Any]:
    """What `keep_first_layer` wrote, by model and epoch: float32 [pixels, neurons]."""
    kernels: dict[str, dict[int, np.ndarray]] = {}
    for name in names:
        for number in range(1 + max(row["epoch"] for row in rows_of(run, name))):
            file = run.path / "weights" / FIRST_LAYER.format(name=name, number=number)
            if file.with_suffix(".npz").exists():
                with np.load(file.with_suffix(".npz")) as arrays:
                    kernels.setdefault(name, {})[number] = arrays["kernel"]
    return kernels


def answers_of(prediction: Prediction) -> Answers:
    """Each image's class and the probability of it."""
    label, probability = prediction
    return Answers(label, probability[np.arange(len(label)), label])


def write_predictions(run: Run[Settings], answers: Mapping[str, Answers]) -> None:
    """`predictions.csv`: a row an image, each model's class and its probability."""
    header = ["index", "label"]
    names = np.array(run.data.labels)
    labels = run.data.test.label
    columns: list[list[Any]] = [list(range(len(labels))), names[labels].tolist()]
    for name, (label, probability) in answers.items():
        header += [name, f"{name}_probability"]
        columns += [names[label].tolist(), [f"{value:.6f}" for value in probability]]
    columns.append([run.data.name] * len(labels))
    run.write_csv(PREDICTIONS, [*header, "dataset"], zip(*columns, strict=True))


def read_predictions(run: Run[Settings]) -> dict[str, Answers]:
    """The models that were tested, with what `write_predictions` wrote.

    Raises InputError where it is damaged.
    """
    file = run.path / PREDICTIONS
    if not file.exists():
        return {}
    number = {name: label for label, name in enumerate(run.data.labels)}
    try:
        with open(file, encoding="utf-8", newline="") as stream:
            header, *rows = csv.reader(stream)
        columns = dict(zip(header, zip(*rows, strict=True), strict=True))
        return {
            name: Answers(
                np.array([number[label] for label in columns[name]], np.int32),
                np.array(columns[f"{name}_probability"], np.float32),
            )
            for name in header
            if f"{name}_probability" in header
        }
    except (csv.Error, KeyError, ValueError) as error:
        raise InputError(f"{file} is damaged ({error}); begin anew") from error


def confusion_matrix(
    labels: np.ndarray, answers: np.ndarray, size: int | None = None
) -> np.ndarray:
    """Counts int [size, size], by default of the classes that occur: a row a label."""
    size = size or 1 + max(labels.max(), answers.max())
    return np.bincount(labels * size + answers, minlength=size**2).reshape(size, size)


def confused_pairs(
    answers: Mapping[str, Answers], labels: np.ndarray
) -> list[tuple[int, int, dict[str, int]]]:
    """Label, wrong answer and each model's count, the most frequent first."""
    size = 1 + max(labels.max(), *(answer.label.max() for answer in answers.values()))
    matrices = [confusion_matrix(labels, a.label, size) for a in answers.values()]
    counts = np.where(np.eye(size, dtype=bool), 0, matrices)
    total = counts.sum(axis=0)
    largest = np.argsort(-total, axis=None, kind="stable")[:CONFUSIONS].tolist()
    pairs = [divmod(index, size) for index in largest if total.flat[index]]
    return [
        (*pair, dict(zip(answers, counts[:, *pair].tolist(), strict=True)))
        for pair in pairs
    ]


def differences(right: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """McNemar's test of every two models' weights, Holm-corrected together."""
    pairs = list(itertools.combinations(right, 2))
    p_values = statistics.holm(
        [statistics.mcnemar_p_value(right[a], right[b]) for a, b in pairs]
    )
    return [
        {"first": first, "second": second, "p_value": p_value}
        for (first, second), p_value in zip(pairs, p_values, strict=True)
    ]


def ties(name: str, pairs: Iterable[Mapping[str, Any]]) -> list[str]:
    """The models that `differences` does not tell apart from one."""
    return [
        pair["second"] if pair["first"] == name else pair["first"]
        for pair in pairs
        if name in (pair["first"], pair["second"])
        and pair["p_value"] >= statistics.SIGNIFICANCE
    ]


def read_params(
    run: Run[Settings], recipes: Mapping[str, Recipe], names: Iterable[str]
) -> dict[str, Params]:
    """Models' parameters after their last epoch; InputError where they are gone."""
    params = {}
    for name in names:
        init, sizes = MODELS[name].network.init, recipes[name].layer_sizes
        like = jax.eval_shape(functools.partial(init, jax.random.key(0), sizes))
        params[name] = run.read_weights(name, like)
        if params[name] is None:
            raise InputError(f"{run.path} has no weights of {name}; run it anew")
    return params


def comparison(
    run: Run[Settings],
    recipes: Mapping[str, Recipe],
    answers: Mapping[str, Answers],
    params: Mapping[str, Params],
) -> dict[str, Any]:
    """The content of `results.json`: every model that was tested, and the rest."""
    rows = {name: rows_of(run, name) for name in recipes}
    labels = run.data.test.label
    right = {name: answer.label == labels for name, answer in answers.items()}
    pairs = differences(right)
    on_mnist = run.data.name == "mnist"
    return {
        "seed": run.config.seed,
        "zero_line": run.kept("baselines"),
        "models": {
            name: {
                **model_result(MODELS[name], recipes[name], rows[name], right[name]),
                "num_params": num_params(params[name]),
                "reported_accuracy": MODELS[name].reported if on_mnist else None,
            }
            for name in answers
        },
        "pairs": pairs,
        "ties": {name: ties(name, pairs) for name in right},
        "unfinished": {
            name: {
                "epochs_done": len(rows[name]),
                "epochs": recipe.num_epochs,
                "validation_accuracy": (
                    rows[name][-1]["validation_accuracy"] if rows[name] else None
                ),
            }
            for name, recipe in recipes.items()
            if name not in answers
        },
        "diagnosis": {
            name: diagnosis.of_model(
                MODELS[name],
                recipes[name],
                run,
                rows=rows[name],
                params=params[name],
                answers=answer.label,
            )
            for name, answer in answers.items()
        },
    }


def model_result(
    model: Model, recipe: Recipe, rows: list[Row], right: np.ndarray
) -> dict[str, Any]:
    """What a finished model's rows and answers say, for `results.json`."""
    last, correct, seen = rows[-1], int(right.sum()), len(right)
    seconds = [row["seconds"] for row in rows]
    compile_seconds = last["compile_seconds"]
    steady, train_seconds = seconds, sum(seconds)
    if model.framework == "keras":  # it compiles within its first epoch
        compile_seconds, steady = None, seconds[1:]
        if steady and seconds[0] > median(steady):  # else it cannot be told
            compile_seconds = seconds[0] - median(steady)
            train_seconds -= compile_seconds
    return {
        "layer_sizes": list(recipe.layer_sizes),
        "epochs": recipe.num_epochs,
        "batch_size": recipe.batch_size,
        "optimizer": recipe.optimizer,
        "learning_rate": recipe.learning_rate,
        "test_correct": correct,
        "test_seen": seen,
        "test_accuracy": correct / seen,
        "test_interval_95": list(statistics.wilson_interval(correct, seen)),
        "validation_accuracy": last["validation_accuracy"],
        "compile_seconds": compile_seconds,
        "compile_cached": last["compile_cached"],
        "train_seconds": train_seconds,
        "epoch_seconds_median": finite(median(steady)) if steady else None,
    }
