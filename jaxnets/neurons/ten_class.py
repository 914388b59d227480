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
from jaxnets.data import Dataset
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
    """

    def learn_epoch(
        learner: Learner, data: Batch, order: Array
    ) -> tuple[Learner, jax.Array]:
        data = jax.tree.map(jnp.asarray, data)
        num_examples = len(data.label)
        order = jnp.pad(order, (0, -len(order) % BLOCK), constant_values=num_examples)
        # A change is in the weights after its own step and after all later ones.
        num_steps = jnp.sum(order < num_examples).astype(jnp.float32)
        steps = jnp.arange(len(order), dtype=jnp.float32)
        shares = 1 - steps / jnp.maximum(num_steps, 1)

        def learn_block(learning: _Learning, block: tuple[jax.Array, jax.Array]):
            indices, shares = block
            images = data.image.at[indices].get(mode="fill", fill_value=0)
            labels = data.label.at[indices].get(mode="fill", fill_value=NO_EXAMPLE)
            return _learn_block(learning, encode(images), labels, shares), None

        layer = _transposed(learner.layer)
        blocks = (order.reshape(-1, BLOCK), shares.reshape(-1, BLOCK))
        learning = _Learning(layer, layer, jnp.int32(0))
        learning, _ = lax.scan(learn_block, learning, blocks)
        epochs = learner.epochs + 1
        average = jax.tree.map(
            lambda mean, new: mean + (new - mean) / epochs.astype(jnp.float32),
            learner.average,
            _transposed(learning.average),
        )
        return Learner(_transposed(learning.layer), average, epochs), learning.mistakes

    return learn_epoch


def count_correct(layer: Dense, data: Batch, encode: Encode) -> jax.Array:
    """How many images a layer gets right, int32 []."""
    answers = lax.argmax(_sums(layer, encode(data.image)), 1, jnp.int32)
    return jnp.sum(answers == data.label, dtype=jnp.int32)


def baselines(dataset: Dataset, seed: int) -> Baselines:
    """What needs no network: the most frequent class, and a ten-class perceptron.

    The seed decides the order of the images in each of BASELINE_EPOCHS epochs.
    Raises InputError for data or a seed that make no sense.
    """
    train, test = dataset.train, dataset.test
    for batch in (train, test):
        require_batch(batch, dataset.num_classes)

    def learn_and_test(key: jax.Array, train: Batch, test: Batch) -> jax.Array:
        learn_epoch = make_learn_epoch(to_vectors)

        def one_epoch(learner: Learner, epoch: jax.Array):
            order = epoch_order(key, epoch, len(train.label))
            return learn_epoch(learner, train, order)

        learner = start(train.image[0].size, dataset.num_classes)
        learner, _ = lax.scan(one_epoch, learner, jnp.arange(BASELINE_EPOCHS))
        return count_correct(learner.average, test, to_vectors)

    # One program for all epochs: there is little to run and much to compile.
    correct = jax.jit(learn_and_test)(run_keys(seed).data, train, test)
    accuracy = int(correct) / len(test.label)
    return Baselines(*most_frequent(dataset), BASELINE_EPOCHS, accuracy)


def most_frequent(dataset: Dataset) -> tuple[int, float]:
    """The most frequent class of the training set, and its share of the test set."""
    frequent = int(np.argmax(np.bincount(dataset.train.label)))
    return frequent, float(np.mean(dataset.test.label == frequent))


class _Learning(NamedTuple):
    """What changes in an epoch; kernels as [out, in], in which a row is a neuron."""

    layer: Dense
    average: Dense  # of the epoch
    mistakes: jax.Array


def _learn_block(
    learning: _Learning, inputs: jax.Array, labels: jax.Array, shares: jax.Array
) -> _Learning:
    """As if one image came after the other, but from mistake to mistake.

    Most are right, so that all are looked at together. A mistake changes the sums of
    the others by products of inputs, float32 [BLOCK, n]. Of the epoch's steps, a change
    is in the weights for `shares`, float32 [BLOCK]. Labels are int32 [BLOCK].
    """
    places = jnp.arange(BLOCK, dtype=jnp.int32)

    def next_mistake(sums: jax.Array, place: jax.Array | int) -> jax.Array:
        """The first mistake from `place` on; BLOCK where there is none."""
        guesses = lax.argmax(sums, 1, jnp.int32)
        wrong = (guesses != labels) & (labels != NO_EXAMPLE)
        return jnp.min(jnp.where(wrong & (places >= place), places, BLOCK))

    def learn_one(state: tuple[_Learning, jax.Array, jax.Array]):
        (layer, average, mistakes), sums, place = state
        label, guess = labels[place], jnp.argmax(sums[place])

        def changed(layer: Dense, share: jax.Array | float) -> Dense:
            kernel, row = layer.kernel, share * inputs[place]
            kernel = kernel.at[label].add(row).at[guess].add(-row)
            return Dense(kernel, layer.bias.at[label].add(share).at[guess].add(-share))

        products = _dot(inputs, inputs[place]) + 1  # 1 for the bias
        sums = sums.at[:, label].add(products).at[:, guess].add(-products)
        learning = _Learning(
            changed(layer, 1.0), changed(average, shares[place]), mistakes + 1
        )
        return learning, sums, next_mistake(sums, place + 1)

    sums = _sums(_transposed(learning.layer), inputs)
    state = (learning, sums, next_mistake(sums, 0))
    return lax.while_loop(lambda state: state[2] < BLOCK, learn_one, state)[0]


def _transposed(layer: Dense) -> Dense:
    return Dense(layer.kernel.T, layer.bias)


def _sums(layer: Dense, inputs: jax.Array) -> jax.Array:
    """Weighted sums float32 [B, classes] of inputs [B, n]."""
    return _dot(inputs, layer.kernel) + layer.bias[None, :]


def _dot(left: jax.Array, right: jax.Array) -> jax.Array:
    """A product without the short formats of some accelerators."""
    return jnp.dot(left, right, precision="highest")
