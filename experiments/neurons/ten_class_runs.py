"""The ten-class perceptron over epochs and seeds, on binary and on grey pixels."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from jaxnets import models as recipes
from jaxnets import training
from jaxnets.data import NUM_CLASSES, Dataset
from jaxnets.neurons import ten_class
from jaxnets.pixels import to_vectors
from jaxnets.types import Dense

INPUTS = {"binary": ten_class.ink, "grey": to_vectors}
LAYERS = ("last", "average")
ZERO_LINE_EPOCHS = 3  # of MNIST in a second; ten of them bring 0.2 points more


def fit(
    dataset: Dataset,
    seeds: Sequence[int],
    num_epochs: int,
    kinds: Sequence[str] = tuple(INPUTS),
) -> Iterator[tuple[dict[str, Any], dict[str, Dense]]]:
    """Train from every seed on some kinds of input, yielding after each epoch.

    Yields:
      A row: inputs, seed, epoch, mistakes, and of either layer the validation
      accuracy; after the last epoch the test set's, too. And the layers.
    """
    image = dataset.train.image
    train, validation = jax.device_put((dataset.train, dataset.validation))
    for name in kinds:
        encode = INPUTS[name]
        learn_epoch = jax.jit(ten_class.make_learn_epoch(encode))
        count_correct = jax.jit(ten_class.make_count_correct(encode))
        for seed in seeds:
            _, data_key = recipes.run_keys(seed)
            learner = ten_class.start(image[0].size, NUM_CLASSES)
            for epoch in range(num_epochs):
                order = training.epoch_order(data_key, epoch, len(image))
                learner, mistakes = learn_epoch(learner, train, order)
                layers = {"last": learner.layer, "average": learner.average}
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
                        correct = int(count_correct(layer, data))
                        seen = len(data.label)
                        row[f"{part}_{which}"] = correct / seen if seen else None
                yield row, layers


def outcome(rows: Sequence[dict[str, Any]], dataset: Dataset) -> dict[str, Any]:
    """Of finished seeds: accuracies by inputs and layer, a number a seed.

    With them stands what needs no learning: always to answer the class that is most
    frequent in training.
    """
    last = [row for row in rows if "test_last" in row]
    frequent = np.argmax(np.bincount(dataset.train.label))
    results: dict[str, Any] = {
        "most_frequent_class": int(frequent),
        "most_frequent_accuracy": float(np.mean(dataset.test.label == frequent)),
        "runs": {},
    }
    for name in INPUTS:
        own = [row for row in last if row["inputs"] == name]
        if not own:
            continue
        results["runs"][name] = {
            "seeds": [row["seed"] for row in own],
            **{
                f"{part}_{which}": [row[f"{part}_{which}"] for row in own]
                for part in ("validation", "test")
                for which in LAYERS
            },
        }
    return results


def zero_line(dataset: Dataset, seed: int) -> dict[str, Any]:
    """What needs no network: the most frequent class, and a ten-class perceptron.

    Test accuracies; the perceptron is the mean over the steps of a few epochs.
    """
    fitted = fit(dataset, [seed], ZERO_LINE_EPOCHS, kinds=["grey"])
    found = outcome([row for row, _ in fitted], dataset)
    return {
        "most_frequent_class": found["most_frequent_class"],
        "most_frequent_accuracy": found["most_frequent_accuracy"],
        "perceptron_epochs": ZERO_LINE_EPOCHS,
        "perceptron_accuracy": found["runs"]["grey"]["test_average"][0],
    }
