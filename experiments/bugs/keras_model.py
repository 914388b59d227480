"""Model 3 in tf.keras, with pixels in [0, 1] and as bytes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import numpy as np

from experiments.bugs.rows import end_of, epoch_row
from experiments.kit.run import Row
from jaxnets import keras_dense, process
from jaxnets.data import Dataset
from jaxnets.diagnose import Run
from jaxnets.pixels import WHITE
from jaxnets.types import Batch, Layers, Recipe

DIVISORS = {"keras_dense, scaled": WHITE, "keras_dense, bytes": 1}  # of the pixels
NUM_INPUTS = 100  # images whose inputs are looked at


def train(recipe: Recipe, dataset: Dataset, seeds: Sequence[int]) -> Iterator[Row]:
    """Train from each seed with each kind of pixels, in a process of its own.

    Yields a row after each epoch. The test set is evaluated then, and not chosen by.
    """
    rows = process.iterate(
        _train_all,
        *(recipe, dataset, tuple(seeds)),
        without=process.KERAS_DOES_WITHOUT,
    )
    with closing(rows):
        yield from rows


def _train_all(
    send: Callable[[Row], None],
    recipe: Recipe,
    dataset: Dataset,
    seeds: Sequence[int],
) -> None:
    for program, divisor in DIVISORS.items():
        train, test = (
            Batch(part.image / np.float32(divisor), part.label)
            for part in (dataset.train, dataset.test)
        )
        for seed in seeds:
            _train_one(send, program, recipe, (train, test), seed)


def _train_one(
    send: Callable[[Row], None],
    program: str,
    recipe: Recipe,
    data: tuple[Batch, Batch],
    seed: int,
) -> None:
    """Train and test on images that are float32, as the network takes them."""
    train, test = data
    keras = keras_dense.load_keras()
    model = keras_dense.build(recipe.layer_sizes, test.image.shape[1:], seed)
    keras_dense.compile_model(model, recipe)
    first = keras_dense.to_dense(model)
    rows = []

    def on_epoch_end(number: int, logs: dict[str, float]) -> None:
        loss, accuracy = logs["loss"], logs["val_accuracy"]
        rows.append(epoch_row(program, seed, number + 1, loss, accuracy))
        if len(rows) < recipe.num_epochs:
            send(rows[-1])

    history = model.fit(
        *train,
        batch_size=recipe.batch_size,
        epochs=recipe.num_epochs,
        validation_data=tuple(test),
        validation_batch_size=1000,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=on_epoch_end)],
        verbose=0,
    ).history
    last = keras_dense.to_dense(model)
    vectors = test.image.reshape(len(test.image), -1)
    run = Run(
        cost="cross_entropy",
        labels=test.label,
        answers=model.predict(test.image, batch_size=1000, verbose=0).argmax(axis=1),
        accuracy=history["val_accuracy"][-1],
        seen=len(test.label),
        loss=history["val_loss"][-1],
        train_loss=history["loss"],
        train_seen=len(train.label),
        first=first,
        last=last,
        outputs=logits_of(last, vectors),
        first_outputs=logits_of(first, vectors),
        inputs=vectors[:NUM_INPUTS],
    )
    send({**rows[-1], **end_of(run)})


def logits_of(params: Layers, vectors: np.ndarray) -> np.ndarray:
    """Dense layers with ReLU between them, in NumPy: float32 [N, classes].

    Keras's model ends in a softmax, whose logarithm is infinite where bytes make the
    logits differ by hundreds.
    """
    for layer in params[:-1]:
        vectors = np.maximum(vectors @ layer.kernel + layer.bias, 0)
    return vectors @ params[-1].kernel + params[-1].bias
