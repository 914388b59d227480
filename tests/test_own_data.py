"""Data of one's own: arrays, idx files as EMNIST has them, and folders of pictures."""

import gzip
import importlib
import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jaxnets
from experiments.compare import __main__ as compare
from experiments.compare import figures
from experiments.compare.results import Answers, read_predictions
from experiments.kit import page
from experiments.kit.run import Run
from experiments.seeds import __main__ as seeds
from jaxnets import data, diagnose, models
from jaxnets.data import idx
from jaxnets.errors import InputError
from jaxnets.types import Batch

LETTERS = "ABCDEFGHIJ"  # what the digits are called in the sets that are made of them


def idx_bytes(array: np.ndarray) -> bytes:
    """IDX written by hand, as the format's description says."""
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim)
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return header + sizes + array.astype(np.uint8).tobytes()


def write_letters(folder: Path, train, test, *, prefix="emnist-letters-") -> Path:
    """Digits as EMNIST has letters: labels from 1, images turned, files zipped."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, (image, label) in (("train", train), ("test", test)):
        for kind, array in (
            ("images-idx3", image.swapaxes(1, 2)),
            ("labels-idx1", label + 1),
        ):
            file = folder / f"{prefix}{part}-{kind}-ubyte.gz"
            file.write_bytes(gzip.compress(idx_bytes(array), compresslevel=1))
    return folder


@pytest.fixture(scope="module")
def letters(tmp_path_factory, digits):
    """A folder like EMNIST's letters, with its mapping to characters."""
    folder = tmp_path_factory.mktemp("own") / "letters"
    few = digits.train.split(600)[0]
    write_letters(folder, few, digits.test.split(200)[0])
    lines = [f"{1 + i} {ord(c)} {ord(c.lower())}" for i, c in enumerate(LETTERS)]
    (folder / "emnist-letters-mapping.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_idx_files_are_mapped_named_and_turned(letters, digits):
    # Oracle: the arrays that the files were made of.
    own = data.load_folder(letters, classes=10, transpose=True, validation_examples=100)
    assert own.name == "own:letters" and own.labels == tuple(LETTERS)
    assert own.num_classes == 10 and own.notice is None
    few, _ = digits.train.split(500)
    np.testing.assert_array_equal(own.train.image, few.image)
    np.testing.assert_array_equal(own.train.label, few.label)
    np.testing.assert_array_equal(own.test.label, digits.test.label[:200])
    assert own.train.label.dtype == np.int32 and len(own.validation.label) == 100
    turned = data.load_folder(letters)
    np.testing.assert_array_equal(turned.test.image[0], own.test.image[0].T)


def test_without_a_mapping_labels_keep_their_numbers(tmp_path, digits):
    part = digits.test.split(50)[0]
    folder = write_letters(tmp_path / "a", part, part, prefix="")
    assert data.load_folder(folder).labels == tuple(map(str, range(1, 11)))
    # Numbers from 0 or 1 on may be missing; others are those that occur.
    assert data.load_folder(folder, classes=12).num_classes == 12


@pytest.fixture(scope="module")
def finished(letters, tmp_path_factory):
    """A comparison on the letters, with the published layers but for their ends."""
    path = tmp_path_factory.mktemp("compare") / "run"
    config = compare.Config(
        dataset_dir=letters,
        classes=10,
        transpose=True,
        models=("sigmoid_mse", "relu_softmax"),
        epochs=2,
        output=path,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "draw", lambda shown, _: page.Drawn(*shown[:3], png=b""))
        compare.main(config)
    return path


def test_a_comparison_names_the_classes(finished):
    results = json.loads((finished / "results.json").read_text())
    assert results["dataset"] == "own:letters"
    assert results["models"]["relu_softmax"]["reported_accuracy"] is None
    rows = (finished / "predictions.csv").read_text().splitlines()
    header, *cells = (row.split(",") for row in rows)
    assert {row[1] for row in cells} == set(LETTERS)
    assert {row[header.index("relu_softmax")] for row in cells} <= set(LETTERS)
    again = Run.open("compare", compare.Config(redraw=finished))
    assert read_predictions(again)["relu_softmax"].label.max() < 10
    again._until_published.close()
    html = (finished / "report.html").read_text()
    frequent = LETTERS[results["zero_line"]["most_frequent_class"]]
    assert f"answering {frequent} is right" in html.replace("\n", " ")
    assert jaxnets.load(finished)["sigmoid_mse"].labels == tuple(LETTERS)


def test_figures_name_the_classes():
    # A of A and B, and one C for a B; the fourth class is in no image.
    test = Batch(np.zeros((3, 4, 5), np.uint8), np.array([0, 1, 2]))
    answers = {"sigmoid_mse": Answers(np.array([0, 2, 2]), np.ones(3))}
    [axes] = figures.confusion(answers, test.label, "ABCD").axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["A", "B", "C"]
    words = [
        text.get_text() for text in figures.gallery(answers, test, "ABCD").axes[0].texts
    ]
    assert "no. 1: B" in words and "C\n100" in words
    words = [
        text.get_text()
        for text in figures.confused(answers, test, "ABCD").axes[0].texts
    ]
    assert "B taken for C" in words


def test_images_of_any_size_and_number_of_classes_train(tmp_path):
    # Oracle: three classes that differ by the row that is lit, which anything learns.
    rng = np.random.default_rng(0)
    label = rng.integers(3, size=300)
    image = rng.integers(0, 60, size=(300, 6, 9), dtype=np.uint8)
    image[np.arange(300), 2 * label] = 255
    own = data.from_arrays(image, np.array(["top", "low", "mid"])[label])
    assert own.labels == ("low", "mid", "top")
    recipe = models.adapted("relu_softmax", models.RELU_SOFTMAX.recipe, own)
    assert recipe.layer_sizes == (54, 100, 200, 3)
    *_, prediction = models.train_and_test("relu_softmax", recipe, own, seed=0)
    assert np.mean(prediction.label == own.test.label) > 0.95
    rows = models.adapted("row_rnn", models.ROW_RNN.recipe, own)
    assert rows.layer_sizes == (9, 128, 3)
    chosen = models.RELU_SOFTMAX.recipe.__class__(
        **{**vars(models.RELU_SOFTMAX.recipe), "layer_sizes": (784, 5, 10)}
    )
    assert models.adapted("relu_softmax", chosen, own) == chosen
    with pytest.raises(InputError, match="must begin with 54"):
        models.validate_fits("relu_softmax", chosen, own)


@pytest.fixture(scope="module")
def three(tmp_path_factory, digits):
    """Three classes of 7 by 7 pixels, labelled from 1 on; zipped and unzipped files."""
    folder = tmp_path_factory.mktemp("three")
    for part, (image, label) in (("train", digits.train), ("t10k", digits.test)):
        own = label < 3
        images, labels = (f"{part}-{k}-ubyte" for k in ("images-idx3", "labels-idx1"))
        (folder / images).write_bytes(idx_bytes(image[own, ::4, ::4]))
        content = gzip.compress(idx_bytes(label[own] + 1))
        (folder / f"{labels}.gz").write_bytes(content)
    return folder


def test_data_of_an_earlier_run_may_lie_in_a_folder_of_another_name(three):
    kept = seeds.Config(dataset="own:as it was called", dataset_dir=three).load()
    assert kept.name == f"own:{three.name}"


def test_seeds_take_any_classes_and_sizes(three):
    config = seeds.Config(dataset_dir=three, models=("sigmoid_mse",))
    plans = seeds.plan(config, config.load())
    assert plans["sigmoid_mse"].recipe.layer_sizes == (49, 30, 3)


@pytest.mark.parametrize(
    "name",
    [
        *("bugs", "choices", "control", "durability", "ladder", "neurons", "parity"),
        *("scale", "speed", "speedrun", "sweep"),
    ],
)
def test_what_is_made_for_ten_classes_says_so(three, tmp_path, name):
    experiment = importlib.import_module(f"experiments.{name}.__main__")
    config = experiment.Config(dataset_dir=three, output=tmp_path / "run")
    with pytest.raises(InputError, match=r"has 3 classes|--dataset-dir"):
        experiment.main(config)
    assert not (tmp_path / "run").exists()


def test_a_test_set_is_split_off_the_same_way_each_time(digits):
    images, labels = digits.train
    one, two = (
        data.from_arrays(images, labels, validation_examples=0) for _ in range(2)
    )
    np.testing.assert_array_equal(one.test.image, two.test.image)
    assert len(one.train.label) + len(one.test.label) == len(labels)
    # Oracle: no image is lost or doubled, and every class is in both parts.
    both = np.concatenate([one.train.image, one.test.image]).reshape(len(labels), -1)
    assert sorted(map(bytes, both)) == sorted(
        map(bytes, images.reshape(len(labels), -1))
    )
    share = np.bincount(one.test.label) / np.bincount(labels)
    assert np.all(np.abs(share - 1 / 6) < 0.02)


def test_folders_of_pictures_are_labels(tmp_path, digits):
    # Dark on light, as people save them; the network gets light on dark.
    for number, (image, label) in enumerate(
        zip(*digits.test.split(60)[0], strict=True)
    ):
        folder = tmp_path / "my digits" / LETTERS[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(255 - image).save(folder / f"{number:03}.png")
    own = data.load_folder(tmp_path / "my digits", validation_examples=0)
    assert own.name == "own:my digits" and own.labels == tuple(LETTERS)
    both = np.concatenate([own.train.image, own.test.image]).reshape(60, -1)
    assert sorted(map(bytes, both)) == sorted(
        map(bytes, digits.test.image[:60].reshape(60, -1))
    )
    # As archives have it, with what is no picture, or none of the user's.
    hidden = [tmp_path / "my digits" / name for name in ("__MACOSX", ".thumbnails")]
    for folder in (*hidden, tmp_path / "my digits" / "A"):
        folder.mkdir(exist_ok=True)
        (folder / "._1.png").write_bytes(b"attributes")
    Image.new("L", (5, 5)).save(hidden[1] / "1.png")
    assert data.load_folder(tmp_path / "my digits").labels == own.labels
    image = Image.new("L", (30, 28))
    image.save(tmp_path / "my digits" / "A" / "wide.png")
    with pytest.raises(InputError, match=r"wide\.png has 30 by 28 pixels.* 28 by 28"):
        data.load_folder(tmp_path / "my digits")
    (tmp_path / "my digits" / "A" / "wide.png").write_text("text")
    with pytest.raises(InputError, match=r"wide\.png is not a picture"):
        data.load_folder(tmp_path / "my digits")


IMAGES, LABELS = np.zeros((4, 2, 3), np.uint8), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("images", "labels", "options", "complaint"),
    [
        (IMAGES / 255, LABELS, {}, "must be uint8 .*not float64"),
        (IMAGES[0], LABELS, {}, r"not uint8 \[2, 3\]"),
        (IMAGES, LABELS / 2, {}, "whole numbers or text .*not float64"),
        (IMAGES, LABELS[:3], {}, "4 images but 3 labels"),
        (IMAGES.tolist(), LABELS, {}, "array of NumPy, not a list"),
        (IMAGES, 0 * LABELS, {}, "1 classes, from 0 to 0; at least 2"),
        (IMAGES, 5 * LABELS, {"classes": 3}, "2 classes, from 0 to 5, not 3"),
        (IMAGES, np.array([3, 5, 3, 3]), {}, "class 5 has one image; at least 2"),
        (IMAGES, LABELS, {"test": (IMAGES, LABELS + 1)}, r"test labels have \[2\]"),
        (IMAGES, LABELS, {"test": (IMAGES[:, :1], LABELS)}, "test images"),
        (IMAGES, LABELS, {"names": ["a"]}, "1 names for 2 classes"),
        (IMAGES, LABELS, {"validation_examples": 9}, "leaves nothing"),
    ],
)
def test_arrays_that_make_no_sense_are_refused(images, labels, options, complaint):
    with pytest.raises(InputError, match=complaint):
        data.from_arrays(images, labels, **options)


def test_files_that_other_systems_add_are_none_of_the_set(tmp_path, letters):
    folder = shutil.copytree(letters, tmp_path / "letters")
    expected = data.load_folder(folder)
    assert expected.labels == tuple(LETTERS)
    for file in list(folder.iterdir()):
        (folder / f"._{file.name}").write_bytes(b"attributes")
    (folder / "emnist-digits-mapping.txt").write_text("0 48\n1 49\n")
    assert data.load_folder(folder).labels == expected.labels


def test_a_folder_beside_a_file_is_not_the_file(tmp_path):
    # As one archive of MNIST has it: the files with a dot, folders with their names.
    for part in ("train", "t10k"):
        for kind, array in (("images.idx3", IMAGES), ("labels.idx1", LABELS)):
            file = tmp_path / f"{part}-{kind}-ubyte"
            file.write_bytes(idx_bytes(array))
            (tmp_path / file.name.replace(".", "-")).mkdir()
    own = data.load_folder(tmp_path, validation_examples=0)
    np.testing.assert_array_equal(own.train.image, IMAGES)


def test_idx_files_that_disagree_or_are_damaged_are_refused(tmp_path, digits):
    part = digits.test.split(30)[0]
    folder = write_letters(tmp_path / "a", part, part)
    labels = folder / "emnist-letters-train-labels-idx1-ubyte.gz"
    whole = labels.read_bytes()
    labels.write_bytes(gzip.compress(idx_bytes(part.label[:29] + 1)))
    with pytest.raises(InputError, match=r"30 images in .*but 29 labels"):
        data.load_folder(folder)
    labels.write_bytes(whole[:-9])
    with pytest.raises(InputError, match="not a whole gzip file"):
        data.load_folder(folder)
    for content, complaint in (
        (idx_bytes(part.label)[:-3], "should hold 30 numbers, 30 bytes, and has 27"),
        (b"text", "is not an idx file"),
        (b"", "is not an idx file"),
    ):
        labels.write_bytes(content)
        with pytest.raises(InputError, match=complaint):
            data.load_folder(folder)
    labels.unlink()
    with pytest.raises(InputError, match="lacks train labels"):
        data.load_folder(folder)
    with pytest.raises(InputError, match="there is no file"):
        idx.read(labels)
    write_letters(folder, part, part, prefix="emnist-digits-")
    with pytest.raises(InputError, match="2 datasets"):
        data.load_folder(folder)


def test_a_folder_with_nothing_or_one_class_is_refused(tmp_path, digits):
    with pytest.raises(InputError, match="neither the four files"):
        data.load_folder(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        data.load_folder(tmp_path / "nothing")
    (tmp_path / "7").mkdir()
    for number in range(3):
        Image.fromarray(digits.test.image[number]).save(
            tmp_path / "7" / f"{number}.png"
        )
    with pytest.raises(InputError, match="1 classes, from 7 to 7; at least 2"):
        data.load_folder(tmp_path)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"dataset_dir": "x", "dataset": "digits"}, "leave out --dataset"),
        ({"classes": 3}, "of --dataset-dir only"),
        ({"transpose": True}, "of --dataset-dir only"),
    ],
)
def test_options_that_contradict_are_refused(tmp_path, options, complaint):
    with pytest.raises(InputError, match=complaint):
        compare.main(compare.Config(output=tmp_path / "run", **options))
    assert not (tmp_path / "run").exists()


def test_what_looks_wrong_is_named_by_the_classes_names():
    # Of 200 letters half are A; the network answers B to all.
    labels = np.repeat([0, 1], 100)
    run = diagnose.Run(
        cost="cross_entropy",
        labels=labels,
        answers=np.ones(200, int),
        accuracy=0.5,
        seen=200,
        names=("A", "B"),
    )
    assert "it answers B to 100.0%" in diagnose.diagnose(run)[-1].text
