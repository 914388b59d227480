"""The measurements: runs by the clock, with epochs of Keras's `fit` in between.

Rows, told apart by `kind`:

    start   compile_seconds, cold_start_seconds
    keras   seconds
    run     seed, seconds, accuracy, train_loss, compile_seconds
"""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import jax
import numpy as np

import jaxnets
from experiments.kit.numbers import finite
from experiments.kit.progress import Progress
from experiments.kit.run import Row, Run
from experiments.speedrun.settings import Record
from experiments.speedrun.train import (
    Outcome,
    Programs,
    compile_programs,
    run_once,
    run_together,
)
from jaxnets import keras_dense, models, process
from jaxnets.files import write_text
from jaxnets.keras_network import build, load_keras
from jaxnets.types import Batch

FOREVER = 10**6  # epochs: until it is not asked any more
PRECISION = "highest"  # of matrix products: float32, also on an accelerator
UNCACHED = {
    "JAX_ENABLE_COMPILATION_CACHE": "false",
    "JAX_DEFAULT_MATMUL_PRECISION": PRECISION,
}


def measure(run: Run, record: Record, seeds: Sequence[int]) -> Iterator[Row]:
    """Start cold once; then run after run, and Keras's epochs spread among them."""
    config, data = run.config, run.data
    keep_source(run.path / "source")
    scored = data.validation if config.validation else data.test
    turns = np.linspace(0, len(seeds), config.keras_epochs).round().tolist()
    totals = {"start": 1, "keras": config.keras_epochs, "runs": len(seeds)}
    with (
        jax.default_matmul_precision(PRECISION),
        Progress(totals) as progress,
        closing(epoch_seconds(data.train)) as keras,
    ):
        progress.text("start", "compiling in a new process")
        row = start(record, data.train, scored)
        progress.advance("start", text=f"{row['cold_start_seconds']:.1f} s")
        yield row
        programs = None
        if record.networks == 1:
            programs = compile_programs(record.settings, data.train, scored)
        for number, seed in enumerate((*seeds, None)):
            for _ in range(turns.count(number)):
                progress.text("keras", "an epoch of fit")
                seconds = next(keras)
                progress.advance("keras", text=f"{seconds:.2f} s")
                yield {"kind": "keras", "seconds": seconds}
            if seed is not None:
                arguments = (record, programs, seed, data.train, scored.image)
                outcome = run_seed(*arguments, say=partial(progress.text, "runs"))
                row = {
                    "kind": "run",
                    "seed": seed,
                    "seconds": outcome.seconds,
                    "accuracy": outcome.accuracy(scored.label),
                    "train_loss": finite(outcome.train_loss),
                    "compile_seconds": outcome.compile_seconds,
                }
                text = f"seed {seed}: {row['accuracy']:.2%} in {row['seconds']:.2f} s"
                progress.advance("runs", text=text)
                yield row


def run_seed(
    record: Record,
    programs: Programs | None,
    seed: int,
    train: Batch,
    images: np.ndarray,
    *,
    say: Callable[[str], object],
) -> Outcome:
    """One run; of several networks, no two runs have one in common.

    Of several, `say` is told how many are trained, after each group of `fit_many`.
    """
    settings, count = record.settings, record.networks
    if programs:
        return run_once(programs, settings.num_epochs, seed, train, images)
    seeds = range(seed * count, (seed + 1) * count)
    return run_together(settings, seeds, train, images, say=say)


def start(record: Record, train: Batch, scored: Batch) -> Row:
    """A new process without any program on disk: how long until its clock starts."""
    began = time.perf_counter()
    work = (record, train, scored)
    [compiling] = process.iterate(_compile_cold, *work, environment=UNCACHED)
    cold = time.perf_counter() - began
    return {"kind": "start", "compile_seconds": compiling, "cold_start_seconds": cold}


def _compile_cold(
    send: Callable[[float], None], record: Record, train: Batch, scored: Batch
) -> None:
    send(compile_programs(record.settings, train, scored).compile_seconds)


def epoch_seconds(train: Batch) -> Generator[float, None, None]:
    """Seconds of each epoch of Model 3 by Keras's `fit` with its defaults; without end.

    But for the first, in which Keras compiles. It runs in a process of its own.
    """
    epochs = process.iterate(
        _train_keras, train, without=process.KERAS_DOES_WITHOUT, lockstep=True
    )
    with closing(epochs):
        next(epochs)
        yield from epochs


def _train_keras(send: Callable[[float], None], train: Batch) -> None:
    """One call of `fit`; its clock stands still while `send` waits."""
    keras, recipe = load_keras(), models.KERAS_DENSE.recipe
    model = build(recipe.layer_sizes, train.image.shape[1:], seed=0)
    keras_dense.compile_model(model, recipe)

    class EpochClock(keras.callbacks.Callback):  # type: ignore[name-defined]
        def on_epoch_begin(self, epoch, logs=None):
            self.began = time.perf_counter()

        def on_epoch_end(self, epoch, logs=None):
            send(time.perf_counter() - self.began)

    model.fit(
        keras_dense.scaled(train.image),
        train.label,
        batch_size=recipe.batch_size,
        epochs=FOREVER,
        callbacks=[EpochClock()],
        verbose=0,
    )


def keep_source(path: Path) -> None:
    """Write the files of the library and of this experiment below this folder."""
    for package in (Path(jaxnets.__file__).parent, Path(__file__).parent):
        for file in package.rglob("*.py"):
            copy = path / package.name / file.relative_to(package)
            copy.parent.mkdir(parents=True, exist_ok=True)
            write_text(copy, file.read_text(encoding="utf-8"))
