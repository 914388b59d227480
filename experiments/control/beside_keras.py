"""The same three things by JAX and by Keras: same numbers, lines and seconds."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from experiments.control import layer_rates, line_counts
from experiments.control.curvature import hessian_vector_product, sharpness
from experiments.control.gradients import gradient_norms
from experiments.control.timing import Timed, timed
from experiments.kit.numbers import finite
from experiments.kit.run import Row
from jaxnets import process, training
from jaxnets import relu_softmax as network
from jaxnets.types import Batch, Layers, Params, Recipe

REPEATS = 5  # timed runs of JAX's programs and of Keras's product; the median counts
FOLDER = Path(__file__).parent
# What a user writes: file and definitions. The loss itself is left out everywhere.
DEFINITIONS: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    ("gradients", "jax"): ("gradients", ("gradient_norms",)),
    ("gradients", "one_by_one"): ("keras_ways", ("gradient_norm", "norms_one_by_one")),
    ("gradients", "in_a_graph"): ("keras_ways", ("gradient_norm", "norms_in_a_graph")),
    ("gradients", "vectorized"): ("keras_ways", ("gradient_norm", "norms_vectorized")),
    ("product", "jax"): ("curvature", ("hessian_vector_product",)),
    ("product", "keras"): ("keras_ways", ("make_hessian_vector_product",)),
    ("rates", "jax"): ("layer_rates", ("layerwise_sgd", "fit_rates")),
    ("rates", "keras"): ("keras_ways", ("LayerRates", "train_each")),
}


class Task(NamedTuple):
    """What both are to compute; NumPy arrays."""

    params: Layers  # of the trained network
    vector: Layers  # that the Hessian is multiplied with
    gradients: Batch  # whose gradient norms are wanted
    product: Batch  # over which the mean loss is taken, whose Hessian is wanted
    rates: Batch  # for networks with a rate a layer, in the order of JAX's first epoch
    choices: layer_rates.Rates
    start: Layers  # where these networks begin
    batch_size: int


class Measured(NamedTuple):
    """One thing that Keras computed."""

    task: str
    way: str
    value: Any  # norms [B], a tree as the parameters, or a number
    seconds: float  # without tracing
    first_seconds: float | None  # of the first call, with tracing; None: no such call


def compare(
    params: Layers,
    recipe: Recipe,
    choices: layer_rates.Rates,
    batches: tuple[Batch, Batch, Batch],
    *,
    seed: int,
    vector_key: jax.Array,
    lanczos_key: jax.Array,
) -> Iterator[Row]:
    """Do everything by JAX, then by Keras; rows "beside_keras", and one "sharpnesses".

    Args:
      params: of the trained network.
      recipe, choices, seed: of the networks with a rate a layer.
      batches: the images for the gradient norms, the Hessian and the rates.
    """
    keys, (gradients, curved, unordered) = training.run_keys(seed), batches
    num_examples = len(unordered.label)
    order = np.asarray(training.epoch_order(keys.data, 0, num_examples))
    task = Task(
        params,
        _normal_like(params, vector_key),
        gradients,
        curved,
        Batch(unordered.image[order], unordered.label[order]),
        choices,
        start=jax.device_get(network.init(keys.init, recipe.layer_sizes)),
        batch_size=min(recipe.batch_size, num_examples),
    )
    recipe = replace(recipe, batch_size=task.batch_size, num_epochs=REPEATS)
    with without_cache():
        first, *later = layer_rates.fit_rates(recipe, choices, unordered, seed=seed)
        rates = Timed(
            jax.device_get(first.state.params),
            median(epoch.seconds for epoch in (first, *later)),
            first.compile_seconds,
        )
        ours = {**by_jax(task), "rates": rates}
    largest = jax.jit(partial(sharpness, network.loss_fn))
    sharp = largest(params, jax.device_put(curved), lanczos_key).eigenvalue
    for name, result in ours.items():
        yield _row(task, name, "jax", result.seconds, result.compile_seconds)
    for name, way, value, *seconds in process.iterate(
        by_keras, task, without=process.KERAS_DOES_WITHOUT
    ):
        if name == "sharpness":
            numbers = {"jax": finite(sharp), "keras": finite(value)}
            yield {"part": "sharpnesses", **numbers}
        else:
            origin = task.start if name == "rates" else None
            difference = differences(value, ours[name].value, origin)
            yield {**_row(task, name, way, *seconds), **difference}


def _normal_like(params: Layers, key: jax.Array) -> Layers:
    leaves, structure = jax.tree.flatten(params)
    keys, shapes = jax.random.split(key, len(leaves)), map(np.shape, leaves)
    drawn = [jax.random.normal(*pair) for pair in zip(keys, shapes, strict=True)]
    return jax.device_get(jax.tree.unflatten(structure, drawn))


def _row(
    task: Task, name: str, way: str, seconds: float, first_seconds: float | None
) -> Row:
    """Lines are counted in the very functions that ran."""
    module, definitions = DEFINITIONS[name, way]
    lines = line_counts.count_definitions(FOLDER / f"{module}.py", definitions)
    return {
        "part": "beside_keras",
        "task": name,
        "way": way,
        "images": len(getattr(task, name).label),
        **({"networks": len(task.choices)} if name == "rates" else {}),
        **lines._asdict(),
        "seconds": seconds,
        "first_seconds": first_seconds,
    }


def differences(
    theirs: Params, ours: Params, origin: Params | None = None
) -> dict[str, float | None]:
    """The largest difference, and the largest number that could have differed.

    Both are None where a number is not finite: a network of that rate diverged.

    Args:
      theirs, ours: trees of the same arrays.
      origin: what the weights of each network began with.
    """
    with np.errstate(invalid="ignore"):  # infinity minus infinity
        apart = jax.tree.map(np.subtract, theirs, ours)
        moved = jax.tree.map(np.subtract, ours, origin) if origin is not None else ours
    return {"apart": _largest_size(apart), "size": _largest_size(moved)}


def _largest_size(values: Params) -> float | None:
    sizes = [np.max(np.abs(leaf)) for leaf in jax.tree.leaves(values)]
    return finite(np.max(sizes))  # unlike `max`, NaN wherever it stands


@contextlib.contextmanager
def without_cache() -> Iterator[None]:
    """Programs compiled inside are compiled indeed, not read from earlier runs."""
    folder = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()  # so that the setting counts
    try:
        yield
    finally:
        jax.config.update("jax_compilation_cache_dir", folder)
        compilation_cache.reset_cache()


def by_jax(task: Task) -> dict[str, Timed]:
    """Norms and product, compiled and timed."""

    def product(params: Layers, vector: Layers, data: Batch) -> Params:
        return hessian_vector_product(
            lambda params: network.loss_fn(params, data)[0], params, vector
        )

    norms = partial(gradient_norms, network.loss_fn)
    vectors = (task.params, task.vector)
    return {
        "gradients": timed(norms, task.params, task.gradients, repeats=REPEATS),
        "product": timed(product, *vectors, task.product, repeats=REPEATS),
    }


def by_keras(send: Callable[[Measured], None], task: Task) -> None:
    """Everything, in a process of its own."""
    import tensorflow as tf

    from experiments.control import keras_ways
    from jaxnets.keras_dense import scaled

    def tensors(data: Batch) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.constant(scaled(data.image)), tf.constant(data.label)

    model = keras_ways.build(task.params, task.gradients.image.shape[1:])
    data = tensors(task.gradients)
    for way in ("one_by_one", "in_a_graph", "vectorized"):
        norms = getattr(keras_ways, f"norms_{way}")(model)
        # A loop is traced by its first image; the others by all of them.
        traced = [array[:1] for array in data] if way == "one_by_one" else data
        _, first_seconds = _clocked(norms, *traced)
        value, seconds = _clocked(lambda norms=norms: np.asarray(norms(*data)))
        send(Measured("gradients", way, value, seconds, first_seconds))

    product = keras_ways.make_hessian_vector_product(model, *tensors(task.product))
    vector, structure = jax.tree.flatten(task.vector)
    vector = [tf.constant(leaf) for leaf in vector]
    _, first_seconds = _clocked(product, vector)
    runs = [
        _clocked(lambda: [leaf.numpy() for leaf in product(vector)])
        for _ in range(REPEATS)
    ]
    value = jax.tree.unflatten(structure, runs[0][0])
    seconds = median(seconds for _, seconds in runs)
    send(Measured("product", "keras", value, seconds, first_seconds))
    largest, seconds = _clocked(keras_ways.largest_eigenvalue, product, vector)
    send(Measured("sharpness", "keras", largest, seconds, None))

    def train(choices: layer_rates.Rates) -> list[Layers]:
        data = (scaled(task.rates.image), task.rates.label)
        args = (model, task.start, choices, data, task.batch_size)
        return list(keras_ways.train_each(*args))

    _, first_seconds = _clocked(train, task.choices[:1])
    networks, seconds = _clocked(train, task.choices)
    value = jax.tree.map(lambda *leaves: np.stack(leaves), *networks)
    send(Measured("rates", "keras", value, seconds, first_seconds))


def _clocked(function: Callable[..., Any], *args: Any) -> tuple[Any, float]:
    began = time.perf_counter()
    value = function(*args)
    return value, time.perf_counter() - began
