"""Train four networks on MNIST and compare them on its test set.

    python experiments/compare.py
    python experiments/compare.py --models relu_softmax row_rnn

It prints a table and leaves a folder, runs/<time>-compare, with report.html,
figures, results.json, metrics.jsonl, predictions.csv and the trained weights.
Without MNIST files and without a network it runs on scikit-learn's digits and
says so.
"""

from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Any

from experiments.compare import comparison, findings, results
from experiments.compare.results import ModelRun
from experiments.kit import command as runtime
from experiments.kit import run as experiment
from experiments.kit.progress import TrainingProgress, console
from experiments.kit.run import Experiment
from experiments.neurons import ten_class_runs
from jaxnets import models as recipes
from jaxnets.errors import InputError
from jaxnets.models import Recipe
from jaxnets.running import Trained, check_fits, train

MODELS = ("sigmoid_mse", "relu_softmax", "keras_dense", "flax_dense")


@dataclass(frozen=True, kw_only=True)
class Config(experiment.Options):
    """What to compare; every published setting can be overridden."""

    models: tuple[str, ...] = MODELS
    """Which networks to train, in this order; row_rnn is a fifth."""
    epochs: int | None = None
    """Epochs of every model, in place of each one's own."""
    seed: int = 3
    """Decides the initial weights and the order of the images."""
    sigmoid_mse: Recipe = recipes.SIGMOID_MSE
    relu_softmax: Recipe = recipes.RELU_SOFTMAX
    keras_dense: Recipe = recipes.KERAS_DENSE
    flax_dense: Recipe = recipes.FLAX_DENSE
    row_rnn: Recipe = recipes.ROW_RNN

    def recipe(self, name: str) -> Recipe:
        """A model's settings, with what --epochs overrides."""
        if name not in recipes.RECIPES:
            known = ", ".join(recipes.RECIPES)
            raise InputError(f"unknown model {name!r}; known: {known}")
        recipe: Recipe = getattr(self, name)
        if self.epochs is not None:
            recipe = replace(recipe, num_epochs=self.epochs)
        recipes.check(name, recipe)
        return recipe


def main(config: Config) -> dict[str, Any]:
    """Run the comparison; return the content of results.json."""
    if not config.models or len(set(config.models)) < len(config.models):
        raise InputError(f"models {config.models} must be one or more, each once")
    recipes.check_seed(config.seed)
    if "keras_dense" in config.models and not find_spec("tensorflow"):
        raise InputError(
            "keras_dense needs tensorflow, which is not installed; install it, or "
            "name the other models by --models"
        )
    runs = [ModelRun(name, config.recipe(name)) for name in config.models]
    run = experiment.prepare("compare", config)
    for model in runs:
        check_fits(model.name, model.recipe, run.dataset)
    run.begin(_settings(config, runs))
    zero_line: dict[str, Any] = {}

    def work() -> None:
        zero_line.update(ten_class_runs.zero_line(run.dataset, config.seed))
        with TrainingProgress(runs) as progress:
            for model in runs:
                _train(model, run, config.seed, progress)

    def finish(status: str) -> dict[str, Any]:
        return _finish(run, runs, config.seed, zero_line, status)

    return run.carry_out(work, finish)


def _settings(config: Config, runs: list[ModelRun]) -> dict[str, Any]:
    """The configuration as it was applied, for config.json."""
    settings = asdict(config)
    return {
        **{key: settings[key] for key in settings if key not in recipes.RECIPES},
        "recipes": {run.name: asdict(run.recipe) for run in runs},
    }


def _train(
    model: ModelRun, run: Experiment, seed: int, progress: TrainingProgress
) -> None:
    """Train one model, noting every epoch as it ends."""
    progress.begin(model)
    for event in train(model.name, model.recipe, run.dataset, seed):
        if isinstance(event, Trained):
            model.trained = event
        else:
            model.add(event)
            progress.epoch(model, event)
            line = results.metrics_line(model, event, run.dataset.name)
            run.written.append_line("metrics.jsonl", line)


def _finish(
    run: Experiment,
    runs: list[ModelRun],
    seed: int,
    zero_line: dict[str, Any],
    status: str,
) -> dict[str, Any]:
    """Print and write what was reached; models cut short keep weights and metrics."""
    for model in runs:
        if model.params:
            run.written.write_weights(
                model.name, model.params, dataset=run.dataset.name
            )
    finished = [model for model in runs if model.trained is not None]
    if finished:
        comparison.write_predictions(run.written, finished, run.dataset)
    content = {
        **run.head(status),
        "seed": seed,
        "zero_line": zero_line or None,
        **results.comparison(runs, run.dataset.test.label, run.dataset.name),
        "diagnosis": findings.of_models(finished, run.dataset, seed),
    }
    if finished:
        comparison.print_tables(content, finished, run.dataset)
    for model in runs:
        if model.trained is None:
            console.print(
                f"{model.name} stopped after {len(model.epochs)} of "
                f"{model.recipe.num_epochs} epochs and is not in the table."
            )
    if finished:
        comparison.write_page(run, content, finished)
    return content


if __name__ == "__main__":
    runtime.run(main, Config)
