"""Model 3: the tf.keras network of the write-up, built and trained Keras's way.

No other module of the package imports TensorFlow at its top. `keras_process` runs
it in a process of its own, so that it shares neither memory nor threads with JAX.
"""

import os
import time
from collections.abc import Callable

import numpy as np

from jaxnets.models import Recipe
from jaxnets.pixels import WHITE
from jaxnets.process import stderr_silenced
from jaxnets.types import Batch, Dense, Params, Prediction

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before the first import
os.environ["KERAS_BACKEND"] = "tensorflow"  # what makes Keras tf.keras; likewise
with stderr_silenced():
    import tensorflow as tf

    for _gpu in tf.config.get_visible_devices("GPU"):
        tf.config.experimental.set_memory_growth(_gpu, True)  # leave JAX its share
    import keras  # the same package as tf.keras


def build(
    layer_sizes: tuple[int, ...], image_shape: tuple[int, int], seed: int | None = None
) -> keras.Model:
    """Flatten, Dense with ReLU, and a softmax at the end; Keras's own defaults."""
    if seed is not None:
        keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input(image_shape), keras.layers.Flatten()])
    for size in layer_sizes[1:-1]:
        model.add(keras.layers.Dense(size, activation="relu"))
    model.add(keras.layers.Dense(layer_sizes[-1], activation="softmax"))
    return model


def compile_model(model: keras.Model, recipe: Recipe) -> None:
    """Choose optimizer, loss and metric, as the write-up does."""
    optimizers = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
    model.compile(
        optimizer=optimizers[recipe.optimizer](recipe.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )


def scaled(images: np.ndarray) -> np.ndarray:
    """uint8 images [B, H, W] to float32 in [0, 1], the usual Keras preparation."""
    return images.astype(np.float32) / WHITE


def to_dense(model: keras.Model) -> Params:
    """The model's weights as this package's `Params`, bit for bit."""
    weights = model.get_weights()
    return tuple(
        Dense(kernel, bias)
        for kernel, bias in zip(weights[0::2], weights[1::2], strict=True)
    )


def from_dense(model: keras.Model, params: Params) -> None:
    """Set the model's weights, bit for bit."""
    model.set_weights([np.asarray(array) for layer in params for array in layer])


def predict(model: keras.Model, images: np.ndarray) -> Prediction:
    """Classes and probabilities of images uint8 [B, H, W]."""
    probability = model.predict(scaled(images), batch_size=1000, verbose=0)
    return Prediction(probability.argmax(axis=-1), probability)


class _EpochClock(keras.callbacks.Callback):
    """Times the training part of each epoch and hands on the epoch's logs."""

    def __init__(self, on_epoch: Callable[[int, dict[str, float], float], None]):
        super().__init__()
        self._on_epoch = on_epoch

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.perf_counter()
        self._seconds = None

    def on_test_begin(self, logs=None):  # the validation at the end of the epoch
        self._seconds = time.perf_counter() - self._began

    def on_epoch_end(self, epoch, logs=None):
        if self._seconds is None:
            self._seconds = time.perf_counter() - self._began
        self._on_epoch(epoch + 1, logs, self._seconds)


def fit(
    model: keras.Model,
    recipe: Recipe,
    train: Batch,
    validation: Batch,
    on_epoch: Callable[[int, dict[str, float], float], None],
) -> None:
    """`model.fit`, calling `on_epoch(number, logs, seconds)` after each epoch."""
    held_out = None
    if len(validation.label):
        held_out = (scaled(validation.image), validation.label)
    model.fit(
        scaled(train.image),
        train.label,
        batch_size=recipe.batch_size,
        epochs=recipe.num_epochs,
        validation_data=held_out,
        validation_batch_size=1000,
        callbacks=[_EpochClock(on_epoch)],  # a batch hook would slow every step
        verbose=0,
    )
