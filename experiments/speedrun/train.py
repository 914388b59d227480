"""A network by its settings: its loss, its optimizer, and its programs."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from experiments.speedrun.settings import Record, Settings
from jaxnets import augment, ensemble, optimizers, relu_dropout, training
from jaxnets.data import NUM_CLASSES, Dataset
from jaxnets.devices import compile_ahead
from jaxnets.training import RunKeys
from jaxnets.types import Array, Batch, KeyedLossFn, Prediction, Totals, TrainState


def training_images(record: Record, dataset: Dataset) -> Batch:
    """What a record trains on."""
    if not record.all_images:
        return dataset.train
    parts = zip(dataset.train, dataset.validation, strict=True)
    return Batch(*(np.concatenate(pair) for pair in parts))


def validate_data(settings: Settings, dataset: Dataset) -> None:
    """Raise InputError where the settings do not fit the data."""
    batch_size, num_examples = settings.batch_size, len(dataset.train.label)
    if batch_size > num_examples:
        raise dataset.misfit(
            f"batch size {batch_size} must be at most {num_examples} images; change "
            "--batch-size"
        )
    if dataset.num_classes != NUM_CLASSES:
        raise dataset.misfit(
            f"{dataset.num_classes} classes; these networks tell {NUM_CLASSES} apart"
        )


def layer_sizes(settings: Settings, data: Batch) -> tuple[int, ...]:
    """From the pixels to the classes."""
    return (int(np.prod(data.image.shape[1:])), *settings.hidden, NUM_CLASSES)


def make_tx(settings: Settings, num_examples: int) -> optax.GradientTransformation:
    """Adam in Keras's form by the cycle, and what the settings add to it."""
    num_steps = settings.num_epochs * -(-num_examples // settings.batch_size)
    rate: float | optax.Schedule = settings.peak_rate
    if settings.one_cycle:
        rate = optimizers.one_cycle(settings.peak_rate, num_steps, settings.rise)
    parts = [optimizers.keras_adam(rate)]
    if settings.max_norm:
        parts.append(optimizers.max_norm(settings.max_norm))
    if settings.average:
        parts.append(optimizers.averaged(settings.average))
    return parts[0] if len(parts) == 1 else optax.chain(*parts)


def make_loss_fn(settings: Settings) -> KeyedLossFn:
    """What trains: dropout, smoothed labels, an adversary, on distorted images."""
    loss_fn = relu_dropout.make_loss_fn(
        hidden_rate=settings.dropout,
        input_rate=settings.input_dropout,
        smoothing=settings.smoothing,
        adversary=settings.adversary,
    )
    distort = augment.make_distort(settings.distortion)
    return augment.on_distorted(loss_fn, distort)


class Programs(NamedTuple):
    """All that a run executes, compiled before its clock starts."""

    begin: Callable[[jax.Array], TrainState]
    train_epoch: Callable[..., tuple[TrainState, Totals]]
    predict: Callable[[TrainState, jax.Array], Prediction]
    compile_seconds: float


def compile_programs(settings: Settings, train: Batch, scored: Batch) -> Programs:
    """Compile for data of these shapes; nothing is computed with it."""
    began = time.perf_counter()
    sizes = layer_sizes(settings, train)
    tx, loss_fn = make_tx(settings, len(train.label)), make_loss_fn(settings)

    def begin(key: jax.Array) -> TrainState:
        return training.start(relu_dropout.init(key, sizes), tx)

    def train_epoch(
        state: TrainState, keys: RunKeys, epoch: jax.Array, train: Batch
    ) -> tuple[TrainState, Totals]:
        run_one = training.make_run_epoch(loss_fn, tx, settings.batch_size)
        state, totals, _ = run_one(state, (keys.data, keys.extra), epoch, train)
        return state, totals

    keys = training.run_keys(0)
    state = jax.eval_shape(begin, keys.init)
    return Programs(
        compile_ahead(begin, keys.init),
        compile_ahead(train_epoch, state, keys, np.int32(0), train, donate_argnums=0),
        compile_ahead(predict, state, scored.image),
        compile_seconds=time.perf_counter() - began,
    )


def predict(state: TrainState, images: jax.Array) -> Prediction:
    """Of the averaged weights where there are such."""
    predict_all = training.make_predict(relu_dropout.predict)
    return predict_all(optimizers.average_of(state), images)


class Outcome(NamedTuple):
    """A run, and what it answers."""

    seconds: float  # from images in the host's memory to the last answer
    probability: np.ndarray  # float32 [images, classes], of the set to score on
    train_loss: float  # mean of the last epoch
    compile_seconds: float  # beside the clock

    def accuracy(self, labels: np.ndarray) -> float:
        """Share of the images that are recognised."""
        return float(np.mean(self.probability.argmax(axis=-1) == labels))


def run_once(
    programs: Programs, num_epochs: int, seed: int, train: Batch, images: Array
) -> Outcome:
    """Train a network from a seed, and let it answer once, by the clock.

    Inside the clock are the copies of all data to the device, the initial weights,
    every epoch's shuffling and distortions, and the answers.
    """
    began = time.perf_counter()
    train, images = jax.device_put((train, images))
    keys = training.run_keys(seed)
    state = programs.begin(keys.init)
    for epoch in range(num_epochs):
        state, totals = programs.train_epoch(state, keys, np.int32(epoch), train)
    probability = jax.device_get(programs.predict(state, images).probability)
    seconds = time.perf_counter() - began
    train_loss = float(totals.mean_loss)
    return Outcome(seconds, probability, train_loss, programs.compile_seconds)


def run_together(
    settings: Settings,
    seeds: Sequence[int],
    train: Batch,
    images: Array,
    *,
    say: Callable[[str], object],
) -> Outcome:
    """Train a network from each seed by `fit_many`; their mean probabilities answer.

    The clock is that of `run_once`, less what is spent on compiling. `say` is told how
    many networks are trained, after each group.
    """
    began = time.perf_counter()
    sizes, tx = layer_sizes(settings, train), make_tx(settings, len(train.label))
    work: dict[str, Any] = {
        "init": lambda key: relu_dropout.init(key, sizes),
        "loss_fn": relu_dropout.loss_fn,
        "tx": tx,
        "train": train,
        "batch_size": settings.batch_size,
        "train_loss_fn": make_loss_fn(settings),
    }
    planning = time.perf_counter()
    groups = ensemble.chunks(seeds, ensemble.num_at_once(**work))
    compile_seconds = time.perf_counter() - planning
    probability, losses = np.zeros(()), []
    images = jax.device_put(images)
    for group in groups:
        for epoch in ensemble.fit_many(
            **work, seeds=group, num_epochs=settings.num_epochs
        ):
            state = epoch.state
        compiling = time.perf_counter()
        program = compile_ahead(jax.vmap(predict, in_axes=(0, None)), state, images)
        compile_seconds += time.perf_counter() - compiling + epoch.compile_seconds
        answers = jax.device_get(program(state, images).probability)
        probability = probability + answers.sum(axis=0) / len(seeds)
        losses += epoch.train.mean_loss.tolist()
        say(f"{len(losses)} of {len(seeds)} networks are trained")
    seconds = time.perf_counter() - began - compile_seconds
    return Outcome(seconds, probability, float(np.mean(losses)), compile_seconds)
