"""What `gradients` and `descent` do, done with Keras; their lines are compared.

It loads TensorFlow: `beside_keras` runs it in a process of its own.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import jax
import numpy as np

from experiments.control.gradients import CHUNK
from experiments.control.programs import clocked, first_call
from jaxnets import keras_dense
from jaxnets.types import Batch, Layers

keras_dense.load_keras()  # chooses TensorFlow before the next lines import it
import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

# As JAX's "highest" matmul precision: float32 products are not rounded to TF32.
tf.config.experimental.enable_tensor_float_32_execution(False)


class LayerRates(keras.Model):
    """SGD with one learning rate a variable; its optimizer has the rate 1."""

    def train_step(self, data):
        images, labels = data
        with tf.GradientTape() as tape:
            outputs = self(images, training=True)
            loss = self.compute_loss(x=images, y=labels, y_pred=outputs)
        grads = tape.gradient(loss, self.trainable_variables)
        rates = tf.unstack(self.rates)
        scaled = [rate * grad for rate, grad in zip(rates, grads, strict=True)]
        self.optimizer.apply(scaled, self.trainable_variables)
        return {"loss": loss}


def build(params: Layers, image_shape: tuple[int, ...]) -> LayerRates:
    """The Keras network with these weights, and logits instead of a softmax.

    Outside of a graph Keras clips the softmax, and the gradient of an image that is
    thoroughly misjudged would be lost.
    """
    sizes = (params[0].kernel.shape[0], *(len(layer.bias) for layer in params))
    plain = keras_dense.build(sizes, image_shape, softmax=False)
    model = LayerRates(inputs=plain.inputs, outputs=plain.outputs)
    keras_dense.from_dense(model, params)
    return model


def losses_of(model: keras.Model, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Softmax cross-entropy, one number per example."""
    return keras.losses.sparse_categorical_crossentropy(
        labels, model(images), from_logits=True
    )


def gradient_norm(model: keras.Model, image: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    """The length of one example's gradient."""
    with tf.GradientTape() as tape:
        loss = losses_of(model, image[None], label[None])
    grads = tape.gradient(loss, model.trainable_variables)
    return tf.sqrt(sum(tf.reduce_sum(grad**2) for grad in grads))


def norms_in_a_graph(model: keras.Model, *data: tf.Tensor) -> tf.Tensor:
    """Each example's gradient norm, in a loop inside the compiled function."""
    return tf.map_fn(
        lambda one: gradient_norm(model, *one), data, fn_output_signature=tf.float32
    )


def norms_vectorized(model: keras.Model, *chunk: tf.Tensor) -> tf.Tensor:
    """The same by TensorFlow's counterpart of `vmap`.

    Chunks of 20 and of 500 were no faster on two cores.
    """
    return tf.vectorized_map(lambda one: gradient_norm(model, *one), chunk)


def by_chunks(norms_of: Callable, *data: tf.Tensor) -> np.ndarray:
    """The norms of all examples, a chunk at a time."""
    starts = range(0, len(data[1]), CHUNK)
    chunks = ([array[at : at + CHUNK] for array in data] for at in starts)
    return np.concatenate([norms_of(*chunk) for chunk in chunks])


def hessian_vector_product(model: keras.Model, vector: Sequence, images, labels):
    """H v of the mean loss, by a tape within a tape."""
    weights = model.trainable_variables
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            loss = tf.reduce_mean(losses_of(model, images, labels))
        grads = inner.gradient(loss, weights)
    return outer.gradient(grads, weights, output_gradients=vector)


def prepare(model: LayerRates, num_steps: int) -> None:
    """Give the model its rates, and `fit` all steps of an epoch in one execution."""
    num_rates = len(model.trainable_variables)
    model.rates = tf.Variable(np.zeros(num_rates, np.float32), trainable=False)
    model.compile(
        optimizer=keras.optimizers.SGD(1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        steps_per_execution=num_steps,
    )


def train_each(
    model: LayerRates, params: Layers, rates: Sequence, data, batch_size: int
) -> Iterator[Layers]:
    """One epoch from the same weights for each row of rates, one after another."""
    for row in rates:
        keras_dense.from_dense(model, params)
        model.rates.assign(np.repeat(row, 2))  # kernel and bias
        model.fit(*data, batch_size=batch_size, shuffle=False, verbose=0)
        yield keras_dense.to_dense(model)


def compute(
    send: Callable[[object], None],
    rounds: int,
    *,
    params: Layers,  # of the trained network, whose gradients and Hessian are wanted
    vector: Layers,  # that the Hessian is multiplied with
    start: Layers,  # where the networks with a rate a layer begin
    rates: Sequence[tuple[float, ...]],
    batch_size: int,
    repeats: Mapping[str, int],  # calls in a row in a round, by task
    data: dict[str, Batch],  # of each task
) -> None:
    """Send each way's task, name and first call, then the seconds of all, in rounds."""
    scaled = keras_dense.scaled
    arrays = {name: (scaled(images), label) for name, (images, label) in data.items()}
    examples, curved, train_on = (
        [tf.constant(array) for array in arrays[name]]
        for name in ("gradients", "product", "rates")
    )
    image_shape = examples[0].shape[1:]
    examined, trained = build(params, image_shape), build(start, image_shape)
    prepare(trained, math.ceil(len(arrays["rates"][1]) / batch_size))
    # XLA takes 0.7 times as long for the product, and longer for the gradients.
    vectorized, in_a_graph, product = (
        tf.function(partial(function, examined), jit_compile=is_compiled)
        for function, is_compiled in (
            (norms_vectorized, False),
            (norms_in_a_graph, False),
            (hessian_vector_product, True),
        )
    )
    leaves, structure = jax.tree.flatten(jax.tree.map(tf.constant, vector))

    def multiply() -> Layers:
        image = product(leaves, *curved)
        return jax.tree.unflatten(structure, [leaf.numpy() for leaf in image])

    def train() -> Layers:
        networks = train_each(trained, start, rates, train_on, batch_size)
        return jax.tree.map(lambda *leaves: np.stack(leaves), *networks)

    ways: dict[tuple[str, str], tuple[Callable, list]] = {
        ("gradients", "vectorized"): (
            lambda: by_chunks(vectorized, *examples),
            [gradient_norm, norms_vectorized, by_chunks],
        ),
        ("gradients", "in_a_graph"): (
            lambda: in_a_graph(*examples).numpy(),
            [gradient_norm, norms_in_a_graph],
        ),
        ("product", "keras"): (multiply, [hessian_vector_product]),
        ("rates", "keras"): (train, [LayerRates, prepare, train_each]),
    }
    for key, way in ways.items():
        send((*key, *first_call(*way)))
    for _ in range(rounds):
        for (name, _), (function, _) in ways.items():
            send(clocked(function, repeats.get(name, 1))[1])
