"""A recurrent network as a lesson: it reads an image row by row, with one memory.

    python experiments/row_rnn.py

Expected: 97.8 to 98.2 % of the test set for the seeds 1 to 4. It takes 20 to 40 s on
two CPU cores.

The write-up says of recurrent networks that loops cause no problem, since a neuron's
output affects its input at a later time only. Here a time is a row of the image. The
end shows what the network would have answered after each row.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from experiments.kit import command as runtime
from jaxnets import data, row_rnn, running, training
from jaxnets import models as recipes
from jaxnets import pixels as images
from jaxnets.models import ROW_RNN
from jaxnets.types import Batch, Params


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of `recipes.ROW_RNN`; each can be changed."""

    layer_sizes: tuple[int, ...] = ROW_RNN.layer_sizes  # a row's pixels to the classes
    learning_rate: float = ROW_RNN.learning_rate  # of Adam
    batch_size: int = ROW_RNN.batch_size  # images per update
    epochs: int = ROW_RNN.num_epochs  # passes over the training set
    seed: int = 3  # decides the initial weights and the order of the images
    dataset: str | None = None
    """mnist, fashion_mnist, kmnist or digits. Left out: MNIST, or digits without it."""
    mnist_dir: Path | None = None
    """Folder with the dataset's four original .gz files [env: JAXNETS_MNIST_DIR]."""


def correct_after_each_row(params: Params, data: Batch) -> jax.Array:
    """int32 [H]: right answers where the network is asked after each row."""
    num_images, height, width = data.image.shape
    vectors = images.to_vectors(data.image)
    rows = vectors.reshape(num_images, height, width).swapaxes(0, 1)
    *hidden, output = params
    for layer in hidden:
        rows = row_rnn.states(layer, rows)
    logits = rows @ output.kernel + output.bias[None, None, :]
    return jnp.sum(jnp.argmax(logits, axis=-1) == data.label[None, :], axis=1)


def main(config: Config) -> dict[str, Any]:
    """Train, print a line an epoch, test once; return what was reached."""
    recipe = replace(
        ROW_RNN,
        layer_sizes=config.layer_sizes,
        learning_rate=config.learning_rate,
        batch_size=config.batch_size,
        num_epochs=config.epochs,
    )
    recipes.check("row_rnn", recipe)

    # Data: images as bytes, labels as numbers, moved to the device once.
    dataset = data.load(config.dataset, folder=config.mnist_dir)
    running.check_fits("row_rnn", recipe, dataset)
    if dataset.notice:
        print(f"NOTICE: {dataset.notice}")
    parts = (dataset.train, dataset.validation, dataset.test)
    train, validation, test = jax.device_put(parts)

    # Init: the weights on the state begin as the identity, which keeps it.
    init_key, data_key = recipes.run_keys(config.seed)
    tx = recipes.optimizer(recipe)
    state = training.start(row_rnn.init(init_key, config.layer_sizes), tx)

    # Loop: the same functions that train the other networks.
    loss_fn = row_rnn.loss_fn
    train_epoch = training.make_train_epoch(loss_fn, tx, config.batch_size)
    train_epoch = jax.jit(train_epoch, donate_argnums=0)
    evaluate = jax.jit(training.make_evaluate(loss_fn))
    losses = []
    with running.divergence_named("row_rnn", recipe):
        for epoch in range(config.epochs):
            order = training.epoch_order(data_key, epoch, len(train.label))
            state, totals = train_epoch(state, train, order)
            loss = float(totals.loss / totals.seen)
            checked = evaluate(state.params, validation)
            training.check_finite(epoch + 1, loss, checked.loss)
            accuracy = float(checked.correct / checked.seen)
            print(f"Epoch {epoch + 1}: loss {loss:.4f}, validation {accuracy:.2%}")
            losses.append(loss)

    # Result: the test set is opened once, after the last epoch.
    tested = evaluate(state.params, test)
    correct, seen = int(tested.correct), int(tested.seen)
    print(f"Test set of {dataset.name}: {correct:,} / {seen:,} = {correct / seen:.2%}")
    after = jax.jit(correct_after_each_row)(state.params, test).tolist()
    for row in range(3, len(after), 4):
        print(f"Asked after row {row + 1}: {after[row] / seen:.1%}")
    return {
        "dataset": dataset.name,
        "losses": losses,
        "test_correct": correct,
        "test_seen": seen,
        "after_each_row": after,
    }


if __name__ == "__main__":
    runtime.run(main, Config)
