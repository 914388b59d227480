"""The zoo's mistakes against NumPy, and the experiment end to end on digits."""

import json
import math
from dataclasses import replace

import chex
import jax
import numpy as np
import oracles
import pytest

from experiments.bugs import __main__ as bugs
from experiments.bugs import report as bugs_report
from experiments.bugs import summary, trials, zoo
from experiments.bugs.program import make_loss_fn
from experiments.bugs.report import ZooProgress
from experiments.compare import findings
from experiments.compare.results import ModelRun
from jaxnets import diagnose, running, sigmoid_mse, training
from jaxnets import models as recipes
from jaxnets.errors import InputError
from jaxnets.types import Batch, Dense

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]

SIZES = (784, 5, 10)
IMAGES = 360  # scikit-learn's last fifth of 1,797
EPOCHS = 8
SMALL = replace(recipes.KERAS_DENSE, layer_sizes=(784, 16, 10))


@pytest.fixture(scope="module")
def params():
    return sigmoid_mse.init(jax.random.key(4), SIZES)


@pytest.fixture(scope="module")
def batch(digits):
    return Batch(digits.train.image[:10], digits.train.label[:10])


def gradient(program, params, batch):
    return jax.grad(make_loss_fn(program), has_aux=True)(params, batch)[0]


def answers_of(params, images):
    """The classes that oracles.py's network gives."""
    network = oracles.network_of(params)
    outputs = [oracles.sigmoid_backprop(network, image, 0)[1] for image in images]
    return np.array(outputs)


def test_without_a_mistake_it_is_model_1(params, batch):
    # Oracle: Nielsen's equations in float64; rtol: float32, sums of 784 terms.
    network = oracles.network_of(params)
    loss, grads = oracles.batch_gradients(oracles.sigmoid_backprop, network, *batch)
    ours, totals = make_loss_fn(zoo.HEALTHY)(params, batch)
    assert ours == pytest.approx(loss, rel=1e-5)
    assert totals.loss == pytest.approx(10 * loss, rel=1e-5)
    for layer, pair in zip(gradient(zoo.HEALTHY, params, batch), grads, strict=True):
        np.testing.assert_allclose(layer.kernel, pair[0], rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(layer.bias, pair[1], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "rate"),
    # The rate at which plain SGD would take the same step, as the issue has it.
    [("batch_sum", 30.0), ("output_mean", 0.6), ("uphill", -3.0), ("thrown_away", 0)],
)
def test_a_mistake_acts_as_another_rate(params, batch, name, rate):
    program = zoo.ZOO[name]
    tx = program.optimizer(recipes.SIGMOID_MSE)
    step = training.make_train_step(make_loss_fn(program), tx)
    state, _ = step(training.start(params, tx), batch)
    network = oracles.network_of(params)
    expected = oracles.sgd_step(oracles.sigmoid_backprop, network, *batch, rate)
    for layer, (kernel, bias) in zip(state.params, expected, strict=True):
        # float32 gradients times up to 30
        np.testing.assert_allclose(layer.kernel, kernel, atol=2e-5)
        np.testing.assert_allclose(layer.bias, bias, atol=2e-5)


def test_integers_are_broadcast_into_the_cost(params, batch):
    # Oracle: the book's cost, `0.5*np.linalg.norm(a-y)**2`, where y is a number.
    outputs = answers_of(params, batch.image)
    pairs = zip(outputs, batch.label, strict=True)
    expected = np.mean([0.5 * np.linalg.norm(a - y) ** 2 for a, y in pairs])
    loss, _ = make_loss_fn(zoo.ZOO["integer_labels"])(params, batch)
    assert loss == pytest.approx(expected, rel=1e-5)


def test_bytes_reach_the_network_as_they_are(params, batch):
    inputs = zoo.ZOO["bytes"].inputs(batch.image)
    np.testing.assert_array_equal(inputs, batch.image.reshape(10, 784))
    assert inputs.dtype == np.float32


def test_arg_max_along_the_images(rng_outputs):
    # Oracle: mini-batch by mini-batch, as a program with that mistake does it.
    expected = []
    for start in range(0, 30, 10):
        expected += list(np.argmax(rng_outputs[start : start + 10], axis=0))
    program = zoo.ZOO["wrong_axis"]
    assert program.answer(rng_outputs[:30]).tolist() == expected
    assert program.answer(rng_outputs).tolist() == expected  # 7 more fill no batch


@pytest.fixture
def rng_outputs():
    return np.random.default_rng(0).uniform(size=(37, 10))


def test_answers_against_one_hot_rows(digits):
    labels = digits.test.label
    answers = np.random.default_rng(0).integers(0, 10, IMAGES)
    one_hot = np.eye(10)[labels]
    pairs = zip(answers, one_hot, strict=True)
    score = zoo.ZOO["one_hot_rows"].score(answers, labels)
    # Oracles: an image at a time, and the formula.
    assert score == pytest.approx(np.mean([answer == row for answer, row in pairs]))
    zeros, ones = np.sum(answers == 0), np.sum(answers == 1)
    assert score == pytest.approx((9 * zeros + ones) / (10 * IMAGES))


def test_labels_are_shuffled_and_images_are_not(digits):
    image, label = zoo.ZOO["labels_apart"].training_data(digits.train)
    np.testing.assert_array_equal(image, digits.train.image)
    assert sorted(label) == sorted(digits.train.label)
    # A stranger's label is right in a tenth of the cases.
    assert np.mean(label == digits.train.label) < 0.2


def test_an_iterator_that_was_used_up_has_nothing_left(digits):
    image, label = zoo.ZOO["used_up"].training_data(digits.train)
    assert image.shape == (0, 28, 28)
    assert label.shape == (0,)


@pytest.mark.parametrize(("name", "value"), [("all_zero", 0), ("all_one", 1)])
def test_weights_are_all_equal(params, name, value):
    ours = zoo.ZOO[name].init(jax.random.key(0), SIZES)
    chex.assert_trees_all_equal_shapes_and_dtypes(ours, params)
    assert all(np.all(leaf == value) for leaf in jax.tree.leaves(ours))


def test_untrained_networks_are_those_that_training_starts_from(digits):
    # Oracle: the forward pass in float64 of each network by itself.
    recipe = replace(recipes.SIGMOID_MSE, layer_sizes=SIZES)
    right = trials.untrained(zoo.HEALTHY, recipe, digits.test, 3)
    for seed, count in enumerate(right):
        network = sigmoid_mse.init(recipes.run_keys(seed)[0], SIZES)
        answers = answers_of(network, digits.test.image).argmax(axis=1)
        assert abs(count - np.sum(answers == digits.test.label)) <= 1  # a tie


def quick(output, **settings):
    """A zoo of two programs that takes some seconds."""
    standard = {
        "mistakes": ("one_hot_rows", "used_up"),
        "dataset": "digits",
        "epochs": 1,
        "seeds": 2,
        "healthy_seeds": 2,
        "untrained": 3,
        "examples": 1000,  # whole batches only: one step to compile, not four
        "pixel_models": (),
        "keras_dense": SMALL,
    }
    return bugs.Config(**{**standard, "output": output, **settings})


def as_mnist(config):
    """Run it on digits called mnist, to hold them against the write-up's figures."""
    prepare = bugs.experiment.prepare

    def renamed(*args):
        run = prepare(*args)
        run.dataset = run.dataset._replace(name="mnist")
        return run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bugs.experiment, "prepare", renamed)
        return bugs.main(config)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The whole zoo, and Model 3 in Flax, with everything that is left behind."""
    output = tmp_path_factory.mktemp("bugs") / "run"
    config = quick(
        output,
        mistakes=tuple(zoo.ZOO),
        epochs=EPOCHS,
        seeds=3,
        healthy_seeds=20,
        untrained=40,
        pixel_models=("flax_dense",),
    )
    with bugs.bugs_report.console.capture() as capture:
        returned = as_mnist(config)
    results = json.loads((output / "results.json").read_text())
    assert returned == results
    return output, results, capture.get()


@pytest.mark.parametrize("name", zoo.ZOO)
def test_every_mistake_is_named(finished, name):
    _, results, _ = finished
    entry = results["programs"][name]
    assert entry["diagnosis"] == {zoo.ZOO[name].sign: len(entry["seeds"])}
    assert entry["diagnosed"] == len(entry["seeds"])


def test_nothing_untrue_is_said_of_healthy_networks(finished, digits):
    # Oracle for "never answers k": the counted answers.
    _, results, _ = finished
    entry = results["programs"]["healthy"]
    assert entry["seeds"] == list(range(20))
    pairs = zip(entry["diagnosis_by_seed"], entry["answers_by_seed"], strict=True)
    for found, counts in pairs:
        missing = [str(digit) for digit in range(10) if counts[digit] == 0]
        expected = [f"it never answers {', '.join(missing)}"] if missing else []
        assert [finding["text"] for finding in found] == expected
    for kind in ("scaled", "bytes"):
        expected = {"scaled": "nothing", "bytes": "byte_range"}[kind]
        entry = results["model_3"]["flax_dense"][kind]
        assert entry["diagnosis"] == {expected: 3}


def test_the_report_says_which_healthy_networks_are_flagged_and_why(finished):
    # Oracle: the counted answers, and the accuracies by seed.
    _, results, printed = finished
    entry = results["programs"]["healthy"]
    seeds = zip(entry["seeds"], entry["by_seed"], entry["answers_by_seed"], strict=True)
    low, others = {}, []
    for seed, accuracy, counts in seeds:
        if 0 in counts:
            low[seed] = accuracy
        else:
            others.append(accuracy)
    assert {each["seed"]: each["test_accuracy"] for each in entry["flagged"]} == low
    assert all(each["is_true"] for each in entry["flagged"])
    assert 0 < len(low) < 20
    # A tenth of the images is out of reach: they are worse, and not by chance.
    assert np.mean(list(low.values())) < np.mean(others) - 0.05
    told = f"Of 20 networks without a mistake {len(low)} are flagged, 0 of them falsely"
    assert told in printed
    for seed, accuracy in low.items():
        assert f"seed {seed}, right on {accuracy:.2%}: it never answers" in printed


def test_what_is_untrue_of_a_healthy_network_is_a_false_alarm():
    signature = trials.Signature(0.5, 0.1, 1.0, (36,) * 10, 0.1)  # all are answered
    none = diagnose.Finding("never_answered", "it never answers 3")
    other = diagnose.Finding("labels", "out of step")
    missing = signature._replace(answers=(36,) * 9 + (0,))
    diverged = missing._replace(train_loss=math.nan)
    gone = diagnose.Finding("diverging", "a loss is not finite")
    seeds = summary.Trials(zoo.HEALTHY, (4, 5, 6, 7, 8), None, (), (), 0)
    seeds.accuracy = [np.array([0.9, 0.8, 0.9, 0.9, 0.1])]
    examined = summary.Examined(
        seeds,
        [signature, missing, signature, missing, diverged],
        [[], [none], [none], [other], [gone, other]],
    )
    assert examined.diagnosed() == [True, True, False, False, True]
    flagged = [(each["seed"], each["is_true"]) for each in examined.flagged()]
    assert flagged == [(5, True), (6, False), (7, False), (8, True)]


def test_the_figures_are_those_of_the_epochs(finished):
    # Oracle: the lines that were written as the epochs ended.
    output, results, _ = finished
    lines = (output / "metrics.jsonl").read_text().splitlines()
    metrics = [json.loads(line) for line in lines]
    for name, entry in results["programs"].items():
        mine = [line for line in metrics if line["program"] == name]
        epochs = 0 if name == "used_up" else EPOCHS
        assert len(mine) == max(epochs, 1) * len(entry["seeds"])
        last = [line for line in mine if line["epoch"] == epochs]
        scores = [line["test_accuracy"] for line in last]
        assert entry["by_seed"] == scores
        assert entry["test_accuracy"] == pytest.approx(np.mean(scores))
        reached = entry["reported_after_any_epoch"]
        if name in ("used_up", "thrown_away"):
            assert reached == results["untrained"]
            continue
        every = np.array([line["test_accuracy"] for line in mine])
        assert reached["of"] == len(every)
        assert reached["can_give_it"] == (every.min() <= 0.1041 <= every.max())
        near = np.mean((every >= 0.0991) & (every <= 0.1091))
        assert reached["near_share"] == pytest.approx(near)


def test_what_learns_nothing_scores_as_it_starts(finished):
    _, results, _ = finished
    programs = results["programs"]
    assert programs["used_up"]["by_seed"] == programs["thrown_away"]["by_seed"]
    assert programs["used_up"]["parameter_change"] == 0
    assert programs["thrown_away"]["parameter_change"] == 0
    assert programs["used_up"]["train_loss"] is None
    assert programs["healthy"]["test_accuracy"] > 0.5  # 0.1 is chance
    # Oracle: a network that always answers 0 is right on the 0s.
    share = results["class_shares"][0]
    assert programs["all_one"]["by_seed"] == pytest.approx([share] * 3)


def test_the_page_and_the_screen_show_every_program(finished):
    output, results, printed = finished
    page = (output / "report.html").read_text()
    for name in ("healthy", *zoo.ZOO):
        assert name in page
        assert name in printed
    for figure in ("accuracies", "answers", "losses", "model_3"):
        assert (output / f"{figure}.png").stat().st_size > 10_000
    able = results["can_give_it"]
    assert f"Of 12 mistakes {len(able)} can give 10.41%" in printed


@pytest.mark.keras
@pytest.mark.usefixtures("in_this_process")
def test_keras_takes_the_same_mistake(tmp_path):
    config = quick(
        tmp_path / "run",
        mistakes=(),
        pixel_models=("keras_dense",),
        keras_seeds=2,
        epochs=3,
        keras_dense=replace(SMALL, layer_sizes=(784, 64, 10)),
    )
    kinds = bugs.main(config)["model_3"]["keras_dense"]
    assert kinds["scaled"]["diagnosis"] == {"nothing": 2}
    assert kinds["bytes"]["diagnosis"] == {"byte_range": 2}
    for entry in kinds.values():
        assert len(entry["by_seed"]) == 2
        assert min(entry["by_seed"]) > 0.3  # 0.1 is chance


def test_model_3_learns_as_the_comparison_has_it(finished, digits):
    # Oracle: `running.train` of the same network from the same seeds.
    _, results, _ = finished
    train = Batch(*(part[:1000] for part in digits.train))
    recipe = replace(SMALL, num_epochs=EPOCHS)
    *_, trained = running.train("flax_dense", recipe, digits._replace(train=train), 2)
    right = np.mean(trained.prediction.label == digits.test.label)
    ours = results["model_3"]["flax_dense"]["scaled"]["by_seed"][2]
    assert abs(ours - right) <= 3 / IMAGES  # sums round in another order


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mistakes": ("typo",)}, "typo"),
        ({"mistakes": ("bytes", "bytes")}, "each once"),
        ({"pixel_models": ("sigmoid_mse",)}, "must be of flax_dense, keras_dense"),
        ({"seeds": 0}, "seeds=0 must be at least 1"),
        ({"keras_seeds": -1}, "keras_seeds=-1 must be at least 0"),
        ({"epochs": 0}, "0 epochs"),
        (
            {"sigmoid_mse": replace(recipes.SIGMOID_MSE, optimizer="adam")},
            "trained by sgd",
        ),
        ({"dataset": "mnits"}, "'mnits'"),
    ],
)
def test_bad_settings_leave_nothing_behind(tmp_path, settings, message):
    output = tmp_path / "run"
    with pytest.raises(InputError, match=message):
        bugs.main(quick(output, **settings))
    assert not output.exists()


def test_ctrl_c_keeps_what_was_done(tmp_path, monkeypatch):
    def interrupted(self, line):
        if line.startswith("one_hot_rows"):
            raise KeyboardInterrupt

    monkeypatch.setattr(ZooProgress, "ended", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bugs.main(quick(tmp_path / "run"))
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["status"] == "interrupted"
    assert list(results["programs"]) == ["healthy", "one_hot_rows"]
    assert results["untrained"] is None
    page = (tmp_path / "run" / "report.html").read_text()
    assert "healthy" in page
    # The write-up's figures are of MNIST, and these are digits.
    assert results["reported_accuracy"] is results["reported_accuracy_model_3"] is None
    assert results["can_give_it"] == []
    assert "10.41" not in page and "97.2" not in page


@pytest.mark.drawn
def test_networks_that_diverge_are_reported_without_numbers(tmp_path):
    config = quick(
        tmp_path / "run",
        mistakes=(),
        epochs=2,
        pixel_models=("flax_dense", "keras_dense"),
        keras_seeds=0,
        keras_dense=replace(SMALL, learning_rate=1e30),
    )
    with bugs.bugs_report.console.capture() as capture:
        returned = bugs.main(config)
    assert returned == json.loads((tmp_path / "run" / "results.json").read_text())
    assert list(returned["model_3"]) == ["flax_dense"]
    for entry in returned["model_3"]["flax_dense"].values():
        assert entry["train_loss"] is None
        assert "diverging" in str(entry["diagnosis_by_seed"])
    assert (tmp_path / "run" / "report.html").exists()
    assert "│ - │" in " ".join(capture.get().split())


def test_signatures_that_are_not_finite_are_written_as_none():
    # As after --sigmoid-mse.learning-rate 1e39; NaN would be refused as JSON.
    signature = trials.Signature(math.nan, math.nan, math.inf, (36,) * 10, math.nan)
    seeds = summary.Trials(zoo.HEALTHY, (0,), None, (), (), 0)
    seeds.accuracy = [np.array([0.1])]
    examined = summary.Examined(seeds, [signature], [[]])
    entry = summary.program_result(examined, reported=0.1041)
    json.dumps(entry, allow_nan=False)
    for name in ("flat_hidden", "error_slope", "parameter_change", "train_loss"):
        assert entry[name] is None
    assert entry["flat_hidden_by_seed"] == entry["error_slope_by_seed"] == [None]
    _, _, [row] = bugs_report._signature_table({"programs": {"healthy": entry}})
    assert row[2:6] == ["-"] * 4


@pytest.mark.parametrize(("rate", "epochs"), [(1e-3, 1), (1e-4, 4)])
def test_a_network_that_has_barely_begun_is_not_accused(digits, rate, epochs):
    recipe = replace(recipes.RELU_SOFTMAX, learning_rate=rate, num_epochs=epochs)
    model = ModelRun("relu_softmax", recipe)
    *records, model.trained = running.train("relu_softmax", recipe, digits, seed=1)
    for record in records:
        model.add(record)
    # It stands where a run with shuffled labels ends: a guess's loss is log 10.
    assert model.epochs[-1].train_loss == pytest.approx(math.log(10), rel=0.1)
    kinds = {found.kind for found in findings.of_model(model, digits, 1)}
    assert kinds <= {"never_answered"}


def test_labels_out_of_step_are_named_of_model_2_as_well(digits):
    apart = digits._replace(train=zoo.labels_shuffled_apart(digits.train))
    recipe = replace(SMALL, layer_sizes=(784, 64, 10), num_epochs=40)
    model = ModelRun("flax_dense", recipe)
    *records, model.trained = running.train("flax_dense", recipe, apart, seed=1)
    for record in records:
        model.add(record)
    kinds = {found.kind for found in findings.of_model(model, digits, 1)}
    assert "labels" in kinds


@pytest.fixture(scope="module")
def compared(digits):
    """A model's run as the comparison has it."""
    recipe = replace(SMALL, num_epochs=4)
    model = ModelRun("flax_dense", recipe)
    *records, model.trained = running.train("flax_dense", recipe, digits, seed=5)
    for record in records:
        model.add(record)
    return model


def test_the_comparison_finds_nothing_wrong_with_a_healthy_run(compared, digits):
    assert findings.of_model(compared, digits, 5) == []
    without = digits._replace(validation=Batch(*(a[:0] for a in digits.validation)))
    records = [
        record._replace(
            validation_correct=None, validation_loss=None, validation_seen=0
        )
        for record in compared.epochs
    ]
    assert findings.of_model(replace(compared, epochs=records), without, 5) == []
    # Keras's first parameters are not known, and its weights have the same form.
    assert findings.of_model(replace(compared, name="keras_dense"), digits, 5) == []


def test_the_comparison_says_what_is_wrong(compared, digits):
    init_key, _ = recipes.run_keys(5)
    first = recipes.NETWORKS["flax_dense"].init(init_key, SMALL.layer_sizes)
    untrained = replace(compared, params=jax.device_get(first))
    kinds = [found.kind for found in findings.of_model(untrained, digits, 5)]
    assert "untrained" in kinds
    # The epochs' figures are another network's, which shows as well.
    assert "evaluation" in kinds

    *others, last = compared.epochs
    dropped = replace(compared, epochs=[*others, last._replace(validation_seen=192)])
    [found] = findings.of_model(dropped, digits, 5)
    assert found.kind == "evaluated"
    entry = findings.of_models([dropped], digits, 5)
    assert findings.lines(entry) == [("flax_dense", found.text)]


def test_the_comparison_sees_saturated_sigmoids(digits):
    recipe = replace(recipes.SIGMOID_MSE, layer_sizes=(784, 30, 10), num_epochs=3)
    model = ModelRun("sigmoid_mse", recipe)
    *records, model.trained = running.train("sigmoid_mse", recipe, digits, seed=1)
    for record in records:
        model.add(record)
    kinds = {found.kind for found in findings.of_model(model, digits, 1)}
    assert kinds <= {"never_answered"}
    layer, *others = model.params  # the weights that bytes would have met
    model.params = (Dense(layer.kernel * 255, layer.bias), *others)
    kinds = {found.kind for found in findings.of_model(model, digits, 1)}
    assert "saturated" in kinds


@pytest.mark.mnist
def test_on_mnist_every_mistake_is_named_and_no_healthy_network(mnist):
    # 20 healthy seeds; few images and epochs keep it short. Shuffled labels are told
    # from a network that has just begun once they are learned by heart.
    parts = {"train": 4000, "test": 3000}
    few = {k: Batch(*(a[:n] for a in getattr(mnist, k))) for k, n in parts.items()}
    small, epochs = mnist._replace(**few), {"healthy": 5, "labels_apart": 9}
    low, good = [], []  # accuracies of healthy networks with and without a finding
    for program in (zoo.HEALTHY, *zoo.ZOO.values()):
        is_healthy = program.learns_as(zoo.HEALTHY)
        if is_healthy and program is not zoo.HEALTHY:
            continue  # its mistake is in the evaluation, below
        num_epochs = epochs.get(program.name, 3)
        recipe = replace(recipes.SIGMOID_MSE, num_epochs=num_epochs)
        seeds = range(20 if is_healthy else 2)
        alike = [program]
        if is_healthy:
            alike += [p for p in zoo.ZOO.values() if p.learns_as(zoo.HEALTHY)]
        for trial in list(trials.train(alike, recipe, small, seeds))[-1]:
            for run in trial.runs():
                kinds = [found.kind for found in diagnose.diagnose(run)]
                if trial.program is zoo.HEALTHY:
                    never = set(range(10)) - set(run.answers.tolist())
                    assert kinds == (["never_answered"] if never else [])
                    (low if never else good).append(np.mean(run.answers == run.labels))
                else:
                    assert kinds[0] == trial.program.sign, trial.program.name
    # What is flagged lacks a digit, a tenth of the images, and is as much worse.
    assert len(low) + len(good) == 20
    assert low and all(accuracy < np.median(good) - 0.05 for accuracy in low)
