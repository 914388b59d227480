"""A function compiled and timed."""

import time
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

import jax

from jaxnets.devices import compile_ahead


class Timed(NamedTuple):
    """What a compiled function gave, and how long it took."""

    value: Any  # on the host
    seconds: float  # of a run, its result on the host; the median
    compile_seconds: float


def timed(function: Callable[..., Any], *args: Any, repeats: int = 1) -> Timed:
    """Compile a function for arguments on the device, and run it `repeats` times."""
    args = jax.device_put(args)
    began = time.perf_counter()
    program = compile_ahead(function, *args)
    compile_seconds = time.perf_counter() - began
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        value = jax.device_get(program(*args))
        seconds.append(time.perf_counter() - began)
    return Timed(value, median(seconds), compile_seconds)
