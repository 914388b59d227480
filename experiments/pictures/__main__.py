"""What is it worth to prepare a picture of a digit as MNIST was prepared?

    python -m experiments.pictures --run runs/<time>-compare
    python -m experiments.pictures

Test digits are put into pictures like photographs of paper, and read from them by
`jaxnets.picture`: found, made light on dark, fitted into 20 by 20 pixels and centred by
mass. Each network should be as right as on the clean test set, within 1.5 points. Then
each part of the preparation is left out in turn. Without --run the networks are
trained first. A thousand pictures take some eight minutes on one core.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from experiments.kit.command import run_command
from experiments.kit.options import Options, require_at_least, require_names
from experiments.kit.progress import Progress
from experiments.kit.run import Row, Run
from experiments.pictures import measure, page, results
from jaxnets import models, trained, training
from jaxnets.errors import InputError
from jaxnets.models import MODELS
from jaxnets.trained import Networks, Trained
from jaxnets.training import Epoch


@dataclass(frozen=True, kw_only=True)
class Config(Options):
    """Whose networks, and how many pictures."""

    any_classes: ClassVar[bool] = True

    run: Path | None = None
    """Folder of a run of experiments.compare, whose networks are asked."""
    models: tuple[str, ...] = ("sigmoid_mse", "relu_softmax", "flax_dense")
    """Which networks to train, where no run is named."""
    epochs: int | None = None
    """Epochs of every model, in place of each one's own."""
    pictures: int = 1000
    """How many pictures of one digit."""
    sheets: int = 20
    """How many pictures of ten digits."""
    seed: int = 3
    """Decides the digits, the pictures, and the training."""


def main(config: Config) -> dict[str, Any]:
    """Run the experiment; return the content of results.json."""
    require_at_least(config, pictures=1, sheets=1, epochs=1)
    require_names(config, "models", MODELS)
    training.require_seed(config.seed)
    run = Run.open("pictures", config)
    measure.require_suitable(run.data, run.config.pictures)
    networks = None
    if run.config.run is not None and run.config.redraw is None:
        networks = trained.load_networks(run.config.run)
        for network in networks.values():
            if network.dataset != run.data.name:
                raise InputError(
                    f"{network.name} was trained on {network.dataset}, not on "
                    f"{run.data.name}; choose the data by --dataset"
                )
    run.record(rows_of(run, networks))
    content = results.of_rows(run.rows)
    return run.publish(
        content,
        title="What preparing a picture is worth",
        lead=lambda: page.lead(content),
        sections=lambda: page.sections(run, content),
    )


def rows_of(run: Run[Config], networks: Networks | None) -> Iterator[Row]:
    """Networks that are trained or loaded, then a row a picture and a row a sheet."""
    config = run.config
    names = list(config.models) if networks is None else []
    totals = {
        **dict.fromkeys(names, 1),
        "pictures": config.pictures,
        "sheets": config.sheets,
    }
    with Progress(totals) as progress:
        if networks is None:
            networks = Networks()
            for name in names:
                networks[name] = trained_here(name, run)
                progress.advance(name, text="is trained")
        yield from measure.clean(networks, run.data)
        for row in measure.pictures(networks, run.data, config.pictures, config.seed):
            yield row
            progress.advance("pictures")
        for row in measure.sheets(networks, run.data, config.sheets, config.seed):
            yield row
            progress.advance("sheets")


def trained_here(name: str, run: Run[Config]) -> Trained:
    """A network trained by its recipe, for the epochs that are asked for."""
    recipe = models.adapted(name, MODELS[name].recipe, run.data)
    if run.config.epochs is not None:
        recipe = replace(recipe, num_epochs=run.config.epochs)
    last = None
    for event in models.train_and_test(name, recipe, run.data, run.config.seed):
        if isinstance(event, Epoch):
            last = event
    assert last is not None
    return trained.of_model(name, recipe, last.state.params, last.number, run.data)


if __name__ == "__main__":
    run_command(main, Config)
