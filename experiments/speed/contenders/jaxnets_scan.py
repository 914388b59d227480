"""jaxnets: `training.fit` itself, an epoch per turn of its generator."""

from collections.abc import Callable

import jax
import numpy as np

from experiments.speed.contenders.jaxnets_part import fit_part
from experiments.speed.contenders.task import Data, Epoch, OnEpoch, Task
from jaxnets import models as recipes
from jaxnets import training
from jaxnets.models import Recipe
from jaxnets.types import Batch, Params, Prediction


def run(task: Task, data: Data, on_epoch: OnEpoch) -> None:
    """Train; see `contenders.task` for what is handed over."""
    jax.config.update("jax_enable_compilation_cache", False)  # a cold start
    network = recipes.NETWORKS[task.model]
    recipe = Recipe(
        layer_sizes=task.layer_sizes,
        optimizer=task.optimizer,
        learning_rate=task.learning_rate,
        batch_size=task.batch_size,
        num_epochs=task.num_epochs,
    )
    init_key, data_key = recipes.run_keys(task.seed)
    tx = recipes.optimizer(recipe)
    state = training.start(network.init(init_key, task.layer_sizes), tx)
    train = Batch(data.image, data.label)
    predict_batch = jax.jit(network.predict)
    if task.part_steps is not None:
        parts = fit_part(network.loss_fn, tx, state, train, key=data_key, task=task)
        for part in parts:
            predict = _predict(predict_batch, part.params)
            compiled, fixed = part.compile_seconds, part.fixed_seconds
            on_epoch(Epoch(part.seconds, predict, compiled, fixed))
        return
    epochs = training.fit(
        network.loss_fn,
        tx,
        state,
        train,
        Batch(data.image[:0], data.label[:0]),  # tested outside the clock instead
        batch_size=task.batch_size,
        num_epochs=task.num_epochs,
        key=data_key,
    )
    for epoch in epochs:
        predict = _predict(predict_batch, epoch.state.params)
        on_epoch(Epoch(epoch.seconds, predict, epoch.compile_seconds))


def _predict(
    predict_batch: Callable[[Params, jax.Array], Prediction], params: Params
) -> Callable[[np.ndarray], np.ndarray]:
    """The classes of images, by weights that the next epoch takes over."""
    return lambda images: np.asarray(predict_batch(params, images).label)
