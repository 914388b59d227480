"""Why 10.41 %? Likely mistakes in Model 1, one at a time, and their signatures.

    python experiments/bugs.py

Expected on MNIST: the healthy network reaches 94.5 %, the mean of 20 seeds. Of 12
mistakes 7 can give 1,041 of 10,000; predictions compared with one-hot rows come within
half a point at 90 % of all seeds and epochs. Raw pixels take Model 3 to about 94 %.
Under six minutes on two CPU cores, and four more for Keras (--keras-seeds 0 leaves it
out). On other data there is nothing reported to compare with.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from experiments.bugs import pixels, summary, trials
from experiments.bugs import report as bugs_report
from experiments.bugs.pixels import PixelEpoch
from experiments.bugs.program import Program
from experiments.bugs.report import ZooProgress
from experiments.bugs.summary import Examined, PixelTrials
from experiments.bugs.zoo import HEALTHY, ZOO
from experiments.kit import command as runtime
from experiments.kit import run as experiment
from experiments.kit.run import Experiment
from jaxnets import models as recipes
from jaxnets.errors import InputError
from jaxnets.models import Recipe
from jaxnets.running import check_fits
from jaxnets.signs import Run


@dataclass(frozen=True, kw_only=True)
class Config(experiment.Options):
    """Which mistakes to make, and how often."""

    mistakes: tuple[str, ...] = tuple(ZOO)
    """Mistakes in Model 1, each apart from the others."""
    seeds: int = 5
    """Networks of each mistake."""
    healthy_seeds: int = 20
    """Networks without a mistake; mistakes of the evaluation look at the same ones."""
    untrained: int = 1000
    """Networks that are tested as they start."""
    pixel_models: tuple[str, ...] = pixels.MODELS
    """Forms of Model 3 that are trained with pixels in [0, 1] and as bytes."""
    keras_seeds: int = 3
    """Networks of keras_dense, 0 for none; of flax_dense as many as of each mistake."""
    epochs: int | None = None
    """Epochs of every network, in place of each one's own."""
    sigmoid_mse: Recipe = recipes.SIGMOID_MSE
    keras_dense: Recipe = recipes.KERAS_DENSE

    def recipe(self, name: str) -> Recipe:
        """A model's settings, with what --epochs overrides."""
        recipe: Recipe = getattr(self, name)
        if self.epochs is not None:
            recipe = replace(recipe, num_epochs=self.epochs)
        recipes.check(name, recipe)
        return recipe


@dataclass
class Work:
    """A run of this experiment, and what has been done so far."""

    config: Config
    run: Experiment
    examined: list[Examined] = field(default_factory=list)
    untrained: np.ndarray | None = None  # right answers, a network each
    pixels: list[PixelTrials] = field(default_factory=list)


def main(config: Config) -> dict[str, Any]:
    """Run the zoo; return the content of results.json."""
    _check(config)
    run = experiment.prepare("bugs", config)
    for name in ("sigmoid_mse", "keras_dense"):
        check_fits(name, config.recipe(name), run.dataset)
    run.begin()
    done = Work(config, run)

    def work() -> None:
        with ZooProgress(_num_epochs(config)) as progress:
            for programs in _groups(config):
                _try_programs(programs, done, progress)
            done.untrained = trials.untrained(
                HEALTHY,
                config.recipe("sigmoid_mse"),
                run.dataset.test,
                config.untrained,
            )
            for model in config.pixel_models:
                if _pixel_seeds(config, model):
                    _try_pixels(model, done, progress)

    def finish(status: str) -> dict[str, Any]:
        return _finish(done, status)

    return run.carry_out(work, finish)


def _check(config: Config) -> None:
    """Raise InputError for what makes no sense whatever the data."""
    for option, known in (("mistakes", tuple(ZOO)), ("pixel_models", pixels.MODELS)):
        given = getattr(config, option)
        unknown = [name for name in given if name not in known]
        if unknown or len(set(given)) < len(given):
            raise InputError(
                f"{option} {given} must be of {', '.join(known)}, each once"
            )
    counts = {"seeds": 1, "healthy_seeds": 1, "untrained": 1, "keras_seeds": 0}
    for option, least in counts.items():
        given = getattr(config, option)
        if given < least:
            raise InputError(f"{option}={given} must be at least {least}")
    if config.recipe("sigmoid_mse").optimizer != "sgd":
        raise InputError("sigmoid_mse: the mistakes are in a network trained by sgd")


def _groups(config: Config) -> Iterator[list[Program]]:
    """The programs, healthy first; those that learn alike together."""
    chosen = [HEALTHY, *(ZOO[name] for name in config.mistakes)]
    yield [program for program in chosen if program.learns_as(HEALTHY)]
    for program in chosen:
        if not program.learns_as(HEALTHY):
            yield [program]


def _seeds(config: Config, program: Program) -> range:
    return range(config.healthy_seeds if program.learns_as(HEALTHY) else config.seeds)


def _pixel_seeds(config: Config, model: str) -> range:
    return range(config.keras_seeds if model == "keras_dense" else config.seeds)


def _num_epochs(config: Config) -> int:
    """Of all that is trained; networks that train together count as one."""
    zoo = len(list(_groups(config))) * config.recipe("sigmoid_mse").num_epochs
    recipe = config.recipe("keras_dense")
    num_parts = sum(
        len(pixels.parts(model, recipe, _pixel_seeds(config, model)))
        for model in config.pixel_models
    )
    return zoo + num_parts * len(pixels.INPUTS) * recipe.num_epochs


def _try_programs(programs: list[Program], done: Work, progress: ZooProgress) -> None:
    """Train programs that learn alike, and examine them."""
    run, recipe = done.run, done.config.recipe("sigmoid_mse")
    seeds = _seeds(done.config, programs[0])
    progress.begin(programs[0].name)
    for each in trials.train(programs, recipe, run.dataset, seeds):
        progress.epoch()
        for trial in each:
            for line in trials.metrics_lines(trial):
                run.written.append_line("metrics.jsonl", line)
    for trial in each:
        done.examined.append(Examined.of(trial))
        progress.ended(bugs_report.program_line(done.examined[-1]))


def _try_pixels(model: str, done: Work, progress: ZooProgress) -> None:
    """Train Model 3 with each kind of pixels."""
    recipe, seeds = done.config.recipe("keras_dense"), _pixel_seeds(done.config, model)
    with closing(pixels.train(model, recipe, done.run.dataset, seeds)) as events:
        for kind in pixels.INPUTS:
            trial = PixelTrials(model, kind)
            done.pixels.append(trial)
            progress.begin(f"{model}, {kind}")
            while len(trial.runs) < len(seeds):
                _note_pixels(next(events), trial, done, progress)
            progress.ended(bugs_report.pixel_line(trial))


def _note_pixels(
    event: PixelEpoch | Run, trial: PixelTrials, done: Work, progress: ZooProgress
) -> None:
    if isinstance(event, Run):
        trial.runs.append(event)
        return
    progress.epoch()
    trial.epochs.append(event)
    for line in pixels.metrics_lines(trial.model, trial.pixels, event):
        done.run.written.append_line("metrics.jsonl", line)


def _finish(done: Work, status: str) -> dict[str, Any]:
    """Print and write what was reached; of programs cut short metrics.jsonl tells."""
    done.pixels = [trial for trial in done.pixels if trial.runs]
    content = {
        **done.run.head(status),
        **summary.results(done.examined, done.untrained, done.pixels, done.run.dataset),
    }
    if done.examined:
        bugs_report.print_tables(content)
        bugs_report.write_page(done.run, content, done.examined, done.pixels)
    return content


if __name__ == "__main__":
    runtime.run(main, Config, all_cores=True)
