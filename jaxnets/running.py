"""One model's whole run on the host's side: epochs as they end, then the test.

Every model gives the same events, so nobody downstream asks which one it was:
an `EpochRecord` after each epoch, and one `Trained` at the end.
"""

import contextlib
import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np

from jaxnets import models as recipes
from jaxnets import training
from jaxnets.data import NUM_CLASSES, Dataset
from jaxnets.data.dataset import refusal
from jaxnets.errors import InputError, NonFiniteLoss
from jaxnets.models import Recipe
from jaxnets.types import Params, Prediction, Totals


class EpochRecord(NamedTuple):
    """One finished epoch, in host numbers."""

    number: int  # 1 for the first
    train_loss: float  # mean over the epoch's examples, while the weights moved
    train_accuracy: float
    validation_loss: float | None  # None without validation examples
    validation_correct: int | None
    validation_seen: int
    seconds: float  # the training alone
    params: Params  # NumPy arrays, after the epoch

    @property
    def accuracy(self) -> float:
        """On the validation set, or without one on the training examples."""
        if self.validation_correct is None:
            return self.train_accuracy
        return self.validation_correct / self.validation_seen


class Trained(NamedTuple):
    """The end of a run that trained to its last epoch."""

    prediction: Prediction  # of the test set, NumPy arrays
    compile_seconds: float | None  # None where it cannot be told from training
    compile_cached: bool = False  # an earlier start had left the programs on disk


def check_fits(name: str, recipe: Recipe, dataset: Dataset) -> None:
    """Raise InputError where a recipe does not fit the data."""
    sizes = recipe.layer_sizes
    network = recipes.NETWORKS.get(name)
    # A network that does not take the whole image at once says what it takes.
    input_size = getattr(network, "input_size", math.prod)
    num_inputs = input_size(dataset.train.image.shape[1:])
    if sizes[0] != num_inputs:
        raise InputError(
            f"{name}: layer sizes {sizes} must begin with {num_inputs}, the pixels "
            "that it takes at a time"
        )
    if sizes[-1] != NUM_CLASSES:
        raise InputError(
            f"{name}: layer sizes {sizes} must end with {NUM_CLASSES}, the classes"
        )
    num_examples = len(dataset.train.label)
    if recipe.batch_size > num_examples:
        raise refusal(
            f"{name}: batch size {recipe.batch_size} must be at most {num_examples}, "
            "the training examples",
            dataset.notice,
        )


@contextlib.contextmanager
def divergence_named(name: str, recipe: Recipe) -> Iterator[None]:
    """Give a NonFiniteLoss of the work inside the model's name and its remedy."""
    try:
        yield
    except NonFiniteLoss as error:
        raise NonFiniteLoss(
            f"{name}: {error} at learning rate {recipe.learning_rate:g}. Try a smaller "
            "learning rate."
        ) from error


def train(
    name: str, recipe: Recipe, dataset: Dataset, seed: int
) -> Iterator[EpochRecord | Trained]:
    """Train one of `recipes.RECIPES` and test it once, at the end.

    Raises:
      InputError: the recipe does not fit the data.
      NonFiniteLoss: training diverged; the message names model, epoch and rate.
    """
    recipes.check(name, recipe)
    check_fits(name, recipe, dataset)
    if name in recipes.NETWORKS:
        run = _train_jax
    else:
        from jaxnets.keras_process import train as run
    with divergence_named(name, recipe):
        yield from run(name, recipe, dataset, seed)


def _train_jax(
    name: str, recipe: Recipe, dataset: Dataset, seed: int
) -> Iterator[EpochRecord | Trained]:
    network = recipes.NETWORKS[name]
    init_key, data_key = recipes.run_keys(seed)
    tx = recipes.optimizer(recipe)
    state = training.start(network.init(init_key, recipe.layer_sizes), tx)
    epochs = training.fit(
        network.loss_fn,
        tx,
        state,
        dataset.train,
        dataset.validation,
        batch_size=recipe.batch_size,
        num_epochs=recipe.num_epochs,
        key=data_key,
    )
    for epoch in epochs:
        record = _record(epoch)
        yield record
    prediction = jax.jit(network.predict)(record.params, dataset.test.image)
    prediction = jax.device_get(prediction)
    yield Trained(prediction, epoch.compile_seconds, epoch.compile_cached)


def _record(epoch: training.Epoch) -> EpochRecord:
    validation = epoch.validation or Totals(None, np.nan, 0)
    return EpochRecord(
        number=epoch.number,
        train_loss=float(epoch.train.loss / epoch.train.seen),
        train_accuracy=float(epoch.train.correct / epoch.train.seen),
        validation_loss=float(validation.loss / validation.seen)
        if validation.seen
        else None,
        validation_correct=int(validation.correct) if validation.seen else None,
        validation_seen=int(validation.seen),
        seconds=epoch.seconds,
        params=jax.device_get(epoch.state.params),
    )
