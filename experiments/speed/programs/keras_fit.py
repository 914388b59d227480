"""Keras, one `model.fit` for all epochs, on the backend that KERAS_BACKEND names.

The network is that of `jaxnets.keras_network`, the settings are Keras's defaults.
Between two epochs `fit` waits in its callback.
"""

import os
import random
import time
from typing import Any

import numpy as np

from experiments.speed.worker import Data, Epoch, OnEpoch, Task, to_vectors
from jaxnets.keras_network import VARIABLE, build, load_keras

BACKEND = os.environ.get(VARIABLE, "tensorflow")
keras: Any = load_keras(BACKEND)


class _Clock(keras.callbacks.Callback):
    """Times each epoch; a hook per batch would slow every step."""

    def __init__(self, on_epoch: OnEpoch) -> None:
        super().__init__()
        self._on_epoch = on_epoch

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self._on_epoch(Epoch(time.perf_counter() - self._began, self._predict))

    def _predict(self, images: np.ndarray) -> np.ndarray:
        vectors = to_vectors(images).reshape(images.shape)
        scores = self.model(vectors, training=False)
        return keras.ops.convert_to_numpy(scores).argmax(axis=1)


def compiled(task: Task, image_shape: tuple[int, ...]) -> Any:
    """The network, ready to train."""
    seed: int | None = task.seed
    if BACKEND != "tensorflow":
        # `keras.utils.set_random_seed` would load TensorFlow for any backend.
        random.seed(seed)  # initial weights
        np.random.seed(seed)  # the order of the images
        seed = None
    model = build(task.layer_sizes, image_shape, seed, backend=BACKEND)
    kinds = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
    optimizer = kinds[task.optimizer](task.learning_rate)
    loss = "sparse_categorical_crossentropy"
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    return model


def run(task: Task, data: Data, on_epoch: OnEpoch) -> None:
    """Train, calling `on_epoch` after each epoch."""
    if BACKEND == "jax":
        import jax

        jax.config.update("jax_enable_compilation_cache", False)  # a cold start
    model = compiled(task, data.image.shape[1:])
    model.fit(
        to_vectors(data.image).reshape(data.image.shape),
        data.label,
        batch_size=task.batch_size,
        epochs=task.num_epochs,
        steps_per_epoch=task.part_steps,  # `fit` goes on where a part ended
        shuffle=True,
        callbacks=[_Clock(on_epoch)],
        verbose=0,
    )
