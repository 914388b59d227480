"""What does it cost tf.keras to see the images in the same order in every epoch?

    python -m experiments.seeds.keras_orders

Model 3 in tf.keras, twice from each seed's initial weights. "repeated": one call of
`fit` after `keras.utils.set_random_seed`, which takes the images in the same order in
every epoch. "new": a call for each epoch, each after a seed of its own, as
`jaxnets.keras_dense` trains. The two networks of a seed are a pair, and one test is
made: Student's, of the mean difference in test accuracy, on seeds from which no other
experiment trains a network of Keras. On two cores 30 pairs take half an hour.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.kit.command import run_command
from experiments.kit.numbers import percent
from experiments.kit.options import Options, require_at_least
from experiments.kit.progress import Progress
from experiments.kit.run import Row, Run
from experiments.kit.statistics import paired
from jaxnets import keras_dense, models, process
from jaxnets.data import Dataset
from jaxnets.keras_network import build
from jaxnets.types import Batch

ORDERS = ("new", "repeated")


@dataclass(frozen=True, kw_only=True)
class Config(Options):
    """How many networks, and from which seeds."""

    seeds: int = 30
    """Pairs of networks."""
    first_seed: int = 1000
    """The pairs have the seeds from this one on."""


def main(config: Config) -> dict[str, Any]:
    """Train all networks; return the content of results.json."""
    require_at_least(config, seeds=2, first_seed=0)
    run = Run.open("keras_orders", config)
    if run.config.redraw is None:
        models.validate_fits("keras_dense", models.KERAS_DENSE.recipe, run.data)
    run.record(measure(run.data, run.config))
    content = results(run.rows)
    return run.publish(content, title="Orders", lead=lambda: finding(content))


def measure(dataset: Dataset, config: Config) -> Iterator[Row]:
    """A row a network: order, seed, test_accuracy."""
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    data, without = (dataset.train, dataset.test), process.KERAS_DOES_WITHOUT
    with Progress(dict.fromkeys(ORDERS, len(seeds))) as progress:
        for row in process.iterate(_train, *data, seeds, without=without):
            text = f"seed {row['seed']}: {row['test_accuracy']:.2%}"
            progress.advance(row["order"], text=text)
            yield row


def _train(
    send: Callable[[Row], None], train: Batch, test: Batch, seeds: Sequence[int]
) -> None:
    recipe = models.KERAS_DENSE.recipe
    images = keras_dense.scaled(train.image)
    empty = Batch(*(array[:0] for array in test))
    for seed, order in itertools.product(seeds, ORDERS):
        model = build(recipe.layer_sizes, train.image.shape[1:], seed)
        keras_dense.compile_model(model, recipe)
        if order == "repeated":
            how = {"batch_size": recipe.batch_size, "epochs": recipe.num_epochs}
            model.fit(images, train.label, verbose=0, **how)
        else:
            for _ in keras_dense.fit(model, recipe, train, empty, seed=seed):
                pass
        right = keras_dense.predict(model, test.image).label == test.label
        accuracy = float(np.mean(right))
        send({"order": order, "seed": seed, "test_accuracy": accuracy})


def results(rows: Sequence[Row]) -> dict[str, Any]:
    """Both orders' accuracies, and the mean difference of the finished pairs."""
    shares = {(row["order"], row["seed"]): row["test_accuracy"] for row in rows}
    seeds = [seed for order, seed in shares if order == ORDERS[-1]]
    orders = {order: [shares[order, seed] for seed in seeds] for order in ORDERS}
    difference = paired(np.subtract(orders["new"], orders["repeated"]))
    return {
        "seed": seeds,
        "test_accuracy": orders,
        "mean": {name: float(np.mean(a)) if a else None for name, a in orders.items()},
        "new_minus_repeated": difference
        and {
            "mean": difference.mean,
            "interval_95": difference.interval,
            "p_value": difference.p_value,
            "detectable": difference.detectable(1),
        },
    }


def finding(content: Row) -> str:
    """Both means and their difference, in a sentence or two."""
    means = [f"{percent(mean)} % ({name})" for name, mean in content["mean"].items()]
    sentences = [f"Mean test accuracy by the order of the images: {', '.join(means)}."]
    if difference := content["new_minus_repeated"]:
        sentences.append(
            f"New minus repeated: {percent(difference['mean'], '+')} points "
            f"({percent(difference['interval_95'], '+')}; Student's p = "
            f"{difference['p_value']:.2g}; {percent(difference['detectable'])} would "
            "have been found in 80 % of cases)."
        )
    return " ".join(sentences)


if __name__ == "__main__":
    run_command(main, Config, all_cores=True)
