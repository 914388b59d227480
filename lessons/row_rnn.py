"""A recurrent network as a lesson: it reads an image row by row, with one memory.

    python -m lessons.row_rnn

Expected: 97.8 to 98.2 % of the test set for the seeds 1 to 4. It takes 20 to 40 s on
two CPU cores.

The write-up says of recurrent networks that loops cause no problem, since a neuron's
output affects its input at a later time only. Here a time is a row of the image. The
end shows what the network would have answered after each row.
"""

from typing import Any

import jax
import jax.numpy as jnp

from experiments.kit.command import run_command
from jaxnets import models, optimizers, pixels, row_rnn, training
from jaxnets.types import Batch, Layers
from lessons.settings import Settings, settings_of

Config = settings_of(models.ROW_RNN)


def correct_after_each_row(params: Layers, images: Batch) -> jax.Array:
    """int32 [H]: right answers where the network is asked after each row."""
    num_images, height, width = images.image.shape
    vectors = pixels.to_vectors(images.image)
    rows = vectors.reshape(num_images, height, width).swapaxes(0, 1)
    *hidden, output = params
    for layer in hidden:
        rows = row_rnn.states(layer, rows)
    logits = rows @ output.kernel + output.bias[None, None, :]
    right = jnp.argmax(logits, axis=-1) == images.label[None, :]
    return jnp.sum(right, axis=1, dtype=jnp.int32)


def main(config: Settings) -> dict[str, Any]:
    """Train, print a line an epoch, test once; return what was reached."""
    # Data: images as bytes, labels as numbers, in three parts.
    recipe, dataset = config.prepare()

    # Init: the weights on the state begin as the identity, which keeps it.
    keys = training.run_keys(config.seed)
    tx = optimizers.make(recipe)
    params = row_rnn.init(keys.init, config.layer_sizes)
    state = config.restore(training.start(params, tx))

    # Loop: the same function that trains the other networks.
    epochs = training.fit(
        row_rnn.loss_fn,
        tx,
        state,
        dataset.train,
        (dataset.validation,),
        batch_size=config.batch_size,
        num_epochs=config.epochs,
        key=keys.data,
    )
    losses = []
    with models.divergence_named("row_rnn", recipe):
        for epoch in epochs:
            loss, accuracy = epoch.train.mean_loss, epoch.held_out[0].accuracy
            print(f"Epoch {epoch.number}: loss {loss:.4f}, validation {accuracy:.2%}")
            losses.append(float(loss))
            state = epoch.state
            config.keep(state)

    # Result: the test set is opened once, after the last epoch.
    after = jax.jit(correct_after_each_row)(state.params, dataset.test).tolist()
    correct, seen = after[-1], len(dataset.test.label)
    print(f"Test set of {dataset.name}: {correct:,} / {seen:,} = {correct / seen:.2%}")
    for row in range(3, len(after), 4):
        print(f"Asked after row {row + 1}: {after[row] / seen:.1%}")
    score = {"test_correct": correct, "test_seen": seen}
    return {"dataset": dataset.name, "losses": losses, "after_each_row": after, **score}


if __name__ == "__main__":
    run_command(main, Config)
