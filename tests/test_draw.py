"""`draw.html` in a real browser: JAX's answers, strokes, keys, files, no network."""

import base64
import csv
import io
import itertools
import json
import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image, ImageDraw
from small import random_layers

from jaxnets import cli, data, draw, picture, pixels, row_rnn, trained, training
from jaxnets.draw import samples
from jaxnets.errors import DatasetUnavailable, InputError
from jaxnets.models import MODELS
from jaxnets.trained import Trained
from jaxnets.types import Batch, Dense, num_params

SMALL = (784, 30, 10)
SEED = 3  # of the run, for networks as they were before training
TRAINED = ("sigmoid_mse", "relu_softmax")
MODELS_HERE = (*TRAINED, "flax_dense", "keras_dense", "row_rnn")
FLOAT16, FLOAT32 = 1e-2, 1e-5  # what the issue allows of a probability
LEVEL = 1  # of 255: NumPy rounds halves to even, JavaScript up


def random_network(name, sizes, **changes):
    parts = {
        "name": name,
        "model": name,
        "layer_sizes": sizes,
        "params": random_layers(sizes),
        "image_shape": (28, 28),
        "labels": tuple("0123456789"),
        "dataset": "mnist",
        "recipe": None,
        "epochs": 1,
    }
    return Trained(**{**parts, **changes})


def fitted(name, images, labels):
    """Layers that know the digits well enough, by least squares: nothing compiles.

    The first layer is random; the last one's sums are to be high for the right class.
    """
    rng = np.random.default_rng(0)
    is_sigmoid = name == "sigmoid_mse"
    width = 0.3 if is_sigmoid else 0.1
    hidden = Dense(
        rng.normal(size=(784, 30), scale=width).astype(np.float32),
        rng.normal(size=30, scale=width).astype(np.float32),
    )
    sums = images.reshape(len(images), -1) / 255 @ hidden.kernel + hidden.bias
    activations = 1 / (1 + np.exp(-sums)) if is_sigmoid else np.maximum(sums, 0)
    with_one = np.column_stack([activations, np.ones(len(images))])
    wanted = 8.0 * np.eye(10)[labels] - (4 if is_sigmoid else 0)
    weights = np.linalg.lstsq(with_one, wanted, rcond=None)[0].astype(np.float32)
    return hidden, Dense(weights[:-1], weights[-1])


@pytest.fixture(scope="module")
def run(tmp_path_factory, digits):
    """A folder as `compare` leaves it, of two networks and with files of three more."""
    path = tmp_path_factory.mktemp("draw") / "run"
    columns = {"index": np.arange(len(digits.test.label)), "label": digits.test.label}
    for name in TRAINED:
        network = random_network(
            name,
            SMALL,
            params=fitted(name, *digits.train),
            dataset="digits",
            ink_side=pixels.ink_side(digits.train.image),
        )
        trained.write(path / "weights" / f"{name}.npz", network)
        label, probability = network.predict(digits.test.image)
        columns |= {name: label, f"{name}_probability": probability.max(axis=1)}
    with open(path / "predictions.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([columns, *zip(*columns.values(), strict=True)])
    config = {"jaxnets": "0", "models": TRAINED, "dataset": "digits", "seed": SEED}
    config |= {"mnist_dir": None, "data_dir": None}
    (path / "config.json").write_text(json.dumps(config))
    sizes = (28, 16, 10)
    rows = {
        "layer_sizes": sizes,
        "params": row_rnn.init(training.run_keys(SEED).init, sizes),
    }
    dense = trained.load(path / "weights" / "relu_softmax.npz")
    # Surer or less sure than what their weights were taken from.
    for name, factor, changes in (
        ("flax_dense", 1.2, {}),
        ("keras_dense", 0.7, {}),
        ("row_rnn", 0.9, rows),
    ):
        network = replace(dense, name=name, model=name, **changes)
        params = jax.tree.map(lambda a, by=factor: np.float32(by) * a, network.params)
        file = path / "weights" / f"{name}.npz"
        trained.write(file, replace(network, params=params))
    return path


@pytest.fixture(scope="module")
def networks(run):
    return trained.load(run)


@pytest.fixture(scope="module")
def pages(run, networks, digits, tmp_path_factory):
    """The run's page with weights of 16 and of 32 bits."""
    folder = tmp_path_factory.mktemp("pages")
    exact = folder / "float32.html"
    exact.write_text(draw.make_page(networks, float32=True), encoding="utf-8")
    float16 = draw.write(run, folder / "float16.html", test=digits.test)
    return SimpleNamespace(float16=float16, float32=exact)


@pytest.fixture(scope="module")
def browser(chromium):
    """The Chromium that is installed; nothing is downloaded."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@contextmanager
def opened(browser, file, *, width=1200, harmless=True, **context):
    """The page in a window; whatever it asks of a network or complains of fails."""
    context = browser.new_context(viewport={"width": width, "height": 900}, **context)
    try:
        page = context.new_page()
        requests, complaints = [], []
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(file.as_uri())
        yield page
        if harmless:
            assert requests == [file.as_uri()]
            assert complaints == []
    finally:
        context.close()


@pytest.fixture(scope="module")
def shared(browser, pages):
    with opened(browser, pages.float16) as page:
        yield page


@pytest.fixture
def page(shared):
    """The page on a desk, with empty paper and nothing changed."""
    return made_empty(shared)


@pytest.fixture(scope="module")
def shared_phone(browser, pages):
    with opened(browser, pages.float16, width=360, has_touch=True) as page:
        yield page


@pytest.fixture
def phone(shared_phone):
    """The page on a phone."""
    return made_empty(shared_phone)


def made_empty(shared):
    """One document serves all tests: loading is what takes the time."""
    shared.evaluate("scrollTo(0, 0)")
    for name in ("inverted", "raw"):
        shared.set_checked(f"#{name}", False)
    shared.set_checked("#centre", True)
    shared.select_option("#untrained", "")
    shared.evaluate("paper.drawing = EMPTY; paper.earlier = []; say(''); update()")
    return shared


def wait_for(page, condition):
    """Until it holds. Playwright's own way evaluates text, which the page forbids."""
    page.evaluate(
        f"""() => new Promise((resolve) => {{
            const look = () => ({condition}) ? resolve() : requestAnimationFrame(look);
            look();
        }})"""
    )


def answers_in(page, images):
    """Labels [n, networks] and probabilities [n, networks, classes] of the page."""
    texts = [base64.b64encode(image.tobytes()).decode() for image in images]
    results = page.evaluate(
        """(texts) => texts.map((text) => {
            putImage(bytesOf(text));
            paper.paint(); // as update() does, which shows the answers too
            const all = answersTo(preparedImage());
            return all.map(({label, probability}) => [label, [...probability]]);
        })""",
        texts,
    )
    page.evaluate("update()")
    labels = np.array([[answer[0] for answer in one] for one in results])
    return labels, np.array([[answer[1] for answer in one] for one in results])


def answers_of(networks, images):
    """The same by JAX; always of as many images, so that it compiles once."""
    count = len(images)
    padded = np.pad(images, ((0, 360 - count), (0, 0), (0, 0)))
    predictions = [network.predict(padded) for network in networks.values()]
    labels = np.stack([one.label[:count] for one in predictions], axis=1)
    return labels, np.stack([one.probability[:count] for one in predictions], axis=1)


def require_same(page, networks, images, tolerance):
    """The page's answers are JAX's; classes too, but where two are as probable."""
    labels, probabilities = answers_in(page, images)
    expected_labels, expected = answers_of(networks, images)
    assert probabilities.shape == expected.shape
    np.testing.assert_allclose(probabilities, expected, rtol=0, atol=tolerance)
    second, first = np.moveaxis(np.sort(expected)[..., -2:], -1, 0)
    is_clear = first - second > 2 * tolerance
    np.testing.assert_array_equal(labels[is_clear], expected_labels[is_clear])
    assert np.mean(is_clear) > 0.9  # so that hardly any is left out
    assert len(set(expected_labels.ravel())) > 2


def seen_in(page, shape=(28, 28)):
    """The image that the networks see, uint8 [28, 28]."""
    return np.array(page.evaluate("[...seen]"), np.uint8).reshape(shape)


def ink_in(page):
    """What is on the paper, uint8 [560, 560]."""
    text = page.evaluate(
        "btoa(Array.from(paper.ink(), (it) => String.fromCharCode(it)).join(''))"
    )
    ink = np.frombuffer(base64.b64decode(text), np.uint8)
    return ink.reshape(page.evaluate("[paper.canvas.height, paper.canvas.width]"))


def point(page, x, y):
    """A place of the paper, 0 to 1 of its sides, in the window."""
    box = page.locator("#paper").bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


SEVEN = [(0.3, 0.25), (0.7, 0.25), (0.55, 0.5), (0.45, 0.8)]
CORNER = [(0.05, 0.05), (0.2, 0.05), (0.2, 0.3)]


def draw_by_mouse(page, places):
    """Press, move through the places, release."""
    page.mouse.move(*point(page, *places[0]))
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*point(page, *place), steps=4)
    page.mouse.up()
    page.evaluate("update()")


# The same answers as JAX.


@pytest.mark.browser
def test_test_images_get_jaxs_answers(page, browser, pages, networks, digits):
    assert tuple(networks) == MODELS_HERE
    require_same(page, networks, digits.test.image[:200], FLOAT16)
    with opened(browser, pages.float32) as exact:
        require_same(exact, networks, digits.test.image[:50], FLOAT32)


@pytest.mark.browser
@pytest.mark.mnist
def test_mnists_test_images_get_jaxs_answers(browser, networks, mnist, tmp_path):
    images, file = mnist.test.image[:200], tmp_path / "mnist.html"
    tested = draw.Tested(mnist.test, {}, {})
    side = pixels.ink_side(mnist.test.image)
    of_mnist = {name: replace(one, ink_side=side) for name, one in networks.items()}
    file.write_text(draw.make_page(of_mnist, tested, float32=True), encoding="utf-8")
    with opened(browser, file) as page:
        require_same(page, networks, images, FLOAT32)
        # MNIST's makers have centred these: doing it again changes nothing.
        for image in images[:10]:
            answers_in(page, [image])
            again = page.evaluate(
                """() => {
                    const {width, height} = paper.canvas;
                    return [...centred(paper.ink(), width, height, 28, 28, data.fit)];
                }"""
            )
            difference = np.abs(np.reshape(again, (28, 28)) - image.astype(int))
            assert difference.max() <= LEVEL


@pytest.mark.browser
def test_other_shapes_and_classes(browser, tmp_path):
    labels = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    network = Trained(
        name="relu_softmax",
        model="relu_softmax",
        layer_sizes=(12 * 9, 26),
        params=random_layers((12 * 9, 26)),
        image_shape=(12, 9),
        labels=labels,
        dataset="letters",
        recipe=None,
        epochs=1,
    )
    networks = {"relu_softmax": network}
    rng = np.random.default_rng(3)
    images = rng.integers(256, size=(60, 12, 9), dtype=np.uint8)
    truth = np.arange(60, dtype=np.int32) % 26
    tested = draw.Tested(Batch(images, truth), {}, {})
    file = tmp_path / "letters.html"
    file.write_text(draw.make_page(networks, tested, float32=True), encoding="utf-8")
    with opened(browser, file) as page:
        assert page.title() == "Draw a letter"
        require_same(page, networks, images, FLOAT32)
        page.keyboard.press("b")
        page.evaluate("update()")
        np.testing.assert_array_equal(seen_in(page, (12, 9)), images[1])
        answer = labels[network.predict(images[1:2]).label[0]]
        assert page.inner_text("#verdict") == f"relu_softmax answers {answer}."
        assert page.inner_text("#truth") == "Test image 1 is labelled B."
        assert page.is_hidden("#neurons")


# Drawing.


@pytest.mark.browser
def test_networks_answer_while_a_stroke_is_drawn(page):
    assert page.evaluate("answers") is None
    assert "Draw" in page.inner_text("#verdict")
    assert page.locator("#undo").is_disabled()
    page.mouse.move(*point(page, *SEVEN[0]))
    page.mouse.down()
    page.mouse.move(*point(page, *SEVEN[1]), steps=3)
    wait_for(page, "answers !== null")  # the button is still down
    shares = page.evaluate("answers.map(({probability}) => Math.max(...probability))")
    page.mouse.move(*point(page, *SEVEN[3]), steps=3)
    page.mouse.up()
    page.evaluate("update()")
    assert page.evaluate("paper.drawing.strokes.length") == 1
    assert shares != page.evaluate("answers.map((it) => Math.max(...it.probability))")
    # What is written is what was computed.
    labels = page.evaluate("answers.map(({label}) => labels[label])")
    assert page.locator(".answer").all_inner_texts() == labels
    widths = page.locator(".bar").evaluate_all(
        "bars => bars.map((bar) => Number(bar.style.getPropertyValue('--share')))"
    )
    probabilities = page.evaluate("answers.map(({probability}) => [...probability])")
    np.testing.assert_allclose(
        np.reshape(widths, (10, -1)), np.transpose(probabilities), atol=1e-4
    )


@pytest.mark.browser
def test_a_finger_draws_what_a_mouse_draws(page, phone):
    draw_by_mouse(page, SEVEN)
    by_mouse = seen_in(page)
    session = phone.context.new_cdp_session(phone)

    def touch(kind, *places):
        places = [point(phone, *place) for place in places]
        points = [{"x": x, "y": y} for x, y in places]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", SEVEN[0])
    for start, end in itertools.pairwise(SEVEN):
        for step in (0.25, 0.5, 0.75, 1):
            touch("touchMove", np.add(start, step * np.subtract(end, start)))
    touch("touchEnd")
    phone.evaluate("update()")
    assert phone.evaluate("scrollY") == 0
    by_finger = seen_in(phone)
    # Places are rounded to the window's pixels, of which the phone has fewer.
    assert np.corrcoef(by_mouse.ravel(), by_finger.ravel())[0, 1] > 0.97


@pytest.mark.browser
def test_undo_clear_and_moving(page):
    for places in (SEVEN, CORNER):
        draw_by_mouse(page, places)
    both = ink_in(page)
    page.keyboard.press("Escape")
    page.evaluate("update()")
    assert page.evaluate("seen") is None
    assert page.locator("#clear").is_disabled()
    page.keyboard.press("Control+z")  # clearing is undone like a stroke
    page.evaluate("update()")
    np.testing.assert_array_equal(ink_in(page), both)
    page.focus("#paper")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.evaluate("update()")
    step = page.evaluate("paper.scale")
    np.testing.assert_array_equal(ink_in(page)[step:, step:], both[:-step, :-step])
    for _ in range(3):
        page.keyboard.press("Backspace")
    page.evaluate("update()")
    assert page.evaluate("paper.drawing.strokes.length") == 1
    page.click("#undo")
    page.evaluate("update()")
    assert page.evaluate("seen") is None
    assert page.locator("#undo").is_disabled()


@pytest.mark.browser
def test_keys_and_clicks_show_test_images(page, digits, run):
    page.keyboard.press("7")
    page.evaluate("update()")
    number = page.evaluate("paper.drawing.picture.sample.number")
    assert digits.test.label[number] == 7
    np.testing.assert_array_equal(seen_in(page), digits.test.image[number])
    assert f"Test image {number} is labelled 7." in page.inner_text("#truth")
    table = np.genfromtxt(run / "predictions.csv", delimiter=",", names=True)
    guesses = np.array([table[name] for name in TRAINED])
    missed = np.sum(guesses != digits.test.label, axis=0)
    hardest = page.locator(".group", has_text="The hardest").locator("button")
    numbers = [int(it.get_attribute("data-number")) for it in hardest.all()]
    assert len(numbers) == samples.GALLERY_SIZE
    assert sorted(missed[numbers]) == sorted(missed)[-samples.GALLERY_SIZE :]
    hardest.first.click()
    page.evaluate("update()")
    np.testing.assert_array_equal(seen_in(page), digits.test.image[numbers[0]])
    assert hardest.first.get_attribute("aria-pressed") == "true"


@pytest.mark.browser
def test_disagreement_is_written(page, digits, networks):
    labels, _ = answers_of(networks, digits.test.image)
    variety = np.array([len(set(row)) for row in labels])
    for index, differ in ((variety.argmin(), False), (variety.argmax(), True)):
        answers_in(page, [digits.test.image[index]])
        verdict = page.inner_text("#verdict")
        assert ("disagree" in verdict) == differ
        assert verdict.startswith("All five networks answer") != differ
        differing = page.locator("th.differs").count()
        common = np.bincount(labels[index]).max()
        assert differing == 0 if not differ else differing >= len(networks) - common


# What the networks get.


def area_means(values, count):
    """Means over `count` equal parts of the first axis, by its running integral."""
    integral = np.concatenate([np.zeros((1, values.shape[1])), values.cumsum(axis=0)])
    edges = np.linspace(0, len(values), count + 1)
    below = np.minimum(edges.astype(int), len(values) - 1)
    at_edges = integral[below] + (edges - below)[:, None] * values[below]
    return np.diff(at_edges, axis=0) * (count / len(values))


def centred(digit, size):
    """MNIST's preparation of a cropped digit, uint8 [28, 28]."""
    small = area_means(area_means(digit, size[0]).T, size[1]).T
    places = [
        np.average(np.arange(n), weights=small.sum(axis=1 - axis))
        for axis, n in enumerate(small.shape)
    ]
    room = 28 - np.array(small.shape)
    top, left = np.clip(np.rint(14 - np.array(places)), 0, room).astype(int)
    image = np.zeros((28, 28))
    image[top : top + size[0], left : left + size[1]] = 255 * small
    return np.rint(image).astype(int)


@pytest.mark.browser
@pytest.mark.parametrize("places", [SEVEN, CORNER, [(0.5, 0.1), (0.52, 0.9)]])
def test_a_drawing_is_prepared_as_by_python(page, networks, places):
    draw_by_mouse(page, places)
    ink = ink_in(page)
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    digit = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] / 255
    factor = page.evaluate("data.fit") / max(digit.shape)
    expected = centred(digit, [round(factor * side) for side in digit.shape])
    seen = seen_in(page).astype(int)
    assert np.abs(seen - expected).max() <= LEVEL
    # Python's way for photographs has softer edges, and a stroke's middle at 255.
    side = networks["relu_softmax"].ink_side
    assert side == page.evaluate("data.fit") > 24  # more than MNIST's 20
    [glyph] = picture.find(Image.fromarray(255 - ink), ink_side=side)
    by_python = glyph.image.astype(int)
    assert np.abs(seen - by_python).mean() < 4  # of 255
    assert np.corrcoef(seen.ravel(), by_python.ravel())[0, 1] > 0.98
    page.uncheck("#centre")
    page.evaluate("update()")
    blocks = ink.reshape(28, 20, 28, 20).mean(axis=(1, 3))
    assert np.abs(seen_in(page) - blocks).max() <= LEVEL
    assert np.abs(seen_in(page).astype(int) - expected).max() > 100


@pytest.mark.browser
def test_inverted_raw_and_untrained(page, digits, networks):
    images = digits.test.image[:3]

    def expect(name, params, images):
        network = networks[name].network
        with jax.default_matmul_precision("highest"):
            expected = network.predict(params, images).probability
        column = list(networks).index(name)
        _, probabilities = answers_in(page, digits.test.image[:3])
        np.testing.assert_allclose(probabilities[:, column], expected, atol=FLOAT16)

    page.check("#inverted")
    expect("relu_softmax", networks["relu_softmax"].params, 255 - images)
    np.testing.assert_array_equal(seen_in(page), 255 - images[-1])
    page.uncheck("#inverted")
    page.check("#raw")
    expect("sigmoid_mse", pixels.for_bytes(networks["sigmoid_mse"].params), images)
    page.uncheck("#raw")
    options = page.locator("#untrained option").all_inner_texts()
    own = [name for name in MODELS_HERE if name != "keras_dense"]  # Keras draws its own
    assert options == ["No network", *own]
    page.select_option("#untrained", "row_rnn")
    key = training.run_keys(SEED).init
    first = networks["row_rnn"].network.init(key, networks["row_rnn"].layer_sizes)
    expect("row_rnn", first, images)
    expect("relu_softmax", networks["relu_softmax"].params, images)
    assert page.locator(".remark", has_text="untrained").count() == 1


@pytest.mark.browser
def test_neurons_light_up_with_their_activation(page, digits, networks):
    network = networks["sigmoid_mse"]
    image = digits.test.image[:1]
    answers_in(page, image)
    hidden, _ = network.network.activations_of(network.params, image)
    light = page.locator(".tile").evaluate_all(
        "tiles => tiles.map((tile) => Number(tile.style.getPropertyValue('--on')))"
    )
    np.testing.assert_allclose(light, hidden[0], atol=FLOAT16)
    # The tile of neuron 2: orange where its weights are positive.
    shown = page.evaluate(
        """() => [...document.querySelectorAll(".tile canvas")[2].getContext("2d")
            .getImageData(0, 0, 28, 28).data]"""
    )
    red, _, blue, alpha = np.moveaxis(np.reshape(shown, (28, 28, 4)), -1, 0)
    weights = network.params[0].kernel[:, 2].reshape(28, 28)
    strong = alpha > 128
    np.testing.assert_array_equal((red > blue)[strong], weights[strong] > 0)
    assert np.sum(strong) > 20


# Files.


def picture_of_a_one(dark=True):
    """A photograph-like PNG: a stroke in a corner of paper with a shadow and noise."""
    rng = np.random.default_rng(0)
    paper = Image.new("L", (400, 300), 0)
    ImageDraw.Draw(paper).line([(90, 60), (80, 200)], fill=255, width=14)
    ink = np.asarray(paper) / 255
    light = np.linspace(235, 130, 400)[None] + rng.normal(0, 3, (300, 400))
    grey = light * (1 - 0.75 * ink)
    grey = np.uint8(np.clip(grey if dark else 255 - grey, 0, 255))
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, "PNG")
    return stream.getvalue(), np.asarray(paper)


def drop(page, name, kind, content):
    """Let a file fall on the page."""
    page.evaluate(
        """async ([name, type, text]) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([bytesOf(text)], name, {type}));
            const options = {dataTransfer, bubbles: true, cancelable: true};
            document.body.dispatchEvent(new DragEvent("drop", options));
        }""",
        [name, kind, base64.b64encode(content).decode()],
    )


@pytest.mark.browser
@pytest.mark.parametrize("dark", [True, False])
def test_a_picture_is_dropped(page, dark):
    content, ink = picture_of_a_one(dark)
    drop(page, "one.png", "image/png", content)
    wait_for(page, "answers !== null")
    expected = Image.fromarray(ink).crop(Image.fromarray(ink).getbbox())
    seen = seen_in(page)
    rows, columns = seen.any(axis=1).sum(), seen.any(axis=0).sum()
    height, width = expected.height, expected.width
    assert abs(columns - rows * width / height) <= 2  # only the stroke, its proportions
    assert rows == page.evaluate("data.fit")
    assert page.inner_text("#message") == ""


@pytest.mark.browser
def test_a_file_that_is_no_picture_or_empty_is_refused(page):
    page.keyboard.press("3")
    blank = io.BytesIO()
    Image.new("RGB", (50, 40), "white").save(blank, "PNG")
    for name, content, words in (
        ("notes.txt", b"no picture", "notes.txt is not a picture"),
        ("blank.png", blank.getvalue(), "No ink was found in blank.png"),
    ):
        file = {"name": name, "mimeType": "image/png", "buffer": content}
        page.set_input_files("#file", file)
        wait_for(page, "document.getElementById('message').textContent")
        assert words in page.inner_text("#message")
        page.evaluate("say('')")
    assert page.evaluate("paper.drawing.picture.sample.label") == 3  # still there


# The page itself.


@pytest.mark.browser
def test_nothing_can_be_loaded(browser, pages):
    with opened(browser, pages.float16, harmless=False) as page:
        reasons = {}
        page.on("requestfailed", lambda it: reasons.update({it.url: it.failure}))
        refused = page.evaluate(
            """async () => {
                const refused = [];
                document.addEventListener("securitypolicyviolation",
                    (event) => refused.push(event.effectiveDirective));
                await fetch("http://127.0.0.1:9/").catch(() => {});
                const script = document.createElement("script");
                script.textContent = "window.ran = true";
                document.body.append(script);
                const image = new Image();
                await new Promise((resolve) => {
                    image.onload = image.onerror = resolve;
                    image.src = "http://127.0.0.1:9/x.png";
                });
                return [refused, window.ran === true];
            }"""
        )
    assert refused == [["connect-src", "script-src-elem", "img-src"], False]
    assert set(reasons.values()) == {"csp"}


@pytest.mark.browser
def test_a_phone_needs_no_scrolling_sideways(phone):
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    phone.keyboard.press("4")
    phone.evaluate("update()")
    wide = phone.evaluate(
        """() => [...document.querySelectorAll("body *")]
            .filter((it) => it.getBoundingClientRect().right > 360.5)
            .map((it) => it.outerHTML.slice(0, 80))"""
    )
    assert wide == []
    # Drawing and answers fit on a phone's screen together.
    bottom = phone.locator("thead").bounding_box()
    assert bottom["y"] + bottom["height"] < 640
    small = phone.locator("button, .button, select").evaluate_all(
        """(elements) => elements.map((it) => it.getBoundingClientRect()).filter(
            ({width, height}) => width > 0 && Math.min(width, height) < 24)"""
    )
    assert small == []  # WCAG 2.2, 2.5.8: targets of 24 pixels


CONTRAST = """() => {
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const luminance = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map((it) => it / 255)
            .map((it) => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4);
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const behind = (element) => {
        const color = parse(getComputedStyle(element).backgroundColor);
        return color.length === 4 && color[3] === 0 && element.parentElement
            ? behind(element.parentElement) : color;
    };
    const texts = [...document.querySelectorAll("body *")].filter((it) =>
        !it.disabled && it.checkVisibility() && it.tagName !== "OPTION"
        && [...it.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
    return texts.map((it) => {
        const [a, b] = [parse(getComputedStyle(it).color), behind(it)].map(luminance);
        const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        return [ratio, it.textContent.trim().slice(0, 40)];
    });
}"""


@pytest.mark.browser
def test_light_and_dark_have_contrast_and_a_switch(page, digits):
    grounds = []
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    answers_in(page, digits.test.image[:1])
    for _ in range(2):  # dark as the system, then light by the switch
        weak = [it for it in page.evaluate(CONTRAST) if it[0] < 4.5]  # WCAG AA
        assert weak == []
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.click("#theme")
    motion = page.locator(".bar").first.evaluate(
        "bar => getComputedStyle(bar).transitionProperty"
    )
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")
    assert motion == "none"
    assert len(set(grounds)) == 2


@pytest.mark.browser
def test_everything_has_a_name_for_screen_readers(page):
    page.keyboard.press("5")
    page.evaluate("update()")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, canvas[role]")]
            .filter((it) => !it.ariaLabel && !it.textContent.trim()
                && !(it.labels && [...it.labels].some((label) => label.textContent)))
            .map((it) => it.outerHTML)"""
    )
    assert nameless == []
    assert page.get_attribute("#verdict", "role") == "status"
    page.focus("#clear")
    page.keyboard.press("Shift+Tab")
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "3px"


# Making the file.


def test_four_networks_of_published_size_fit_in_six_megabytes():
    names = ("sigmoid_mse", "relu_softmax", "keras_dense", "flax_dense")
    networks = {
        name: random_network(name, MODELS[name].recipe.layer_sizes) for name in names
    }
    assert sum(num_params(one.params) for one in networks.values()) > 1_700_000
    rng = np.random.default_rng(0)
    test = Batch(
        rng.integers(256, size=(200, 28, 28), dtype=np.uint8), np.arange(200) % 10
    )
    answers = {name: rng.integers(10, size=200) for name in names}
    shares = {name: rng.uniform(size=200) for name in names}
    text = draw.make_page(networks, draw.Tested(test, answers, shares), seed=3)
    assert len(text.encode()) < 6_000_000
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    untrained = [one["name"] for one in data["networks"] if one["untrained"]]
    assert untrained == ["sigmoid_mse", "relu_softmax"]
    assert not re.search("https?:", text)


def test_what_cannot_be_drawn_is_refused(tmp_path, run, digits):
    large = random_network("relu_softmax", (784, 10))
    large.params[0].kernel[3, 4] = 70_000  # beyond float16
    with pytest.raises(InputError, match=r"70000.*--float32"):
        draw.make_page({"relu_softmax": large})
    assert "70000" not in draw.make_page({"relu_softmax": large}, float32=True)
    large.params[0].kernel[3, 4] = np.nan
    with pytest.raises(InputError, match="relu_softmax: a weight of nan"):
        draw.make_page({"relu_softmax": large}, float32=True)
    small = random_network("row_rnn", (8, 10), image_shape=(8, 8))
    with pytest.raises(InputError, match="relu_softmax and row_rnn differ"):
        draw.make_page({"relu_softmax": large, "row_rnn": small})
    with pytest.raises(InputError, match="answers to 360 images that are not"):
        draw.write(run, tmp_path / "x.html", test=digits.validation)
    with pytest.raises(InputError, match="is no folder"):
        draw.write(run, tmp_path / "none" / "x.html")
    with pytest.raises(InputError, match="is a folder; name a file"):
        draw.write(run, tmp_path)
    with pytest.raises(InputError, match="not the folder of a run"):
        draw.write(tmp_path)
    assert os.listdir(tmp_path) == []


def test_the_command_draws_a_run_or_a_file(run, tmp_path, monkeypatch, capsys):
    copied = shutil.copytree(run, tmp_path / "run")
    assert cli.main(["draw", str(copied)]) == 0
    assert str(copied / draw.FILE) in capsys.readouterr().out
    page = (copied / draw.FILE).read_text()
    assert all(f'"name":"{name}"' in page for name in MODELS_HERE)
    assert '"title":"The hardest"' in page
    # Without the dataset there are no test images, and it says so.
    config = json.loads((copied / "config.json").read_text())
    config["dataset"] = "mnist"
    (copied / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(data, "load", unavailable)
    output = tmp_path / "page.html"
    options = ["--output", str(output), "--float32"]
    assert cli.main(["draw", str(copied), *options]) == 0
    assert "no test images. It is nowhere" in capsys.readouterr().err
    assert '"samples":[]' in output.read_text()
    # A file of weights alone.
    file = copied / "weights" / "row_rnn.npz"
    assert cli.main(["draw", str(file)]) == 0
    assert "One network trained on" in (copied / "weights" / draw.FILE).read_text()
    assert cli.main(["draw", str(tmp_path)]) == 1
    assert "error: " in capsys.readouterr().err


def unavailable(*_, **__):
    raise DatasetUnavailable("It is nowhere.")


def test_labels_are_data_and_never_html():
    labels = ("</script><b>", *"123456789")
    network = random_network("relu_softmax", (784, 10), labels=labels)
    text = draw.make_page({"relu_softmax": network})
    assert "</script><b>" not in text
    assert text.count("</script>") == 2


def test_drawings_are_fitted_as_the_images_are(digits):
    assert pixels.mnists_ink_side((28, 28)) == 20
    assert pixels.mnists_ink_side((14, 10)) == 10
    images = np.zeros((3, 28, 28), np.uint8)
    images[:] = pixels.FAINTEST
    images[:, 4:24, 9:15] = 100
    images[2, 0] = 255  # one of three is taller
    assert pixels.ink_side(images) == 20
    assert pixels.ink_side(digits.test.image) > 24  # they have no margin


@pytest.mark.mnist
def test_mnists_ink_has_20_pixels(mnist):
    assert pixels.ink_side(mnist.test.image) == 20
