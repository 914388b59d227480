"""What this machine does at best, the floor that sets under an epoch, and its load.

Every rate is the best of many trials of several programs. Neighbours, clocks and
libraries that do not know the processor make a rate too low, and nothing makes it too
high: of several measurements the better ones count.

A step needs its products' arithmetic, and with Adam its state read and written once.
Both can go on at the same time, so the longer counts. It is a lower bound of the
processor under these assumptions:

- All else costs nothing: shuffling, gathering, activations, dispatch, and the
  gradient's own traffic, as if each piece of it were used where it arises.
- No program multiplies or updates faster than those measured. One that does ends below
  the floor, and the tables show it.
- Model 1's steps, batches of 10 and 30 neurons, are too small for a second core.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

from experiments.kit.run import Row
from experiments.speed.worker import Task
from jaxnets.devices import compile_ahead, cpu_count

MATRIX_SIZES = (512, 1024, 1536)  # from what a core's own cache holds to 9 MB each
STATE_ARRAYS = 3  # that Adam keeps: weights and two moments
TRIAL_BYTES = 64 * 2**20  # moved in a trial, so that starting threads costs little
TRIALS = 5  # at least
TRIAL_SECONDS = 0.1  # at least, all trials of a program together
MAX_FOREIGN = 0.05  # of the processor's time, used by others, in a round that counts
MIN_RATE = 0.9  # of the session's median, before a round that counts
FLOPS = ("flops_per_second_one_core", "flops_per_second_all_cores")
ADAM = "bytes_per_second_adam"  # of arrays of one size; None where it is not needed


class Load(NamedTuple):
    """Seconds of the processor's cores since its start; of Linux."""

    wall: float  # of all cores together
    busy: float  # used by anybody, a virtual machine's neighbours included
    own: float  # used by this process and what it has started

    @classmethod
    def now(cls) -> "Load | None":
        """The state of things; None where the system does not tell."""
        unit = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 1
        try:
            cores = Path("/proc/stat").read_text("utf-8").splitlines()[0].split()
            # A process's name may hold blanks and brackets; what follows does not.
            stats = [text.rpartition(")") for text in _process_stats()]
        except OSError:
            return None
        times: dict[int, tuple[int, int]] = {}  # by process: parent, ticks
        for head, _, tail in stats:
            _, parent, *rest = tail.split()
            ticks = sum(map(int, rest[9:13]))  # its own, and of children that ended
            times[int(head.split()[0])] = int(parent), ticks
        own, family = 0, {os.getpid()}
        while family:
            own += sum(times[pid][1] for pid in family if pid in times)
            family = {pid for pid, (parent, _) in times.items() if parent in family}
        user, nice, system, _, _, irq, softirq, steal = map(int, cores[1:9])
        busy = user + nice + system + irq + softirq + steal
        wall = time.monotonic() * (os.cpu_count() or 1)
        return cls(wall, busy / unit, own / unit)


def _process_stats() -> list[str]:
    texts = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                texts.append((entry / "stat").read_text("utf-8", "replace"))
            except OSError:
                continue  # it has ended in the meantime
    return texts


def foreign_share(before: Load | None, after: Load | None) -> float | None:
    """The share of the processor's time that others used; None where it is unknown."""
    if before is None or after is None:
        return None
    wall, busy, own = (b - a for a, b in zip(before, after, strict=True))
    return max(0.0, (busy - own) / wall)


def counts(row: Row, median_rate: float) -> bool:
    """Whether a round counts: the rule for an idle machine.

    Other processes used less than `MAX_FOREIGN` of the processor, and before the round
    a core multiplied at `MIN_RATE` of the session's median rate, or faster. The best
    rate would not do: a burst that one round was granted threw away all the others.
    """
    is_alone = row["foreign_share"] is None or row["foreign_share"] < MAX_FOREIGN
    return is_alone and row["rate"] >= MIN_RATE * median_rate


def round_rate() -> float:
    """Flops per second of one core, in a moment."""
    with threadpool_limits(1, user_api="blas"):
        size = MATRIX_SIZES[0]
        square = np.ones((size, size), np.float32)
        return 2 * size**3 / _best(np.matmul, square, square)


def measure_rates(point: Task) -> Row:
    """The rates that count at a point."""
    cores = cpu_count()
    every = max(_matmul_rate(cores), _xla_matmul_rate())
    one = max(_matmul_rate(1), every / cores)
    adam = None
    if point.optimizer == "adam":
        adam = max(adam_rate(threads, point.num_params) for threads in {1, cores})
    rates = dict(zip((*FLOPS, ADAM), (one, max(one, every), adam), strict=True))
    return {"row": "rates", "num_params": point.num_params, **rates}


def best_rates(rows: Iterable[Row], point: Task) -> dict[str, Any]:
    """The best of all rows of rates; Adam's for arrays of the point's size."""
    rates = [row for row in rows if row["row"] == "rates"]
    own = [row[ADAM] for row in rates if row["num_params"] == point.num_params]
    best = {name: max(row[name] for row in rates) for name in FLOPS}
    return {**best, ADAM: max(filter(None, own), default=None)}


def floor(point: Task, rates: Row) -> dict[str, Any]:
    """The least that an epoch can take, and why; `rates` are the point's best ones."""
    one_core = point.kind == "sigmoid_mse"
    flops = flops_per_example(point.layer_sizes) * point.examples
    arithmetic = flops / rates[FLOPS[0 if one_core else 1]]
    moved = 2 * STATE_ARRAYS * 4 * point.num_params if rates[ADAM] else 0
    memory = moved * point.steps / rates[ADAM] if rates[ADAM] else 0.0
    seconds = max(arithmetic, memory)
    return {
        "seconds": seconds,
        "arithmetic_seconds": arithmetic,
        "memory_seconds": memory,
        "flops": flops,
        "cores": "one core" if one_core else "all cores",
        "optimizer_bytes_per_step": moved,
        "images_per_second": point.examples / seconds,
    }


def flops_per_example(layer_sizes: tuple[int, ...]) -> int:
    """Products forward, for the weights' gradient, and for the inputs' gradient.

    The first layer's input needs no gradient. A sum and a product are two flops.
    """
    products = [a * b for a, b in itertools.pairwise(layer_sizes)]
    return 2 * (3 * sum(products) - products[0])


def _best(work: Callable[..., object], *args: Any) -> float:
    """Seconds of the fastest trial; a first one warms up."""
    jax.block_until_ready(work(*args))
    seconds: list[float] = []
    while len(seconds) < TRIALS or sum(seconds) < TRIAL_SECONDS:
        began = time.perf_counter()
        jax.block_until_ready(work(*args))
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def _matmul_rate(num_threads: int) -> float:
    """NumPy's best flops per second of float32 products."""
    with threadpool_limits(num_threads, user_api="blas"):
        return max(
            2 * size**3 / _best(np.matmul, *np.ones((3, size, size), np.float32))
            for size in MATRIX_SIZES
        )


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
        for multiply in (jnp.matmul, lambda a, b: a @ b.T):
            product = compile_ahead(multiply, square, square)
            rates.append(2 * size**3 / _best(product, square, square))
    return max(rates)


def adam_rate(num_threads: int, num_params: int) -> float:
    """Bytes read and written per second where arrays as large as Adam's are updated.

    In place, as Adam does. A copy is slower by half: a processor also reads the target
    before it writes there. Each thread has a part of the arrays to itself. They may fit
    a cache, and then a step moves them faster than memory would.
    """
    held_bytes = 4 * STATE_ARRAYS * num_params
    passes = max(1, TRIAL_BYTES // (2 * held_bytes))
    parts = np.array_split(np.ones(held_bytes // 4, np.float32), num_threads)

    def update(part: np.ndarray) -> None:
        for _ in range(passes):
            np.negative(part, out=part)  # NumPy lets other threads run meanwhile

    with ThreadPoolExecutor(num_threads) as pool:
        seconds = _best(lambda: list(pool.map(update, parts)))
    return 2 * held_bytes * passes / seconds
