"""One neuron for two digits: every pair, as perceptron and as sigmoid neuron."""

import itertools
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from experiments.neurons.convergence import Examples, learn, make_examples
from jaxnets.data import Dataset
from jaxnets.errors import InputError
from jaxnets.neurons import sigmoid
from jaxnets.neurons.learning import learn_pass, silent
from jaxnets.neurons.perceptron import Neuron, fire
from jaxnets.types import Batch

LEVEL = 127  # a brighter pixel is an input of 1
SURE = 0.9  # an output above it, or below 1 minus it, is a sure answer
Pair = tuple[int, int]


def pairs_of(dataset: Dataset) -> list[Pair]:
    """Every two classes of the training examples."""
    classes = np.unique(dataset.train.label).tolist()
    return list(itertools.combinations(classes, 2))


def check(dataset: Dataset) -> None:
    """Raise InputError where the training examples are of one class only."""
    if not pairs_of(dataset):
        raise InputError(
            f"the {len(dataset.train.label)} training examples are all of one class; "
            "raise --examples"
        )


def of_pair(data: Batch, pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    """Bits uint8 [N, pixels] and targets int32 [N]: 1 for the pair's second digit."""
    chosen = np.isin(data.label, pair)
    images = data.image[chosen]
    bits = (images.reshape(len(images), -1) > LEVEL).astype(np.uint8)
    return bits, (data.label[chosen] == pair[1]).astype(np.int32)


def sigmoid_learn(examples: Examples, num_passes: int, rate: float) -> Neuron:
    """The same rule with the sigmoid for the step: descent on the cross-entropy."""
    inputs = examples.inputs.reshape(-1, examples.inputs.shape[-1])
    targets = examples.targets.reshape(-1)

    def one_pass(neuron: Neuron, _: None):
        learned = learn_pass(
            neuron, inputs, targets, activation=jax.nn.sigmoid, rate=rate
        )
        return learned[0], None

    return jax.lax.scan(one_pass, silent(inputs.shape[1]), None, num_passes)[0]


def measure(
    dataset: Dataset, *, max_passes: int, sigmoid_passes: int, rate: float
) -> Iterator[tuple[dict[str, Any], tuple[np.ndarray, np.ndarray]]]:
    """Train both neurons on each pair and test them, yielding after each pair.

    The perceptron learns until a pass has no mistake, or to the cap. Both see the
    same bits in the same order.

    Yields:
      A row of numbers; and bool [test images], where the perceptron and where the
      sigmoid neuron is right.
    """
    pairs = pairs_of(dataset)
    num_rows, num_tests = (
        max(int(np.isin(part.label, pair).sum()) for pair in pairs)
        for part in (dataset.train, dataset.test)
    )
    answers_jit = jax.jit(_answers)
    learn_jit = jax.jit(learn, static_argnums=1)
    sigmoid_jit = jax.jit(sigmoid_learn, static_argnums=1)
    for pair in pairs:
        examples = make_examples(*of_pair(dataset.train, pair), num_rows)
        learned = learn_jit(examples, max_passes)
        smooth = sigmoid_jit(examples, sigmoid_passes, rate)
        bits, targets = of_pair(dataset.test, pair)
        filled = np.pad(bits, ((0, num_tests - len(bits)), (0, 0)))  # one program
        fired, outputs = (
            np.asarray(answers)[: len(bits)]
            for answers in answers_jit(learned.neuron, smooth, filled)
        )
        right = fired == targets
        smooth_right = (outputs > 0.5) == targets
        sure = np.maximum(outputs, 1 - outputs) > SURE
        passes, mistakes = int(learned.passes), np.asarray(learned.mistakes)
        row = {
            "digits": list(pair),
            "examples": int((examples.targets >= 0).sum()),
            "converged": learned.converged,
            "passes": passes,
            "mistakes": int(mistakes[:passes].sum()),
            "last_mistakes": int(mistakes[passes - 1]),
            "test_seen": len(targets),
            "test_correct": int(right.sum()),
            "sigmoid_correct": int(smooth_right.sum()),
            "unsure": int((~sure).sum()),
            "unsure_wrong": int((~sure & ~smooth_right).sum()),
        }
        yield row, (right, smooth_right)


def _answers(
    perceptron: Neuron, smooth: Neuron, bits: jax.Array
) -> tuple[jax.Array, jax.Array]:
    return fire(perceptron, bits), sigmoid.output(smooth, bits)
