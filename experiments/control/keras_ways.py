"""What `gradients` and `descent` do, done with Keras; their lines are compared.

It loads TensorFlow: `beside_keras` runs it in a process of its own.
"""

from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from experiments.control.programs import REPEATS, clocked, count_definitions
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
    model.rates = tf.Variable(np.zeros(2 * len(params), np.float32), trainable=False)
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


def norms_one_by_one(model: keras.Model) -> Callable:
    """Each example's gradient norm: a compiled function, called in a Python loop."""
    norm = tf.function(lambda *example: gradient_norm(model, example))
    return lambda *data: np.array([norm(*example) for example in zip(*data)])  # noqa: B905


def norms_in_a_graph(model: keras.Model) -> Callable:
    """The same with the loop inside the compiled function."""
    return tf.function(
        lambda *data: tf.map_fn(
            lambda example: gradient_norm(model, example),
            data,
            fn_output_signature=tf.float32,
        )
    )


def norms_vectorized(model: keras.Model) -> Callable:
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


def largest_eigenvalue(product: Callable, like: Sequence[tf.Tensor]) -> float:
    """Of the Hessian, by SciPy's Lanczos on products with vectors like this one."""
    ends = np.cumsum([np.size(leaf) for leaf in like])

    def times_hessian(vector: np.ndarray) -> np.ndarray:
        parts = zip(np.split(vector.astype(np.float32), ends[:-1]), like, strict=True)
        image = product([tf.reshape(part, leaf.shape) for part, leaf in parts])
        return np.concatenate([np.ravel(leaf) for leaf in image])

    operator = LinearOperator((ends[-1], ends[-1]), times_hessian, dtype=np.float32)
    start = np.random.default_rng(0).standard_normal(ends[-1]).astype(np.float32)
    values = eigsh(operator, 1, which="LA", v0=start, return_eigenvectors=False)
    return float(values[0])


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
    send: Callable[..., None],
    *,
    params: Layers,  # of the trained network, whose gradients and Hessian are wanted
    vector: Layers,  # that the Hessian is multiplied with
    start: Layers,  # where the networks with a rate a layer begin
    rates: Sequence[tuple[float, ...]],
    batch_size: int,
    data: dict[str, Batch],  # of each task
) -> None:
    """Send task, way, value, lines, seconds without tracing and of the first call."""
    scaled = keras_dense.scaled
    arrays = {name: (scaled(images), label) for name, (images, label) in data.items()}
    images, labels = map(tf.constant, arrays["gradients"])
    model = build(params, images.shape[1:])
    for make_norms in (norms_one_by_one, norms_in_a_graph, norms_vectorized):
        norms, way = make_norms(model), make_norms.__name__.removeprefix("norms_")
        # A loop is traced by its first image; the others by all of them.
        num_traced = 1 if way == "one_by_one" else len(labels)
        _, first_seconds = clocked(norms, images[:num_traced], labels[:num_traced])
        value, seconds = clocked(lambda norms=norms: np.asarray(norms(images, labels)))
        lines = count_definitions(gradient_norm, make_norms)
        send(("gradients", way, value, lines, seconds, first_seconds))

    product = make_hessian_vector_product(model, *map(tf.constant, arrays["product"]))
    leaves, structure = jax.tree.flatten(jax.tree.map(tf.constant, vector))
    _, first_seconds = clocked(product, leaves)
    value, seconds = clocked(
        lambda: [leaf.numpy() for leaf in product(leaves)], repeats=REPEATS
    )
    value = jax.tree.unflatten(structure, value)
    lines = count_definitions(make_hessian_vector_product)
    send(("product", "keras", value, lines, seconds, first_seconds))
    send(("sharpness", "keras", largest_eigenvalue(product, leaves)))

    def train(rates: Sequence[tuple[float, ...]]) -> Layers:
        networks = train_each(model, start, rates, arrays["rates"], batch_size)
        return jax.tree.map(lambda *leaves: np.stack(leaves), *networks)

    _, first_seconds = clocked(train, rates[:1])
    value, seconds = clocked(train, rates)
    lines = count_definitions(LayerRates, train_each)
    send(("rates", "keras", value, lines, seconds, first_seconds))
