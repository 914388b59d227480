"""What every network promises, whichever it is."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

from jaxnets import flax_dense, relu_softmax, row_rnn, sigmoid_mse
from jaxnets.training import make_train_step, start
from jaxnets.types import Batch, Dense, layer_sizes_of

each_network = pytest.mark.parametrize(
    "network",
    [sigmoid_mse, relu_softmax, flax_dense, row_rnn],
    ids=["sigmoid_mse", "relu_softmax", "flax_dense", "row_rnn"],
)
HIDDEN = (7, 6)


def sizes_for(network, *later, height=4, width=5):
    """Layer sizes for images of 4 x 5 pixels: row_rnn takes a row at a time."""
    return (width if network is row_rnn else height * width, *later)


def kernel_shapes(network, layer_sizes):
    """A hidden layer of row_rnn has weights on its own state, below the others."""
    shapes = list(itertools.pairwise(layer_sizes))
    if network is row_rnn:
        shapes[:-1] = [(num_in + n, n) for num_in, n in shapes[:-1]]
    return shapes


def random_batch(seed=0, num_examples=5):
    rng = np.random.default_rng(seed)
    image = rng.integers(256, size=(num_examples, 4, 5), dtype=np.uint8)
    label = rng.integers(10, size=num_examples, dtype=np.int32)
    return Batch(jnp.asarray(image), jnp.asarray(label))


def fresh(network, seed=0):
    return network.init(jax.random.key(seed), sizes_for(network, *HIDDEN, 10))


def abstract_params(network, layer_sizes):
    """Shapes and types without values: many sizes, and nothing is compiled."""
    return jax.eval_shape(lambda: network.init(jax.random.key(0), layer_sizes))


@each_network
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
    assert layer_sizes_of(params)[1:] == layer_sizes[1:]
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
    sizes = layer_sizes_of(abstract_params(network, layer_sizes))
    assert sizes[1:] == layer_sizes[1:]


@each_network
def test_loss_is_the_mean_of_what_totals_sum_up(network):
    params, batch = fresh(network), random_batch()
    loss, totals = jax.jit(network.loss_fn)(params, batch)
    assert totals.seen == len(batch.label)
    guesses = network.predict(params, batch.image).label
    assert totals.correct == np.sum(np.asarray(guesses) == np.asarray(batch.label))
    # float32, five terms
    np.testing.assert_allclose(totals.loss, loss * len(batch.label), rtol=1e-6)


@each_network
def test_init_depends_on_the_key_alone(network):
    one, same, other = (fresh(network, seed) for seed in (1, 1, 2))
    chex.assert_trees_all_equal(one, same)
    sizes = sizes_for(network, *HIDDEN)
    for layer, changed, num_in in zip(one, other, sizes, strict=True):
        # The weights on the inputs: those on row_rnn's state begin as the identity.
        weights, others = (np.asarray(a.kernel[:num_in]) for a in (layer, changed))
        assert not np.any(weights == others)
    twins = network.init(jax.random.key(1), (7, 7, 7))  # layers of the same shape
    first, second = (np.asarray(layer.kernel[:7]) for layer in twins)
    assert not np.any(first == second)


@each_network
def test_predict_gives_the_largest_output_and_probabilities(network):
    batch = random_batch(num_examples=8)
    params = fresh(network)
    prediction = network.predict(params, batch.image)
    outputs = np.asarray(network.apply(params, batch.image))
    np.testing.assert_array_equal(prediction.label, outputs.argmax(axis=-1))
    chex.assert_shape(prediction.probability, (8, 10))
    chex.assert_tree_all_finite(prediction.probability)
    # float32 rows of 10 terms
    np.testing.assert_allclose(prediction.probability.sum(axis=-1), 1, rtol=1e-6)
    np.testing.assert_array_equal(
        np.argsort(prediction.probability, axis=-1), np.argsort(outputs, axis=-1)
    )


@each_network
def test_gradient_agrees_with_finite_differences_in_float64(network):
    batch = random_batch()
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        params = tuple(
            Dense(jnp.asarray(rng.normal(size=shape)), jnp.asarray(rng.normal(size=n)))
            for shape in kernel_shapes(network, sizes_for(network, *HIDDEN, 10))
            for n in shape[1:]
        )
        chex.assert_type(jax.tree.leaves(params), jnp.float64)
        # Oracle: central differences of step 1e-5, whose own error is about 1e-9.
        check_grads(
            jax.jit(lambda params: network.loss_fn(params, batch)[0]),
            (params,),
            order=1,
            modes=["rev"],
            eps=1e-5,
            atol=1e-6,
            rtol=1e-6,
        )


@each_network
def test_jit_gives_the_same_and_compiles_once(network):
    chex.clear_trace_counter()
    jitted = jax.jit(chex.assert_max_traces(network.loss_fn, n=1))
    for seed in (0, 1):
        params, batch = fresh(network, seed), random_batch(seed)
        plain = network.loss_fn(params, batch)
        chex.assert_trees_all_equal_shapes_and_dtypes(jitted(params, batch), plain)
        # float32: compiled sums may round differently
        chex.assert_trees_all_close(jitted(params, batch), plain, rtol=1e-5)


@each_network
def test_seeds_train_side_by_side_under_vmap(network):
    tx = optax.sgd(0.5)
    batch, seeds = random_batch(), jnp.arange(2)
    sizes = sizes_for(network, 10)

    def train(seed):
        state = start(network.init(jax.random.key(seed), sizes), tx)
        return make_train_step(network.loss_fn, tx)(state, batch)

    together, alone = jax.jit(jax.vmap(train))(seeds), jax.jit(train)
    for place, seed in enumerate(seeds):
        # vmap batches the products: equal statistically, not bit by bit (float32).
        chex.assert_trees_all_close(
            jax.tree.map(lambda leaf: leaf[place], together),  # noqa: B023
            alone(seed),
            rtol=1e-4,
            atol=1e-6,
        )


@each_network
@pytest.mark.parametrize("num_pixels", [19, 21])
def test_images_of_another_size_are_refused(network, num_pixels):
    params = fresh(network)
    with pytest.raises((TypeError, ValueError)):
        network.apply(params, jnp.zeros((2, 1, num_pixels), jnp.uint8))
