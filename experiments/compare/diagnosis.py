"""What `jaxnets.diagnose` says of the runs of a comparison."""

from collections.abc import Sequence

import jax
import numpy as np

from experiments.compare.settings import Settings
from experiments.kit.run import Row
from experiments.kit.run import Run as ExperimentRun
from jaxnets import training
from jaxnets.diagnose import Finding, Run, diagnose
from jaxnets.models import Model
from jaxnets.types import Batch, Params, Recipe


def of_model(
    model: Model,
    recipe: Recipe,
    run: ExperimentRun[Settings],
    *,
    rows: Sequence[Row],
    params: Params,
    answers: np.ndarray,
) -> list[dict[str, str]]:
    """What looks wrong with a finished model, for `results.json`; empty: nothing.

    The validation set, where there is one, shows whether reported figures and network
    agree; the test set shows its answers. A kind of mistake that both show is named
    once.

    Args:
      model, recipe: what was trained.
      run: whose data and seed these are.
      rows: its epochs.
      params: after the last of them.
      answers: int [images], the classes it gives to the test images.
    """
    first = None  # Keras draws its own first weights
    if model.framework == "jax":
        key = training.run_keys(run.config.seed).init
        first = jax.device_get(model.network.init(key, recipe.layer_sizes))
    last = rows[-1]
    runs = []
    if last["validation_seen"]:
        validation = evidence(model, rows, first, params, run.data.validation)
        runs.append(
            validation._replace(
                accuracy=last["validation_accuracy"],
                seen=last["validation_seen"],
                loss=last["validation_loss"],
            )
        )
    tested = evidence(model, rows, first, params, run.data.test)
    accuracy = float(np.mean(answers == run.data.test.label))
    runs.append(tested._replace(answers=answers, accuracy=accuracy))
    findings: dict[str, Finding] = {}
    for one in runs:
        for finding in diagnose(one._replace(names=run.data.labels)):
            findings.setdefault(finding.kind, finding)
    return [finding._asdict() for finding in findings.values()]


def evidence(
    model: Model,
    rows: Sequence[Row],
    first: Params | None,
    params: Params,
    images: Batch,
) -> Run:
    """What the network leaves behind on these images, scored by its own outputs."""
    network = model.network
    apply = jax.jit(network.apply)
    outputs = np.asarray(apply(params, images.image))
    answers = outputs.argmax(axis=1)
    hidden: Sequence[np.ndarray] = ()
    if hasattr(network, "activations_of"):
        hidden = jax.device_get(network.activations_of(params, images.image)[:-1])
    return Run(
        cost=model.cost,
        labels=images.label,
        answers=answers,
        accuracy=float(np.mean(answers == images.label)),
        seen=len(answers),
        train_loss=[row["train_loss"] for row in rows],
        first=first,
        last=params,
        outputs=outputs,
        first_outputs=None if first is None else np.asarray(apply(first, images.image)),
        hidden=hidden,
    )
