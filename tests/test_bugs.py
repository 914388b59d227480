"""The mistakes against NumPy, and the experiment end to end on digits."""

import functools
import json
import math
from dataclasses import replace

import chex
import jax
import numpy as np
import oracles
import pytest
from small import order_of, random_layers

from experiments.bugs import __main__ as bugs
from experiments.bugs import judge, keras_model, page, results
from experiments.bugs.programs import (
    BYTES,
    HEALTHY,
    MISTAKES,
    PROGRAMS,
    SCALED,
    labels_apart,
)
from experiments.bugs.train import BINS, UNTRAINED, end_of, epoch_row, histograms, train
from experiments.kit import folder
from experiments.kit.page import Picture, Table
from experiments.kit.progress import console
from jaxnets import data, flax_dense, sigmoid_mse, training
from jaxnets.diagnose import Run
from jaxnets.errors import InputError
from jaxnets.models import MODELS
from jaxnets.types import Batch

pytestmark = pytest.mark.slow

SIZES = (784, 30, 10)
IMAGES = 360  # scikit-learn's last fifth of 1,797
EXAMPLES = 1000  # to train on: whole batches only
SEEDS = 6  # of every program, so that many share what is compiled
EPOCHS = 8  # on digits
MODEL_1, MODEL_3 = MODELS["sigmoid_mse"].recipe, MODELS["keras_dense"].recipe
SMALL = replace(MODEL_3, layer_sizes=(784, 64, 10), batch_size=25)  # whole batches


@pytest.fixture(scope="module")
def params():
    return random_layers(SIZES)


@pytest.fixture(scope="module")
def batch(digits):
    return Batch(digits.train.image[:10], digits.train.label[:10])


def outputs_of(params, images):
    """The outputs of oracles.py's network."""
    network = oracles.network_of(params)
    outputs = [oracles.sigmoid_backprop(network, image, 0)[1] for image in images]
    return np.array(outputs)


def test_without_a_mistake_it_is_model_1(params, batch):
    # Oracle: Nielsen's equations in float64; rtol: float32, sums of 784 terms.
    network = oracles.network_of(params)
    loss, grads = oracles.batch_gradients(oracles.sigmoid_backprop, network, *batch)
    loss_and_grad = jax.jit(jax.value_and_grad(HEALTHY.loss_fn, has_aux=True))
    (ours, totals), our_grads = loss_and_grad(params, batch)
    assert ours == pytest.approx(loss, rel=1e-5)
    assert totals.loss == pytest.approx(10 * loss, rel=1e-5)
    for layer, pair in zip(our_grads, grads, strict=True):
        np.testing.assert_allclose(layer.kernel, pair[0], rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(layer.bias, pair[1], rtol=1e-4, atol=1e-7)


def test_model_3_is_flax_dense(batch):
    params = random_layers(SMALL.layer_sizes)
    ours, totals = jax.jit(SCALED.loss_fn)(params, batch)
    expected, expected_totals = jax.jit(flax_dense.loss_fn)(params, batch)
    assert ours == expected
    chex.assert_trees_all_equal(totals, expected_totals)


@pytest.mark.parametrize(
    ("name", "rate"),
    # The rate at which plain SGD would take the same step.
    [("batch_sum", 30.0), ("output_mean", 0.6), ("uphill", -3.0), ("thrown_away", 0)],
)
def test_a_mistake_acts_as_another_rate(params, batch, name, rate):
    program = MISTAKES[name]
    tx = program.optimizer(MODEL_1)
    step = jax.jit(training.make_train_step(program.loss_fn, tx))
    state, _ = step(training.start(params, tx), batch)
    network = oracles.network_of(params)
    expected = oracles.sgd_step(oracles.sigmoid_backprop, network, *batch, rate)
    for layer, (kernel, bias) in zip(state.params, expected, strict=True):
        # float32 gradients times up to 30
        np.testing.assert_allclose(layer.kernel, kernel, atol=2e-5)
        np.testing.assert_allclose(layer.bias, bias, atol=2e-5)


def test_integers_are_broadcast_into_the_cost(params, batch):
    # Oracle: the book's cost, `0.5*np.linalg.norm(a-y)**2`, where y is a number.
    pairs = zip(outputs_of(params, batch.image), batch.label, strict=True)
    expected = np.mean([0.5 * np.linalg.norm(a - y) ** 2 for a, y in pairs])
    loss, _ = jax.jit(MISTAKES["integer_labels"].loss_fn)(params, batch)
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("program", [MISTAKES["bytes"], BYTES])
def test_bytes_reach_the_network_as_they_are(params, batch, program):
    inputs = program.inputs(batch.image)
    np.testing.assert_array_equal(inputs, batch.image.reshape(10, 784))
    assert inputs.dtype == np.float32
    # Oracle: the first layer's weighted inputs in float64 have 255 times the size.
    kernel = np.asarray(params[0].kernel, np.float64) * 255
    scaled = HEALTHY if program is MISTAKES["bytes"] else SCALED
    larger = (params[0]._replace(kernel=np.float32(kernel)), *params[1:])
    ours, expected = (
        jax.jit(functools.partial(one.layers, one.inputs))(weights, batch.image)[-1]
        for one, weights in ((program, params), (scaled, larger))
    )
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4)


def test_arg_max_along_the_images():
    outputs = np.random.default_rng(0).uniform(size=(37, 10))
    # Oracle: mini-batch by mini-batch, as a program with that mistake does it.
    expected = []
    for start in range(0, 30, 10):
        expected += list(np.argmax(outputs[start : start + 10], axis=0))
    program = MISTAKES["wrong_axis"]
    assert program.answer(outputs[:30]).tolist() == expected
    assert program.answer(outputs).tolist() == expected  # 7 more fill no batch
    labels = np.arange(37) % 10
    assert program.score(np.array(expected), labels) == np.mean(expected == labels[:30])


def test_answers_against_one_hot_rows(digits):
    labels = digits.test.label
    answers = np.random.default_rng(0).integers(0, 10, IMAGES)
    one_hot = np.eye(10)[labels]
    pairs = zip(answers, one_hot, strict=True)
    score = MISTAKES["one_hot_rows"].score(answers, labels)
    # Oracles: an image at a time, and the formula.
    assert score == pytest.approx(np.mean([answer == row for answer, row in pairs]))
    zeros, ones = np.sum(answers == 0), np.sum(answers == 1)
    assert score == pytest.approx((9 * zeros + ones) / (10 * IMAGES))


def test_labels_are_shuffled_and_images_are_not(digits):
    image, label = MISTAKES["labels_apart"].data(digits.train)
    np.testing.assert_array_equal(image, digits.train.image)
    assert sorted(label) == sorted(digits.train.label)
    # A stranger's label is right in a tenth of the cases.
    assert np.mean(label == digits.train.label) < 0.2


def test_an_iterator_that_was_used_up_has_nothing_left(digits):
    image, label = MISTAKES["used_up"].data(digits.train)
    assert image.shape == (0, 28, 28)
    assert label.shape == (0,)


@pytest.mark.parametrize(("name", "value"), [("all_zero", 0), ("all_one", 1)])
def test_weights_are_all_equal(params, name, value):
    ours = MISTAKES[name].init(jax.random.key(0), SIZES)
    chex.assert_trees_all_equal_shapes_and_dtypes(ours, params)
    assert all(np.all(leaf == value) for leaf in jax.tree.leaves(ours))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Every program, and Model 3 in Flax: its folder, results.json, and the screen."""
    output = tmp_path_factory.mktemp("bugs") / "run"
    config = bugs.Config(
        output=output,
        dataset="digits",
        examples=EXAMPLES,
        epochs=EPOCHS,
        seeds=SEEDS,
        healthy_seeds=SEEDS,
        untrained=40,
        pixel_models=("flax_dense",),
        keras_dense=SMALL,
        judged_seeds=0,
    )
    with console().capture() as capture:
        returned = bugs.main(config)
    assert returned == json.loads((output / "results.json").read_text())
    return output, returned, capture.get()


@pytest.fixture(scope="module")
def rows(run):
    return list(folder.read_rows(run[0]))


@pytest.mark.parametrize("name", MISTAKES)
def test_every_mistake_is_named(run, name):
    _, content, _ = run
    entry = content["programs"][name]
    assert entry["diagnosis"] == {MISTAKES[name].sign: len(entry["seeds"])}


def test_no_healthy_network_is_accused(run):
    # Oracle of "never answers k": the counted answers.
    _, content, _ = run
    entry = content["programs"]["healthy"]
    assert entry["seeds"] == list(range(SEEDS))
    pairs = zip(entry["diagnosis_by_seed"], entry["answers_by_seed"], strict=True)
    for findings, counts in pairs:
        missing = [str(digit) for digit in range(10) if counts[digit] == 0]
        assert [finding["kind"] for finding in findings] == (
            ["never_answered"] if missing else []
        )
        assert all(digit in findings[0]["text"] for digit in missing)
    # A tenth of the images is out of reach: they are worse, and not by chance.
    is_low = [0 in counts for counts in entry["answers_by_seed"]]
    accuracies = np.array(entry["by_seed"])
    others = accuracies[np.logical_not(is_low)]
    assert any(is_low) and np.mean(accuracies[is_low]) < np.mean(others) - 0.05
    for kind, expected in (("scaled", "healthy"), ("bytes", "byte_range")):
        assert content["model_3"]["flax_dense"][kind]["diagnosis"] == {expected: SEEDS}


def test_results_are_those_of_the_rows(rows, digits):
    # The write-up's figures are of MNIST; digits of that name are held against them.
    content = results.of(rows, digits._replace(name="mnist"))
    assert content["untrained"]["ends_within_chance"]["of"] == 40
    low, high = content["within_chance"]
    for name, entry in content["programs"].items():
        own = [row for row in rows if row["program"] == name]
        epochs = 0 if name == "used_up" else EPOCHS
        assert len(own) == max(epochs, 1) * len(entry["seeds"])
        last = [row["test_accuracy"] for row in own if row["epoch"] == epochs]
        assert entry["by_seed"] == last
        assert entry["test_accuracy"] == pytest.approx(np.mean(last))
        assert entry["median"] == pytest.approx(np.median(last))
        # Oracle: row by row, in counts of images.
        ends, passes = set(), set()
        for row in own:
            if low - 0.01 <= row["test_accuracy"] * IMAGES <= high + 0.01:
                (ends if row["epoch"] == epochs else passes).add(row["seed"])
        assert entry["ends_within_chance"]["count"] == len(ends)
        assert entry["passes_within_chance"]["count"] == len(passes)
        assert entry["ends_within_chance"]["of"] == len(entry["seeds"])
    # Of other data the write-up reports nothing.
    content = results.of(rows, digits)
    assert content["reported_accuracy"] is content["reported_accuracy_model_3"] is None
    assert content["programs"]["bytes"]["ends_within_chance"] is None


def test_epochs_on_the_way_are_not_the_end(digits):
    # 37 of 360 right is 10.28 %; the first seed only passes it, the third stays there.
    histories = [(37, 300), (300, 37), (37, 37), (0, 1)]
    rows = []
    for seed, counts in enumerate(histories):
        for epoch, count in enumerate(counts, start=1):
            row = end("healthy", seed, loss=0.1)
            rows.append(row | {"epoch": epoch, "test_accuracy": count / IMAGES})
    for row in rows[::2]:
        del row["diagnosis"]
    content = results.of(rows, digits._replace(name="mnist"))
    entry = content["programs"]["healthy"]
    assert entry["ends_within_chance"]["count"] == 2
    assert entry["passes_within_chance"]["count"] == 2
    assert entry["ends_within_chance"]["interval_95"] == pytest.approx(
        [0.150, 0.850], abs=0.001
    )  # Wilson's formula by hand: (2 + 1.92) / 7.84 -+ 1.96 sqrt(1 + 0.96) / 7.84


@pytest.mark.parametrize(("share", "count"), [(0.1041, 10_000), (0.972, 360)])
def test_the_range_of_chance_leaves_out_a_fortieth_at_each_end(share, count):
    # Oracle: binomial probabilities one by one.
    logs = [math.lgamma(count + 1)] * (count + 1)
    for k in range(count + 1):
        logs[k] -= math.lgamma(k + 1) + math.lgamma(count - k + 1)
        logs[k] += k * math.log(share) + (count - k) * math.log(1 - share)
    chance = np.exp(logs)
    low, high = results.chance_range(share, count)
    assert np.sum(chance[:low]) <= 0.025 < np.sum(chance[: low + 1])
    assert np.sum(chance[high + 1 :]) <= 0.025 < np.sum(chance[high:])


def test_what_learns_nothing_scores_as_it_starts(run):
    _, content, _ = run
    programs = content["programs"]
    assert programs["used_up"]["by_seed"] == programs["thrown_away"]["by_seed"]
    assert programs["used_up"]["parameter_change"] == 0
    assert programs["thrown_away"]["parameter_change"] == 0
    assert programs["used_up"]["train_loss"] is None
    assert programs["healthy"]["test_accuracy"] > 0.5  # 0.1 is chance
    # Oracle: a network that always answers 0 is right on the 0s.
    share = content["class_shares"][0]
    assert programs["all_one"]["by_seed"] == pytest.approx([share] * SEEDS)


def test_page_and_screen_show_every_program(run):
    output, _, screen = run
    page = (output / "report.html").read_text()
    for name in PROGRAMS:
        assert name in page
        assert name in screen
    for figure in ("accuracies", "activations", "answers", "losses", "model_3"):
        assert (output / f"{figure}.png").stat().st_size > 10_000
    assert "10.41" not in page and "97.2" not in page  # these are digits


def test_untrained_networks_are_those_that_training_starts_from(rows, digits):
    # Oracle: the forward pass in float64 of each network by itself.
    starts = [row for row in rows if row["program"] == UNTRAINED]
    assert [row["seed"] for row in starts] == list(range(40))
    for row in starts[:2]:
        network = sigmoid_mse.init(training.run_keys(row["seed"]).init, SIZES)
        answers = outputs_of(network, digits.test.image).argmax(axis=1)
        right = np.sum(answers == digits.test.label)
        assert abs(row["test_accuracy"] * IMAGES - right) <= 1.01  # a tie


def test_a_run_is_redrawn_without_training(run, monkeypatch):
    output, content, _ = run
    monkeypatch.setattr(bugs, "train", None)
    monkeypatch.setattr(
        page, "sections", lambda *_: []
    )  # what is drawn, is drawn above
    assert bugs.main(bugs.Config(redraw=output)) == content


def shown(rows, dataset):
    """Results from rows, and all tables and figures made from them."""
    head = {"dataset": dataset.name, "test_examples": IMAGES}
    content = {**head, **results.of(rows, dataset)}
    json.dumps(content, allow_nan=False)
    assert page.lead(content)
    parts = page.sections(content, rows)
    tables = [part for part in parts if isinstance(part, Table)]
    for table in tables:
        assert all(len(row) == len(table.header) for row in table.rows)
    figures = [part.figure() for part in parts if isinstance(part, Picture)]
    return content, tables, figures


def test_the_reported_accuracy_is_shown_where_there_is_one(rows, digits):
    content, tables, _ = shown(rows, digits._replace(name="mnist"))
    assert "10.41%" in page.lead(content)
    assert any("10.41%" in name for name in tables[0].header)
    assert any("97.2%" in name for name in tables[-1].header)


def test_runs_without_what_later_ones_hold_are_redrawn(rows, digits):
    later = ("first_loss", "first_flat_hidden", "activations", "slopes")
    later += ("first_activations", "first_slopes")
    old = [{k: v for k, v in row.items() if k not in later} for row in rows]
    content, _, figures = shown(old, digits)
    assert content["judgement"] is None
    assert len(figures) == len(shown(rows, digits)[2]) - 1


def test_a_run_cut_short_shows_the_networks_that_are_finished(rows, digits):
    programs = [row["program"] for row in rows]
    cut = rows[: programs.index("batch_sum") + 1]
    content, *_ = shown(cut, digits)
    expected = ["healthy", "wrong_axis", "one_hot_rows", "bytes", "labels_apart"]
    assert list(content["programs"]) == expected
    assert content["untrained"] is None
    assert content["model_3"] == {}
    assert page.sections(results.of(rows[:3], digits), rows[:3]) == []


def end(program, seed, *, loss, diagnosis=(), counts=(36,) * 10):
    """The last row of a network."""
    return {
        **epoch_row(program, seed, 1, loss, 0.5),
        **dict.fromkeys(("flat_hidden", "error_slope", "parameter_change")),
        "answers": list(counts),
        "diagnosis": [{"kind": kind, "text": kind} for kind in diagnosis],
    }


def test_networks_that_diverge_are_shown_without_numbers(digits):
    rows = [end("healthy", seed, loss=np.inf) for seed in (0, 1)]
    rows += [end(SCALED.name, 0, loss=np.nan, diagnosis=["diverging"])]
    content, tables, figures = shown(rows, digits)
    for figure in figures:
        figure.canvas.draw()
    assert content["model_3"]["flax_dense"]["scaled"]["train_loss"] is None
    [row] = tables[1].rows
    assert list(row[2:6]) == ["-"] * 4


def test_histograms_of_activations_count_each_once():
    rng = np.random.default_rng(0)
    # Oracle: one by one; float32 as networks give them, the ends among them.
    values = rng.uniform(size=(50, 4)).astype(np.float32)
    values[:2] = [[0, 1, 0.5, 1e-30], [1e-7, 1 - 1e-7, 0, 1]]
    counts = histograms("quadratic", [values[:, :3], values[:, 3:]])
    places = np.zeros((2, BINS), int)
    for value in map(float, values.ravel()):
        places[0, min(BINS - 1, int(value * BINS))] += 1
        slope = max(value * (1 - value), 1e-8)
        places[1, int((8 + math.log10(slope)) / 8 * BINS + 1e-9)] += 1
    assert [counts["activations"], counts["slopes"]] == places.tolist()
    assert histograms("cross_entropy", [values])["slopes"] is None


@pytest.fixture(scope="module")
def settings(few_digits):
    """What diagnose is judged on, of two mistakes that cost no training."""
    config = bugs.Config(
        mistakes=("one_hot_rows", "used_up"),
        epochs=EPOCHS,
        keras_dense=SMALL,
        judged_examples=(EXAMPLES,),
        judged_rates=(),
    )
    return bugs.judged(config, few_digits)


@pytest.fixture(scope="module")
def judged_rows(settings):
    return list(judge.train(settings, SEEDS, SEEDS))


def test_judged_networks_have_seeds_of_their_own(settings, judged_rows):
    assert len(judged_rows) == sum(part.num_rows(SEEDS, SEEDS) for part in settings)
    groups = [{row["seed"] for row in rows} for rows in by_setting(judged_rows)]
    assert len(groups) == 3  # two lengths of training, Model 3
    assert sum(map(len, groups)) == len(set.union(*groups)) == 3 * SEEDS
    assert min(set.union(*groups)) == judge.FIRST_SEED


def by_setting(rows):
    names = dict.fromkeys(row["setting"] for row in rows)
    return [[row for row in rows if row["setting"] == name] for name in names]


def test_a_rate_of_the_judgement_is_that_of_the_training(settings):
    # Oracle: stochastic gradient descent in float64, of each network alone.
    part = data.first_examples(settings[1].dataset, 100)  # ten steps, ahead of chaos
    recipe = replace(settings[1].recipe, num_epochs=1)
    changes = {"dataset": part, "recipe": recipe, "rates": [3.0, 10.0]}
    setting = settings[1]._replace(programs=[HEALTHY], **changes)
    rows = list(setting.train(50, 2, 1))
    assert len(rows) == 4  # two networks a rate
    for row, rate in zip(rows, [3.0, 10.0, 3.0, 10.0], strict=True):
        keys = training.run_keys(row["seed"])
        network = oracles.network_of(sigmoid_mse.init(keys.init, SIZES))
        order = order_of(keys.data, 0, 100)
        *_, loss = oracles.sgd_epoch(
            *(oracles.sigmoid_backprop, network, *part.train, order),
            **{"batch_size": 10, "rate": rate},
        )
        assert row["train_loss"] == pytest.approx(loss / 100, rel=1e-3)
        assert ("rate 10" in row["setting"]) == (rate == 10)


def test_judged_networks_are_in_no_other_result(rows, judged_rows, digits):
    content, tables, _ = shown([*rows, *judged_rows], digits)
    assert content["judgement"] == judge.results(judged_rows)
    assert content | {"judgement": None} == shown(rows, digits)[0]
    words = "".join(cell for table in tables for row in table.rows for cell in row)
    assert all(row["setting"] in words for row in judged_rows)


def verdict(program, *kinds, setting="a"):
    return {"setting": setting} | end(program, 1000, loss=0.1, diagnosis=kinds)


def test_right_and_wrong_findings_are_counted():
    rows = [
        verdict("healthy"),
        verdict("healthy", "never_answered"),  # a symptom accuses nobody
        verdict("healthy", "saturated", "never_answered"),
        verdict("healthy", setting="b"),
        verdict("bytes", "byte_range", "saturated"),
        verdict("bytes", "saturated", "byte_range"),  # not the first
        verdict("bytes"),
        verdict("bytes", "collapsed", setting="b"),
        verdict("uphill", "diverging", setting="b"),
    ]
    content = judge.results(rows)

    def counts(part):
        return part["count"], part["of"]

    assert counts(content["false_alarms"]) == (1, 4)
    assert counts(content["missed"]) == (3, 5)
    settings = content["by_setting"]
    assert [counts(part["false_alarms"]) for part in settings] == [(1, 3), (0, 1)]
    assert [counts(part["missed"]) for part in settings] == [(2, 3), (1, 2)]
    bytes_, uphill = content["by_mistake"]
    assert counts(bytes_["missed"]) == (3, 4)
    assert bytes_["instead"] == {"saturated": 1, "healthy": 1, "collapsed": 1}
    assert bytes_["missed_accuracy"] == 0.5
    assert counts(uphill["missed"]) == (0, 1)
    assert uphill["missed_accuracy"] is None
    usual = {part["finding"]: part for part in content["by_finding"]}
    assert counts(usual["never_answered"]["healthy"]) == (2, 4)
    assert counts(usual["saturated"]["mistaken"]) == (2, 5)
    assert uphill["missed"]["interval_95"] is None  # of one network


def test_fashion_is_one_more_setting(digits, few_digits, tmp_path, monkeypatch):
    calls = []

    def load(name, **options):
        calls.append((name, options.get("folder")))
        return digits._replace(name=name)

    monkeypatch.setattr(bugs.data, "load", load)
    config = bugs.Config(fashion_dir=tmp_path, judged_examples=(EXAMPLES,))
    names = [setting.name for setting in bugs.judged(config, few_digits)]
    assert calls == [("fashion_mnist", tmp_path)]
    assert sum("fashion_mnist, 1,000 images" in name for name in names) == 1


def test_a_network_without_hidden_layers(params, digits):
    outputs = np.random.default_rng(0).uniform(size=(IMAGES, 10))
    labels = digits.test.label
    one_layer = (params[-1],)
    run = Run(
        *("quadratic", labels, outputs.argmax(axis=1), 0.1, IMAGES),
        first=one_layer,
        last=one_layer,
        outputs=outputs,
    )
    row = {**epoch_row("healthy", 0, 1, 0.1, 0.1), **end_of(run)}
    assert row["flat_hidden"] is None
    assert row["parameter_change"] == 0
    shown([row], digits)


@pytest.fixture(scope="module")
def few_digits(digits):
    return digits._replace(train=Batch(*(part[:EXAMPLES] for part in digits.train)))


def kinds_of(program, recipe, dataset):
    """Of the networks that the module's run has; its compiled programs serve here."""
    rows = train([program], recipe, dataset, range(SEEDS))
    ends = [row["diagnosis"] for row in rows if "diagnosis" in row]
    return [[finding["kind"] for finding in findings] for findings in ends]


def test_a_network_that_has_just_begun_is_not_accused(few_digits):
    for kinds in kinds_of(SCALED, replace(SMALL, num_epochs=1), few_digits):
        assert set(kinds) <= {"never_answered"}


def test_labels_out_of_step_are_named_of_model_3_as_well(few_digits):
    apart = SCALED._replace(data=labels_apart)
    for kinds in kinds_of(apart, replace(SMALL, num_epochs=70), few_digits):
        assert "labels" in kinds


@pytest.mark.keras
@pytest.mark.usefixtures("in_this_process")
def test_keras_takes_the_same_mistake(digits):
    recipe = replace(SMALL, num_epochs=3)
    rows = list(keras_model.train(recipe, digits, [0]))
    assert [row["epoch"] for row in rows] == [1, 2, 3] * 2
    content = results.of([*rows, end("healthy", 0, loss=0.1)], digits)
    kinds = content["model_3"]["keras_dense"]
    assert kinds["scaled"]["diagnosis"] == {"healthy": 1}
    assert kinds["bytes"]["diagnosis"] == {"byte_range": 1}
    assert min(entry["test_accuracy"] for entry in kinds.values()) > 0.3  # 0.1: chance


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mistakes": ("typo",)}, "typo"),
        ({"mistakes": ("bytes", "bytes")}, "each once"),
        ({"pixel_models": ("sigmoid_mse",)}, "flax_dense, keras_dense"),
        ({"seeds": 0}, "seeds=0"),
        ({"keras_seeds": -1}, "keras_seeds=-1"),
        ({"epochs": 0}, "0 epochs"),
        ({"judged_seeds": -1}, "judged_seeds=-1"),
        ({"judged_examples": ()}, "judged_examples"),
        ({"sigmoid_mse": replace(MODEL_1, optimizer="adam")}, "sgd"),
    ],
)
def test_settings_without_sense_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        bugs.require_sense(bugs.Config(**settings))


def test_a_recipe_that_does_not_fit_leaves_nothing_behind(tmp_path):
    recipe = replace(MODEL_1, layer_sizes=(783, 10))
    config = bugs.Config(dataset="digits", output=tmp_path / "run", sigmoid_mse=recipe)
    with pytest.raises(InputError, match="783"):
        bugs.main(config)
    assert not config.output.exists()


@pytest.mark.parametrize(
    "change", [{"judged_rates": (0.0,)}, {"judged_examples": (20,)}, {"fashion": True}]
)
def test_settings_of_the_judgement_are_checked_first(tmp_path, change):
    if change.pop("fashion", False):
        change = {"fashion_dir": tmp_path}  # where no file is
    config = bugs.Config(dataset="digits", output=tmp_path / "run", **change)
    with pytest.raises(InputError):
        bugs.main(config)
    assert not config.output.exists()


def test_no_keras_network_is_planned_where_none_is_wanted(digits):
    names = [name for n, _, _ in bugs.plan(bugs.Config(), digits) for name in n]
    assert "keras_dense, bytes" in names
    without = bugs.plan(bugs.Config(keras_seeds=0), digits)
    assert [name for n, _, _ in without for name in n] == names[:-2]


@pytest.mark.mnist
def test_on_mnist_every_mistake_is_named_and_no_healthy_network(mnist):
    # As many images as the digits have: what is compiled for them serves here.
    parts = {"train": EXAMPLES, "test": IMAGES}
    few = {k: Batch(*(a[:n] for a in getattr(mnist, k))) for k, n in parts.items()}
    config = bugs.Config(epochs=16, seeds=SEEDS, healthy_seeds=SEEDS, untrained=1)
    work = bugs.plan(replace(config, pixel_models=()), mnist._replace(**few))
    rows = [row for _, _, rows in work for row in rows if "diagnosis" in row]
    assert len(rows) == len(PROGRAMS) * SEEDS
    for row in rows:
        kinds = [finding["kind"] for finding in row["diagnosis"]]
        if row["program"] == "healthy":
            assert kinds == (["never_answered"] if 0 in row["answers"] else [])
        else:
            assert kinds[0] == PROGRAMS[row["program"]].sign, row
