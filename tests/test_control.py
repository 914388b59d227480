"""`experiments/control.py` end to end on scikit-learn's digits."""

import csv
import json
import math
import re
import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import oracles
import pytest
from scipy.stats import binomtest

from experiments.control import __main__ as control
from experiments.control import beside_keras, effort, layer_rates, surprise
from experiments.control import tables as control_tables
from experiments.control.study import Study, train_combinations
from experiments.kit.progress import console
from jaxnets import models as recipes
from jaxnets import relu_softmax, training
from jaxnets.errors import InputError, NonFiniteLoss

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]

EASE = Path(control.__file__).parent / "ease"
PROGRAMS = ("numpy_from_scratch",)
SIZES = (784, 16, 10)
RATES = (0.02, 0.1)
EPOCHS = 5


def tiny(output: Path, **settings) -> control.Config:
    standard = {
        "dataset": "digits",
        "programs": (),
        "keras": False,
        "layer_sizes": SIZES,
        "rates": RATES,
        "epochs": EPOCHS,
        "descent_rates": (0.1, 0.4),
        "descent_steps": 10,
        "sharpness_images": 40,
        "gradient_images": 30,
        "rate_images": 150,
        "seed": 1,
    }
    return control.Config(**{**standard, "output": output, **settings})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run without Keras, and everything it left behind."""
    output = tmp_path_factory.mktemp("control") / "run"
    with console.capture() as capture:
        control.main(tiny(output, programs=PROGRAMS, rounds=1))
    with open(output / "gradient_norms.csv", newline="") as stream:
        ranking = list(csv.DictReader(stream))
    return SimpleNamespace(
        path=output,
        printed=capture.get(),
        results=json.loads((output / "results.json").read_text()),
        ranking=ranking,
        metrics=[
            json.loads(line)
            for line in (output / "metrics.jsonl").read_text().splitlines()
        ],
    )


def test_the_folder_holds_what_was_promised(finished):
    assert sorted(file.name for file in finished.path.iterdir()) == [
        "config.json",
        "ease.png",
        "gradient_norms.csv",
        "metrics.jsonl",
        "rates.png",
        "report.html",
        "results.json",
        "sharpness.png",
        "surprising.png",
    ]
    assert finished.results["status"] == "complete"
    page = (finished.path / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert "Ease: the same task in each" in page


def test_the_programs_ran_and_their_lines_were_counted(finished):
    ease = finished.results["ease"]
    assert list(ease["programs"]) == list(PROGRAMS)
    for name, entry in ease["programs"].items():
        # Oracle: non-blank lines below the module's docstring that are no comment;
        # the programs' other docstrings are one line each.
        text = (EASE / f"{name}.py").read_text().split('"""', 2)[2]
        lines = [line.strip() for line in text.splitlines()]
        code = [line for line in lines if line and line[0] != "#" and '"""' not in line]
        assert entry["lines"] == len(code)
        [accuracy] = entry["accuracy"]
        assert accuracy > 0.6  # of digits after one epoch; a guess is right in 0.1
        assert entry["seconds_median"] == entry["seconds"][0] > 0
        assert f"{accuracy:.2%}" in finished.printed
    assert len(ease["data_seconds"]) == 1


def test_the_combinations_can_be_recounted(finished):
    # Oracle: SciPy's Wilson interval of the counts, and the experiment's own form.
    rates = finished.results["control"]["rates"]
    assert rates["rates"] == [[0.02, 0.02], [0.02, 0.1], [0.1, 0.02], [0.1, 0.1]]
    assert rates["uniform"] == [0, 3]
    assert rates["test_seen"] == 360
    assert len(rates["sharpness"]) == EPOCHS + 1  # before training, and after each
    assert rates["sharpness"][0][0] == rates["sharpness"][0][1]  # the same weights
    assert rates["sharpness"][1][0] != rates["sharpness"][1][1]
    low, high = binomtest(rates["test_correct"][3], 360).proportion_ci(method="wilson")
    assert f"{low:.2%} to {high:.2%}" in finished.printed
    lines = [line for line in finished.metrics if line["part"] == "rates"]
    assert [line["rates"] for line in lines] == rates["rates"] * EPOCHS
    assert lines[4]["train_loss"] < lines[0]["train_loss"]


def test_the_ranking_is_that_of_the_examined_network(finished, digits):
    # Oracle: the network trained by NumPy in float64, and its gradients.
    init_key, data_key = recipes.run_keys(1)
    network = oracles.network_of(relu_softmax.init(init_key, SIZES))
    for epoch in range(EPOCHS):
        order = np.asarray(training.epoch_order(data_key, epoch, 1198))
        network, _, _ = oracles.sgd_epoch(
            oracles.relu_backprop,
            network,
            *digits.train,
            order,
            batch_size=64,
            rate=0.1,
        )
    assert sorted(int(row["record"]) for row in finished.ranking) == list(range(1198))
    norms = [float(row["gradient_norm"]) for row in finished.ranking]
    assert norms == sorted(norms, reverse=True)
    for row in [*finished.ranking[:5], *finished.ranking[-5:]]:
        image, label = (array[int(row["record"])] for array in digits.train)
        loss, logits, grads = oracles.relu_backprop(network, image, label)
        length = math.sqrt(sum(np.sum(a**2) for pair in grads for a in pair))
        # float32 through 95 updates
        assert float(row["gradient_norm"]) == pytest.approx(length, rel=1e-3)
        assert float(row["loss"]) == pytest.approx(loss, rel=1e-3)
        assert int(row["answer"]) == logits.argmax()
        assert int(row["label"]) == label
    shown = finished.results["control"]["gradients"]["largest_norms"]
    expected = [int(row["record"]) for row in finished.ranking[: len(shown)]]
    assert [entry["record"] for entry in shown] == expected
    assert len(shown) == surprise.SHOWN


def test_planted_errors_are_found_better_than_by_chance(finished):
    planted = finished.results["control"]["planted"]
    assert planted["planted"] == 12  # a hundredth of 1,198
    assert planted["found_by_chance"] == pytest.approx(0.12, rel=0.01)
    assert 2 <= planted["found_by_norm"] <= 12  # by chance in 1 of 150 cases
    assert 4 <= planted["found_by_loss"] <= 12


def test_descent_is_recorded(finished):
    descent = finished.results["control"]["descent"]
    assert [record["step"] for record in descent["records"]] == [5, 10]
    assert descent["images"] == 40
    noted = [line for line in finished.metrics if line["part"] == "descent"]
    assert [line["sharpness"] for line in noted] == [
        record["sharpness"] for record in descent["records"]
    ]
    for place in (0, 1):  # both rates are small enough to descend
        first, last = (record["loss"][place] for record in descent["records"])
        assert last < first < 1.2 * math.log(10)  # log(10) is a guess's loss
    assert finished.results["control"]["sharpness_on_all"]["images"] == 1198


@pytest.mark.keras
@pytest.mark.usefixtures("in_this_process")
def test_keras_computes_the_same(digits):
    # Oracle: tf.keras, on the same weights and images.
    recipe = replace(recipes.RELU_SOFTMAX, layer_sizes=SIZES)
    rates = layer_rates.combinations(RATES, 2)
    study = Study(digits, recipe, seed=1, rates=rates, note=lambda line: None)
    study.params = jax.device_get(relu_softmax.init(jax.random.key(5), SIZES))
    counts = {"num_gradients": 30, "num_hessian": 40, "num_rates": 150}
    lines = list(beside_keras.compare(study, **counts))
    assert len(lines) == 7
    parts = study.found["beside_keras"]
    ways = {name: part["ways"] for name, part in parts.items()}
    assert set(ways["gradients"]) == {"jax", "one_by_one", "in_a_graph", "vectorized"}
    # Tolerance: float32, sums of 784 terms in another order.
    for part, name in (
        ("gradients", "one_by_one"),
        ("gradients", "in_a_graph"),
        ("gradients", "vectorized"),
        ("product", "product"),
        ("rates", "rates"),
    ):
        way = ways[part][name]
        assert way["apart"] < 1e-4 * way["size"]
        assert way["size"] > 0.01  # there is something to differ
    # Here SciPy's Lanczos works on Keras's products.
    sharp = parts["product"]["sharpness"]
    assert sharp["keras"] == pytest.approx(sharp["jax"], rel=1e-3)
    for part in parts.values():
        rows = control_tables.keras_rows(part)
        assert rows[0][0] == "JAX"
        for row, way in zip(rows, part["ways"].values(), strict=True):
            assert row[1:3] == (str(way["lines"]), str(way["logical_lines"]))


@pytest.mark.drawn
def test_a_run_cut_short_keeps_what_was_done(tmp_path, monkeypatch):
    def interrupted(study):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(control.surprise, "rank", interrupted)
    with console.capture(), pytest.raises(KeyboardInterrupt):
        control.main(tiny(tmp_path / "run"))
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["status"] == "interrupted"
    assert results["ease"]["data_seconds"] == []  # no program to compare it with
    assert len(results["control"]["rates"]["epochs"]) == EPOCHS
    assert "gradients" not in results["control"]
    assert (tmp_path / "run" / "report.html").is_file()


def test_divergence_is_told_with_the_rate(digits):
    recipe = replace(
        recipes.RELU_SOFTMAX, layer_sizes=(784, 10), learning_rate=1e38, num_epochs=2
    )
    rates = layer_rates.combinations((1e38,), 1)
    study = Study(digits, recipe, seed=1, rates=rates, note=lambda line: None)
    with pytest.raises(NonFiniteLoss, match=r"in epoch 1 at learning rate 1e\+38"):
        next(train_combinations(study, 10))


def test_numbers_that_are_not_finite_stand_as_dashes():
    diverged = (np.array([np.nan, 1.0]),)
    way = beside_keras.apart(diverged, (np.array([2.0, 1.0]),), None)
    assert way == {"apart": None, "size": 2.0}
    ways = {
        "jax": {"lines": 1, "logical_lines": 1, "seconds": 1.0, "first_seconds": 2.0},
        "rates": {
            **{"lines": 1, "logical_lines": 1, "seconds": 1.0, "first_seconds": None},
            **way,
        },
    }
    *_, row = control_tables.keras_rows({"ways": ways})
    assert row[-2:] == ("-", "-")


def test_the_shortest_program_is_named_only_where_it_ran():
    def note(**lines):
        programs = {name: {"lines": count} for name, count in lines.items()}
        return control_tables.ease_note(
            {"task": "a task", "data_seconds": [1.0], "programs": programs}
        )

    said = "One call is the shortest"
    assert said in note(flax_library=9, keras_fit=20)
    assert said not in note(keras_fit=20, numpy_from_scratch=30)
    assert said not in note(flax_library=21, keras_fit=20)


@pytest.mark.keras
@pytest.mark.usefixtures("in_this_process")
def test_keras_is_compared_where_a_combination_diverges(digits):
    recipe = replace(recipes.RELU_SOFTMAX, layer_sizes=SIZES)
    rates = layer_rates.combinations((1e20, 0.1), 2)
    study = Study(digits, recipe, seed=1, rates=rates, note=lambda line: None)
    study.params = jax.device_get(relu_softmax.init(jax.random.key(5), SIZES))
    counts = {"num_gradients": 30, "num_hessian": 40, "num_rates": 150}
    list(beside_keras.compare(study, **counts))
    parts = study.found["beside_keras"]
    assert parts["rates"]["ways"]["rates"]["apart"] is None
    json.dumps(parts, allow_nan=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"programs": ("pytorch",)}, "'pytorch'"),
        ({"rounds": 0}, "rounds=0"),
        ({"rates": ()}, "at least one"),
        ({"rates": (0.1, -1.0)}, "-1.0"),
        ({"rates": tuple(range(1, 10))}, "81 networks"),
        ({"descent_rates": (0.0,)}, r"0\.0"),
        ({"descent_steps": 4}, "descent_steps=4"),
        ({"planted": 0.7}, r"planted=0\.7"),
        ({"gradient_images": 0}, "gradient_images=0"),
        ({"batch_size": 1199}, "1199"),
        ({"layer_sizes": (784, 9)}, "must end with 10"),
        ({"dataset": "mnits"}, "'mnits'"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_written(
    tmp_path, settings, message
):
    with pytest.raises(InputError, match=message):
        control.main(tiny(tmp_path / "run", **settings))
    assert not (tmp_path / "run").exists()


def test_programs_get_the_data_that_the_run_has_found(tmp_path):
    config = tiny(tmp_path, data_dir=tmp_path / "data", mnist_dir=Path("files"))
    assert control._variables(config) == {
        "TFDS_DATA_DIR": str(tmp_path / "data"),
        "JAXNETS_MNIST_DIR": "files",
    }


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.keras] if name == "keras_fit" else [])
        for name in effort.PROGRAMS
    ],
)
def test_every_program_learns(name, monkeypatch, capsys):
    if name == "keras_fit":
        pass
    monkeypatch.setattr("sys.argv", [f"{name}.py", "digits"])
    runpy.run_path(str(EASE / f"{name}.py"))
    [accuracy] = re.findall(
        r"^test accuracy (0\.\d{4})$", capsys.readouterr().out, re.M
    )
    assert float(accuracy) > 0.6  # after one epoch of 38 steps; a guess has 0.1


def test_every_program_of_the_folder_takes_part():
    files = {file.stem for file in EASE.glob("*.py")}
    assert files == set(effort.PROGRAMS)
