"""`experiments.sweep`: one program for all rates, the edge, and one run on digits."""

import collections
import dataclasses
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import small

from experiments.sweep import __main__ as sweep
from experiments.sweep import measure, page
from jaxnets import data, devices, ensemble, models, relu_softmax, training
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
        plans = [plan._replace(rates=rates)]
        with devices.cache_use() as use:
            rows = list(measure.measure(plans, dataset, "highest"))
        return rows, use, traces[50]

    few, _, num_traces = train((0.1,))
    more, _, num_traces_of_four = train((0.1, 0.2, 0.3, 0.4))
    assert (len(few), len(more)) == (3, 12)
    assert num_traces_of_four == num_traces  # however many rates there are
    others, use, _ = train((0.15, 0.25, 0.35, 0.45))
    assert use.all_hits  # other rates: no program that was not there before
    losses = [row["train_loss"] for row in (*more, *others)]
    assert len(set(losses)) == 24


def test_an_accelerator_trains_as_many_at_once_as_its_memory_holds(
    finished, monkeypatch
):
    # Oracle: the run that trains all nine of a batch size at once.
    sizes, fit_many = [], ensemble.fit_many

    def counted(*args, seeds, **options):
        sizes.append(len(seeds))
        return fit_many(*args, seeds=seeds, **options)

    monkeypatch.setattr(ensemble, "fit_many", counted)
    monkeypatch.setattr(devices, "device_bytes", lambda: 10**9)
    monkeypatch.setattr(ensemble, "num_at_once", lambda *_, **__: 4)
    config = dataclasses.replace(QUICK, batch_sizes=(20,))
    dataset = data.first_examples(data.load("digits"), 200)
    rows = list(measure.measure(sweep.plans_of(config), dataset, "highest"))
    assert sizes == [4, 4, 1]
    expected = [row for row in finished.rows if row["batch_size"] == 20]
    by_network = {(r["rate"], r["seed"], r["epoch"]): r for r in rows}
    assert len(rows) == len(by_network) == len(expected)
    for row in expected:
        alone = by_network[row["rate"], row["seed"], row["epoch"]]
        if row["rate"] < 1:  # where training diverges rounding decides
            assert alone["train_loss"] == pytest.approx(row["train_loss"], rel=1e-3)


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
    for number in range(len(finished.rows) + 1):
        rows = finished.rows[:number]
        content = measure.results(plans, rows)
        assert page.lead(content)
        for section in page.sections(content, rows):
            if hasattr(section, "figure"):
                assert section.figure().axes[0].lines


# Of Model 1, whose published rates are the recipe's 3 and Nielsen's 100.
DRAWN_RATES = (1.0, 3.0, 30.0, 100.0)
# Of a rate and seed: after three epochs on validation, and in the end on the test set.
VALIDATED = np.random.default_rng(0).uniform(0.8, 0.99, size=(4, 3, 3))
TESTED = np.random.default_rng(1).uniform(0.5, 0.7, size=(4, 3))


@pytest.fixture(scope="module")
def made_up():
    """Rows of three seeds and epochs at each rate; the last rate diverges."""
    return [
        {
            "batch_size": 10,
            "rate": rate,
            "seed": seed,
            "epoch": epoch,
            "train_loss": None if rate == DRAWN_RATES[-1] else 0.1,
            "validation_accuracy": float(VALIDATED[index, seed, epoch - 1]),
            **({"test_accuracy": float(TESTED[index, seed])} if epoch == 3 else {}),
        }
        for epoch in (1, 2, 3)
        for index, rate in enumerate(DRAWN_RATES)
        for seed in (0, 1, 2)
    ]


def axes_of(name, rows):
    """The axes of one of the page's pictures, of the rates in the rows."""
    rates = tuple(dict.fromkeys(row["rate"] for row in rows))
    plans = sweep.plans_of(sweep.Config(rates=rates, seeds=3, epochs=3))
    sections = page.sections(measure.results(plans, rows), rows)
    [picture] = [s for s in sections if getattr(s, "name", None) == name]
    [axes] = picture.figure().axes
    return axes


def curves_of(axes):
    """Every line's places by its label, but for upright ones."""
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    return {name: line for name, line in lines.items() if len(set(line[:, 0])) > 1}


def marks_of(axes):
    """Where the upright lines stand."""
    places = [set(line.get_xdata()) for line in axes.lines]
    return sorted(place for [place, *others] in places if not others)


def test_the_figure_by_rate_shows_the_spread_over_seeds(made_up):
    # Oracle: NumPy on the made-up numbers.
    broken_off = [row for row in made_up if row["epoch"] < 3]
    for rows, values in ((made_up, TESTED), (broken_off, VALIDATED[:, :, 1])):
        axes = axes_of("rates-10", rows)
        [band], [curve] = axes.collections, curves_of(axes).values()
        points = np.concatenate([path.vertices for path in band.get_paths()])
        for rate, of_seeds in zip(DRAWN_RATES, values, strict=True):
            heights = points[points[:, 0] == rate, 1]
            assert {heights.min(), heights.max()} == {min(of_seeds), max(of_seeds)}
        expected = np.column_stack([DRAWN_RATES, np.median(values, axis=1)])
        np.testing.assert_array_equal(curve, expected)


def test_the_figure_by_rate_marks_published_rates_and_the_edge(made_up):
    axes = axes_of("rates-10", made_up)
    middle = math.sqrt(30 * 100)  # on a logarithmic axis
    assert marks_of(axes) == pytest.approx([3, middle, 100])
    places = {text.get_position()[0]: text.get_text() for text in axes.texts}
    assert places.keys() == {3, 100}
    assert all(f"{rate:g}" in words for rate, words in places.items())
    [shade] = axes.patches  # from the edge on
    assert [shade.get_x(), shade.get_x() + shade.get_width()] == pytest.approx(
        [middle, 100]
    )
    assert "30 to 100" in " ".join(axes.get_legend_handles_labels()[1])

    # Where every rate trains there is no edge; and 100 is beyond the rates.
    axes = axes_of("rates-10", [row for row in made_up if row["rate"] < 100])
    assert marks_of(axes) == [3] and len(axes.texts) == 1 and not axes.patches


def test_the_figure_by_epoch_has_the_rows_accuracies(made_up):
    # Of rates below the edge; where a network has not ended, as far as all have come.
    ended, last = made_up[:-4], made_up[-4]
    assert (last["rate"], last["epoch"], last["seed"]) == (30.0, 3, 2)
    axes = axes_of("epochs-10", [*ended, *made_up[-3:]])
    curves = curves_of(axes)
    assert [*map(float, curves)] == [1, 3, 30] and axes.get_yscale() == "log"
    below = zip(curves.values(), VALIDATED[:3], (3, 3, 2), strict=True)
    for curve, values, count in below:
        errors = 1 - np.median(values[:, :count], axis=0)
        expected = np.column_stack([np.arange(1, count + 1), errors])
        # 1 - the median, and the median of 1 - each: a rounding of float64
        np.testing.assert_allclose(curve, expected, rtol=1e-12)


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
