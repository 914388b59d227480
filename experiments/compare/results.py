"""The numbers of a run, as they stand in `results.json` and `metrics.jsonl`."""

import platform
from dataclasses import dataclass, field
from importlib import metadata
from statistics import median
from typing import Any

import jax
import numpy as np

import jaxnets
from experiments.kit import statistics
from jaxnets.models import REPORTED_ACCURACY, Recipe
from jaxnets.running import EpochRecord, Trained
from jaxnets.types import Params, Prediction, num_params

KERAS = "keras_dense"
_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "tensorflow", "keras")


@dataclass
class ModelRun:
    """One model's run as it grows."""

    name: str
    recipe: Recipe
    epochs: list[EpochRecord] = field(default_factory=list)
    params: Params = ()  # after the last finished epoch
    trained: Trained | None = None  # None until the last epoch is done

    def add(self, record: EpochRecord) -> None:
        """Note a finished epoch; only the newest weights are kept."""
        self.params = record.params
        self.epochs.append(record._replace(params=()))

    @property
    def prediction(self) -> Prediction:
        """Of the test set; there is one once the run is finished."""
        assert self.trained is not None
        return self.trained.prediction

    def right(self, labels: np.ndarray) -> np.ndarray:
        """bool [images]: where the test prediction is the label."""
        return np.asarray(self.prediction.label) == labels


def versions() -> dict[str, str]:
    """Versions of what decides the numbers, as installed."""
    found = {"python": platform.python_version(), "jaxnets": jaxnets.__version__}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def processor() -> str:
    """The processor's name where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [line.split(":")[1] for line in lines if "model name" in line]
    except OSError:
        names = []
    return names[0].strip() if names else platform.processor() or platform.machine()


def device() -> str:
    """The device JAX trains on, by kind and name."""
    first = jax.devices()[0]
    return processor() if first.platform == "cpu" else first.device_kind


def metrics_line(run: ModelRun, record: EpochRecord, dataset: str) -> dict[str, Any]:
    """A line of `metrics.jsonl`."""
    seen = record.validation_seen
    return {
        "dataset": dataset,
        "model": run.name,
        "epoch": record.number,
        "train_loss": record.train_loss,
        "train_accuracy": record.train_accuracy,
        "validation_loss": record.validation_loss,
        "validation_correct": record.validation_correct,
        "validation_seen": seen,
        "validation_accuracy": record.accuracy if seen else None,
        "seconds": record.seconds,
    }


def model_result(run: ModelRun, labels: np.ndarray, dataset: str) -> dict[str, Any]:
    """A finished model's entry in `results.json`."""
    assert run.trained is not None
    correct, seen = int(run.right(labels).sum()), len(labels)
    compile_seconds = run.trained.compile_seconds
    seconds = [record.seconds for record in run.epochs]
    steady, train_seconds = seconds, sum(seconds)
    if run.name == KERAS:  # it compiles within its first epoch
        steady = seconds[1:]
        train_seconds -= compile_seconds or 0.0
    last = run.epochs[-1]
    reported = REPORTED_ACCURACY[run.name] if dataset == "mnist" else None
    return {
        "layer_sizes": list(run.recipe.layer_sizes),
        "num_params": num_params(run.params),
        "epochs": run.recipe.num_epochs,
        "batch_size": run.recipe.batch_size,
        "optimizer": run.recipe.optimizer,
        "learning_rate": run.recipe.learning_rate,
        "test_correct": correct,
        "test_seen": seen,
        "test_accuracy": correct / seen,
        "test_interval_95": list(statistics.wilson_interval(correct, seen)),
        "validation_accuracy": last.accuracy if last.validation_seen else None,
        "compile_seconds": compile_seconds,
        "compile_cached": run.trained.compile_cached,
        "train_seconds": train_seconds,
        "epoch_seconds_median": median(steady) if steady else None,
        "reported_accuracy": reported,
    }


def unfinished(run: ModelRun) -> dict[str, Any]:
    """What `results.json` says of a model that was cut short."""
    last = run.epochs[-1] if run.epochs else None
    return {
        "epochs_done": len(run.epochs),
        "epochs": run.recipe.num_epochs,
        "validation_accuracy": last.accuracy if last and last.validation_seen else None,
    }


def comparison(
    runs: list[ModelRun], labels: np.ndarray, dataset: str
) -> dict[str, Any]:
    """The models that finished, which of them tie on the test labels, and the rest."""
    finished = [run for run in runs if run.trained is not None]
    right = {run.name: run.right(labels) for run in finished}
    return {
        "models": {run.name: model_result(run, labels, dataset) for run in finished},
        "ties": statistics.ties(right),
        "unfinished": {
            run.name: unfinished(run) for run in runs if run.trained is None
        },
    }
