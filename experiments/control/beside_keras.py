"""The same three things by JAX and by Keras: same numbers, lines and seconds."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from statistics import median
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
    sharpness,
)
from experiments.control.gradients import gradient_norms
from experiments.kit.numbers import finite
from experiments.kit.run import Row, Run
from jaxnets import process, training
from jaxnets import relu_softmax as network
from jaxnets.batches import epoch_order
from jaxnets.types import Batch, Layers, Params

NUM_WAYS = 8  # of doing the three things, by JAX and by Keras


def compare(
    run: Run[Any], params: Layers, lanczos_key: jax.Array, vector_key: jax.Array
) -> Iterator[Row]:
    """Do everything by JAX, then by Keras; rows "beside_keras", and one "sharpnesses".

    Gradients and Hessian are those of the trained network, `params`. Lines are those of
    the very functions that run; the loss itself is left out everywhere.
    """
    config, keys = run.config, training.run_keys(run.config.seed)
    data = {
        "gradients": first_images(run, config.gradient_images),
        "product": first_images(run, config.sharpness_images),
        "rates": first_images(run, config.rate_images),
    }
    rates, num_examples = config.combinations, len(data["rates"].label)
    batch_size = min(config.batch_size, num_examples)
    recipe = replace(config.recipe, batch_size=batch_size, num_epochs=programs.REPEATS)
    vector = jax.device_get(
        optax.tree.random_like(vector_key, params, jax.random.normal)
    )

    def product(params: Layers, vector: Layers, data: Batch) -> Params:
        return hessian_vector_product(
            lambda params: network.loss_fn(params, data)[0], params, vector
        )

    timed = partial(programs.timed, repeats=programs.REPEATS)
    norms = partial(gradient_norms, network.loss_fn)
    with programs.without_cache():
        epochs = list(fit_rates(recipe, rates, data["rates"], seed=config.seed))
        ours = {  # value, seconds, those of the first call
            "gradients": timed(norms, params, data["gradients"]),
            "product": timed(product, params, vector, data["product"]),
            "rates": (
                jax.device_get(epochs[0].state.params),
                median(epoch.seconds for epoch in epochs),
                epochs[0].compile_seconds,
            ),
        }
    curved = jax.device_put(data["product"])
    sharp = jax.jit(sharpness)(params, curved, lanczos_key)["eigenvalue"]

    def row(
        name: str, way: str, lines: dict[str, int], seconds: float, first_seconds: float
    ) -> dict[str, Any]:
        return {
            "part": "beside_keras",
            "task": name,
            "way": way,
            "images": len(data[name].label),
            "networks": len(rates) if name == "rates" else None,
            **lines,
            "seconds": seconds,
            "first_seconds": first_seconds,
        }

    counted: list[tuple[Any, ...]] = [
        ("gradients", gradient_norms),
        ("product", hessian_vector_product),
        ("rates", layerwise_sgd, fit_rates),
    ]
    for name, *functions in counted:
        lines = programs.count_definitions(*functions)
        yield row(name, "jax", lines, *ours[name][1:])
    order = np.asarray(epoch_order(keys.data, 0, num_examples))
    start = jax.device_get(network.init(keys.init, config.layer_sizes))
    task = {
        "params": params,
        "vector": vector,
        "start": start,
        "rates": rates,
        "batch_size": batch_size,
        "data": {**data, "rates": Batch(*(array[order] for array in data["rates"]))},
    }
    for name, way, value, *measured in process.iterate(
        by_keras, task, without=process.KERAS_DOES_WITHOUT
    ):
        if name == "sharpness":
            yield {"part": "sharpnesses", "jax": finite(sharp), "keras": finite(value)}
        else:
            origin = start if name == "rates" else None
            difference = differences(value, ours[name][0], origin)
            yield {**row(name, way, *measured), **difference}


def by_keras(send: Callable[[Any], None], task: dict[str, Any]) -> None:
    """Everything, in a process of its own, where TensorFlow loads."""
    from experiments.control import keras_ways

    keras_ways.compute(send, **task)


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
