"""The command line that the experiments share."""

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from jaxnets import data
from jaxnets.errors import InputError
from jaxnets.files import absolute

Config = TypeVar("Config")


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which data, and where it lies."""

    dataset: str | None = None
    """mnist, fashion_mnist, kmnist or digits. Left out: MNIST, or digits without it."""
    mnist_dir: Path | None = None
    """Folder with the dataset's four original .gz files [env: JAXNETS_MNIST_DIR]."""
    data_dir: Path | None = None
    """Where tensorflow-datasets keeps its data [env: TFDS_DATA_DIR]."""
    dataset_dir: Path | None = None
    """Folder of data of your own: four files in MNIST's format, zipped or not, or
    pictures as <label>/*.png."""
    classes: int | None = None
    """How many classes the data of --dataset-dir has; left out: those that occur."""
    transpose: bool = False
    """Exchange rows and columns of --dataset-dir's images, as EMNIST needs it."""

    def __post_init__(self) -> None:
        for name, hint in typing.get_type_hints(type(self)).items():
            if Path in (hint, *typing.get_args(hint)):
                path = getattr(self, name)
                if path is not None:
                    object.__setattr__(self, name, absolute(path))

    def load(self) -> data.Dataset:
        """Load the data; raises as `jaxnets.data.load` or `data.load_folder`."""
        return self._load(None)

    def _load(self, validation_examples: int | None) -> data.Dataset:
        if self.dataset_dir is not None:
            # A run keeps "own:" and the name that the folder had then.
            is_own = self.dataset is None or self.dataset.startswith("own:")
            if not is_own or self.mnist_dir is not None:
                raise InputError(
                    f"--dataset-dir {self.dataset_dir} is data of your own; leave out "
                    "--dataset and --mnist-dir"
                )
            return data.load_folder(
                self.dataset_dir,
                classes=self.classes,
                transpose=self.transpose,
                validation_examples=validation_examples,
            )
        if self.classes is not None or self.transpose:
            raise InputError("--classes and --transpose are of --dataset-dir only")
        return data.load(
            self.dataset,
            folder=self.mnist_dir,
            data_dir=self.data_dir,
            validation_examples=validation_examples,
        )


@dataclass(frozen=True, kw_only=True)
class Options(DataOptions):
    """Data in, a folder out."""

    any_classes: ClassVar[bool] = False  # whether other numbers than ten make sense

    examples: int | None = None
    """Train on the first so many images only; left out: all."""
    validation_examples: int | None = None
    """How many of the last training records validate; left out: a sixth; 0 allowed."""
    output: Path | None = None
    """Folder for the results; left out: runs/<time>-<experiment>."""
    overwrite: bool = False
    """Replace the output folder if it holds an earlier run."""
    redraw: Path | None = None
    """Folder of an earlier run: make its tables, figures and page anew, without
    training. Other options are those of that run."""

    def load(self) -> data.Dataset:
        """As `DataOptions.load`, with the sizes that are asked for."""
        dataset = self._load(self.validation_examples)
        if dataset.num_classes != data.NUM_CLASSES and not self.any_classes:
            raise InputError(
                f"{dataset.name} has {dataset.num_classes} classes; this experiment is "
                f"made for {data.NUM_CLASSES}"
            )
        if self.examples is None:
            return dataset
        return data.first_examples(dataset, self.examples)


class RunFinished(Exception):
    """There is nothing to resume, as the message says; the program ends well."""


@dataclass(frozen=True, kw_only=True)
class Resumable(Options):
    """Data in, a folder out, and on from there after whatever broke the run off."""

    fixed: ClassVar[tuple[str, ...]] = ()  # options that no run goes on with another of

    resume: Path | None = None
    """Folder of a run that was broken off: go on where it stopped, as it was set."""
    allow_changes: bool = False
    """Resume in spite of other settings, data, versions or devices than before. The
    run is then not bit for bit what it would have been, and says so."""
    checkpoint_seconds: float = 0.0
    """Keep a checkpoint after each epoch, or whole network where these are the parts,
    or each so many seconds if that is rarer."""


def require_at_least(config: object, **least: float) -> None:
    """Raise InputError where a number, or one of several, is below its least.

    Args:
      config: with these options; None is passed by.
      least: by the option's name.
    """
    for name, minimum in least.items():
        value = getattr(config, name)
        numbers = value if isinstance(value, tuple) else (value,)
        if any(number is not None and not number >= minimum for number in numbers):
            raise InputError(f"{name}={value} must be at least {minimum}")


def require_names(config: object, option: str, known: Iterable[str]) -> None:
    """Raise InputError unless an option names one or more of those known, each once."""
    names, known = getattr(config, option), list(known)
    if not names or len(set(names)) < len(names) or not set(names) <= set(known):
        raise InputError(
            f"{option}={names} must be one or more of {', '.join(known)}, each once"
        )


def from_json(config_type: type[Config], stored: Mapping[str, Any]) -> Config:
    """The config whose `dataclasses.asdict` was written as JSON.

    Fields that are not in `stored` keep their defaults; further entries are ignored.
    Raises InputError where a value is not of its field's type, or one is missing.
    """
    hints = typing.get_type_hints(config_type)
    values = {}
    for field in dataclasses.fields(config_type):  # type: ignore[arg-type]
        if field.name in stored:
            value = stored[field.name]
            try:
                values[field.name] = _converted(hints[field.name], value)
            except TypeError as error:
                raise InputError(
                    f"config.json is damaged: {field.name}={value!r} ({error})"
                ) from error
    try:
        return config_type(**values)
    except TypeError as error:
        raise InputError(f"config.json is damaged: {error}") from error


def _converted(hint: Any, value: Any) -> Any:
    """A value of JSON as the type that was written; TypeError where it is not such."""
    if isinstance(hint, types.UnionType):
        if value is None:
            return None
        (hint,) = (option for option in hint.__args__ if option is not types.NoneType)
    origin = typing.get_origin(hint)
    if origin is tuple and isinstance(value, list):
        return tuple(_converted(typing.get_args(hint)[0], item) for item in value)
    if dataclasses.is_dataclass(hint) and isinstance(value, dict):
        return from_json(hint, value)  # type: ignore[arg-type]
    if hint is Path and isinstance(value, str | Path):
        return Path(value)
    if type(value) is hint or (hint is float and type(value) is int):
        return value
    if origin is typing.Literal and value in typing.get_args(hint):
        return value
    raise TypeError(f"not of type {getattr(hint, '__name__', hint)}")
