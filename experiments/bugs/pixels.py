"""Model 3 with pixels in [0, 1] and as bytes, in Flax and in tf.keras."""

import functools
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.bugs.zoo import bytes_as_numbers
from experiments.kit.numbers import finite
from jaxnets import ensemble as many
from jaxnets import flax_dense
from jaxnets import models as recipes
from jaxnets import process as worker
from jaxnets.data import Dataset
from jaxnets.models import Recipe
from jaxnets.pixels import WHITE, to_vectors
from jaxnets.raw_pixels import for_bytes, on_bytes
from jaxnets.signs import Run
from jaxnets.types import Params

MODELS = ("flax_dense", "keras_dense")
INPUTS = {"scaled": to_vectors, "bytes": bytes_as_numbers}
LOSSES = {"scaled": flax_dense.loss_fn, "bytes": on_bytes(flax_dense.loss_fn)}
_LOOKED_AT = 100  # images whose inputs are kept


class PixelEpoch(NamedTuple):
    """An epoch of some seeds, S of them."""

    number: int  # 1 for the first
    seeds: tuple[int, ...]
    train_loss: np.ndarray  # float [S]
    accuracy: np.ndarray  # float [S], of the test set


def metrics_lines(
    model: str, pixels: str, epoch: PixelEpoch
) -> Iterator[dict[str, Any]]:
    """A line of `metrics.jsonl` for each seed."""
    for seed, loss, accuracy in zip(*epoch[1:], strict=True):
        yield {
            "program": f"{model}, {pixels}",
            "seed": seed,
            "epoch": epoch.number,
            "train_loss": finite(loss),
            "test_accuracy": float(accuracy),
        }


def parts(model: str, recipe: Recipe, seeds: Sequence[int]) -> list[tuple[int, ...]]:
    """The seeds that are trained together: Keras's one by one, Flax's as fit caches."""
    at_once = 1
    if model == "flax_dense":
        tx = recipes.optimizer(recipe)
        at_once = many.num_at_once(functools.partial(_init, recipe), tx)
    return [tuple(part) for part in many.chunks(seeds, at_once)]


def train(
    model: str, recipe: Recipe, dataset: Dataset, seeds: Sequence[int]
) -> Generator[PixelEpoch | Run, None, None]:
    """Train Model 3 from each seed with each kind of pixels, in the order of `INPUTS`.

    Yields the epochs, and a `Run` for each seed of a kind before the next kind begins.
    """
    if model == "keras_dense":
        yield from worker.iterate(
            _train_keras,
            recipe,
            dataset,
            tuple(seeds),
            without=worker.KERAS_DOES_WITHOUT,
        )
        return
    for pixels in INPUTS:
        for part in parts(model, recipe, seeds):
            yield from _train_flax(pixels, recipe, dataset, part)


def _init(recipe: Recipe, key: jax.Array) -> Params:
    return flax_dense.init(key, recipe.layer_sizes)


def _train_flax(
    pixels: str, recipe: Recipe, dataset: Dataset, seeds: tuple[int, ...]
) -> Iterator[PixelEpoch | Run]:
    epochs = many.fit_seeds(
        functools.partial(_init, recipe),
        LOSSES[pixels],
        recipes.optimizer(recipe),
        dataset.train,
        [dataset.test],
        seeds=seeds,
        batch_size=recipe.batch_size,
        num_epochs=recipe.num_epochs,
    )
    history = []
    for epoch in epochs:
        (test,) = epoch.held_out
        losses = epoch.train.loss / epoch.train.seen
        history.append(losses)
        yield PixelEpoch(epoch.number, seeds, losses, test.correct / test.seen)

    @jax.jit
    def apply(params: Params, images: jax.Array) -> jax.Array:
        seen = for_bytes(params) if pixels == "bytes" else params
        return flax_dense.apply(seen, images)

    inputs = np.asarray(INPUTS[pixels](jnp.asarray(dataset.test.image[:_LOOKED_AT])))
    for place, seed in enumerate(seeds):
        first = _init(recipe, recipes.run_keys(seed)[0])
        last = jax.tree.map(lambda leaf, place=place: leaf[place], epoch.params)
        first, last = jax.device_get((first, last))
        logits = np.asarray(apply(last, dataset.test.image))
        yield Run(
            cost="cross_entropy",
            labels=dataset.test.label,
            answers=logits.argmax(axis=1),
            accuracy=float(test.correct[place] / test.seen[place]),
            seen=int(test.seen[place]),
            loss=float(test.loss[place] / test.seen[place]),
            train_loss=[float(losses[place]) for losses in history],
            train_seen=int(epoch.train.seen[place]),
            first=first,
            last=last,
            outputs=logits,
            first_outputs=np.asarray(apply(first, dataset.test.image)),
            inputs=inputs,
        )


def _train_keras(send: Callable[[Any], None], *args: Any) -> None:
    """Each kind of pixels, in a process of its own: `worker` says why."""
    for pixels in INPUTS:
        _train_keras_on(pixels, send, *args)


def _train_keras_on(
    pixels: str,
    send: Callable[[Any], None],
    recipe: Recipe,
    dataset: Dataset,
    seeds: tuple[int, ...],
) -> None:
    from jaxnets import keras_dense

    from keras.callbacks import LambdaCallback  # isort: skip

    divisor = {"scaled": np.float32(WHITE), "bytes": np.float32(1)}[pixels]
    train, test = (part.image / divisor for part in (dataset.train, dataset.test))
    labels = dataset.test.label
    for seed in seeds:
        model = keras_dense.build(recipe.layer_sizes, test.shape[1:], seed)
        keras_dense.compile_model(model, recipe)
        first = keras_dense.to_dense(model)
        history: list[dict[str, float]] = []

        def on_epoch_end(number, logs, seed=seed, history=history):
            history.append(logs)
            loss, accuracy = np.array([logs["loss"]]), np.array([logs["val_accuracy"]])
            send(PixelEpoch(number + 1, (seed,), loss, accuracy))

        model.fit(
            *(train, dataset.train.label),
            batch_size=recipe.batch_size,
            epochs=recipe.num_epochs,
            validation_data=(test, labels),  # looked at, not chosen by
            validation_batch_size=1000,
            callbacks=[LambdaCallback(on_epoch_end=on_epoch_end)],
            verbose=0,
        )
        last = keras_dense.to_dense(model)
        vectors = test.reshape(len(test), -1)
        send(
            Run(
                cost="cross_entropy",
                labels=labels,
                answers=keras_answers(model, test),
                accuracy=history[-1]["val_accuracy"],
                seen=len(labels),
                loss=history[-1]["val_loss"],
                train_loss=[logs["loss"] for logs in history],
                train_seen=len(train),
                first=first,
                last=last,
                outputs=logits_of(last, vectors),
                first_outputs=logits_of(first, vectors),
                inputs=vectors[:_LOOKED_AT],
            )
        )


def keras_answers(model: Any, images: np.ndarray) -> np.ndarray:
    """The classes that a Keras model gives to prepared images."""
    return model.predict(images, batch_size=1000, verbose=0).argmax(axis=1)


def logits_of(params: Params, vectors: np.ndarray) -> np.ndarray:
    """Dense layers with ReLU between them, in NumPy.

    Keras's model ends in a softmax, whose logarithm is infinite where bytes make the
    logits differ by hundreds.
    """
    for layer in params[:-1]:
        vectors = np.maximum(vectors @ layer.kernel + layer.bias, 0)
    return vectors @ params[-1].kernel + params[-1].bias
