"""The same three things by JAX and by Keras: same numbers, lines and seconds."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

from experiments.control import layer_rates, line_counts
from experiments.control.curvature import hessian_vector_product, sharpness
from experiments.control.keras_process import REPEATS, KerasTask, measure
from experiments.control.per_example import gradient_norms
from experiments.control.study import Study, timed
from experiments.kit.numbers import finite
from jaxnets import relu_softmax as network
from jaxnets.devices import compile_ahead
from jaxnets.types import Batch, Params

_HERE = Path(__file__).parent
# What a user writes: file and definitions. The loss itself is left out everywhere.
LINES: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
    "gradients": {
        "jax": ("per_example", ("gradient_norms",)),
        "one_by_one": ("keras_ways", ("gradient_norm", "norms_one_by_one")),
        "in_a_graph": ("keras_ways", ("gradient_norm", "norms_in_a_graph")),
        "vectorized": ("keras_ways", ("gradient_norm", "norms_vectorized")),
    },
    "product": {
        "jax": ("curvature", ("hessian_vector_product",)),
        "product": ("keras_ways", ("make_hessian_vector_product",)),
    },
    "rates": {
        "jax": ("layer_rates", ("layerwise_sgd", "make_rates_epoch")),
        "rates": ("keras_ways", ("LayerRates", "train_each")),
    },
}
PART_OF = {name: part for part, ways in LINES.items() for name in ways if name != "jax"}


def compare(
    study: Study, *, num_gradients: int, num_hessian: int, num_rates: int
) -> Iterator[str]:
    """Do everything by JAX, then by Keras, on the same weights and images."""
    task = _task(study, num_gradients, num_hessian, num_rates)
    with _without_cache():
        ours = _by_jax(task)
    parts: dict[str, Any] = {
        "gradients": {"images": len(task.gradients.label), "ways": {}},
        "product": {"images": len(task.hessian.label), "ways": {}},
        "rates": {
            "images": len(task.rates_data.label),
            "networks": len(task.rates),
            "ways": {},
        },
    }
    study.found["beside_keras"] = parts
    for part, (_, seconds, first_seconds) in ours.items():
        if part != "sharpness":
            parts[part]["ways"]["jax"] = _way(part, "jax", seconds, first_seconds)
    yield "three things by JAX, once more on the images that Keras gets"
    for event in measure(task):
        if event.name == "sharpness":
            parts["product"]["sharpness"] = {
                "jax": finite(ours["sharpness"][0]),
                "keras": finite(event.value),
            }
        else:
            part = PART_OF[event.name]
            way = _way(part, event.name, event.seconds, event.first_seconds)
            origin = task.rates_params if part == "rates" else None
            way |= apart(event.value, ours[part][0], origin)
            parts[part]["ways"][event.name] = way
        yield f"Keras: {event.name.replace('_', ' ')}  {event.seconds:.3f} s"


def _task(study: Study, gradients: int, hessian: int, rates: int) -> KerasTask:
    params, data_key = study.start()
    leaves, structure = jax.tree.flatten(study.params)
    keys = jax.random.split(data_key, len(leaves))
    vector = [
        np.asarray(jax.random.normal(key, leaf.shape))
        for key, leaf in zip(keys, leaves, strict=True)
    ]
    return KerasTask(
        params=study.params,
        gradients=study.some(gradients),
        hessian=study.some(hessian),
        vector=jax.tree.unflatten(structure, vector),
        rates_params=jax.device_get(params),
        rates_data=study.some(rates),
        rates=study.rates,
        batch_size=min(study.recipe.batch_size, rates),
    )


@contextlib.contextmanager
def _without_cache() -> Iterator[None]:
    """Programs compiled inside are compiled indeed, not read from earlier runs."""
    kept = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()  # so that the setting counts
    try:
        yield
    finally:
        jax.config.update("jax_compilation_cache_dir", kept)
        compilation_cache.reset_cache()


def _by_jax(task: KerasTask) -> dict[str, tuple[Any, float, float]]:
    """Each part's value, seconds, and seconds of compiling."""

    def product(params: Params, vector: Params, data: Batch) -> Params:
        return hessian_vector_product(
            lambda params: network.loss_fn(params, data)[0], params, vector
        )

    over_rates = layer_rates.make_rates_epoch(network.loss_fn, task.batch_size)
    order = np.arange(len(task.rates_data.label), dtype=np.int32)
    stacked = layer_rates.stack(task.rates_params, len(task.rates))
    epoch = _run(over_rates, stacked, task.rates, order, task.rates_data, ())
    largest = _run(
        lambda *args: sharpness(network.loss_fn, *args),
        *(task.params, task.hessian, jax.random.key(0)),
    )
    return {
        "gradients": _run(
            lambda *args: gradient_norms(network.loss_fn, *args),
            *(task.params, task.gradients),
        ),
        "product": _run(product, task.params, task.vector, task.hessian),
        "sharpness": (float(largest[0].eigenvalue), *largest[1:]),
        "rates": (
            tuple(
                jax.tree.map(lambda leaf, place=place: leaf[place], epoch[0][0])
                for place in range(len(task.rates))
            ),
            *epoch[1:],
        ),
    }


def _run(function: Callable[..., Any], *args: Any) -> tuple[Any, float, float]:
    args = jax.device_put(args)
    began = time.perf_counter()
    program = compile_ahead(function, *args)
    compile_seconds = time.perf_counter() - began
    runs = [timed(program, *args) for _ in range(REPEATS)]
    return runs[0][0], median(seconds for _, seconds in runs), compile_seconds


def _way(part: str, name: str, seconds: float, first: float | None) -> dict[str, Any]:
    """An entry of results.json: lines counted in the very functions that ran."""
    module, definitions = LINES[part][name]
    lines = line_counts.of_definitions(_HERE / f"{module}.py", definitions)
    return {
        "lines": lines.code,
        "logical_lines": lines.logical,
        "seconds": seconds,
        "first_seconds": first,
    }


def largest_size(values: Any) -> float | None:
    """The largest |number| in all of the arrays; None where one is not finite."""
    return finite(max(np.max(np.abs(leaf)) for leaf in jax.tree.leaves(values)))


def apart(theirs: Any, ours: Any, origin: Params | None) -> dict[str, float | None]:
    """The largest difference, and the largest number that could have differed.

    Both are None where a number is not finite: a network of that rate diverged.

    Args:
      theirs, ours: arrays, in the same order.
      origin: what the weights of each network began with, or None.
    """
    theirs, ours = (list(map(np.asarray, jax.tree.leaves(v))) for v in (theirs, ours))
    differences = [a - b for a, b in zip(theirs, ours, strict=True)]
    if origin is not None:
        starts = jax.tree.leaves(origin)
        ours = [a - starts[place % len(starts)] for place, a in enumerate(ours)]
    return {"apart": largest_size(differences), "size": largest_size(ours)}
