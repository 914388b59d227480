"""The one builder of Keras networks, Model 3's above all, and the one door to Keras.

Nothing here needs JAX, so that a process that times Keras carries Keras alone.
`keras_dense` trains the network, and reads and writes its weights.
"""

import contextlib
import importlib
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from jaxnets import process
from jaxnets.errors import InputError

if TYPE_CHECKING:
    import keras

VARIABLE = "KERAS_BACKEND"  # read by Keras when it is first imported


def load_keras(backend: str = "tensorflow") -> ModuleType:
    """Keras on this backend; "tensorflow" is what makes it tf.keras.

    Keras chooses its backend once a process, when it is first imported; InputError
    where that was another one.
    """
    if "keras" not in sys.modules:
        os.environ[VARIABLE] = backend
        if backend == "tensorflow":
            with process.tensorflow_silenced():
                import tensorflow as tf

                for gpu in tf.config.get_visible_devices("GPU"):  # leave JAX its share
                    with contextlib.suppress(RuntimeError):  # it is in use already
                        tf.config.experimental.set_memory_growth(gpu, True)
    keras = importlib.import_module("keras")
    active = keras.backend.backend()
    if active != backend:
        raise InputError(
            f"Keras was imported before and runs on {active}, not on {backend}; import "
            f"it after jaxnets has, set {VARIABLE}={backend}, or start a new process"
        )
    return keras


def build(
    layer_sizes: tuple[int, ...],
    image_shape: tuple[int, ...],
    seed: int | None = None,
    *,
    softmax: bool = True,
    sigmoids: bool = False,
    of_bytes: bool = False,
    sums_to_one: bool = False,
    backend: str = "tensorflow",
) -> "keras.Model":
    """Flatten, Dense with ReLU, and a softmax at the end; Keras's own defaults.

    The seed is of the initial weights and of the order in `fit`; None is another each
    time. Without softmax the model ends in logits. With sigmoids all layers have them,
    as Model 1's. A model of bytes takes pixels of 0 to 255. One that sums to one gives
    shares with sigmoids too: the softmax of log a is a divided by the sum of all a.
    """
    keras = load_keras(backend)
    if seed is not None:
        keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input(image_shape)])
    if of_bytes:
        model.add(keras.layers.Rescaling(1 / 255))
    model.add(keras.layers.Flatten())
    for size in layer_sizes[1:-1]:
        hidden = "sigmoid" if sigmoids else "relu"
        model.add(keras.layers.Dense(size, activation=hidden))
    last = "sigmoid" if sigmoids else "softmax" if softmax else None
    shares = sigmoids and sums_to_one
    last = "log_sigmoid" if shares else last
    model.add(keras.layers.Dense(layer_sizes[-1], activation=last))
    if shares:
        model.add(keras.layers.Softmax())
    return model
