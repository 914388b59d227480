"""Measure `keras_ways` in a process of its own; `worker` says why."""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from jaxnets import process as worker
from jaxnets.types import Batch, Params

REPEATS = 5  # timed Hessian-vector products


class KerasTask(NamedTuple):
    """What Keras is to compute; all arrays are NumPy's."""

    params: Params
    gradients: Batch  # whose gradient norms are wanted
    hessian: Batch  # over which the mean loss is taken
    vector: Params  # that the Hessian is multiplied with
    rates_params: Params  # where training with a rate per layer begins
    rates_data: Batch  # in this order, one epoch
    rates: np.ndarray  # float32 [C, layers]
    batch_size: int


class Measured(NamedTuple):
    """One thing that Keras computed."""

    name: str  # one_by_one, in_a_graph, vectorized, product, sharpness or rates
    value: Any  # norms [B], a `Params`, a number, or a tuple of C `Params`
    seconds: float  # without tracing
    first_seconds: float | None  # of the first call, with tracing; None: no such call


def measure(task: KerasTask) -> Iterator[Measured]:
    """Everything that is asked for, each as it is done."""
    return worker.iterate(_measure_here, task, without=worker.KERAS_DOES_WITHOUT)


def _timed(function: Callable[..., Any], *args: Any) -> tuple[Any, float]:
    began = time.perf_counter()
    value = function(*args)
    return value, time.perf_counter() - began


def _measure_here(send: Callable[[Measured], None], task: KerasTask) -> None:
    from experiments.control import keras_ways
    from jaxnets import keras_dense

    model = keras_ways.build(task.params, task.gradients.image.shape[1:])

    def tensors(data: Batch) -> tuple[Any, Any]:
        convert = keras_dense.tf.constant
        return convert(keras_dense.scaled(data.image)), convert(data.label)

    data = tensors(task.gradients)
    for name in ("one_by_one", "in_a_graph", "vectorized"):
        norms = getattr(keras_ways, f"norms_{name}")(model)
        # A loop is traced by its first image; the others by all of them.
        traced = [array[:1] for array in data] if name == "one_by_one" else data
        _, first_seconds = _timed(norms, *traced)
        value, seconds = _timed(lambda norms=norms: np.asarray(norms(*data)))
        send(Measured(name, value, seconds, first_seconds))

    _measure_hessian(send, task, model, tensors(task.hessian))
    _measure_rates(send, task, model)


def _measure_hessian(send, task: KerasTask, model: Any, data: tuple[Any, Any]) -> None:
    from scipy.sparse.linalg import LinearOperator, eigsh

    from experiments.control import keras_ways
    from jaxnets.keras_dense import tf

    product = keras_ways.make_hessian_vector_product(model, *data)
    vector = [tf.constant(array) for layer in task.vector for array in layer]
    value, first_seconds = _timed(product, vector)
    seconds = [
        _timed(lambda: [array.numpy() for array in product(vector)])[1]
        for _ in range(REPEATS)
    ]
    flat = [array.numpy() for array in value]
    as_params = tuple(zip(flat[0::2], flat[1::2], strict=True))
    send(Measured("product", as_params, float(np.median(seconds)), first_seconds))

    sizes = np.cumsum([array.size for array in flat])

    def times(vector: np.ndarray) -> np.ndarray:
        parts = np.split(vector.astype(np.float32), sizes[:-1])
        shaped = [
            tf.constant(part.reshape(array.shape))
            for part, array in zip(parts, flat, strict=True)
        ]
        return np.concatenate([array.numpy().ravel() for array in product(shaped)])

    operator = LinearOperator((sizes[-1], sizes[-1]), matvec=times, dtype=np.float32)
    start = np.random.default_rng(0).standard_normal(sizes[-1]).astype(np.float32)

    def largest() -> float:
        found = eigsh(operator, 1, which="LA", v0=start, return_eigenvectors=False)
        return float(found[0])

    send(Measured("sharpness", *_timed(largest), None))


def _measure_rates(send, task: KerasTask, model: Any) -> None:
    from experiments.control import keras_ways
    from jaxnets import keras_dense

    data = (keras_dense.scaled(task.rates_data.image), task.rates_data.label)

    def train(rates: np.ndarray) -> list[Params]:
        each = keras_ways.train_each(
            model, task.rates_params, rates, data, task.batch_size
        )
        return list(each)

    _, first_seconds = _timed(train, task.rates[:1])
    value, seconds = _timed(train, task.rates)
    send(Measured("rates", tuple(value), seconds, first_seconds))
