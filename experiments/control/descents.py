"""The sharpness along full-batch gradient descent, for several learning rates.

Cohen, Kaur, Li, Kolter and Talwalkar, "Gradient Descent on Neural Networks Typically
Occurs at the Edge of Stability" (ICLR 2021): the sharpness rises until it stands
near 2 / learning rate, above which a quadratic would diverge.
"""

from collections.abc import Iterator, Sequence

import jax
import numpy as np

from experiments.control.curvature import make_descent, sharpness
from experiments.control.layer_rates import stack
from experiments.control.study import Study, listed
from experiments.kit.numbers import finite, finites
from jaxnets import relu_softmax as network
from jaxnets.devices import compile_ahead

EVERY = 5  # steps between two measurements
ITERATIONS = 12  # of Lanczos; the residuals are in results.json
LINES = 5  # of progress


def descend(
    study: Study, rates: Sequence[float], num_steps: int, num_images: int
) -> Iterator[str]:
    """One network a rate from the same weights, all as one program."""
    data = jax.device_put(study.some(num_images))
    params, _ = study.start()
    key = jax.random.key(study.seed)
    descent = make_descent(network.loss_fn, EVERY, ITERATIONS)
    step_sizes = np.asarray(rates, np.float32)
    args = (stack(params, len(rates)), step_sizes, data, key)
    together = jax.vmap(descent, in_axes=(0, 0, None, None))
    run = compile_ahead(together, *args)
    records: list[dict] = []
    study.found["descent"] = {
        "learning_rates": list(rates),
        "images": len(data.label),
        "records": records,
    }
    stacked = args[0]
    for step in range(EVERY, num_steps + 1, EVERY):
        step_key = jax.random.fold_in(key, step)
        stacked, losses, found = run(stacked, step_sizes, data, step_key)
        record = {"step": step, "loss": finites(losses), "sharpness": listed(found)}
        records.append(record)
        study.note({"part": "descent", **record})
        if step % max(EVERY, num_steps // LINES // EVERY * EVERY) == 0:
            values = ", ".join(f"{value:.2f}" for value in found.eigenvalue.tolist())
            yield f"gradient descent, step {step}/{num_steps}  sharpness {values}"


def on_all_images(study: Study) -> Iterator[str]:
    """The trained network's sharpness on all training images, chunk by chunk."""
    data = jax.device_put(study.dataset.train)
    measure = jax.jit(lambda *args: sharpness(network.loss_fn, *args))
    found = measure(study.params, data, jax.random.key(study.seed))
    study.found["sharpness_on_all"] = {
        "images": len(data.label),
        "eigenvalue": finite(found.eigenvalue),
        "residual": finite(found.residual),
    }
    yield f"sharpness on all {len(data.label):,} images: {found.eigenvalue:.2f}"
