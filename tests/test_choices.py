"""`experiments.choices`: its arms, its plateau, and one run on digits."""

import copy
import json
from dataclasses import replace
from statistics import NormalDist

import jax.numpy as jnp
import numpy as np
import pytest
import small

from experiments.choices import __main__ as choices
from experiments.choices import arms, page, train
from experiments.choices.train import best_rate, results
from jaxnets import ensemble, training
from jaxnets.errors import InputError
from jaxnets.training import Epoch
from jaxnets.types import Totals, TrainState

# Model 2 with the layers of Model 1: less to compile.
SMALL_RECIPE = replace(arms.MODEL_2.recipe, layer_sizes=(784, 30, 10))
SMALL = replace(arms.MODEL_2, recipe=SMALL_RECIPE)


def quick(output, **settings):
    """A run of some seconds."""
    standard = {
        "dataset": "digits",
        "examples": 320,  # whole batches of 64 and of 10
        "seeds": 3,
        "patience": 2,
        "rate_epochs": 4,
        "grid": (0.1, 0.01, 1e-3),
        "tune_seeds": 1,
        "scale_epochs": 2,
        "start_epochs": 2,
    }
    return choices.Config(**{**standard, "output": output, **settings})


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run, and what it left behind."""
    output = tmp_path_factory.mktemp("choices") / "run"
    with pytest.MonkeyPatch.context() as patch:
        for module in (arms, choices):
            patch.setattr(module, "MODEL_2", SMALL)
        two_scales = lambda config: arms.scale_arms(config)[1:]  # noqa: E731
        patch.setitem(arms.CHOICES, "scale", two_scales)
        returned = choices.main(quick(output))
    return small.left_behind(output, returned)


# Arms


def test_quantiles_are_spread_as_normal_numbers_and_differ():
    # Oracle: Python's own normal distribution, of fractional parts of n (sqrt 5 - 1)/2.
    first, second = arms.quantiles((784, 30, 10))
    values = np.concatenate([np.ravel(leaf) for leaf in (*first, *second)])
    expected = [NormalDist().inv_cdf(n * (5**0.5 - 1) / 2 % 1) for n in range(1, 301)]
    # float32; at n = 300 the fractional part has lost some of its 16 digits.
    np.testing.assert_allclose(np.ravel(first.kernel)[:300], expected, rtol=1e-5)
    assert len(np.unique(first.kernel, axis=1).T) == 30
    assert len(np.unique(first.kernel, axis=0)) == 784
    # The sequence fills (0, 1) evenly: every tenth of the distribution has its tenth.
    cuts = [NormalDist().inv_cdf(tenth / 10) for tenth in range(1, 10)]
    counts = np.bincount(np.searchsorted(cuts, values))
    np.testing.assert_allclose(counts, len(values) / 10, atol=3)


def test_the_starts_are_what_their_names_say():
    key, built = choices_key(), arms.start_arms(quick(None))
    starts = {arm.name: arm.init(key) for arm in built}
    assert len(starts) == 4
    for name, value in (("all 0", 0), (f"all {arms.EQUAL}", arms.EQUAL)):
        for layer in starts[name]:
            assert np.all(np.asarray(layer.kernel) == np.float32(value))
            assert np.all(np.asarray(layer.bias) == np.float32(value))
    shapes = {tuple(layer.kernel.shape for layer in start) for start in starts.values()}
    assert shapes == {((784, 30), (30, 10))}


def choices_key():
    return training.run_keys(0).init


def test_pixels_are_on_the_scale_that_an_arm_names():
    # Oracle: NumPy in float64, fed with the pixels of that scale.
    batch = small.random_batch(5)
    sizes = arms.MODEL_2.recipe.layer_sizes
    images = np.zeros((5, 28, 28), np.uint8)
    images[:, 5:9, 5:10] = batch.image
    params = small.random_layers(sizes)
    params = tuple(layer._replace(kernel=layer.kernel / 100) for layer in params)
    pixels = images.reshape(5, 784) / 255
    halves = np.arange(784) % 2
    for arm, factor in zip(
        arms.scale_arms(quick(None)), (1, 1 + 254 * halves, 255), strict=True
    ):
        outputs = pixels * factor
        for number, layer in enumerate(params):
            outputs = np.maximum(outputs, 0) if number else outputs
            outputs = outputs @ layer.kernel.astype(float) + layer.bias
        chances = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        expected = -np.log(chances[np.arange(5), batch.label])
        loss, totals = arm.loss_fn(params, batch._replace(image=images))
        assert float(loss) == pytest.approx(expected.mean(), rel=1e-4)  # float32
        assert int(totals.seen) == 5


def test_rates_are_the_recipe_s_and_a_share_of_it():
    built = arms.rate_arms(quick(None, smaller=0.5))
    assert [arm.rate for arm in built] == [0.1, 0.05]
    assert {arm.num_epochs for arm in built} == {4}
    assert [arm.patience for arm in built] == [2, 4]


# Training


def test_a_network_ends_at_its_own_plateau(monkeypatch, digits):
    # By hand, patience 2: the first is best in epoch 2 and has ended with epoch 4, so
    # that its 9 comes too late; the second is best in epoch 6, the first of equals.
    scores = np.array([[3, 5, 5, 4, 9, 9, 9, 9], [1, 2, 2, 3, 3, 6, 6, 6]])

    def epochs(*_, num_epochs, **__):
        for number in range(1, num_epochs + 1):
            totals = Totals(scores[:, number - 1], np.ones(2), np.full(2, 10))
            params = np.full((2, 1), number, np.float32)
            yield Epoch(number, TrainState(0, params, ()), totals, (totals,), 0.0)

    def loss_fn(params, batch):  # as many are right as the epoch's number
        correct = jnp.where(jnp.arange(len(batch.label)) < params[0], 1, 0).sum()
        count = len(batch.label)
        return params[0], Totals(correct, params[0] * count, jnp.int32(count))

    monkeypatch.setattr(ensemble, "fit_many", epochs)
    monkeypatch.setattr(ensemble, "num_at_once", lambda *_, **__: 2)
    arm = arms.rate_arms(quick(None))[0]._replace(loss_fn=loss_fn, num_epochs=8)
    data = digits._replace(test=digits.test.split(20)[0])
    networks = [(3, 0.1), (4, 0.2)]
    rows = list(train.train(arm, data, networks, test=True))
    steps = [(row["seed"], row["epoch"]) for row in rows if "epoch" in row]
    assert [epoch for seed, epoch in steps if seed == 3] == [1, 2, 3, 4]
    assert [epoch for seed, epoch in steps if seed == 4] == list(range(1, 9))
    first, second = rows[-2:]
    assert first == {
        **{"seed": 3, "rate": 0.1, "chosen_epoch": 2, "plateau": True},
        **{"validation_accuracy": 0.5, "test_accuracy": pytest.approx(2 / 20)},
        "fitted_loss": pytest.approx(2),  # of the weights after epoch 2
    }
    assert (second["chosen_epoch"], second["validation_accuracy"]) == (6, 0.6)
    assert second["test_accuracy"] == pytest.approx(6 / 20)
    assert second["plateau"]
    cut = list(train.train(arm._replace(num_epochs=7), data, networks))[-1]
    assert (cut["chosen_epoch"], cut["plateau"]) == (6, False)
    assert "test_accuracy" not in cut


def test_the_rate_that_validates_best_is_used(finished):
    tuned = [row for row in finished.rows if row["stage"] == "tune"]
    assert not any("test_accuracy" in row for row in tuned)
    for name, arm in finished.returned["scale"]["arms"].items():
        ends = [r for r in tuned if r["arm"] == name and "chosen_epoch" in r]
        best = max(row["validation_accuracy"] for row in ends)
        rates = {row["rate"] for row in ends if row["validation_accuracy"] == best}
        assert arm["rate"] == best_rate(ends) and arm["rate"] in rates
        assert len(arm["tried"]) == 3
    assert best_rate(tuned) in quick(None).grid


def test_no_network_is_seen_twice(finished):
    for choice in arms.CHOICES:
        own = [row for row in finished.rows if row["choice"] == choice]
        compared = [r for r in own if "test_accuracy" in r]
        seeds = [row["seed"] for row in compared]
        num_arms = len(finished.returned[choice]["arms"])
        assert num_arms > 1
        assert len(set(seeds)) == len(seeds) == 3 * num_arms
        tuned = {row["seed"] for row in own if row["stage"] == "tune"}
        assert tuned.isdisjoint(seeds)


# Results and the page


def row(arm, seed, accuracy, **changes):
    standard = {"choice": "rate", "stage": "compare", "rate": 0.1, "plateau": True}
    ends = {
        **{"chosen_epoch": seed + 1, "validation_accuracy": 0.9},
        "fitted_loss": (seed + 1) / 100,
    }
    return {**standard, **ends, "arm": arm, "seed": seed, "test_accuracy": accuracy} | (
        changes
    )


def test_results_follow_from_the_rows():
    # By hand. Two samples of ten that do not overlap: p = 2 / C(20, 10).
    rows = [row("high", n, 0.95 + n / 1000) for n in range(10)]
    rows += [row("low", n, 0.90 + n / 1000, plateau=n > 3) for n in range(10)]
    part = results(rows)["rate"]
    assert part["arms"]["high"]["mean"] == pytest.approx(0.9545)
    assert part["arms"]["low"]["median_epoch"] == 5.5
    assert part["arms"]["low"]["median_loss"] == pytest.approx(0.055)
    assert sum(part["arms"]["low"]["plateau"]) == 6
    [pair] = part["pairs"]
    assert (pair["first"], pair["verdict"]) == ("high", "high ahead")
    assert pair["difference"] == pytest.approx(0.05)
    assert pair["p_value"] == pytest.approx(2 / 184756)
    lost = [*rows, row("low", 10, 0.1, fitted_loss=None)]  # it was infinite
    assert results(lost)["rate"]["arms"]["low"]["median_loss"] == pytest.approx(0.06)
    few = results([*rows[:2], *rows[10:12]])["rate"]["pairs"][0]
    assert (few["verdict"], few["interval"]) == ("too few seeds", None)


def test_a_broken_off_run_has_the_arms_that_it_reached(finished):
    numbers = [*range(0, len(finished.rows), 20), len(finished.rows)]
    for number in numbers:
        rows = finished.rows[:number]
        content = results(copy.deepcopy(rows))
        assert page.lead(content)
        drawn = list(page.sections(content, rows))
        assert len(drawn) >= 2 * bool(content)
        for section in drawn:
            if number == numbers[-1] and hasattr(section, "figure"):
                assert section.figure().axes[0].lines
    assert all(title in page.lead(content) for title in page.TITLES.values())


def test_the_folder_holds_what_was_promised(finished):
    content = json.loads((finished.path / "results.json").read_text())
    assert content == finished.returned
    assert content["status"] == "complete"
    names = {file.name for file in finished.path.iterdir()}
    pictures = {f"{name}.png" for name in (*arms.CHOICES, "tuning")}
    assert names >= {"report.html", "metrics.jsonl", *pictures}


def test_a_run_is_redrawn_without_training(finished, monkeypatch, undrawn):
    def measure(config, dataset):
        raise AssertionError(f"{config.redraw} is measured again")
        yield

    monkeypatch.setattr(choices, "measure", measure)
    assert choices.main(choices.Config(redraw=finished.path)) == finished.returned


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"choices": ()}, "one or more of rate, scale, start"),
        ({"choices": ("depth",)}, "one or more of rate, scale, start"),
        ({"seeds": 0}, "seeds=0"),
        ({"images": 0}, "images=0"),
        ({"patience": 0}, "patience=0"),
        ({"tune_seeds": 0}, "tune_seeds=0"),
        ({"rate_epochs": 0}, "rate_epochs=0"),
        ({"scale_epochs": 0}, "scale_epochs=0"),
        ({"start_epochs": 0}, "start_epochs=0"),
        ({"smaller": 1.0}, "smaller=1.0"),
        ({"smaller": float("nan")}, "smaller=nan"),
        ({"grid": ()}, r"grid=\(\)"),
        ({"grid": (0.1, 0.0)}, "grid="),
        ({"grid": (float("inf"),)}, "grid="),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        choices.validate_config(quick(None, **settings))
