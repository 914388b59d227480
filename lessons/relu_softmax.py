"""Model 2 as a lesson: ReLU layers, softmax cross-entropy, plain SGD.

    python -m lessons.relu_softmax

Expected: 97.7 to 98.0 % of the test set for the seeds 0 to 19; the write-up reports
97.1 %. It takes 10 to 40 s on two CPU cores.

The loop is that of `training.fit`, written out.
"""

from typing import Any

import jax
import optax

from experiments.kit.command import run_command
from jaxnets import models, relu_softmax, training
from lessons.settings import Settings, settings_of

Config = settings_of(models.RELU_SOFTMAX)


def main(config: Settings) -> dict[str, Any]:
    """Train, print a line an epoch, test once; return what was reached."""
    # Data: images as bytes, labels as numbers, moved to the device once.
    recipe, dataset = config.prepare()
    parts = (dataset.train, dataset.validation, dataset.test)
    train, validation, test = jax.device_put(parts)

    # Init: the weights are a value made from a key.
    keys = training.run_keys(config.seed)
    params = relu_softmax.init(keys.init, config.layer_sizes)
    tx = optax.sgd(config.learning_rate)
    state = config.restore(training.start(params, tx))
    first = training.epochs_done(state, len(train.label), config.batch_size)

    # Loop: an epoch is one compiled program; it takes a state and gives the next.
    train_step = training.make_train_step(relu_softmax.loss_fn, tx)
    train_epoch = training.make_train_epoch(train_step, config.batch_size)
    train_epoch = jax.jit(train_epoch, donate_argnums=0)
    evaluate = jax.jit(training.make_evaluate(relu_softmax.loss_fn))
    losses = []
    with models.divergence_named("relu_softmax", recipe):
        for epoch in range(first, config.epochs):
            order = training.epoch_order(keys.data, epoch, len(train.label))
            state, totals = train_epoch(state, train, order)
            checked = evaluate(state.params, validation)
            loss, accuracy = float(totals.mean_loss), float(checked.accuracy)
            training.require_finite(epoch + 1, loss, float(checked.loss))
            print(f"Epoch {epoch + 1}: loss {loss:.4f}, validation {accuracy:.2%}")
            losses.append(loss)
            config.keep(state)

    # Result: the test set is opened once, after the last epoch.
    tested = evaluate(state.params, test)
    correct, seen = int(tested.correct), int(tested.seen)
    print(f"Test set of {dataset.name}: {correct:,} / {seen:,} = {correct / seen:.2%}")
    first = jax.device_get(relu_softmax.predict(state.params, test.image[:5]))
    for label, answer, chances in zip(dataset.test.label, *first, strict=False):
        print(f"A {label} is read as {answer}, with probability {chances[answer]:.1%}.")
    score = {"test_correct": correct, "test_seen": seen}
    return {"dataset": dataset.name, "losses": losses, **score}


if __name__ == "__main__":
    run_command(main, Config)
