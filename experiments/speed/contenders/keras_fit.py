"""Keras, one `model.fit` for all epochs, on the backend that KERAS_BACKEND names.

The network and its settings are those of `jaxnets.keras_dense`, which is not
imported because it brings TensorFlow and JAX along: each backend's process
should carry only what it needs. Between two epochs `fit` waits in its callback.
"""

import random
import time

import numpy as np

from experiments.speed.contenders.task import WHITE, Data, Epoch, OnEpoch, Task
from jaxnets.process import stderr_silenced

with stderr_silenced():  # TensorFlow greets on standard error
    import keras


class _Clock(keras.callbacks.Callback):
    """Times each epoch; a hook per batch would slow every step."""

    def __init__(self, on_epoch: OnEpoch) -> None:
        super().__init__()
        self._on_epoch = on_epoch

    def on_epoch_begin(self, epoch, logs=None):
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        seconds = time.perf_counter() - self._began
        self._on_epoch(Epoch(seconds, self._predict))

    def _predict(self, images: np.ndarray) -> np.ndarray:
        scores = self.model(images.astype(np.float32) / WHITE, training=False)
        return keras.ops.convert_to_numpy(scores).argmax(axis=1)


def _set_seed(seed: int) -> None:
    """As `keras.utils.set_random_seed`, which loads TensorFlow for any backend."""
    if keras.backend.backend() == "tensorflow":
        keras.utils.set_random_seed(seed)
        return
    random.seed(seed)  # initial weights
    np.random.seed(seed)  # the order of the images


def build(task: Task, image_shape: tuple[int, int]) -> keras.Model:
    """Flatten, Dense with ReLU, and a softmax at the end; compiled."""
    _set_seed(task.seed)
    model = keras.Sequential([keras.Input(image_shape), keras.layers.Flatten()])
    for size in task.layer_sizes[1:-1]:
        model.add(keras.layers.Dense(size, activation="relu"))
    model.add(keras.layers.Dense(task.layer_sizes[-1], activation="softmax"))
    optimizers = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
    model.compile(
        optimizer=optimizers[task.optimizer](task.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def run(task: Task, data: Data, on_epoch: OnEpoch) -> None:
    """Train; see `contenders.task` for what is handed over."""
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_enable_compilation_cache", False)  # a cold start
    model = build(task, data.image.shape[1:])
    scaled = data.image.astype(np.float32)
    scaled /= WHITE  # in place: a second array would double the peak of memory
    model.fit(
        scaled,
        data.label,
        batch_size=task.batch_size,
        epochs=task.num_epochs,
        steps_per_epoch=task.part_steps,  # `fit` goes on where a part ended
        shuffle=True,
        callbacks=[_Clock(on_epoch)],
        verbose=0,
    )
