"""Neurons that learn: gates, every two digits, and all ten with a neuron each."""

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from experiments.kit.run import Row
from experiments.kit.statistics import mcnemar_p_value
from experiments.neurons.nets import GATES, all_inputs
from jaxnets.batches import epoch_order
from jaxnets.data import NUM_CLASSES, Dataset
from jaxnets.errors import InputError
from jaxnets.neurons import sigmoid, ten_class
from jaxnets.neurons.learning import NO_EXAMPLE, learn_pass, silent
from jaxnets.neurons.perceptron import Neuron, fire
from jaxnets.pixels import to_vectors
from jaxnets.training import run_keys
from jaxnets.types import Batch, Dense

SURE = 0.9  # an output above it, or below 1 minus it, is a sure answer
INPUTS = {"binary": ten_class.ink, "grey": to_vectors}  # of the ten-class perceptron
LAYERS = {"last": "last step", "average": "mean over all steps"}

_learn_epoch = jax.jit(ten_class.make_learn_epoch(ten_class.ink))


def learn_gates(max_passes: int) -> dict[str, dict[str, object]]:
    """What the learning rule makes of the truth tables of two bits.

    `returns` are two passes after which the weights are the same, or None. The rule
    sees the same examples in the same order, so weights that come back do so for ever,
    and no larger cap would help.
    """
    inputs = all_inputs(2)
    learn = jax.jit(learn_pass)
    learned: dict[str, dict[str, object]] = {}
    for name, (_, truth) in GATES.items():
        targets = truth(*inputs.T).astype(np.int32)
        neuron = silent(2)
        mistakes: list[int] = []
        states: list[tuple[float, ...]] = []
        while len(mistakes) < max_passes and 0 not in mistakes[-1:]:
            neuron, wrong = learn(neuron, inputs, targets)
            mistakes.append(int(wrong))
            states.append((*neuron.weights.tolist(), float(neuron.bias)))
        returns = (
            [states.index(state) + 1, number]
            for number, state in enumerate(states, start=1)
            if state in states[: number - 1]
        )
        learned[name] = {
            "converged": mistakes[-1] == 0,
            "passes": len(mistakes),
            "mistakes": mistakes,
            "weights": list(states[-1][:2]),
            "bias": states[-1][2],
            "returns": None if mistakes[-1] == 0 else next(returns, None),
        }
    return learned


def pairs_of(dataset: Dataset) -> list[tuple[int, int]]:
    """Every two classes of the training examples; InputError where there is one."""
    classes = np.unique(dataset.train.label).tolist()
    if len(classes) < 2:
        raise InputError(
            f"the {len(dataset.train.label)} training examples are all of one class; "
            "raise --examples"
        )
    return list(itertools.combinations(classes, 2))


def learn(data: Batch, max_passes: int) -> tuple[Neuron, list[int]]:
    """Apply the learning rule until a pass has no mistake, `max_passes` times at most.

    Labels are 0, 1, or NO_EXAMPLE. Also returns the mistakes of each pass.
    """
    learner = ten_class.start(data.image[0].size, num_classes=2)
    mistakes: list[int] = []
    while len(mistakes) < max_passes and 0 not in mistakes[-1:]:
        learner, made = _learn_epoch(learner, data, np.arange(len(data.label)))
        mistakes.append(int(made))
    # Of two neurons the second is the perceptron; see `ten_class`.
    return Neuron(learner.layer.kernel[:, 1], learner.layer.bias[1]), mistakes


def pair_rows(
    dataset: Dataset, max_passes: int, sigmoid_passes: int, rate: float
) -> Iterator[Row]:
    """Train a perceptron and a sigmoid neuron on each pair, and test them.

    Both see the same bits in the same order. With the sigmoid in place of the step the
    rule is descent on the cross-entropy.
    """
    train, test = dataset.train, dataset.test
    pairs = pairs_of(dataset)
    smooth_rule = partial(learn_pass, activation=jax.nn.sigmoid, rate=rate)
    smooth_pass, ink = jax.jit(smooth_rule), jax.jit(ten_class.ink)
    fire_jit, output_jit = jax.jit(fire), jax.jit(sigmoid.output)
    test_bits = ink(test.image)
    all_places = {pair: np.flatnonzero(np.isin(train.label, pair)) for pair in pairs}
    longest = max(map(len, all_places.values()))
    for pair, places in all_places.items():
        filling = (0, longest - len(places))  # up to one length, for one program
        targets = (train.label[places] == pair[1]).astype(np.int32)
        targets = np.pad(targets, filling, constant_values=NO_EXAMPLE)
        data = jax.device_put(Batch(train.image[np.pad(places, filling)], targets))
        perceptron, mistakes = learn(data, max_passes)
        bits, smooth = ink(data.image), silent(test_bits.shape[1])
        for _ in range(sigmoid_passes):
            smooth, _ = smooth_pass(smooth, bits, data.label)
        of_pair = np.isin(test.label, pair)
        labels = test.label[of_pair] == pair[1]
        right = np.asarray(fire_jit(perceptron, test_bits))[of_pair] == labels
        outputs = np.asarray(output_jit(smooth, test_bits))[of_pair]
        smooth_right = (outputs > 0.5) == labels
        unsure = np.maximum(outputs, 1 - outputs) <= SURE
        yield {
            "digits": list(pair),
            "examples": len(places),
            "converged": mistakes[-1] == 0,
            "passes": len(mistakes),
            "mistakes": sum(mistakes),
            "last_mistakes": mistakes[-1],
            "test_seen": len(labels),
            "test_correct": int(right.sum()),
            "sigmoid_correct": int(smooth_right.sum()),
            "unsure": int(unsure.sum()),
            "unsure_wrong": int((unsure & ~smooth_right).sum()),
            "p_value": mcnemar_p_value(right, smooth_right),
        }


def ten_class_rows(
    dataset: Dataset, seeds: Sequence[int], num_epochs: int
) -> Iterator[tuple[Row, dict[str, Dense]]]:
    """Train ten neurons from every seed on both kinds of input.

    Yields a row after each epoch, and the layers. The last epoch's has the accuracy on
    the test set beside that on the validation set.
    """
    num_examples, num_inputs = len(dataset.train.label), dataset.train.image[0].size
    train, validation = jax.device_put((dataset.train, dataset.validation))
    order_of = jax.jit(epoch_order, static_argnums=2)
    count_correct = jax.jit(ten_class.count_correct, static_argnums=2)
    for name, encode in INPUTS.items():
        learn_epoch = jax.jit(ten_class.make_learn_epoch(encode))
        for seed in seeds:
            learner = ten_class.start(num_inputs, NUM_CLASSES)
            for epoch in range(num_epochs):
                order = order_of(run_keys(seed).data, epoch, num_examples)
                learner, made = learn_epoch(learner, train, order)
                layers = dict(zip(LAYERS, learner[:2], strict=True))
                row: dict[str, Any] = {"inputs": name, "seed": seed}
                row |= {"epoch": epoch + 1, "mistakes": int(made)}
                parts = {"validation": validation}
                if epoch + 1 == num_epochs:
                    parts["test"] = dataset.test  # opened once, after the last epoch
                for (part, data), which in itertools.product(parts.items(), LAYERS):
                    correct = int(count_correct(layers[which], data, encode))
                    seen = len(data.label)
                    row[f"{part}_{which}"] = correct / seen if seen else None
                yield row, layers
