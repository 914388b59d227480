"""Programs compared step by step, and what their differences cost."""

import contextlib
import csv
import dataclasses
import json
import math
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import processes
import pytest
import scipy.special
import scipy.stats
import small

from experiments.parity import __main__ as parity
from experiments.parity import comparison, page, prices, sides
from experiments.parity.comparison import (
    compare,
    comparisons,
    make_task,
    pixel_values,
)
from jaxnets import ensemble, keras_dense, models, process, relu_softmax
from jaxnets.errors import InputError, NonFiniteLoss
from jaxnets.types import Batch, Dense

STEPS = 10
EPOCHS = 2
PRICED = (prices.AS_KERAS, "raw pixels")  # of the one run
SMALL = dataclasses.replace(
    models.get("keras_dense").recipe, layer_sizes=(784, 64, 10), batch_size=100
)
QUICK = parity.Config(
    dataset="digits",
    validation_examples=237,  # whole batches are left
    recipe=SMALL,
    steps=STEPS,
    epochs=EPOCHS,
    seeds=3,
)


def csv_of(file: Path) -> list[dict[str, str]]:
    with open(file, newline="") as stream:
        return list(csv.DictReader(stream))


@contextlib.contextmanager
def standard_keras():
    """Afterwards Keras computes in float32 again, where it is installed."""
    try:
        yield
    finally:
        if "tf_keras" in sides.installed():
            keras = keras_dense.load_keras()
            keras.config.set_floatx("float32")
            keras.config.set_dtype_policy("float32")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run, with Keras where it is installed, and everything it left behind.

    tf.keras runs in this process; on JAX Keras needs one of its own.
    """
    output = tmp_path_factory.mktemp("parity") / "run"
    some = {name: prices.CHOICES[name] for name in PRICED}

    def iterate(function, program, *args, **options):
        is_tf = program == "tf_keras"
        run = processes.iterate_here if is_tf else processes.iterate
        return run(function, program, *args, **options)

    with pytest.MonkeyPatch.context() as patch, standard_keras():
        patch.setattr(prices, "CHOICES", some)
        patch.setattr(process, "iterate", iterate)
        returned = parity.main(dataclasses.replace(QUICK, output=output))
    results = json.loads((output / "results.json").read_text())
    return small.left_behind(output, returned, results=results)


@pytest.mark.keras
def test_programs_agree_and_each_cause_keeps_them_apart(finished):
    # Oracle: tf.keras, on TensorFlow's kernels; and Keras on JAX, with its own Adam.
    assert finished.results["missing"] == []
    entries = finished.results["comparisons"]
    assert len({entry["name"] for entry in entries}) == 2 * 3 + 4 + 2
    for entry in entries:
        assert entry["steps"] == [1, 2, 3, 5, 7, STEPS]
        last = entry["apart"][-1]
        if entry["name"].endswith("as timed"):
            assert 1e-9 < last < 1e-3  # float32, as below
        elif entry["name"] == "clipping":
            assert last < 1e-12  # no image is that certain yet; see the loss's own test
        elif entry["cause"] is not None:
            assert last > 1e-9 and entry["equal"] is False
        elif entry["name"].endswith("float64"):
            # float64, 784-term sums, which Adam divides by their own size
            assert last < 1e-11 and entry["equal"] is True
        elif "scratch" not in entry["name"]:
            assert 1e-9 < last < 1e-3  # float32 is what was asked for


def test_the_folder_is_whole(finished):
    assert json.loads(json.dumps(finished.returned)) == finished.results
    assert finished.results["status"] == "complete"
    assert csv_of(finished.path / "parity.csv") == [
        {
            "pair": entry["name"],
            "step": str(step),
            "apart": str(apart),
            "dataset": "digits",
        }
        for entry in finished.results["comparisons"]
        for step, apart in zip(entry["steps"], entry["apart"], strict=True)
    ]
    assert len(csv_of(finished.path / "prices.csv")) == len(PRICED) * 3
    html = (finished.path / "report.html").read_text()
    assert (html.count("<img "), html.count("<table>")) == (2, 2)


def test_prices_are_those_of_the_last_epoch(finished):
    # Oracle: the epochs' own lines.
    base, raw = finished.results["prices"]
    for entry in (base, raw):
        assert list(entry["accuracy"]) == ["1", "2", "3"]
        accuracy = [
            value
            for line in finished.rows
            if (line.get("choice"), line.get("epoch")) == (entry["name"], EPOCHS)
            for value in line["test_accuracy"]
        ]
        assert accuracy == list(entry["accuracy"].values())
        assert entry["mean"] == pytest.approx(np.mean(accuracy))
    assert base["difference"] is None
    assert raw["difference"] == pytest.approx(raw["mean"] - base["mean"])


def test_a_run_is_redrawn_from_its_rows_without_training(
    finished, tmp_path, monkeypatch
):
    monkeypatch.setattr(ensemble, "fit_many", None)
    monkeypatch.setattr(comparison, "compare", None)
    shutil.copytree(finished.path, tmp_path / "run")
    made = ("results.json", "parity.csv", "report.html", "parity.png", "prices.png")
    for name in made[1:]:
        (tmp_path / "run" / name).unlink()
    assert parity.main(parity.Config(redraw=tmp_path / "run")) == finished.returned
    for name in made:
        assert (tmp_path / "run" / name).stat().st_size


@pytest.fixture
def without_keras(monkeypatch):
    monkeypatch.setattr(sides, "installed", lambda: ["flax", "scratch"])


@pytest.mark.usefixtures("without_keras")
def test_an_interrupted_run_without_keras_keeps_what_it_has(tmp_path, monkeypatch):
    def compared(pairs, task):
        for mark in task.batches:
            apart = dict.fromkeys((pair.name for pair in pairs), 0.0)
            yield {"step": mark, "apart": apart, "seconds": 1.0}

    def stopped(choice, recipe, data, seeds):
        if choice != prices.AS_KERAS:
            raise KeyboardInterrupt
        yield {
            "choice": choice,
            "epoch": recipe.num_epochs,
            "seeds": list(seeds),
            "train_loss": [0.1] * len(seeds),
            "test_accuracy": [0.9] * len(seeds),
            "seconds": 1.0,
        }

    monkeypatch.setattr(comparison, "compare", compared)
    monkeypatch.setattr(prices, "train", stopped)
    output = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        parity.main(dataclasses.replace(QUICK, steps=1, output=output))
    content = json.loads((output / "results.json").read_text())
    assert content["status"] == "interrupted"
    assert content["missing"] == ["keras_on_jax", "tf_keras"]
    names = [entry["name"] for entry in content["comparisons"]]
    pair = "flax / scratch"
    assert names == [f"{pair}, float32", f"{pair}, float64", "optax's Adam"]
    assert [entry["steps"] for entry in content["comparisons"]] == [[1]] * 3
    [base] = content["prices"]
    assert len(base["accuracy"]) == 3 and base["p_value"] is None
    assert prices.AS_KERAS in (output / "report.html").read_text()


def test_divergence_names_step_and_rate(digits):
    # Finite numbers come first, whose products overflow: what was reached stays.
    task = make_task(dataclasses.replace(SMALL, learning_rate=1e30), digits, 3, 5)
    pair, *_ = comparisons(5, ["flax", "scratch"])
    steps = []
    with pytest.raises(NonFiniteLoss, match=r"at step \d+ at learning rate 1e\+30"):
        for row in compare([pair], task):
            steps.append(row["step"])
    assert steps and steps[0] == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps=0"),
        ({"seeds": -1}, "seeds=-1"),
        ({"seed": -1}, "seed=-1"),
        ({"epochs": 0}, "0 epochs"),
        ({"recipe": dataclasses.replace(SMALL, optimizer="sgd")}, "must be adam"),
        ({"recipe": dataclasses.replace(SMALL, batch_size=1199)}, "1199"),
        (
            {"recipe": dataclasses.replace(SMALL, layer_sizes=(28, 9, 10))},
            "must begin with 784",
        ),
    ],
    ids=str,
)
def test_bad_options_are_refused(digits, settings, message):
    with pytest.raises(InputError, match=message):
        parity.validated_recipe(dataclasses.replace(QUICK, **settings), digits)


def test_marks_are_round_and_end_with_the_last_step(digits):
    for last, marks in ((1, [1]), (20, [1, 2, 3, 5, 7, 10, 20])):
        assert list(make_task(SMALL, digits, 3, last).batches) == marks
    assert list(make_task(SMALL, digits, 3, 23).batches) == [1, 2, 3, 5, 7, 10, 20, 23]


def test_batches_are_those_of_training(digits):
    small = Batch(digits.train.image[:23], digits.train.label[:23])
    recipe = dataclasses.replace(SMALL, batch_size=5)
    task = make_task(recipe, digits._replace(train=small), 0, 12)
    assert [len(part) for part in task.batches.values()] == [1, 1, 1, 2, 2, 3, 2]
    indices = [rows for part in task.batches.values() for rows in part]
    assert [len(rows) for rows in indices] == [5, 5, 5, 5, 3] * 2 + [5, 5]
    first, second = np.concatenate(indices[:5]), np.concatenate(indices[5:10])
    for order in (first, second):  # every image once an epoch
        np.testing.assert_array_equal(np.sort(order), np.arange(23))
    assert not np.array_equal(first, second)


def test_pixel_values_are_what_a_compiled_network_sees():
    # Oracle: a network whose kernel is the identity hands its inputs on.
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    params = (Dense(jnp.eye(256), jnp.zeros(256)),)
    seen = jax.jit(relu_softmax.apply)(params, values)
    compiled, quotients = pixel_values()
    np.testing.assert_array_equal(compiled, seen[0])
    np.testing.assert_array_equal(
        quotients, np.arange(256, dtype=np.float32) / np.float32(255)
    )
    # The premise of the "pixels" cause: NumPy's quotients are one bit away.
    assert 100 < np.sum(compiled != quotients) < 156
    np.testing.assert_allclose(compiled, quotients, rtol=1.3e-7)  # one bit


def test_the_relative_difference_is_the_worst_arrays():
    some = (Dense(np.array([[4.0, -8.0]]), np.array([0.01, 0.0])),)
    others = (Dense(np.array([[4.0, -7.0]]), np.array([0.02, 0.0])),)
    assert comparison.relative_difference(some, others) == 0.5  # by hand: 1/7 and 1/2
    assert comparison.relative_difference(others, others) == 0.0


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    image = rng.integers(256, size=(6, 4, 5), dtype=np.uint8)
    return Batch(image, rng.integers(10, size=6, dtype=np.int32))


@pytest.fixture(scope="module")
def params():
    rng = np.random.default_rng(1)
    return tuple(
        Dense(rng.normal(size=shape).astype(np.float32) / 20, np.zeros(shape[1]) + 0.1)
        for shape in ((20, 8), (8, 10))
    )


def test_raw_pixels_are_0_to_255(params, batch):
    # Oracle: NumPy in float64, on the stored bytes.
    (first, first_bias), (last, last_bias) = oracles.network_of(params)
    hidden = batch.image.reshape(6, 20).astype(float) @ first + first_bias[None, :]
    logits = np.maximum(hidden, 0) @ last + last_bias[None, :]
    losses = -scipy.special.log_softmax(logits, axis=1)[np.arange(6), batch.label]
    choices = prices.CHOICES
    loss, totals = jax.jit(choices["raw pixels"].loss_fn)(params, batch)
    np.testing.assert_allclose(loss, losses.mean(), rtol=1e-5)  # float32
    assert totals.correct == np.sum(logits.argmax(axis=1) == batch.label)
    # Likewise, with each probability in [1e-7, 1 - 1e-7].
    clipped = -np.log(np.clip(np.exp(-losses), 1e-7, 1 - 1e-7))
    loss, _ = jax.jit(choices["raw pixels, clipped"].loss_fn)(params, batch)
    np.testing.assert_allclose(loss, clipped.mean(), rtol=1e-5)


@pytest.mark.keras
def test_the_clipped_loss_is_that_of_keras_from_probabilities(params, batch):
    keras = keras_dense.load_keras()
    for scale in (1.0, 1000.0):  # then some images are beyond the limits
        scaled = (params[0], params[1]._replace(kernel=params[1].kernel * scale))
        probability = np.asarray(relu_softmax.predict(scaled, batch.image).probability)
        expected = keras.losses.sparse_categorical_crossentropy(
            batch.label, keras.ops.convert_to_tensor(probability)
        )
        loss, totals = jax.jit(prices.clipped_loss)(scaled, batch)
        # float32; -log(1 - 1e-7) is one rounding of 1 away from 0
        np.testing.assert_allclose(loss, np.mean(expected), rtol=1e-5, atol=1e-7)
        assert totals.seen == 6
        hopeless = -math.log(1e-7)
        assert (np.max(expected) == pytest.approx(hopeless, rel=1e-5)) == (scale > 1)


def test_a_clipped_image_teaches_nothing(params, batch):
    bias = jnp.zeros(10).at[0].set(60.0)  # certain of 0, whatever the image
    certain = (params[0], params[1]._replace(bias=bias))
    wrong = Batch(batch.image, np.full(6, 3, np.int32))
    grads = [
        jax.jit(jax.grad(loss, has_aux=True))(certain, wrong)[0]
        for loss in (prices.clipped_loss, relu_softmax.loss_fn)
    ]
    clipped, from_logits = (np.abs(grad[1].bias).max() for grad in grads)
    assert clipped == 0.0
    assert from_logits == pytest.approx(1.0)  # softmax minus one-hot, by hand


def test_lecun_kernels_have_flaxs_default_distribution():
    init = jax.jit(prices.lecun_init, static_argnums=1)
    params = init(jax.random.key(0), (200, 50, 10))
    for layer, num_in in zip(params, (200, 50), strict=True):
        # Oracle: Kolmogorov and Smirnov's test by SciPy; variance 1 / in, cut at two
        # deviations of the distribution before the cut.
        sigma = np.sqrt(1 / num_in) / scipy.stats.truncnorm(-2, 2).std()
        normal = scipy.stats.truncnorm(-2, 2, scale=sigma)
        sample = np.asarray(layer.kernel, float).ravel()
        assert scipy.stats.kstest(sample, normal.cdf).pvalue > 0.01
        assert not layer.bias.any()


def last_rows(by_choice):
    """Rows of `prices.train` from accuracies by choice and seed."""
    return [
        {"choice": name, "seeds": list(by_seed), "test_accuracy": [*by_seed.values()]}
        for name, by_seed in by_choice.items()
    ]


def test_prices_are_paired_differences_with_students_interval():
    names = list(prices.CHOICES)
    assert names[0] == prices.AS_KERAS
    accuracy = [
        {1: 0.90, 2: 0.80, 3: 0.70},
        {1: 0.91, 2: 0.82, 3: 0.73},
        {1: 0.90, 2: 0.80},
        {7: 0.90},
    ]
    entries = prices.entries(last_rows(dict(zip(names, accuracy, strict=False))))
    base, better, alike, other_seeds = entries
    verdicts = [entry["verdict"] for entry in entries]
    assert verdicts == [None, "not told apart", "too few seeds", None]
    assert base["difference"] is None and base["deviation"] == pytest.approx(0.1)
    # By hand: differences 1, 2, 3 points; t(0.975; 2) = 4.3027 in the tables.
    assert better["difference"] == pytest.approx(0.02)
    half = 0.01 * 4.3027 / math.sqrt(3)
    assert better["interval"] == pytest.approx([0.02 - half, 0.02 + half], abs=1e-6)
    assert better["p_value"] == pytest.approx(0.0742, abs=1e-4)  # t = 3.4641, tables
    assert alike["difference"] == 0.0 and alike["interval"] is None
    assert other_seeds["gaps"] is None and other_seeds["deviation"] is None
    assert len(page.price_table(entries, EPOCHS).rows) == 4


def test_p_values_of_prices_are_corrected_together():
    base = dict.fromkeys(range(4), 0.9)
    gaps = {"LeCun normal": (1, 2, 3, 4), "clipped": (-1, 2, -2, 1)}
    by_choice = {prices.AS_KERAS: base} | {
        name: {seed: 0.9 + gap / 100 for seed, gap in enumerate(gaps[name])}
        for name in gaps
    }
    _, first, second = prices.entries(last_rows(by_choice))
    # Oracle: SciPy's test; by hand: the smaller of two p-values counts twice.
    expected = scipy.stats.ttest_1samp(gaps["LeCun normal"], 0).pvalue
    assert first["p_value"] == pytest.approx(2 * expected)
    assert second["p_value"] == pytest.approx(1.0)
    # Each side of the margin of a tenth of a point, by SciPy; then Holm by hand.
    sides = ((-0.1, "greater"), (0.1, "less"))
    high, low = (
        max(scipy.stats.ttest_1samp(gap, m, alternative=s).pvalue for m, s in sides)
        for gap in gaps.values()
    )
    assert low < high
    assert second["equal_p_value"] == pytest.approx(min(1, 2 * low))
    assert first["equal_p_value"] == pytest.approx(max(high, min(1, 2 * low)))


@pytest.mark.parametrize(
    ("gaps", "verdict"),
    [
        ((-38, -40, -36, -39), "worse"),
        ((21, 19, 20, 22), "better"),
        ((0.1, -0.1, 0.2, -0.2), "equal within 0.1 points"),
        ((20, -18, 25, -30), "not told apart"),
        ((0, 0, 0), "no spread"),
        ((-38, -38), "too few seeds"),
    ],
)
def test_verdicts_of_prices(gaps, verdict):
    by_seed = {seed: 0.9 + gap / 1000 for seed, gap in enumerate(gaps)}
    base = dict.fromkeys(by_seed, 0.9)
    *_, entry = prices.entries(
        last_rows({prices.AS_KERAS: base, "raw pixels": by_seed})
    )
    assert entry["verdict"] == verdict
    assert (entry["interval"] is None) == (verdict in ("no spread", "too few seeds"))


def test_pairs_that_were_broken_off_are_not_judged():
    pairs = comparisons(1000, ("tf_keras", "flax", "scratch"))
    watched = {pair.name: 0.0 for pair in pairs}
    rows = [{"step": step, "apart": watched, "seconds": 1.0} for step in (1, 2)]
    content = parity.results(rows, pairs, 1)
    assert content["missing"] == ["keras_on_jax"]
    for entry in content["comparisons"]:
        assert (entry["steps"], entry["equal"], entry["identical"]) == (
            [1, 2],
            None,
            None,
        )
    assert (content["prices"], content["price_seconds"]) == ([], None)
    assert len(list(page.sections(content))) == 2  # a picture and a table
    assert page.lead(content)
    nothing = parity.results([], pairs, 1)
    assert nothing["parity_seconds"] is None and list(page.sections(nothing)) == []
    assert page.lead(nothing)


def test_clipping_is_watched_to_the_end_and_other_causes_are_not():
    pairs = comparisons(1563, sides.PROGRAMS)
    steps = {pair.name: pair.num_steps for pair in pairs if pair.cause}
    whole = ("clipping", "Flax as timed", "Keras on JAX as timed")
    assert [steps.pop(name) for name in whole] == [1563] * 3
    assert set(steps.values()) == {comparison.CAUSE_STEPS}
