"""Model 3 in tf.keras, with pixels in [0, 1] and as bytes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import numpy as np

from experiments.bugs.train import NUM_INPUTS, end_of, epoch_row
from experiments.kit.run import Row
from jaxnets import keras_dense, process
from jaxnets.data import Dataset
from jaxnets.diagnose import Run
from jaxnets.pixels import WHITE
from jaxnets.types import Batch, Layers, Recipe

DIVISORS = {"keras_dense, scaled": WHITE, "keras_dense, bytes": 1}  # of the pixels


def train(recipe: Recipe, dataset: Dataset, seeds: Sequence[int]) -> Iterator[Row]:
    """Train from each seed with each kind of pixels, in a process of its own.

    Yields a network's rows when it is trained. The test set is evaluated after each
    epoch, and not chosen by.
    """
    data, without = (dataset.train, dataset.test), process.KERAS_DOES_WITHOUT
    with closing(
        process.iterate(_train_all, recipe, *data, tuple(seeds), without=without)
    ) as rows:
        yield from rows


def _train_all(
    send: Callable[[Row], None],
    recipe: Recipe,
    train: Batch,
    test: Batch,
    seeds: Sequence[int],
) -> None:
    for program, divisor in DIVISORS.items():
        images, test_images = (d.image / np.float32(divisor) for d in (train, test))
        vectors = test_images.reshape(len(test_images), -1)
        for seed in seeds:
            model = keras_dense.build(recipe.layer_sizes, images.shape[1:], seed)
            keras_dense.compile_model(model, recipe)
            first = keras_dense.to_dense(model)
            history = model.fit(
                *(images, train.label),
                batch_size=recipe.batch_size,
                epochs=recipe.num_epochs,
                validation_data=(test_images, test.label),
                validation_batch_size=1000,
                verbose=0,
            ).history
            losses, accuracies = history["loss"], history["val_accuracy"]
            numbers = zip(losses, accuracies, strict=True)
            rows = [
                epoch_row(program, seed, epoch, loss, accuracy)
                for epoch, (loss, accuracy) in enumerate(numbers, start=1)
            ]
            last = keras_dense.to_dense(model)
            probability = model.predict(test_images, batch_size=1000, verbose=0)
            end = Run(
                cost="cross_entropy",
                labels=test.label,
                answers=probability.argmax(axis=1),
                accuracy=accuracies[-1],
                seen=len(test.label),
                loss=history["val_loss"][-1],
                train_loss=losses,
                train_seen=len(train.label),
                first=first,
                last=last,
                outputs=logits_of(last, vectors),
                first_outputs=logits_of(first, vectors),
                inputs=vectors[:NUM_INPUTS],
            )
            for row in (*rows[:-1], rows[-1] | end_of(end)):
                send(row)


def logits_of(params: Layers, vectors: np.ndarray) -> np.ndarray:
    """Dense layers with ReLU between them, in NumPy: float32 [N, classes].

    Keras's model ends in a softmax, whose logarithm is infinite where bytes make the
    logits differ by hundreds.
    """
    for layer in params[:-1]:
        vectors = np.maximum(vectors @ layer.kernel + layer.bias, 0)
    return vectors @ params[-1].kernel + params[-1].bias
