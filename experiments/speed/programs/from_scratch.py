"""The 45-line program of `experiments.control`, in JAX and nothing else, timed.

Its functions and its loop over the batches run as they stand in that file, with the
task's layer sizes and batch size. Its loss, its Adam and its rate are Model 3's:
Model 2 takes SGD's step in place of Adam's, and Model 1 sigmoid layers and the
quadratic cost as well.
"""

import ast
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.control import ease
from experiments.speed.programs import numpy_batched
from experiments.speed.worker import WHITE, Data, OnPart, Part, Task

FILE = Path(ease.__file__).parent / "jax_from_scratch.py"


def pieces(task: Task) -> tuple[dict[str, Any], Any]:
    """The program's functions by name, with what a model changes, and its loop."""
    statements = ast.parse(FILE.read_text(encoding="utf-8")).body
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef)
    functions: list[ast.stmt] = [node for node in statements if isinstance(node, kinds)]
    program: dict[str, Any] = {}
    exec(compile(ast.Module(functions, []), str(FILE), "exec"), program)
    loop = next(node for node in statements if isinstance(node, ast.For))
    text = ast.unparse(loop).replace("32", str(task.batch_size))

    @jax.jit
    def sgd_step(params, opt_state, images, labels):
        grads = jax.grad(program["loss_fn"])(params, images, labels)
        rate = task.learning_rate
        return jax.tree.map(lambda p, g: p - rate * g, params, grads), opt_state

    def sigmoid_apply(params, images):
        activations = images.reshape(len(images), -1) / WHITE
        for kernel, bias in params:
            activations = jax.nn.sigmoid(activations @ kernel + bias)
        return activations

    def quadratic_cost(params, images, labels):
        targets = jax.nn.one_hot(labels, task.layer_sizes[-1])
        return jnp.sum((program["apply"](params, images) - targets) ** 2) / (
            2 * len(labels)
        )

    if task.optimizer == "sgd":
        program["train_step"] = sgd_step
    if task.network == "sigmoid_mse":
        program |= {"apply": sigmoid_apply, "loss_fn": quadratic_cost}
    return program, compile(text, str(FILE), "exec")


def start(task: Task, layers: numpy_batched.Layers) -> dict[str, Any]:
    """What the loop changes: parameters, and Adam's state."""
    params = [(jnp.array(kernel), jnp.array(bias[None])) for kernel, bias in layers]
    zeros = jax.tree.map(jnp.zeros_like, params)
    return {"params": params, "opt_state": (0, zeros, zeros)}


def run(task: Task, data: Data, on_part: OnPart) -> None:
    """Train on and on, calling `on_part` after each part."""
    jax.config.update("jax_enable_compilation_cache", False)  # a cold start
    program, loop = pieces(task)
    rng = np.random.default_rng(task.seed)
    program |= start(task, numpy_batched.init(rng, task))
    program |= {"images": data.image, "labels": data.label}
    device = jax.devices()[0].device_kind

    def predict(images: np.ndarray) -> np.ndarray:
        return np.asarray(program["apply"](program["params"], images).argmax(axis=1))

    while True:
        began = time.perf_counter()
        for program["order"] in task.parts(rng.permutation(len(data.label))):
            exec(loop, program)
            jax.block_until_ready(program["params"])
            seconds = time.perf_counter() - began
            on_part(Part(seconds, predict, device=device))
            began = time.perf_counter()
