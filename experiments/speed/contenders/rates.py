"""What this machine does at best, measured: arithmetic and memory.

Every rate is the best of many trials of several programs. Neighbours, clocks and
libraries that do not know the processor make a rate too low, and nothing makes it too
high: whoever measures again keeps the better ones, by `best_of`.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

MATRIX_SIZES = (512, 1024, 1536)  # from what a core's own cache holds to 9 MB each
STATE_ARRAYS = 3  # that Adam keeps: weights and two moments
TRIAL_BYTES = 64 * 2**20  # moved in a trial, so that starting threads costs little
TRIALS = 5  # at least
TRIAL_SECONDS = 0.1  # at least, all trials of a program together

Rates = dict[str, float]


def product_rates(num_cores: int) -> Rates:
    """Flops per second of matrix products, NumPy's or XLA's, whichever is faster."""
    one = _matmul_rate(1)
    every = max(one, _matmul_rate(num_cores), _xla_matmul_rate())
    return {
        "flops_per_second_one_core": max(one, every / num_cores),
        "flops_per_second_all_cores": every,
    }


def adam_rate(num_cores: int, num_params: int) -> float:
    """Bytes per second, read and written, of an update as large as Adam's.

    The arrays may fit a cache, and then a step moves them faster than memory would.
    """
    held_bytes = 4 * STATE_ARRAYS * num_params
    return max(_update_rate(held_bytes, threads) for threads in {1, num_cores})


def best_of(rates: Rates, others: Rates) -> Rates:
    """The better of each rate, of two measurements of the same machine."""
    return {name: max(rate, others.get(name, rate)) for name, rate in rates.items()}


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
            left, right, out = np.ones((3, size, size), np.float32)
            seconds = _best(lambda a=left, b=right, c=out: np.matmul(a, b, out=c))
            rates.append(2 * size**3 / seconds)
    return max(rates)


def _xla_matmul_rate() -> float:
    """XLA's best flops per second of float32 products, on all cores.

    Also by a transposed matrix, which XLA may multiply faster: `training` does so.
    """
    import jax  # the workers' side of this package does without it

    from jaxnets.devices import compile_ahead

    rates = []
    for size in MATRIX_SIZES:
        square = jax.device_put(
            np.ones((size, size), np.float32), jax.devices("cpu")[0]
        )
        for multiply in (jax.numpy.matmul, lambda a, b: a @ b.T):
            product = compile_ahead(multiply, square, square)
            seconds = _best(lambda p=product, a=square: p(a, a).block_until_ready())
            rates.append(2 * size**3 / seconds)
    return max(rates)


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
