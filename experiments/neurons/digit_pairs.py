"""One neuron for two digits: every pair, as perceptron and as sigmoid neuron."""

import itertools
from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiments.kit.run import Row
from experiments.kit.statistics import mcnemar_p_value
from jaxnets.data import Dataset
from jaxnets.errors import InputError
from jaxnets.neurons import sigmoid, ten_class
from jaxnets.neurons.learning import NO_EXAMPLE, learn_pass, silent
from jaxnets.neurons.perceptron import Neuron, fire
from jaxnets.neurons.ten_class import Learner, ink
from jaxnets.types import Array, Batch

SURE = 0.9  # an output above it, or below 1 minus it, is a sure answer


def pairs_of(dataset: Dataset) -> list[tuple[int, int]]:
    """Every two classes of the training examples.

    Raises:
      InputError: the training examples are of one class only.
    """
    classes = np.unique(dataset.train.label).tolist()
    if len(classes) < 2:
        raise InputError(
            f"the {len(dataset.train.label)} training examples are all of one class; "
            "raise --examples"
        )
    return list(itertools.combinations(classes, 2))


def learn(data: Batch, order: Array, max_passes: int) -> tuple[Neuron, jax.Array]:
    """Apply the learning rule until a pass has no mistake, `max_passes` times at most.

    Args:
      data: labels int32 [N], 0 or 1.
      order: of the examples, as `ten_class.make_learn_epoch` takes it.
      max_passes: not traced.

    Returns:
      The perceptron, and the mistakes of each pass, int32 [max_passes]; -1 after the
      last.
    """
    learn_epoch = ten_class.make_learn_epoch(ink)

    def one_pass(state: tuple[Learner, jax.Array]) -> tuple[Learner, jax.Array]:
        learner, mistakes = state
        following, made = learn_epoch(learner, data, order)
        return following, mistakes.at[learner.epochs].set(made)

    def goes_on(state: tuple[Learner, jax.Array]) -> jax.Array:
        passes, mistakes = state[0].epochs, state[1]
        return (passes < max_passes) & (mistakes[jnp.maximum(passes - 1, 0)] != 0)

    start = ten_class.start(data.image[0].size, num_classes=2)
    state = (start, jnp.full(max_passes, -1, jnp.int32))
    (learner, *_), mistakes = jax.lax.while_loop(goes_on, one_pass, state)
    # Of two neurons the second is the perceptron; see `ten_class`.
    return Neuron(learner.kernel[:, 1], learner.bias[1]), mistakes


def learn_sigmoid(data: Batch, order: Array, num_passes: int, rate: float) -> Neuron:
    """The same rule with the sigmoid for the step: descent on the cross-entropy."""
    inputs = ink(jnp.asarray(data.image).at[order].get(mode="fill", fill_value=0))
    targets = jnp.asarray(data.label).at[order].get(mode="fill", fill_value=NO_EXAMPLE)

    def one_pass(_: int, neuron: Neuron) -> Neuron:
        return learn_pass(
            neuron, inputs, targets, activation=jax.nn.sigmoid, rate=rate
        )[0]

    return jax.lax.fori_loop(0, num_passes, one_pass, silent(inputs.shape[1]))


def measure(
    dataset: Dataset, *, max_passes: int, sigmoid_passes: int, rate: float
) -> Iterator[Row]:
    """Train both neurons on each pair and test them, yielding after each pair.

    The perceptron learns until a pass has no mistake, or to the cap. Both see the
    same bits in the same order.
    """
    train, test = dataset.train, dataset.test
    pairs = pairs_of(dataset)
    num_rows = max(int(np.isin(train.label, pair).sum()) for pair in pairs)
    learn_jit = jax.jit(partial(learn, max_passes=max_passes))
    sigmoid_jit = jax.jit(partial(learn_sigmoid, num_passes=sigmoid_passes, rate=rate))
    answers_jit = jax.jit(_answers)
    train_images, test_images = jax.device_put((train.image, test.image))
    for pair in pairs:
        order = np.flatnonzero(np.isin(train.label, pair)).astype(np.int32)
        filled = np.full(num_rows, len(train.label), np.int32)  # one program for all
        filled[: len(order)] = order
        data = Batch(train_images, (train.label == pair[1]).astype(np.int32))
        perceptron, made = learn_jit(data, filled)
        answers = answers_jit(perceptron, sigmoid_jit(data, filled), test_images)
        of_pair = np.isin(test.label, pair)
        fired, outputs = (np.asarray(answer)[of_pair] for answer in answers)
        targets = test.label[of_pair] == pair[1]
        right, smooth_right = fired == targets, (outputs > 0.5) == targets
        unsure = np.maximum(outputs, 1 - outputs) <= SURE
        mistakes = [count for count in made.tolist() if count >= 0]
        yield {
            "digits": list(pair),
            "examples": len(order),
            "converged": mistakes[-1] == 0,
            "passes": len(mistakes),
            "mistakes": sum(mistakes),
            "last_mistakes": mistakes[-1],
            "test_seen": len(targets),
            "test_correct": int(right.sum()),
            "sigmoid_correct": int(smooth_right.sum()),
            "unsure": int(unsure.sum()),
            "unsure_wrong": int((unsure & ~smooth_right).sum()),
            "p_value": mcnemar_p_value(right, smooth_right),
        }


def _answers(
    perceptron: Neuron, smooth: Neuron, images: jax.Array
) -> tuple[jax.Array, jax.Array]:
    bits = ink(images)
    return fire(perceptron, bits), sigmoid.output(smooth, bits)
