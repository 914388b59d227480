"""What the lessons share: settings that can be changed, checked with the data."""

from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from experiments.kit.options import DataOptions
from jaxnets import checkpoint, models
from jaxnets.data import Dataset
from jaxnets.errors import InputError
from jaxnets.models import Model
from jaxnets.types import Recipe, TrainState


@dataclass(frozen=True, kw_only=True)
class Settings(DataOptions):
    """The values of a model's recipe, and a seed; each can be changed."""

    model: ClassVar[Model]
    layer_sizes: tuple[int, ...]
    """Neurons, input to output."""
    learning_rate: float
    """Step size of the optimizer."""
    batch_size: int
    """Images per update."""
    epochs: int
    """Passes over the training set."""
    seed: int = 3
    """Decides the initial weights and the order of the images."""
    checkpoint: Path | None = None
    """File that keeps the state after each epoch. If it is there, the lesson goes on
    from it, to the same end bit for bit. Left out: nothing is kept."""

    def prepare(self) -> tuple[Recipe, Dataset]:
        """The recipe with these values, and the data; InputError where they misfit."""
        recipe = replace(
            self.model.recipe,
            layer_sizes=self.layer_sizes,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            num_epochs=self.epochs,
        )
        models.validate_recipe(self.model.name, recipe)
        dataset = self.load()
        models.validate_fits(self.model.name, recipe, dataset)
        if dataset.notice:
            print(f"NOTICE: {dataset.notice}")
        return recipe, dataset

    def restore(self, start: TrainState) -> TrainState:
        """The state of the checkpoint, or without one the state to start from.

        Raises InputError where it was trained otherwise.
        """
        if self.checkpoint is None or not self.checkpoint.exists():
            return start
        kept = checkpoint.load(self.checkpoint)
        for name, value in self._about().items():
            if kept.about.get(name) != value:
                raise InputError(
                    f"{self.checkpoint} has {name} {kept.about.get(name)}, not "
                    f"{value}; set the same, or name another file"
                )
        return kept.state(start)

    def keep(self, state: TrainState) -> None:
        """Write the checkpoint, if there is to be one."""
        if self.checkpoint is not None:
            checkpoint.save(self.checkpoint, state, self._about())

    def _about(self) -> dict[str, Any]:
        """What must be the same for the end to be the same."""
        names = ("learning_rate", "batch_size", "seed", "dataset")
        values = {name: getattr(self, name) for name in names}
        return {"model": self.model.name, "layer_sizes": [*self.layer_sizes], **values}


def settings_of(model: Model) -> type[Settings]:
    """Settings whose defaults are the model's recipe."""
    defaults = [
        ("layer_sizes", tuple[int, ...], model.recipe.layer_sizes),
        ("learning_rate", float, model.recipe.learning_rate),
        ("batch_size", int, model.recipe.batch_size),
        ("epochs", int, model.recipe.num_epochs),
    ]
    config: type[Settings] = make_dataclass(
        "Config", defaults, bases=(Settings,), frozen=True, kw_only=True
    )
    config.model = model
    return config
