"""`experiments.seeds`: many seeds, three numbers, and what they are worth."""

import csv
import dataclasses
import gzip
import importlib.util
import json
import math
import re
import shutil
import struct
import threading
from types import SimpleNamespace

import jax
import numpy as np
import processes
import pytest
import scipy.stats
from matplotlib.collections import PathCollection
from PIL import Image
from small import random_layers

from experiments.kit import folder, resume
from experiments.kit.progress import console
from experiments.seeds import __main__ as seeds
from experiments.seeds import keras_orders, measure, page, qmnist, results
from experiments.seeds.measure import Plan
from jaxnets import data, ensemble, models, process, training
from jaxnets.errors import InputError
from jaxnets.training import Epoch
from jaxnets.types import Totals

HAS_KERAS = importlib.util.find_spec("tensorflow") is not None
MODELS = ("relu_softmax", "keras_dense") if HAS_KERAS else ("relu_softmax",)
SEEDS = (5, 6, 7, 8)
KERAS_SEEDS = SEEDS[:1]
EPOCHS = 2
QUICK = seeds.Config(
    models=MODELS,
    seeds=len(SEEDS),
    first_seed=SEEDS[0],
    keras_seeds=len(KERAS_SEEDS),
    at_once=4,
    alone=1,
    processes=1,
    epochs=EPOCHS,
    dataset="digits",
    validation_examples=285,  # 1,152 are left, which fill batches of 64 and of 32
)


def lines_of(folder) -> list[dict]:
    text = (folder / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run: four seeds of a network, one of Keras's, and all it left behind."""
    output = tmp_path_factory.mktemp("seeds") / "run"
    labels = []  # that Keras's own model answers to the test images
    train_and_test = models.train_and_test

    def watched(*args, **options):
        for event in train_and_test(*args, **options):
            if not isinstance(event, Epoch):
                labels.append(event.label)
            yield event

    with pytest.MonkeyPatch.context() as patch, console().capture() as capture:
        patch.setattr(models, "train_and_test", watched)
        patch.setattr(process, "iterate", processes.iterate_keras_here)
        returned = seeds.main(dataclasses.replace(QUICK, output=output))
    with open(output / "seeds.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return SimpleNamespace(
        path=output,
        returned=returned,
        printed=capture.get(),
        results=json.loads((output / "results.json").read_text()),
        metrics=lines_of(output),
        rows=rows,
        keras_labels=labels,
    )


def network_of(metrics, model, seed) -> list[dict]:
    lines = [line for line in metrics if (line["model"], line["seed"]) == (model, seed)]
    return sorted(lines, key=lambda line: line["epoch"])


def seeds_of(model):
    return KERAS_SEEDS if model == "keras_dense" else SEEDS


def test_every_epoch_of_every_network_has_its_line(finished):
    keys = sorted((m["model"], m["seed"], m["epoch"]) for m in finished.metrics)
    assert keys == sorted(
        (model, seed, epoch)
        for model in MODELS
        for seed in seeds_of(model)
        for epoch in range(1, EPOCHS + 1)
    )
    for line in finished.metrics:
        assert (line["validation_seen"], line["test_seen"]) == (285, 360)
        assert line["dataset"] == "digits"


def test_a_seed_is_what_it_is_alone(finished):
    # Oracle: the run of one network, which knows nothing of this experiment.
    digits = data.load("digits", validation_examples=QUICK.validation_examples)
    recipe = dataclasses.replace(models.get("relu_softmax").recipe, num_epochs=EPOCHS)
    *epochs, prediction = models.train_and_test(
        "relu_softmax", recipe, digits, SEEDS[2]
    )
    lines = network_of(finished.metrics, "relu_softmax", SEEDS[2])
    for line, epoch in zip(lines, epochs, strict=True):
        # float32 sums in another order
        assert line["train_loss"] == pytest.approx(epoch.train.mean_loss, rel=1e-4)
        # An image on the border may fall to the other side of it.
        assert abs(line["validation_correct"] - epoch.held_out[0].correct) <= 1
    tested = np.sum(prediction.label == digits.test.label)
    assert abs(lines[-1]["test_correct"] - tested) <= 1


def test_the_three_numbers_follow_from_the_lines(finished):
    # Oracle: the definitions, applied to metrics.jsonl.
    for model in MODELS:
        kept = {number: [] for number in ("last", "chosen", "best")}
        for seed in seeds_of(model):
            network = network_of(finished.metrics, model, seed)
            tested = [line["test_correct"] / 360 for line in network]
            validated = [line["validation_correct"] for line in network]
            chosen = validated.index(max(validated))
            expected = {"last": tested[-1], "chosen": tested[chosen]}
            expected["best"] = max(tested)
            (row,) = (
                row
                for row in finished.rows
                if (row["model"], row["seed"]) == (model, str(seed))
            )
            assert {name: float(row[name]) for name in kept} == expected
            assert int(row["chosen_epoch"]) == chosen + 1
            for name, value in expected.items():
                kept[name].append(value)
        entry = finished.results["models"][model]
        for number, values in kept.items():
            assert entry[number]["mean"] == pytest.approx(np.mean(values))
            if len(values) > 1:
                assert entry[number]["sd"] == pytest.approx(np.std(values, ddof=1))
            assert entry[number]["median"] == pytest.approx(np.median(values))
        gains = np.subtract(kept["best"], kept["chosen"])
        assert entry["optimism"]["mean"] == pytest.approx(np.mean(gains))
        assert np.all(gains >= 0)


def test_speed_is_measured_in_all_ways(finished):
    (speeds,) = finished.results["throughput"].values()  # Keras has but one way
    assert list(speeds) == list(results.WAYS)
    assert [speed["networks"] for speed in speeds.values()] == [4, 1, 1]
    for speed in speeds.values():
        assert speed["epochs_timed"] == EPOCHS
        low, high = speed["range"]
        assert 0 < low <= speed["per_minute"] <= high


def test_processes_train_at_the_same_time_until_they_diverge():
    # Each waits for the other, as they do only where both run at once.
    both = threading.Barrier(2, timeout=10)

    def epochs(*seconds):
        for second in seconds:
            both.wait()
            yield second

    streams = [epochs(1.0, 2.0), epochs(3.0, 4.0)]
    assert measure._time_processes(streams, 3) == [1.0, 3.0, 2.0, 4.0]
    assert measure._time_processes([], 3) == []


@pytest.mark.keras
def test_the_mirror_counts_what_keras_counts(finished, digits):
    # Oracle: the Keras model's own predictions, which the experiment does not use.
    (labels,) = finished.keras_labels
    last = network_of(finished.metrics, "keras_dense", SEEDS[0])[-1]
    # An image on the border may fall to the other side of it.
    assert abs(last["test_correct"] - np.sum(labels == digits.test.label)) <= 1


def test_the_folder_and_the_page_are_whole(finished):
    assert json.loads(json.dumps(finished.returned)) == finished.results
    assert finished.results["status"] == "complete"
    html = (finished.path / "report.html").read_text()
    assert html.count("<img ") == 2
    assert html.count("<table>") == len(MODELS) + 3  # no pairs of a single model
    for name in ("seeds", "epochs"):
        with Image.open(finished.path / f"{name}.png") as image:
            # A blank page or an empty frame has next to no ink.
            assert np.mean(np.asarray(image.convert("L")) < 200) > 0.01


def test_a_run_is_redrawn_from_its_rows_without_training(
    finished, tmp_path, monkeypatch
):
    for module, name in ((ensemble, "fit_many"), (training, "fit")):
        monkeypatch.setattr(module, name, None)
    shutil.copytree(finished.path, tmp_path / "run")
    made = ("results.json", "seeds.csv", "report.html", "seeds.png", "epochs.png")
    for name in made[1:]:
        (tmp_path / "run" / name).unlink()
    assert seeds.main(seeds.Config(redraw=tmp_path / "run")) == finished.returned
    for name in made:
        assert (tmp_path / "run" / name).stat().st_size


@pytest.mark.slow
@pytest.mark.usefixtures("in_this_process")
def test_a_run_that_is_broken_off_twice_has_the_rows_of_a_whole_one(
    finished, tmp_path, monkeypatch, undrawn
):
    append_row = folder.append_row
    path, breaks = tmp_path / "run", [6, 10]  # rows: in mid-epoch, before a checkpoint

    def append_and_break(*row):
        append_row(*row)
        if breaks and len(lines_of(path)) == breaks[0]:
            breaks.pop(0)
            raise KeyboardInterrupt

    monkeypatch.setattr(folder, "append_row", append_and_break)
    config = dataclasses.replace(QUICK, processes=0, output=path)
    for _ in range(1 + HAS_KERAS):
        with pytest.raises(KeyboardInterrupt):
            seeds.main(config)
        config = resume.stored_options(seeds.Config, path)
    seeds.main(config)
    times = ("group_seconds", "group_evaluation_seconds")
    rows, expected = (
        [{k: v for k, v in row.items() if k not in times} for row in metrics]
        for metrics in (lines_of(path), finished.metrics)
    )
    assert rows == expected
    # What was timed before the break counts, and is not timed again.
    clock = json.loads((path / f"clock-{MODELS[0]}.json").read_text())
    assert (len(clock["alone_seconds"]), clock["pauses"]) == (EPOCHS, 1)


def epochs_of(*seeds, num_epochs=EPOCHS):
    """What `ensemble.fit_many` yields, without training: seed s gets s right."""
    correct, ones = np.array(seeds, np.int32), np.ones(len(seeds), np.float32)
    totals = Totals(correct, ones, np.full(len(seeds), 10, np.int32))
    for number in range(1, num_epochs + 1):
        yield Epoch(number, None, totals, (totals, totals), 3.0, 1.0)


def test_ctrl_c_keeps_the_networks_that_were_finished(tmp_path, monkeypatch):
    def fit_many(*args, seeds, **kwargs):
        yield from epochs_of(*seeds, num_epochs=EPOCHS - (SEEDS[2] in seeds))
        if SEEDS[2] in seeds:
            raise KeyboardInterrupt

    monkeypatch.setattr(ensemble, "fit_many", fit_many)
    monkeypatch.setattr(training, "fit", lambda *_, **__: epochs_of(1))
    config = dataclasses.replace(
        QUICK,
        models=("relu_softmax",),
        at_once=2,
        processes=0,
        output=tmp_path / "run",
    )
    with pytest.raises(KeyboardInterrupt):
        seeds.main(config)
    content = json.loads((tmp_path / "run" / "results.json").read_text())
    assert content["status"] == "interrupted"
    entry = content["models"]["relu_softmax"]
    assert entry["seeds"] == list(SEEDS[:2])
    assert (entry["at_once"], entry["last"]["mean"]) == (2, 0.55)
    assert entry["wall_seconds"] > 0
    speeds = content["throughput"]["relu_softmax"]
    assert list(speeds) == ["at once", "one at a time"]
    together, alone = (speed["per_minute"] for speed in speeds.values())
    assert together / alone == 2  # by hand: 4 seconds of one, and of two at once
    assert speeds["at once"]["epochs_timed"] == 2 * EPOCHS - 1
    assert len(lines_of(tmp_path / "run")) == 2 * EPOCHS + 2 * (EPOCHS - 1)
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": ()}, "one or more"),
        ({"models": ("relu_softmax",) * 2}, "each once"),
        ({"models": ("perceptron",)}, "perceptron"),
        ({"seeds": 0}, "seeds=0 must be at least 1"),
        ({"first_seed": 2**32 - 2}, "4294967297"),
        ({"at_once": 0}, "at_once=0"),
        ({"alone": -1}, "alone=-1"),
        ({"processes": -1}, "processes=-1"),
        ({"models": ("keras_dense",), "keras_seeds": 0}, "keras_seeds=0"),
        ({"epochs": 0}, "0 epochs"),
    ],
)
def test_bad_options_are_refused(digits, settings, message):
    with pytest.raises(InputError, match=message):
        seeds.plan(dataclasses.replace(QUICK, **settings), digits)


def test_keras_trains_as_many_seeds_as_asked_for(digits):
    config = dataclasses.replace(
        QUICK, models=("keras_dense", "flax_dense"), keras_seeds=3
    )
    plans = seeds.plan(config, digits)
    assert [len(plan.seeds) for plan in plans.values()] == [3, 4]
    plans = seeds.plan(dataclasses.replace(config, keras_seeds=0), digits)
    assert list(plans) == ["flax_dense"]


# What follows needs no training: rows of networks that never were.


def rows_of(model, *networks, validated=None, group_size=1, seconds=1.0):
    """Rows of networks from their test counts, of 1,000 images each."""
    return [
        {
            "dataset": "mnist",
            "model": model,
            "seed": seed,
            "epoch": number,
            "train_loss": 0.1,
            "train_accuracy": 0.9,
            "validation_correct": validated[number - 1] if validated else 0,
            "validation_seen": 100 if validated else 0,
            "test_correct": tested,
            "test_seen": 1000,
            "group": seed - seed % group_size,
            "group_size": group_size,
            "group_seconds": seconds,
            "group_evaluation_seconds": 0.0,
        }
        for seed, network in enumerate(networks)
        for number, tested in enumerate(network, start=1)
    ]


def plans_of(rows) -> dict[str, Plan]:
    plans = {}
    for row in rows:
        name = row["model"]
        epochs = max(other["epoch"] for other in rows if other["model"] == name)
        model = models.get(name)
        recipe = dataclasses.replace(model.recipe, num_epochs=epochs)
        plans[name] = Plan(model, recipe, range(9))
    return plans


def results_of(rows, alone=(), in_processes=(), dataset="mnist", plans=None):
    plans = plans or plans_of(rows)
    clock = {
        "wall_seconds": 9.0,
        "alone_seconds": alone,
        "processes": 3,
        "process_seconds": in_processes,
    }
    return results.results(plans, rows, dict.fromkeys(plans, clock), dataset)


def test_the_first_of_equal_validation_counts_is_chosen():
    rows = rows_of("relu_softmax", [900, 930, 940, 920], validated=[80, 90, 88, 90])
    numbers = {name: sample[0] for name, sample in results.scores({0: rows}).items()}
    assert numbers["chosen_epoch"] == 2
    assert numbers["optimism"] == pytest.approx(0.01)
    assert numbers["stopping"] == pytest.approx(0.01)
    assert (numbers["last"], numbers["chosen"], numbers["best"]) == (0.92, 0.93, 0.94)


def test_what_choosing_changes_is_a_mean_and_how_many_it_moves():
    # Oracle: SciPy's t, and its interval of a share.
    differences = {0: 0.01, 1: 0.0, 2: -0.02, 3: 0.03}
    entry = results.change(differences)
    values = list(differences.values())
    interval = scipy.stats.ttest_1samp(values, 0).confidence_interval()
    assert entry["mean_interval_95"] == pytest.approx([*interval])
    assert entry["mean"] == pytest.approx(0.005)
    assert (entry["gain"], entry["lose"]) == (2, 1)
    share = scipy.stats.binomtest(2, 4).proportion_ci(method="wilson")
    assert entry["gain_share_95"] == pytest.approx([share.low, share.high])
    assert results.change({0: 0.0})["mean_interval_95"] is None


@pytest.mark.parametrize(("moved", "has_interval"), [(1, False), (2, True)])
def test_a_mean_of_differences_that_are_mostly_0_has_no_interval(moved, has_interval):
    differences = dict(enumerate([0.01, 0.02][:moved] + [0.0] * (4 - moved)))
    entry = results.change(differences)
    assert (entry["mean_interval_95"] is not None) == has_interval
    assert entry["gain"] == moved


def test_stopping_is_tested_by_signs_over_the_models():
    # Oracle: SciPy's binomial test; by hand Holm's correction of two models.
    better, worse = [950, 940], [940, 950]  # the first epoch is chosen, the last left
    networks = {
        "flax_dense": [better] * 7,
        "relu_softmax": [better] * 2 + [worse] * 4 + [[940, 940]],
    }
    rows = [
        row
        for name, tested in networks.items()
        for row in rows_of(name, *tested, validated=[90, 80])
    ]
    content = results_of(rows)
    entries = content["models"]
    p_values = [scipy.stats.binomtest(*counts).pvalue for counts in ((7, 7), (2, 6))]
    expected = [2 * p_values[0], p_values[1]]
    for name, p_value in zip(networks, expected, strict=True):
        assert entries[name]["stopping"]["sign_p_value"] == pytest.approx(p_value)
        assert "sign_p_value" not in entries[name]["optimism"]  # it is never below 0
    assert len(page.choosing(content).rows) == 4


def test_without_validation_nothing_is_chosen():
    rows = rows_of("relu_softmax", [900, 940, 930])
    content = results_of(rows)
    entry = content["models"]["relu_softmax"]
    assert (entry["last"]["mean"], entry["best"]["mean"]) == (0.93, 0.94)
    assert not {"chosen", "optimism"} & set(entry)
    assert set(content["ranks"]) == {"last", "best"}
    assert entry["last"]["sd"] is None  # of one seed
    assert entry["last"]["median_interval_95"] is None
    networks = results.finished_networks(plans_of(rows), rows)
    assert set(results.scores(networks["relu_softmax"])) == {"last", "best"}
    assert list(page.sections(content, networks))


def of_last(**counts):
    """Rows of networks of one epoch, with these test counts of 1,000."""
    return [
        row
        for name, tested in counts.items()
        for row in rows_of(name, *([count] for count in tested))
    ]


def test_three_seeds_cannot_rank():
    # By hand: the smallest p is twice one of the 20 ways to choose 3 of 6.
    last = {"sigmoid_mse": (950, 951, 949), "relu_softmax": (980, 981, 979)}
    content = results_of(of_last(**last))
    (pair,) = content["pairs"]["last"]
    assert (pair["seeds"], pair["ahead"]) == ([3, 3], None)
    assert pair["p_value"] == pytest.approx(2 / 20)
    assert content["ranks"]["last"] == dict.fromkeys(last)
    assert [row[1] for row in page.ranks(content).rows] == ["too few seeds"] * 2
    assert page.pairs(content).rows[0][-1] == "too few seeds"
    assert "too few seeds" in page.lead(content)


def test_all_seeds_of_one_are_compared_with_all_of_the_other():
    # Oracle: SciPy, which gets the samples, of different sizes, and no seeds.
    last = {"keras_dense": (975, 978, 976, 971), "flax_dense": range(977, 989, 2)}
    content = results_of(of_last(**last))
    (pair,) = content["pairs"]["last"]
    expected = scipy.stats.mannwhitneyu(*last.values(), method="exact")
    assert pair["seeds"] == [4, 6]
    assert pair["p_value"] == pytest.approx(expected.pvalue)
    assert pair["wins"] == pytest.approx(expected.statistic / 24)
    samples = [np.array(tested) / 1000 for tested in last.values()]
    welch = scipy.stats.ttest_ind(*samples, equal_var=False).confidence_interval()
    assert pair["interval"] == pytest.approx(list(welch))


def test_networks_that_did_not_finish_are_left_out():
    rows = rows_of("relu_softmax", [900, 950], [901, 951])[:-1]
    rows += rows_of("sigmoid_mse", [800, 850])[:1]
    plans = plans_of([*rows, *rows_of("sigmoid_mse", [800, 850])])
    networks = results.finished_networks(plans, rows)
    assert {name: list(by_seed) for name, by_seed in networks.items()} == {
        "relu_softmax": [0]
    }
    assert list(results_of(rows, plans=plans)["models"]) == ["relu_softmax"]
    nothing = results_of([], plans=plans)
    assert nothing["models"] == {} and list(page.sections(nothing, {})) == []


def test_a_diverged_network_is_written_without_nan():
    totals = Totals(np.array([1]), np.array([math.nan]), np.array([10]))
    epoch = Epoch(1, None, totals, (totals, totals), seconds=1.0)
    (row,) = measure.seed_epochs("relu_softmax", "digits", [3], epoch)
    assert row["train_loss"] is None
    json.dumps(row, allow_nan=False)


def test_throughput_is_networks_per_minute():
    together, alone, in_processes = [1.0, 1.1, 1.4], [2.0, 2.1, 2.2], [6.0, 7.0, 9.0]
    rows = rows_of("flax_dense", *[[900] * 3] * 2, group_size=2)
    for row in rows:
        row["group_seconds"] = 1.5 * together[row["epoch"] - 1]  # of two networks
        row["group_evaluation_seconds"] = 0.5 * together[row["epoch"] - 1]
    content = results_of(rows, alone, in_processes)
    speeds = content["throughput"]["flax_dense"]
    # By hand: three epochs of the median seconds each; three processes side by side.
    per_minute = {way: speed["per_minute"] for way, speed in speeds.items()}
    assert per_minute == {
        "at once": pytest.approx(60 / (3 * 1.1)),
        "processes of one thread": pytest.approx(60 / 7),
        "one at a time": pytest.approx(60 / (3 * 2.1)),
    }
    # The quartiles of three lie half-way between them.
    low, high = speeds["at once"]["range"]
    assert (low, high) == pytest.approx((60 / (3 * 1.25), 60 / (3 * 1.05)))
    times = [row[-1] for row in page.throughput(content).rows]
    assert times == ["1.91", "0.90", "1.00"]
    assert results_of(rows)["throughput"] == {}


def test_stuck_seeds_are_a_share_with_its_interval():
    rows = of_last(sigmoid_mse=(*range(950, 959), 860))
    entry = results_of(rows)["models"]["sigmoid_mse"]
    assert entry["far_out"] == {"9": 0.86}
    expected = scipy.stats.binomtest(1, 10).proportion_ci(method="wilson")
    assert entry["far_out_share_95"] == pytest.approx(list(expected))
    # By hand, the sign test's table: of ten values the 2nd and the 9th.
    assert entry["last"]["median_interval_95"] == [0.95, 0.957]


def test_the_second_test_set_is_a_number_of_its_own():
    rows = rows_of("flax_dense", [900, 950], [901, 951])
    for row in rows:
        if row["epoch"] == 2:
            row |= {"second_correct": 480 + row["seed"], "second_seen": 500}
    content = results_of(rows)
    assert content["models"]["flax_dense"]["second"]["mean"] == pytest.approx(0.961)
    assert content["ranks"]["second"] == {"flax_dense": (1, 1)}
    # Where another model has not been tested on it, the page has what there is.
    both = results_of([*rows, *rows_of("relu_softmax", [900, 950], [901, 951])])
    ranks = page.ranks(both)
    assert [row[0] for row in ranks.rows] == ["flax_dense", "relu_softmax"]


def idx(kind, array):
    """An idx file by its description: two zeros, type, sizes, numbers, big-endian."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    numbers = array.astype(array.dtype.newbyteorder(">")).tobytes()
    return gzip.compress(head + numbers, compresslevel=0)


@pytest.fixture
def qmnist_folder(tmp_path):
    rng = np.random.default_rng(0)
    image = rng.integers(256, size=(10_003, 28, 28), dtype=np.uint8)
    label = rng.integers(100_000, size=(10_003, 8), dtype=np.int32)
    label[:, 0] %= 10
    (tmp_path / qmnist.IMAGES).write_bytes(idx(8, image))
    (tmp_path / qmnist.LABELS).write_bytes(idx(12, label))
    return tmp_path, image, label


def test_qmnists_images_that_mnist_has_not_are_read(qmnist_folder, digits):
    folder, image, label = qmnist_folder
    mnist = digits._replace(name="mnist")
    others = qmnist.load(folder, mnist)
    np.testing.assert_array_equal(others.image, image[10_000:])
    np.testing.assert_array_equal(others.label, label[10_000:, 0])
    assert others.label.dtype == np.int32
    # Each network is tried on it; the oracle is its own prediction.
    predict = jax.jit(models.get("flax_dense").network.predict)
    networks = [random_layers((784, 16, 10), seed) for seed in range(2)]
    params = jax.tree.map(lambda *leaves: np.stack(leaves), *networks)
    plan = Plan(models.get("flax_dense"), models.get("flax_dense").recipe, (0, 1))
    rows = measure.with_second([{"seed": 0}, {"seed": 1}], plan, params, others)
    for index, row in enumerate(rows):
        answers = predict(networks[index], others.image).label
        assert row["second_correct"] == np.sum(answers == others.label)
        assert (row["seed"], row["second_seen"]) == (index, 3)
    # A network that diverged has a loss that is no number, and stops nobody.
    lost = jax.tree.map(lambda leaf: np.full_like(leaf, np.nan), params)
    [row] = measure.with_second([{"seed": 0}], plan, lost, others)
    assert row["second_seen"] == 3


def test_without_qmnist_a_sentence_says_why(qmnist_folder, digits):
    folder, *_ = qmnist_folder
    mnist = digits._replace(name="mnist")
    assert "--qmnist" in qmnist.load(None, mnist)
    assert "digits" in qmnist.load(folder, digits)
    (folder / qmnist.LABELS).unlink()
    assert qmnist.LABELS in qmnist.load(folder, mnist)


@pytest.mark.parametrize(
    "content",
    [
        b"no gzip",
        gzip.compress(b""),
        gzip.compress(b"\0\0\x0d\1\0\0\0\1data"),  # floats
        idx(8, np.zeros((10_002, 28, 28), np.uint8))[:-9],  # cut off
        gzip.compress(gzip.decompress(idx(8, np.zeros((3, 28, 28), np.uint8)))[:-1]),
        idx(8, np.zeros((3, 20, 28), np.uint8)),
    ],
    ids=["no gzip", "empty", "type", "cut gzip", "cut", "shape"],
)
def test_a_damaged_qmnist_file_is_refused(qmnist_folder, digits, content):
    folder, *_ = qmnist_folder
    (folder / qmnist.IMAGES).write_bytes(content)
    with pytest.raises(InputError, match=re.escape(str(folder))):
        qmnist.load(folder, digits._replace(name="mnist"))


def claims_of(**counts):
    """The write-up's ranking over networks with these test counts of 1,000."""
    rows = of_last(**counts)
    content = results_of(rows)
    assert len(page.write_up(content).rows) == len(content["write_up"])
    assert results_of(rows, dataset="digits")["write_up"] == []
    return content["write_up"]


def test_a_gap_within_the_spread_of_two_runs_ranks_nothing():
    keras, relu = (978, 973, 977, 982), (980, 981, 979, 981)
    (claim,) = claims_of(relu_softmax=relu, keras_dense=keras)
    assert (claim["ahead"], claim["behind"]) == ("keras_dense", "relu_softmax")
    assert claim["gap"] == pytest.approx(0.001)
    # By hand: variances of independent runs add.
    variance = np.var(keras, ddof=1) + np.var(relu, ddof=1)
    expected = 1.96 * math.sqrt(variance) / 1000
    assert claim["spread_of_two_runs_95"] == pytest.approx(expected, rel=1e-4)
    assert claim["runs_that_agree"] == 4 / 16  # 982 beats all four
    gap = (np.mean(keras) - np.mean(relu)) / 1000
    assert claim["gap_here"] == pytest.approx(gap)
    assert not claim["beyond_one_run_each"]


def test_a_gap_beyond_the_spread_stands_and_the_mirror_stands_in_for_keras():
    (claim,) = claims_of(
        sigmoid_mse=(950, 951, 949, 860), flax_dense=(978, 979, 977, 978)
    )
    assert claim["trained_here"] == ["flax_dense", "sigmoid_mse"]
    assert claim["beyond_one_run_each"]


def test_the_mirror_stands_in_for_a_single_keras_network():
    # As with --keras-seeds 1, or Ctrl-C within Keras's second network.
    others = {"relu_softmax": (980, 981, 979, 981), "keras_dense": (978,)}
    (claim,) = claims_of(**others, flax_dense=(978, 979, 977, 978))
    assert (claim["ahead"], claim["behind"]) == ("keras_dense", "relu_softmax")
    assert claim["trained_here"] == ["flax_dense", "relu_softmax"]
    assert claims_of(**others, flax_dense=(978,)) == []


def test_the_strips_hold_every_network():
    networks = ([900, count] for count in (950, 970, 860))
    rows = rows_of("relu_softmax", *networks, validated=[1, 2])
    finished = results.finished_networks(plans_of(rows), rows)
    figure = page.strips(finished, results_of(rows))
    (axes,) = figure.axes
    strips = [part for part in axes.collections if isinstance(part, PathCollection)]
    (dots,) = (sorted(1 - strip.get_offsets()[:, 0]) for strip in strips)
    np.testing.assert_allclose(dots, [0.86, 0.95, 0.97])
    left, right = axes.get_xlim()
    assert left > 0.14  # a network that got stuck is on the figure
    assert right < 0.029  # and so is the write-up's accuracy
    ticks = axes.get_xticks()
    assert len(ticks) >= 4
    assert all(right <= tick <= left for tick in ticks)


@pytest.mark.parametrize(("count", "is_drawn"), [(950, False), (200, True)])
def test_what_was_reported_is_drawn_where_it_is_on_the_scale(count, is_drawn):
    rows = of_last(sigmoid_mse=(count, count + 5, count + 9))
    networks = results.finished_networks(plans_of(rows), rows)
    (axes,) = page.strips(networks, results_of(rows)).axes
    left, right = axes.get_xlim()
    assert (right < 1 - models.get("sigmoid_mse").reported < left) == is_drawn


@pytest.mark.slow
@pytest.mark.usefixtures("in_this_process")
def test_keras_is_trained_in_both_orders(tmp_path, monkeypatch):
    starts = []
    compile_model = keras_orders.keras_dense.compile_model

    def note(model, recipe):
        starts.append(model.get_weights())
        compile_model(model, recipe)

    monkeypatch.setattr(keras_orders.keras_dense, "compile_model", note)
    options = {"dataset": "digits", "examples": 100, "output": tmp_path / "run"}
    content = keras_orders.main(keras_orders.Config(seeds=2, first_seed=7, **options))
    assert {*content["test_accuracy"]} == {"new", "repeated"}
    assert content["seed"] == [7, 8]
    assert content["new_minus_repeated"] is None  # of two pairs
    for new, repeated, other in zip(*starts[:3], strict=True):
        np.testing.assert_array_equal(new, repeated)
        assert not new.any() or not np.array_equal(new, other)  # biases are 0
    written = json.loads((tmp_path / "run" / "results.json").read_text())
    assert written["test_accuracy"] == content["test_accuracy"]
    assert "% (repeated)" in written["finding"]


def test_orders_are_compared_in_pairs():
    # Oracle: SciPy.
    shares = {"new": [0.97, 0.98, 0.982, 0.979], "repeated": [0.95, 0.96, 0.975, 0.98]}
    rows = [
        {"order": order, "seed": seed, "test_accuracy": shares[order][seed]}
        for seed in range(4)
        for order in shares
    ]
    difference = keras_orders.results(rows)["new_minus_repeated"]
    expected = scipy.stats.ttest_rel(*shares.values())
    assert difference["p_value"] == pytest.approx(expected.pvalue)
    assert difference["interval_95"] == pytest.approx([*expected.confidence_interval()])
    begun = keras_orders.results(rows[:5])  # a third pair has its first network
    assert begun["seed"] == [0, 1] and begun["new_minus_repeated"] is None
    assert keras_orders.finding(begun).endswith("(repeated).")
    assert keras_orders.results(rows[:1])["mean"] == {"new": None, "repeated": None}
