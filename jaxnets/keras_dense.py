"""Model 3: the tf.keras network of the write-up, built and trained Keras's way.

TensorFlow loads when it is needed, not before. `train_and_test` runs it in a process
of its own, so that it shares neither memory nor threads with JAX.
"""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from jaxnets import process
from jaxnets.errors import InputError
from jaxnets.keras_network import build, load_keras
from jaxnets.pixels import WHITE
from jaxnets.training import Epoch, require_finite
from jaxnets.types import Batch, Dense, Layers, Prediction, Recipe, Totals, TrainState

if TYPE_CHECKING:
    import keras

    from jaxnets.data import Dataset

# Layers without weights that change nothing, or what `keras_file` looks at.
PASSED_BY = ("InputLayer", "Rescaling", "Flatten", "Dropout", "Softmax")


def compile_model(model: "keras.Model", recipe: Recipe) -> None:
    """Choose optimizer, loss and metric, as the write-up does."""
    keras = load_keras()
    optimizers = {"adam": keras.optimizers.Adam, "sgd": keras.optimizers.SGD}
    model.compile(
        optimizer=optimizers[recipe.optimizer](recipe.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )


def scaled(images: np.ndarray) -> np.ndarray:
    """uint8 images [B, H, W] to float32 in [0, 1], the usual Keras preparation."""
    return images.astype(np.float32) / WHITE


def to_dense(model: "keras.Model", *, sigmoids: bool = False) -> Layers:
    """The model's weights as this library's parameters, bit for bit.

    Raises InputError unless the model is Flatten and Dense layers with biases, ReLU
    between them and softmax or nothing at the end; or with `sigmoids`, these all over.
    """
    layers = [layer for layer in model.layers if _kind(layer) not in PASSED_BY]
    if not layers:
        raise InputError("the model has no Dense layer")
    for layer in layers:
        fault, is_last = None, layer is layers[-1]
        known = ("softmax", "linear") if is_last else ("relu",)
        if sigmoids:
            known = ("sigmoid", "log_sigmoid") if is_last else ("sigmoid",)
        if _kind(layer) != "Dense":
            fault = f"is {_kind(layer)}; only Dense ones can be read"
        elif not layer.use_bias:
            fault = "has no bias; build it with use_bias=True"
        elif layer.activation.__name__ not in known:
            activation = layer.activation.__name__
            fault = f"has the activation {activation}, not {' or '.join(known)}"
        if fault:
            raise InputError(f"layer {layer.name!r} {fault}")
    return tuple(Dense(*layer.get_weights()) for layer in layers)


def _kind(layer: "keras.Layer") -> str:
    return type(layer).__name__


def from_dense(model: "keras.Model", params: Layers) -> None:
    """Set the model's weights, bit for bit."""
    model.set_weights([np.asarray(array) for layer in params for array in layer])


def predict(model: "keras.Model", images: np.ndarray) -> Prediction:
    """Classes and probabilities of images uint8 [B, H, W]."""
    probability = model.predict(scaled(images), batch_size=1000, verbose=0)
    return Prediction(probability.argmax(axis=-1).astype(np.int32), probability)


def train_and_test(
    recipe: Recipe, dataset: "Dataset", seed: int
) -> Iterator[Epoch | Prediction]:
    """As `models.train_and_test`, by `model.fit` in a process of its own.

    Keras's epochs carry its weights and no state of its optimizer. It compiles within
    the first epoch, whose `seconds` hold that too.
    """
    yield from process.iterate(
        _train_here, recipe, dataset, seed, without=process.KERAS_DOES_WITHOUT
    )


def _train_here(
    send: Callable[[Epoch | Prediction], None],
    recipe: Recipe,
    dataset: "Dataset",
    seed: int,
) -> None:
    model = build(recipe.layer_sizes, dataset.train.image.shape[1:], seed)
    compile_model(model, recipe)
    fit(model, recipe, dataset.train, dataset.validation, send)
    send(predict(model, dataset.test.image))


def fit(
    model: "keras.Model",
    recipe: Recipe,
    train: Batch,
    validation: Batch,
    on_epoch: Callable[[Epoch], None],
) -> None:
    """`model.fit`, calling `on_epoch` after each; raises as `require_finite`."""
    keras = load_keras()

    class EpochClock(keras.callbacks.Callback):  # type: ignore[name-defined]
        """Times the training part of each epoch, and hands the epoch on."""

        def on_epoch_begin(self, epoch, logs=None):
            self.began = time.perf_counter()
            self.trained = None

        def on_test_begin(self, logs=None):  # the validation at the end of the epoch
            self.trained = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            ended = time.perf_counter()
            trained = self.trained or ended
            totals = _totals(logs["accuracy"], logs["loss"], train)
            checked = _totals(
                logs.get("val_accuracy", 0.0), logs.get("val_loss", 0.0), validation
            )
            params = to_dense(model)
            finite = all(np.isfinite(a).all() for layer in params for a in layer)
            require_finite(epoch + 1, totals.loss, checked.loss, weights=finite)
            steps = (epoch + 1) * -(-totals.seen // recipe.batch_size)
            on_epoch(
                Epoch(
                    epoch + 1,
                    TrainState(np.int32(steps), params, ()),
                    totals,
                    (checked,),
                    seconds=trained - self.began,
                    evaluation_seconds=ended - trained,
                )
            )

    held_out = (scaled(validation.image), validation.label)
    model.fit(
        scaled(train.image),
        train.label,
        batch_size=recipe.batch_size,
        epochs=recipe.num_epochs,
        validation_data=held_out if len(validation.label) else None,
        validation_batch_size=1000,
        callbacks=[EpochClock()],  # a batch hook would slow every step
        verbose=0,
    )


def _totals(accuracy: float, mean_loss: float, data: Batch) -> Totals:
    """Keras's means as sums."""
    seen = len(data.label)
    correct, loss = np.int32(round(accuracy * seen)), np.float32(mean_loss * seen)
    return Totals(correct, loss, np.int32(seen))
