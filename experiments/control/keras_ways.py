"""What `per_example`, `_curvature` and `_rates` do, done with Keras.

It loads TensorFlow: `keras_process` runs it in a process of its own. The
lines of these functions are counted beside those of the JAX ones.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from jaxnets import keras_dense
from jaxnets.keras_dense import keras, tf
from jaxnets.types import Params

Norms = Callable[[tf.Tensor, tf.Tensor], np.ndarray]


class LayerRates(keras.Sequential):
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


def build(params: Params, image_shape: tuple[int, int]) -> LayerRates:
    """The Keras network with these weights, and logits instead of a softmax.

    Outside of a graph Keras clips the softmax, and the gradient of an image that is
    thoroughly misjudged would be lost.
    """
    sizes = [layer.kernel.shape[1] for layer in params]
    model = LayerRates([keras.Input(image_shape), keras.layers.Flatten()])
    for size in sizes[:-1]:
        model.add(keras.layers.Dense(size, activation="relu"))
    model.add(keras.layers.Dense(sizes[-1]))
    keras_dense.from_dense(model, params)
    model.rates = tf.Variable(np.zeros(2 * len(sizes), np.float32), trainable=False)
    model.compile(
        optimizer=keras.optimizers.SGD(1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def losses_of(model: keras.Model, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Softmax cross-entropy, one number per example."""
    return keras.losses.sparse_categorical_crossentropy(
        labels, model(images), from_logits=True
    )


def gradient_norm(model: keras.Model, example: tuple[tf.Tensor, tf.Tensor]):
    """The length of one example's gradient."""
    image, label = example
    with tf.GradientTape() as tape:
        loss = losses_of(model, image[None], label[None])
    grads = tape.gradient(loss, model.trainable_variables)
    return tf.sqrt(sum(tf.reduce_sum(grad**2) for grad in grads))


def norms_one_by_one(model: keras.Model) -> Norms:
    """Each example's gradient norm: a compiled function, called in a Python loop."""
    norm = tf.function(lambda *example: gradient_norm(model, example))
    return lambda *data: np.array([norm(*example) for example in zip(*data)])  # noqa: B905


def norms_in_a_graph(model: keras.Model) -> Norms:
    """The same with the loop inside the compiled function."""
    return tf.function(
        lambda *data: tf.map_fn(
            lambda example: gradient_norm(model, example),
            data,
            fn_output_signature=tf.float32,
        )
    )


def norms_vectorized(model: keras.Model) -> Norms:
    """The same without a loop: TensorFlow's counterpart of `vmap`."""
    return tf.function(
        lambda *data: tf.vectorized_map(
            lambda example: gradient_norm(model, example), data
        )
    )


def make_hessian_vector_product(model: keras.Model, images, labels):
    """H v of the mean loss, by a tape within a tape."""

    @tf.function
    def product(vector: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        weights = model.trainable_variables
        with tf.GradientTape() as outer:
            with tf.GradientTape() as inner:
                loss = tf.reduce_mean(losses_of(model, images, labels))
            grads = inner.gradient(loss, weights)
        return outer.gradient(grads, weights, output_gradients=vector)

    return product


def train_each(
    model: LayerRates, params: Params, rates: np.ndarray, data, batch_size: int
) -> Iterator[Params]:
    """One epoch from the same weights for each row of rates, one after another."""
    for row in rates:
        keras_dense.from_dense(model, params)
        model.rates.assign(np.repeat(row, 2))  # kernel and bias
        model.fit(*data, batch_size=batch_size, shuffle=False, verbose=0)
        yield keras_dense.to_dense(model)
