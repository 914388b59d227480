"""Why 10.41 %? Likely mistakes in Model 1, one at a time, and their signatures.

    python -m experiments.bugs

Expected on MNIST: the healthy network reaches a median of 95.0 % over 20 seeds. Answers
compared with one-hot rows end at 9.99 to 10.37 % in 19 of 20 seeds. Raw
pixels take Model 3 to about 94 %. Then jaxnets.diagnose is judged on networks that set
none of its limits (`judge`). About 12 minutes on two idle CPU cores: Keras takes four
(--keras-seeds 0 leaves it out), the judgement three (--judged-seeds 0). On other data
there is nothing reported to compare with.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from experiments.bugs import judge, keras_model, results
from experiments.bugs.judge import Setting
from experiments.bugs.programs import BYTES, HEALTHY, MISTAKES, SCALED
from experiments.bugs.train import UNTRAINED, is_end, train, train_in_parts, untrained
from experiments.kit.command import run_command
from experiments.kit.options import Options, require_at_least, require_names
from experiments.kit.progress import Progress
from experiments.kit.run import Row, Run
from jaxnets import data, models
from jaxnets.data import Dataset
from jaxnets.errors import InputError
from jaxnets.models import MODELS
from jaxnets.types import Recipe

JUDGED = "judged"  # the task of all networks that jaxnets.diagnose is judged on
PIXEL_MODELS = ("flax_dense", "keras_dense")


@dataclass(frozen=True, kw_only=True)
class Config(Options):
    """Which mistakes to make, and how often."""

    mistakes: tuple[str, ...] = tuple(MISTAKES)
    """Mistakes in Model 1, each apart from the others."""
    seeds: int = 8
    """Networks of each mistake."""
    healthy_seeds: int = 20
    """Networks without a mistake; mistakes of the evaluation look at the same ones."""
    untrained: int = 1000
    """Networks that are tested as they start."""
    pixel_models: tuple[str, ...] = PIXEL_MODELS
    """Forms of Model 3 that are trained with pixels in [0, 1] and as bytes."""
    keras_seeds: int = 3
    """Networks of keras_dense, 0 for none; of flax_dense as many as of each mistake."""
    epochs: int | None = None
    """Epochs of every network, in place of each one's own."""
    judged_seeds: int = 4
    """Networks of each mistake and setting that jaxnets.diagnose is judged on; 0: no
    judgement."""
    judged_healthy_seeds: int = 12
    """Networks without a mistake of each setting that it is judged on."""
    judged_examples: tuple[int, ...] = (1000, 5000)
    """Parts of the training images that are settings of the judgement."""
    judged_rates: tuple[float, ...] = (1.0, 10.0)
    """Learning rates of Model 1, beside the recipe's, that are settings too."""
    fashion_dir: Path | None = None
    """Folder with Fashion-MNIST's four .gz files, which makes it one more setting."""
    sigmoid_mse: Recipe = MODELS["sigmoid_mse"].recipe
    keras_dense: Recipe = MODELS["keras_dense"].recipe

    def recipe(self, model: str) -> Recipe:
        """A model's settings, with what --epochs overrides."""
        recipe: Recipe = getattr(self, model)
        return (
            recipe if self.epochs is None else replace(recipe, num_epochs=self.epochs)
        )


def main(config: Config) -> dict[str, Any]:
    """Make the mistakes; return the content of results.json."""
    require_sense(config)
    run = Run.open("bugs", config)
    for model in ("sigmoid_mse", "keras_dense"):
        models.validate_fits(model, run.config.recipe(model), run.data)
    run.record(measure(run.config, run.data, judged(run.config, run.data)))
    from experiments.bugs import page  # loads Matplotlib

    content = results.of(run.rows, run.data)
    is_reported = content["reported_accuracy"] is not None
    return run.publish(
        content,
        title="Why 10.41 %?" if is_reported else "What mistakes look like",
        lead=lambda: page.lead(content),
        sections=lambda: page.sections({**run.head, **content}, run.rows),
    )


def require_sense(config: Config) -> None:
    """Raise InputError for what makes no sense whatever the data."""
    for option, known in (("mistakes", MISTAKES), ("pixel_models", PIXEL_MODELS)):
        if getattr(config, option):  # none is fine
            require_names(config, option, known)
    require_at_least(config, seeds=1, healthy_seeds=1, untrained=1, keras_seeds=0)
    require_at_least(config, judged_seeds=0, judged_healthy_seeds=1, judged_examples=1)
    if not config.judged_examples:
        raise InputError("judged_examples is empty; name one part or more")
    for model in ("sigmoid_mse", "keras_dense"):
        models.validate_recipe(model, config.recipe(model))
    if config.sigmoid_mse.optimizer != "sgd":
        raise InputError("sigmoid_mse: the mistakes are in a network trained by sgd")


def judged(config: Config, dataset: Dataset) -> list[Setting]:
    """What jaxnets.diagnose is judged on; loads the other data.

    Raises InputError where a learning rate or a part makes no sense, or the folder of
    Fashion-MNIST does not; DatasetUnavailable where it is empty.
    """
    if not config.judged_seeds or config.redraw:
        return []
    others = [] if dataset.name == "digits" else [data.load("digits")]
    if config.fashion_dir is not None:
        folder, data_dir = config.fashion_dir, config.data_dir
        others.append(data.load("fashion_mnist", folder=folder, data_dir=data_dir))
    settings = judge.settings(
        dataset,
        others,
        [MISTAKES[name] for name in config.mistakes],
        config.recipe("sigmoid_mse"),
        config.recipe("keras_dense"),
        examples=config.judged_examples,
        rates=config.judged_rates,
    )
    for setting in settings:
        for rate in setting.rates:
            recipe = replace(setting.recipe, learning_rate=rate)
            models.validate_fits(setting.model, recipe, setting.dataset)
    return settings


def measure(
    config: Config, dataset: Dataset, settings: Sequence[Setting] = ()
) -> Iterator[Row]:
    """Model 1 healthy and with each mistake, untrained networks, then Model 3.

    Yields a row of every network after each epoch; then those of the settings.
    """
    work = plan(config, dataset)
    if settings:
        seeds = config.judged_healthy_seeds, config.judged_seeds
        num_rows = sum(setting.num_rows(*seeds) for setting in settings)
        work.append(([JUDGED], num_rows, judge.train(settings, *seeds)))
    counts = {name: count for names, count, _ in work for name in names}
    ends: dict[str, list[Row]] = {name: [] for name in counts}
    with Progress(counts) as progress:
        for row in (row for *_, rows in work for row in rows):
            yield row
            if is_end(row):
                name = JUDGED if "setting" in row else row["program"]
                ends[name].append(row)
                is_last = len(ends[name]) == counts[name]
                progress.advance(name, text=in_words(ends[name]) if is_last else "")


def in_words(rows: list[Row]) -> str:
    """All networks of a program, or all that are judged, in a line."""
    if "setting" in rows[0]:
        judgement = judge.results(rows)
        pairs = (judgement["false_alarms"], judgement["missed"])
        false_alarms, missed = (f"{pair['count']} of {pair['of']}" for pair in pairs)
        return f"{false_alarms} healthy ones accused, {missed} mistakes missed"
    accuracies = [row["test_accuracy"] for row in rows]
    line = f"{min(accuracies):.2%} to {max(accuracies):.2%}"
    if "diagnosis" not in rows[0]:
        return line
    kinds = [f"{kind} {count}" for kind, count in results.tally(rows).items()]
    return f"{line}  {', '.join(kinds)}"


def plan(
    config: Config, dataset: Dataset
) -> list[tuple[list[str], int, Iterator[Row]]]:
    """Programs that are trained together, how many networks of each, and their rows.

    Rows are trained for when they are asked for.
    """
    recipe, seeds = config.recipe("sigmoid_mse"), range(config.seeds)
    chosen = [HEALTHY, *(MISTAKES[name] for name in config.mistakes)]
    work = []
    for group in judge.trained_together(chosen):
        part = range(config.healthy_seeds) if HEALTHY in group else seeds
        rows = train(group, recipe, dataset, part)
        work.append(([program.name for program in group], len(part), rows))
    rows = untrained(recipe, dataset.test, config.untrained)
    work.append(([UNTRAINED], config.untrained, rows))
    recipe = config.recipe("keras_dense")
    for model in config.pixel_models:
        if model == "flax_dense":
            for program in (SCALED, BYTES):
                rows = train_in_parts([program], recipe, dataset, seeds)
                work.append(([program.name], config.seeds, rows))
        elif config.keras_seeds:
            rows = keras_model.train(recipe, dataset, range(config.keras_seeds))
            work.append((list(keras_model.DIVISORS), config.keras_seeds, rows))
    return work


if __name__ == "__main__":
    run_command(main, Config, all_cores=True)
