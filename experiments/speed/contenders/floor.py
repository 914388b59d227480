"""An epoch's floor under every contender, from the machine's best rates.

A step needs its products' arithmetic, and with Adam its state read and written once.
The two can go on at the same time, so the longer of them counts, not their sum. The
rates are those of `contenders.rates`: a product's best one, and that of an update in
place whose arrays are as large as Adam's.

It is a lower bound under these assumptions:

- All else costs nothing: shuffling, gathering, activations, dispatch. So does the
  gradient's own traffic, as if each piece of it were used where it arises.
- No program multiplies or updates faster than the programs measured. One that does
  ends below the floor, and the reports say so.
- Model 1's steps, batches of 10 and 30 neurons, are too small for a second core.
"""

import itertools
from typing import Any

from experiments.speed.contenders.rates import STATE_ARRAYS, Rates
from experiments.speed.contenders.task import Task


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


def adam_bytes(layer_sizes: tuple[int, ...]) -> int:
    """Of a step: weights and both moments, float32, read and written once."""
    return 2 * STATE_ARRAYS * 4 * num_params(layer_sizes)


def epoch_floor(task: Task, num_examples: int, rates: Rates) -> dict[str, Any]:
    """The least seconds of an epoch at these rates, and what they are made of."""
    cores = "one_core" if task.model == "sigmoid_mse" else "all_cores"
    flops = flops_per_example(task.layer_sizes) * num_examples
    arithmetic = flops / rates[f"flops_per_second_{cores}"]
    num_steps = -(-num_examples // task.batch_size)
    moved = adam_bytes(task.layer_sizes) if task.optimizer == "adam" else 0
    memory = moved * num_steps / rates["bytes_per_second_adam"]
    return {
        "seconds": max(arithmetic, memory),
        "arithmetic_seconds": arithmetic,
        "memory_seconds": memory,
        "flops": flops,
        "cores": cores.replace("_", " "),
        "optimizer_bytes_per_step": moved,
    }
