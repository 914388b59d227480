"""Trained networks as files for other tools.

| format | what it holds | what opens it |
|---|---|---|
| safetensors | named weights, and what they are of | `safetensors.numpy.load_file` |
| keras | a model of Keras layers, without code of its own | `keras.models.load_model` |
| stablehlo | a compiled function, weights inside | `jax.export.deserialize(...).call` |
| onnx | a graph of operators, weights inside | `onnxruntime.InferenceSession` |

All but the first take images [B, H, W] with pixels of 0 to 255, for any B, and give
what `Trained.predict` gives: Keras the probabilities, the others class and
probabilities. Where all sigmoids of a last layer are 0 in float32, Keras still tells
them apart by their logarithms, and the others do not. No file needs jaxnets.
"""

import json
import struct
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export as jax_export

from jaxnets import keras_file
from jaxnets.errors import InputError
from jaxnets.files import write_atomically
from jaxnets.pixels import WHITE
from jaxnets.trained import Trained
from jaxnets.weights import named_leaves

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")  # that a stablehlo file runs on
OPSET, IR_VERSION = 17, 8  # of ONNX: of 2022, so that older runtimes read it too
_TENSORS = {"float32": "F32", "float64": "F64"}  # names of dtypes in safetensors


def write(network: Trained, form: str, file: Path) -> None:
    """Write a network in one of FORMATS.

    Raises:
      InputError: the format is unknown or cannot hold this network, or a package that
        it needs is not installed.
      ProcessFailed: Keras failed in its process.
    """
    if form not in FORMATS:
        raise InputError(f"unknown format {form!r}; known: {', '.join(FORMATS)}")
    FORMATS[form](network, file)


def about(network: Trained) -> dict[str, str]:
    """All that is known of a network but its weights, as text."""
    fields = {k: v for k, v in vars(network).items() if k != "params"}
    return {
        name: value if isinstance(value, str) else json.dumps(value, default=asdict)
        for name, value in fields.items()
    }


def _write_safetensors(network: Trained, file: Path) -> None:
    """A length, a header of JSON, the arrays: huggingface.co/docs/safetensors."""
    arrays = {
        name: np.ascontiguousarray(leaf)
        for name, leaf in named_leaves(network.params).items()
    }
    header: dict[str, Any] = {"__metadata__": about(network)}
    offset = 0
    for name, array in arrays.items():
        ends = [offset, offset + array.nbytes]
        kind = _TENSORS[array.dtype.name]
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": ends}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the arrays begin at a multiple of 8
    with write_atomically(file) as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            stream.write(array.astype(array.dtype.newbyteorder("<")).tobytes())


def _write_stablehlo(network: Trained, file: Path) -> None:
    """As `jax.export` serializes it; of any number of images."""

    def predict(images: jax.Array) -> dict[str, jax.Array]:
        return network.network.predict(network.params, images)._asdict()

    height, width = network.image_shape
    shape = jax_export.symbolic_shape(f"batch, {height}, {width}")
    images = jax.ShapeDtypeStruct(shape, np.uint8)
    with jax.default_matmul_precision("highest"):
        exported = jax_export.export(jax.jit(predict), platforms=PLATFORMS)(images)
    with write_atomically(file) as stream:
        stream.write(exported.serialize())


def _write_onnx(network: Trained, file: Path) -> None:
    """Written operator by operator: dense layers need no converter."""
    try:
        from onnx import TensorProto, checker, helper, numpy_helper
    except ImportError:
        raise InputError(
            "the format onnx needs the package onnx; pip install onnx, or choose "
            "another format"
        ) from None
    layers, is_sigmoid = keras_file.require_dense_layers(network)
    constants: dict[str, Any] = {"white": np.float32(WHITE)}
    node = helper.make_node
    nodes = [
        node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        node("Div", ["pixels", "white"], ["scaled"]),
        node("Flatten", ["scaled"], ["activations_0"]),
    ]
    for number, layer in enumerate(layers):
        names = [f"activations_{number}", f"kernel_{number}", f"bias_{number}"]
        constants[names[1]], constants[names[2]] = layer
        nodes.append(node("Gemm", names, [f"sums_{number}"]))
        is_last = number == len(layers) - 1
        if is_sigmoid or not is_last:
            kind = "Sigmoid" if is_sigmoid else "Relu"
            result = [f"activations_{number + 1}"]
            nodes.append(node(kind, [f"sums_{number}"], result))
    if is_sigmoid:  # as `sigmoid_mse.predict`: shares of the sum
        outputs = f"activations_{len(layers)}"
        constants |= {
            "smallest": np.finfo(np.float32).tiny,
            "equal_share": np.float32(1 / len(network.labels)),
            "last_axis": np.array([1]),
        }
        nodes += [
            node("ReduceSum", [outputs, "last_axis"], ["total"], keepdims=1),
            node("Max", ["total", "smallest"], ["divisor"]),
            node("Div", [outputs, "divisor"], ["share"]),
            node("Less", ["total", "smallest"], ["vanished"]),
            node("Where", ["vanished", "equal_share", "share"], ["probability"]),
        ]
    else:
        outputs = f"sums_{len(layers) - 1}"
        nodes.append(node("Softmax", [outputs], ["probability"], axis=1))
    nodes += [
        node("ArgMax", [outputs], ["place"], axis=1, keepdims=0),
        node("Cast", ["place"], ["label"], to=TensorProto.INT32),
    ]
    value = helper.make_tensor_value_info
    sizes: list[str | int | None] = ["batch", *network.image_shape]
    graph = helper.make_graph(
        nodes,
        "network",
        [value("images", TensorProto.UINT8, sizes)],
        [
            value("label", TensorProto.INT32, ["batch"]),
            value("probability", TensorProto.FLOAT, ["batch", len(network.labels)]),
        ],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    helper.set_model_props(model, about(network))
    checker.check_model(model, full_check=True)
    with write_atomically(file) as stream:
        stream.write(model.SerializeToString())


FORMATS: dict[str, Callable[[Trained, Path], None]] = {
    "safetensors": _write_safetensors,
    "keras": keras_file.write,
    "stablehlo": _write_stablehlo,
    "onnx": _write_onnx,
}
