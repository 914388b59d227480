"""`experiments.pictures`: its pictures, its figures and its page."""

import json

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from experiments.kit import page
from experiments.pictures import __main__ as pictures
from experiments.pictures import measure, photograph, results
from jaxnets.data import digits as bundled
from jaxnets.errors import InputError
from jaxnets.picture import find
from jaxnets.types import Batch


def like_mnist(part):
    """scikit-learn's digits in a field of 20 by 20 of the 28, as MNIST's are."""
    small = ndimage.zoom(part.image, (1, 20 / 28, 20 / 28), order=1)
    return Batch(np.pad(small, ((0, 0), (4, 4), (4, 4))), part.label)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, digits):  # shared ones are loaded before the patch
    """A few pictures and one sheet of such digits, and a network for them."""
    path = tmp_path_factory.mktemp("pictures") / "run"
    config = pictures.Config(
        dataset="digits",
        models=("relu_softmax",),
        epochs=8,
        pictures=12,
        sheets=1,
        output=path,
    )
    with pytest.MonkeyPatch.context() as patch:
        parts = tuple(map(like_mnist, bundled.load()))
        patch.setattr(bundled, "load", lambda: parts)
        yield pictures.main(config), path, config


def test_pictures_are_read_much_as_clean_digits_are(finished):
    content, path, _ = finished
    model = content["models"]["relu_softmax"]
    assert content["num_pictures"] == 12 and content["status"] == "complete"
    assert model["test_accuracy"] > 0.8
    # Twelve pictures show that it works, not how well; docs/pictures.md has a thousand.
    prepared, raw = (model["variants"][name]["correct"] for name in ("prepared", "raw"))
    assert prepared >= 8 and raw <= 6
    assert content["sheets"] == {"count": 1, "found_all": 1}
    assert {"report.html", "examples.png", "sheets.png"} <= {
        f.name for f in path.iterdir()
    }


def test_results_are_the_rows_counted(finished):
    content, path, _ = finished
    rows = [
        json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()
    ]
    assert json.loads(json.dumps(results.of_rows(rows))) == {
        key: content[key] for key in results.of_rows(rows)
    }
    # Oracle: counted by hand.
    pictures_ = [row for row in rows if row["part"] == "picture"]
    right = sum(
        row["found"] == 1 and row["answers"]["prepared"]["relu_softmax"] == row["label"]
        for row in pictures_
    )
    dark = sum(row["is_dark"] for row in pictures_)
    variants = content["models"]["relu_softmax"]["variants"]
    assert variants["prepared"]["correct"] == right
    assert variants["paper"]["seen"] == dark < 12


def test_a_page_is_made_anew_from_the_rows(finished, monkeypatch):
    content, path, _ = finished
    monkeypatch.setattr(page, "draw", lambda shown, _: page.Drawn(*shown[:3], png=b""))
    assert pictures.main(pictures.Config(redraw=path)) == content


def test_pictures_are_what_they_say(digits):
    # Oracles: the digit's own box, turned by at most ten degrees; light and dark.
    rng = np.random.default_rng(0)
    for index in range(6):
        photo = photograph.of_digit(like_mnist(digits.test).image[index], rng)
        [(left, top, right, bottom)] = photo.boxes
        assert photo.pixels.dtype == np.uint8 and photo.pixels.shape[2] == 3
        assert 0 <= left < right <= photo.pixels.shape[1]
        assert 0.5 < max(right - left, bottom - top) / photo.size < 1.25
        grey = photo.pixels.mean(axis=2)
        inside = grey[int(top) : int(bottom), int(left) : int(right)]
        darkest = np.percentile(inside, 3) < np.percentile(grey, 50) - 25
        assert photo.is_dark == darkest
    one, two = (
        photograph.of_sheet(digits.test.image[:10], np.random.default_rng(1))
        for _ in range(2)
    )
    np.testing.assert_array_equal(one.pixels, two.pixels)
    assert len(one.boxes) == 10


def test_variants_leave_out_one_part_each(digits):
    image = like_mnist(digits.test).image[3]
    pixels = np.full((200, 300, 3), 230, np.uint8)
    large = ndimage.zoom(image, 4, order=1) > 128
    pixels[20:132, 150:262][large] = 20
    photo = photograph.Photograph(pixels, [], 80.0, True, False, False)
    seen = measure.variants(photo, measure.marks_of(photo), 20)
    [glyph] = find(Image.fromarray(pixels))
    np.testing.assert_array_equal(seen["prepared"], glyph.image)
    np.testing.assert_array_equal(seen["paper"], 255 - glyph.image)
    assert ndimage.center_of_mass(seen["where"])[0] < 13
    assert np.count_nonzero(seen["unscaled"] > 100) < np.count_nonzero(
        glyph.image > 100
    )
    assert seen["raw"].mean() > 150


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"pictures": 0}, "at least 1"),
        ({"pictures": 361}, "at most 360"),
        ({"models": ("x",)}, "one or more of"),
        ({"run": "nothing", "pictures": 9}, "there is no file"),
    ],
)
def test_settings_that_make_no_sense_are_refused(tmp_path, options, complaint):
    config = pictures.Config(dataset="digits", output=tmp_path / "run", **options)
    with pytest.raises(InputError, match=complaint):
        pictures.main(config)
    assert not (tmp_path / "run").exists()
