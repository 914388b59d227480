"""Training from disk beside training from memory: images a second, and memory."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from experiments.kit.memory import peak_bytes
from experiments.kit.progress import Progress
from experiments.kit.run import Row
from jaxnets import models, optimizers, process, streaming, training
from jaxnets.data import Dataset, stream

EPOCHS = 3  # the fastest counts
SOURCES = {0: "memory", 1: "disk"}


def measure(
    names: Sequence[str],
    repeats: Sequence[int],
    dataset: Dataset,
    **where: Path | None,
) -> Iterator[Row]:
    """A row for each network and way to train it, each in a process of its own."""
    with Progress({"streams": len(names) * (1 + len(repeats))}) as progress:
        for name in names:
            for count in (0, *repeats):
                args = (name, count, dataset, where)
                for row in process.iterate(_train_here, *args):
                    yield row
                    rate = f"{row['images_per_second']:,.0f} images a second"
                    progress.advance("streams", text=f"{name}, {row['source']}: {rate}")


def _train_here(
    send: Callable[[Row], None],
    name: str,
    repeats: int,
    dataset: Dataset,
    where: Any,
) -> None:
    """A few epochs of a network; `repeats` 0: from memory."""
    model = models.get(name)
    network, recipe, keys = model.network, model.recipe, training.run_keys(0)
    tx = optimizers.make(recipe)
    state = training.start(network.init(keys.init, recipe.layer_sizes), tx)
    num_images = len(dataset.train.label)
    num_examples = num_images * max(repeats, 1)
    held_out = (dataset.validation,)
    options: Any = {"batch_size": recipe.batch_size, "num_epochs": EPOCHS}

    def read(epoch: int) -> Iterator:
        return stream(
            dataset.name,
            split=f"train[:{num_images}]",
            batch_size=streaming.BATCHES * recipe.batch_size,
            seed=epoch,
            **where,
            repeats=repeats,
        )

    if repeats:
        dataset = dataset._replace(train=dataset.train.split(0)[0])  # it is not needed
        how = {"num_examples": num_examples, **options}
        epochs = streaming.fit_stream(network.loss_fn, tx, state, read, held_out, **how)
    else:
        data, how = dataset.train, {"key": keys.data, **options}
        epochs = training.fit(network.loss_fn, tx, state, data, held_out, **how)
    seconds = min(epoch.seconds for epoch in epochs)
    send(
        {
            "kind": "stream",
            "model": name,
            "source": SOURCES.get(repeats, f"disk, {repeats} times over"),
            "repeats": repeats,
            "images_per_second": num_examples / seconds,
            "peak_bytes": peak_bytes(),
            "devices": len(jax.local_devices()),
        }
    )
