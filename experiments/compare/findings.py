"""What `jaxnets.diagnose` says of the runs of a comparison."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from experiments.bugs.program import layers
from experiments.compare.results import ModelRun
from jaxnets import models as recipes
from jaxnets import relu_softmax
from jaxnets.data import Dataset
from jaxnets.diagnose import Finding, diagnose
from jaxnets.pixels import to_vectors
from jaxnets.signs import Run
from jaxnets.types import Batch

TITLE = "What looks wrong"
NOTE = "Named by jaxnets.diagnose from figures, answers and weights of the run."
HEADER = ("model", "finding")


def of_models(
    models: Sequence[ModelRun], dataset: Dataset, seed: int
) -> dict[str, list[dict[str, str]]]:
    """The "diagnosis" of results.json: what was found, for every finished model."""
    return {
        model.name: [found._asdict() for found in of_model(model, dataset, seed)]
        for model in models
    }


def of_model(model: ModelRun, dataset: Dataset, seed: int) -> list[Finding]:
    """What looks wrong with a finished run; empty where nothing does.

    The validation set, where there is one, shows whether reported figures and network
    agree; the test set shows its answers. A kind found on both is named once.
    """
    last = model.epochs[-1]
    runs = []
    if last.validation_correct is not None:
        outputs = _outputs(model, model.params, dataset.validation)
        validation = _run(model, dataset.validation, seed, outputs.argmax(axis=1))
        runs.append(
            validation._replace(
                accuracy=last.accuracy,
                seen=last.validation_seen,
                loss=last.validation_loss,
            )
        )
    runs.append(_run(model, dataset.test, seed, np.asarray(model.prediction.label)))
    found: dict[str, Finding] = {}
    for run in runs:
        for finding in diagnose(run):
            found.setdefault(finding.kind, finding)
    return list(found.values())


def lines(diagnoses: dict[str, Sequence[dict[str, Any]]]) -> list[tuple[str, str]]:
    """Model and sentence of everything found, in the form that results.json has."""
    return [
        (name, finding["text"])
        for name, found in diagnoses.items()
        for finding in found
    ]


def _run(model: ModelRun, images: Batch, seed: int, answers: np.ndarray) -> Run:
    """The run as these images show it, scored by the answers."""
    first = _first(model, seed)
    hidden = []
    if model.name == "sigmoid_mse":
        hidden = jax.device_get(layers(to_vectors, model.params, images.image)[:-1])
    return Run(
        cost="quadratic" if model.name == "sigmoid_mse" else "cross_entropy",
        labels=images.label,
        answers=answers,
        accuracy=float(np.mean(answers == images.label)),
        seen=len(answers),
        train_loss=[record.train_loss for record in model.epochs],
        first=first,
        last=model.params,
        outputs=_outputs(model, model.params, images),
        first_outputs=None if first is None else _outputs(model, first, images),
        hidden=hidden,
    )


def _first(model: ModelRun, seed: int) -> Any:
    """The parameters before training, made again; None for Keras, which draws its own.

    A network's `init` and the seed's key are all that they depend on.
    """
    network = recipes.NETWORKS.get(model.name)
    if network is None:
        return None
    init_key, _ = recipes.run_keys(seed)
    return jax.device_get(network.init(init_key, model.recipe.layer_sizes))


def _outputs(model: ModelRun, params: Any, images: Batch) -> np.ndarray:
    # Keras's layers are those of `relu_softmax`, and its weights have the same form.
    network = recipes.NETWORKS.get(model.name, relu_softmax)
    return np.asarray(jax.jit(network.apply)(params, images.image))
