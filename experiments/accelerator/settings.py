"""The options, and which of them make sense."""

from dataclasses import dataclass

from experiments.kit.options import Options, require_at_least, require_names
from experiments.kit.products import ProductOptions
from jaxnets import ensemble, training
from jaxnets.errors import InputError
from jaxnets.models import JAX_MODELS


@dataclass(frozen=True, kw_only=True)
class Config(Options, ProductOptions):
    """What to train, and how."""

    models: tuple[str, ...] = ("sigmoid_mse", "relu_softmax", "flax_dense")
    """Networks to train one at a time."""
    unroll: tuple[int, ...] = (1, 5, 10)
    """Steps in one turn of the compiled loop over batches."""
    rounds: int = 3
    """Epochs of each single network that are timed, after a first one."""
    networks: int = 1000
    """Networks of Model 1 that train side by side."""
    chunks: tuple[int, ...] = (128, 256, 400, 512, 1000)
    """At most so many of them at a time."""
    epochs: int | None = None
    """Of each of them, in place of the recipe's 30."""
    dry_run: bool = False
    """Compile all programs for these shapes and tell their memory; train nothing."""

    @property
    def sizes(self) -> list[int]:
        """How many networks train side by side, from few to many, in equal parts."""
        seeds = range(self.networks)
        return sorted({len(ensemble.chunks(seeds, size)[0]) for size in self.chunks})


def validate_config(config: Config) -> None:
    """Raise InputError where an option makes no sense whatever the data."""
    require_names(config, "models", JAX_MODELS)
    require_at_least(config, unroll=1, rounds=1, networks=1, chunks=1, epochs=1)
    for name in ("unroll", "chunks"):
        values = getattr(config, name)
        if not values or len(set(values)) < len(values):
            raise InputError(f"{name}={values} must name one or more, each once")
    training.require_seed(config.networks - 1)
