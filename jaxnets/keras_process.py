"""Train `keras_dense` in a process of its own; `worker` says why."""

from collections.abc import Callable, Iterator
from statistics import median

import numpy as np

from jaxnets import process as worker
from jaxnets import training
from jaxnets.data import Dataset
from jaxnets.models import Recipe
from jaxnets.running import EpochRecord, Trained

Send = Callable[[EpochRecord | Trained], None]


def train(
    name: str, recipe: Recipe, dataset: Dataset, seed: int
) -> Iterator[EpochRecord | Trained]:
    """As `running.train`, for the Keras model."""
    del name  # there is one Keras model
    return worker.iterate(
        _train_here, recipe, dataset, seed, without=worker.KERAS_DOES_WITHOUT
    )


def _train_here(send: Send, recipe: Recipe, dataset: Dataset, seed: int) -> None:
    from jaxnets import keras_dense

    validation_seen = len(dataset.validation.label)
    all_seconds: list[float] = []

    def on_epoch(number: int, logs: dict[str, float], seconds: float) -> None:
        params = keras_dense.to_dense(model)
        losses = (logs["loss"], logs.get("val_loss", 0.0))
        finite = all(np.isfinite(array).all() for layer in params for array in layer)
        training.check_finite(number, *losses, weights=finite)
        all_seconds.append(seconds)
        correct = round(logs.get("val_accuracy", 0.0) * validation_seen)
        record = EpochRecord(
            number=number,
            train_loss=logs["loss"],
            train_accuracy=logs["accuracy"],
            validation_loss=logs.get("val_loss"),
            validation_correct=correct if validation_seen else None,
            validation_seen=validation_seen,
            seconds=seconds,
            params=params,
        )
        send(record)

    image_shape = dataset.train.image.shape[1:]
    model = keras_dense.build(recipe.layer_sizes, image_shape, seed)
    keras_dense.compile_model(model, recipe)
    keras_dense.fit(model, recipe, dataset.train, dataset.validation, on_epoch)
    prediction = keras_dense.predict(model, dataset.test.image)
    send(Trained(prediction, compile_seconds(all_seconds)))


def compile_seconds(seconds: list[float]) -> float | None:
    """Keras compiles within the first epoch: its excess over the later ones.

    None where that cannot be told: there is no later one, or they took longer.
    """
    if len(seconds) < 2 or seconds[0] <= median(seconds[1:]):
        return None
    return seconds[0] - median(seconds[1:])
