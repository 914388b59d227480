"""Keras's files: networks of this library written as `.keras`, and Keras's ones read.

Keras runs in a process of its own. Nothing of a file is executed: its description is
looked through before Keras opens it, and Keras opens it in its safe mode.
"""

import json
import math
import os
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from jaxnets import keras_dense, models, process, relu_softmax, sigmoid_mse
from jaxnets.errors import InputError
from jaxnets.files import absolute, write_atomically
from jaxnets.keras_network import build, load_keras
from jaxnets.pixels import WHITE
from jaxnets.trained import Trained
from jaxnets.types import Layers

# Layers that can be read, each with a letter; Dropout does nothing after training.
READABLE = {
    "InputLayer": "I",
    "Rescaling": "R",
    "Flatten": "F",
    "Dropout": "O",
    "Dense": "D",
    "Softmax": "S",
}
ORDER = "I?F?R?F?D+S?"
# How a network may end: the last Dense layer's activation, and whether Softmax follows.
ENDS = (
    ("softmax", False),
    ("linear", False),
    ("linear", True),
    ("sigmoid", False),
    ("log_sigmoid", True),
)
_MODELS = ("Sequential", "Functional", "Model")


def require_dense_layers(network: Trained) -> tuple[Layers, bool]:
    """A dense network's layers, and whether they are of sigmoids; else InputError."""
    functions = network.network
    if functions not in (sigmoid_mse, relu_softmax, models.FLAX_NETWORK):
        raise InputError(
            f"{network.name} is no stack of dense layers; export it as stablehlo or "
            "safetensors"
        )
    return cast(Layers, network.params), functions is sigmoid_mse


def write(network: Trained, file: Path) -> None:
    """A `.keras` file of a dense network; raises as `export.write`.

    The model takes images [B, H, W] of 0 to 255 and gives probabilities [B, classes].
    """
    layers, is_sigmoid = require_dense_layers(network)
    settings = network.layer_sizes, network.image_shape, is_sigmoid
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        for _ in process.iterate(
            _write_here,
            *(settings, layers, path),
            without=process.KERAS_DOES_WITHOUT,
        ):
            pass
        with write_atomically(file) as stream:
            stream.write(Path(path).read_bytes())


def _write_here(
    send: Callable[[None], None],
    settings: tuple[tuple[int, ...], tuple[int, int], bool],
    layers: Layers,
    path: str,
) -> None:
    layer_sizes, image_shape, is_sigmoid = settings
    model = build(
        layer_sizes, image_shape, sigmoids=is_sigmoid, of_bytes=True, sums_to_one=True
    )
    keras_dense.from_dense(model, layers)
    model.save(path)


def read(
    file: str | os.PathLike[str],
    *,
    name: str | None = None,
    labels: Sequence[str] | None = None,
) -> Trained:
    """A network that Keras trained, as one of this library.

    The model may have Flatten, a Rescaling to [0, 1], Dropout, which does nothing any
    more, and Dense layers with ReLU and a softmax, or with sigmoids throughout. One
    without a Rescaling was trained on pixels in [0, 1], as is usual, and gets them.

    Args:
      file: a `.keras` file.
      name: of the network; the file's by default.
      labels: the classes' names; their numbers by default.

    Raises:
      InputError: there is no such file, or its model is another kind; the layer is
        named.
      ProcessFailed: Keras failed in its process.
    """
    path = absolute(file)
    _require_readable(path)
    [(model, sizes, shape, layers)] = process.iterate(
        _read_here, str(path), without=process.KERAS_DOES_WITHOUT
    )
    labels = tuple(map(str, range(sizes[-1]) if labels is None else labels))
    if len(labels) != sizes[-1]:
        raise InputError(f"{len(labels)} labels for {sizes[-1]} outputs of {path}")
    return Trained(
        name=name or path.stem,
        model=model,
        layer_sizes=sizes,
        params=layers,
        image_shape=shape,
        labels=labels,
        dataset="unknown",
        recipe=None,
        epochs=0,
    )


def _require_readable(path: Path) -> None:
    """Raise InputError unless the file describes a chain of readable layers."""
    try:
        with zipfile.ZipFile(path) as archive:
            model = json.loads(archive.read("config.json"))
        kind, config = model["class_name"], model["config"]
        if kind not in _MODELS:
            raise InputError(
                f"{path} holds a {kind}, not a Sequential or Functional model"
            )
        layers = [
            (each["class_name"], each["config"]["name"]) for each in config["layers"]
        ]
        for layer_kind, name in layers:
            if layer_kind not in READABLE:
                raise InputError(
                    f"{path}: layer {name!r} is {layer_kind}; what can be read are "
                    f"{', '.join(READABLE)}"
                )
        # How it was compiled is not read (`compile=False`).
        layers_only = {k: v for k, v in model.items() if k != "compile_config"}
        for owner in _foreign(layers_only):
            raise InputError(f"{path} uses code of its own ({owner}), which is not run")
        if kind != "Sequential":
            _require_chain(path, config)
        letters = "".join(READABLE[kind] for kind, _ in layers)
        if not re.fullmatch(ORDER, letters.replace(READABLE["Dropout"], "")):
            kinds = ", ".join(kind for kind, _ in layers)
            raise InputError(
                f"{path} has the layers {kinds}; expected are Rescaling and Flatten, "
                "if any, then Dense, then Softmax, if any"
            )
    except InputError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"there is no file {path}") from None
    except Exception:  # zipfile and what is in it raise a dozen kinds
        raise InputError(
            f"{path} is not a .keras file of layers; write it by "
            "model.save('name.keras') of Keras 3"
        ) from None


def _require_chain(path: Path, config: Mapping[str, Any]) -> None:
    """Raise InputError unless each layer takes what the one before it gives."""
    before: list[str] = []
    for layer in config["layers"]:
        name = layer["config"]["name"]
        if list(_sources(layer["inbound_nodes"])) != before:
            raise InputError(
                f"{path}: layer {name!r} does not take what the layer before it gives, "
                "and that alone; only chains of layers can be read"
            )
        before = [name]
    ends = config["output_layers"]
    if before != [end[0] for end in (ends if isinstance(ends[0], list) else [ends])]:
        raise InputError(f"{path} gives more than its last layer's outputs")


def _sources(entry: Any) -> Iterator[str]:
    """The layers whose outputs a description of a call names."""
    if isinstance(entry, dict):
        if "keras_history" in entry:
            yield entry["keras_history"][0]
        entry = list(entry.values())
    if isinstance(entry, list):
        for value in entry:
            yield from _sources(value)


def _foreign(entry: Any) -> Iterator[str]:
    """What is not Keras's own in a description."""
    if isinstance(entry, dict):
        module, registered = entry.get("module"), entry.get("registered_name")
        is_keras = module is None or str(module).partition(".")[0] in (
            "keras",
            "builtins",
        )
        if not is_keras or (registered and ">" in str(registered)):
            yield f"{module}.{entry.get('class_name')}"
        entry = list(entry.values())
    if isinstance(entry, list):
        for value in entry:
            yield from _foreign(value)


def _read_here(send: Callable[[tuple], None], path: str) -> None:
    keras = load_keras()
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises a dozen kinds
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"{path} cannot be opened by Keras ({reason})") from error
    kinds = [type(layer).__name__ for layer in model.layers]
    dense = [layer for layer in model.layers if type(layer).__name__ == "Dense"]
    is_sigmoid = bool(dense) and keras_dense.activation_name(dense[0]).endswith(
        "sigmoid"
    )
    layers = keras_dense.to_dense(model, sigmoids=is_sigmoid)
    sizes = (layers[0].kernel.shape[0], *(len(layer.bias) for layer in layers))
    for layer in dense:
        if layer.variable_dtype != "float32":
            raise InputError(
                f"layer {layer.name!r} has weights of {layer.variable_dtype}; only "
                "float32 can be read"
            )
    if sizes[-1] < 2:
        raise InputError(
            f"layer {dense[-1].name!r} has one output; what can be read has one a class"
        )
    for layer in model.layers:
        if type(layer).__name__ == "Rescaling":
            _require_scale(layer)
    end = (keras_dense.activation_name(dense[-1]), "Softmax" in kinds)
    if end not in ENDS:
        followed = "followed by" if end[1] else "without"
        raise InputError(
            f"layer {dense[-1].name!r} has the activation {end[0]}, {followed} a "
            "Softmax layer"
        )
    name = "sigmoid_mse" if is_sigmoid else "flax_dense"
    shape = _image_shape(model.input_shape, path)
    if math.prod(shape) != sizes[0]:
        raise InputError(f"the first Dense layer takes {sizes[0]} inputs, not {shape}")
    send((name, sizes, shape, layers))


def _require_scale(layer: Any) -> None:
    scale, offset = np.asarray(layer.scale), np.asarray(layer.offset)
    if not (np.allclose(scale * WHITE, 1, rtol=1e-3) and np.all(offset == 0)):
        raise InputError(
            f"layer {layer.name!r} scales by {scale} and adds {offset}; pixels are "
            f"scaled by 1/{WHITE} here"
        )


def _image_shape(input_shape: tuple[Any, ...], path: str) -> tuple[int, int]:
    """Height and width of what a Keras model takes."""
    sizes = tuple(input_shape[1:])
    if len(sizes) == 3 and sizes[2] == 1:
        sizes = sizes[:2]
    if len(sizes) == 1 and sizes[0] and math.isqrt(sizes[0]) ** 2 == sizes[0]:
        sizes = (math.isqrt(sizes[0]),) * 2
    if len(sizes) != 2 or None in sizes:
        raise InputError(
            f"{path} takes inputs of shape {list(input_shape)}, not grey images "
            "[count, height, width]"
        )
    return sizes
