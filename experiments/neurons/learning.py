"""Neurons that learn: gates, every two digits, and all ten with a neuron each."""

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

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
PERCEPTRONS = {  # of two digits; the fields of `Learned`
    "end": "perceptron, where its rule ends",
    "last": "perceptron, last step",
    "average": "perceptron, mean over all steps",
}

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


class Learned(NamedTuple):
    """Perceptrons of the learning rule, all from one run of it."""

    end: Neuron  # after the last pass
    last: Neuron  # after `num_passes`
    average: Neuron  # mean over all steps of `num_passes` (Freund and Schapire, 1999)
    mistakes: list[int]  # of each pass to the first without one


def learn(data: Batch, max_passes: int, num_passes: int) -> Learned:
    """Apply the learning rule until a pass has no mistake, `max_passes` times at most.

    Labels are 0, 1, or NO_EXAMPLE. There are `num_passes` at least: those that follow
    one without a mistake change the mean and nothing else.
    """
    places = np.arange(len(data.label))
    # An index beyond the data is no step, so that rows that fill up count for none.
    order = np.where(np.asarray(data.label) == NO_EXAMPLE, len(places), places)
    learner = ten_class.start(data.image[0].size, num_classes=2)
    mistakes: list[int] = []
    while (made := len(mistakes)) < num_passes or (made < max_passes and all(mistakes)):
        learner, wrong = _learn_epoch(learner, data, order)
        mistakes.append(int(wrong))
        if len(mistakes) == num_passes:
            last, average = learner.layer, learner.average
    if 0 in mistakes:
        del mistakes[mistakes.index(0) + 1 :]
    # Of two neurons the second is the perceptron; see `ten_class`.
    end, last, average = (
        Neuron(layer.kernel[:, 1], layer.bias[1])
        for layer in (learner.layer, last, average)
    )
    return Learned(end, last, average, mistakes)


def pair_rows(
    dataset: Dataset, max_passes: int, sigmoid_passes: int, rate: float
) -> Iterator[Row]:
    """Train a perceptron and a sigmoid neuron on each pair, and test them.

    Both see the same bits in the same order. With the sigmoid in place of the step the
    rule is descent on the cross-entropy. The perceptron is tested where its rule ends,
    and after the sigmoid neuron's number of passes: its last weights, and their mean.
    Each p-value is of that perceptron and the sigmoid neuron.
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
        learned = learn(data, max_passes, sigmoid_passes)
        bits, smooth = ink(data.image), silent(test_bits.shape[1])
        for _ in range(sigmoid_passes):
            smooth, _ = smooth_pass(smooth, bits, data.label)
        of_pair = np.isin(test.label, pair)
        labels = test.label[of_pair] == pair[1]
        outputs = np.asarray(output_jit(smooth, test_bits))[of_pair]
        smooth_right = (outputs > 0.5) == labels
        unsure = np.maximum(outputs, 1 - outputs) <= SURE
        right = {
            name: np.asarray(fire_jit(neuron, test_bits))[of_pair] == labels
            for name, neuron in zip(PERCEPTRONS, learned, strict=False)
        }
        yield {
            "digits": list(pair),
            "examples": len(places),
            "converged": learned.mistakes[-1] == 0,
            "passes": len(learned.mistakes),
            "mistakes": sum(learned.mistakes),
            "last_mistakes": learned.mistakes[-1],
            "test_seen": len(labels),
            "sigmoid_correct": int(smooth_right.sum()),
            "unsure": int(unsure.sum()),
            "unsure_wrong": int((unsure & ~smooth_right).sum()),
            **{f"{name}_correct": int(r.sum()) for name, r in right.items()},
            **{f"{n}_p": mcnemar_p_value(r, smooth_right) for n, r in right.items()},
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
