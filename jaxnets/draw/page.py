"""The page as text: networks, test images, style and scripts in one file."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxnets import models, training
from jaxnets.draw import samples
from jaxnets.errors import InputError
from jaxnets.pixels import mnists_ink_side
from jaxnets.trained import Trained
from jaxnets.types import Batch, Params, num_params

SCRIPTS = ("prepare", "networks", "picture", "paper", "answers", "page")
# Which function of networks.js computes a model of `models.MODELS`.
KINDS = {
    "sigmoid_mse": "sigmoid",
    "relu_softmax": "softmax",
    "keras_dense": "softmax",
    "flax_dense": "softmax",
    "row_rnn": "rows",
}
# Larger networks do not bring their initial weights: four networks fit in 6 MB.
MOST_UNTRAINED = 200_000
PEN = 2.4  # pixels of 28: about as wide as MNIST's strokes
COUNTS = ("No", "One", "Two", "Three", "Four", "Five", "Six")


class Tested(NamedTuple):
    """A run's test images, and what its networks answered."""

    test: Batch
    answers: dict[str, np.ndarray]  # int [images] of each network
    probabilities: dict[str, np.ndarray]  # float [images] of each, its answers'


def make_page(
    networks: Mapping[str, Trained],
    tested: Tested | None = None,
    *,
    seed: int | None = None,
    float32: bool = False,
) -> str:
    """The page as text.

    Args:
      networks: by name, in the order of the page; of one image shape and the same
        labels.
      tested: gives the page test images to choose from, and accuracies.
      seed: of the run, for networks as they were before training; None: no such.
      float32: as in `write`.

    Raises:
      InputError: the networks do not fit together, one of them cannot be computed in
        the page, or weights are too large for float16.
    """
    first, *others = networks.values()
    for other in others:
        if (other.image_shape, other.labels) != (first.image_shape, first.labels):
            raise InputError(
                f"{first.name} and {other.name} differ in their images or labels, so "
                "one page cannot show both; name one file of weights"
            )
    accuracies = {}
    groups: list[samples.Group] = []
    if tested is not None:
        labels = tested.test.label
        for name, answers in tested.answers.items():
            accuracies[name] = float(np.mean(answers == labels))
        groups = samples.groups_of(labels, tested.answers, tested.probabilities)
    subject = _subject(first.labels)
    count = COUNTS[len(networks)] if len(networks) < len(COUNTS) else len(networks)
    return _assemble(
        {
            "title": f"Draw a {subject}",
            "lead": (
                f"{count} network{'s' * (len(networks) > 1)} trained on "
                f"{first.dataset} answer{'s' * (len(networks) == 1)} while you draw. "
                "Nothing is loaded, nothing is sent."
            ),
            "facts": _facts(first, bool(accuracies), seed, float32),
            "labels": first.labels,
            "shape": first.image_shape,
            "fit": first.ink_side or mnists_ink_side(first.image_shape),
            "pen": PEN,
            "seed": seed,
            "precision": "float32" if float32 else "float16",
            "networks": [
                _record(one, accuracies.get(one.name), seed, float32)
                for one in networks.values()
            ],
            "samples": [] if tested is None else _sample_records(groups, tested.test),
        }
    )


def _subject(labels: tuple[str, ...]) -> str:
    """What one draws, by the labels."""
    if all(label.isdigit() for label in labels):
        return "digit"
    is_letters = all(len(label) == 1 and label.isalpha() for label in labels)
    return "letter" if is_letters else "picture"


def _facts(
    first: Trained, has_accuracies: bool, seed: int | None, float32: bool
) -> str:
    """The small print."""
    parts = [
        "Per cent below a name: of the test images right" if has_accuracies else "",
        "" if seed is None else f"seed {seed}",
        "weights as trained" if float32 else "weights rounded to float16",
        f"jaxnets {first.version}",
    ]
    return " · ".join(filter(None, parts))


def _record(
    one: Trained, accuracy: float | None, seed: int | None, float32: bool
) -> dict[str, Any]:
    """A network as networks.js reads it."""
    kind = KINDS.get(one.model)
    if kind is None:
        raise InputError(f"{one.name}: the page cannot compute a {one.model}")
    initial = None
    is_of_jax = models.get(one.model).framework == "jax"  # Keras draws its own weights
    if seed is not None and is_of_jax and num_params(one.params) <= MOST_UNTRAINED:
        key = training.run_keys(seed).init
        initial = jax.device_get(one.network.init(key, one.layer_sizes))
    return {
        "name": one.name,
        "kind": kind,
        "sizes": "-".join(map(str, one.layer_sizes)),
        "accuracy": None if accuracy is None else f"{accuracy:.2%}",
        "color": models.get(one.model).color,
        "shapes": [layer.kernel.shape for layer in one.params],
        "weights": _packed(one.name, one.params, float32),
        "untrained": initial and _packed(one.name, initial, float32),
    }


def _packed(name: str, params: Params, float32: bool) -> str:
    """All weights, kernel before bias and layer after layer, little-endian, base64."""
    leaves = [np.asarray(leaf, np.float32).ravel() for leaf in jax.tree.leaves(params)]
    values = np.concatenate(leaves)
    with np.errstate(over="ignore"):
        packed = values.astype("<f4" if float32 else "<f2")
    if not np.isfinite(packed).all():
        largest = float(np.abs(values).max())
        remedy = "train anew" if float32 else "keep float32 by --float32"
        raise InputError(f"{name}: a weight of {largest:g} cannot be kept; {remedy}")
    return _base64(packed)


def _sample_records(groups: list[samples.Group], test: Batch) -> list[dict[str, Any]]:
    """Groups of test images as page.js reads them."""
    return [
        {
            "title": group.title,
            "note": group.note,
            "keys": group.keys,
            "numbers": group.numbers.tolist(),
            "labels": test.label[group.numbers].tolist(),
            "images": _base64(test.image[group.numbers]),
        }
        for group in groups
    ]


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


def _assemble(content: Mapping[str, Any]) -> str:
    """Put style, scripts and data into `page.html`; it may load nothing else.

    Its content security policy names style and script by their SHA-256.
    """
    folder = resources.files(__package__)

    def read(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    style = read("style.css")
    script = "\n".join(read(f"{name}.js") for name in SCRIPTS)
    policy = {
        "default-src": "'none'",
        "script-src": _hash(script),
        "style-src": _hash(style),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    parts = {
        "policy": "; ".join(" ".join(pair) for pair in policy.items()),
        "style": style,
        "script": script,
        # No text in it can end the element that holds it.
        "data": json.dumps(content, separators=(",", ":")).replace("<", "\\u003c"),
    }
    return re.sub(r"{{(\w+)}}", lambda match: parts[match[1]], read("page.html"))


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
