"""`experiments.sweep`: one program for all rates, the edge, and one run on digits."""

import collections
import dataclasses
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import small

from experiments.kit.progress import Progress
from experiments.sweep import __main__ as sweep
from experiments.sweep import measure, page
from jaxnets import data, devices, models, relu_softmax, training
from jaxnets.errors import InputError

RATES = (1e-3, 0.3, 1e6)  # slow, well and not at all
QUICK = sweep.Config(
    model="relu_softmax",
    rates=RATES,
    batch_sizes=(20, 50),
    seeds=3,
    first_seed=2,
    epochs=3,
    dataset="digits",
    examples=200,
)


@pytest.fixture(scope="module", autouse=True)
def small_network():
    """A network that compiles soon, under the model's name."""
    recipe = models.RELU_SOFTMAX.recipe
    small = dataclasses.replace(recipe, layer_sizes=(784, 10))
    model = dataclasses.replace(models.RELU_SOFTMAX, recipe=small)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.MODELS, "relu_softmax", model)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run, and what it left behind."""
    output = tmp_path_factory.mktemp("sweep") / "run"
    returned = sweep.main(dataclasses.replace(QUICK, output=output))
    return small.left_behind(output, returned)


def test_every_network_has_a_row_an_epoch(finished):
    keys = [(r["batch_size"], r["rate"], r["seed"], r["epoch"]) for r in finished.rows]
    expected = [
        (size, rate, seed, epoch)
        for size in (20, 50)
        for epoch in (1, 2, 3)
        for rate in RATES
        for seed in (2, 3, 4)
    ]
    assert keys == expected
    assert all(("test_accuracy" in row) == (row["epoch"] == 3) for row in finished.rows)


def test_networks_learn_at_their_own_rate_and_a_diverging_one_stops_nobody(finished):
    # Oracle: `training.fit` of the same seed at that rate.
    dataset = data.first_examples(data.load("digits"), 200)
    for rate in RATES[:2]:
        keys = training.run_keys(3)
        plan = sweep.plans_of(QUICK)[0]
        tx = plan.make_tx(rate)
        state = training.start(plan.init(keys.init), tx)
        *_, last = training.fit(
            relu_softmax.loss_fn,
            tx,
            state,
            dataset.train,
            (dataset.validation, dataset.test),
            batch_size=20,
            num_epochs=3,
            key=keys.data,
        )
        wanted = {"batch_size": 20, "rate": rate, "seed": 3, "epoch": 3}
        [row] = [r for r in finished.rows if wanted.items() <= r.items()]
        assert row["train_loss"] == pytest.approx(float(last.train.mean_loss), rel=1e-3)
        validation, test = (totals.accuracy for totals in last.held_out)
        assert row["validation_accuracy"] == pytest.approx(float(validation), abs=0.01)
        assert row["test_accuracy"] == pytest.approx(float(test), abs=0.01)
    part = finished.returned["batch_sizes"]["20"]
    assert part["best_rate"] == 0.3 and part["edge"] == [0.3, 1e6]
    assert [entry["failed"] for entry in part["rates"]][1:] == [0, 3]


@pytest.mark.slow
def test_rates_are_data_of_one_program(monkeypatch):
    traces = collections.Counter()
    loss_fn = relu_softmax.loss_fn

    def counted(params, batch):
        traces[len(batch.label)] += 1
        return loss_fn(params, batch)

    network = SimpleNamespace(init=relu_softmax.init, loss_fn=counted)
    model = dataclasses.replace(models.get("relu_softmax"), network=network)
    dataset = data.first_examples(data.load("digits"), 100)
    plan = sweep.plans_of(dataclasses.replace(QUICK, batch_sizes=(50,), epochs=1))[0]
    plan = plan._replace(model=model)

    def train(rates):
        traces.clear()
        with Progress({"batch size 50": 1}) as progress, devices.cache_use() as use:
            rows = list(measure.train(plan._replace(rates=rates), dataset, progress))
        return rows, use, traces[50]

    few, _, num_traces = train((0.1,))
    more, _, num_traces_of_four = train((0.1, 0.2, 0.3, 0.4))
    assert (len(few), len(more)) == (3, 12)
    assert num_traces_of_four == num_traces  # however many rates there are
    others, use, _ = train((0.15, 0.25, 0.35, 0.45))
    assert use.all_hits  # other rates: no program that was not there before
    losses = [row["train_loss"] for row in (*more, *others)]
    assert len(set(losses)) == 24


def entry(rate, failed, accuracy=0.9):
    spread = {"median": accuracy, "low": accuracy, "high": accuracy}
    return {"rate": rate, "seeds": 4, "failed": failed, "validation_accuracy": spread}


@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        ([0, 0, 0], None),
        ([4, 4, 4], None),
        ([0, 0, 4], [2, 3]),
        ([0, 2, 4], [1, 2]),  # half of the networks is not most
        ([4, 0, 1, 3], [3, 4]),  # too slow at first
        ([0, 3, 1, 4], [3, 4]),  # the last rate that trains counts
    ],
)
def test_the_edge_lies_behind_the_last_rate_that_trains_most(failed, expected):
    entries = [entry(rate, number) for rate, number in enumerate(failed, start=1)]
    assert measure.edge(entries) == expected


def test_a_network_has_failed_where_a_constant_answer_costs_no_more():
    # By hand: a tenth for each class costs (0.9^2 + 9 * 0.1^2) / 2, or log 10.
    for name, cost in (("sigmoid_mse", 0.45), ("flax_dense", math.log(10))):
        model = models.get(name)
        assert measure.has_failed(model, cost + 1e-9)
        assert not measure.has_failed(model, cost - 1e-6)
        assert measure.has_failed(model, None)


def test_restlessness_is_the_mean_change_of_the_last_epochs():
    rows = [
        {
            "batch_size": 20,
            "rate": 0.3,
            "seed": 1,
            "epoch": epoch,
            "train_loss": 0.1,
            "validation_accuracy": 0.9 + 0.01 * (epoch % 2) + (epoch < 5),
        }
        for epoch in range(1, 21)
    ]
    of_rate = measure.of_rate(models.get("relu_softmax"), 0.3, rows)
    assert of_rate["restlessness"] == pytest.approx(0.01)
    assert (
        measure.of_rate(models.get("relu_softmax"), 0.3, rows[:1])["restlessness"]
        is None
    )


def test_model_1_is_tried_from_a_hundredth_to_a_hundred():
    [plan] = sweep.plans_of(sweep.Config())
    assert (plan.rates[0], plan.rates[-1]) == (0.01, 100)
    assert plan.recipe.batch_size == 10 and plan.recipe.num_epochs == 30
    assert plan.model.recipe.learning_rate in plan.rates
    [other] = sweep.plans_of(sweep.Config(model="flax_dense"))
    assert np.isclose(other.rates, 1e-3).any() and len(other.rates) == 13


def test_a_broken_off_run_has_the_epochs_that_it_reached(finished):
    plans = sweep.plans_of(QUICK)
    for number in (0, 9, 13, 20, len(finished.rows)):
        rows = finished.rows[:number]
        content = measure.results(plans, rows)
        assert page.lead(content)
        for section in page.sections(content, rows):
            if hasattr(section, "figure") and number == len(finished.rows):
                assert section.figure().axes[0].lines


def test_the_folder_holds_what_was_promised_and_is_redrawn(
    finished, monkeypatch, undrawn
):
    content = json.loads((finished.path / "results.json").read_text())
    assert content == finished.returned and content["status"] == "complete"
    names = {file.name for file in finished.path.iterdir()}
    pictures = {f"{name}-{n}.png" for name in ("rates", "epochs") for n in (20, 50)}
    assert names >= {"report.html", "metrics.jsonl", *pictures}

    monkeypatch.delattr(measure.ensemble, "fit_many")
    assert sweep.main(sweep.Config(redraw=finished.path)) == finished.returned


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": "keras_dense"}, "model='keras_dense' must be one of sigmoid_mse"),
        ({"rates": (0.1, 0.0)}, "rates="),
        ({"rates": (float("nan"),)}, "rates="),
        ({"rates": (0.1, 0.1)}, "each once"),
        ({"batch_sizes": (10, 10)}, "each once"),
        ({"batch_sizes": (0,)}, r"batch_sizes=\(0,\)"),
        ({"seeds": 0}, "seeds=0"),
        ({"first_seed": -1}, "first_seed=-1"),
        ({"epochs": 0}, "epochs=0"),
        ({"first_seed": 2**32 - 1}, "seed=4294967297"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        sweep.validate_config(dataclasses.replace(QUICK, **settings))
