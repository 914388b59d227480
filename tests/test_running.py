"""One model's whole run: events, refusals, and a test set that stays apart."""

from dataclasses import replace

import chex
import jax
import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from jaxnets import data
from jaxnets import models as recipes
from jaxnets.data import Dataset
from jaxnets.errors import InputError, NonFiniteLoss
from jaxnets.keras_process import compile_seconds
from jaxnets.running import EpochRecord, Trained, check_fits, train
from jaxnets.types import Batch

RECIPE = replace(
    recipes.RELU_SOFTMAX, layer_sizes=(784, 20, 10), batch_size=25, num_epochs=3
)
WHOLE_IMAGE = ("sigmoid_mse", "relu_softmax", "keras_dense", "flax_dense")


@pytest.fixture(scope="module")
def events(digits):
    return list(train("relu_softmax", RECIPE, digits, seed=1))


def test_an_event_an_epoch_and_one_at_the_end(events):
    *records, trained = events
    assert [type(event) for event in events] == [EpochRecord] * 3 + [Trained]
    assert [record.number for record in records] == [1, 2, 3]
    assert all(record.validation_seen == 239 for record in records)
    assert records[0].train_loss > records[2].train_loss
    chex.assert_shape(trained.prediction, [(360,), (360, 10)])
    for array in (*trained.prediction, *jax.tree.leaves(records[-1].params)):
        assert isinstance(array, np.ndarray)  # nothing holds on to the device


def test_the_numbers_are_those_of_the_weights(events, digits):
    network = recipes.NETWORKS["relu_softmax"]
    *records, trained = events
    for record in records:  # the weights of every epoch outlive their donation
        # Oracle: scikit-learn on predictions from the epoch's own weights.
        guesses = network.predict(record.params, digits.validation.image).label
        correct = accuracy_score(digits.validation.label, guesses, normalize=False)
        assert record.validation_correct == correct
        assert record.accuracy == correct / 239
    loss, _ = network.loss_fn(records[-1].params, digits.validation)
    np.testing.assert_allclose(records[-1].validation_loss, loss, rtol=1e-5)  # float32
    tested = network.predict(records[-1].params, digits.test.image)
    np.testing.assert_array_equal(trained.prediction.label, tested.label)


def test_the_test_set_does_not_influence_training(events, digits):
    other = Batch(255 - digits.test.image[:7], (digits.test.label[:7] + 1) % 10)
    again = list(train("relu_softmax", RECIPE, digits._replace(test=other), seed=1))
    for one, two in zip(events[:-1], again[:-1], strict=True):
        untimed = [record._replace(seconds=0.0) for record in (one, two)]
        chex.assert_trees_all_equal(*untimed)
    assert len(again[-1].prediction.label) == 7


def test_the_seed_decides_weights_and_order(events, digits):
    other = next(train("relu_softmax", RECIPE, digits, seed=2))
    assert not np.allclose(other.params[0].kernel, events[0].params[0].kernel)


def test_without_validation_examples_training_is_what_is_told():
    dataset = data.load("digits", validation_examples=0)
    record = next(train("relu_softmax", replace(RECIPE, batch_size=1437), dataset, 1))
    assert record.validation_loss is None and record.validation_correct is None
    assert record.validation_seen == 0
    assert record.accuracy == record.train_accuracy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer_sizes": (64, 20, 10)}, r"\(64, 20, 10\) must begin with 784"),
        ({"layer_sizes": (784, 20, 11)}, r"\(784, 20, 11\) must end with 10"),
        ({"batch_size": 1199}, "batch size 1199 must be at most 1198"),
        ({"batch_size": 0}, "batch size 0"),
        ({"learning_rate": float("nan")}, "learning rate nan"),
    ],
    ids=str,
)
def test_recipes_that_do_not_fit_are_refused_before_any_work(digits, change, message):
    for name in WHOLE_IMAGE:
        with pytest.raises(InputError, match=f"^{name}: .*{message}"):
            next(train(name, replace(RECIPE, **change), digits, 1))


@pytest.mark.parametrize(
    ("layer_sizes", "message"),
    [
        ((784, 20, 10), r"\(784, 20, 10\) must begin with 28"),
        ((28, 20, 11), r"\(28, 20, 11\) must end with 10"),
    ],
    ids=str,
)
def test_a_network_that_reads_rows_fits_their_length(digits, layer_sizes, message):
    check_fits("row_rnn", replace(RECIPE, layer_sizes=(28, 20, 10)), digits)
    with pytest.raises(InputError, match=f"^row_rnn: .*{message}"):
        check_fits("row_rnn", replace(RECIPE, layer_sizes=layer_sizes), digits)


def test_the_largest_batch_fits(digits):
    check_fits("relu_softmax", replace(RECIPE, batch_size=1198), digits)


def test_an_unknown_model(digits):
    with pytest.raises(InputError, match="unknown model 'cnn'"):
        next(train("cnn", RECIPE, digits, 1))


def test_divergence_names_model_epoch_rate_and_remedy(digits):
    recipe = replace(RECIPE, learning_rate=1e30)
    message = r"relu_softmax: .*epoch 1 at learning rate 1e\+30.*smaller learning rate"
    with pytest.raises(NonFiniteLoss, match=message):
        list(train("relu_softmax", recipe, digits, 1))


@pytest.mark.keras
@pytest.mark.usefixtures("in_this_process")
def test_keras_gives_the_same_events(digits):
    small = Dataset(
        "digits", *(Batch(*(a[:100] for a in b)) for b in digits[1:4]), None
    )
    recipe = replace(RECIPE, optimizer="adam", learning_rate=1e-3, num_epochs=2)
    *records, trained = train("keras_dense", recipe, small, 1)
    assert [type(record) for record in records] == [EpochRecord] * 2
    assert [record.number for record in records] == [1, 2]
    # Oracle: the mirror, fed Keras's weights. float32, 784-term sums.
    mirror = recipes.NETWORKS["flax_dense"]
    for record in records:
        _, totals = mirror.loss_fn(record.params, small.validation)
        assert record.validation_correct == totals.correct
        np.testing.assert_allclose(
            record.validation_loss, totals.loss / totals.seen, rtol=1e-4
        )
    tested = mirror.predict(records[-1].params, small.test.image)
    np.testing.assert_array_equal(trained.prediction.label, tested.label)


@pytest.mark.parametrize(
    ("seconds", "excess"),
    [([5.0, 2.0, 3.0, 7.0], 2.0), ([2.0, 3.0, 2.0], None), ([2.0], None)],
)
def test_keras_compiles_in_its_first_epoch_if_that_is_slower(seconds, excess):
    assert compile_seconds(seconds) == excess  # by hand


@pytest.mark.keras
@pytest.mark.usefixtures("in_this_process")
def test_keras_diverging_in_its_last_step_without_a_validation_set():
    # One batch an epoch: its loss is taken before the weights become infinite.
    dataset = data.load("digits", validation_examples=0)
    recipe = replace(
        recipes.KERAS_DENSE,
        layer_sizes=(784, 10),
        batch_size=len(dataset.train.label),
        learning_rate=1e300,
        num_epochs=1,
    )
    message = (
        r"^keras_dense: a weight is not finite .* epoch 1 at learning rate 1e\+300"
    )
    with pytest.raises(NonFiniteLoss, match=message):
        next(train("keras_dense", recipe, dataset, 1))
