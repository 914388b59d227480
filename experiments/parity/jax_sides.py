"""The JAX sides of `parity`: the mirror in Flax and the functions from scratch."""

import contextlib
import itertools
from collections.abc import Callable, Generator

import jax
import jax.numpy as jnp
import optax

from experiments.parity.task import Side, Snapshot, Task
from jaxnets import flax_dense, relu_softmax, training
from jaxnets import models as recipes
from jaxnets.types import Batch, Dense, TrainState

NETWORKS = {"flax": flax_dense, "scratch": relu_softmax}


def snapshots(steps: dict[Side, int], task: Task) -> Generator[Snapshot, None, None]:
    """The weights of the sides after each mark; each side takes so many steps."""
    running = {}
    for side in steps:
        with _precision(side):
            running[side] = _begin(side, task)
    for before, mark in itertools.pairwise((0, *task.marks)):
        reached = {}
        for side, num_steps in steps.items():
            if mark > num_steps:
                continue
            state, train_step = running[side]
            with _precision(side):
                for rows in task.batches[before:mark]:
                    batch = Batch(*(array[rows] for array in task.data))
                    state, _ = train_step(state, batch)
            running[side] = state, train_step
            reached[side] = jax.device_get(state.params)
        yield reached


def _precision(side: Side) -> contextlib.ExitStack:
    """Double precision where it is asked for, and exact products on accelerators."""
    stack = contextlib.ExitStack()
    stack.enter_context(jax.enable_x64(side.precision == "float64"))
    stack.enter_context(jax.default_matmul_precision("highest"))
    return stack


def _begin(side: Side, task: Task) -> tuple[TrainState, Callable]:
    if side.optax_eps is None:
        tx = recipes.keras_adam(task.learning_rate, *side.betas)
    else:
        tx = optax.adam(task.learning_rate, *side.betas, eps=side.optax_eps)
    params = tuple(
        Dense(*(jnp.asarray(array, side.precision) for array in layer))
        for layer in task.params
    )
    train_step = training.make_train_step(NETWORKS[side.program].loss_fn, tx)
    return training.start(params, tx), jax.jit(train_step, donate_argnums=0)
