"""Model 3 and its mirror: tf.keras is the oracle of `flax_dense`."""

from dataclasses import replace

import chex
import jax
import numpy as np
import optax
import pytest
import scipy.special
from small import TRAIN

from jaxnets import (
    checkpoint,
    flax_dense,
    keras_dense,
    models,
    optimizers,
    row_rnn,
    training,
)
from jaxnets.errors import InputError, NonFiniteLoss
from jaxnets.keras_network import build, load_keras
from jaxnets.training import Epoch
from jaxnets.types import Batch, Prediction, num_params

pytestmark = pytest.mark.keras
RECIPE = replace(
    models.KERAS_DENSE.recipe, layer_sizes=(784, 64, 10), batch_size=25, num_epochs=2
)


def first(count, data):
    return Batch(*(rows[:count] for rows in data))


@pytest.fixture(scope="module")
def small_digits(digits):
    """300, 100 and 100 of the digits."""
    return digits._replace(
        train=first(300, digits.train),
        validation=first(100, digits.validation),
        test=first(100, digits.test),
    )


@pytest.fixture
def model():
    model = build(RECIPE.layer_sizes, (28, 28), seed=3)
    keras_dense.compile_model(model, RECIPE)
    return model


def first_batches(data, count):
    size = RECIPE.batch_size
    for start in range(0, count * size, size):
        yield Batch(*(rows[start : start + size] for rows in data))


def test_weights_travel_to_dense_and_back_without_loss(model):
    params = keras_dense.to_dense(model)
    chex.assert_shape([params[0].kernel, params[1].kernel], [(784, 64), (64, 10)])
    other = build(RECIPE.layer_sizes, (28, 28), seed=4)
    assert not np.array_equal(other.get_weights()[0], model.get_weights()[0])
    keras_dense.from_dense(other, jax.device_put(params))
    for weights, expected in zip(other.get_weights(), model.get_weights(), strict=True):
        assert weights.dtype == expected.dtype == np.float32
        np.testing.assert_array_equal(weights, expected)
    chex.assert_trees_all_equal(keras_dense.to_dense(other), params)


def test_the_same_weights_give_the_same_outputs_and_loss(model, digits):
    params = keras_dense.to_dense(model)
    expected = keras_dense.predict(model, digits.test.image)
    prediction = jax.jit(flax_dense.predict)(params, digits.test.image)
    np.testing.assert_array_equal(prediction.label, expected.label)
    # float32, 784-term sums
    np.testing.assert_allclose(
        prediction.probability, expected.probability, rtol=1e-4, atol=1e-6
    )
    images = keras_dense.scaled(digits.test.image)
    loss, accuracy = model.evaluate(images, digits.test.label, verbose=0)
    mean, totals = jax.jit(flax_dense.loss_fn)(params, digits.test)
    np.testing.assert_allclose(mean, loss, rtol=1e-5)  # float32, 360 terms
    np.testing.assert_allclose(totals.accuracy, accuracy, rtol=1e-6)


def test_ten_adam_steps_agree_with_keras_adam_and_not_with_optaxs(model, digits):
    txs = {"keras": optimizers.make(RECIPE), "optax": optax.adam(1e-3)}
    params = jax.device_put(keras_dense.to_dense(model))
    states = {name: training.start(params, tx) for name, tx in txs.items()}

    @jax.jit
    def step(states, batch):
        for name, tx in txs.items():
            train_step = training.make_train_step(flax_dense.loss_fn, tx)
            states = states | {name: train_step(states[name], batch)[0]}
        return states

    apart = {name: [] for name in txs}  # the largest difference after each step
    for batch in first_batches(digits.train, 10):
        model.train_on_batch(keras_dense.scaled(batch.image), batch.label)
        theirs, states = keras_dense.to_dense(model), step(states, batch)
        for name in txs:
            ours = states[name].params
            apart[name].append(
                max(
                    np.abs(a - b).max()
                    for one, two in zip(ours, theirs, strict=True)
                    for a, b in zip(one, two, strict=True)
                )
            )
    # float32. A step moves a weight by up to 1e-3, and where a gradient is about as
    # small as its rounding, Adam divides by it: 1e-6 was measured, 3e-6 allowed.
    assert len(apart["keras"]) == 10
    assert apart["keras"][0] < 3e-6 and apart["keras"][-1] < 3e-6
    # The control: this test can tell the two forms of Adam apart.
    assert apart["optax"][-1] > 1e-4


def test_the_model_is_the_write_ups():
    model = build((784, 1024, 10), (28, 28), seed=0)
    assert model.count_params() == 814_090 == num_params(keras_dense.to_dense(model))
    kernel, bias = keras_dense.to_dense(model)[0]
    limit = np.sqrt(6 / (784 + 1024))  # Glorot uniform, Keras's default
    assert 0.999 * limit < np.abs(kernel).max() <= limit
    assert not bias.any()
    again = build((784, 1024, 10), (28, 28), seed=0)
    np.testing.assert_array_equal(again.get_weights()[0], kernel)


def test_the_last_layer_may_give_logits():
    logits, softmax = (
        build((784, 10), (28, 28), seed=0, softmax=softmax) for softmax in (False, True)
    )
    outputs = [
        np.asarray(model(np.ones((2, 28, 28), np.float32)))
        for model in (logits, softmax)
    ]
    shares = scipy.special.softmax(outputs[0], axis=-1)
    np.testing.assert_allclose(shares, outputs[1], rtol=1e-5)
    params = [keras_dense.to_dense(model) for model in (logits, softmax)]
    chex.assert_trees_all_equal(*params)


def foreign_model(layers_of):
    keras = load_keras()
    layers = layers_of(keras.layers)
    return keras.Sequential([keras.Input((28, 28)), keras.layers.Flatten(), *layers])


@pytest.mark.parametrize(
    ("layers_of", "message"),
    [
        (
            lambda layers: [
                layers.Dense(10, activation="relu", use_bias=False, name="first"),
                layers.Dense(10, activation="softmax", use_bias=False),
            ],
            "'first' has no bias",
        ),
        (
            lambda layers: [
                layers.Dense(10, activation="relu"),
                layers.BatchNormalization(name="norm"),
                layers.Dense(10),
            ],
            "'norm' is BatchNormalization",
        ),
        (
            lambda layers: [
                layers.Dense(10, activation="tanh", name="first"),
                layers.Dense(10),
            ],
            "'first' has the activation tanh",
        ),
        (
            lambda layers: [layers.Dense(10, name="first"), layers.Dense(10)],
            "'first' has the activation linear",
        ),
        (
            lambda layers: [layers.Dense(10, activation="sigmoid", name="last")],
            "'last' has the activation sigmoid",
        ),
        (
            lambda layers: [layers.LayerNormalization(name="norm"), layers.Dense(10)],
            "'norm' is LayerNormalization",
        ),
        (lambda layers: [], "no Dense layer"),
        (
            lambda layers: [
                layers.Dense(10, activation=layers.LeakyReLU(), name="first"),
                layers.Dense(10),
            ],
            "'first' has the activation LeakyReLU",
        ),
    ],
    ids=[
        *("use_bias", "BatchNorm", "tanh", "linear", "sigmoid", "LayerNorm", "empty"),
        "a layer",
    ],
)
def test_foreign_models_are_refused_by_name(layers_of, message):
    model = foreign_model(layers_of)
    with pytest.raises(InputError, match=message):
        keras_dense.to_dense(model)


def test_keras_on_another_backend_is_refused():
    # It runs on TensorFlow in this process, and chooses its backend but once.
    load_keras()
    with pytest.raises(InputError, match="imported before and runs on tensorflow"):
        build((784, 10), (28, 28), backend="jax")


@pytest.mark.usefixtures("in_this_process")
def test_keras_gives_the_events_that_other_models_give(small_digits):
    *epochs, prediction = models.train_and_test("keras_dense", RECIPE, small_digits, 1)
    assert [type(epoch) for epoch in epochs] == [Epoch] * 2
    assert isinstance(prediction, Prediction)
    assert [epoch.number for epoch in epochs] == [1, 2]
    assert [epoch.state.step for epoch in epochs] == [12, 24]
    assert epochs[1].train.mean_loss < 0.8 * epochs[0].train.mean_loss
    # Oracle: the mirror, fed Keras's weights. float32, 784-term sums.
    loss_fn = jax.jit(flax_dense.loss_fn)
    for epoch in epochs:
        assert epoch.seconds > 0 and epoch.evaluation_seconds > 0
        assert epoch.train.seen == 300
        (held_out,) = epoch.held_out
        _, totals = loss_fn(epoch.state.params, small_digits.validation)
        assert (held_out.correct, held_out.seen) == (totals.correct, 100)
        np.testing.assert_allclose(held_out.loss, totals.loss, rtol=1e-4)
    predict = jax.jit(flax_dense.predict)
    tested = predict(epochs[-1].state.params, small_digits.test.image)
    np.testing.assert_array_equal(prediction.label, tested.label)


def test_keras_takes_the_images_in_a_new_order_in_each_epoch(model):
    # One call of `fit` after `set_random_seed` would repeat the first epoch's.
    images = np.zeros((100, 28, 28), np.uint8)
    images[:, 0, 0] = range(100)  # each by its number
    train = Batch(images, np.zeros(100, np.int32))
    seen, train_step = [], model.train_step

    def record(data):
        seen.append(np.rint(np.asarray(data[0])[:, 0, 0] * 255))
        return train_step(data)

    model.train_step, model.run_eagerly = record, True
    recipe = replace(RECIPE, num_epochs=3)
    assert len([*keras_dense.fit(model, recipe, train, first(0, train), seed=0)]) == 3
    orders = np.concatenate(seen).reshape(3, 100)
    assert (np.sort(orders) == range(100)).all()
    assert len({tuple(order) for order in orders}) == 3
    # What docs/findings.md says of one call after a seed, which the model has.
    seen.clear()
    model.fit(keras_dense.scaled(images), train.label, batch_size=25, epochs=3)
    repeated = np.concatenate(seen).reshape(3, 100)
    assert len({tuple(order) for order in repeated}) == 1


def test_data_that_makes_no_sense_is_refused_as_by_fit(model, small_digits):
    train, validation = small_digits.train, small_digits.validation
    scaled = train._replace(image=np.float32(train.image / 255))
    for wrong, message in (
        (scaled, "images must be uint8"),
        (train._replace(label=train.label + 1), "label"),
    ):
        with pytest.raises(InputError, match=message):
            next(keras_dense.fit(model, RECIPE, wrong, validation, seed=0))
    none_fits = replace(RECIPE, batch_size=0)
    with pytest.raises(InputError, match="batch_size=0"):
        next(keras_dense.fit(model, none_fits, train, validation, seed=0))


@pytest.mark.parametrize("given", [{"mesh": "a mesh"}, {"read": print}])
def test_keras_takes_no_mesh_and_no_stream(small_digits, given):
    recipe = replace(RECIPE, layer_sizes=(784, 8, 10))
    with pytest.raises(InputError, match="keras_dense is Keras's, which takes no mesh"):
        models.train_and_test("keras_dense", recipe, small_digits, 1, **given)


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_keras_goes_on_from_a_checkpoint_bit_for_bit(small_digits, tmp_path, optimizer):
    # Oracle: the same training, never stopped.
    recipe = replace(RECIPE, layer_sizes=(784, 8, 10), optimizer=optimizer)
    *whole, prediction = models.train_and_test("keras_dense", recipe, small_digits, 1)
    checkpoint.save(tmp_path / "state", whole[0].state)
    like = models.state_like("keras_dense", recipe)
    state = checkpoint.restore(tmp_path / "state", like)
    last, again = models.train_and_test(
        "keras_dense", recipe, small_digits, 1, state=state
    )
    chex.assert_trees_all_equal(last.state, whole[1].state, strict=True)
    assert (last.number, last.train, last.held_out) == (2, *whole[1][2:4])
    chex.assert_trees_all_equal(again, prediction)
    # The epochs' orders differ, and so do those of another seed.
    seeds = [keras_dense.epoch_seed(*pair) for pair in ((1, 0), (1, 1), (2, 0), (0, 1))]
    assert len(set(seeds)) == 4 and all(0 <= seed < 2**32 for seed in seeds)
    with pytest.raises(InputError, match="not a whole number of epochs"):
        list(
            models.train_and_test(
                *("keras_dense", replace(recipe, batch_size=30), small_digits, 1),
                state=state,
            )
        )


@pytest.mark.usefixtures("in_this_process")
def test_keras_diverging_in_its_last_step_without_a_validation_set(small_digits):
    # One batch an epoch: its loss is taken before the weights become infinite.
    validation = first(0, small_digits.validation)
    recipe = replace(
        RECIPE,
        layer_sizes=(784, 10),
        batch_size=len(small_digits.train.label),
        learning_rate=1e300,
        num_epochs=1,
    )
    message = (
        r"^keras_dense: a weight is not finite .* epoch 1 at learning rate 1e\+300"
    )
    epochs = models.train_and_test(
        "keras_dense", recipe, small_digits._replace(validation=validation), 1
    )
    with pytest.raises(NonFiniteLoss, match=message):
        next(epochs)


@pytest.mark.usefixtures("in_this_process")
def test_keras_without_a_validation_set_says_that_it_saw_none(small_digits):
    validation = first(0, small_digits.validation)
    recipe = replace(RECIPE, layer_sizes=(784, 10), num_epochs=1)
    epoch, _ = models.train_and_test(
        "keras_dense", recipe, small_digits._replace(validation=validation), 1
    )
    (held_out,) = epoch.held_out
    assert (held_out.correct, held_out.loss, held_out.seen) == (0, 0, 0)


def test_kerass_simple_rnn_computes_what_row_rnn_does():
    keras = load_keras()
    rng = np.random.default_rng(4)
    weights = [rng.normal(0, 0.4, s) for s in ((5, 8), (8, 8), (8,), (8, 10), (10,))]
    weights = [np.asarray(array, np.float32) for array in weights]
    model = keras.Sequential([keras.Input((4, 5))])
    model.add(keras.layers.SimpleRNN(8, activation="relu"))
    model.add(keras.layers.Dense(10))
    model.set_weights(weights)
    expected = model(TRAIN.image.astype(np.float32) / 255)
    from_input, from_state, bias, *output = weights
    kernel = np.concatenate([from_input, from_state])
    layers = (flax_dense.Dense(kernel, bias), flax_dense.Dense(*output))
    # float32, four rows of sums of 13 terms
    logits = jax.jit(row_rnn.apply)(layers, TRAIN.image)
    np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
