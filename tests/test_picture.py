"""Pictures as people have them: what is found in them, and what is refused."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from jaxnets import picture, pixels
from jaxnets.errors import InputError
from jaxnets.picture import prepare
from jaxnets.picture.find import find_marks
from jaxnets.picture.ink import otsu

# Outlines in a field of 1 by 1, drawn with a pen: shapes whose place is known.
STROKES = {
    "1": [[(0.5, 0.0), (0.5, 1.0)]],
    "7": [[(0.1, 0.0), (0.9, 0.0), (0.4, 1.0)]],
    "4": [[(0.6, 0.0), (0.1, 0.6), (0.9, 0.6)], [(0.65, 0.35), (0.65, 1.0)]],
    "0": [
        [
            (0.5 + 0.35 * np.sin(t), 0.5 - 0.5 * np.cos(t))
            for t in np.linspace(0, 2 * np.pi, 40)
        ]
    ],
}
PAPER, PEN = (230, 228, 220), (30, 30, 60)


def drawn(shapes, size=(300, 200), *, pen=PEN, paper=PAPER, mode="RGB"):
    """A picture of shapes, each (name, left, top, height)."""
    image = Image.new(mode, size, paper)
    draw = ImageDraw.Draw(image)
    for name, left, top, height in shapes:
        width = max(2, round(0.11 * height))
        for stroke in STROKES[name]:
            points = [(left + x * height, top + y * height) for x, y in stroke]
            draw.line(points, pen, width, joint="curve")
    return image


def seen(image, **options):
    [glyph] = picture.find(image, **options)
    return glyph.image


FOUR = drawn([("4", 100, 50, 80)])


def alike(one, other, limit=0.88):
    """Whether two images correlate, as the same digit from two pictures does.

    Rounding may put the centre of mass into the next pixel, and a pen of whole pixels
    is wider in a small picture. Two of the shapes above correlate below 0.3.
    """
    moves = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    a = np.ravel(one).astype(float)
    others = [np.roll(other, move, (0, 1)).ravel().astype(float) for move in moves]
    return max(np.corrcoef(a, b)[0, 1] for b in others) > limit


# ---- the preparation


def test_it_is_mnists(tmp_path):
    # Oracles: MNIST's description. A longer side of 20 pixels, the centre of mass in
    # pixel 14, as in all of its test images, grey edges, black ground.
    for name in STROKES:
        image = seen(drawn([(name, 100, 50, 80)]))
        assert image.shape == (28, 28) and image.dtype == np.uint8
        rows, columns = np.nonzero(image > 60)
        sides = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert max(sides) in (19, 20, 21)
        middle = ndimage.center_of_mass(image)
        assert np.all(np.abs(np.array(middle) - 14) <= 0.51)
        assert image.max() == 255 and image[0, 0] == 0
        assert np.any((image > 20) & (image < 235))


def test_digits_become_as_large_as_those_of_images_that_are_not_square():
    # Oracle: squares of 20 by 20 pixels in images of 28 by 56, and back again.
    for shape in ((28, 56), (56, 28), (28, 28)):
        images = np.zeros((3, *shape), np.uint8)
        images[:, 4:24, 4:24] = 255
        side = pixels.ink_side(images)
        image = prepare(np.ones((50, 50), np.float32), shape, ink_side=side)
        assert [np.ptp(places) + 1 for places in np.nonzero(image)] == [20, 20]


def test_a_box_ends_within_its_picture():
    # Enlarged to 106 pixels where 105.6 would be right: ink up to the right edge.
    paper = np.full((80, 33), 255, np.uint8)
    paper[10:60, 12:] = 0
    [mark] = find_marks(Image.fromarray(paper))
    assert mark.box.right <= 33 and mark.box.bottom <= 80


def test_proportions_stay():
    # Oracle: a bar of 60 by 10 pixels is six times as high as wide.
    ink = np.ones((60, 10), np.float32)
    rows, columns = np.nonzero(prepare(ink) > 127)
    assert np.ptp(rows) + 1 == 20
    assert np.ptp(columns) + 1 in (3, 4)
    wide = prepare(ink.T, (14, 14))
    assert np.ptp(np.nonzero(wide > 127)[1]) + 1 == 10


def test_parts_of_the_preparation_can_be_left_out():
    ink = np.zeros((40, 40), np.float32)
    ink[:, :8] = ink[:8] = 1  # a corner: its mass is not in the middle of its box
    by_mass, by_box = prepare(ink), prepare(ink, centre="box")
    assert abs(ndimage.center_of_mass(by_mass)[0] - 14) <= 0.51
    assert ndimage.center_of_mass(by_box)[0] < 12
    rows = np.nonzero(prepare(ink, centre=(1.0, 0.0)))[0]
    assert rows.max() == 27 and rows.min() == 8
    small = prepare(ink, factor=0.25)
    assert np.ptp(np.nonzero(small)[0]) + 1 == 10


def test_a_fine_pen_is_made_as_wide_as_mnists():
    ink = np.zeros((200, 120), np.float32)
    ink[:, 58:61] = 1  # 3 of 200 pixels: a third of a pixel of 20
    image = prepare(ink)
    assert image.max() == 255
    assert image.sum() / 255 / 20 > 1  # pixels wide


# ---- pictures


@pytest.mark.parametrize("height", [14, 40, 150, 600])
def test_size_and_place_make_no_difference(height):
    far = drawn(
        [("4", 3 * height, 2 * height, height)], (4 * height + 9, 3 * height + 9)
    )
    assert alike(seen(far), seen(FOUR))
    edge = height // 12 + 2
    corner = drawn([("4", edge, edge, height)], (6 * height, 5 * height))
    assert alike(seen(corner), seen(FOUR))


@pytest.mark.parametrize(
    "colours",
    [
        {"pen": (240, 240, 240), "paper": (40, 60, 50)},
        {"pen": (250, 230, 40), "paper": (250, 250, 250)},
        {"pen": (200, 30, 30), "paper": (240, 240, 255)},
        {"mode": "L", "pen": 0, "paper": 255},
        {"mode": "1", "pen": 0, "paper": 1},
        {"mode": "I;16", "pen": 0, "paper": 60000},
    ],
    ids=["a blackboard", "yellow", "red", "grey", "1 bit", "16 bits"],
)
def test_colours_make_no_difference(tmp_path, colours):
    mode = colours.pop("mode", "RGB")
    kind = "I" if mode == "I;16" else mode
    image = drawn([("4", 100, 50, 80)], mode=kind, **colours)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16))
    image.save(tmp_path / "four.png")
    assert alike(seen(picture.read(tmp_path / "four.png")), seen(FOUR))


def test_grey_from_0_to_1_is_grey(tmp_path):
    levels = np.asarray(FOUR.convert("L"), np.float32) / 255
    Image.fromarray(levels).save(tmp_path / "four.tif")
    assert alike(seen(picture.read(tmp_path / "four.tif")), seen(FOUR))


@pytest.mark.parametrize("pen", [(0, 0, 0), (255, 255, 255)], ids=["black", "white"])
def test_transparent_paper_is_what_the_ink_needs(tmp_path, pen):
    image = drawn(
        [("4", 100, 50, 80)], mode="RGBA", pen=(*pen, 255), paper=(0, 0, 0, 0)
    )
    image.save(tmp_path / "four.png")
    assert alike(seen(picture.read(tmp_path / "four.png")), seen(FOUR))


def test_a_picture_that_exif_turns_is_turned(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    FOUR.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "four.jpg", exif=exif)
    assert alike(seen(picture.read(tmp_path / "four.jpg")), seen(FOUR))


def test_shadow_and_ruled_paper_are_no_ink():
    y, x = np.mgrid[:400, :600]
    light = 1 - 0.5 * x / 600 - 0.25 / (1 + np.exp((x - y - 200) / 20))
    sheet = np.asarray(drawn([("4", 250, 150, 110)], (600, 400)), float)
    lined = ((y + 0.03 * x) % 60 < 2) | ((x - 0.03 * y) % 60 < 2)
    ink = sheet.mean(axis=2) < 120
    sheet[lined & ~ink] *= 0.7
    rng = np.random.default_rng(0)
    photo = sheet * light[..., None] + rng.normal(size=sheet.shape, scale=5)
    image = Image.fromarray(np.uint8(np.clip(photo, 0, 255)))
    [glyph] = picture.find(image)
    assert alike(glyph.image, seen(FOUR), limit=0.9)
    # Oracle: the box that was drawn, to a stroke's width.
    expected = (250 + 11, 150, 250 + 99, 260)
    assert np.all(np.abs(np.subtract(glyph.box, expected)) <= 12)


def test_digits_are_read_line_by_line_from_left_to_right():
    places = [("7", 20, 30, 60), ("0", 120, 22, 60), ("1", 210, 35, 60)]
    places += [("4", 30, 150, 60), ("0", 130, 158, 60), ("7", 200, 145, 60)]
    glyphs = picture.find(drawn(places, (320, 240)))
    for glyph, (name, left, top, _) in zip(glyphs, places, strict=True):
        assert alike(glyph.image, seen(drawn([(name, 100, 50, 80)])))
        assert left - 6 <= glyph.box.left <= left + 36 and abs(glyph.box.top - top) <= 6
    whole = seen(drawn(places, (320, 240)), single=True)
    assert not any(alike(whole, glyph.image) for glyph in glyphs)


def test_a_line_that_climbs_is_one_line():
    places = [("4", 20 + 90 * i, 130 - 20 * i, 60) for i in range(5)]
    places[2] = ("7", *places[2][1:])
    glyphs = picture.find(drawn(places, (500, 240)))
    lefts = [glyph.box.left for glyph in glyphs]
    assert len(glyphs) == 5 and lefts == sorted(lefts)


def test_a_broken_stroke_is_one_digit():
    image = drawn([("7", 60, 40, 100)])
    ImageDraw.Draw(image).rectangle((90, 86, 150, 90), PAPER)  # the pen skips
    [glyph] = picture.find(image)
    assert glyph.box.bottom - glyph.box.top > 95


def test_specks_are_no_digits():
    image = drawn([("4", 100, 50, 80)])
    rng = np.random.default_rng(0)
    for x, y in rng.integers(5, 190, size=(25, 2)).tolist():
        ImageDraw.Draw(image).ellipse((x, y, x + 3, y + 3), PEN)
    assert len(picture.find(image)) == 1


def test_an_image_of_mnists_kind_comes_back():
    # A picture of 28 by 28 pixels that is prepared already changes little.
    once = seen(FOUR)
    assert alike(seen(Image.fromarray(once)), once, limit=0.97)
    assert alike(seen(Image.fromarray(255 - once)), once, limit=0.97)


def test_otsu_splits_two_heaps():
    # Oracle: the middle between two heaps that do not touch.
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0.2, 0.02, 900), rng.normal(0.8, 0.02, 100)])
    assert 0.25 < otsu(values) < 0.75


# ---- what is refused


@pytest.mark.parametrize("shade", [0, 128, 255])
def test_an_empty_picture_is_refused(shade):
    rng = np.random.default_rng(0)
    flat = np.full((300, 400), shade, np.uint8)
    noisy = np.clip(flat + rng.normal(size=flat.shape, scale=4), 0, 255)
    for paper in (flat, np.uint8(noisy)):
        with pytest.raises(InputError, match="no ink"):
            picture.find(Image.fromarray(paper))


def test_a_texture_is_refused():
    rng = np.random.default_rng(0)
    tiles = rng.integers(2, size=(60, 60), dtype=np.uint8) * 200
    dots = np.kron(tiles, np.pad(np.ones((6, 6), np.uint8), 7))
    with pytest.raises(InputError, match="separate marks"):
        picture.find(Image.fromarray(255 - dots))


def png_of_size(width, height):
    """A PNG that says it has so many pixels and has none."""

    def chunk(name, content):
        crc = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", b"")
        + chunk(b"IEND", b"")
    )


def gif_of_two():
    stream = io.BytesIO()
    FOUR.save(stream, "GIF", save_all=True, append_images=[drawn([("7", 9, 9, 80)])])
    return stream.getvalue()


def jpeg_cut():
    stream = io.BytesIO()
    FOUR.save(stream, "JPEG")
    return stream.getvalue()[:2000]


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"just text", "is not a picture"),
        (b"", "is not a picture"),
        (EPS, "is not a picture"),  # Pillow would run a program to draw it
        (
            png_of_size(10_000, 10_000),
            "has 10000 by 10000, more than 64,000,000 pixels",
        ),
        (png_of_size(60_000, 60_000), "far more than 64,000,000 pixels"),
        (gif_of_two(), "has 2 frames"),
        (jpeg_cut(), "is damaged"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "pillow-heif"),
    ],
    ids=["text", "nothing", "EPS", "100 MP", "3.6 GP", "animated", "cut off", "HEIC"],
)
def test_what_is_no_picture_to_read_is_refused(
    tmp_path, monkeypatch, content, complaint
):
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    file = tmp_path / "my.png"
    file.write_bytes(content)
    with pytest.raises(InputError, match=complaint) as error:
        picture.read(file)
    assert str(file) in str(error.value) and "\n" not in str(error.value)


def test_files_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no picture"):
        picture.read(tmp_path / "nothing.png")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="there is no picture"):
        picture.read(tmp_path / "file" / "one.png")
    with pytest.raises(InputError, match="is a folder"):
        picture.read(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")  # reading it would wait for ever
    with pytest.raises(InputError, match="is no file to be read twice"):
        picture.read(tmp_path / "pipe.png")


@pytest.mark.mnist
def test_mnists_own_images_stay_where_they_are(mnist):
    # Oracle: the images themselves, cut to their ink and prepared again; those whose
    # longer side has 20 pixels, which are nearly all.
    stay = total = 0
    for image in mnist.test.image[:500]:
        rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
        ink = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] / 255
        if max(ink.shape) == 20:
            again = prepare(np.float32(ink))
            total += 1
            stay += np.corrcoef(again.ravel(), image.ravel())[0, 1] > 0.97
    assert total > 450 and stay >= 0.99 * total
