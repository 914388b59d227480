"""Model 3: the tf.keras network of the write-up, built and trained Keras's way.

TensorFlow loads when it is needed, not before. `train_and_test` runs it in a process
of its own, so that it shares neither memory nor threads with JAX.
"""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxnets import process
from jaxnets.errors import InputError
from jaxnets.keras_network import build, load_keras
from jaxnets.pixels import WHITE
from jaxnets.training import Epoch, epochs_done, require_data, require_finite
from jaxnets.types import Batch, Dense, Layers, Prediction, Recipe, Totals, TrainState

if TYPE_CHECKING:
    import keras

    from jaxnets.data import Dataset

# Layers without weights that change nothing, or what `keras_file` looks at.
PASSED_BY = ("InputLayer", "Rescaling", "Flatten", "Dropout", "Softmax")
OptimizerState = tuple[Any, ...]  # arrays: updates so far, the rate, Adam's averages
AVERAGES = {"adam": 2, "sgd": 0}  # arrays that the optimizer keeps for each weight's


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
        elif (activation := activation_name(layer)) not in known:
            fault = f"has the activation {activation}, not {' or '.join(known)}"
        if fault:
            raise InputError(f"layer {layer.name!r} {fault}")
    return tuple(Dense(*layer.get_weights()) for layer in layers)


def activation_name(layer: "keras.Layer") -> str:
    """Of a Dense layer; an activation may be a layer too, which has a type alone."""
    activation = layer.activation
    return getattr(activation, "__name__", type(activation).__name__)


def _kind(layer: "keras.Layer") -> str:
    return type(layer).__name__


def from_dense(model: "keras.Model", params: Layers) -> None:
    """Set the model's weights, bit for bit."""
    model.set_weights([np.asarray(array) for layer in params for array in layer])


def predict(model: "keras.Model", images: np.ndarray) -> Prediction:
    """Classes and probabilities of images uint8 [B, H, W]."""
    probability = model.predict(scaled(images), batch_size=1000, verbose=0)
    return Prediction(probability.argmax(axis=-1).astype(np.int32), probability)


def get_state(model: "keras.Model", num_steps: int) -> TrainState:
    """All that changes while the model trains, as arrays; see `optimizer_like`."""
    variables = (variable.numpy() for variable in model.optimizer.variables)
    return TrainState(np.int32(num_steps), to_dense(model), tuple(variables))


def set_state(model: "keras.Model", state: TrainState) -> None:
    """Let a compiled model go on from what `get_state` gave."""
    from_dense(model, state.params)
    model.optimizer.build(model.trainable_variables)
    pairs = zip(model.optimizer.variables, state.opt_state, strict=True)
    for variable, array in pairs:
        variable.assign(array)


def optimizer_like(params: Layers, recipe: Recipe) -> OptimizerState:
    """Shapes and dtypes of the optimizer's variables, in Keras's order."""
    dtypes = (np.int64, np.float32)  # of the number of updates, of the learning rate
    scalars = (jax.ShapeDtypeStruct((), dtype) for dtype in dtypes)
    count = AVERAGES[recipe.optimizer]
    return (*scalars, *(a for a in jax.tree.leaves(params) for _ in range(count)))


def train_and_test(
    recipe: Recipe, dataset: "Dataset", seed: int, *, state: TrainState | None = None
) -> Iterator[Epoch | Prediction]:
    """As `models.train_and_test`, by `model.fit` in a process of its own.

    Keras compiles within the first epoch, whose `seconds` hold that too.
    """
    yield from process.iterate(
        _train_here, recipe, dataset, seed, state, without=process.KERAS_DOES_WITHOUT
    )


def _train_here(
    send: Callable[[Epoch | Prediction], None],
    recipe: Recipe,
    dataset: "Dataset",
    seed: int,
    state: TrainState | None,
) -> None:
    model = build(recipe.layer_sizes, dataset.train.image.shape[1:], seed)
    compile_model(model, recipe)
    parts = dataset.train, dataset.validation
    for epoch in fit(model, recipe, *parts, seed=seed, state=state):
        send(epoch)
    send(predict(model, dataset.test.image))


def fit(
    model: "keras.Model",
    recipe: Recipe,
    train: Batch,
    validation: Batch,
    *,
    seed: int,
    state: TrainState | None = None,
) -> Iterator[Epoch]:
    """`model.fit`, epoch by epoch, yielding after each; raises as `training.fit`.

    Keras keeps the order of the images in a generator that cannot be saved, and on
    TensorFlow one call after `keras.utils.set_random_seed` takes them in the same order
    in all its epochs (without a seed it does not). So each epoch is a call of its own,
    with a seed made of the run's and of the epoch's number, and the order depends on
    the two alone.

    Args:
      model: compiled; with a state its weights are set.
      recipe, train, validation: how to train, on what, and what to evaluate after each
        epoch; the validation set may be empty.
      seed: decides the order of the images.
      state: of an earlier epoch, to go on from.
    """
    num_classes = recipe.layer_sizes[-1]
    require_data(
        train, (validation,), recipe.batch_size, recipe.num_epochs, num_classes
    )
    keras = load_keras()
    num_examples, first = len(train.label), 0
    if state is not None:
        first = epochs_done(state, num_examples, recipe.batch_size)
        set_state(model, state)
    image, label = keras.ops.convert_to_tensor(scaled(train.image)), train.label
    held_out = scaled(validation.image)
    steps_per_epoch = -(-num_examples // recipe.batch_size)
    for number in range(first, recipe.num_epochs):
        keras.utils.set_random_seed(epoch_seed(seed, number))
        began = time.perf_counter()
        history = model.fit(image, label, batch_size=recipe.batch_size, verbose=0)
        trained = time.perf_counter()
        ((loss,), (accuracy,)) = (history.history[n] for n in ("loss", "accuracy"))
        totals, checked = _totals(accuracy, loss, train), _totals(0, 0, validation)
        if len(validation.label):
            loss, accuracy = model.evaluate(
                held_out, validation.label, batch_size=1000, verbose=0
            )
            checked = _totals(accuracy, loss, validation)
        evaluated = time.perf_counter()
        after = get_state(model, (number + 1) * steps_per_epoch)
        weights = jax.tree.leaves(after.params)
        finite = all(np.isfinite(array).all() for array in weights)
        require_finite(number + 1, totals.loss, checked.loss, weights=finite)
        yield Epoch(
            number + 1,
            after,
            totals,
            (checked,),
            seconds=trained - began,
            evaluation_seconds=evaluated - trained,
        )


def epoch_seed(seed: int, number: int) -> int:
    """A seed for an epoch, 0 to 2**32 - 1, by NumPy's way to mix numbers."""
    return int(np.random.SeedSequence((seed, number)).generate_state(1)[0])


def _totals(accuracy: float, mean_loss: float, data: Batch) -> Totals:
    """Keras's means as sums."""
    seen = len(data.label)
    correct, loss = np.int32(round(accuracy * seen)), np.float32(mean_loss * seen)
    return Totals(correct, loss, np.int32(seen))
