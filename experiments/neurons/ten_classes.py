"""The ten-class perceptron over epochs and seeds, on binary and on grey pixels."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax

from experiments.kit.run import Row
from jaxnets.batches import epoch_order
from jaxnets.data import NUM_CLASSES, Dataset
from jaxnets.neurons import ten_class
from jaxnets.pixels import to_vectors
from jaxnets.training import run_keys
from jaxnets.types import Dense

INPUTS = {"binary": ten_class.ink, "grey": to_vectors}
LAYERS = ("last", "average")


def measure(
    dataset: Dataset, seeds: Sequence[int], num_epochs: int
) -> Iterator[tuple[Row, dict[str, Dense]]]:
    """Train from every seed on both kinds of input, yielding after each epoch.

    Yields:
      A row: inputs, seed, epoch, mistakes, and of either layer the validation
      accuracy; after the last epoch the test set's, too. And the layers.
    """
    num_examples, num_inputs = len(dataset.train.label), dataset.train.image[0].size
    train, validation = jax.device_put((dataset.train, dataset.validation))
    order_of = jax.jit(epoch_order, static_argnums=2)
    count_correct = jax.jit(ten_class.count_correct, static_argnums=2)
    for name, encode in INPUTS.items():
        learn_epoch = jax.jit(ten_class.make_learn_epoch(encode))
        for seed in seeds:
            key = run_keys(seed).data
            learner = ten_class.start(num_inputs, NUM_CLASSES)
            for epoch in range(num_epochs):
                order = order_of(key, epoch, num_examples)
                learner, mistakes = learn_epoch(learner, train, order)
                layers = dict(zip(LAYERS, learner[:2], strict=True))
                row: dict[str, Any] = {
                    "inputs": name,
                    "seed": seed,
                    "epoch": epoch + 1,
                    "mistakes": int(mistakes),
                }
                parts = {"validation": validation}
                if epoch + 1 == num_epochs:
                    parts["test"] = dataset.test  # opened once, after the last epoch
                for part, data in parts.items():
                    for which, layer in layers.items():
                        correct = int(count_correct(layer, data, encode))
                        seen = len(data.label)
                        row[f"{part}_{which}"] = correct / seen if seen else None
                yield row, layers
