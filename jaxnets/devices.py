"""Compiling for the device at hand, and what it has: memory, cores, a cache."""

import contextlib
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import jax
import numpy as np

from jaxnets.errors import InputError

Result = TypeVar("Result")
Tree = TypeVar("Tree")  # of arrays

# LLVM prefers 256-bit vectors even where a processor has 512-bit ones. Where it has
# none, nothing changes. An epoch of the Keras mirror is 15 % faster so.
CPU_OPTIONS: dict[str, str | bool] = {"xla_cpu_prefer_vector_width": "512"}
EVENTS = "/jax/compilation_cache"  # of JAX's persistent cache


def compile_ahead(
    function: Callable[..., Result],
    *args: Any,
    donate_argnums: int | tuple[int, ...] = (),
) -> Callable[..., Result]:
    """The program of `function` for arguments of these shapes and dtypes.

    Compiling before the clock starts keeps it out of an epoch's time. The program
    refuses other shapes instead of compiling again. Under `jax.disable_jit`, which
    people debug with, there is no program: the function itself comes back.
    """
    if jax.config.jax_disable_jit:  # type: ignore[attr-defined]
        return function
    lowered = jax.jit(function, donate_argnums=donate_argnums).lower(*args)
    if jax.default_backend() == "cpu":
        try:
            return lowered.compile(compiler_options=CPU_OPTIONS)
        except jax.errors.JaxRuntimeError:
            pass  # a later XLA may not know the option; other errors come again
    return lowered.compile()


class CacheUse(Counter[str]):
    """Events of JAX's persistent cache, counted while `cache_use` watched."""

    @property
    def all_hits(self) -> bool:
        """Whether programs came from the cache, and none was missing there.

        One that compiles too fast to be worth keeping counts as neither.
        """
        return bool(self[f"{EVENTS}/cache_hits"] and not self[f"{EVENTS}/cache_misses"])


@contextlib.contextmanager
def cache_use() -> Iterator[CacheUse]:
    """Watch what this thread does to the persistent cache in the block."""
    use, thread = CacheUse(), threading.get_ident()

    def count(event: str, **_: object) -> None:
        if threading.get_ident() == thread:
            use[event] += 1

    jax.monitoring.register_event_listener(count)
    try:
        yield use
    finally:
        jax.monitoring.unregister_event_listener(count)


def mesh_along(
    axis: str, mesh: jax.sharding.Mesh | Sequence[jax.Device]
) -> jax.sharding.Mesh:
    """A mesh with this one axis, of the devices of a mesh or of these devices.

    Arrays on it are to be used as any other: its axis is not one of the explicit kind,
    which `jax.make_mesh` makes by default. InputError where a mesh has another axis.
    """
    automatic = (jax.sharding.AxisType.Auto,)
    if not isinstance(mesh, jax.sharding.Mesh):
        return jax.make_mesh((len(mesh),), (axis,), automatic, devices=mesh)
    if tuple(mesh.axis_names) != (axis,):
        names = ", ".join(map(repr, mesh.axis_names))
        raise InputError(
            f"the mesh has the axes {names}; make it with one, {axis!r}, as by "
            f"jax.make_mesh(({mesh.size},), ({axis!r},))"
        )
    return jax.sharding.Mesh(mesh.devices, mesh.axis_names, axis_types=automatic)


def put_everywhere(tree: Tree, mesh: jax.sharding.Mesh) -> Tree:
    """The arrays on every device of the mesh, those of other processes included.

    Each process calls it with equal values.
    """
    sharding = jax.NamedSharding(mesh, jax.P())
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)

    def put(array: Any) -> jax.Array:
        if isinstance(array, jax.Array) and jax.dtypes.issubdtype(
            array.dtype, jax.dtypes.prng_key
        ):
            data = put(jax.random.key_data(array))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(array))
        values = np.asarray(array)
        return jax.make_array_from_callback(
            values.shape, sharding, lambda index: values[index]
        )

    return jax.tree.map(put, tree)


def program_bytes(program: Any) -> int | None:
    """Device memory of a compiled program, arguments and results included; or None."""
    analysis = getattr(program, "memory_analysis", lambda: None)()
    if analysis is None:
        return None
    return (
        analysis.argument_size_in_bytes
        + analysis.output_size_in_bytes
        + analysis.temp_size_in_bytes
        - analysis.alias_size_in_bytes
    )


def device_bytes() -> int | None:
    """Memory of one device that JAX may use; None where it is not told."""
    return (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")


def require_device() -> jax.Device:
    """The first device; InputError where JAX finds none of the platform asked for."""
    try:
        return jax.devices()[0]
    except (RuntimeError, AssertionError) as error:
        asked = os.environ.get("JAX_PLATFORMS") or jax.config.jax_platforms  # type: ignore[attr-defined]
        reason = (str(error) or "no such device").splitlines()[0]
        raise InputError(
            f"JAX finds no device for JAX_PLATFORMS={asked}: {reason}. Unset it, or "
            "name one that this machine has, such as cpu"
        ) from error


def cpu_count() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
