"""Time the ways to train the same three networks, side by side.

    python experiments/benchmark.py

Contenders: NumPy as the book does it, batched NumPy, PyTorch (if installed: pip
install -e '.[bench]'), scikit-learn, tf.keras, Keras on JAX, and jaxnets, each
on the processor and in its own process, an epoch each in interleaved rounds.
`contenders/__init__.py` says who takes part in which model and why. It prints
tables of seconds and ratios and leaves a folder, runs/<time>-benchmark, with
report.html, benchmark.png and results.json. About 8 minutes on two cores.

Run it on a quiet machine: every figure comes with its smallest and largest value.
"""

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.speed.contenders import CONTENDERS, MODELS, is_installed, label

if TYPE_CHECKING:
    from jaxnets.data import Dataset

# Everything else is imported where it is used. A spawned worker imports this file
# first, and one without JAX must not pay for loading it.


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to time."""

    models: tuple[str, ...] = MODELS
    """Which networks, by the names of compare; flax_dense stands for Model 3."""
    contenders: tuple[str, ...] = tuple(CONTENDERS)
    """Who takes part, where the model is one of theirs; who is not installed is left
    out, and the run says so."""
    rounds: int = 5
    """Timed epochs of each contender, after a first one that is not timed."""
    examples: int | None = None
    """Train on the first so many images only; left out: all."""
    seed: int = 3
    """Decides initial weights, the order of images, and the order in a round."""
    dataset: str | None = None
    """mnist, fashion_mnist, kmnist or digits. Left out: MNIST, or digits without it."""
    mnist_dir: Path | None = None
    """Folder with the dataset's four original .gz files [env: JAXNETS_MNIST_DIR]."""
    data_dir: Path | None = None
    """Where tensorflow-datasets keeps its data [env: TFDS_DATA_DIR]."""
    output: Path | None = None
    """Folder for the results; left out: runs/<time>-benchmark."""
    overwrite: bool = False
    """Replace the output folder if it holds an earlier run."""


def main(config: Config) -> dict[str, Any]:
    """Run the benchmark; return the content of results.json."""
    from experiments.kit import command as runtime
    from experiments.kit import folder
    from experiments.speed.contenders.session import Session
    from jaxnets import data

    _check(config)
    output = config.output or folder.default_path("benchmark")
    folder.check(output, overwrite=config.overwrite)
    dataset = data.load(
        config.dataset, folder=config.mnist_dir, data_dir=config.data_dir
    )
    if config.examples is not None:
        dataset = data.first_examples(dataset, config.examples)
    _check_batches(config, dataset)
    settings = {**asdict(config), "dataset": dataset.name, "notice": dataset.notice}
    written = folder.RunFolder(output, settings, overwrite=config.overwrite)
    with tempfile.TemporaryDirectory(prefix="jaxnets-benchmark-") as scratch:
        session = Session(dataset, Path(scratch), config.rounds, config.seed)
        _leave_out_missing(config, session)
        try:
            for model in config.models:
                session.run(model, _present(config, model))
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            with runtime.uninterrupted():
                session.finish(written, "interrupted" if stopped else "failed")
            raise
        with runtime.uninterrupted():
            return session.finish(written, "complete")


def _check(config: Config) -> None:
    """Raise InputError for settings that make no sense whatever the data."""
    from jaxnets import models as recipes
    from jaxnets.errors import InputError

    recipes.check_seed(config.seed)
    for kind, given, known in (
        ("model", config.models, MODELS),
        ("contender", config.contenders, CONTENDERS),
    ):
        for name in given:
            if name not in known:
                raise InputError(f"unknown {kind} {name!r}; known: {', '.join(known)}")
        if not given:
            raise InputError(f"no {kind} is named; known: {', '.join(known)}")
    if config.rounds < 1:
        raise InputError(f"rounds={config.rounds} must be at least 1")
    for model in config.models:
        if not _present(config, model):
            able = [name for name in CONTENDERS if model in CONTENDERS[name].models]
            raise InputError(
                f"nobody is left to train {model}: of the contenders named none does "
                f"and is installed; those who train it: {', '.join(able)}"
            )


def _check_batches(config: Config, dataset: "Dataset") -> None:
    from jaxnets import models as recipes
    from jaxnets.running import check_fits

    for model in config.models:
        check_fits(model, recipes.RECIPES[model], dataset)


def _present(config: Config, model: str) -> list[str]:
    """Those of the named contenders that train this model and are installed."""
    return [
        name
        for name in dict.fromkeys(config.contenders)
        if model in CONTENDERS[name].models and is_installed(name)
    ]


def _leave_out_missing(config: Config, session: Any) -> None:
    for name in config.contenders:
        if not is_installed(name):
            needs = CONTENDERS[name].needs
            session.leave_out(name, f"{label(name)}: {needs} is not installed")


if __name__ == "__main__":
    from experiments.kit import command as runtime

    runtime.run(main, Config)
