"""The same three things by JAX and by Keras: same numbers, lines and seconds."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
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
    sharpness,
)
from experiments.control.gradients import gradient_norms
from experiments.kit.numbers import finite
from experiments.kit.run import Row, Run
from jaxnets import process, training
from jaxnets import relu_softmax as network
from jaxnets.batches import epoch_order
from jaxnets.types import Batch, Layers, Params

# What a user writes: file and definitions. The loss itself is left out everywhere.
DEFINITIONS: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    ("gradients", "jax"): ("gradients", ("gradient_norms",)),
    ("gradients", "one_by_one"): ("keras_ways", ("gradient_norm", "norms_one_by_one")),
    ("gradients", "in_a_graph"): ("keras_ways", ("gradient_norm", "norms_in_a_graph")),
    ("gradients", "vectorized"): ("keras_ways", ("gradient_norm", "norms_vectorized")),
    ("product", "jax"): ("descent", ("hessian_vector_product",)),
    ("product", "keras"): ("keras_ways", ("make_hessian_vector_product",)),
    ("rates", "jax"): ("descent", ("layerwise_sgd", "fit_rates")),
    ("rates", "keras"): ("keras_ways", ("LayerRates", "train_each")),
}


def compare(
    run: Run[Any], params: Layers, lanczos_key: jax.Array, vector_key: jax.Array
) -> Iterator[Row]:
    """Do everything by JAX, then by Keras; rows "beside_keras", and one "sharpnesses".

    Gradients and Hessian are those of the trained network, `params`.
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
        ours = {
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

    def row(name: str, way: str, seconds: float, first_seconds: float) -> Row:
        module, definitions = DEFINITIONS[name, way]
        path = Path(__file__).with_name(f"{module}.py")  # the very functions that ran
        return {
            "part": "beside_keras",
            "task": name,
            "way": way,
            "images": len(data[name].label),
            "networks": len(rates) if name == "rates" else None,
            **programs.count_definitions(path, definitions),
            "seconds": seconds,
            "first_seconds": first_seconds,
        }

    for name, (_, *times) in ours.items():
        yield row(name, "jax", *times)
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
    for name, way, value, *times in process.iterate(
        by_keras, task, without=process.KERAS_DOES_WITHOUT
    ):
        if name == "sharpness":
            yield {"part": "sharpnesses", "jax": finite(sharp), "keras": finite(value)}
        else:
            origin = start if name == "rates" else None
            difference = differences(value, ours[name][0], origin)
            yield {**row(name, way, *times), **difference}


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
