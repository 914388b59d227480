"""What does the order of the images change for tf.keras?

    python -m experiments.seeds.keras_orders

Model 3 in tf.keras, each network by one call of `fit`. After
`keras.utils.set_random_seed` it takes the images in the same order in every epoch,
without a seed in a new one. 20 networks of each kind; on two cores half an hour.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.kit.command import run_command
from experiments.kit.numbers import percent
from experiments.kit.options import Options, require_at_least
from experiments.kit.progress import Progress
from experiments.kit.run import Row, Run
from experiments.kit.statistics import mann_whitney_p_value, welch
from jaxnets import keras_dense, models, process
from jaxnets.data import Dataset
from jaxnets.keras_network import build, load_keras
from jaxnets.types import Batch

ORDERS = ("new", "repeated")  # in this order: a seed, once set, stays


@dataclass(frozen=True, kw_only=True)
class Config(Options):
    """How many networks."""

    seeds: int = 20
    """Networks of each kind; those of the second have the seeds from 0 on."""


def main(config: Config) -> dict[str, Any]:
    """Train all networks; return the content of results.json."""
    require_at_least(config, seeds=2)
    run = Run.open("keras_orders", config)
    if run.config.redraw is None:
        models.validate_fits("keras_dense", models.KERAS_DENSE.recipe, run.data)
    run.record(measure(run.data, run.config.seeds))
    content = results(run.rows)
    return run.publish(content, title="Orders", lead=lambda: finding(content))


def measure(dataset: Dataset, seeds: int) -> Iterator[Row]:
    """A row a network: order, seed, test_accuracy."""
    data, without = (dataset.train, dataset.test), process.KERAS_DOES_WITHOUT
    with Progress(dict.fromkeys(ORDERS, seeds)) as progress:
        for row in process.iterate(_train, *data, seeds, without=without):
            text = f"network {row['seed']}: {row['test_accuracy']:.2%}"
            progress.advance(row["order"], text=text)
            yield row


def _train(send: Callable[[Row], None], train: Batch, test: Batch, seeds: int) -> None:
    load_keras()
    recipe = models.KERAS_DENSE.recipe
    images = keras_dense.scaled(train.image)
    how = {"batch_size": recipe.batch_size, "epochs": recipe.num_epochs, "verbose": 0}
    for order in ORDERS:
        for seed in range(seeds):
            own = seed if order == "repeated" else None
            model = build(recipe.layer_sizes, train.image.shape[1:], own)
            keras_dense.compile_model(model, recipe)
            model.fit(images, train.label, **how)
            right = keras_dense.predict(model, test.image).label == test.label
            accuracy = float(np.mean(right))
            send({"order": order, "seed": seed, "test_accuracy": accuracy})


def results(rows: Sequence[Row]) -> dict[str, Any]:
    """Each order's accuracies, and the difference of their means."""
    orders = {
        order: [row["test_accuracy"] for row in rows if row["order"] == order]
        for order in ORDERS
    }
    difference = welch(*orders.values())
    return {
        "test_accuracy": orders,
        "mean": {name: float(np.mean(a)) if a else None for name, a in orders.items()},
        "new_minus_repeated": difference
        and {
            "mean": difference.mean,
            "interval_95": difference.interval,
            "p_value": difference.p_value,
            "mann_whitney_p_value": mann_whitney_p_value(*orders.values()),
        },
    }


def finding(content: Row) -> str:
    """Both means and their difference, in a sentence or two."""
    means = [f"{percent(mean)} % ({name})" for name, mean in content["mean"].items()]
    sentences = [f"Mean test accuracy by the order of the images: {', '.join(means)}."]
    if difference := content["new_minus_repeated"]:
        sentences.append(
            f"New minus repeated: {percent(difference['mean'], '+')} points "
            f"({percent(difference['interval_95'], '+')}; Welch p = "
            f"{difference['p_value']:.2g}, Mann-Whitney p = "
            f"{difference['mann_whitney_p_value']:.2g})."
        )
    return " ".join(sentences)


if __name__ == "__main__":
    run_command(main, Config, all_cores=True)
