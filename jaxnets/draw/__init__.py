"""One page to draw on, with the networks of a run inside: `draw.html`.

The file opens from disk and loads nothing, which its content security policy enforces.
It is `page.html` with `style.css` and the scripts below put in, and the networks'
weights and some test images as base64 text.

    prepare.js    from ink to the image that the networks see, as `jaxnets.picture`
    networks.js   from the image to probabilities, as each network's `predict`
    picture.js    from a picture file to ink
    paper.js      strokes, undo, what is painted
    answers.js    bars, the verdict, neurons
    page.js       pointer, keys, files, switches
"""

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxnets import data, trained
from jaxnets.draw.page import SCRIPTS, Tested, make_page
from jaxnets.errors import InputError
from jaxnets.files import absolute, write_text
from jaxnets.trained import Trained
from jaxnets.types import Batch

__all__ = ["FILE", "SCRIPTS", "Tested", "load_test", "make_page", "write"]

FILE = "draw.html"


def write(
    run: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    test: Batch | None = None,
    float32: bool = False,
) -> Path:
    """Write the page of a run, or of a file of weights.

    Args:
      run: the run's folder, or the file.
      output: left out: `draw.html` in the run's folder, or beside the file.
      test: the run's test images; without them the page has none to choose from.
      float32: whether weights are kept to the last bit, in twice the space.

    Returns:
      Where the page is.

    Raises:
      InputError: as `jaxnets.load` and `make_page`; the output cannot be made; there
        are answers to more or fewer test images than `test` has.
    """
    path, file = absolute(run), place(run, output)
    networks = trained.load_networks(path)
    config = path / "config.json"
    seed = json.loads(config.read_bytes()).get("seed") if config.exists() else None
    tested = None if test is None else read_answers(path, networks, test)
    write_text(file, make_page(networks, tested, seed=seed, float32=float32))
    return file


def place(
    run: str | os.PathLike[str], output: str | os.PathLike[str] | None = None
) -> Path:
    """Where `write` puts the page; InputError where that cannot be."""
    path = absolute(run)
    folder = path if path.is_dir() else path.parent
    file = folder / FILE if output is None else absolute(output)
    if file.is_dir():
        raise InputError(f"output {file} is a folder; name a file, such as {FILE}")
    if not file.parent.is_dir():
        raise InputError(f"output {file} cannot be made: {file.parent} is no folder")
    return file


def load_test(run: str | os.PathLike[str]) -> Batch:
    """The test images of a run's dataset, from where the run had them or by default.

    Raises:
      InputError: the run does not name a dataset, or it cannot be had.
    """
    file = absolute(run) / "config.json"
    try:
        config = json.loads(file.read_bytes())
        name, folders = config["dataset"], (config["mnist_dir"], config["data_dir"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{file} does not name a dataset") from None
    if own := config.get("dataset_dir"):
        settings = {key: config[key] for key in ("classes", "transpose")}
        return data.load_folder(own, **settings).test
    return data.load(name, folder=folders[0], data_dir=folders[1]).test


def read_answers(folder: Path, networks: Mapping[str, Trained], test: Batch) -> Tested:
    """What `predictions.csv` of a run says; of a run without it, no answers."""
    file = folder / "predictions.csv"
    if not file.exists():
        return Tested(test, {}, {})
    with open(file, encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    first = next(iter(networks.values()))
    number = {name: label for label, name in enumerate(first.labels)}

    def classes(column: str) -> np.ndarray:
        return np.array([number.get(name, -1) for name in columns[column]], np.int32)

    if not np.array_equal(classes("label"), test.label):
        raise InputError(
            f"{file} has answers to {len(rows):,} images that are not these "
            f"{len(test.label):,} test images; is it another dataset?"
        )
    names = [name for name in networks if name in columns]
    return Tested(
        test,
        {name: classes(name) for name in names},
        {name: np.array(columns[f"{name}_probability"], np.float32) for name in names},
    )
