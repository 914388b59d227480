"""The unit of time: an epoch of Model 3 by tf.keras's `fit` with its defaults.

It runs in a process of its own, and waits between its epochs.
"""

from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace

from jaxnets import keras_dense, models, process
from jaxnets.keras_network import build
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
    recipe = replace(models.KERAS_DENSE.recipe, num_epochs=FOREVER)
    model = build(recipe.layer_sizes, train.image.shape[1:], seed=0)
    keras_dense.compile_model(model, recipe)
    nothing, _ = train.split(0)  # an epoch is training alone
    keras_dense.fit(model, recipe, train, nothing, lambda epoch: send(epoch.seconds))
