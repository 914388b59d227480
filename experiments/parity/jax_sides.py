"""The JAX sides: the mirror in Flax and the functions from scratch."""

import itertools
from collections.abc import Callable, Generator, Mapping

import jax
import jax.numpy as jnp
import optax

from experiments.parity.task import Side, Snapshot, Task
from jaxnets import flax_dense, optimizers, relu_softmax, training
from jaxnets.types import Batch, TrainState

NETWORKS = {"flax": flax_dense, "scratch": relu_softmax}


def snapshots(steps: Mapping[Side, int], task: Task) -> Generator[Snapshot, None, None]:
    """The weights of the sides after each mark; each side takes so many steps."""
    programs = {}
    for side in steps:
        with jax.enable_x64(side.precision == "float64"):
            programs[side] = _start(side, task)
    for before, mark in itertools.pairwise((0, *task.marks)):
        reached: Snapshot = {}
        for side in (side for side in steps if mark <= steps[side]):
            state, train_step = programs[side]
            with jax.enable_x64(side.precision == "float64"):
                for rows in task.batches[before:mark]:
                    batch = Batch(task.data.image[rows], task.data.label[rows])
                    state, _ = train_step(state, batch)
            programs[side] = state, train_step
            reached[side] = jax.device_get(state.params)
        yield reached


def _start(side: Side, task: Task) -> tuple[TrainState, Callable]:
    if side.optax_eps is None:
        tx = optimizers.keras_adam(task.learning_rate, *side.betas)
    else:
        tx = optax.adam(task.learning_rate, *side.betas, eps=side.optax_eps)
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, side.precision), task.params)
    train_step = training.make_train_step(NETWORKS[side.program].loss_fn, tx)
    return training.start(params, tx), jax.jit(train_step)
