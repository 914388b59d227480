"""Running programs of the zoo from many seeds at once."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.bugs.program import Inputs, Program, layers, make_loss_fn
from experiments.kit.numbers import finite
from jaxnets import ensemble as many
from jaxnets import models as recipes
from jaxnets import signs
from jaxnets.data import Dataset
from jaxnets.models import Recipe
from jaxnets.signs import Run
from jaxnets.types import Batch, Params

INPUTS = 100  # images whose inputs are looked at


class Signature(NamedTuple):
    """What a run of Model 1 looks like from outside."""

    flat_hidden: float  # share of hidden activations at 0 or 1, `signs.flat_share`
    error_slope: float  # `signs.error_slope`
    change: float  # root mean square, of the parameters
    answers: tuple[int, ...]  # how often each class is answered
    train_loss: float | None  # as the program reports it, in the last epoch


@dataclass
class Trials:
    """One program from several seeds, S of them, as it grows."""

    program: Program
    seeds: tuple[int, ...]
    test: Batch
    first: Params  # leaves [S, ...], before training
    last: Params  # and now
    train_seen: int  # in an epoch
    train_loss: list[np.ndarray] = field(default_factory=list)  # [S], by epoch
    accuracy: list[np.ndarray] = field(default_factory=list)  # [S], as reported

    @property
    def final(self) -> np.ndarray:
        """Test accuracies float [S] after the last epoch, as the program reports."""
        return self.accuracy[-1]

    def runs(self) -> list[Run]:
        """What each seed leaves behind."""
        images, labels = self.test
        first = jax.device_get(_forward(self.program.inputs, self.first, images))
        last = jax.device_get(_forward(self.program.inputs, self.last, images))
        inputs = np.asarray(self.program.inputs(jnp.asarray(images[:INPUTS])))
        return [
            Run(
                cost="quadratic",
                labels=labels,
                answers=self.program.answer(last[-1][place]),
                accuracy=float(self.final[place]),
                seen=len(labels),
                loss=float(np.mean(self.program.cost(last[-1][place], labels))),
                train_loss=[float(losses[place]) for losses in self.train_loss],
                train_seen=self.train_seen,
                first=_one(self.first, place),
                last=_one(self.last, place),
                outputs=last[-1][place],
                first_outputs=first[-1][place],
                hidden=[layer[place] for layer in last[:-1]],
                inputs=inputs,
            )
            for place in range(len(self.seeds))
        ]


def signature(run: Run) -> Signature:
    """Measure a run of Model 1."""
    assert run.outputs is not None
    return Signature(
        flat_hidden=signs.flat_share("quadratic", run.hidden),
        error_slope=signs.error_slope(run.outputs, run.labels),
        change=signs.change(run.first, run.last),
        answers=tuple(np.bincount(run.answers, minlength=10).tolist()),
        train_loss=run.train_loss[-1] if run.train_loss else None,
    )


def metrics_lines(trials: Trials) -> Iterator[dict[str, Any]]:
    """A line of `metrics.jsonl` for each seed's newest epoch."""
    losses = trials.train_loss[-1] if trials.train_loss else [None] * len(trials.seeds)
    for seed, loss, accuracy in zip(trials.seeds, losses, trials.final, strict=True):
        yield {
            "program": trials.program.name,
            "seed": seed,
            "epoch": len(trials.train_loss),
            "train_loss": finite(loss),
            "test_accuracy": float(accuracy),
        }


def train(
    programs: Sequence[Program], recipe: Recipe, dataset: Dataset, seeds: Sequence[int]
) -> Iterator[list[Trials]]:
    """Train programs that learn alike, once for all of them.

    Yields their trials, always the same objects, after each epoch; where there is no
    image to train on, once. The first program decides how to learn.
    """
    learner = programs[0]
    assert all(learner.learns_as(other) for other in programs)
    data = learner.training_data(dataset.train)
    first = start(learner, recipe, seeds)
    trials = [
        Trials(program, tuple(seeds), dataset.test, first, first, len(data.label))
        for program in programs
    ]
    if not len(data.label):
        _note(trials, first, None)
        yield trials
        return
    epochs = many.fit_seeds(
        lambda key: learner.init(key, recipe.layer_sizes),
        make_loss_fn(learner),
        learner.optimizer(recipe),
        data,
        [],
        seeds=seeds,
        batch_size=recipe.batch_size,
        num_epochs=recipe.num_epochs,
    )
    for epoch in epochs:
        losses = epoch.train.loss / epoch.train.seen
        _note(trials, jax.device_get(epoch.params), losses)
        yield trials


def start(program: Program, recipe: Recipe, seeds: Sequence[int]) -> Params:
    """The parameters before training, leaves [S, ...], as `recipes.run_keys` has it."""
    each = [program.init(recipes.run_keys(s)[0], recipe.layer_sizes) for s in seeds]
    return jax.tree.map(lambda *leaves: np.stack(leaves), *each)


def untrained(
    program: Program, recipe: Recipe, test: Batch, num_seeds: int
) -> np.ndarray:
    """Right answers int [num_seeds] of networks as they start, from seeds 0, 1, ..."""
    loss_fn = make_loss_fn(program)

    def correct(seed: jax.Array, batch: Batch) -> jax.Array:
        init_key, _ = jax.random.split(jax.random.key(seed))  # as `recipes.run_keys`
        return loss_fn(program.init(init_key, recipe.layer_sizes), batch)[1].correct

    @jax.jit
    def one_by_one(seeds: jax.Array, batch: Batch) -> jax.Array:
        return jax.lax.map(lambda seed: correct(seed, batch), seeds)

    return np.asarray(one_by_one(np.arange(num_seeds, dtype=np.uint32), test))


def _note(trials: Sequence[Trials], params: Params, losses: np.ndarray | None) -> None:
    """Add an epoch to each program's trials, scored by its own evaluation."""
    images, labels = trials[0].test
    outputs = jax.device_get(_forward(trials[0].program.inputs, params, images)[-1])
    for trial in trials:
        program = trial.program
        scores = [program.score(program.answer(each), labels) for each in outputs]
        trial.last = params
        trial.accuracy.append(np.array(scores))
        if losses is not None:
            trial.train_loss.append(losses)


@functools.partial(jax.jit, static_argnums=0)
def _forward(inputs: Inputs, params: Params, images: jax.Array) -> list[jax.Array]:
    """Activations [S, N, size] of every layer, from parameters [S, ...]."""
    return jax.vmap(lambda one: layers(inputs, one, images))(params)


def _one(params: Params, place: int) -> Params:
    return jax.tree.map(lambda leaf: leaf[place], params)
