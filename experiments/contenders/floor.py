"""What this machine could do at best: an epoch's floor under every contender.

Flops at the best rate of a float32 matrix product, and for Adam the memory
traffic of its update at the best rate of a copy of the same size. The product is
NumPy's or XLA's, whichever is faster: a library may not know the processor.
"""

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from contenders.task import Task

MATRIX_SIZE = 1536  # three float32 matrices of 9 MB: large enough for the best rate
COPY_BYTES = 256 * 2**20  # far larger than a processor's caches; moved in each trial
ADAM_ARRAYS = 7  # read weight, gradient and two moments; write all but the gradient
ADAM_HELD = 4  # arrays in memory: weight, gradient and two moments
TRIALS = 7  # the best of them counts: a floor is what the machine can do


def machine(num_cores: int, step_params: int) -> dict[str, Any]:
    """Rates of this machine: flops per second and bytes per second.

    Args:
      num_cores: that this process may use.
      step_params: parameters of the network that Adam trains. Its arrays may fit
        a cache, and then a step moves them faster than memory would.
    """
    all_cores = max(_matmul_rate(num_cores), _xla_matmul_rate())
    return {
        "flops_per_second_one_core": max(_matmul_rate(1), all_cores / num_cores),
        "flops_per_second_all_cores": all_cores,
        "bytes_per_second_memory": _copy_rate(COPY_BYTES, num_cores),
        "bytes_per_second_adam": adam_rate(num_cores, step_params),
        "num_cores": num_cores,
    }


def adam_rate(num_cores: int, step_params: int) -> float:
    """Bytes per second of a copy whose arrays take the memory of Adam's."""
    return _copy_rate(ADAM_HELD * 4 * step_params, num_cores)


def _best(work: Callable[[], None]) -> float:
    """Seconds of the fastest trial; a first one warms up."""
    work()
    seconds = []
    for _ in range(TRIALS):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _matmul_rate(num_threads: int) -> float:
    rng = np.random.default_rng(0)
    left, right = rng.random((2, MATRIX_SIZE, MATRIX_SIZE), np.float32)
    out = np.empty_like(left)
    with threadpool_limits(num_threads, user_api="blas"):
        seconds = _best(lambda: np.matmul(left, right, out=out))
    return 2 * MATRIX_SIZE**3 / seconds


def _xla_matmul_rate() -> float:
    """On all cores."""
    import jax  # the workers' side of this package does without it

    from jaxnets.compiling import compile_ahead

    rng = np.random.default_rng(0)
    host = rng.random((2, MATRIX_SIZE, MATRIX_SIZE), np.float32)
    left, right = jax.device_put(tuple(host), jax.devices("cpu")[0])
    product = compile_ahead(jax.numpy.matmul, left, right)
    seconds = _best(lambda: product(left, right).block_until_ready())
    return 2 * MATRIX_SIZE**3 / seconds


def _copy_rate(held_bytes: int, num_threads: int) -> float:
    """Bytes read and written per second, by all threads, each with its own part."""
    passes = max(1, COPY_BYTES // held_bytes)
    length = held_bytes // (2 * 4 * num_threads)  # source and target, float32
    parts = [
        (np.zeros(length, np.float32), np.ones(length, np.float32))
        for _ in range(num_threads)
    ]

    def copy(part: tuple[np.ndarray, np.ndarray]) -> None:
        for _ in range(passes):
            np.copyto(*part)  # NumPy lets other threads run meanwhile

    with ThreadPoolExecutor(num_threads) as pool:
        seconds = _best(lambda: list(pool.map(copy, parts)))
    return num_threads * 2 * 4 * length * passes / seconds


def num_params(layer_sizes: tuple[int, ...]) -> int:
    """Weights and biases together."""
    return sum((a + 1) * b for a, b in itertools.pairwise(layer_sizes))


def flops_per_example(layer_sizes: tuple[int, ...]) -> int:
    """Products forward, for the weights' gradient, and for the inputs' gradient.

    The first layer's input needs no gradient. An addition and a multiplication
    are two flops.
    """
    products = [a * b for a, b in itertools.pairwise(layer_sizes)]
    return 2 * (3 * sum(products) - products[0])


def epoch_floor(task: Task, num_examples: int, rates: dict[str, Any]) -> dict[str, Any]:
    """The least that an epoch can take, in seconds, and what it is made of."""
    cores = "one_core" if task.model == "sigmoid_mse" else "all_cores"
    flops = flops_per_example(task.layer_sizes) * num_examples
    seconds = flops / rates[f"flops_per_second_{cores}"]
    num_steps = -(-num_examples // task.batch_size)
    traffic = 0
    if task.optimizer == "adam":
        traffic = ADAM_ARRAYS * 4 * num_params(task.layer_sizes)
        seconds += traffic * num_steps / rates["bytes_per_second_adam"]
    return {
        "seconds": seconds,
        "flops": flops,
        "cores": cores.replace("_", " "),
        "optimizer_bytes_per_step": traffic,
    }
