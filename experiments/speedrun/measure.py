"""The measurements: runs by the clock, with epochs of Keras's `fit` in between.

Rows, told apart by `kind`, each whole in one session of a resumed run:

    start   compile_seconds, cold_start_seconds
    keras   seconds
    run     seed, seconds, accuracy, train_loss, compile_seconds

All have `session`, the number of the session that measured them.
"""

import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.kit import provenance
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
    training_images,
)
from jaxnets import keras_dense, models, process
from jaxnets.files import write_text
from jaxnets.keras_network import build, load_keras
from jaxnets.types import Batch

Step = tuple[str, int]  # a row's kind; the seed of a run, of others their number

SOURCE = ("jaxnets", "experiments.speedrun")  # what a record is of
FOREVER = 10**6  # epochs: until it is not asked any more
PRECISION = "highest"  # of matrix products: float32, also on an accelerator
UNCACHED = {
    "JAX_ENABLE_COMPILATION_CACHE": "false",
    "JAX_DEFAULT_MATMUL_PRECISION": PRECISION,
}


def measure(run: Run, record: Record, seeds: Sequence[int]) -> Iterator[Row]:
    """Start cold once; then run after run, and Keras's epochs spread among them.

    What an earlier session of a resumed run has done is passed by.
    """
    config, data = run.config, run.data
    keep_source(run.path / "source")
    train = training_images(record, data)
    scored = data.validation if config.validation else data.test
    totals = {"start": 1, "keras": config.keras_epochs, "run": len(seeds)}
    finished = steps_of(run.rows)
    session = 1 + max((row["session"] for row in run.rows), default=0)
    with (
        jax.default_matmul_precision(PRECISION),
        Progress(totals) as progress,
        closing(epoch_seconds(data.train)) as keras,
    ):
        for kind in totals:
            if count := sum(step[0] == kind for step in finished):
                progress.advance(kind, count, f"{count} finished before")
        programs: Programs | None = None
        for kind, number in plan(seeds, config.keras_epochs):
            if (kind, number) in finished:
                continue
            row: dict[str, Any]
            if kind == "start":
                progress.text(kind, "compiling in a new process")
                row = start(record, train, scored)
                text = f"{row['cold_start_seconds']:.1f} s"
            elif kind == "keras":
                progress.text(kind, "an epoch of fit")
                row = {"seconds": next(keras)}
                text = f"{row['seconds']:.2f} s"
            else:
                if record.networks == 1 and programs is None:
                    programs = compile_programs(record.settings, train, scored)
                arguments = (record, programs, number, train, scored.image)
                outcome = run_seed(*arguments, say=partial(progress.text, kind))
                row = {
                    "seed": number,
                    "seconds": outcome.seconds,
                    "accuracy": outcome.accuracy(scored.label),
                    "train_loss": finite(outcome.train_loss),
                    "compile_seconds": outcome.compile_seconds,
                }
                text = f"seed {number}: {row['accuracy']:.2%} in {row['seconds']:.2f} s"
            progress.advance(kind, text=text)
            yield {"kind": kind, "session": session, **row}
            if kind == "run":
                run.checkpoint({}, seed=number)  # the rows are all there is to keep


def plan(seeds: Sequence[int], keras_epochs: int) -> list[Step]:
    """The start, then a run from each seed, with Keras's epochs spread among them."""
    turns = np.linspace(0, len(seeds), keras_epochs).round()
    epochs = [(turn, ("keras", number)) for number, turn in enumerate(turns)]
    runs = [(place + 0.5, ("run", seed)) for place, seed in enumerate(seeds)]
    return [("start", 0), *(step for _, step in sorted([*epochs, *runs]))]


def steps_of(rows: Sequence[Row]) -> set[Step]:
    """Those whose rows these are."""
    runs = {("run", row["seed"]) for row in rows if row["kind"] == "run"}
    counts = Counter(row["kind"] for row in rows if row["kind"] != "run")
    return runs | {(kind, n) for kind, count in counts.items() for n in range(count)}


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


def start(record: Record, train: Batch, scored: Batch) -> dict[str, Any]:
    """A new process without any program on disk: how long until its clock starts."""
    began = time.perf_counter()
    work = (record, train, scored)
    [compiling] = process.iterate(_compile_cold, *work, environment=UNCACHED)
    cold = time.perf_counter() - began
    return {"compile_seconds": compiling, "cold_start_seconds": cold}


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
    """Write the files of `SOURCE` below this folder; another version beside it."""
    folder = path / provenance.source_sha256(*SOURCE)[:12]
    for name, text in provenance.source(*SOURCE).items():
        copy = folder / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_text(copy, text)
