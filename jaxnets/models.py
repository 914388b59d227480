"""One record a model: its network, its published settings, what was reported.

A new network is a new entry of `MODELS` and nothing else.
"""

import contextlib
import importlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import jax

from jaxnets import (
    keras_dense,
    optimizers,
    relu_softmax,
    row_rnn,
    sigmoid_mse,
    streaming,
    training,
)
from jaxnets.data import Dataset
from jaxnets.errors import InputError, NonFiniteLoss
from jaxnets.streaming import Read
from jaxnets.training import Epoch
from jaxnets.types import Network, Prediction, Recipe, TrainState


@dataclass(frozen=True, kw_only=True)
class Model:
    """What is known of a model before it is trained."""

    name: str
    network: Network  # of a Keras model, what computes the same from its weights
    recipe: Recipe  # the published settings, each value with its source
    reported: float | None = None  # the write-up's accuracy on MNIST's test set, if any
    cost: Literal["quadratic", "cross_entropy"] = "cross_entropy"
    framework: Literal["jax", "keras"] = "jax"  # what trains it
    color: str = "#000000"  # in figures; of Okabe and Ito's palette for all eyes


class _WhenUsed:
    """A module that is imported when something of it is used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


# Flax takes a third of the time to start, and the other networks do without.
FLAX_NETWORK = cast(Network, _WhenUsed("jaxnets.flax_dense"))

SIGMOID_MSE = Model(
    name="sigmoid_mse",
    network=sigmoid_mse,
    recipe=Recipe(
        layer_sizes=(784, 30, 10),  # Nielsen, chapter 1
        optimizer="sgd",
        learning_rate=3.0,  # eta, the write-up and Nielsen, chapter 1
        batch_size=10,  # mini_batch_size, likewise
        num_epochs=30,  # the write-up
    ),
    reported=0.1041,
    cost="quadratic",
    color="#0072B2",
)
RELU_SOFTMAX = Model(
    name="relu_softmax",
    network=relu_softmax,
    recipe=Recipe(
        layer_sizes=(784, 100, 200, 10),  # the write-up says "multiple dense layers"
        optimizer="sgd",
        learning_rate=0.1,  # not in the write-up
        batch_size=64,  # the write-up
        num_epochs=32,  # the write-up
    ),
    reported=0.971,
    color="#D55E00",
)
KERAS_DENSE = Model(
    name="keras_dense",
    network=FLAX_NETWORK,
    recipe=Recipe(
        layer_sizes=(784, 1024, 10),  # the write-up
        optimizer="adam",
        learning_rate=1e-3,  # Keras's default, which the write-up keeps
        batch_size=32,  # likewise
        num_epochs=5,  # the write-up
    ),
    reported=0.972,
    framework="keras",
    color="#CC79A7",
)
FLAX_DENSE = Model(  # the mirror of keras_dense; the write-up had no such model
    name="flax_dense",
    network=FLAX_NETWORK,
    recipe=KERAS_DENSE.recipe,
    color="#009E73",
)
ROW_RNN = Model(  # the write-up names recurrent networks and trains none
    name="row_rnn",
    network=row_rnn,
    recipe=Recipe(
        layer_sizes=(28, 128, 10),  # a row of pixels, the state, the classes
        optimizer="adam",
        learning_rate=5e-4,  # half of Keras's default: the last epochs are steadier
        batch_size=64,  # as relu_softmax
        num_epochs=15,
    ),
    color="#E69F00",
)
_ALL = (SIGMOID_MSE, RELU_SOFTMAX, KERAS_DENSE, FLAX_DENSE, ROW_RNN)
MODELS: dict[str, Model] = {model.name: model for model in _ALL}
JAX_MODELS = tuple(model.name for model in _ALL if model.framework == "jax")


def get(name: str) -> Model:
    """The model of that name; InputError where there is none."""
    if name not in MODELS:
        raise InputError(f"unknown model {name!r}; known: {', '.join(MODELS)}")
    return MODELS[name]


def validate_recipe(name: str, recipe: Recipe) -> None:
    """Raise InputError where a setting makes no sense whatever the data."""
    get(name)
    rate, sizes = recipe.learning_rate, recipe.layer_sizes
    if not 0 < rate < math.inf:  # nor NaN
        raise InputError(f"{name}: learning rate {rate} must be greater than 0")
    if recipe.optimizer not in optimizers.MAKERS:
        raise InputError(
            f"{name}: unknown optimizer {recipe.optimizer!r}; known: "
            f"{', '.join(optimizers.MAKERS)}"
        )
    if recipe.num_epochs < 1:
        raise InputError(f"{name}: {recipe.num_epochs} epochs; at least 1 is needed")
    if recipe.batch_size < 1:
        raise InputError(f"{name}: batch size {recipe.batch_size} must be at least 1")
    if len(sizes) < 2 or min(sizes) < 1:
        raise InputError(
            f"{name}: layer sizes {sizes} must be two or more, each at least 1"
        )


def validate_fits(name: str, recipe: Recipe, dataset: Dataset) -> None:
    """Raise InputError where a recipe makes no sense, or does not fit the data."""
    validate_recipe(name, recipe)
    sizes, num_examples = recipe.layer_sizes, len(dataset.train.label)
    num_inputs, num_classes = _num_inputs(name, dataset), dataset.num_classes
    fault = None
    if sizes[0] != num_inputs:
        fault = f"layer sizes {sizes} must begin with {num_inputs}, the pixels it takes"
    elif sizes[-1] != num_classes:
        fault = f"layer sizes {sizes} must end with {num_classes}, the classes"
    elif recipe.batch_size > num_examples:
        fault = f"batch size {recipe.batch_size} must be at most {num_examples} images"
    if fault:
        raise dataset.misfit(f"{name}: {fault}")


def adapted(name: str, recipe: Recipe, dataset: Dataset) -> Recipe:
    """The recipe with a model's own layer sizes made to fit the data.

    Inputs and classes become those of the data. Sizes that are not the model's
    published ones were chosen, and stay.
    """
    sizes = recipe.layer_sizes
    if sizes != get(name).recipe.layer_sizes:
        return recipe
    ends = _num_inputs(name, dataset), dataset.num_classes
    return replace(recipe, layer_sizes=(ends[0], *sizes[1:-1], ends[1]))


def _num_inputs(name: str, dataset: Dataset) -> int:
    # A network that does not take the whole image at once says what it takes.
    input_size = getattr(get(name).network, "input_size", math.prod)
    return input_size(dataset.train.image.shape[1:])


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


def train_and_test(
    name: str,
    recipe: Recipe,
    dataset: Dataset,
    seed: int,
    *,
    state: TrainState | None = None,
    mesh: jax.sharding.Mesh | None = None,
    read: Read | None = None,
) -> Iterator[Epoch | Prediction]:
    """Train a model by its recipe, and test it once, at the end.

    Args:
      name, recipe, dataset: what to train, and on what.
      seed: decides the initial weights and the order of the examples.
      state: of an earlier epoch with the same arguments, to go on from. The end is bit
        for bit that of a training that was never stopped.
      mesh: devices to train on, as in `training.fit`; not for Keras.
      read: where the training images come from, as in `streaming.fit_stream`, in place
        of `dataset.train`; not for Keras.

    Returns:
      An iterator of an `Epoch` after each epoch, with host arrays, held out the
      validation set; and at last a `Prediction` of the test set.

    Raises:
      InputError: when called, or by a Keras model later: the recipe makes no sense or
        does not fit the data, the state stands in the middle of an epoch, or Keras is
        given a mesh or what reads the images.
      NonFiniteLoss: training diverged; the message names model, epoch and rate.
    """
    validate_fits(name, recipe, dataset)
    training.require_seed(seed)
    if state is not None:
        training.epochs_done(state, len(dataset.train.label), recipe.batch_size)
    model, network = get(name), get(name).network
    if model.framework == "keras" and (mesh is not None or read is not None):
        raise InputError(f"{name} is Keras's, which takes no mesh and no read")

    def events() -> Iterator[Epoch | Prediction]:
        with divergence_named(name, recipe):
            if model.framework == "keras":
                yield from keras_dense.train_and_test(
                    recipe, dataset, seed, state=state
                )
                return
            keys, tx, reached = training.run_keys(seed), optimizers.make(recipe), state
            if reached is None:
                params = network.init(keys.init, recipe.layer_sizes)
                reached = training.start(params, tx)
            work = (network.loss_fn, tx, reached)
            options: Any = {
                "held_out": (dataset.validation,),
                "batch_size": recipe.batch_size,
                "num_epochs": recipe.num_epochs,
                "num_classes": dataset.num_classes,
                "mesh": mesh,
            }
            if read is None:
                options |= {"train": dataset.train, "key": keys.data}
                epochs = training.fit(*work, **options)
            else:
                options |= {"read": read, "num_examples": len(dataset.train.label)}
                epochs = streaming.fit_stream(*work, **options)
            for epoch in epochs:
                reached = jax.device_get(epoch.state)
                yield epoch._replace(state=reached)
            predict = jax.jit(training.make_predict(network.predict))
            yield jax.device_get(predict(reached.params, dataset.test.image))

    return events()


def state_like(name: str, recipe: Recipe) -> TrainState:
    """Shapes and dtypes of the states of `train_and_test`, for `checkpoint.restore`."""
    model = get(name)

    def begin() -> TrainState:
        params = model.network.init(jax.random.key(0), recipe.layer_sizes)
        return training.start(params, optimizers.make(recipe))

    state = jax.eval_shape(begin)
    if model.framework == "keras":
        opt_state = keras_dense.optimizer_like(state.params, recipe)
        return state._replace(opt_state=opt_state)
    return state
