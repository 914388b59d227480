"""One neuron a class, the largest weighted sum wins: the simplest classifier here.

Where the winner is wrong, the label's weights gain the inputs and the winner's lose
them; nothing else changes (Kesler's construction: Duda and Hart, 1973, section 5.12).
There is no rate to choose and no random start: a seed decides the order of the images.

With two classes it is the perceptron learning rule: from weights of 0, the second
neuron's weights are the perceptron's, and the first's are their negative.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxnets.batches import epoch_order
from jaxnets.data import NUM_CLASSES, Dataset
from jaxnets.data.checks import require_batch
from jaxnets.neurons.learning import NO_EXAMPLE
from jaxnets.pixels import to_vectors
from jaxnets.training import run_keys
from jaxnets.types import Array, Batch, Dense

BLOCK = 64  # images looked at together for the next mistake
BASELINE_EPOCHS = 3  # of MNIST in half a second; ten of them bring 0.2 points more
Encode = Callable[[jax.Array], jax.Array]  # uint8 [B, H, W] to float32 [B, H * W]


class Learner(NamedTuple):
    """A layer as it learns, and its mean over the run's steps."""

    layer: Dense  # kernel [inputs, classes], after the last step
    average: Dense  # mean over all steps so far (Freund and Schapire, 1999)
    epochs: Array  # int32 []


class Baselines(NamedTuple):
    """Test accuracies that need no network."""

    most_frequent_class: int  # of the training set
    most_frequent_accuracy: float  # of always answering it
    perceptron_epochs: int
    perceptron_accuracy: float  # of the ten-class perceptron's mean over all steps


def ink(images: jax.Array) -> jax.Array:
    """1 where a pixel is darker than half, else 0: a perceptron's binary inputs."""
    return (to_vectors(images) > 0.5).astype(jnp.float32)


def start(num_inputs: int, num_classes: int) -> Learner:
    """All weights 0."""
    kernel = jnp.zeros((num_inputs, num_classes), jnp.float32)
    zeros = Dense(kernel, jnp.zeros(num_classes, jnp.float32))
    return Learner(zeros, zeros, jnp.int32(0))


def make_learn_epoch(
    encode: Encode,
) -> Callable[[Learner, Batch, Array], tuple[Learner, jax.Array]]:
    """An epoch for `jax.jit`.

    `learn_epoch(learner, data, order)` takes the images in the given order, int32
    [steps], and returns the next learner and its mistakes, int32 []. The order may
    end with indices beyond the data; they are no examples.

    The weights change as if one image came after the other. As most are right, the
    next mistake is looked for in a block of images at once; see `_changes`.
    """

    def learn_epoch(
        learner: Learner, data: Batch, order: Array
    ) -> tuple[Learner, jax.Array]:
        missing = -len(order) % BLOCK
        order = jnp.pad(order, (0, missing), constant_values=len(data.label))
        # A change is in the weights after its own step and after all later ones.
        num_steps = jnp.sum(order < len(data.label)).astype(jnp.float32)
        steps = jnp.arange(len(order), dtype=jnp.float32)
        shares = 1 - steps / jnp.maximum(num_steps, 1)

        def learn_block(carry: tuple[Dense, Dense, jax.Array], block: tuple):
            layer, average, mistakes = carry
            indices, shares = block
            images = data.image.at[indices].get(mode="fill", fill_value=0)
            labels = data.label.at[indices].get(mode="fill", fill_value=NO_EXAMPLE)
            inputs = encode(images)
            sums = _sums(_transposed(layer), inputs)
            changes = _changes(sums, inputs, labels)
            layer = _add(layer, changes, inputs)
            average = _add(average, shares[:, None] * changes, inputs)
            return (
                layer,
                average,
                mistakes + jnp.sum(changes > 0, dtype=jnp.int32),
            ), ()

        layer = _transposed(learner.layer)  # a processor is faster so
        blocks = (order.reshape(-1, BLOCK), shares.reshape(-1, BLOCK))
        carry, _ = lax.scan(learn_block, (layer, layer, jnp.int32(0)), blocks)
        layer, of_epoch = map(_transposed, carry[:2])
        epochs = learner.epochs + 1
        average = jax.tree.map(
            lambda mean, new: mean + (new - mean) / epochs.astype(jnp.float32),
            learner.average,
            of_epoch,
        )
        return Learner(layer, average, epochs), carry[2]

    return learn_epoch


def count_correct(layer: Dense, data: Batch, encode: Encode) -> jax.Array:
    """How many images a layer gets right, int32 []."""
    answers = jnp.argmax(_sums(layer, encode(data.image)), axis=1)
    return jnp.sum(answers == data.label, dtype=jnp.int32)


def baselines(dataset: Dataset, seed: int) -> Baselines:
    """What needs no network: the most frequent class, and a ten-class perceptron.

    Args:
      dataset: the training and the test set are used.
      seed: decides the order of the images in each of BASELINE_EPOCHS epochs.

    Raises:
      InputError: no images, labels that do not fit them, or an impossible seed.
    """
    train, test = dataset.train, dataset.test
    for batch in (train, test):
        require_batch(batch)

    def learn_and_test(key: jax.Array, train: Batch, test: Batch) -> jax.Array:
        learn_epoch = make_learn_epoch(to_vectors)

        def one_epoch(learner: Learner, epoch: jax.Array):
            return learn_epoch(
                learner, train, epoch_order(key, epoch, len(train.label))
            )

        learner = start(train.image[0].size, NUM_CLASSES)
        learner, _ = lax.scan(one_epoch, learner, jnp.arange(BASELINE_EPOCHS))
        return count_correct(learner.average, test, to_vectors)

    # One program for all epochs: there is little to run and much to compile.
    correct = jax.jit(learn_and_test)(run_keys(seed).data, train, test)
    frequent = int(np.argmax(np.bincount(train.label)))
    return Baselines(
        most_frequent_class=frequent,
        most_frequent_accuracy=float(np.mean(test.label == frequent)),
        perceptron_epochs=BASELINE_EPOCHS,
        perceptron_accuracy=int(correct) / len(test.label),
    )


def _changes(sums: jax.Array, inputs: jax.Array, labels: jax.Array) -> jax.Array:
    """How each image of a block changes each neuron: 1, -1 or 0 times its inputs.

    A mistake changes the sums of the block's later images by products of inputs, so
    that the weights themselves can wait for the end of the block.

    Args:
      sums: float32 [BLOCK, classes], with the weights before the block.
      inputs: float32 [BLOCK, n].
      labels: int32 [BLOCK].

    Returns:
      float32 [BLOCK, classes].
    """
    classes, places = jnp.arange(sums.shape[1]), jnp.arange(BLOCK)

    def next_mistake(sums: jax.Array, place: jax.Array | int) -> jax.Array:
        """The first mistake from `place` on; BLOCK where there is none."""
        wrong = (jnp.argmax(sums, axis=1) != labels) & (labels != NO_EXAMPLE)
        return jnp.min(jnp.where(wrong & (places >= place), places, BLOCK))

    def learn_one(state: tuple[jax.Array, jax.Array, jax.Array]):
        sums, changes, place = state
        gains, loses = classes == labels[place], classes == jnp.argmax(sums[place])
        change = gains.astype(jnp.float32) - loses.astype(jnp.float32)
        products = _dot(inputs, inputs[place]) + 1  # 1 for the bias
        sums = sums + products[:, None] * change[None, :]
        return sums, changes.at[place].set(change), next_mistake(sums, place + 1)

    state = (sums, jnp.zeros_like(sums), next_mistake(sums, 0))
    return lax.while_loop(lambda state: state[2] < BLOCK, learn_one, state)[1]


def _add(layer: Dense, changes: jax.Array, inputs: jax.Array) -> Dense:
    """A layer, its kernel as [out, in], after the changes that a block makes."""
    kernel = layer.kernel + _dot(changes.T, inputs)
    return Dense(kernel, layer.bias + jnp.sum(changes, axis=0))


def _transposed(layer: Dense) -> Dense:
    return Dense(layer.kernel.T, layer.bias)


def _sums(layer: Dense, inputs: jax.Array) -> jax.Array:
    """Weighted sums float32 [B, classes] of inputs [B, n]."""
    return _dot(inputs, layer.kernel) + layer.bias[None, :]


def _dot(left: jax.Array, right: jax.Array) -> jax.Array:
    """A product without the short formats of some accelerators."""
    return jnp.dot(left, right, precision="highest")
