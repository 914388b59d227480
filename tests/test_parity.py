"""Programs compared step by step, and what their differences cost."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import parity as experiment
import pytest
import scipy.special
import scipy.stats

from experiments.parity import comparison, keras_sides, prices
from experiments.parity import report as parity_report
from experiments.parity import results as parity_results
from experiments.parity.results import Priced
from experiments.parity.task import batches, marks, pixel_values, rounded_otherwise
from jaxnets import models as recipes
from jaxnets import relu_softmax
from jaxnets.errors import InputError, NonFiniteLoss
from jaxnets.types import Batch, Dense

STEPS = 12
SMALL = replace(recipes.KERAS_DENSE, layer_sizes=(784, 16, 10), batch_size=100)


def quick(output: Path, **settings) -> experiment.Config:
    standard = {"dataset": "digits", "recipe": SMALL, "steps": STEPS, "epochs": 2}
    return experiment.Config(**{**standard, "output": output, **settings})


def read(output: Path) -> dict:
    return json.loads((output / "results.json").read_text())


def rows_of(file: Path) -> list[dict[str, str]]:
    with open(file, newline="") as stream:
        return list(csv.DictReader(stream))


def lines_of(output: Path) -> list[dict]:
    return [
        json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()
    ]


def test_marks_are_round_and_end_with_the_last_step():
    assert marks(1) == (1,)
    assert marks(20) == (1, 2, 3, 5, 7, 10, 20)
    assert marks(23) == (1, 2, 3, 5, 7, 10, 20, 23)


def test_batches_are_those_of_training():
    found = batches(jax.random.key(0), 23, 5, num_steps=12)
    assert [len(rows) for rows in found] == [5, 5, 5, 5, 3] * 2 + [5, 5]
    first, second = np.concatenate(found[:5]), np.concatenate(found[5:10])
    for order in (first, second):  # every image once an epoch
        np.testing.assert_array_equal(np.sort(order), np.arange(23))
    assert not np.array_equal(first, second)


def test_pixel_values_are_what_a_compiled_network_sees():
    # Oracle: a network whose kernel is the identity hands its inputs on.
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    params = (Dense(jnp.eye(256), jnp.zeros(256)),)
    seen = jax.jit(relu_softmax.apply)(params, values)
    np.testing.assert_array_equal(pixel_values(), seen[0])
    # The premise of the "pixels" cause: NumPy's quotients are one bit away.
    quotients = np.arange(256, dtype=np.float32) / np.float32(255)
    apart = pixel_values() != quotients
    assert rounded_otherwise() == apart.sum() > 0
    np.testing.assert_allclose(pixel_values(), quotients, rtol=1.3e-7)  # one bit


def test_the_relative_difference_is_the_worst_arrays():
    some = (Dense(np.array([[4.0, -8.0]]), np.array([0.01, 0.0])),)
    others = (Dense(np.array([[4.0, -7.0]]), np.array([0.02, 0.0])),)
    assert comparison.relative_difference(some, others) == 0.5  # by hand: 1/7 and 1/2
    assert comparison.relative_difference(others, others) == 0.0


@pytest.mark.keras
def test_programs_agree_and_each_cause_keeps_them_apart(tmp_path):
    # Oracle: tf.keras, on TensorFlow's kernels; and Keras on JAX, with its own Adam.
    output = tmp_path / "run"
    returned = experiment.main(quick(output, seeds=0))
    results = read(output)
    assert returned == results
    assert results["status"] == "complete" and results["missing"] == []
    assert results["prices"] == []
    equals = {entry["name"]: entry for entry in results["comparisons"]}
    assert len(equals) == 2 * 3 + 4
    for entry in equals.values():
        assert entry["steps"] == [1, 2, 3, 5, 7, 10, STEPS]
        last = entry["apart"][-1]
        if entry["name"] == "clipping":
            assert last < 1e-12  # no image is that certain yet; see the loss's own test
        elif entry["cause"] is not None:
            assert last > 1e-9 and entry["equal"] is False
        elif entry["name"].endswith("float64"):
            # float64, 784-term sums, which Adam divides by their own size
            assert last < 1e-11 and entry["equal"] is True
        elif "scratch" not in entry["name"]:
            assert 1e-9 < last < 1e-3  # float32 is what was asked for
    found = [
        (row["pair"], int(row["step"]), float(row["apart"]))
        for row in rows_of(output / "parity.csv")
    ]
    assert found == [
        (entry["name"], *pair)
        for entry in results["comparisons"]
        for pair in zip(entry["steps"], entry["apart"], strict=True)
    ]
    page = (output / "report.html").read_text()
    assert "tf_keras / flax, float64: the weights agree to" in page
    assert (output / "parity.png").exists() and not (output / "prices.png").exists()


@pytest.fixture
def without_keras(monkeypatch):
    monkeypatch.setattr(keras_sides, "installed", lambda: [])
    some = [
        choice
        for choice in prices.CHOICES
        if choice.name in (prices.AS_KERAS.name, "raw pixels")
    ]
    monkeypatch.setattr(prices, "CHOICES", some)


@pytest.mark.usefixtures("without_keras")
def test_without_keras_the_rest_is_compared_and_priced(tmp_path, capsys):
    output = tmp_path / "run"
    results = experiment.main(quick(output, seeds=3, recipe=SMALL))
    assert results == read(output)
    assert results["missing"] == ["keras_on_jax", "tf_keras"]
    names = [entry["name"] for entry in results["comparisons"]]
    programs = "flax / scratch"
    assert names == [f"{programs}, float32", f"{programs}, float64", "optax's Adam"]
    assert results["comparisons"][1]["equal"]
    assert not results["comparisons"][2]["equal"]
    base, raw = results["prices"]
    for entry in (base, raw):
        assert list(entry["accuracy"]) == ["1", "2", "3"]
        assert entry["mean"] == pytest.approx(np.mean(list(entry["accuracy"].values())))
    assert base["difference"] is None
    assert raw["difference"] == pytest.approx(raw["mean"] - base["mean"])
    # Oracle: the epochs' own lines.
    told = [line for line in lines_of(output) if line.get("epoch") == 2]
    assert told[0]["choice"] == "as tf.keras"
    reached = [
        value
        for line in told
        if line["choice"] == "raw pixels"
        for value in line["test_accuracy"]
    ]
    assert reached == list(raw["accuracy"].values())
    assert len(rows_of(output / "prices.csv")) == 6
    assert (output / "prices.png").read_bytes().startswith(b"\x89PNG")
    assert "Not installed" in capsys.readouterr().out


@pytest.mark.usefixtures("without_keras")
def test_an_interrupted_run_keeps_what_it_has(tmp_path, monkeypatch):
    train = prices.train

    def train_once(choice, *args):
        if choice.name != prices.AS_KERAS.name:
            raise KeyboardInterrupt
        yield from train(choice, *args)

    monkeypatch.setattr(prices, "train", train_once)
    output = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        experiment.main(quick(output, seeds=2, steps=1))
    results = read(output)
    assert results["status"] == "interrupted"
    assert results["comparisons"][0]["steps"] == [1]
    [base] = results["prices"]
    assert len(base["accuracy"]) == 2 and base["p_value"] is None
    assert "as tf.keras" in (output / "report.html").read_text()


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")  # the rate's own
@pytest.mark.usefixtures("without_keras")
def test_divergence_is_told_with_step_and_rate(tmp_path):
    # float32 has no number beyond 3.4e38: the first step leaves none but infinity.
    at_once = quick(tmp_path / "one", recipe=replace(SMALL, learning_rate=1e39))
    with pytest.raises(NonFiniteLoss, match=r"at step 1 at learning rate 1e\+39"):
        experiment.main(at_once)
    results = read(tmp_path / "one")
    assert results["status"] == "failed"
    assert not any(entry["steps"] for entry in results["comparisons"])
    # Finite numbers come first, whose products overflow: what was reached stays.
    later = quick(tmp_path / "two", recipe=replace(SMALL, learning_rate=1e30))
    with pytest.raises(NonFiniteLoss, match=r"at step \d+ at learning rate 1e\+30"):
        experiment.main(later)
    assert read(tmp_path / "two")["comparisons"][0]["steps"][0] == 1
    assert (tmp_path / "two" / "report.html").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps=0"),
        ({"seeds": -1}, "seeds=-1"),
        ({"seed": -1}, "seed=-1"),
        ({"epochs": 0}, "0 epochs"),
        ({"recipe": replace(SMALL, optimizer="sgd")}, "optimizer sgd must be adam"),
        ({"recipe": replace(SMALL, batch_size=1199)}, "1199"),
        ({"recipe": replace(SMALL, layer_sizes=(28, 9, 10))}, "must begin with 784"),
    ],
    ids=str,
)
def test_bad_input_is_refused_before_anything_is_written(tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        experiment.main(quick(tmp_path / "run", **settings))
    assert not (tmp_path / "run").exists()


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
    choices = {choice.name: choice for choice in prices.CHOICES}
    loss, totals = choices["raw pixels"].loss_fn(params, batch)
    np.testing.assert_allclose(loss, losses.mean(), rtol=1e-5)  # float32
    assert totals.correct == np.sum(logits.argmax(axis=1) == batch.label)
    # Likewise, with each probability in [1e-7, 1 - 1e-7].
    clipped = -np.log(np.clip(np.exp(-losses), 1e-7, 1 - 1e-7))
    loss, _ = choices["raw pixels, clipped"].loss_fn(params, batch)
    np.testing.assert_allclose(loss, clipped.mean(), rtol=1e-5)


@pytest.mark.keras
def test_the_clipped_loss_is_that_of_keras_from_probabilities(params, batch):
    from jaxnets.keras_dense import keras

    for scale in (1.0, 1000.0):  # then some images are beyond the limits
        scaled = (params[0], params[1]._replace(kernel=params[1].kernel * scale))
        probability = np.asarray(relu_softmax.predict(scaled, batch.image).probability)
        expected = keras.losses.sparse_categorical_crossentropy(
            batch.label, keras.ops.convert_to_tensor(probability)
        )
        loss, totals = prices.clipped_loss(scaled, batch)
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
        jax.grad(lambda params, loss=loss: loss(params, wrong)[0])(certain)
        for loss in (prices.clipped_loss, relu_softmax.loss_fn)
    ]
    clipped, from_logits = (np.abs(grad[1].bias).max() for grad in grads)
    assert clipped == 0.0
    assert from_logits == pytest.approx(1.0)  # softmax minus one-hot, by hand


def test_lecun_kernels_have_flaxs_default_distribution():
    params = prices.lecun_init(jax.random.key(0), (784, 100, 10))
    for layer, num_in in zip(params, (784, 100), strict=True):
        # Oracle: Kolmogorov and Smirnov's test by SciPy; variance 1 / in, cut at two
        # deviations of the distribution before the cut.
        sigma = np.sqrt(1 / num_in) / scipy.stats.truncnorm(-2, 2).std()
        normal = scipy.stats.truncnorm(-2, 2, scale=sigma)
        sample = np.asarray(layer.kernel, float).ravel()
        assert scipy.stats.kstest(sample, normal.cdf).pvalue > 0.01
        assert not layer.bias.any()


def test_prices_are_paired_differences_with_students_interval():
    base, other, third, *_ = prices.CHOICES
    priced = [
        Priced(base, {1: 0.90, 2: 0.80, 3: 0.70}),
        Priced(other, {1: 0.91, 2: 0.82, 3: 0.73}),
        Priced(third, {1: 0.90, 2: 0.80}),
    ]
    first, second, alike = parity_results.prices(priced)
    assert first["difference"] is None and first["deviation"] == pytest.approx(0.1)
    # By hand: differences 1, 2, 3 points; t(0.975; 2) = 4.3027 in the tables.
    assert second["difference"] == pytest.approx(0.02)
    half = 0.01 * 4.3027 / math.sqrt(3)
    assert second["interval"] == pytest.approx([0.02 - half, 0.02 + half], abs=1e-6)
    assert second["p_value"] == pytest.approx(0.0742, abs=1e-4)  # t = 3.4641, tables
    assert alike["difference"] == 0.0 and alike["interval"] is None


def priced_entry(name, *gaps, p_value):
    return {
        "name": name,
        "gaps": dict(enumerate(gaps)),
        "difference": float(np.mean(gaps)),
        "p_value": p_value,
    }


def test_what_a_choice_gains_or_costs_is_said_and_what_ties():
    base = {"name": prices.AS_KERAS.name, "gaps": None, "p_value": None}
    entries = [
        base,
        priced_entry("better", 0.002, 0.0024, p_value=0.01),
        priced_entry("worse", -0.03, -0.05, p_value=0.001),
        priced_entry("unclear", -0.01, 0.01, p_value=0.9),
        priced_entry("alike", 0.0, 0.0, p_value=None),
        priced_entry("once", 0.1, p_value=None),
    ]
    assert parity_report._price_verdicts(entries) == [
        "better gains 0.22 points of accuracy.",
        "worse costs 4.00 points of accuracy.",
        "A tie with tf.keras's own choices: unclear, alike.",
    ]


def test_a_cause_that_did_nothing_is_named():
    def entry(name, cause, *apart):
        return {"name": name, "cause": cause, "steps": [1, 200], "apart": list(apart)}

    entries = [
        entry("clipping", "it clips", 1e-15, 2e-14),
        entry("betas", "rounded", 1e-6, 0.1),
        entry("a / b, float32", None, 1e-6, 0.5),
        entry("a / b, float64", None, 1e-15, 3e-14),
    ]
    *_, idle = parity_report._cause_lines({"comparisons": entries})
    assert idle.startswith("clipping did nothing within 200 updates")
    grown = parity_report._growth({"comparisons": entries})
    assert grown == (
        "in float32 1.0e-06 at first and 5.0e-01 at the end, "
        "in float64 1.0e-15 at first and 3.0e-14 at the end"
    )


def test_clipping_is_watched_to_the_end_and_other_causes_are_not():
    steps = {pair.name: pair.num_steps for pair in comparison.causes(1563)}
    assert steps.pop("clipping") == 1563
    assert set(steps.values()) == {comparison.CAUSE_STEPS}
