"""What this machine does at best, and the floor that sets under an epoch.

Every rate is the best of many trials of several programs. Neighbours, clocks and
libraries that do not know the processor make a rate too low, and nothing makes it too
high: of several measurements the better ones count.

A step needs its products' arithmetic, and with Adam its state read and written once.
The two can go on at the same time, so the longer of them counts, not their sum. It is
a lower bound of the processor under these assumptions:

- All else costs nothing: shuffling, gathering, activations, dispatch. So does the
  gradient's own traffic, as if each piece of it were used where it arises.
- No program multiplies or updates faster than the programs measured. One that does
  ends below the floor, and the tables show it.
- Model 1's steps, batches of 10 and 30 neurons, are too small for a second core.
"""

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from threadpoolctl import threadpool_limits

from experiments.speed.points import Point
from jaxnets.devices import compile_ahead, cpu_count

MATRIX_SIZES = (512, 1024, 1536)  # from what a core's own cache holds to 9 MB each
STATE_ARRAYS = 3  # that Adam keeps: weights and two moments
TRIAL_BYTES = 64 * 2**20  # moved in a trial, so that starting threads costs little
TRIALS = 5  # at least
TRIAL_SECONDS = 0.1  # at least, all trials of a program together


class Rates(NamedTuple):
    """Best rates; the names are those of the results."""

    flops_per_second_one_core: float
    flops_per_second_all_cores: float
    bytes_per_second_adam: float | None  # of arrays of one size; None: not measured


@dataclass(frozen=True)
class Floor:
    """The least that an epoch can take at the machine's rates, and why."""

    seconds: float
    arithmetic_seconds: float
    memory_seconds: float
    flops: int
    cores: str
    optimizer_bytes_per_step: int
    images_per_second: float


def measure_rates(point: Point) -> Rates:
    """The rates that count at a point."""
    cores = cpu_count()
    one, every = _matmul_rate(1), _matmul_rate(cores)
    every = max(one, every, _xla_matmul_rate())
    adam = adam_rate(cores, point.num_params) if point.optimizer == "adam" else None
    return Rates(max(one, every / cores), every, adam)


def adam_rate(num_cores: int, num_params: int) -> float:
    """Bytes per second, read and written, of an update as large as Adam's.

    The arrays may fit a cache, and then a step moves them faster than memory would.
    """
    held_bytes = 4 * STATE_ARRAYS * num_params
    return max(_update_rate(held_bytes, threads) for threads in {1, num_cores})


def floor(point: Point, rates: Rates) -> Floor:
    """The floor of a point's epoch; `rates` as `measure_rates` of the same point."""
    cores = "one_core" if point.kind == "sigmoid_mse" else "all_cores"
    flops = flops_per_example(point.layer_sizes) * point.examples
    arithmetic = flops / getattr(rates, f"flops_per_second_{cores}")
    moved, memory = 0, 0.0
    if rates.bytes_per_second_adam is not None:
        moved = 2 * STATE_ARRAYS * 4 * point.num_params  # read and written once
        memory = moved * point.steps / rates.bytes_per_second_adam
    seconds = max(arithmetic, memory)
    return Floor(
        seconds=seconds,
        arithmetic_seconds=arithmetic,
        memory_seconds=memory,
        flops=flops,
        cores=cores.replace("_", " "),
        optimizer_bytes_per_step=moved,
        images_per_second=point.examples / seconds,
    )


def flops_per_example(layer_sizes: tuple[int, ...]) -> int:
    """Products forward, for the weights' gradient, and for the inputs' gradient.

    The first layer's input needs no gradient. An addition and a multiplication
    are two flops.
    """
    products = [a * b for a, b in itertools.pairwise(layer_sizes)]
    return 2 * (3 * sum(products) - products[0])


def _best(work: Callable[[], object]) -> float:
    """Seconds of the fastest trial; a first one warms up."""
    work()
    seconds: list[float] = []
    while len(seconds) < TRIALS or sum(seconds) < TRIAL_SECONDS:
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _matmul_rate(num_threads: int) -> float:
    """NumPy's best flops per second of float32 products."""
    rates = []
    with threadpool_limits(num_threads, user_api="blas"):
        for size in MATRIX_SIZES:
            multiply = partial(np.matmul, *np.ones((3, size, size), np.float32))
            rates.append(2 * size**3 / _best(multiply))
    return max(rates)


def _xla_matmul_rate() -> float:
    """XLA's best flops per second of float32 products, on all cores.

    Also by a transposed matrix, which XLA may multiply faster: `training` does so.
    """
    try:
        (processor, *_) = jax.devices("cpu")
    except RuntimeError:
        return 0.0  # JAX was told to do without it
    rates = []
    for size in MATRIX_SIZES:
        square = jax.device_put(np.ones((size, size), np.float32), processor)
        for multiply in (jax.numpy.matmul, lambda a, b: a @ b.T):
            product = compile_ahead(multiply, square, square)
            run = partial(_finished, product, square)
            rates.append(2 * size**3 / _best(run))
    return max(rates)


def _finished(product: Callable[..., jax.Array], square: jax.Array) -> None:
    product(square, square).block_until_ready()


def _update_rate(held_bytes: int, num_threads: int) -> float:
    """Bytes read and written per second where arrays are updated in place.

    As Adam does. A copy is slower by half: a processor also reads the target before
    it writes there. Each thread has a part of the arrays to itself.
    """
    passes = max(1, TRIAL_BYTES // (2 * held_bytes))
    parts = np.array_split(np.ones(held_bytes // 4, np.float32), num_threads)

    def update(part: np.ndarray) -> None:
        for _ in range(passes):
            np.negative(part, out=part)  # NumPy lets other threads run meanwhile

    with ThreadPoolExecutor(num_threads) as pool:
        seconds = _best(lambda: list(pool.map(update, parts)))
    return 2 * held_bytes * passes / seconds
