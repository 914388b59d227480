"""How long a call takes, its work on the device included."""

import time
from collections.abc import Callable
from typing import TypeVar

import jax

Result = TypeVar("Result")


def seconds(function: Callable[..., Result], *args: object) -> tuple[float, Result]:
    """Wall-clock seconds of one call, and what it returned.

    JAX returns before the work is done; this waits for it.
    """
    began = time.perf_counter()
    result = jax.block_until_ready(function(*args))
    return time.perf_counter() - began, result
