"""What every network promises, whichever it is."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small import (
    BATCH_SIZE,
    FEW,
    HIDDEN,
    NETWORKS,
    TRACES,
    TRAIN,
    everything_of,
    random_batch,
    random_layers,
    sizes_for,
)

from jaxnets import optimizers, row_rnn, training
from jaxnets.types import Batch, Dense

each_network = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def kernel_shapes(network, layer_sizes):
    """A hidden layer of row_rnn has weights on its own state, below the others."""
    shapes = list(itertools.pairwise(layer_sizes))
    if network is row_rnn:
        shapes[:-1] = [(num_in + n, n) for num_in, n in shapes[:-1]]
    return shapes


def random_params(network, seed=0, *, hidden=HIDDEN, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return tuple(
        Dense(*(rng.normal(size=s, scale=0.5).astype(dtype) for s in (shape, shape[1])))
        for shape in kernel_shapes(network, sizes_for(network, *hidden, 10))
    )


def abstract_params(network, layer_sizes):
    """Shapes and types without values: many sizes, and nothing is compiled."""
    return jax.eval_shape(lambda: network.init(jax.random.key(0), layer_sizes))


@each_network
@settings(max_examples=5)
@given(
    hidden=st.lists(st.integers(1, 900), max_size=3),
    num_classes=st.integers(1, 11),
    num_examples=st.integers(1, 70),
    height=st.integers(1, 30),
)
def test_shapes_and_types_for_any_sizes(
    network, hidden, num_classes, num_examples, height
):
    layer_sizes = sizes_for(network, *hidden, num_classes, height=height, width=3)
    params = abstract_params(network, layer_sizes)
    chex.assert_type(jax.tree.leaves(params), jnp.float32)
    expected = tuple(
        Dense(
            jax.ShapeDtypeStruct(shape, jnp.float32),
            jax.ShapeDtypeStruct(shape[1:], jnp.float32),
        )
        for shape in kernel_shapes(network, layer_sizes)
    )
    chex.assert_trees_all_equal_shapes_and_dtypes(params, expected)
    images = jax.ShapeDtypeStruct((num_examples, height, 3), jnp.uint8)
    labels = jax.ShapeDtypeStruct((num_examples,), jnp.int32)
    outputs = jax.eval_shape(network.apply, params, images)
    chex.assert_shape(outputs, (num_examples, num_classes))
    prediction = jax.eval_shape(network.predict, params, images)
    chex.assert_shape(prediction, [labels.shape, outputs.shape])
    chex.assert_type(prediction, [jnp.int32, jnp.float32])
    loss, totals = jax.eval_shape(network.loss_fn, params, Batch(images, labels))
    chex.assert_shape([loss, *totals], ())
    chex.assert_type([loss, *totals], [jnp.float32, jnp.int32, jnp.float32, jnp.int32])


@each_network
def test_many_layers_keep_their_order(network):
    # More than ten: "10" sorts before "2".
    layer_sizes = sizes_for(network, *range(30, 42), 10)
    params = abstract_params(network, layer_sizes)
    assert tuple(len(layer.bias) for layer in params) == layer_sizes[1:]


@each_network
def test_loss_totals_and_prediction_are_those_of_the_outputs(network):
    batch = FEW
    outputs, (loss, totals), _, prediction = everything_of(network)(
        random_params(network), batch
    )
    answers = np.argmax(outputs, axis=-1)
    assert (totals.correct, totals.seen) == (np.sum(answers == batch.label), 5)
    np.testing.assert_allclose(totals.loss, 5 * loss, rtol=1e-6)  # float32, 5 terms
    np.testing.assert_array_equal(prediction.label, answers)
    chex.assert_shape(prediction.probability, (5, 10))
    chex.assert_tree_all_finite(prediction.probability)
    # float32 rows of 10 terms
    np.testing.assert_allclose(prediction.probability.sum(axis=-1), 1, rtol=1e-6)
    np.testing.assert_array_equal(
        np.argsort(prediction.probability, axis=-1), np.argsort(outputs, axis=-1)
    )


@each_network
def test_gradient_agrees_with_finite_differences_in_float64(network):
    params, direction = (
        random_params(network, seed, hidden=(6,), dtype=np.float64) for seed in (0, 1)
    )

    def moved(size):
        return jax.tree.map(lambda a, b: a + size * b, params, direction)

    with jax.enable_x64(True):
        loss_of = jax.jit(jax.value_and_grad(network.loss_fn, has_aux=True))
        ((_, _), grads), ((above, _), _), ((below, _), _) = jax.device_get(
            [loss_of(moved(size), FEW) for size in (0, 1e-5, -1e-5)]
        )
    chex.assert_type([above, *jax.tree.leaves(grads)], np.float64)
    slopes = jax.tree.map(np.vdot, grads, direction)
    # Oracle: central differences, whose own error is about 1e-9.
    np.testing.assert_allclose(
        sum(jax.tree.leaves(slopes)), (above - below) / 2e-5, rtol=1e-6, atol=1e-6
    )


@each_network
def test_jit_gives_the_same_and_compiles_once(network):
    everything = everything_of(network)
    everything(random_params(network), FEW)
    num_traces = TRACES[network.__name__]
    for seed in (0, 1):
        params, batch = random_params(network, seed), random_batch(5, seed)
        plain, compiled = network.loss_fn(params, batch), everything(params, batch)[1]
        chex.assert_trees_all_equal_shapes_and_dtypes(compiled, plain)
        # float32: compiled sums may round differently
        chex.assert_trees_all_close(compiled, plain, rtol=1e-5)
    assert TRACES[network.__name__] == num_traces


@each_network
def test_networks_train_side_by_side_under_vmap(network):
    alone = [random_params(network, seed) for seed in (0, 1)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *alone)
    together = jax.jit(jax.vmap(network.loss_fn, in_axes=(0, None)))(stacked, FEW)
    for index, params in enumerate(alone):
        # vmap batches the products: equal statistically, not bit by bit (float32).
        chex.assert_trees_all_close(
            jax.tree.map(lambda leaf: leaf[index], jax.device_get(together)),  # noqa: B023
            everything_of(network)(params, FEW)[1],
            rtol=1e-4,
            atol=1e-6,
        )
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 3))
    sizes = sizes_for(network, *HIDDEN, 10)
    many = jax.eval_shape(jax.vmap(lambda key: network.init(key, sizes)), keys)
    chex.assert_tree_shape_prefix(many, (3,))


@each_network
@pytest.mark.parametrize("num_pixels", [19, 21])
def test_images_of_another_size_are_refused(network, num_pixels):
    images = jax.ShapeDtypeStruct((2, 1, num_pixels), jnp.uint8)
    with pytest.raises((TypeError, ValueError)):
        jax.eval_shape(network.apply, random_params(network), images)


@pytest.mark.parametrize(
    ("name", "tx"),
    [(name, optax.sgd(0.1)) for name in NETWORKS]
    + [("relu_softmax", optimizers.keras_adam(0.1))],
    ids=[*NETWORKS, "with keras_adam"],
)
def test_nothing_relies_on_implicit_dtype_promotion(name, tx):
    network = NETWORKS[name]
    train_step = training.make_train_step(network.loss_fn, tx)
    key, order = jax.random.key(0), np.arange(23, dtype=np.int32)
    # It is found while tracing; above all where 64 bits are there to promote to.
    with jax.numpy_dtype_promotion("strict"), jax.enable_x64(True):
        params = abstract_params(network, sizes_for(network, *HIDDEN, 10))
        state = jax.eval_shape(lambda params: training.start(params, tx), params)
        train_epoch = training.make_train_epoch(train_step, BATCH_SIZE)
        run_epoch = training.make_run_epoch(network.loss_fn, tx, BATCH_SIZE)
        after, _ = jax.eval_shape(train_epoch, state, TRAIN, order)
        chex.assert_trees_all_equal_shapes_and_dtypes(after, state)
        after, *_ = jax.eval_shape(run_epoch, state, (key, None), np.int32(0), TRAIN)
        chex.assert_trees_all_equal_shapes_and_dtypes(after, state)
        evaluate = training.make_evaluate(network.loss_fn, 10)
        totals = jax.eval_shape(evaluate, params, TRAIN)
        chex.assert_type(totals, [jnp.int32, jnp.float32, jnp.int32])
        predict_all = training.make_predict(network.predict, 10)
        prediction = jax.eval_shape(predict_all, params, TRAIN.image)
        chex.assert_type(prediction, [jnp.int32, jnp.float32])


@pytest.mark.parametrize("backprop", [oracles.sigmoid_backprop, oracles.relu_backprop])
def test_the_oracles_agree_with_finite_differences(backprop):
    network = oracles.network_of(random_layers((20, 3, 4, 10)))
    image, label = TRAIN.image[0], TRAIN.label[0]
    _, _, gradients = backprop(network, image, label)
    differences = oracles.finite_differences(backprop, network, image, label)
    # float64 with a step of 1e-6: about 1e-10 is left of the difference
    chex.assert_trees_all_close(gradients, differences, rtol=1e-6, atol=1e-9)
