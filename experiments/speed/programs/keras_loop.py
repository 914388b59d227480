"""Keras's own layers, loss and optimizer on TensorFlow, in one loop in place of `fit`.

An epoch is one `tf.function` that XLA compiles: a loop that gathers a batch of bytes
and takes a step. What remains is what Keras computes, and no `tf.data`, no callback and
no metric between two steps.
"""

from functools import partial
from typing import Any

from experiments.speed.programs import keras_fit
from experiments.speed.worker import Data, OnPart, Part, Task, part_sizes, time_epochs


def make_train_epoch(model: Any, task: Task, data: Data) -> Any:
    """A compiled function that trains the model on the rows of an epoch or a part."""
    import tensorflow as tf

    images = tf.constant(data.image)
    labels = tf.constant(keras_fit.targets(task, data.label))
    optimizer, loss_fn = model.optimizer, keras_fit.loss_function(task)
    optimizer.build(model.trainable_variables)

    def step(rows: Any) -> None:
        with tf.GradientTape() as tape:
            outputs = model(tf.gather(images, rows), training=True)
            loss = keras_fit.keras.ops.mean(loss_fn(tf.gather(labels, rows), outputs))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    @tf.function(jit_compile=True)
    def train_epoch(order: Any) -> None:
        whole = len(order) // task.batch_size * task.batch_size
        rows = tf.reshape(order[:whole], (-1, task.batch_size))
        for number in tf.range(len(rows)):
            step(rows[number])
        if whole < len(order):
            step(order[whole:])

    return train_epoch


def run(task: Task, data: Data, on_part: OnPart) -> None:
    """Train on and on, calling `on_part` after each part."""
    import tensorflow as tf

    model = keras_fit.compiled(task, data.image.shape[1:])
    train_epoch = make_train_epoch(model, task, data)
    classes = partial(keras_fit.classes, model, task)
    last = model.trainable_variables[-1]

    def shuffle(_: int) -> list[Any]:
        order = tf.random.shuffle(tf.range(task.examples))
        orders = [order[:size] for size in part_sizes(task)]
        orders[-1].numpy()  # on a processor nothing is left to wait for
        return orders

    def train(rows: Any) -> None:
        train_epoch(rows)
        last.numpy()

    for seconds, fixed in time_epochs(task, shuffle, train):
        on_part(Part(seconds, classes, fixed_seconds=fixed))
