"""`experiments/scaling.py`: equal work, honest parts of epochs, the files left."""

import json
import re
import subprocess
import sys
import threading
from collections import Counter
from importlib.util import find_spec
from multiprocessing import Pipe
from pathlib import Path
from types import ModuleType

import contenders
import jax
import numpy as np
import pytest

from experiments.speed import scaling as scaling
from experiments.speed import scaling_report as scaling_report
from experiments.speed.contenders import (
    jaxnets_part,
    numpy_batched,
    numpy_updates,
    points,
    rates,
    rounds,
    worker,
)
from experiments.speed.contenders.numpy_updates import UPDATES, Moments
from experiments.speed.contenders.points import Plan, Point
from experiments.speed.contenders.scaling_summary import epoch_seconds, point_result
from experiments.speed.contenders.task import (
    Data,
    Epoch,
    Report,
    read_data,
    to_vectors,
    write_data,
)
from jaxnets import flax_dense, relu_softmax, training
from jaxnets import models as recipes
from jaxnets.devices import compile_ahead
from jaxnets.errors import InputError
from jaxnets.types import Batch

pytestmark = pytest.mark.slow

EXPERIMENTS = Path(__file__).parents[1] / "experiments"


def test_numpy_adam_follows_the_formula():
    # Oracle: Kingma and Ba (2015), algorithm 1, in float64, with Keras's epsilon
    # outside the bias correction; more elements than a piece holds.
    rng = np.random.default_rng(0)
    size, rate = numpy_updates.PIECE + 7, 0.01
    weights = rng.standard_normal(size)
    found = weights.astype(np.float32)
    moments = Moments(*np.zeros((2, size), np.float32))
    m = v = np.zeros(size)
    for t in range(1, 6):
        grads = rng.standard_normal(size) * 10.0 ** rng.integers(-9, 1, size)
        grads[:100] = 0.0
        m, v = 0.9 * m + 0.1 * grads, 0.999 * v + 0.001 * grads**2
        scaled = rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        weights = weights - scaled * m / (np.sqrt(v) + 1e-7)
        numpy_updates.adam(found, grads.astype(np.float32), moments, rate, t)
    np.testing.assert_allclose(found, weights, atol=2e-6)  # float32 weights up to 5


def test_numpy_with_adam_does_the_work_of_the_frameworks(digits):
    # Oracle: the Flax network and optax's Adam in Keras's form. Few neurons, because
    # rounding decides where a ReLU's input is next to zero.
    train = Batch(*(array[:205] for array in digits.train))
    task = points.make_task(Point(16, 205, 32), 784)
    tx = recipes.keras_adam(task.learning_rate)
    params = flax_dense.init(jax.random.key(3), task.layer_sizes)
    layers = [(np.array(layer.kernel), np.array(layer.bias)) for layer in params]
    order = np.array(training.epoch_order(jax.random.key(4), 0, 205))
    epoch = jax.jit(training.make_train_epoch(flax_dense.loss_fn, tx, 32))
    state, _ = epoch(training.start(params, tx), train, order)
    update = UPDATES["adam"](layers, task.learning_rate)
    targets = numpy_batched.one_hot(train.label, 10)
    vectors = to_vectors(train.image)
    numpy_batched.train_epoch(layers, update, vectors, targets, order, task=task)
    for (kernel, bias), expected in zip(layers, state.params, strict=True):
        # rounding of 784-term sums, over Adam's epsilon, in steps of 1e-3
        np.testing.assert_allclose(kernel, expected.kernel, atol=2e-5)
        np.testing.assert_allclose(bias, expected.bias, atol=2e-5)


def test_a_part_is_the_first_steps_of_each_epoch(digits):
    # Oracle: `training.make_train_step` in a Python loop.
    task = points.make_task(Point(16, 1198, 32), 784, Plan(20, 1), rounds=1)
    assert task.num_epochs == 2
    tx = recipes.keras_adam(task.learning_rate)
    params = flax_dense.init(jax.random.key(1), task.layer_sizes)
    key = jax.random.key(2)
    step = jax.jit(training.make_train_step(flax_dense.loss_fn, tx))
    state = training.start(jax.tree.map(np.array, params), tx)
    parts = jaxnets_part.fit_part(
        flax_dense.loss_fn,
        tx,
        training.start(params, tx),
        digits.train,
        key=key,
        task=task,
    )
    for epoch, part in enumerate(parts):
        rows = np.array(training.epoch_order(key, epoch, 1198))
        short = 2  # steps, before the 20 that count
        for first in [*range(0, 32 * short, 32), *range(0, 32 * 20, 32)]:
            picked = rows[first : first + 32]
            batch = Batch(*(array[picked] for array in digits.train))
            state, _ = step(state, batch)
        for layer, expected in zip(part.params, state.params, strict=True):
            # float32, other order of sums, over Adam's steps of 1e-3
            np.testing.assert_allclose(layer.kernel, expected.kernel, atol=5e-5)
        assert 0 < part.fixed_seconds <= part.seconds
    assert epoch == 1


def test_numpy_takes_a_part_too(digits):
    # Oracle: Adam's own count of steps, 3 epochs of 4.
    counted = []

    class Counting(numpy_updates.Adam):
        def step(self, deltas):
            super().step(deltas)
            counted.append(self._steps)

    task = points.make_task(Point(8, 500, 10), 784, Plan(4, 1), rounds=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(UPDATES, "adam", Counting)
        train = Data(*(array[:500] for array in digits.train))
        numpy_batched.run(task, train, lambda epoch: None)
    assert counted == list(range(1, 13))


@pytest.mark.keras
def test_keras_takes_a_part_too(digits):
    # Oracle: the optimizer's own count of steps.
    from experiments.speed.contenders import keras_fit

    counted = []

    def on_epoch(epoch):
        model = epoch.predict.__self__.model
        counted.append(int(model.optimizer.iterations.numpy()))

    task = points.make_task(Point(8, 500, 10), 784, Plan(4, 1), rounds=2)
    train = Data(*(array[:500] for array in digits.train))
    keras_fit.run(task, train, on_epoch)
    assert counted == [4, 8, 12]


def test_what_a_part_takes_once_is_not_scaled():
    point = Point(64, 1000, 10)  # 100 steps
    report = Report(3.0, 0.0, 0.0, 0, 0, None, fixed_seconds=1.0)
    assert epoch_seconds(report, point, Plan(20, 1)) == 1 + 2 * 100 / 20
    assert epoch_seconds(report, point, Plan(None, 4)) == 3.0
    # 1 s once and 0.1 s a step
    assert jaxnets_part.fixed_part(3.0, 20, 1.2, 2) == pytest.approx(1.0)
    assert jaxnets_part.fixed_part(3.0, 20, 0.1, 2) == 0.0  # noise


def test_plans():
    # A step takes 1 ms at the floor: 200 of them take 0.2 s.
    assert points.make_plan(Point(9, 8000, 10), 0.8, 0.2, 3) == Plan(200, 1)
    # One image fewer, and four turns of 200 steps would not fit the data.
    assert points.make_plan(Point(9, 7990, 10), 0.799, 0.2, 3).part_steps is None
    assert points.make_plan(Point(9, 100, 10), 0.01, 0.2, 3) == Plan(None, 20)
    # At least 50 steps, however long they take.
    assert points.make_plan(Point(9, 8000, 10), 800.0, 0.2, 3) == Plan(50, 1)


def test_repeated_images_begin_again(tmp_path, digits):
    train = Data(*(array[:7] for array in digits.train))
    write_data(tmp_path, train, train)
    image, label = read_data(tmp_path, "train", 17)
    np.testing.assert_array_equal(image, np.concatenate([train.image] * 3)[:17])
    np.testing.assert_array_equal(label, np.concatenate([train.label] * 3)[:17])
    assert len(read_data(tmp_path, "train", 3).label) == 3
    assert len(read_data(tmp_path, "test").label) == 7


def test_the_floor_by_hand():
    # 2 flops x (forward and weights' gradient of 784x64, three products of 64x10);
    # weights and two moments read and written, 3 steps. The longer of both counts.
    flops = 25 * 2 * (2 * 784 * 64 + 3 * 64 * 10)
    moved = 3 * 2 * 3 * 4 * (785 * 64 + 65 * 10)
    for slow, expected in ((1e8, moved / 1e8), (1e12, flops / 1e9)):
        found = {"flops_per_second_all_cores": 1e9, "bytes_per_second_adam": slow}
        entry = points.floor_of(Point(64, 25, 10), 784, found)
        assert entry["seconds"] == pytest.approx(expected)
        assert entry["arithmetic_seconds"] == pytest.approx(flops / 1e9)
        assert entry["memory_seconds"] == pytest.approx(moved / slow)


def test_rates_count_what_was_done(monkeypatch):
    # Oracle: the bytes of the arrays that NumPy was given, at half a second a trial.
    moved = []

    def negative(array, out):
        assert out is array  # in place
        moved.append(array.nbytes + out.nbytes)

    def best(work):
        moved.clear()
        work()
        return 0.5

    monkeypatch.setattr(rates, "_best", best)
    with monkeypatch.context() as patch:
        patch.setattr(rates.np, "negative", negative)
        assert rates.adam_rate(1, 1001) == sum(moved) / 0.5
    largest = 2 * max(rates.MATRIX_SIZES) ** 3 / 0.5
    found = rates.product_rates(2)
    assert found["flops_per_second_all_cores"] == largest
    assert found["flops_per_second_one_core"] == largest


def test_the_better_rates_count():
    assert rates.best_of({"a": 1.0, "b": 3.0}, {}) == {"a": 1.0, "b": 3.0}
    found = rates.best_of({"a": 1.0, "b": 3.0}, {"a": 2.0, "b": 2.0})
    assert found == {"a": 2.0, "b": 3.0}


def test_a_turn_is_the_mean_of_its_epochs(tmp_path, digits, monkeypatch):
    train = Data(*(array[:20] for array in digits.train))
    write_data(tmp_path, train, train)

    def run(task, data, on_epoch):
        for seconds in (9.0, 1.0, 2.0, 3.0, 5.0):
            on_epoch(Epoch(seconds, lambda images: np.zeros(len(images)), 0.5, 0.25))

    fake = ModuleType("contenders.fake")
    fake.run = run
    monkeypatch.setitem(sys.modules, "contenders.fake", fake)
    monkeypatch.setattr(worker.signal, "signal", lambda *_: None)  # main thread's
    ours, theirs = Pipe()
    task = points.make_task(Point(8, 20, 10), 784, Plan(None, 2), folder=tmp_path)
    thread = threading.Thread(target=worker.serve, args=(theirs, "fake", task, 0.0))
    thread.start()
    seconds = []
    for _ in range(3):
        report = ours.recv()
        seconds.append(report.seconds)
        assert (report.fixed_seconds, report.compile_seconds) == (0.25, 0.5)
        assert report.correct == (train.label == 0).sum()
        ours.send("next")
    thread.join()
    assert seconds == [9.0, 1.5, 4.0]  # the first epoch is a turn of its own


def test_a_worker_does_not_import_the_users_script(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "Path('imported').open('a').write(__name__)\n"
        "if __name__ == '__main__':\n"
        "    import numpy as np\n"
        "    from contenders import SCALING, points, rounds\n"
        "    from contenders.task import Data, write_data\n"
        "    data = Data(np.zeros((4, 2, 2), np.uint8), np.zeros(4, np.int32))\n"
        "    write_data(Path(), data, data)\n"
        "    task = points.make_task(points.Point(3, 4, 2), 4)\n"
        "    worker = rounds.Worker(SCALING['numpy_1'], task)\n"
        "    print(worker.report().seen)\n"
        "    worker.stop()\n"
    )
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(EXPERIMENTS), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.stdout) == ("", "4\n")
    assert (tmp_path / "imported").read_text() == "__main__"


def made_up(**medians):
    """A point's reports where every contender took so long, give or take a tenth."""
    return {
        name: [
            Report(second, 1.0, 9.0, 90, 100, 2**30)
            for second in (9.0, 0.9 * middle, middle, 1.1 * middle)
        ]
        for name, middle in medians.items()
    }


TWO_WIDTHS = (
    {"from_scratch": 1.0, "flax": 1.05, "tf_keras": 8.0, "numpy_1": 2.0},
    {"from_scratch": 3.0, "flax": 3.1, "tf_keras": 6.0, "numpy_1": 2.0},
)


def made_up_results(*medians, floor_seconds=0.5):
    """Widths 64, 256 and so on; each has its contenders' seconds."""
    widths = [64 * 4**place for place in range(len(medians))]
    entries = [
        point_result(
            Point(width, 1000, 10),
            Plan(None, 1),
            made_up(**found),
            {"seconds": floor_seconds},
            3,
        )
        for width, found in zip(widths, medians, strict=True)
    ]
    sweeps = {"width": [*range(len(entries))], "examples": [], "batch_size": []}
    return {"points": entries, "sweeps": sweeps}


def said_of(*medians, **settings):
    """The report's sentences."""
    return scaling_report.conclusion(made_up_results(*medians, **settings))


def test_who_wins_is_computed():
    first, second = made_up_results(*TWO_WIDTHS)["points"]
    assert (first["fastest"], first["ties"]) == ("from_scratch", ["flax"])
    assert (second["fastest"], second["ties"]) == ("numpy_1", [])
    entry = first["contenders"]["tf_keras"]
    assert entry["epoch_seconds"] == pytest.approx(
        {"min": 7.2, "median": 8.0, "max": 8.8}
    )
    assert entry["images_per_second"] == 1000 / 8.0
    assert entry["step_seconds"] == 8.0 / 100
    assert entry["times_floor"] == 16
    assert entry["compile_seconds"] == pytest.approx(1.0)  # its first epoch's excess


def test_the_words_hide_no_loss():
    said = said_of(*TWO_WIDTHS)
    assert said[0] == (
        "tf.keras is faster than the from-scratch network at 0 of 2 points; its epoch "
        "takes 2.00 to 8.00 times as long."
    )
    assert any(
        "tf.keras takes 8.00 times" in line and "narrows" in line for line in said
    )
    assert any("NumPy takes 2.00 times" in line and "changes" in line for line in said)
    assert (
        "At width 256, 1,000 images, batch 10 from scratch is slower beyond spread: it "
        "takes 1.50 times as long as NumPy, 1 thread."
    ) in said
    assert not any("width 64, 1,000 images" in line for line in said)


def test_everybody_who_wins_is_named():
    said = said_of(
        {"from_scratch": 2.0, "flax": 1.0, "keras_on_jax": 1.25, "tf_keras": 1.9}
    )
    assert (
        "At width 64, 1,000 images, batch 10 from scratch is slower beyond spread: it "
        "takes 2.00 times as long as Flax, 1.60 times as long as Keras on JAX."
    ) in said  # tf.keras is within the spread
    assert said[0] == (
        "tf.keras is faster than the from-scratch network at 1 of 1 points (width 64, "
        "1,000 images, batch 10); its epoch takes 0.95 to 0.95 times as long."
    )


def test_nothing_is_said_of_who_was_not_measured():
    nobody = "Nowhere is anybody faster than from scratch beyond spread."
    assert nobody in said_of({"from_scratch": 1.0, "tf_keras": 2.0})
    for found in ({"tf_keras": 1.0, "numpy_1": 2.0}, {"from_scratch": 1.0}):
        assert not any("than from scratch" in line for line in said_of(found))


def test_the_mirror_differs_by_noise_or_by_more():
    def mirror(*medians):
        return next(line for line in said_of(*medians) if line.startswith("Flax"))

    near, far = {"from_scratch": 1.0, "flax": 1.1}, {"from_scratch": 1.0, "flax": 1.3}
    assert mirror(near).endswith("they differ by no more than the spread.")
    assert mirror(near, far).endswith(
        "they differ by more than the spread: 1.30 times at width 256, 1,000 images, "
        "batch 10."
    )


def test_the_constant_part_of_a_step_by_hand():
    # 100 steps an epoch: tf.keras takes 8 ms a step and 1/64 ms a neuron, from
    # scratch 1 ms and 1/64 ms a neuron.
    said = said_of(
        {"from_scratch": 0.2, "tf_keras": 0.9},
        {"from_scratch": 0.5, "tf_keras": 1.2},
        {"from_scratch": 1.7, "tf_keras": 2.4},
        floor_seconds=0.05,
    )
    assert (
        "However narrow the network, a step needs time for dispatch and the handling "
        "of images: from scratch 1.00 ms, tf.keras 8.00 ms (the line through the steps "
        "at hidden width 64 and 256). Of tf.keras's step that is 89% at 64 and 33% at "
        "1,024: so its distance shrinks."
    ) in said
    widening = said_of(
        {"from_scratch": 0.2, "tf_keras": 0.9}, {"from_scratch": 0.5, "tf_keras": 2.4}
    )
    assert any(line.startswith("However narrow") for line in widening)
    assert not any("distance shrinks" in line for line in widening)


def test_who_is_below_the_floor_is_said():
    said = said_of(*TWO_WIDTHS, floor_seconds=2.0)
    assert (
        "Below the floor at width 64, 1,000 images, batch 10: from scratch (0.50 "
        "times), Flax (0.53 times). So the machine can do more than was measured of "
        "it, and the true floor there is lower."
    ) in said
    assert any("from scratch nothing, Flax nothing, tf.keras 60" in x for x in said)
    assert not any(re.search(r"-\d", line) for line in said)  # no negative time
    assert not any("Below" in line for line in said_of(*TWO_WIDTHS))


TINY = {
    "dataset": "digits",
    "widths": (4,),
    "width": 8,
    "examples_list": (40,),
    "num_examples": 2000,
    "batch_sizes": (20,),
    "batch_size": 10,
    "rounds": 1,
    "part_seconds": 1e-6,
}


@pytest.fixture
def in_a_hurry(monkeypatch):
    """No pauses, rough rates; these tests look at no figure's size."""
    monkeypatch.setattr(rounds, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(rates, "TRIAL_SECONDS", 0)
    monkeypatch.setattr(rates, "MATRIX_SIZES", (64,))


@pytest.mark.usefixtures("in_a_hurry")
def test_the_scaling_from_end_to_end(tmp_path):
    output = tmp_path / "run"
    names = ("numpy_1", "numpy_all")
    config = scaling.Config(**TINY, contenders=names, output=output)
    results = scaling.main(config)
    assert results == json.loads((output / "results.json").read_text())
    assert (results["status"], results["errors"]) == ("complete", {})
    assert results["sweeps"] == {"width": [0], "examples": [1], "batch_size": [2]}
    sizes = [(p["width"], p["examples"], p["batch_size"]) for p in results["points"]]
    assert sizes == [(4, 2000, 10), (8, 40, 10), (8, 2000, 20)]
    measured = [point["measured"]["words"] for point in results["points"]]
    assert measured == ["50 of 200 steps", "4 steps", "50 of 100 steps"]
    for point in results["points"]:
        assert point["floor"]["seconds"] > 0
        assert set(point["contenders"]) == set(names)
        assert len(point["best"]) == 1
        for entry in point["contenders"].values():
            seconds = entry["epoch_seconds"]["median"]
            assert seconds > 0
            assert entry["images_per_second"] == point["examples"] / seconds
            assert entry["peak_bytes"] is None or entry["peak_bytes"] > 2**20
    lines = (output / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 3 * 2 * 2  # points, contenders, warm-up and one turn
    for figure in ("scaling", "scaling_memory"):
        assert (output / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
    page = (output / "report.html").read_text()
    assert page.count("<img ") == 2
    assert "width 8, 40 images, batch 10" in page


@pytest.mark.usefixtures("in_a_hurry", "undrawn")
def test_the_frameworks_take_part(tmp_path):
    names = ("from_scratch", "flax")
    if find_spec("tensorflow"):
        names += ("tf_keras",)
    settings = {**TINY, "widths": (8,), "examples_list": (2000,), "batch_sizes": (10,)}
    config = scaling.Config(**settings, contenders=names, output=tmp_path / "run")
    results = scaling.main(config)
    assert results["errors"] == {}
    [point] = results["points"]  # the sweeps meet in it
    assert results["sweeps"] == {"width": [0], "examples": [0], "batch_size": [0]}
    assert point["measured"]["part_steps"] == 50
    assert set(point["contenders"]) == set(names)
    for entry in point["contenders"].values():
        assert entry["compile_seconds"] > 0
        assert entry["test_accuracy"] > 0.15  # chance is 0.1; 110 steps of 8 neurons
    assert point["fastest"] in names


@pytest.mark.usefixtures("in_a_hurry", "undrawn")
def test_a_contender_that_fails_is_said(tmp_path, monkeypatch):
    broken = contenders.SCALING["numpy_1"]._replace(module="not_there")
    missing = contenders.SCALING["flax"]._replace(needs="no_such_package")
    monkeypatch.setitem(contenders.SCALING, "numpy_1", broken)
    monkeypatch.setitem(contenders.SCALING, "flax", missing)
    settings = {**TINY, "widths": (8,), "examples_list": (40,), "num_examples": 40}
    names = ("numpy_1", "numpy_all", "flax")
    config = scaling.Config(**settings, contenders=names, output=tmp_path / "run")
    results = scaling.main(config)
    assert "no_such_package is not installed" in results["left_out"]["flax"]
    assert len(results["errors"]) == len(results["points"]) == 2
    assert all("not_there" in error for error in results["errors"].values())
    assert all(set(p["contenders"]) == {"numpy_all"} for p in results["points"])


def test_nobody_installed_is_refused(tmp_path, monkeypatch):
    missing = contenders.SCALING["flax"]._replace(needs="no_such_package")
    monkeypatch.setitem(contenders.SCALING, "flax", missing)
    config = scaling.Config(**TINY, contenders=("flax",), output=tmp_path / "run")
    with pytest.raises(
        InputError, match=r"none .* is installed; missing: no_such_pack"
    ):
        scaling.main(config)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("in_a_hurry")
def test_an_interrupt_keeps_what_was_measured(tmp_path, monkeypatch):
    from experiments.speed.contenders import scaling_session

    measure, calls = scaling_session.measure, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return measure(*arguments)

    monkeypatch.setattr(scaling_session, "measure", interrupted)
    output = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        scaling.main(scaling.Config(**TINY, contenders=("numpy_1",), output=output))
    results = json.loads((output / "results.json").read_text())
    assert results["status"] == "interrupted"
    assert [point["width"] for point in results["points"]] == [4]
    assert results["sweeps"] == {"width": [0], "examples": [], "batch_size": []}
    assert (output / "report.html").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"contenders": ("theano",)}, "unknown contender 'theano'"),
        ({"contenders": ()}, "no contender is named"),
        ({"widths": ()}, r"widths=\(\) must be one or more"),
        ({"batch_sizes": (0,)}, r"batch_sizes=\(0,\) must be one or more"),
        ({"width": 0}, "width=0 must be at least 1"),
        ({"rounds": 0}, "rounds=0 must be at least 1"),
        ({"part_seconds": 0.0}, "part_seconds=0.0 must be greater than 0"),
        ({"part_seconds": float("nan")}, "part_seconds=nan must be greater than 0"),
        ({"seed": -1}, "seed=-1 must be between"),
        ({"examples_list": (9,)}, "batch size 10 must be at most the 9 training"),
        ({"examples": 0}, "examples=0 must be between 1 and"),
        ({"examples_list": (10**12,)}, "GiB are free; give smaller --examples-list"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(
    tmp_path, settings, message
):
    config = scaling.Config(**{**TINY, **settings}, output=tmp_path / "run")
    with pytest.raises(InputError, match=message):
        scaling.main(config)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("optimized")
@pytest.mark.parametrize("width", [8, 1024])
def test_flax_compiles_to_the_operations_of_the_from_scratch_network(digits, width):
    # What the report says of their difference. Oracle: XLA's text of both programs.
    tx = recipes.keras_adam(1e-3)
    params = relu_softmax.init(jax.random.key(0), (784, width, 10))
    arguments = training.start(params, tx), digits.train, np.arange(320)
    counts = []
    for network in (relu_softmax, flax_dense):
        epoch = training.make_train_epoch(network.loss_fn, tx, 32)
        text = compile_ahead(epoch, *arguments).as_text()
        counts.append(Counter(re.findall(r" = .*?[\])}] ([a-z][a-z\-0-9]*)\(", text)))
    assert counts[0] == counts[1]
    assert counts[0]["while"] > 0
