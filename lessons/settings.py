"""What the lessons share: settings that can be changed, checked with the data."""

from dataclasses import dataclass, make_dataclass, replace
from typing import ClassVar

from experiments.kit.options import DataOptions
from jaxnets import models
from jaxnets.data import Dataset
from jaxnets.models import Model
from jaxnets.types import Recipe


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
