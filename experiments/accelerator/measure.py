"""The measurements, and the same programs compiled for their shapes alone.

A row is one of

    row "one"      model, unroll, command_buffers, threads, seconds (of each epoch);
                   threads are the processor's, and None on an accelerator
    row "many"     networks, at_once, epochs, seconds (of training), wall_seconds (with
                   compiling), test_accuracy (of each network)
    row "program"  name, seconds (of compiling), bytes (arguments and results included)

and the first two have compile_seconds and the device too.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.accelerator.settings import Config
from experiments.kit.progress import Progress
from experiments.kit.run import Row
from jaxnets import devices, ensemble, models, optimizers, process, training
from jaxnets.batches import epoch_order
from jaxnets.types import Batch, Totals, TrainState

MODEL_1 = "sigmoid_mse"
BUFFERS = "--xla_gpu_enable_command_buffer=+WHILE"  # beside what XLA puts there itself


def measure(config: Config, train: Batch, test: Batch) -> Iterator[Row]:
    """One network of each kind, then many of Model 1; a row a program."""
    ways = ways_of_one(config)
    totals = {**dict.fromkeys(config.models, len(ways)), "many": len(config.sizes)}
    with Progress(totals) as progress:
        for name in config.models:
            for way in ways:
                row = _time_apart(config, name, way, train)
                best = f"{row['device']}, unrolled {way.unroll}"
                best += f": {min(row['seconds']):.3f} s an epoch"
                progress.advance(name, text=best)
                yield row
        for at_once in config.sizes:
            row = _train_many(config, at_once, train, test, progress)
            progress.advance(
                "many", text=f"{at_once} at a time: {row['seconds']:.1f} s"
            )
            yield row


def compile_only(config: Config, train: Batch, test: Batch) -> Iterator[Row]:
    """The same programs for the same shapes, compiled and not run.

    The memory of many networks is that of one device, which trains its part of them.
    """
    singles = [(name, unroll) for name in config.models for unroll in config.unroll]
    with (
        jax.default_matmul_precision(config.precision),
        Progress({"programs": len(singles) + len(config.sizes)}) as progress,
    ):
        for name, unroll in singles:
            began = time.perf_counter()
            program = _epoch_program(name, unroll, train)
            num_bytes = devices.program_bytes(program)
            yield _program(progress, f"{name}, unrolled {unroll}", num_bytes, began)
        for at_once in config.sizes:
            began = time.perf_counter()
            of_a_device = -(-at_once // jax.local_device_count())
            num_bytes = ensemble.bytes_of(
                *_network(MODEL_1),
                train,
                batch_size=models.get(MODEL_1).recipe.batch_size,
                num_networks=of_a_device,
            )
            yield _program(progress, f"{at_once} of {MODEL_1}", num_bytes, began)


def _program(progress: Progress, name: str, num_bytes: int | None, began: float) -> Row:
    seconds = time.perf_counter() - began
    progress.advance("programs", text=f"{name}: compiled in {seconds:.1f} s")
    return {"row": "program", "name": name, "seconds": seconds, "bytes": num_bytes}


class Way(NamedTuple):
    """One way to train a single network."""

    unroll: int
    command_buffers: bool = False
    threads: int | None = None  # on the processor; None: where JAX does by default


def ways_of_one(config: Config) -> list[Way]:
    """The device's, and beside an accelerator's one core of the processor, and all."""
    buffers = (False, True) if jax.default_backend() == "gpu" else (False,)
    ways = [Way(*way) for way in itertools.product(config.unroll, buffers)]
    if jax.default_backend() != "cpu":
        counts = sorted({1, devices.cpu_count()})
        ways += [Way(1, threads=count) for count in counts]
    return ways


def _time_apart(config: Config, name: str, way: Way, train: Batch) -> Row:
    """Time a single network in a process of its own, since XLA reads its flags once."""
    environment: dict[str, str] = {"JAX_DEFAULT_MATMUL_PRECISION": config.precision}
    if way.command_buffers:
        environment["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {BUFFERS}"
    if way.threads is not None:
        environment |= {"JAX_PLATFORMS": "cpu", "NPROC": str(way.threads)}
    [row] = process.iterate(
        time_one, name, way.unroll, config.rounds, train, environment=environment
    )
    return {"row": "one", "model": name, **way._asdict(), **row}


def time_one(
    send: Callable[[dict[str, Any]], None],
    name: str,
    unroll: int,
    rounds: int,
    train: Batch,
) -> None:
    """Send the seconds of `rounds` epochs of one network, after a first one.

    The order of an epoch is drawn on the device and counts.
    """
    began = time.perf_counter()
    program = _epoch_program(name, unroll, train)
    compile_seconds = time.perf_counter() - began
    state, data = jax.device_put((_state(name), train))
    seconds = []
    for number in range(rounds + 1):
        began = time.perf_counter()
        state, _ = jax.block_until_ready(program(state, data, np.int32(number)))
        seconds.append(time.perf_counter() - began)
    device = jax.devices()[0].device_kind
    send({"seconds": seconds[1:], "compile_seconds": compile_seconds, "device": device})


def _network(name: str) -> tuple[Callable, Callable, Any]:
    """A model's init, loss and optimizer."""
    model = models.get(name)

    def init(key: jax.Array) -> Any:
        return model.network.init(key, model.recipe.layer_sizes)

    return init, model.network.loss_fn, optimizers.make(model.recipe)


def _state(name: str) -> TrainState:
    init, _, tx = _network(name)
    return training.start(init(training.run_keys(0).init), tx)


def _epoch_program(name: str, unroll: int, train: Batch) -> Callable:
    """An epoch of a single network, compiled: shuffle, then step by step.

    Where nothing is unrolled it is what `training.fit` runs on the device.
    """
    _, loss_fn, tx = _network(name)
    batch_size = models.get(name).recipe.batch_size
    train_epoch = training.make_epoch_fn(loss_fn, tx, batch_size, shared=False)
    if unroll > 1:
        train_step = training.make_train_step(loss_fn, tx)
        train_epoch = training.make_train_epoch(train_step, batch_size, unroll=unroll)

    def run_epoch(
        state: TrainState, data: Batch, number: jax.Array
    ) -> tuple[TrainState, Totals]:
        key = training.run_keys(0).data
        return train_epoch(state, data, epoch_order(key, number, len(data.label)))

    state = jax.eval_shape(lambda: _state(name))
    return devices.compile_ahead(run_epoch, state, train, np.int32(0))


def _train_many(
    config: Config, at_once: int, train: Batch, test: Batch, progress: Progress
) -> Row:
    """All networks of Model 1, `at_once` side by side, tested once at the end."""
    recipe = models.get(MODEL_1).recipe
    init, loss_fn, tx = _network(MODEL_1)
    num_epochs = config.epochs or recipe.num_epochs
    evaluate = jax.jit(ensemble.make_evaluate(loss_fn))
    seconds, compile_seconds, accuracies = 0.0, 0.0, []
    began = time.perf_counter()
    with jax.default_matmul_precision(config.precision):
        for seeds in ensemble.chunks(range(config.networks), at_once):
            for epoch in ensemble.fit_many(
                *(init, loss_fn, tx, train),
                seeds=seeds,
                batch_size=recipe.batch_size,
                num_epochs=num_epochs,
            ):
                seconds += epoch.seconds
                so_far = f"{seeds[-1] + 1} networks, epoch {epoch.number}"
                progress.text("many", f"{at_once} at a time: {so_far}")
            compile_seconds += epoch.compile_seconds
            totals = jax.device_get(evaluate(epoch.state.params, test))
            accuracies += totals.accuracy.tolist()
    return {
        "row": "many",
        "networks": config.networks,
        "at_once": at_once,
        "epochs": num_epochs,
        "seconds": seconds,
        "compile_seconds": compile_seconds,
        "wall_seconds": time.perf_counter() - began,
        "test_accuracy": accuracies,
        "device": jax.devices()[0].device_kind,
    }
