"""`experiments/seeds.py`: many seeds, three numbers, and what they are worth."""

import csv
import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
from matplotlib.collections import PathCollection
from PIL import Image

from experiments.kit.progress import console
from experiments.seeds import __main__ as seeds
from experiments.seeds import claims as seeds_claims
from experiments.seeds import figures as seeds_figures
from experiments.seeds import results as seeds_results
from experiments.seeds.results import ModelSeeds, SeedEpoch
from jaxnets import ensemble as many
from jaxnets import models as recipes
from jaxnets import running
from jaxnets.errors import InputError

pytestmark = pytest.mark.usefixtures("undrawn")

MODELS = ("sigmoid_mse", "relu_softmax")
SEEDS = (5, 6, 7, 8)
EPOCHS = 3


def quick(output, **settings) -> seeds.Config:
    """Four seeds of two small networks, two at once."""
    standard = {
        "models": MODELS,
        "seeds": len(SEEDS),
        "first_seed": SEEDS[0],
        "at_once": 2,
        "alone": 1,
        "epochs": EPOCHS,
        "dataset": "digits",
    }
    return seeds.Config(**{**standard, "output": output, **settings})


def lines_of(file) -> list[dict]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run, and everything it left behind."""
    output = tmp_path_factory.mktemp("seeds") / "run"
    with console.capture() as capture:
        returned = seeds.main(quick(output))
    with open(output / "seeds.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return SimpleNamespace(
        path=output,
        returned=returned,
        printed=capture.get(),
        results=json.loads((output / "results.json").read_text()),
        metrics=lines_of(output / "metrics.jsonl"),
        rows=rows,
    )


def test_every_epoch_of_every_network_has_its_line(finished):
    found = sorted((m["model"], m["seed"], m["epoch"]) for m in finished.metrics)
    assert found == sorted(
        (model, seed, epoch)
        for model in MODELS
        for seed in SEEDS
        for epoch in range(1, EPOCHS + 1)
    )
    for line in finished.metrics:
        assert (line["validation_seen"], line["test_seen"]) == (239, 360)
        assert line["dataset"] == "digits"


def test_a_seed_is_what_it_is_alone(finished, digits):
    # Oracle: the run of one network, which knows nothing of this experiment.
    recipe = replace(recipes.RELU_SOFTMAX, num_epochs=EPOCHS)
    events = list(running.train("relu_softmax", recipe, digits, SEEDS[2]))
    mine = [
        line
        for line in finished.metrics
        if (line["model"], line["seed"]) == ("relu_softmax", SEEDS[2])
    ]
    for line, record in zip(mine, events[:-1], strict=True):
        # float32 sums in another order
        assert line["train_loss"] == pytest.approx(record.train_loss, rel=1e-4)
        # An image on the border may fall to the other side of it.
        assert abs(line["validation_correct"] - record.validation_correct) <= 1
    tested = np.sum(events[-1].prediction.label == digits.test.label)
    assert abs(mine[-1]["test_correct"] - tested) <= 1


def test_the_three_numbers_follow_from_the_lines(finished):
    # Oracle: the definitions, applied to metrics.jsonl.
    for model in MODELS:
        kept = {number: [] for number in ("last", "chosen", "best")}
        for seed in SEEDS:
            run = [
                line
                for line in finished.metrics
                if (line["model"], line["seed"]) == (model, seed)
            ]
            run.sort(key=lambda line: line["epoch"])
            tested = [line["test_correct"] / 360 for line in run]
            validated = [line["validation_correct"] for line in run]
            chosen = validated.index(max(validated))
            kept["last"].append(tested[-1])
            kept["chosen"].append(tested[chosen])
            kept["best"].append(max(tested))
            (row,) = (
                row
                for row in finished.rows
                if (row["model"], row["seed"]) == (model, str(seed))
            )
            numbers = [float(row[name]) for name in ("last", "chosen", "best")]
            assert numbers == [tested[-1], tested[chosen], max(tested)]
            assert int(row["chosen_epoch"]) == chosen + 1
        entry = finished.results["models"][model]
        for number, values in kept.items():
            assert entry[number]["mean"] == pytest.approx(np.mean(values))
            assert entry[number]["sd"] == pytest.approx(np.std(values, ddof=1))
            assert entry[number]["median"] == pytest.approx(np.median(values))
        gain = np.subtract(kept["best"], kept["chosen"])
        assert entry["optimism"]["mean"] == pytest.approx(np.mean(gain))
        assert np.all(gain >= 0)


def test_four_seeds_cannot_rank_and_the_tables_say_so(finished):
    # By hand: with four pairs Wilcoxon's p is at least 2/2^4.
    (pair,) = finished.results["pairs"]["last"]
    assert (pair["seeds"], pair["ahead"]) == (4, None)
    assert pair["p_value"] >= 0.125
    last = {
        model: [
            line["test_correct"]
            for line in finished.metrics
            if line["model"] == model and line["epoch"] == EPOCHS
        ]
        for model in MODELS
    }
    beaten = scipy.stats.mannwhitneyu(last["sigmoid_mse"], last["relu_softmax"])
    assert pair["wins"] == pytest.approx(beaten.statistic / 16)
    assert finished.results["ranks"]["last"] == {name: [1, 2] for name in MODELS}
    assert finished.printed.count("1 to 2, tie") == 4  # two numbers of two models
    assert finished.results["write_up"] == []  # digits are not its data
    assert finished.results["models"]["relu_softmax"]["reported_accuracy"] is None


def test_speed_is_measured_both_ways(finished):
    for model in MODELS:
        speed = finished.results["throughput"][model]
        assert speed["at_once"] == 2
        assert speed["epochs_timed"] == 2 * EPOCHS  # two chunks
        assert speed["epochs_timed_alone"] == EPOCHS
        ratio = speed["networks_per_minute"] / speed["networks_per_minute_alone"]
        assert speed["ratio"] == pytest.approx(ratio)
        assert speed["verdict"] in finished.printed


def test_the_folder_and_the_page_are_whole(finished):
    assert finished.returned == finished.results
    assert finished.results["status"] == "complete"
    config = json.loads((finished.path / "config.json").read_text())
    assert config["at_once"] == dict.fromkeys(MODELS, 2)
    page = (finished.path / "report.html").read_text()
    assert page.count("<img ") == 2
    for title in ("Accuracy over seeds", "Ranks", "Pairs of models", "Throughput"):
        assert title in page
    for name in ("seeds", "epochs"):
        with Image.open(finished.path / f"{name}.png") as image:
            # A blank page or an empty frame has next to no ink.
            assert np.mean(np.asarray(image.convert("L")) < 200) > 0.01


@pytest.mark.drawn
def test_ctrl_c_keeps_the_networks_that_were_done(tmp_path, monkeypatch):
    real = many.fit_seeds

    def fit_seeds(*args, **kwargs):
        for epoch in real(*args, **kwargs):
            yield epoch
            if kwargs["seeds"][0] == SEEDS[2]:
                raise KeyboardInterrupt

    monkeypatch.setattr(many, "fit_seeds", fit_seeds)
    config = quick(tmp_path / "run", models=("relu_softmax",), alone=0)
    with pytest.raises(KeyboardInterrupt):
        seeds.main(config)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["status"] == "interrupted"
    assert results["models"]["relu_softmax"]["seeds"] == list(SEEDS[:2])
    assert results["throughput"] == {}
    assert len(lines_of(tmp_path / "run" / "metrics.jsonl")) == 2 * EPOCHS + 2
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": ()}, "one or more"),
        ({"models": ("relu_softmax",) * 2}, "each once"),
        ({"models": ("perceptron",)}, "unknown model 'perceptron'"),
        ({"seeds": 0}, "seeds=0 must be at least 1"),
        ({"first_seed": 2**32 - 2}, "4294967297"),
        ({"at_once": 0}, "at_once=0"),
        ({"alone": -1}, "alone=-1"),
        ({"models": ("keras_dense",), "keras_seeds": 0}, "leaves no model"),
        ({"epochs": 0}, "0 epochs"),
        ({"examples": 20}, "batch size 64 must be at most 20"),
    ],
)
def test_bad_input_leaves_nothing_behind(tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        seeds.main(quick(tmp_path / "run", **settings))
    assert not (tmp_path / "run").exists()


@pytest.mark.keras
@pytest.mark.usefixtures("in_this_process")
def test_the_mirror_counts_what_keras_counts(tmp_path, monkeypatch, digits):
    # Oracle: the Keras model's own predictions, which the experiment does not use.
    ends = []
    real = running.train

    def train(*args):
        for event in real(*args):
            if isinstance(event, running.Trained):
                ends.append(event.prediction.label)
            yield event

    monkeypatch.setattr(running, "train", train)
    small = replace(recipes.KERAS_DENSE, layer_sizes=(784, 64, 10))
    monkeypatch.setitem(recipes.RECIPES, "keras_dense", small)
    config = quick(tmp_path / "run", models=("keras_dense",), keras_seeds=1, epochs=1)
    entry = seeds.main(config)["models"]["keras_dense"]
    tested = np.sum(ends[0] == digits.test.label)
    # An image on the border may fall to the other side of it.
    assert abs(entry["last"]["mean"] * 360 - tested) <= 1
    (line,) = lines_of(tmp_path / "run" / "metrics.jsonl")
    assert (line["model"], line["seed"]) == ("keras_dense", SEEDS[0])
    assert line["validation_seen"] == 239


@pytest.mark.mnist
@pytest.mark.usefixtures("mnist")
def test_on_mnist_the_write_up_is_judged_even_without_validation(tmp_path):
    config = quick(
        tmp_path / "run",
        dataset="mnist",
        examples=600,
        validation_examples=0,
        epochs=1,
        alone=0,
    )
    with console.capture() as capture:
        results = seeds.main(config)
    (claim,) = results["write_up"]
    assert (claim["ahead"], claim["behind"]) == ("relu_softmax", "sigmoid_mse")
    for entry in results["models"].values():
        assert not {"chosen", "optimism"} & set(entry)
        assert entry["last"]["mean"] == entry["best"]["mean"]  # of one epoch
    assert claim["gap"] == pytest.approx(0.971 - 0.1041)
    assert "The write-up puts relu_softmax (0.971) above" in capture.get()
    assert "The write-up puts" in (tmp_path / "run" / "report.html").read_text()


# What follows needs no training: numbers of networks that never were.


def run_of(tested, validated=None, seen=1000) -> list[SeedEpoch]:
    validated = validated or [0] * len(tested)
    return [
        SeedEpoch(number, 0.1, 0.9, of_validation, 100, of_test, seen)
        for number, (of_test, of_validation) in enumerate(
            zip(tested, validated, strict=True), start=1
        )
    ]


def model_of(name, *runs) -> ModelSeeds:
    recipe = replace(recipes.RECIPES[name], num_epochs=len(runs[0]))
    model = ModelSeeds(name, recipe, range(len(runs)), 2)
    model.epochs = dict(enumerate(runs))
    return model


def test_the_first_of_equal_validation_counts_is_chosen():
    run = run_of([900, 930, 940, 920], validated=[80, 90, 88, 90])
    assert seeds_results.chosen_epoch(run) == 2
    assert seeds_results.three_numbers(run) == {
        "last": 0.92,
        "chosen": 0.93,
        "best": 0.94,
    }


def test_without_validation_nothing_is_chosen():
    run = [epoch._replace(validation_seen=0) for epoch in run_of([900, 940, 930])]
    model = model_of("relu_softmax", run)
    entry = seeds_results.model_result(model, "digits")
    assert (entry["last"]["mean"], entry["best"]["mean"]) == (0.93, 0.94)
    assert not {"chosen", "optimism"} & set(entry)
    assert entry["last"]["sd"] is None  # of one seed
    assert entry["last"]["interval_95"] is None


def test_a_network_far_below_the_others_got_stuck():
    good = {seed: 0.950 + seed / 1000 for seed in range(9)}
    assert seeds_results.far_out(good) == {}
    assert seeds_results.far_out({**good, 9: 0.86}) == {9: 0.86}
    assert seeds_results.far_out(dict.fromkeys(range(5), 0.9)) == {}


def test_a_diverged_network_is_written_without_nan():
    totals = SimpleNamespace(
        loss=np.array([math.nan]), correct=np.array([1]), seen=np.array([10])
    )
    epoch = SimpleNamespace(number=1, train=totals, held_out=(totals, totals))
    line = seeds_results.seed_epoch(epoch, 0).as_json()
    assert line["train_loss"] is None
    json.dumps(line, allow_nan=False)


@pytest.mark.parametrize(
    ("together", "alone", "verdict"),
    [
        ([1.0, 1.1, 1.2], [2.0, 2.1, 2.2], "at once is faster"),
        ([2.0, 2.1, 2.2], [1.0, 1.1, 1.2], "one at a time is faster"),
        ([1.0, 2.0, 3.0], [1.1, 2.1, 3.1], "no clear difference"),
    ],
)
def test_throughput_is_networks_per_minute(together, alone, verdict):
    model = model_of("flax_dense", run_of([1] * 5))
    model.together, model.alone = together, alone
    found = seeds_claims.throughput(model)
    # By hand: five epochs of the median seconds each.
    assert found["networks_per_minute"] == pytest.approx(60 / (5 * together[1]))
    assert found["networks_per_minute_alone"] == pytest.approx(60 / (5 * alone[1]))
    assert found["verdict"] == verdict


def scores_of(*correct) -> dict[int, float]:
    return {seed: count / 10_000 for seed, count in enumerate(correct)}


def test_a_gap_within_the_spread_of_two_runs_ranks_nothing():
    keras, relu = (9784, 9728, 9776, 9814), (9801, 9810, 9795, 9799)
    by_model = {"relu_softmax": scores_of(*relu), "keras_dense": scores_of(*keras)}
    (claim,) = seeds_claims.write_up(by_model)
    assert (claim["ahead"], claim["behind"]) == ("keras_dense", "relu_softmax")
    assert claim["gap"] == pytest.approx(0.001)
    # By hand: variances of independent runs add.
    variance = np.var(keras, ddof=1) + np.var(relu, ddof=1)
    expected = 1.96 * math.sqrt(variance) / 10_000
    assert claim["spread_of_two_runs_95"] == pytest.approx(expected, rel=1e-4)
    assert claim["runs_that_agree"] == 4 / 16  # 9814 beats all four
    gap = (np.mean(keras) - np.mean(relu)) / 10_000
    assert claim["gap_here"] == pytest.approx(gap)
    assert not claim["beyond_one_run_each"]
    assert "as a ranking it means nothing" in seeds_claims.in_words(claim)


def test_a_gap_beyond_the_spread_stands_and_the_mirror_speaks_for_keras():
    by_model = {
        "sigmoid_mse": scores_of(9500, 9510, 9490, 8600),
        "flax_dense": scores_of(9780, 9790, 9770, 9785),
    }
    (claim,) = seeds_claims.write_up(by_model)
    assert claim["trained_here"] == ["flax_dense", "sigmoid_mse"]
    assert claim["beyond_one_run_each"]
    words = seeds_claims.in_words(claim)
    assert "here flax_dense stands in for it" in words
    assert "not the seeds' doing" in words


def test_the_mirror_speaks_for_a_single_keras_network():
    # As with --keras-seeds 1, or Ctrl-C within Keras's second network.
    by_model = {
        "relu_softmax": scores_of(9801, 9810, 9795, 9799),
        "flax_dense": scores_of(9780, 9790, 9770, 9785),
        "keras_dense": scores_of(9784),
    }
    (claim,) = seeds_claims.write_up(by_model)
    assert (claim["ahead"], claim["behind"]) == ("keras_dense", "relu_softmax")
    assert claim["trained_here"] == ["flax_dense", "relu_softmax"]
    assert "here flax_dense stands in for it" in seeds_claims.in_words(claim)
    assert seeds_claims.write_up({**by_model, "flax_dense": scores_of(9780)}) == []


def test_the_strips_hold_every_network():
    model = model_of(
        "relu_softmax", *(run_of([900, count], [1, 2]) for count in (950, 970, 860))
    )
    content = seeds_results.results([model], "mnist")
    figure = seeds_figures.strips([model], content)
    (axes,) = figure.axes
    strips = [found for found in axes.collections if isinstance(found, PathCollection)]
    dots = [sorted(1 - strip.get_offsets()[:, 0]) for strip in strips]
    expected = [[0.86, 0.95, 0.97]] * 2 + [[0.9, 0.95, 0.97]]  # last, chosen, best
    np.testing.assert_allclose(dots, expected)
    left, right = axes.get_xlim()
    assert left > 0.14  # a network that got stuck is on the figure
    assert right < 0.029  # and so is the write-up's accuracy
    assert "write-up: 97.1 %" in [text.get_text() for text in axes.texts]
    ticks = axes.get_xticks()
    assert len(ticks) >= 4
    assert all(right <= tick <= left for tick in ticks)
