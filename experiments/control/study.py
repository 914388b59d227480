"""A network under study: two learning rates a layer, all combinations at once.

`experiments/control.py` puts it together with `surprise`, `descents`
and `beside_keras`. Each part is a generator: it notes its numbers for
results.json and yields a line of progress whenever something is done.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np

from experiments.control import layer_rates
from experiments.control.curvature import Sharpness, sharpness
from experiments.control.layer_rates import RatesEpoch
from experiments.kit.numbers import finites
from jaxnets import models as recipes
from jaxnets import relu_softmax as network
from jaxnets import training
from jaxnets.data import Dataset
from jaxnets.errors import NonFiniteLoss
from jaxnets.models import Recipe
from jaxnets.types import Batch, Params


@dataclass
class Study:
    """What is examined, and what was found so far."""

    dataset: Dataset
    recipe: Recipe  # its learning rate is the last of the rates
    seed: int
    rates: np.ndarray  # float32 [C, layers]; the last row is the recipe's rate
    note: Callable[[dict[str, Any]], None]  # a line for metrics.jsonl
    params: Params = ()  # NumPy: the network of the last row, once it is trained
    norms: np.ndarray | None = None  # float32 [B], of every training image
    losses: np.ndarray | None = None  # likewise
    answers: np.ndarray | None = None  # int32 [B], likewise
    found: dict[str, Any] = field(default_factory=dict)  # for results.json

    def start(self) -> tuple[Params, jax.Array]:
        """Initial weights, and the key of the order of the images."""
        init_key, data_key = recipes.run_keys(self.seed)
        return network.init(init_key, self.recipe.layer_sizes), data_key

    def some(self, count: int) -> Batch:
        """The first training images, or all where there are fewer."""
        return Batch(*(array[:count] for array in self.dataset.train))


def timed(program: Callable[..., Any], *args: Any) -> tuple[Any, float]:
    """A compiled program's result, on the host, and the seconds it took."""
    began = time.perf_counter()
    value = jax.device_get(program(*args))
    return value, time.perf_counter() - began


def train_combinations(study: Study, num_sharpness: int) -> Iterator[str]:
    """Train a network for each row of rates, all as one program.

    The sharpness of those with one rate in all layers is taken before the first
    epoch and after each, on the first `num_sharpness` training images.

    Raises:
      NonFiniteLoss: the network of the last row, which is examined, diverged.
    """
    params, data_key = study.start()
    recipe, dataset = study.recipe, study.dataset
    uniform = np.flatnonzero(np.ptp(study.rates, axis=1) == 0)
    measure = _make_measure(study, uniform, num_sharpness)
    part = study.found["rates"] = {
        "rates": [[float(str(r)) for r in row] for row in study.rates],
        "uniform": uniform.tolist(),
        "sharpness_images": len(study.some(num_sharpness).label),
        "sharpness": [measure(layer_rates.stack(params, len(study.rates)), 0)],
        "epochs": [],
    }
    epochs = layer_rates.fit_rates(
        network.loss_fn,
        params,
        study.rates,
        dataset.train,
        [dataset.validation],
        batch_size=recipe.batch_size,
        num_epochs=recipe.num_epochs,
        key=data_key,
    )
    for epoch in epochs:
        if not np.isfinite(epoch.train.loss[-1]):
            raise NonFiniteLoss(
                f"the loss is {epoch.train.loss[-1]} in epoch {epoch.number} at "
                f"learning rate {recipe.learning_rate:g}; try a smaller one"
            )
        study.params = jax.tree.map(lambda leaf: np.array(leaf[-1]), epoch.params)
        part["sharpness"].append(measure(epoch.params, epoch.number))
        part["compile_seconds"] = epoch.compile_seconds
        part["epochs"].append(_epoch(study, epoch))
        yield (
            f"{len(study.rates)} networks at once, epoch "
            f"{epoch.number}/{recipe.num_epochs}  {epoch.seconds:.2f} s"
        )
    _test(study, epoch.params)


def _make_measure(
    study: Study, uniform: np.ndarray, num_images: int
) -> Callable[[Params, int], list[dict[str, float | None]]]:
    """The sharpness of some of the networks, as it stands in results.json."""
    data = jax.device_put(study.some(num_images))
    key = jax.random.key(study.seed)

    def one(params: Params, data: Batch, key: jax.Array) -> Sharpness:
        return sharpness(network.loss_fn, params, data, key)

    of_all = jax.jit(jax.vmap(one, in_axes=(0, None, None)))

    def measure(params: Params, epoch: int) -> list[dict[str, float | None]]:
        chosen = jax.tree.map(lambda leaf: leaf[uniform], params)
        return listed(of_all(chosen, data, jax.random.fold_in(key, epoch)))

    return measure


def listed(found: Sharpness) -> list[dict[str, float | None]]:
    """Of arrays with an axis of networks: an entry for each."""
    pairs = zip(*(finites(array) for array in found), strict=True)
    return [{"eigenvalue": value, "residual": rest} for value, rest in pairs]


def _epoch(study: Study, epoch: RatesEpoch) -> dict[str, Any]:
    """An epoch's entry in results.json, and a line a network in metrics.jsonl."""
    [held_out] = epoch.held_out
    seen = int(held_out.seen[0])
    accuracy = (held_out.correct / seen).tolist() if seen else None
    losses = finites(epoch.train.loss / epoch.train.seen)
    entry = {
        "epoch": epoch.number,
        "seconds": epoch.seconds,
        "train_loss": losses,
        "validation_accuracy": accuracy,
    }
    for place, rates in enumerate(study.found["rates"]["rates"]):
        study.note(
            {
                "part": "rates",
                "epoch": epoch.number,
                "rates": rates,
                "train_loss": losses[place],
                "validation_accuracy": accuracy[place] if accuracy else None,
            }
        )
    return entry


def _test(study: Study, params: Params) -> None:
    """The test set, opened once, after the last epoch."""
    evaluate = jax.vmap(training.make_evaluate(network.loss_fn), in_axes=(0, None))
    totals = jax.device_get(jax.jit(evaluate)(params, study.dataset.test))
    part = study.found["rates"]
    part["test_correct"] = totals.correct.tolist()
    part["test_seen"] = int(totals.seen[0])
