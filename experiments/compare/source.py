"""Training images from disk, as they are needed, in place of those in memory."""

from collections.abc import Iterator

import jax
import numpy as np

from experiments.compare.settings import Settings
from experiments.kit.run import Run
from jaxnets import parallel, streaming, training
from jaxnets.data import stream, tfds
from jaxnets.types import Batch, Recipe


def require_stream(run: Run[Settings]) -> None:
    """Raise InputError where images are to come from disk and are not there."""
    if run.config.stream and run.data.name not in tfds.VERSIONS:
        known = ", ".join(tfds.VERSIONS)
        raise run.data.misfit(f"stream reads {known} from disk, not {run.data.name}")


def reader(
    run: Run[Settings], recipe: Recipe, mesh: jax.sharding.Mesh | None
) -> streaming.Read | None:
    """What reads an epoch; None: the images in memory are used.

    The order of an epoch depends on the run's seed and its number alone. Each process
    reads all records and decodes those that its devices take.
    """
    if not run.config.stream:
        return None
    key = training.run_keys(run.config.seed).data
    several = mesh is not None and jax.process_count() > 1
    wanted = parallel.rows_here(recipe.batch_size, mesh) if several else None  # type: ignore[arg-type]

    def read(epoch: int) -> Iterator[Batch]:
        seed = jax.random.bits(jax.random.fold_in(key, epoch), dtype=np.uint32)
        return stream(
            run.data.name,
            split=f"train[:{len(run.data.train.label)}]",
            batch_size=streaming.BATCHES * recipe.batch_size,
            seed=int(seed),
            folder=run.config.mnist_dir,
            data_dir=run.config.data_dir,
            wanted=wanted,
        )

    return read
