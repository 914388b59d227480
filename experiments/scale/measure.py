"""What this machine's devices do, and what a step on several of them takes."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from experiments.kit.progress import Progress
from experiments.kit.run import Row
from experiments.scale import model
from experiments.scale.model import Link, Machine
from jaxnets import devices, optimizers, parallel, training
from jaxnets.collectives import collectives
from jaxnets.models import Model
from jaxnets.types import Batch

ROUNDS = 5  # of each time the shortest counts: others only ever make it longer
SHORTEST = 0.05  # seconds that a timed program should take at least
PRODUCT = (128, 784, 1024)  # rows, inputs and outputs, as in Model 3
COPIED = 2**21  # numbers, 8 MB: more than a core's own cache
SMALL, LARGE = 2**8, 2**20  # numbers summed over devices, for latency and bandwidth
PER_DEVICE = jax.P(parallel.AXIS)


@dataclass(frozen=True)
class Case:
    """One network, batch and number of devices to time."""

    model: Model
    batch_size: int
    num_devices: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """The network's layers."""
        return self.model.recipe.layer_sizes


class Times(NamedTuple):
    """Seconds of a step, and what its program sends."""

    whole: float
    own: float  # of each device's part of the batch, all at once, without the sum
    num_collectives: int  # a step
    num_bytes: int  # of their results


def measure(cases: Sequence[Case], train: Batch) -> Iterator[Row]:
    """A row for each number of devices, and one for each case."""
    counts = sorted({case.num_devices for case in cases})
    with Progress({"devices": len(counts), "steps": len(cases)}) as progress:
        machines = {}
        for count in counts:
            machines[count] = this_machine(mesh_of(count))
            row = machine_row(machines[count])
            yield row
            progress.advance("devices", text=f"{count}: {row['flops'] / 1e9:.0f} Gflop")
        for case in cases:
            row = step_row(case, machines[case.num_devices], train)
            yield row
            text = f"{case.model.name}, batch {case.batch_size}, {case.num_devices}: "
            text += f"{row['measured_seconds'] * 1e3:.3f} ms a step"
            progress.advance("steps", text=text)


def mesh_of(count: int) -> jax.sharding.Mesh:
    """The first devices."""
    return devices.mesh_along(parallel.AXIS, jax.local_devices()[:count])


def this_machine(mesh: jax.sharding.Mesh) -> Machine:
    """What each device reaches while all of them work."""
    rows, inputs, outputs = PRODUCT

    def product(a: jax.Array, b: jax.Array) -> jax.Array:
        return a + (a @ b) @ b.T * 1e-9  # two products; nothing can be left out

    def copy(a: jax.Array) -> jax.Array:
        return a * 0.999

    def total(a: jax.Array) -> jax.Array:
        return lax.psum(a, parallel.AXIS) / mesh.size

    def tiny(a: jax.Array) -> jax.Array:
        return jnp.tanh(a @ a)

    b = np.full((inputs, outputs), 1e-3, np.float32)
    products = seconds_of(
        mesh, lambda a: product(a, jnp.asarray(b)), np.ones((rows, inputs), np.float32)
    )
    copies = seconds_of(mesh, copy, np.ones(COPIED, np.float32))
    overhead = seconds_of(mesh, tiny, np.ones((4, 4), np.float32))
    links: tuple[Link, ...] = ()
    if mesh.size > 1:
        small, large = (
            seconds_of(mesh, total, np.ones(size, np.float32))
            for size in (SMALL, LARGE)
        )
        links = (link_from(mesh.size, small, large),)
    return Machine(
        "this machine",
        flops=2 * 2 * rows * inputs * outputs / products,
        memory=2 * 4 * COPIED / copies,
        overhead=overhead,
        links=links,
    )


def link_from(size: int, small: float, large: float) -> Link:
    """The link on which sums of `SMALL` and `LARGE` numbers take these seconds."""
    per_byte = max(large - small, 1e-9) / (4 * (LARGE - SMALL))
    hops = model.all_reduce_seconds(0, [Link(size, 1.0, 1.0)])
    sent = model.all_reduce_seconds(1, [Link(size, 1.0, 0.0)])
    latency = max(small - 4 * SMALL * per_byte, 0.0) / hops
    return Link(size, bandwidth=sent / per_byte, latency=latency)


def seconds_of(
    mesh: jax.sharding.Mesh,
    function: Callable[[jax.Array], jax.Array],
    value: np.ndarray,
) -> float:
    """Of one application on every device at once, from many in a row."""

    def several(count: int) -> Callable[[jax.Array], jax.Array]:
        def repeat(own: jax.Array) -> jax.Array:
            step = lambda a, _: (function(a), None)  # noqa: E731
            return lax.scan(step, own[0], None, length=count)[0][None]

        return jax.shard_map(
            repeat,
            mesh=mesh,
            in_specs=PER_DEVICE,
            out_specs=PER_DEVICE,
            check_vma=False,
        )

    shape = (mesh.size, *value.shape)
    sharding = jax.NamedSharding(mesh, PER_DEVICE)
    values = jax.device_put(np.broadcast_to(value, shape), sharding)
    return per_repeat(
        lambda count: devices.compile_ahead(several(count), values), values
    )


def per_repeat(
    program_of: Callable[[int], Callable[..., Any]], *args: Any, least: int = 20
) -> float:
    """Seconds of one repeat, from a program of so many that its time can be measured.

    Args:
      program_of: from a number of repeats to the compiled program.
    """
    count = least
    seconds = shortest(program_of(count), *args)
    if seconds < SHORTEST:
        count = min(20_000, int(count * 1.2 * SHORTEST / max(seconds, 1e-6)) + 1)
        seconds = shortest(program_of(count), *args)
    return seconds / count


def shortest(program: Callable[..., Any], *args: Any) -> float:
    """Of `ROUNDS` calls, after one that does not count."""
    jax.block_until_ready(program(*args))
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        jax.block_until_ready(program(*args))
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def step_times(case: Case, train: Batch) -> Times:
    """A step as `fit` has it; and of each device's part on its own, without the sum."""
    network, recipe = case.model.network, case.model.recipe
    mesh, tx = mesh_of(case.num_devices), optimizers.make(recipe)
    params = network.init(jax.random.key(0), recipe.layer_sizes)
    args = devices.put_everywhere((training.start(params, tx), train), mesh)
    many = mesh.size > 1

    def program_of(count: int, batch_size: int, shared: bool) -> tuple[Any, Any]:
        order = np.arange(count * batch_size, dtype=np.int32) % len(train.label)
        order = devices.put_everywhere(order, mesh)
        epoch_fn = training.make_epoch_fn(
            network.loss_fn, tx, batch_size, shared=shared
        )
        spread = parallel.over(mesh) if many else parallel.alone
        return devices.compile_ahead(spread(epoch_fn, 2), *args, order), order

    def seconds(batch_size: int, shared: bool) -> float:
        def run_of(count: int) -> Callable[..., Any]:
            program, order = program_of(count, batch_size, shared)
            return lambda: program(*args, order)

        return per_repeat(run_of)

    whole = seconds(case.batch_size, shared=many)
    part = -(-case.batch_size // mesh.size)
    own = seconds(part, shared=False) if many else whole
    program, _ = program_of(20, case.batch_size, shared=many)
    sent = [one for one in collectives(program) if one.in_loop]
    return Times(whole, own, len(sent), sum(one.num_bytes for one in sent))


def machine_row(machine: Machine) -> Row:
    """A line of `metrics.jsonl`."""
    return {
        "kind": "machine",
        "devices": machine.num_devices,
        "flops": machine.flops,
        "memory": machine.memory,
        "overhead": machine.overhead,
        "latency": machine.links[0].latency if machine.links else None,
        "bandwidth": machine.links[0].bandwidth if machine.links else None,
    }


def step_row(case: Case, machine: Machine, train: Batch) -> Row:
    """A line of `metrics.jsonl`: what was measured, and what two predictions say."""
    times, recipe = step_times(case, train), case.model.recipe
    predicted = model.step(machine, case.sizes, case.batch_size, recipe.optimizer)
    gradients = model.FLOAT_BYTES * model.num_params(case.sizes)
    return {
        "kind": "step",
        "model": case.model.name,
        "devices": case.num_devices,
        "batch_size": case.batch_size,
        "measured_seconds": times.whole,
        "model_seconds": predicted.seconds,
        "parts_seconds": times.own + model.all_reduce_seconds(gradients, machine.links),
        "gradient_bytes": gradients,
        "num_collectives": times.num_collectives,
        "collective_bytes": times.num_bytes,
    }
