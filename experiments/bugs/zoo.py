"""The likely mistakes in Model 1: the healthy program with one piece replaced each."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.bugs.program import Program
from jaxnets.models import Recipe
from jaxnets.types import Batch, Dense, Params

TEN = 10  # classes, and images in a mini-batch: a mix-up of the two goes unnoticed


def bytes_as_numbers(images: jax.Array) -> jax.Array:
    """Pixels as they are stored: float32 [B, H * W] in 0 to 255."""
    return images.reshape(images.shape[0], -1).astype(jnp.float32)


def labels_shuffled_apart(train: Batch) -> Batch:
    """The images in their order, the labels in another."""
    order = np.random.default_rng(0).permutation(len(train.label))
    return Batch(train.image, train.label[order])


def mean_over_outputs(activations: jax.Array, labels: jax.Array) -> jax.Array:
    """A library's mean squared error: a fifth of the quadratic cost of ten outputs."""
    targets = jax.nn.one_hot(labels, activations.shape[-1])
    return jnp.mean((activations - targets) ** 2, axis=-1)


def integers_as_targets(activations: jax.Array, labels: jax.Array) -> jax.Array:
    """The quadratic cost with the label's number as target of every output."""
    targets = jnp.broadcast_to(labels[:, None], activations.shape)
    return 0.5 * jnp.sum((activations - targets) ** 2, axis=-1)


def places_in_the_batch(outputs: np.ndarray) -> np.ndarray:
    """`argmax(axis=0)` of each mini-batch: for every class an image's place.

    Ten images with ten outputs each give ten numbers either way. Images that fill no
    mini-batch are left out, as the shapes would not fit.
    """
    full = outputs[: len(outputs) // TEN * TEN].reshape(-1, TEN, outputs.shape[-1])
    return full.argmax(axis=1).ravel()


def share_of_equal_numbers(answers: np.ndarray, labels: np.ndarray) -> float:
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


def thrown_away(recipe: Recipe) -> optax.GradientTransformation:
    """Steps whose result nobody keeps, which is as good as none."""
    del recipe
    return optax.set_to_zero()


def uphill(recipe: Recipe) -> optax.GradientTransformation:
    """Steps along the gradient in place of against it."""
    return optax.sgd(-recipe.learning_rate)


def all_zero(key: jax.Array, layer_sizes: tuple[int, ...]) -> Params:
    """Every weight and bias 0."""
    del key
    return _all_equal(0.0, layer_sizes)


def all_one(key: jax.Array, layer_sizes: tuple[int, ...]) -> Params:
    """Every weight and bias 1."""
    del key
    return _all_equal(1.0, layer_sizes)


def _all_equal(value: float, layer_sizes: tuple[int, ...]) -> Params:
    return tuple(
        Dense(jnp.full((num_in, num_out), value), jnp.full(num_out, value))
        for num_in, num_out in itertools.pairwise(layer_sizes)
    )


HEALTHY = Program("healthy", "none")
_MISTAKES = (  # name, words, first finding of `diagnose`, the piece replaced
    ("bytes", "pixels left at 0 to 255", "byte_range", {"inputs": bytes_as_numbers}),
    (
        "labels_apart",
        "images and labels shuffled apart",
        "labels",
        {"training_data": labels_shuffled_apart},
    ),
    ("batch_sum", "sum over the mini-batch", "saturated", {"reduce": jnp.sum}),
    (
        "output_mean",
        "mean over the outputs as well",
        "other_cost",
        {"cost": mean_over_outputs},
    ),
    (
        "integer_labels",
        "integers in place of one-hot rows",
        "other_cost",
        {"cost": integers_as_targets},
    ),
    (
        "wrong_axis",
        "arg-max along the images",
        "evaluation",
        {"answer": places_in_the_batch},
    ),
    (
        "one_hot_rows",
        "answers compared with one-hot rows",
        "evaluation",
        {"score": share_of_equal_numbers},
    ),
    ("used_up", "data iterator used up", "untrained", {"training_data": used_up}),
    (
        "thrown_away",
        "new parameters thrown away",
        "untrained",
        {"optimizer": thrown_away},
    ),
    ("all_zero", "weights all 0", "equal_weights", {"init": all_zero}),
    ("all_one", "weights all 1", "equal_weights", {"init": all_one}),
    ("uphill", "sign of the gradient", "diverging", {"optimizer": uphill}),
)
ZOO: dict[str, Program] = {
    name: HEALTHY._replace(name=name, mistake=words, sign=sign, **piece)
    for name, words, sign, piece in _MISTAKES
}
