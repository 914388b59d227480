"""The models' records, and a model's whole run: events, refusals, one test."""

from dataclasses import FrozenInstanceError, replace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from jaxnets import checkpoint, models, optimizers, relu_softmax, row_rnn, training
from jaxnets.errors import InputError, NonFiniteLoss
from jaxnets.models import MODELS, Model, train_and_test
from jaxnets.training import Epoch
from jaxnets.types import Batch, Prediction, TrainState, num_params

RECIPE = replace(
    MODELS["relu_softmax"].recipe,
    layer_sizes=(784, 10),
    batch_size=25,
    num_epochs=3,
)
WHOLE_IMAGE = ("sigmoid_mse", "relu_softmax", "keras_dense", "flax_dense")


@pytest.fixture(scope="module")
def digits(thousand_digits):
    return thousand_digits


@pytest.fixture(scope="module")
def events(digits):
    return list(train_and_test("relu_softmax", RECIPE, digits, seed=1))


def test_an_event_an_epoch_and_one_at_the_end(events):
    *epochs, prediction = events
    assert [type(event) for event in events] == [Epoch] * 3 + [Prediction]
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    assert all(epoch.held_out[0].seen == 239 for epoch in epochs)
    assert epochs[0].train.mean_loss > epochs[2].train.mean_loss
    chex.assert_shape(prediction, [(360,), (360, 10)])
    for array in (*prediction, *jax.tree.leaves(epochs[-1].state)):
        assert isinstance(array, np.ndarray)  # nothing holds on to the device


def test_the_numbers_are_those_of_the_weights(events, digits):
    *epochs, prediction = events
    predict = jax.jit(relu_softmax.predict)
    for epoch in epochs:
        # Oracle: scikit-learn on predictions from the epoch's own weights.
        params, (held_out,) = epoch.state.params, epoch.held_out
        labels = predict(params, digits.validation.image).label
        correct = accuracy_score(digits.validation.label, labels, normalize=False)
        assert held_out.correct == correct
        assert held_out.accuracy == correct / 239
    loss, _ = jax.jit(relu_softmax.loss_fn)(params, digits.validation)
    np.testing.assert_allclose(held_out.mean_loss, loss, rtol=1e-5)  # float32
    tested = predict(params, digits.test.image)
    np.testing.assert_array_equal(prediction.label, tested.label)


def test_the_run_is_that_of_the_recipe_and_the_seeds_keys(events, digits):
    # Oracle: the parts, put together by hand.
    keys, tx = training.run_keys(1), optimizers.make(RECIPE)
    epoch = next(
        training.fit(
            relu_softmax.loss_fn,
            tx,
            training.start(relu_softmax.init(keys.init, RECIPE.layer_sizes), tx),
            digits.train,
            (digits.validation,),
            batch_size=25,
            num_epochs=3,
            key=keys.data,
        )
    )
    chex.assert_trees_all_equal(epoch.state, events[0].state)


def test_it_goes_on_from_a_checkpoint_bit_for_bit(events, digits, tmp_path):
    # Oracle: the same training, never stopped.
    like = models.state_like("relu_softmax", RECIPE)
    for number in (1, 3):
        checkpoint.save(tmp_path / "state", events[number - 1].state)
        state = checkpoint.restore(tmp_path / "state", like)
        later = list(train_and_test("relu_softmax", RECIPE, digits, 1, state=state))
        assert len(later) == 4 - number
        for one, two in zip(events[number:-1], later[:-1], strict=True):
            chex.assert_trees_all_equal(one[:4], two[:4], strict=True)
        chex.assert_trees_all_equal(events[-1], later[-1])


@pytest.mark.parametrize("name", MODELS)
def test_a_state_is_like_what_is_said_of_it(name):
    # Oracle: Keras's own counts of variables; and what `start` makes of parameters.
    recipe = replace(MODELS[name].recipe, layer_sizes=(28, 3, 10))
    state = models.state_like(name, recipe)
    leaves = jax.tree.leaves(state.opt_state)
    per_weight = 2 if recipe.optimizer == "adam" else 0
    num_weights = len(jax.tree.leaves(state.params))
    extra = 2 if name == "keras_dense" else per_weight // 2
    assert len(leaves) == per_weight * num_weights + extra
    assert (state.step.shape, state.step.dtype) == ((), np.int32)


def test_the_test_set_does_not_influence_training(events, digits):
    other = Batch(255 - digits.test.image, (digits.test.label + 1) % 10)
    *epochs, prediction = train_and_test(
        "relu_softmax", RECIPE, digits._replace(test=other), seed=1
    )
    for one, two in zip(events[:-1], epochs, strict=True):
        chex.assert_trees_all_equal(one[:4], two[:4])  # all but the seconds
    assert np.any(prediction.label != events[-1].label)


def test_the_seed_decides_weights_and_order(events, digits):
    other = next(train_and_test("relu_softmax", RECIPE, digits, seed=2))
    kernels = (epoch.state.params[0].kernel for epoch in (other, events[0]))
    assert not np.allclose(*kernels)


def test_without_validation_examples_the_held_out_set_is_empty(digits):
    dataset = digits._replace(
        validation=Batch(digits.validation.image[:0], digits.validation.label[:0])
    )
    epoch = next(train_and_test("relu_softmax", RECIPE, dataset, 1))
    (held_out,) = epoch.held_out
    assert (held_out.correct, held_out.loss, held_out.seen) == (0, 0, 0)
    assert 0 < epoch.train.accuracy < 1


def test_a_new_network_is_one_record(digits, monkeypatch):
    class MeanBrightness:
        """Another way to hold parameters, and another way to see an image."""

        @staticmethod
        def init(key, layer_sizes):
            del key
            return {"prototypes": jnp.zeros((layer_sizes[0], layer_sizes[-1]))}

        @staticmethod
        def apply(params, images):
            pixels = images.reshape(len(images), -1) / jnp.float32(255)
            return pixels @ params["prototypes"]

        @classmethod
        def loss_fn(cls, params, batch):
            layer = relu_softmax.Dense(params["prototypes"], jnp.zeros(10))
            return relu_softmax.loss_fn((layer,), batch)

        @classmethod
        def predict(cls, params, images):
            outputs = cls.apply(params, images)
            label = jnp.argmax(outputs, axis=-1).astype(jnp.int32)
            return Prediction(label, jax.nn.softmax(outputs))

    recipe = replace(RECIPE, num_epochs=2)
    record = Model(name="prototypes", network=MeanBrightness, recipe=recipe)
    monkeypatch.setitem(MODELS, "prototypes", record)
    assert models.get("prototypes") is record
    *epochs, prediction = train_and_test("prototypes", record.recipe, digits, seed=0)
    assert [epoch.number for epoch in epochs] == [1, 2]
    assert np.mean(prediction.label == digits.test.label) > 0.5  # a guess: 0.1
    with pytest.raises(InputError, match=r"^prototypes: .*must begin with 784"):
        train_and_test(
            "prototypes", replace(recipe, layer_sizes=(7, 10)), digits, seed=0
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer_sizes": (64, 20, 10)}, r"\(64, 20, 10\) must begin with 784"),
        ({"layer_sizes": (784, 20, 11)}, r"\(784, 20, 11\) must end with 10"),
        ({"batch_size": 1001}, "batch size 1001 must be at most 1000"),
        ({"batch_size": 0}, "batch size 0"),
        ({"learning_rate": float("nan")}, "learning rate nan"),
    ],
    ids=str,
)
def test_recipes_that_do_not_fit_are_refused_when_called(digits, change, message):
    for name in WHOLE_IMAGE:
        with pytest.raises(InputError, match=f"^{name}: .*{message}"):
            train_and_test(name, replace(RECIPE, **change), digits, 1)


@pytest.mark.parametrize(
    ("layer_sizes", "message"),
    [
        ((784, 20, 10), r"\(784, 20, 10\) must begin with 28"),
        ((28, 20, 11), r"\(28, 20, 11\) must end with 10"),
    ],
    ids=str,
)
def test_a_network_that_reads_rows_fits_their_length(digits, layer_sizes, message):
    fitting = replace(RECIPE, layer_sizes=(28, 20, 10))
    models.validate_fits("row_rnn", fitting, digits)
    with pytest.raises(InputError, match=f"^row_rnn: .*{message}"):
        models.validate_fits(
            "row_rnn", replace(RECIPE, layer_sizes=layer_sizes), digits
        )


def test_a_state_in_the_middle_of_an_epoch_is_refused_when_called(digits):
    state = TrainState(np.int32(1), (), ())
    with pytest.raises(InputError, match="not a whole number of epochs"):
        train_and_test("relu_softmax", RECIPE, digits, 1, state=state)


def test_states_of_different_epochs_are_refused():
    states = TrainState(np.array([4, 8, 4], np.int32), (), ())
    with pytest.raises(InputError, match="has taken 4 steps, another 8; they must"):
        training.epochs_done(states, 8, 2)
    assert training.epochs_done(states._replace(step=np.array([8, 8])), 8, 2) == 2


def test_the_largest_batch_fits_and_a_notice_is_passed_on(digits):
    largest = replace(RECIPE, batch_size=1000)
    models.validate_fits("relu_softmax", largest, digits)
    dataset = digits._replace(notice="These are the digits.")
    with pytest.raises(InputError, match=r"1000 .*These are the digits\.$"):
        models.validate_fits("relu_softmax", replace(largest, batch_size=1001), dataset)


def test_bad_seeds_and_unknown_models_are_refused_when_called(digits):
    with pytest.raises(InputError, match="seed=-1"):
        train_and_test("relu_softmax", RECIPE, digits, -1)
    with pytest.raises(InputError, match=r"unknown model 'cnn'.*flax_dense"):
        train_and_test("cnn", RECIPE, digits, 1)
    with pytest.raises(InputError, match=r"unknown model 'cnn'.*flax_dense"):
        models.get("cnn")


def test_divergence_names_model_epoch_rate_and_remedy(digits, monkeypatch):
    # That `fit` notices is in `test_fit`; the lessons diverge in earnest.
    def fit(*_, **__):
        raise NonFiniteLoss("the loss is nan in epoch 1")

    monkeypatch.setattr(training, "fit", fit)
    recipe = replace(RECIPE, learning_rate=1e30)
    message = r"relu_softmax: .*epoch 1 at learning rate 1e\+30.*smaller learning rate"
    with pytest.raises(NonFiniteLoss, match=message):
        list(train_and_test("relu_softmax", recipe, digits, 1))


@pytest.mark.parametrize("name", MODELS)
def test_published_recipes_pass_their_own_check(name):
    model = models.get(name)
    assert model.name == name
    models.validate_recipe(name, model.recipe)
    with pytest.raises(FrozenInstanceError):
        model.recipe.num_epochs = 1
    params = jax.eval_shape(
        lambda: model.network.init(jax.random.key(0), model.recipe.layer_sizes)
    )
    # Oracle: counted by hand from the sizes.
    assert num_params(params) == {
        "sigmoid_mse": 23_860,
        "relu_softmax": 100_710,
        "keras_dense": 814_090,
        "flax_dense": 814_090,
        "row_rnn": (28 + 128 + 1) * 128 + (128 + 1) * 10,
    }.get(name)


def test_records_are_told_apart_in_figures():
    assert len({model.color for model in MODELS.values()}) == len(MODELS)
    assert MODELS["keras_dense"].network is MODELS["flax_dense"].network  # its mirror
    assert MODELS["keras_dense"].recipe == MODELS["flax_dense"].recipe
    assert MODELS["row_rnn"].network is row_rnn


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": -1.0}, "learning rate -1.0"),
        ({"learning_rate": 0.0}, "learning rate 0.0"),
        ({"learning_rate": float("nan")}, "learning rate nan"),
        ({"learning_rate": float("inf")}, "learning rate inf"),
        ({"num_epochs": 0}, "0 epochs"),
        ({"num_epochs": -3}, "-3 epochs"),
        ({"batch_size": 0}, "batch size 0"),
        ({"batch_size": -10}, "batch size -10"),
        ({"layer_sizes": ()}, "layer sizes ()"),
        ({"layer_sizes": (784,)}, "layer sizes (784,)"),
        ({"layer_sizes": (784, 0, 10)}, "layer sizes (784, 0, 10)"),
        ({"layer_sizes": (784, -5, 10)}, "layer sizes (784, -5, 10)"),
        ({"optimizer": "Adam"}, "unknown optimizer 'Adam'; known: sgd, adam"),
    ],
    ids=str,
)
def test_bad_settings_give_one_clear_error(change, message):
    recipe = replace(MODELS["sigmoid_mse"].recipe, **change)
    with pytest.raises(InputError) as caught:
        models.validate_recipe("sigmoid_mse", recipe)
    assert message in str(caught.value) and "sigmoid_mse" in str(caught.value)


@pytest.mark.mnist
@pytest.mark.slow
def test_a_row_of_pixels_at_a_time_is_enough_for_mnist(mnist):
    # Measured: 0.753, 0.686 and 0.712, from the seeds 0, 1 and 2.
    recipe = replace(MODELS["row_rnn"].recipe, num_epochs=1)
    part = mnist._replace(
        train=mnist.train.split(6_400)[0],
        validation=mnist.validation.split(100)[0],
        test=mnist.test.split(2_000)[0],
    )
    *_, prediction = train_and_test("row_rnn", recipe, part, seed=0)
    assert np.mean(prediction.label == part.test.label) > 0.65
