"""The unit of time: an epoch of Model 3 by tf.keras's `fit` with its defaults.

It runs in a process of its own, and waits between its epochs.
"""

import time
from collections.abc import Callable, Generator
from contextlib import closing

from jaxnets import keras_dense, models, process
from jaxnets.keras_network import build, load_keras
from jaxnets.types import Batch

FOREVER = 10**6  # epochs: until it is not asked any more


def epoch_seconds(train: Batch) -> Generator[float, None, None]:
    """Seconds of each epoch but the first, in which Keras compiles; without end."""
    epochs = process.iterate(
        _train, train, without=process.KERAS_DOES_WITHOUT, lockstep=True
    )
    with closing(epochs):
        next(epochs)
        yield from epochs


def _train(send: Callable[[float], None], train: Batch) -> None:
    """One call of `fit`; its clock stands still while `send` waits."""
    keras, recipe = load_keras(), models.KERAS_DENSE.recipe
    model = build(recipe.layer_sizes, train.image.shape[1:], seed=0)
    keras_dense.compile_model(model, recipe)

    class EpochClock(keras.callbacks.Callback):  # type: ignore[name-defined]
        def on_epoch_begin(self, epoch, logs=None):
            self.began = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            send(time.perf_counter() - self.began)

    model.fit(
        keras_dense.scaled(train.image),
        train.label,
        batch_size=recipe.batch_size,
        epochs=FOREVER,
        callbacks=[EpochClock()],
        verbose=0,
    )
