"""`experiments.speedrun` and `ladder`: rules, rows and runs on digits."""

import contextlib
import dataclasses
import itertools
import json
import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
import scipy.stats
import small

from experiments.kit import folder, provenance, resume
from experiments.kit.statistics import lower_bound
from experiments.ladder import __main__ as ladder
from experiments.ladder.steps import CHANGES, FIRST, LAST, PUBLISHED, steps
from experiments.speedrun import __main__ as speedrun
from experiments.speedrun import measure, page, train
from experiments.speedrun.results import results
from experiments.speedrun.settings import RECORDS, Settings
from jaxnets import augment, relu_softmax, training
from jaxnets.errors import InputError
from jaxnets.types import Batch

QUICK = speedrun.Config(
    mark=98.0,  # whose program compiles soon
    seeds=3,
    first_seed=4,
    keras_epochs=2,
    num_epochs=2,
    hidden=(16,),
    batch_size=50,
    dataset="digits",
    examples=200,
)
SMALL = Settings(hidden=(16,), peak_rate=0.01, batch_size=50, num_epochs=2)
STARTED = {"kind": "start", "compile_seconds": 1.0, "cold_start_seconds": 4.0}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run, with made-up seconds of Keras, and all it left behind."""
    output = tmp_path_factory.mktemp("speedrun") / "run"
    with pytest.MonkeyPatch.context() as patch:
        seconds = iter([2.0, 4.0, 3.0])
        patch.setattr(measure, "epoch_seconds", lambda _: (s for s in seconds))
        returned = speedrun.main(dataclasses.replace(QUICK, output=output))
    return small.left_behind(output, returned)


# The run


def test_results_hold_a_number_a_seed(finished):
    content = json.loads((finished.path / "results.json").read_text())
    assert content == finished.returned and content["status"] == "complete"
    assert content["mark"] == 98 and content["seed"] == [4, 5, 6]
    assert len(content["seconds"]) == len(content["test_accuracy"]) == 3
    assert all(seconds > 0 for seconds in content["seconds"])
    assert all(0.1 < share < 0.99 for share in content["test_accuracy"])
    assert len(set(content["test_accuracy"])) > 1
    assert content["keras_epoch_seconds"] == 3.0  # the median of 2 and 4
    median = float(np.median(content["seconds"]))
    assert content["keras_epochs"] == pytest.approx(median / 3)
    assert content["cold_start_seconds"] > content["compile_seconds"] > 0
    assert not content["stands"]
    assert content["settings"]["hidden"] == [16]


def test_keras_epochs_are_spread_among_the_runs(finished):
    kinds = [row["kind"] for row in finished.rows]
    assert kinds == ["start", "keras", "run", "run", "run", "keras"]


def test_a_run_is_that_of_fit_from_the_same_seed(finished, digits):
    # Oracle: `fit`, and the test set's images counted by hand.
    record = speedrun.record_of(QUICK)
    part, keys = digits.train.split(200)[0], training.run_keys(5)
    tx = train.make_tx(record.settings, 200)
    params = relu_softmax.init(keys.init, (784, 16, 10))
    *_, last = training.fit(
        relu_softmax.loss_fn,
        tx,
        training.start(params, tx),
        part,
        batch_size=50,
        num_epochs=2,
        key=keys.data,
        train_loss_fn=train.make_loss_fn(record.settings),
        loss_key=keys.extra,
    )
    answers = relu_softmax.predict(last.state.params, digits.test.image).label
    expected = float(np.mean(answers == digits.test.label))
    # An image on the border may fall to the other side.
    assert finished.returned["test_accuracy"][1] == pytest.approx(expected, abs=0.003)


def test_the_source_is_kept(finished):
    [source] = (finished.path / "source").iterdir()
    for name, module in (("experiments/speedrun", train), ("jaxnets", augment)):
        copy = source / name / module.__file__.rpartition("/")[2]
        with open(module.__file__, encoding="utf-8") as original:
            assert copy.read_text(encoding="utf-8") == original.read()
    assert (source / "experiments/speedrun/__main__.py").exists()


def test_a_run_is_redrawn_without_training(finished, monkeypatch, undrawn):
    monkeypatch.delattr(measure, "compile_programs")
    assert speedrun.main(speedrun.Config(redraw=finished.path)) == finished.returned
    pictures = {file.name for file in finished.path.glob("*.png")}
    assert pictures == {"speedrun.png"}


def test_a_run_is_redrawn_with_the_recipe_it_had(finished, monkeypatch, undrawn):
    other = dataclasses.replace(RECORDS[98.0], networks=2, all_images=True)
    monkeypatch.setitem(RECORDS, 98.0, other)
    assert speedrun.main(speedrun.Config(redraw=finished.path)) == finished.returned


def test_a_run_that_did_not_keep_its_recipe_is_not_redrawn(finished, tmp_path):
    path = shutil.copytree(finished.path, tmp_path / "run")
    content = json.loads((path / "config.json").read_text())
    del content["record"]
    (path / "config.json").write_text(json.dumps(content))
    with pytest.raises(
        InputError, match="did not keep the recipe; redraw the run with"
    ):
        speedrun.main(speedrun.Config(redraw=path))


def test_what_was_known_is_said_with_the_rules():
    assert "had been tested" in judged(GOOD + 0.014, 99.5)["rules"][0]["here"]
    assert judged(GOOD)["rules"][0]["here"] == "as recorded"


def test_the_validation_set_joins_when_nothing_is_left_to_choose(digits):
    config = speedrun.Config(mark=99.5)
    joined = train.training_images(speedrun.record_of(config), digits)
    count = len(digits.train.label)
    np.testing.assert_array_equal(joined.image[:count], digits.train.image)
    np.testing.assert_array_equal(joined.label[:count], digits.train.label)
    np.testing.assert_array_equal(joined.image[count:], digits.validation.image)
    np.testing.assert_array_equal(joined.label[count:], digits.validation.label)
    # While settings are chosen it does not, nor in a try-out, nor at the other marks.
    for changes in ({"validation": True}, {"examples": 200}, {"mark": 99.4}):
        other = speedrun.record_of(dataclasses.replace(config, **changes))
        assert train.training_images(other, digits) is digits.train


def test_validation_scores_in_place_of_the_test_set(digits, monkeypatch):
    scored = []

    def run_once(programs, num_epochs, seed, train_set, images):
        scored.append(images)
        chances = np.eye(10, dtype=np.float32)[np.zeros(len(images), int)]
        return train.Outcome(1.0, chances, 0.0, 0.0)

    monkeypatch.setattr(measure, "run_once", run_once)
    monkeypatch.setattr(measure, "keep_source", lambda path: None)
    monkeypatch.setattr(measure, "compile_programs", lambda *_: "programs")
    monkeypatch.setattr(measure, "start", lambda *_: dict(STARTED))
    config = dataclasses.replace(QUICK, keras_epochs=0, validation=True)
    run = SimpleNamespace(
        config=config, data=digits, path=Path(), rows=[], checkpoint=lambda *_, **__: 0
    )
    rows = list(measure.measure(run, RECORDS[98.0], range(2)))
    monkeypatch.undo()
    assert all(images is digits.validation.image for images in scored)
    [share] = {row["accuracy"] for row in rows[1:]}
    assert share == np.mean(digits.validation.label == 0)


@pytest.fixture
def quick_start(monkeypatch, undrawn):
    """Made-up seconds of Keras and of a start; who trained, seed by seed."""
    seconds = iter([2.0, 4.0, 3.0])
    monkeypatch.setattr(measure, "epoch_seconds", lambda _: (s for s in seconds))
    monkeypatch.setattr(measure, "start", lambda *_: dict(STARTED))
    trained: list[int] = []
    run_seed = measure.run_seed

    def counted(record, programs, seed, *args, **kwargs):
        trained.append(seed)
        return run_seed(record, programs, seed, *args, **kwargs)

    monkeypatch.setattr(measure, "run_seed", counted)
    return trained


@pytest.mark.parametrize(
    ("rows", "again"),
    # Before the first checkpoint, before the second, and after the last.
    [(2, [4, 5, 6]), (4, [5, 6]), (6, [])],
)
def test_a_record_that_is_broken_off_has_the_rows_of_a_whole_one(
    finished, tmp_path, quick_start, rows, again
):
    path = tmp_path / "run"
    with break_off(rows):
        speedrun.main(dataclasses.replace(QUICK, output=path))
    quick_start.clear()
    content = speedrun.main(resume.stored_options(speedrun.Config, path))
    assert quick_start == again
    assert content["status"] == "complete" and content["networks"] == 1
    ended = small.left_behind(path, content).rows
    assert timeless(ended) == timeless(finished.rows)
    assert content["sessions"] == ended[-1]["session"] == (1 if rows == 2 else 2)


def timeless(rows):
    """Without what differs from one session to the next."""
    kept = ("kind", "seed", "accuracy", "train_loss")
    return [{key: row[key] for key in kept if key in row} for row in rows]


def test_a_record_goes_on_after_ctrl_c_within_a_run(
    finished, tmp_path, monkeypatch, quick_start
):
    path = tmp_path / "run"
    run_once = measure.run_once

    def stopped(programs, num_epochs, seed, *args):
        if seed == 5:
            raise KeyboardInterrupt
        return run_once(programs, num_epochs, seed, *args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(measure, "run_once", stopped)
        speedrun.main(dataclasses.replace(QUICK, output=path))
    interrupted = json.loads((path / "results.json").read_text())
    assert (interrupted["status"], interrupted["seed"]) == ("interrupted", [4])
    quick_start.clear()
    content = speedrun.main(resume.stored_options(speedrun.Config, path))
    assert quick_start == [5, 6]
    assert timeless(small.left_behind(path, content).rows) == timeless(finished.rows)


def test_a_record_is_of_one_source(tmp_path, monkeypatch, quick_start):
    # On digits, as they were the record's data, and with the settings of a record.
    path = tmp_path / "run"
    config = dataclasses.replace(QUICK, keras_epochs=0, examples=None, output=path)
    monkeypatch.setattr(speedrun, "DATASET", "digits")
    record = speedrun.record_of(config)
    monkeypatch.setitem(speedrun.RECORDS, 98.0, record)
    with break_off(2):
        speedrun.main(config)
    before = (path / "metrics.jsonl").read_bytes()
    config = resume.stored_options(speedrun.Config, path)
    with monkeypatch.context() as patch:
        files = {"jaxnets/models.py": "import os"}
        patch.setattr(provenance, "source", lambda *_: files)
        with pytest.raises(InputError, match=r"source_sha256 was .* --allow-changes"):
            speedrun.main(config)
        assert (path / "metrics.jsonl").read_bytes() == before
        copy = tmp_path / "copy"
        shutil.copytree(path, copy)
        changed = dataclasses.replace(config, resume=copy, allow_changes=True)
        content = speedrun.main(changed)
    assert "source_sha256 was" in content["notice"]
    assert content["rules"][0]["holds"] and not content["rules"][-1]["holds"]
    assert content["rules"][-1]["here"].startswith("source_sha256 was")
    assert len(list((copy / "source").iterdir())) == 2
    content = speedrun.main(config)
    assert content["notice"] is None and content["rules"][-1]["holds"]
    assert len(list((path / "source").iterdir())) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("mark", 99.0), ("first_seed", 5), ("ensemble", 2), ("validation", True)],
)
def test_a_record_does_not_become_another(tmp_path, quick_start, name, value):
    path = tmp_path / "run"
    with break_off(1):
        speedrun.main(dataclasses.replace(QUICK, output=path))
    config = resume.stored_options(speedrun.Config, path)
    changed = dataclasses.replace(config, allow_changes=True, **{name: value})
    with pytest.raises(InputError, match=f"has rows of another {name} "):
        speedrun.main(changed)


@contextlib.contextmanager
def break_off(rows):
    """Ctrl-C after so many rows, before what follows them; in this block alone."""
    append_row = folder.append_row

    def append_and_break(path, row):
        append_row(path, row)
        if len((path / folder.ROWS).read_text().splitlines()) == rows:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(folder, "append_row", append_and_break)
        yield


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_plan_has_every_seed_once_and_as_many_epochs_of_keras(count):
    steps = measure.plan(range(4, 7), count)
    assert steps[0] == ("start", 0)
    assert [n for kind, n in steps if kind == "run"] == [4, 5, 6]
    assert [n for kind, n in steps if kind == "keras"] == [*range(count)]


@pytest.mark.slow
def test_networks_of_an_ensemble_answer_together(digits):
    # Oracle: the mean of the probabilities of networks that `run_once` trains.
    part, images = digits.train.split(200)[0], digits.test.image
    settings = dataclasses.replace(SMALL, average=0.9, dropout=0.2)
    texts: list[str] = []
    together = train.run_together(settings, range(3), part, images, say=texts.append)
    assert texts[-1].startswith("3 of 3")
    programs = train.compile_programs(settings, part, digits.test)
    alone = [train.run_once(programs, 2, seed, part, images) for seed in range(3)]
    expected = np.mean([outcome.probability for outcome in alone], axis=0)
    np.testing.assert_allclose(together.probability, expected, atol=2e-3)
    assert np.abs(alone[0].probability - expected).max() > 0.05
    losses = [outcome.train_loss for outcome in alone]
    assert together.train_loss == pytest.approx(np.mean(losses), rel=1e-3)
    assert together.seconds > 0 and together.compile_seconds > 0


def test_no_two_ensembles_share_a_network(monkeypatch):
    monkeypatch.setattr(measure, "run_together", lambda _, seeds, *__, say: [*seeds])
    record = dataclasses.replace(RECORDS[98.0], networks=10)
    run_seed = partial(measure.run_seed, record, None, say=print)
    groups = [run_seed(seed, None, None) for seed in (0, 1, 2)]
    assert [seed for group in groups for seed in group] == list(range(30))


@pytest.mark.slow
@pytest.mark.keras
def test_an_epoch_of_keras_is_timed_and_waits(digits):
    epochs = measure.epoch_seconds(digits.train.split(100)[0])
    assert 0 < next(epochs) < 5 and 0 < next(epochs) < 5
    epochs.close()


def test_the_averaged_weights_answer(digits):
    settings = dataclasses.replace(SMALL, average=0.9)
    tx = train.make_tx(settings, 200)
    state = training.start(relu_softmax.init(jax.random.key(0), (784, 16, 10)), tx)
    moved = state._replace(params=jax.tree.map(lambda leaf: -leaf, state.params))
    images = digits.test.image[:1000]
    answers = train.predict(moved, images).probability
    expected = relu_softmax.predict(state.params, images).probability
    np.testing.assert_allclose(answers, expected, atol=1e-6)


# The rules


KERAS = (5.0, 5.5, 6.0, 7.0, 40.0)  # seconds of each epoch


def rows_of(accuracies, seconds=1.0, keras=KERAS):
    runs = [
        {"kind": "run", "seed": n, "seconds": seconds, "accuracy": share}
        for n, share in enumerate(accuracies)
    ]
    return [STARTED, *({"kind": "keras", "seconds": s} for s in keras), *runs]


def judged(accuracies, mark=98.0, **changes):
    how = {"planned": len(accuracies), "as_recorded": True, "changes": None}
    how |= {"scored": "test"} | changes
    rows = rows_of(accuracies, keras=how.pop("keras", KERAS))
    return results(mark, RECORDS[mark], rows, **how)


GOOD = 0.982 + 0.001 * np.sin(np.arange(30))


def test_a_record_stands_that_keeps_all_rules():
    content = judged(GOOD)
    assert content["stands"] and all(rule["holds"] for rule in content["rules"])
    assert content["keras_epoch_seconds"] == 6.0
    assert content["keras_epochs"] == pytest.approx(1 / 6)
    assert page.lead(content).startswith("98 % stands: mean 98.2")


@pytest.mark.parametrize(
    "changes",
    [
        {"accuracies": GOOD[:29]},  # one seed too few
        {"planned": 31},  # of those that were asked for, too
        {"accuracies": GOOD - 0.002},  # above the mark, not by enough
        {"as_recorded": False},
        {"changes": "source_sha256 was 1 and is 2"},
        {"keras": KERAS[1:]},
        {"scored": "validation"},
    ],
    ids=str,
)
def test_a_record_falls_with_one_rule(changes):
    content = judged(**({"accuracies": GOOD} | changes))
    assert not content["stands"]
    assert sum(not rule["holds"] for rule in content["rules"]) == 1
    assert "does not stand" in page.lead(content)


def test_an_ensembles_compile_time_is_its_own():
    rows = [row | {"compile_seconds": 7.0} for row in rows_of(GOOD)]
    rows[0] = STARTED  # a single network's
    seconds = []
    for mark in (99.4, 99.5):
        how = {"planned": 30, "as_recorded": True, "changes": None, "scored": "test"}
        content = results(mark, RECORDS[mark], rows, **how)
        seconds.append(content["compile_seconds"])
    assert seconds == [1.0, 7.0]


def test_validation_figures_are_never_called_tests():
    content = judged(GOOD, scored="validation")
    assert content["test_accuracy"] == [] and len(content["validation_accuracy"]) == 30


def test_the_bound_is_students():
    # Oracle: SciPy's one-sided t-test; its p-value at the bound is the chance.
    bound = lower_bound(GOOD, 0.01)
    test = scipy.stats.ttest_1samp(GOOD, bound, alternative="greater")
    assert test.pvalue == pytest.approx(0.01, rel=1e-6)
    assert lower_bound(GOOD[:2], 0.01) is None
    assert lower_bound([0.98] * 30, 0.01) is None  # no spread says nothing


def test_a_broken_off_run_has_what_it_reached(finished):
    for number in range(len(finished.rows)):
        content = results(
            99.0,
            RECORDS[99.0],
            finished.rows[:number],
            planned=3,
            as_recorded=False,
            changes=None,
            scored="test",
        )
        assert page.lead(content) and not content["stands"]
        images = np.zeros((20, 28, 28), np.uint8)
        assert len(list(page.sections(content, images))) >= 2


@pytest.mark.slow
def test_the_page_shows_what_a_network_with_distortions_sees(digits):
    content = judged(GOOD, mark=99.0)
    *_, picture = page.sections(content, digits.train.image)
    assert picture.name == "distorted"
    [image] = picture.figure().axes[0].images
    shown = np.asarray(image.get_array())
    assert shown.shape == (28 * 6, 28 * 12)
    first, second = shown[:28], shown[28:56]
    assert np.array_equal(first[:, :28], digits.train.image[0])
    assert np.any(first != second)


def test_a_changed_setting_is_not_the_record():
    assert speedrun.record_of(speedrun.Config(mark=99.0)) == RECORDS[99.0]
    for change in (
        {"hidden": (8,)},
        {"peak_rate": 1.0},
        {"num_epochs": 1},
        {"dropout": 0.0},
        {"adversary": 1.0},
        {"ensemble": 2},
    ):
        config = speedrun.Config(mark=99.0, **change)
        assert speedrun.record_of(config) != RECORDS[99.0]


def test_records_up_to_98_9_distort_no_image_and_that_of_98_9_has_an_adversary():
    assert RECORDS[98.0].least_seeds == 30 and RECORDS[99.0].least_seeds == 10
    for mark in (98.0, 98.9):
        assert RECORDS[mark].settings.distortion == augment.Distortion()
    assert RECORDS[98.0].settings.adversary == 0 < RECORDS[98.9].settings.adversary
    assert RECORDS[99.5].networks == 10


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mark": 97.0}, "mark=97 must be one of 98, 98.9, 99, 99.4, 99.5"),
        ({"mark": float("nan")}, "mark=nan must be one of"),
        ({"seeds": 0}, "seeds=0"),
        ({"first_seed": -1}, "first_seed=-1"),
        ({"ensemble": 0}, "ensemble=0"),
        ({"keras_epochs": -1}, "keras_epochs=-1"),
        ({"num_epochs": 0}, "num_epochs=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"hidden": (5, 0)}, r"hidden=\(5, 0\)"),
        ({"peak_rate": 0.0}, "peak_rate=0.0"),
        ({"peak_rate": float("nan")}, "peak_rate=nan"),
        ({"dropout": 1.0}, "dropout=1.0 must be from 0 to below 1"),
        ({"dropout": 0.999}, "hidden_rate=0.999 must be .* by 1/256 at least"),
        ({"input_dropout": -0.1}, "input_dropout=-0.1"),
        ({"smoothing": float("nan")}, "smoothing=nan"),
        ({"average": 1.0}, "average=1.0"),
        ({"max_norm": -1.0}, "max_norm=-1.0 must be 0 or more"),
        ({"adversary": float("inf")}, "adversary=inf"),
        ({"first_seed": 2**32 - 2}, "seed=4294967296"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        speedrun.validate_config(dataclasses.replace(QUICK, **settings))


def test_other_classes_than_ten_are_refused(digits):
    # A data set of one's own, with two of the digits.
    part = digits.train.label < 2
    two = Batch(digits.train.image[part], digits.train.label[part])
    dataset = digits._replace(train=two, labels=("zero", "one"))
    with pytest.raises(InputError, match="2 classes; these networks tell 10 apart"):
        train.validate_data(SMALL, dataset)
    train.validate_data(SMALL, digits)


# The ladder


@pytest.fixture(scope="module")
def climbed(tmp_path_factory):
    """A short ladder of tiny networks."""
    output = tmp_path_factory.mktemp("ladder") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("experiments.ladder.steps.CHANGES", few_changes())
        returned = ladder.main(dataclasses.replace(SHORT, output=output))
    return small.left_behind(output, returned)


SHORT = ladder.Config(
    dataset="digits", examples=200, seeds=4, ensemble=2, epochs=2, batch_size=50
)


def few_changes():
    """Of all, with a tiny first network."""
    changes = {name: CHANGES[name] for name in (FIRST, "one-cycle rate", "shift")}
    return changes | {FIRST: {"hidden": (16,)}}


def test_each_step_adds_one_change():
    settings = list(steps(10, 128).values())
    names = [field.name for field in dataclasses.fields(Settings)]
    for before, after in itertools.pairwise(settings):
        changed = [n for n in names if getattr(before, n) != getattr(after, n)]
        assert set(changed) - {"peak_rate"} and len(set(changed) - {"peak_rate"}) == 1
    kinds = [settings[n].distortion for n in (-4, -3, -2, -1)]
    assert kinds[0] == augment.Distortion()
    assert [k.shift > 0 for k in kinds] == [False, True, True, True]
    assert [k.is_affine for k in kinds] == [False, False, True, True]
    assert [k.elastic > 0 for k in kinds] == [False, False, False, True]


def test_no_two_networks_share_a_seed_and_some_answer_together(climbed):
    names = [row["step"] for row in climbed.rows]
    assert names == [FIRST] * 4 + ["one-cycle rate"] * 4 + (["shift"] * 2 + [LAST]) * 2
    seeds = [row["seed"] for row in climbed.rows if row["step"] != LAST]
    assert seeds == list(range(12))
    assert [row["seed"] for row in climbed.rows if row["step"] == LAST] == [8, 10]
    pair, both = climbed.rows[8:10], climbed.rows[10]
    assert both["seconds"] == pytest.approx(sum(row["seconds"] for row in pair))


@pytest.mark.parametrize("rows", [5, 12])  # in the second step, within an ensemble
def test_a_ladder_that_is_broken_off_has_the_rows_of_a_whole_one(
    climbed, tmp_path, monkeypatch, undrawn, rows
):
    path = tmp_path / "run"
    monkeypatch.setattr("experiments.ladder.steps.CHANGES", few_changes())
    with break_off(rows):
        ladder.main(dataclasses.replace(SHORT, output=path))
    content = ladder.main(resume.stored_options(ladder.Config, path))
    ended, expected = (
        [{k: v for k, v in row.items() if k != "seconds"} for row in whole]
        for whole in (small.left_behind(path, content).rows, climbed.rows)
    )
    assert ended == expected


def test_a_ladder_is_of_one_source_and_of_as_many_networks(
    tmp_path, monkeypatch, undrawn
):
    path = tmp_path / "run"
    monkeypatch.setattr("experiments.ladder.steps.CHANGES", few_changes())
    with break_off(1):
        ladder.main(dataclasses.replace(SHORT, output=path))
    config = resume.stored_options(ladder.Config, path)
    with pytest.raises(InputError, match="has rows of another seeds"):
        ladder.main(dataclasses.replace(config, seeds=5, allow_changes=True))
    monkeypatch.setattr(provenance, "source", lambda *_: {})
    with pytest.raises(InputError, match="source_sha256 was"):
        ladder.main(config)


def test_an_ensembles_gain_is_over_its_own_networks():
    # Oracle: SciPy's paired t-test. Four ensembles of two, and one step before.
    rng = np.random.default_rng(1)
    alone, gains = 0.99 + 1e-3 * rng.normal(size=(2, 4, 2)), np.array([3, 4, 5, 4])
    rows = [
        {"step": step, "seed": 100 * n + seed, "test_accuracy": value, "seconds": 1.0}
        for n, (step, values) in enumerate(zip("ab", alone, strict=True))
        for seed, value in enumerate(values.ravel().tolist())
    ]
    together = alone[1].mean(axis=1) + 1e-3 * gains
    rows += [
        {"step": LAST, "seed": 100 + 2 * n, "test_accuracy": value, "seconds": 2.0}
        for n, value in enumerate(together.tolist())
    ]
    found = ladder.results(rows, 2)["ensemble_gain"]
    expected = scipy.stats.ttest_rel(together, alone[1].mean(axis=1))
    assert found["difference"] == pytest.approx(4e-3)
    assert found["p_value"] == pytest.approx(expected.pvalue, rel=1e-6)
    interval = expected.confidence_interval()
    np.testing.assert_allclose(found["interval"], interval, rtol=1e-6)
    assert found["verdict"] == f"{LAST} ahead"
    assert ladder.results(rows[:-2], 2)["ensemble_gain"] is None  # two say nothing
    for by, verdict in ((-4e-3, "equal within"), (-9e-3, "its networks ahead")):
        gain = ladder.ensemble_gain(shifted(rows, by), 2)
        assert gain["verdict"].startswith(verdict)


def shifted(rows, by):
    """The ensembles better by so much."""
    return [
        row | {"test_accuracy": row["test_accuracy"] + by * (row["step"] == LAST)}
        for row in rows
    ]


def test_gains_are_welchs_over_the_step_before():
    # Oracle: SciPy. Ten values each that do not overlap, and a step that adds nothing.
    rng = np.random.default_rng(0)
    samples = {"a": 0.97, "b": 0.98, "c": 0.98}
    samples = {n: mean + 1e-4 * rng.normal(size=10) for n, mean in samples.items()}
    rows = [
        {"step": name, "seed": n, "test_accuracy": value, "seconds": n}
        for name, values in samples.items()
        for n, value in enumerate(values.tolist())
    ]
    first, second = ladder.results(rows, 3)["gains"]
    expected = scipy.stats.ttest_ind(samples["b"], samples["a"], equal_var=False)
    np.testing.assert_allclose(
        first["interval"], expected.confidence_interval(), rtol=1e-9
    )
    assert (first["first"], first["verdict"]) == ("b", "b ahead")
    assert second["verdict"] == "equal within 0.1 points"
    few = ladder.results(rows[:2] + rows[10:12], 3)
    assert few["gains"][0]["verdict"] == "too few seeds"
    assert few["steps"]["a"]["seconds"] == 0.5


def test_the_ladders_folder_holds_what_was_promised(climbed, monkeypatch, undrawn):
    content = json.loads((climbed.path / "results.json").read_text())
    assert content == climbed.returned and content["status"] == "complete"
    assert (climbed.path / "ladder.png").exists()
    html = (climbed.path / "report.html").read_text()
    assert all(entry.what in html for entry in PUBLISHED)

    monkeypatch.setattr(ladder, "measure", lambda *_, **__: iter(()))
    assert ladder.main(ladder.Config(redraw=climbed.path)) == climbed.returned


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": 0}, "seeds=0"),
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"ensemble": 0}, "ensemble=0"),
        ({"ensemble": 13}, "ensemble=13 must be at most"),
        ({"first_seed": -1}, "first_seed=-1"),
        ({"first_seed": 2**32 - 1}, "seed="),
    ],
)
def test_a_ladder_that_makes_no_sense_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        ladder.validate_config(ladder.Config(**settings))
