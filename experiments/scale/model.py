"""A model of one data-parallel training step of a dense network.

    step = overhead + compute of the largest part + update + all-reduce of the gradients

Compute takes as long as its operations or its memory traffic, whichever is longer (the
roofline model: Williams, Waterman and Patterson 2009). The all-reduce is that of rings
for its bytes and of trees for its hops (Thakur, Rabenseifner and Gropp 2005). Nothing
overlaps: with one all-reduce a step, which needs all gradients, little could.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

FLOAT_BYTES = 4  # float32
# Arrays of the parameters' size that an update reads or writes.
UPDATE_ARRAYS = {
    "sgd": 3,  # gradient, parameter in and out
    "adam": 7,  # likewise, and both moments in and out
}
# Forward, the gradient of the activations, the gradient of the weights.
WEIGHT_PASSES = 3


class Link(NamedTuple):
    """What joins devices, or groups of devices, to larger groups."""

    size: int  # how many it joins
    bandwidth: float  # bytes a second out of one device, and as many into it
    latency: float  # seconds of one hop


class Machine(NamedTuple):
    """Devices of one kind and what joins them."""

    name: str
    flops: float  # operations a second that one device reaches in matrix products
    memory: float  # bytes a second between one device and its memory
    overhead: float  # seconds of a step that does next to nothing
    links: tuple[Link, ...]  # the innermost first

    @property
    def num_devices(self) -> int:
        """All of them."""
        return math.prod(link.size for link in self.links)


class Step(NamedTuple):
    """One training step, in seconds."""

    overhead: float
    compute: float
    update: float
    all_reduce: float

    @property
    def seconds(self) -> float:
        """All of it."""
        return sum(self)


def num_params(layer_sizes: Sequence[int]) -> int:
    """Weights and biases of dense layers."""
    return sum((a + 1) * b for a, b in itertools.pairwise(layer_sizes))


def flops_per_example(layer_sizes: Sequence[int]) -> int:
    """Operations of one example's forward and backward pass.

    Two an entry of each kernel forward, two for the gradient of the kernel, two for
    that of the layer's inputs, which the first layer does not need.
    """
    kernels = [a * b for a, b in itertools.pairwise(layer_sizes)]
    return 6 * sum(kernels) - 2 * kernels[0]


def compute_bytes(layer_sizes: Sequence[int], num_examples: int) -> int:
    """Bytes to and from memory in forward and backward pass, without the update.

    Weights are touched once a pass; activations are written and read once forward and
    once backward. The images are bytes.
    """
    first, *later = layer_sizes
    weights = WEIGHT_PASSES * FLOAT_BYTES * num_params(layer_sizes)
    return weights + num_examples * (first + 4 * FLOAT_BYTES * sum(later))


def all_reduce_seconds(num_bytes: float, links: Sequence[Link]) -> float:
    """Time in which every device gets the sum of all devices' arrays.

    Within a group each device ends with the sum of its part; across groups those parts
    are summed in the same way; then the group gathers the parts.
    """
    if not links:
        return 0.0
    inner, *outer = links
    hops = 2 * math.ceil(math.log2(inner.size))
    sent = 2 * (inner.size - 1) / inner.size * num_bytes
    here = sent / inner.bandwidth + hops * inner.latency
    return here + all_reduce_seconds(num_bytes / inner.size, outer)


def step(
    machine: Machine, layer_sizes: Sequence[int], batch_size: int, optimizer: str
) -> Step:
    """A step on all of the machine's devices; the one with the most examples counts."""
    examples = -(-batch_size // machine.num_devices)
    gradients = FLOAT_BYTES * num_params(layer_sizes)
    return Step(
        machine.overhead,
        max(
            examples * flops_per_example(layer_sizes) / machine.flops,
            compute_bytes(layer_sizes, examples) / machine.memory,
        ),
        UPDATE_ARRAYS[optimizer] * gradients / machine.memory,
        all_reduce_seconds(gradients, machine.links),
    )


def alone(machine: Machine) -> Machine:
    """One of the machine's devices."""
    return machine._replace(links=())


def speedup(
    machine: Machine, layer_sizes: Sequence[int], batch_size: int, optimizer: str
) -> float:
    """How many times as fast as one device all of them are, with the same batch."""
    one, all_of_them = (
        step(which, layer_sizes, batch_size, optimizer).seconds
        for which in (alone(machine), machine)
    )
    return one / all_of_them


def least_batch(
    machine: Machine,
    layer_sizes: Sequence[int],
    optimizer: str,
    batch_sizes: Sequence[int],
    least: float,
) -> int | None:
    """The smallest of these batches with a speedup of at least `least`; None: none."""
    return next(
        (
            size
            for size in sorted(batch_sizes)
            if speedup(machine, layer_sizes, size, optimizer) >= least
        ),
        None,
    )


# Half of what the vendor's sheet says, of operations and of bytes: what well-shaped
# products and copies reach. Latencies are of the order that is usual for the kind.
H100 = Machine(  # SXM: 67 Tflop/s in float32, 3.35 TB/s
    "one H100", flops=67e12 / 2, memory=3.35e12 / 2, overhead=20e-6, links=()
)
NVLINK = Link(8, bandwidth=450e9 / 2, latency=3e-6)  # 900 GB/s, both ways together
NETWORK = Link(64, bandwidth=50e9 / 2, latency=10e-6)  # 400 Gbit/s for each GPU
V5P = Machine(  # 459 Tflop/s in bfloat16, of which float32 takes six passes; 2.765 TB/s
    "one TPU v5p", flops=459e12 / 6 / 2, memory=2.765e12 / 2, overhead=20e-6, links=()
)
TORUS = Link(512, bandwidth=600e9 / 2, latency=1e-6)  # 1,200 GB/s, both ways together
MACHINES = (
    H100._replace(name="8 GPUs in a box", links=(NVLINK,)),
    H100._replace(name="64 hosts of 8 GPUs", links=(NVLINK, NETWORK)),
    V5P._replace(name="a pod slice of 512 TPUs", links=(TORUS,)),
)
