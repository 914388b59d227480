"""Model 3 and its mirror: does Flax compute what tf.keras computes?

    python -m lessons.keras_vs_flax

Both start from the same weights and take the same batches in the same order. Then
both train again from those weights, each in its own order and at its own speed.

Expected (seeds 1 to 3): a largest weight difference of 2e-7 to 4e-7 after 1 step and
2e-6 after 10, when the weights themselves have moved by 1e-2. After one epoch, 96.9 to
97.0 % of the test set for tf.keras and 96.6 to 96.8 % for Flax, which three seeds
cannot rank: `experiments.seeds` compares the two over 20. It takes about a minute on
two CPU cores. Keras's first epoch includes its compilation.
"""

from statistics import median
from typing import Any

import jax
import numpy as np

from experiments.kit.command import run_command
from jaxnets import flax_dense, keras_dense, models, optimizers, training
from jaxnets.types import Batch, Params
from lessons.settings import Settings, settings_of

Config = settings_of(models.KERAS_DENSE)
STEPS = 10  # compared one by one; float32 rounding grows in later ones


def largest_difference(some: Params, others: Params) -> float:
    """The largest |a - b| over all weights and biases."""
    differences = jax.tree.map(lambda a, b: np.max(np.abs(a - b)), some, others)
    return float(max(jax.tree.leaves(differences)))


def main(config: Settings) -> dict[str, Any]:
    """Compare ten steps, then train both; return what was reached."""
    # Data: the same for both.
    recipe, dataset = config.prepare()
    image, label = dataset.train

    # Init: one set of weights, made by Flax and copied to Keras.
    keys = training.run_keys(config.seed)
    params = jax.device_get(flax_dense.init(keys.init, config.layer_sizes))
    model = keras_dense.build(config.layer_sizes, image.shape[1:], config.seed)
    keras_dense.compile_model(model, recipe)
    keras_dense.from_dense(model, params)

    # Loop, step by step: the same batches in the same order.
    tx = optimizers.make(recipe)
    state = training.start(params, tx)
    train_step = jax.jit(training.make_train_step(flax_dense.loss_fn, tx))
    order = training.epoch_order(keys.data, 0, len(label))
    steps = []
    for rows in np.resize(order, (STEPS, config.batch_size)):
        model.train_on_batch(keras_dense.scaled(image[rows]), label[rows])
        with jax.default_matmul_precision("highest"):
            state, _ = train_step(state, Batch(image[rows], label[rows]))
        ours, theirs = jax.device_get(state.params), keras_dense.to_dense(model)
        apart, moved = (largest_difference(ours, other) for other in (theirs, params))
        steps.append({"apart": apart, "moved": moved})
        print(f"step {len(steps)}: moved {moved:.1e}, apart {apart:.1e}")

    # Loop, by epochs: from the same weights again, each in an order of its own.
    keras_dense.compile_model(model, recipe)  # Adam's averages begin at zero again
    keras_dense.from_dense(model, params)
    keras_epochs = keras_dense.fit(
        model, recipe, dataset.train, dataset.validation, seed=config.seed
    )
    flax_epochs = training.fit(
        flax_dense.loss_fn,
        tx,
        training.start(params, tx),
        dataset.train,
        (dataset.validation,),
        batch_size=config.batch_size,
        num_epochs=config.epochs,
        key=keys.data,
    )
    trained = {}
    for name, epochs in (("tf.keras", keras_epochs), ("Flax", flax_epochs)):
        with models.divergence_named(name, recipe):
            trained[name] = list(epochs)

    # Result: the test set is opened once, after the last epoch.
    image, label = dataset.test
    params = trained["Flax"][-1].state.params
    answers = {
        "tf.keras": keras_dense.predict(model, image).label,
        "Flax": jax.jit(flax_dense.predict)(params, image).label,
    }
    results: dict[str, Any] = {"dataset": dataset.name, "steps": steps}
    for name, answer in answers.items():
        correct, seen = int(np.sum(answer == label)), len(label)
        seconds = [epoch.seconds for epoch in trained[name]]
        steady = median(seconds[1:] or seconds)
        print(
            f"{name}: {correct:,} / {seen:,} = {correct / seen:.2%} of the test set of "
            f"{dataset.name}, {steady:.2f} s an epoch"
        )
        results[name] = {"test_correct": correct, "test_seen": seen}
    return results


if __name__ == "__main__":
    run_command(main, Config)
