"""Three things by JAX and by Keras: the same numbers, lines, and seconds in turn."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from typing import Any

import jax
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from experiments.control import programs
from experiments.control.descent import (
    first_images,
    fit_rates,
    hessian_vector_product,
    layerwise_sgd,
)
from experiments.control.gradients import gradient_norms
from experiments.kit.numbers import finite
from experiments.kit.run import Row, Run
from jaxnets import process, training
from jaxnets import relu_softmax as network
from jaxnets.batches import epoch_order
from jaxnets.types import Batch, Layers, Params

WAYS = {  # task and way in the order of a round; ratios are to the "jax" of a task
    ("gradients", "jax"): "gradient norms: JAX, vmap",
    ("gradients", "vectorized"): "gradient norms: Keras, tf.vectorized_map",
    ("gradients", "in_a_graph"): "gradient norms: Keras, tf.map_fn",
    ("product", "jax"): "Hessian product: JAX, jvp of grad",
    ("product", "keras"): "Hessian product: Keras, tape in a tape",
    ("rates", "jax"): "training: JAX, all at once",
    ("rates", "one_by_one"): "training: JAX, one network, as many epochs",
    ("rates", "keras"): "training: Keras, one after another",
}
REPEATS = {"product": 100}  # calls in a row of what takes milliseconds


def compare(run: Run[Any], params: Layers, key: jax.Array) -> Iterator[Row]:
    """Do everything by JAX and by Keras, once apart and then in turn, round by round.

    Yields rows "way", one a way, with its first call, which compiles; and
    "beside_keras", one a way and round. Gradients and Hessian are those of the trained
    network, `params`. Lines are those of the functions that run, without the loss and
    without `jax.jit` and `tf.function` around them.
    """
    config, keys = run.config, training.run_keys(run.config.seed)
    data = {
        "gradients": first_images(run, config.gradient_images),
        "product": first_images(run, config.sharpness_images),
        "rates": first_images(run, config.rate_images),
    }
    rates, num_examples = config.combinations, len(data["rates"].label)
    batch_size = min(config.batch_size, num_examples)
    vector = optax.tree.random_like(key, params, jax.random.normal)
    ours = by_jax(config, batch_size, params, vector, data)
    with programs.without_cache():
        first_calls = [(*key, *programs.first_call(*way)) for key, way in ours.items()]
    ours_of = {name: value for name, way, value, *_ in first_calls if way == "jax"}

    order = np.asarray(epoch_order(keys.data, 0, num_examples))
    start = jax.device_get(network.init(keys.init, config.layer_sizes))
    task = {
        "params": params,
        "vector": jax.device_get(vector),
        "start": start,
        "rates": rates,
        "batch_size": batch_size,
        "repeats": REPEATS,
        "data": {**data, "rates": Batch(*(array[order] for array in data["rates"]))},
    }
    theirs = process.iterate(  # it waits while JAX is timed
        by_keras, config.rounds, task, without=process.KERAS_DOES_WITHOUT, lockstep=True
    )
    with contextlib.closing(theirs):
        for name, way, value, seconds, lines in chain(
            first_calls, islice(theirs, len(WAYS) - len(ours))
        ):
            origin = start if name == "rates" else None
            yield {
                "part": "way",
                "task": name,
                "way": way,
                "images": len(data[name].label),
                "networks": len(rates) if name == "rates" else None,
                **lines,
                "first_seconds": seconds,
                **({} if value is None else differences(value, ours_of[name], origin)),
            }
        for number in range(1, config.rounds + 1):
            for name, way in WAYS:
                if (name, way) in ours:
                    _, seconds = programs.clocked(
                        ours[name, way][0], REPEATS.get(name, 1)
                    )
                else:
                    seconds = next(theirs)
                row = {"part": "beside_keras", "round": number, "task": name}
                yield {**row, "way": way, "seconds": seconds}


def by_jax(
    config: Any, batch_size: int, params: Layers, vector: Layers, data: dict[str, Batch]
) -> dict[tuple[str, str], Any]:
    """JAX's ways, and what to count; training goes on where the last epoch ended."""
    rates, train, seed = config.combinations, data["rates"], config.seed
    num_epochs = (config.rounds + 1) * len(rates)  # of the one network
    recipe = replace(config.recipe, batch_size=batch_size, num_epochs=num_epochs)
    together = fit_rates(recipe, rates, train, seed=seed)
    alone = fit_rates(recipe, rates[-1:], train, seed=seed)
    norms = jax.jit(partial(gradient_norms, network.loss_fn))
    product = jax.jit(hessian_vector_product)
    params, images, curved = jax.device_put(
        (params, data["gradients"], data["product"])
    )

    def train_alone() -> None:
        for epoch in islice(alone, len(rates)):
            jax.device_get(epoch.state.params)

    get, counted = jax.device_get, [layerwise_sgd, fit_rates]
    return {
        ("gradients", "jax"): (lambda: get(norms(params, images)), [gradient_norms]),
        ("product", "jax"): (
            lambda: get(product(params, vector, curved)),
            [hessian_vector_product],
        ),
        ("rates", "jax"): (lambda: get(next(together).state.params), counted),
        ("rates", "one_by_one"): (train_alone, counted),
    }


def by_keras(send: Callable[[Any], None], rounds: int, task: dict[str, Any]) -> None:
    """Everything, in a process of its own, where TensorFlow loads."""
    from experiments.control import keras_ways

    keras_ways.compute(send, rounds, **task)


def differences(
    theirs: Params, ours: Params, origin: Params | None = None
) -> dict[str, float | None]:
    """The largest difference, and the largest number that could have differed.

    Weights differ in what they moved from their origin. A number that is not finite,
    as of a network that diverged, gives None.
    """
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        apart = jax.tree.map(np.subtract, theirs, ours)
        moved = jax.tree.map(np.subtract, ours, origin) if origin is not None else ours
    trees = {"apart": apart, "size": moved}
    return {k: finite(abs(ravel_pytree(tree)[0]).max()) for k, tree in trees.items()}
