"""Model 1 cut into pieces, and the likely mistakes: one piece replaced each.

Healthy, the pieces together are `sigmoid_mse` with its recipe's optimizer and an
evaluation that counts every image. Model 3 in Flax is put together likewise.
"""

import itertools
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnets import flax_dense, optimizers, sigmoid_mse
from jaxnets.diagnose import Cost
from jaxnets.ensemble import Init
from jaxnets.losses import quadratic_cost, softmax_cross_entropy
from jaxnets.pixels import for_bytes, to_vectors
from jaxnets.types import Batch, Dense, Layers, LossFn, Recipe, Totals, count

Inputs = Callable[[jax.Array], jax.Array]  # uint8 images [B, H, W] to [B, H * W]
Optimizer: TypeAlias = optax.GradientTransformation
Outputs = list[jax.Array]  # of every layer, float32 [B, size]

TEN = 10  # classes, and images in a mini-batch: a mix-up of the two goes unnoticed
RAW = "pixels left at 0 to 255"


def sigmoid_layers(inputs: Inputs, params: Layers, images: jax.Array) -> Outputs:
    """Activations [B, size] of every layer of Model 1, the outputs last."""
    activations = [inputs(images)]
    for layer in params:
        weighted = activations[-1] @ layer.kernel + layer.bias[None, :]
        activations.append(jax.nn.sigmoid(weighted))
    return activations[1:]


def share_right(answers: np.ndarray, labels: np.ndarray) -> float:
    """The share of answers [n] that are the label; labels are [N], n at most N."""
    return float(np.mean(answers == labels[: len(answers)]))


class Program(NamedTuple):
    """A program that trains and tests a network, right or wrong."""

    name: str
    mistake: str  # in words
    sign: str | None = None  # kind of the first finding of `jaxnets.diagnose`
    init: Callable[[jax.Array, tuple[int, ...]], Layers] = sigmoid_mse.init
    inputs: Inputs = to_vectors
    layers: Callable[[Inputs, Layers, jax.Array], Outputs] = sigmoid_layers
    cost: Callable[[jax.Array, jax.Array], jax.Array] = quadratic_cost  # per example
    reduce: Callable[[jax.Array], jax.Array] = jnp.mean  # what is minimised
    optimizer: Callable[[Recipe], Optimizer] = optimizers.make
    data: Callable[[Batch], Batch] = Batch._make
    answer: Callable[[np.ndarray], np.ndarray] = lambda outputs: outputs.argmax(axis=-1)
    score: Callable[[np.ndarray, np.ndarray], float] = share_right
    right_cost: Cost = "quadratic"

    def learns_as(self, other: "Program") -> bool:
        """Whether both train the same way, and differ in the evaluation alone."""
        pieces = set(self._fields) - {"name", "mistake", "sign", "answer", "score"}
        return all(getattr(self, piece) == getattr(other, piece) for piece in pieces)

    def network(self, recipe: Recipe) -> tuple[Init, LossFn, Optimizer]:
        """What `ensemble` takes first."""
        sizes, tx = recipe.layer_sizes, self.optimizer(recipe)
        return (lambda key: self.init(key, sizes)), self.loss_fn, tx

    def loss_fn(self, params: Layers, batch: Batch) -> tuple[jax.Array, Totals]:
        """As a network's `loss_fn`, with the program's own pieces."""
        outputs = self.layers(self.inputs, params, batch.image)[-1]
        losses = self.cost(outputs, batch.label)
        return self.reduce(losses), count(outputs, losses, batch.label)


def bytes_as_numbers(images: jax.Array) -> jax.Array:
    """Pixels as they are stored: float32 [B, H * W] in 0 to 255."""
    return images.reshape(images.shape[0], -1).astype(jnp.float32)


def labels_apart(train: Batch) -> Batch:
    """The images in their order, the labels in another."""
    order = np.random.default_rng(0).permutation(len(train.label))
    return Batch(train.image, train.label[order])


def output_mean(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """A library's mean squared error: a fifth of the quadratic cost of ten outputs."""
    targets = jax.nn.one_hot(labels, outputs.shape[-1], dtype=outputs.dtype)
    return jnp.mean((outputs - targets) ** 2, axis=-1)


def integer_labels(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    """The quadratic cost with the label's number as target of every output."""
    targets = jnp.asarray(labels, outputs.dtype)[:, None]  # implicit in NumPy
    return 0.5 * jnp.sum((outputs - targets) ** 2, axis=-1)


def wrong_axis(outputs: np.ndarray) -> np.ndarray:
    """`argmax(axis=0)` of each mini-batch: for every class an image's place.

    Ten images with ten outputs each give ten numbers either way. Images that fill no
    mini-batch are left out, as the shapes would not fit.
    """
    full = outputs[: len(outputs) // TEN * TEN].reshape(-1, TEN, outputs.shape[-1])
    return full.argmax(axis=1).ravel()


def one_hot_rows(answers: np.ndarray, labels: np.ndarray) -> float:
    """`mean(answer == one_hot(label))`: each answer against the ten 0s and 1s.

    An answer 0 equals nine of them and an answer 1 one of them, whatever the label,
    other answers none: (9 n0 + n1) / (10 n) of n images.
    """
    return float(np.mean(answers[:, None] == np.eye(TEN)[labels]))


def used_up(train: Batch) -> Batch:
    """What is left of an iterator once somebody has counted it."""
    examples = zip(*train, strict=True)
    sum(1 for _ in examples)
    return Batch(*(array[: len(list(examples))] for array in train))


def all_equal(value: float, key: jax.Array, layer_sizes: tuple[int, ...]) -> Layers:
    """Every weight and bias the same."""
    del key
    full = partial(jnp.full, fill_value=value, dtype=jnp.float32)
    pairs = itertools.pairwise(layer_sizes)
    return tuple(Dense(full((inputs, size)), full(size)) for inputs, size in pairs)


HEALTHY = Program("healthy", "none")
_MISTAKES = (
    Program("bytes", RAW, "byte_range", inputs=bytes_as_numbers),
    Program(
        "labels_apart", "images and labels shuffled apart", "labels", data=labels_apart
    ),
    Program("batch_sum", "sum over the mini-batch", "saturated", reduce=jnp.sum),
    Program(
        "output_mean", "mean over the outputs as well", "other_cost", cost=output_mean
    ),
    Program(
        "integer_labels",
        "integers in place of one-hot rows",
        "other_cost",
        cost=integer_labels,
    ),
    Program("wrong_axis", "arg-max along the images", "evaluation", answer=wrong_axis),
    Program(
        "one_hot_rows",
        "answers compared with one-hot rows",
        "evaluation",
        score=one_hot_rows,
    ),
    Program("used_up", "data iterator used up", "untrained", data=used_up),
    Program(
        "thrown_away",
        "new parameters thrown away",
        "untrained",
        optimizer=lambda _: optax.set_to_zero(),
    ),
    Program("all_zero", "weights all 0", "equal_weights", init=partial(all_equal, 0.0)),
    Program("all_one", "weights all 1", "equal_weights", init=partial(all_equal, 1.0)),
    Program(
        "uphill",
        "sign of the gradient",
        "diverging",
        optimizer=lambda recipe: optax.sgd(-recipe.learning_rate),
    ),
)
MISTAKES = {program.name: program for program in _MISTAKES}
PROGRAMS = {"healthy": HEALTHY, **MISTAKES}  # of Model 1


def flax_logits(inputs: Inputs, params: Layers, images: jax.Array) -> Outputs:
    """Model 3's outputs [B, classes]; its module scales the pixels itself."""
    is_bytes = inputs is bytes_as_numbers
    return [flax_dense.apply(for_bytes(params) if is_bytes else params, images)]


SCALED = Program(
    "flax_dense, scaled",
    "none",
    init=flax_dense.init,
    layers=flax_logits,
    cost=softmax_cross_entropy,
    right_cost="cross_entropy",
)
BYTES = SCALED._replace(
    name="flax_dense, bytes", mistake=RAW, sign="byte_range", inputs=bytes_as_numbers
)
