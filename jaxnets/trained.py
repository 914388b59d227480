"""What was trained: kept in a file with all that is needed to use it, and loaded.

networks = jaxnets.load("runs/2026-11-26-141500-compare")
networks["relu_softmax"].predict(images)

network = jaxnets.load("runs/.../weights/relu_softmax.npz")
network.predict(images)
"""

import functools
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxnets import __version__, models, training, weights
from jaxnets.data import Dataset
from jaxnets.errors import InputError
from jaxnets.files import absolute
from jaxnets.pixels import ink_side
from jaxnets.types import Network, Params, Prediction, Recipe

FORMAT = 1  # of the files; another number where older versions could not read them
ABOUT = "about"  # the note that says what the weights are of, as JSON


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A network with its parameters. H and W are the images' height and width."""

    name: str  # in tables, and of the file
    model: str  # of `models.MODELS`: whose functions compute with the parameters
    layer_sizes: tuple[int, ...]  # from the images' pixels to the classes
    params: Params  # host arrays
    image_shape: tuple[int, int]  # H, W
    labels: tuple[str, ...]  # the classes' names
    dataset: str  # it was trained on
    recipe: Recipe | None  # it was trained by; None of one that was imported
    epochs: int  # it was trained for, less than the recipe's where it was cut short
    # Pixels that a digit takes in the images (`pixels.ink_side`); None: as in MNIST's.
    ink_side: int | None = None
    version: str = __version__  # of jaxnets that wrote it

    @property
    def network(self) -> Network:
        """The functions that the parameters are for."""
        return models.get(self.model).network

    @property
    def is_finished(self) -> bool:
        """Whether the recipe was followed to its end."""
        return self.recipe is None or self.epochs >= self.recipe.num_epochs

    def predict(self, images: np.ndarray) -> Prediction:
        """Classes int32 [B] and probabilities float32 [B, classes], on the host.

        Class i is called `labels[i]`. Images are uint8 [B, H, W], 0 (paper) to 255
        (ink); `jaxnets.picture` makes them of photographs. InputError for others.
        """
        shape, dtype = np.shape(images), getattr(images, "dtype", None)
        if dtype != np.uint8 or len(shape) != 3 or shape[1:] != self.image_shape:
            height, width = self.image_shape
            raise InputError(
                f"{self.name} takes images uint8 [count, {height}, {width}], not "
                f"{dtype or type(images).__name__} {list(shape)}"
            )
        # Accelerators round products further by default, a run does not.
        with jax.default_matmul_precision("highest"):
            predict = _predict(self.network)  # type: ignore[arg-type]  # a module
            return jax.device_get(predict(self.params, images))


class Networks(dict[str, Trained]):
    """The networks of a run by name, in its order."""

    @property
    def only(self) -> Trained:
        """The one network of a run that has no other; InputError where it has."""
        if len(self) > 1:
            raise InputError(
                f"there are {len(self)} networks: {', '.join(self)}; choose one by name"
            )
        (network,) = self.values()
        return network

    def choose(self, name: str) -> Trained:
        """The network of that name; InputError where there is none."""
        if name not in self:
            raise InputError(
                f"the run has no network {name!r}; it has {', '.join(self)}"
            )
        return self[name]


def load(path: str | os.PathLike[str]) -> Trained | Networks:
    """What was trained, from a file or from a run's folder.

    Returns:
      Of a file of weights the network, finished or not. Of a folder that an
      experiment left its finished networks, a dictionary; `.only` is the one of a run
      that trained no other.

    Raises:
      InputError: there is no such file or run, it has no finished network, or another
        version of jaxnets wrote it.
    """
    place = absolute(path)
    return load_run(place) if place.is_dir() else read(place)


def load_networks(path: str | os.PathLike[str]) -> Networks:
    """As `load`, but of a file too a dictionary, of one network."""
    loaded = load(path)
    return Networks({loaded.name: loaded}) if isinstance(loaded, Trained) else loaded


def load_run(folder: Path) -> Networks:
    """The finished networks of a run; raises as `load`."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
        writer = config["jaxnets"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{folder} is not the folder of a run: it has no config.json of jaxnets"
        ) from None
    networks, unfinished = {}, []
    for file in sorted((folder / "weights").glob("[!.]*.npz")):
        arrays = weights.read_arrays(file)
        if ABOUT in arrays:
            trained = _from_arrays(arrays, file)
            networks[trained.name] = trained
        elif file.stem in models.MODELS:
            raise _of_another_version(file, writer)
    for name, trained in list(networks.items()):
        if not trained.is_finished:
            del networks[name]
            assert trained.recipe is not None
            ending = f"{trained.epochs} of {trained.recipe.num_epochs} epochs"
            unfinished.append(f"{name} after {ending}")
    if not networks:
        rest = f" (cut short: {', '.join(unfinished)})" if unfinished else ""
        raise InputError(
            f"{folder} has no finished network{rest}; let the run come to its end, or "
            "name a file of weights"
        )
    first = [name for name in config.get("models") or () if name in networks]
    return Networks({name: networks[name] for name in [*first, *networks]})


def of_model(
    name: str, recipe: Recipe, params: Params, epochs: int, dataset: Dataset
) -> Trained:
    """A model of `models.MODELS` with its parameters after so many epochs."""
    height, width = dataset.train.image.shape[1:]
    return Trained(
        name=name,
        model=name,
        layer_sizes=recipe.layer_sizes,
        params=params,
        image_shape=(height, width),
        labels=dataset.labels,
        dataset=dataset.name,
        recipe=recipe,
        epochs=epochs,
        ink_side=ink_side(dataset.train.image),
    )


def write(file: Path, trained: Trained) -> None:
    """Write a file that `load` reads; its folder is made where there is none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    about = {name: value for name, value in vars(trained).items() if name != "params"}
    note = json.dumps({"format": FORMAT, **about}, default=asdict)
    weights.write(file, trained.params, dataset=trained.dataset, **{ABOUT: note})


def read(file: Path) -> Trained:
    """What `write` wrote; raises as `load`."""
    arrays = weights.read_arrays(file)
    if ABOUT not in arrays:
        raise InputError(
            f"{file} does not say what network it is of: an older version of jaxnets "
            "wrote it, or it is no network's; train anew with this one"
        )
    return _from_arrays(arrays, file)


def _from_arrays(arrays: dict[str, np.ndarray], file: Path) -> Trained:
    try:
        about = json.loads(str(arrays[ABOUT]))
        if about["format"] != FORMAT:
            raise _of_another_version(file, about["version"])
        return _trained(about, arrays, file)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{file} holds no weights of jaxnets, or is damaged"
        ) from error


def _trained(
    about: Mapping[str, Any], arrays: dict[str, np.ndarray], file: Path
) -> Trained:
    if about["model"] not in models.MODELS:
        raise InputError(
            f"{file} is of a model {about['model']!r}, unknown to jaxnets {__version__}"
        )
    network, sizes = models.get(about["model"]).network, tuple(about["layer_sizes"])
    like = jax.eval_shape(lambda: network.init(jax.random.key(0), sizes))
    recipe = about["recipe"]
    if recipe is not None:
        recipe = Recipe(**{**recipe, "layer_sizes": tuple(recipe["layer_sizes"])})
    height, width = about["image_shape"]
    if len(about["labels"]) != sizes[-1]:
        raise ValueError("as many labels as outputs are needed")
    return Trained(
        name=about["name"],
        model=about["model"],
        layer_sizes=sizes,
        params=weights.from_arrays(arrays, like, file),
        image_shape=(height, width),
        labels=tuple(about["labels"]),
        dataset=about["dataset"],
        recipe=recipe,
        epochs=about["epochs"],
        ink_side=about.get("ink_side"),  # early files have none
        version=about["version"],
    )


def _of_another_version(file: Path, version: str) -> InputError:
    return InputError(
        f"{file} was written by jaxnets {version} in another format; read it with that "
        f"version, or train anew with this one, {__version__}"
    )


@functools.cache
def _predict(network: Any) -> Callable[..., Prediction]:
    """Compiled once a network and number of images."""
    return jax.jit(training.make_predict(network.predict))
