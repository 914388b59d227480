"""The measurements: networks trained several at once, and other ways in between."""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.kit.numbers import finite
from experiments.kit.products import tell_tensorflow
from experiments.kit.progress import Progress
from experiments.kit.run import Row, Run
from jaxnets import devices, ensemble, models, optimizers, process, training
from jaxnets.data import Dataset
from jaxnets.errors import NonFiniteLoss
from jaxnets.models import Model
from jaxnets.training import Epoch
from jaxnets.types import Batch, Params, Recipe, Totals, TrainState

CLOCKED_EPOCHS = 5  # at most, each time that a network is timed
FOREVER = 10**6  # epochs: until it is not asked any more


class Plan(NamedTuple):
    """The networks of one model that are to be trained."""

    model: Model
    recipe: Recipe
    seeds: Sequence[int]

    def init(self, key: jax.Array) -> Params:
        """One network's initial parameters."""
        return self.model.network.init(key, self.recipe.layer_sizes)

    def states_like(self, seeds: Sequence[int]) -> TrainState:
        """Shapes and dtypes of these networks' states, with a first axis of them."""
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct((len(seeds), *leaf.shape), leaf.dtype),
            models.state_like(self.model.name, self.recipe),
        )

    def work(self, data: Dataset) -> dict[str, Any]:
        """What `num_at_once`, `fit_many` and `fit` are all given."""
        return {
            "loss_fn": self.model.network.loss_fn,
            "tx": optimizers.make(self.recipe),
            "train": data.train,
            "batch_size": self.recipe.batch_size,
        }


@dataclass
class Clock:
    """What was timed of a model, for `clock-<model>.json`."""

    wall_seconds: float = 0.0  # in all sessions of the run
    alone_seconds: list[float] = field(default_factory=list)  # epochs of one network
    processes: int = 0  # that trained at the same time
    process_seconds: list[float] = field(default_factory=list)  # of their epochs
    pauses: int = 0  # in which they were timed


def measure(run: Run, plans: Mapping[str, Plan], second: Batch | str) -> Iterator[Row]:
    """Train all networks, model after model; yield a row per network and epoch.

    `second` is a test set that each network is tried on once, after its last epoch; or
    a sentence that says why there is none.
    """
    totals = {n: len(p.seeds) * p.recipe.num_epochs for n, p in plans.items()}
    products = jax.default_matmul_precision(run.config.precision)
    with products, Progress(totals) as progress:
        about = second
        if not isinstance(second, str):
            about = f"QMNIST's {len(second.label):,} test images that MNIST has not"
        run.keep("second", about)
        progress.print(f"Second test set: {about}.")
        for plan in plans.values():
            yield from _measure_model(run, plan, second, progress)


def _measure_model(
    run: Run, plan: Plan, second: Batch | str, progress: Progress
) -> Iterator[Row]:
    """Train group after group; in between time one network alone, and processes.

    What an earlier session of a resumed run has done is passed by.
    """
    name, last, began = plan.model.name, plan.recipe.num_epochs, time.perf_counter()
    groups, pauses = _schedule(run, plan)
    num_finished = sum(_is_finished(run, plan, seeds) for seeds in groups)
    ended = run.kept(f"clock-{name}") or {}
    if num_finished == len(groups) and ended.get("pauses") == len(pauses):
        progress.advance(name, len(plan.seeds) * last, "was finished before")
        return
    is_here = run.position.get("model") == name
    clock = Clock(**(run.position["clock"] if is_here else {}))
    earlier_seconds = clock.wall_seconds
    num_processes = run.config.processes
    if num_processes is None:
        num_processes = devices.cpu_count()
    if not pauses[clock.pauses :] or jax.default_backend() != "cpu":
        num_processes = 0
    clock.processes = max(clock.processes, num_processes)
    num_clocked = min(CLOCKED_EPOCHS, last)
    try:
        with contextlib.ExitStack() as stack:
            streams = [
                stack.enter_context(closing(stream))
                for stream in _processes(plan, run.data, num_processes)
            ]
            progress.text(name, f"starting {num_processes} processes for the clock")
            _time_processes(streams, 1)  # until all have started and compiled
            for number, seeds in enumerate((*groups, None)):
                if number in pauses[clock.pauses :]:
                    progress.text(name, "timing one alone, and one in each process")
                    clock.alone_seconds += _clocked(
                        plan, run.data, plan.seeds[0], num_clocked
                    )
                    clock.process_seconds += _time_processes(streams, num_clocked)
                    clock.pauses += 1
                if seeds is None:
                    break
                span = f"{seeds[0]} to {seeds[-1]}"
                if number < num_finished:
                    text = f"seeds {span} were finished before"
                    progress.advance(name, len(seeds) * last, text)
                    continue
                progress.text(name, f"seeds {span}, compiling")
                state = run.restore(plan.states_like(seeds), model=name, seeds=span)
                for epoch in _train(plan, run.data, seeds, state):
                    rows = seed_epochs(name, run.data.name, seeds, epoch)
                    if epoch.number == last and not isinstance(second, str):
                        rows = with_second(rows, plan, epoch.state.params, second)
                    yield from rows
                    clock.wall_seconds = earlier_seconds + time.perf_counter() - began
                    position = {"model": name, "seeds": span, "epoch": epoch.number}
                    run.checkpoint(epoch.state, **position, clock=asdict(clock))
                    text = f"seeds {span}, epoch {epoch.number}/{last}, test accuracy "
                    text += f"{np.mean(epoch.held_out[-1].accuracy):.2%}"
                    progress.advance(name, len(rows), text)
    finally:
        clock.wall_seconds = earlier_seconds + time.perf_counter() - began
        run.keep(f"clock-{name}", asdict(clock))


def _schedule(run: Run, plan: Plan) -> tuple[list[Sequence[int]], list[float]]:
    """Which seeds train together, and before which of these groups others are timed."""
    at_once, num_pauses = run.config.at_once, run.config.alone
    if plan.model.framework == "keras":
        at_once, num_pauses = 1, 0
    if at_once is None:
        at_once = ensemble.num_at_once(plan.init, **plan.work(run.data))
    groups = ensemble.chunks(plan.seeds, at_once)
    pauses = np.linspace(0, len(groups), num_pauses).round().tolist()
    return groups, sorted(set(pauses))


def _is_finished(run: Run, plan: Plan, seeds: Sequence[int]) -> bool:
    """Whether all epochs of these networks have their rows."""
    rows = (r for r in run.rows if r["model"] == plan.model.name and r["seed"] in seeds)
    return sum(1 for _ in rows) == len(seeds) * plan.recipe.num_epochs


def _train(
    plan: Plan, data: Dataset, seeds: Sequence[int], state: TrainState | None
) -> Iterator[Epoch]:
    """Train networks together, or one with tf.keras, which its mirror then tests.

    The mirror computes what the Keras model computes, and a test holds it to that.
    """
    recipe = plan.recipe
    if plan.model.framework != "keras":
        yield from ensemble.fit_many(
            plan.init,
            **plan.work(data),
            held_out=(data.validation, data.test),
            seeds=seeds,
            num_epochs=recipe.num_epochs,
            state=state,
        )
        return
    tell_tensorflow()
    evaluate = jax.jit(training.make_evaluate(plan.model.network.loss_fn))
    test = jax.device_put(data.test)
    begun = None if state is None else jax.tree.map(lambda leaf: leaf[0], state)
    name, seed = plan.model.name, seeds[0]
    for event in models.train_and_test(name, recipe, data, seed, state=begun):
        if isinstance(event, Epoch):
            tested = jax.device_get(evaluate(event.state.params, test))
            one = event.state, event.train, (*event.held_out, tested)
            arrays = jax.tree.map(lambda leaf: np.asarray(leaf)[None], one)
            after, totals, held_out = arrays  # with a first axis, as of several
            yield event._replace(state=after, train=totals, held_out=held_out)


def with_second(
    rows: Sequence[Row], plan: Plan, params: Params, second: Batch
) -> list[Row]:
    """The rows, with what each network gets right in the second test set."""
    evaluate = jax.jit(training.make_evaluate(plan.model.network.loss_fn))
    tested: list[Row] = []
    for index, row in enumerate(rows):
        one = jax.tree.map(lambda leaf, i=index: leaf[i], params)
        totals = jax.device_get(evaluate(one, second))  # the loss may be no number
        correct, seen = int(totals.correct), int(totals.seen)
        tested.append({**row, "second_correct": correct, "second_seen": seen})
    return tested


def _clocked(plan: Plan, data: Dataset, seed: int, num_epochs: int) -> Iterator[float]:
    """Seconds of each epoch of one network, evaluations included.

    They end where it diverges, which the results show.
    """
    work, keys = plan.work(data), training.run_keys(seed)
    state = training.start(plan.init(keys.init), work["tx"])
    work |= {"held_out": (data.validation, data.test), "num_epochs": num_epochs}
    epochs = training.fit(**work, state=state, key=keys.data)
    with contextlib.suppress(NonFiniteLoss):
        for epoch in epochs:
            yield epoch.seconds + epoch.evaluation_seconds


def _processes(
    plan: Plan, data: Dataset, count: int
) -> list[Generator[float, None, None]]:
    """Processes of one thread each, which train a network and wait after each epoch.

    What they send is `_clocked`. It is what a user would try first to train several.
    """
    return [
        process.iterate(
            _train_in_process,
            plan.model.name,
            plan.recipe,
            data,
            seed,
            environment={"NPROC": "1"},  # XLA's number of threads
            lockstep=True,
        )
        for seed in range(count)
    ]


def _train_in_process(
    send: Callable[[float], None], name: str, recipe: Recipe, data: Dataset, seed: int
) -> None:
    for seconds in _clocked(Plan(models.get(name), recipe, ()), data, seed, FOREVER):
        send(seconds)


def _time_processes(streams: Sequence[Iterator[float]], num_epochs: int) -> list[float]:
    """Seconds of the next epochs in each process; all train at the same time."""
    if not streams:
        return []
    with ThreadPoolExecutor(len(streams)) as pool:
        rounds = [
            list(pool.map(next, streams, [None] * len(streams)))
            for _ in range(num_epochs)
        ]
    return [seconds for epochs in rounds for seconds in epochs if seconds]


def seed_epochs(
    model: str, dataset: str, seeds: Sequence[int], epoch: Epoch
) -> list[Row]:
    """An epoch of S networks, held out the validation and the test set, one by one."""
    rows: list[Row] = []
    for index, seed in enumerate(seeds):
        train, validation, test = (
            Totals(*(sums[index].item() for sums in part))
            for part in (epoch.train, *epoch.held_out)
        )
        row = {
            "dataset": dataset,
            "model": model,
            "seed": seed,
            "epoch": epoch.number,
            "train_loss": finite(train.mean_loss),
            "train_accuracy": train.accuracy,  # while the weights moved
            "validation_correct": validation.correct,
            "validation_seen": validation.seen,  # 0 without a validation set
            "test_correct": test.correct,
            "test_seen": test.seen,
            "group": seeds[0],  # first seed of the networks that trained together
            "group_size": len(seeds),
            "group_seconds": epoch.seconds,  # of them all
            "group_evaluation_seconds": epoch.evaluation_seconds,
        }
        rows.append(row)
    return rows
