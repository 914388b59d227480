"""Data of one's own: arrays, files in MNIST's format, or folders of pictures.

Whatever the labels are, networks get 0, 1, 2 and so on; `Dataset.labels` has their
names. Images may have any size, all the same one.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxnets.data import idx
from jaxnets.data.checks import require_batch
from jaxnets.data.load import Dataset, split_validation
from jaxnets.errors import InputError
from jaxnets.files import absolute
from jaxnets.types import Batch

# train-images-idx3-ubyte, emnist-letters-test-labels-idx1-ubyte.gz, with . for - too
FILE = re.compile(
    r"(?P<set>.*?)(?P<part>train|t10k|test)-(?P<kind>images|labels)[.-]idx\d-ubyte"
    r"(?P<zipped>\.gz)?"
)
PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
TEST_SHARE = 6  # one in so many is a test image, where none are given
SPLIT_SEED = 0  # decides which; the same for everybody


def from_arrays(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    test: tuple[np.ndarray, np.ndarray] | None = None,
    name: str = "own",
    classes: int | None = None,
    names: Sequence[str] | None = None,
    validation_examples: int | None = None,
) -> Dataset:
    """A dataset of arrays.

    Args:
      images: uint8 [B, H, W], 0 (paper) to 255 (ink).
      labels: [B], numbers of any range or text.
      test: further images and labels, to test on. Without them one in TEST_SHARE
        of each class is set apart, and the others are shuffled, always in the same way.
      name: of the dataset, in tables.
      classes: how many there are. By default those that occur. Where labels are whole
        numbers from 0 or 1 on, some may be missing.
      names: of the classes, in the order of their labels; by default the labels.
      validation_examples: as in `data.load`.

    Raises InputError where arrays do not fit together, or there is one class only.
    """
    _require_pair(images, labels, "images", "labels")
    known = _classes(np.asarray(labels), classes, name)
    train = Batch(np.ascontiguousarray(images), _mapped(labels, known, name))
    if test is None:
        train, tested = _split(train, known, name)
    else:
        _require_pair(*test, "test images", "test labels")
        tested = Batch(np.ascontiguousarray(test[0]), _mapped(test[1], known, name))
        if tested.image.shape[1:] != train.image.shape[1:]:
            sizes = [list(part.image.shape[1:]) for part in (train, tested)]
            raise InputError(
                f"{name}: training images have the shape {sizes[0]}, test images "
                f"{sizes[1]}"
            )
        if not len(tested.label):
            raise InputError(f"{name}: there is no test image")
    for batch in (train, tested):
        require_batch(batch, len(known))
    texts = tuple(map(str, known if names is None else names))
    if len(texts) != len(known):
        raise InputError(f"{name}: {len(texts)} names for {len(known)} classes")
    dataset = Dataset(name, train, train, tested, None, texts)
    return split_validation(dataset, validation_examples)


def load_folder(
    folder: str | os.PathLike[str],
    *,
    classes: int | None = None,
    transpose: bool = False,
    validation_examples: int | None = None,
) -> Dataset:
    """A dataset of a folder: four files in MNIST's format, or a folder a class.

    Args:
      folder: with training and test images and labels as idx files, zipped or not, and
        perhaps a mapping from labels to characters as EMNIST has it; or with a folder
        of pictures for each label, `<label>/*.png`, all of one size.
      classes, validation_examples: as in `from_arrays`.
      transpose: exchange rows and columns, which EMNIST's files have the wrong way.

    Raises InputError as `from_arrays`, or where the folder has neither.
    """
    path = absolute(folder)
    if not path.is_dir():
        raise InputError(f"{path} is not a folder; name one by --dataset-dir")
    entries = _visible(path)
    # Some archives have a folder beside a file, with the name that the file had.
    files = [file for file in entries if file.is_file() and FILE.fullmatch(file.name)]
    labelled = [entry for entry in entries if entry.is_dir() and _pictures_in(entry)]
    names = None
    test: tuple[np.ndarray, np.ndarray] | None = None
    if files:
        parts = _four_files(path, files)
        images, labels, *rest = (idx.read(file) for file in parts)
        for image, label, file in zip(
            (images, rest[0]), (labels, rest[1]), parts[::2], strict=True
        ):
            _require_pair(image, label, f"images in {file}", "labels beside them")
        test = (rest[0], rest[1])
        known = _classes(labels, classes, str(path))
        names = _characters(parts[0], known)
    elif labelled:
        images, labels = _pictures(path, labelled)
    else:
        raise InputError(
            f"{path} has neither the four files of a dataset (such as "
            "train-images-idx3-ubyte) nor folders of pictures (<label>/*.png)"
        )
    if transpose:
        images = images.swapaxes(1, 2)
        test = test and (test[0].swapaxes(1, 2), test[1])
    return from_arrays(
        images,
        labels,
        test=test,
        name=f"own:{path.name}",
        classes=classes,
        names=names,
        validation_examples=validation_examples,
    )


def _require_pair(images: Any, labels: Any, first: str, second: str) -> None:
    for name, value in ((first, images), (second, labels)):
        if not isinstance(value, np.ndarray):
            kind = type(value).__name__
            raise InputError(f"{name} must be an array of NumPy, not a {kind}")
    if images.dtype != np.uint8 or images.ndim != 3:
        raise InputError(
            f"{first} must be uint8 [count, height, width], 0 (paper) to 255 (ink), "
            f"not {images.dtype} {list(images.shape)}"
        )
    if labels.ndim != 1 or labels.dtype.kind not in "iuU":
        raise InputError(
            f"{second} must be whole numbers or text [count], not {labels.dtype} "
            f"{list(labels.shape)}"
        )
    if len(images) != len(labels):
        raise InputError(f"{len(images):,} {first} but {len(labels):,} {second}")


def _classes(labels: np.ndarray, classes: int | None, name: str) -> list[Any]:
    """The labels that there can be, in their order; InputError as `from_arrays`."""
    known = np.unique(labels).tolist()
    if classes is not None and labels.dtype.kind in "iu" and known:
        for first in (0, 1):  # numbers of which some may be missing
            if first <= known[0] and known[-1] < classes + first:
                known = list(range(first, first + classes))
                break
    if classes is not None and len(known) != classes:
        raise InputError(
            f"{name} has labels of {len(known)} classes, {_some(known)}, not "
            f"{classes}; give their number by --classes, or leave it out"
        )
    if len(known) < 2:
        raise InputError(
            f"{name} has labels of {len(known)} classes, {_some(known)}; at least 2 "
            "are needed"
        )
    return known


def _some(known: list[Any]) -> str:
    return "none" if not known else f"from {known[0]} to {known[-1]}"


def _mapped(labels: np.ndarray, known: list[Any], name: str) -> np.ndarray:
    """Labels as int32 from 0 on; InputError where one is not known."""
    order = np.array(known)
    places = np.searchsorted(order, labels)
    strange = np.take(order, places, mode="clip") != labels
    if strange.any():
        raise InputError(
            f"{name}: the test labels have {np.unique(labels[strange]).tolist()}, "
            "which no training image has"
        )
    return places.astype(np.int32)


def _split(data: Batch, known: list[Any], name: str) -> tuple[Batch, Batch]:
    """Shuffled training and test records, some of each class in both."""
    rng = np.random.default_rng(SPLIT_SEED)
    order = rng.permutation(len(data.label))
    is_test = np.zeros(len(order), bool)
    for label, called in enumerate(known):
        own = np.flatnonzero(data.label[order] == label)
        if len(own) == 1:
            raise InputError(
                f"{name}: class {called} has one image; at least 2 are needed, one to "
                "train on and one to test on"
            )
        is_test[own[: -(-len(own) // TEST_SHARE)]] = True
    train, test = order[~is_test], order[is_test]
    return Batch(*(part[train] for part in data)), Batch(*(part[test] for part in data))


def _four_files(path: Path, files: list[Path]) -> list[Path]:
    """Images and labels to train on, then to test on; an unzipped file comes first."""
    chosen: dict[tuple[str, str, str], Path] = {}
    for file in sorted(files, key=lambda file: file.suffix == ".gz"):
        match = FILE.fullmatch(file.name)
        assert match
        part = "train" if match["part"] == "train" else "test"
        chosen.setdefault((match["set"], part, match["kind"]), file)
    sets = sorted({name for name, _, _ in chosen})
    if len(sets) > 1:
        raise InputError(
            f"{path} has the files of {len(sets)} datasets ({', '.join(sets)}); give "
            "each a folder of its own"
        )
    keys = [(sets[0], p, k) for p in ("train", "test") for k in ("images", "labels")]
    missing = [
        f"{part} {kind}"
        for _, part, kind in keys
        if (sets[0], part, kind) not in chosen
    ]
    if missing:
        raise InputError(
            f"{path} lacks {', '.join(missing)}; four files are needed, such as "
            "train-images-idx3-ubyte and t10k-labels-idx1-ubyte, zipped or not"
        )
    return [chosen[key] for key in keys]


def _characters(images: Path, known: list[int]) -> list[str] | None:
    """Names of classes from EMNIST's mapping: a label, then codes of characters.

    It has the name of the set, of which `images` is a file, or is the only one beside
    it. A letter whose large and small form share a class is named by the large one.
    """
    match = FILE.fullmatch(images.name)
    assert match
    mappings = [file for file in _visible(images.parent) if file.match("*-mapping.txt")]
    own = [file for file in mappings if file.name == f"{match['set']}mapping.txt"]
    mappings = own or mappings
    if len(mappings) != 1:
        return None
    try:
        lines = [line.split() for line in mappings[0].read_text().splitlines()]
        names = {int(label): chr(int(code)) for label, code, *_ in filter(None, lines)}
        return [names[label] for label in known]
    except (OSError, ValueError, KeyError):
        raise InputError(
            f"{mappings[0]} does not name the labels {_some(known)}: lines of a label "
            "and the code of a character are expected; mend it or take it away"
        ) from None


def _pictures_in(folder: Path) -> list[Path]:
    """In their order."""
    return [file for file in _visible(folder) if file.suffix.lower() in PICTURES]


def _visible(folder: Path) -> list[Path]:
    """In their order; what is hidden, as some systems add it to archives, is not."""
    return [entry for entry in sorted(folder.iterdir()) if entry.name[0] != "."]


def _pictures(path: Path, folders: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of pictures, whose folders are named by the label.

    Dark ink on light paper is turned into light on dark, as MNIST has it, where most
    of the pictures' edges are light.
    """
    from jaxnets import picture  # which needs SciPy and Pillow

    images: list[np.ndarray] = []
    labels: list[str] = []
    for folder in folders:
        for file in _pictures_in(folder):
            images.append(np.asarray(picture.read(file).convert("L")))
            labels.append(folder.name)
            if images[-1].shape != images[0].shape:
                sizes = ["{1} by {0}".format(*i.shape) for i in (images[-1], images[0])]
                raise InputError(
                    f"{file} has {sizes[0]} pixels, the first picture of {path} "
                    f"{sizes[1]}; all must have one size"
                )
    stack = np.stack(images)
    edges = [stack[:, 0], stack[:, -1], stack[:, :, 0], stack[:, :, -1]]
    if np.mean([edge.mean() for edge in edges]) > 127:
        stack = 255 - stack
    if all(label.isascii() and label.isdigit() for label in labels):
        return stack, np.array([int(label) for label in labels])
    return stack, np.array(labels)
