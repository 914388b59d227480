"""What to compare, as the command line is made from it."""

from dataclasses import dataclass, field, make_dataclass, replace
from importlib.util import find_spec
from typing import ClassVar

from experiments.kit import scalars
from experiments.kit.cluster import DeviceOptions
from experiments.kit.options import Resumable, require_names
from experiments.kit.products import ProductOptions
from jaxnets import models, training
from jaxnets.errors import InputError
from jaxnets.models import MODELS
from jaxnets.types import Recipe


@dataclass(frozen=True, kw_only=True)
class Settings(Resumable, DeviceOptions, ProductOptions):
    """What to compare; every published setting can be overridden."""

    any_classes: ClassVar[bool] = True

    models: tuple[str, ...] = (
        "sigmoid_mse",
        "relu_softmax",
        "keras_dense",
        "flax_dense",
    )
    """Which networks to train, in this order; row_rnn is a fifth."""
    epochs: int | None = None
    """Epochs of every model, in place of each one's own."""
    seed: int = 3
    """Decides the initial weights and the order of the images."""
    stream: bool = False
    """Train the networks of JAX on images that are read from disk as they are needed,
    shuffled 10,000 at a time, so in another order than without."""
    tensorboard: bool = False
    """Write the rows as scalars for TensorBoard too, into the run's folder."""


# The settings, and a field for each model's recipe.
Config = make_dataclass(
    "Config",
    [(model.name, Recipe, field(default=model.recipe)) for model in MODELS.values()],
    bases=(Settings,),
    frozen=True,
    kw_only=True,
)
Config.__doc__ = Settings.__doc__


def choose_recipes(config: Settings) -> dict[str, Recipe]:
    """The recipe of each model; InputError where one makes no sense."""
    require_names(config, "models", MODELS)
    training.require_seed(config.seed)
    if config.tensorboard and not config.redraw:
        scalars.require_writer()
    recipes = {}
    for name in config.models:
        trains_keras = MODELS[name].framework == "keras" and not config.redraw
        if trains_keras and not find_spec("tensorflow"):
            raise InputError(
                f"{name} needs tensorflow, which is not installed; install it, or name "
                "the other models by --models"
            )
        recipe: Recipe = getattr(config, name)
        if config.epochs is not None:
            recipe = replace(recipe, num_epochs=config.epochs)
        models.validate_recipe(name, recipe)
        recipes[name] = recipe
    return recipes
